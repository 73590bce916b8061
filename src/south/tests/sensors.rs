//! Sensor buses over a pseudo terminal, with the bytes of manuals and standards. The sensor's side is
//! a script: what it waits for, and what it then says.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config;
use crate::model::{Doubt, Fault, Refusal};
use crate::south::simulator::Pty;
use crate::south::{DeviceState, LinkState};

/// What the sensor's side does next.
enum Step {
    /// Waits for these bytes; anything else that comes is a failure.
    Expect(&'static [u8]),
    Say(Vec<u8>),
    Wait(u64),
}

/// A sensor at `dir/line` that goes through its steps and then keeps the line open.
fn play(dir: &tempfile::TempDir, steps: Vec<Step>) -> tokio::task::JoinSet<()> {
    let mut pty = Pty::open_at(&dir.path().join("line")).unwrap();
    let mut set = tokio::task::JoinSet::new();
    set.spawn(async move {
        for step in steps {
            match step {
                Step::Expect(want) => {
                    let mut got = vec![0; want.len()];
                    pty.read_exact(&mut got).await.unwrap();
                    assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string());
                }
                Step::Say(bytes) => pty.write_all(&bytes).await.unwrap(),
                Step::Wait(millis) => tokio::time::sleep(ms(millis)).await,
            }
        }
        // Whatever is asked now gets no answer.
        let mut rest = [0; 256];
        while pty.read(&mut rest).await.is_ok() {}
    });
    set
}

/// Long enough for the runner to take the line for synchronised.
const QUIET: Step = Step::Wait(700);

fn say(text: &str) -> Step {
    Step::Say(text.as_bytes().to_vec())
}

/// A bus with one device, `tags` as `name: field, unit`; the tags' numbers count from 1.
fn sensor_plan(dir: &tempfile::TempDir, serial: &str, tags: &str) -> BusPlan {
    let port = dir.path().join("line");
    let text = format!(
        "gateway: {{ name: g }}\nbroker: {{}}\n\
         buses: {{ b: {{ serial: {{ port: {}, {serial} }} }} }}\n\
         devices: {{ d: {{ bus: b, tags: {{ {tags} }} }} }}\n",
        port.display()
    );
    let mut plan = config::parse(&text, "t").unwrap_or_else(|problems| panic!("{problems}")).plan;
    let count = plan.metas().len();
    let ids: Vec<TagId> = (1..=count).map(|id| TagId(u32::try_from(id).unwrap())).collect();
    plan.assign_ids(&ids);
    plan.buses.remove(0)
}

fn f(value: f64) -> Option<Value> {
    Some(Value::F64(value))
}

fn t(text: &str) -> Option<Value> {
    Some(Value::Text(text.into()))
}

/// Value and quality of every reading of a tag so far.
fn seen(stand: &Stand, tag: u32) -> Vec<(Option<Value>, Quality)> {
    stand.of(tag).iter().map(|r| (r.value().cloned(), r.quality())).collect()
}

const GOOD: Quality = Quality::Good;
const UNSTABLE: Quality = Quality::Uncertain(Doubt::Unstable);
const OVERLOAD: Quality = Quality::Bad(Fault::Overload);
const UNDERLOAD: Quality = Quality::Bad(Fault::Underload);
const DEVICE_ERROR: Quality = Quality::Bad(Fault::DeviceError);
const NOT_AVAILABLE: Quality = Quality::Bad(Fault::NotAvailable);

/// METTLER TOLEDO, MT-SICS for Weigh Modules 11781363, 2.1.2.1 (`S S 100.00 g`, weight right aligned in
/// ten characters), 2.1.3 (`ES`, `S I`, `S +`, `S -`), command SI (`S D`).
#[tokio::test]
async fn mt_sics_is_polled_for_the_weight_now() {
    let dir = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    for answer in
        ["S S     100.00 g\r\n", "S D     129.07 g\r\n", "S I\r\n", "S +\r\n", "S -\r\n", "ES\r\n"]
    {
        steps.extend([Step::Expect(b"SI\r\n"), say(answer)]);
    }
    let _sensor = play(&dir, steps);
    let plan = sensor_plan(
        &dir,
        "preset: mt-sics, poll: 100ms",
        "weight: { field: weight, unit: kg }, status: { field: status }",
    );
    let stand = Stand::start(plan);
    stand.until("all answers", |s| s.of(1).len() >= 6).await;
    let want = [
        (f(0.1), GOOD),
        (f(0.129_07), UNSTABLE),
        (None, DEVICE_ERROR),
        (None, OVERLOAD),
        (None, UNDERLOAD),
        (None, DEVICE_ERROR),
    ];
    assert_eq!(seen(&stand, 1)[..6], want);
    assert_eq!(stand.of(2)[1].value().cloned(), t("moving"));
    let status = stand.stop().await;
    let counters = status.sensor.unwrap();
    assert_eq!((counters.frames, counters.damaged, counters.unmatched), (6, 0, 0));
}

/// The same manual, commands S and SIR.
#[tokio::test]
async fn mt_sics_waits_for_rest_or_sends_continuously() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![Step::Expect(b"S\r\n"), Step::Wait(1200), say("S S     100.00 g\r\n")];
    let _sensor = play(&dir, steps);
    let plan = sensor_plan(
        &dir,
        "preset: mt-sics-stable, poll: { timeout: 2s }",
        "weight: { field: weight, unit: g }",
    );
    let stand = Stand::start(plan);
    stand.until("rest", |s| s.value(1) == f(100.0)).await;
    stand.stop().await;

    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        Step::Expect(b"SIR\r\n"),
        QUIET,
        say("S D     129.07 g\r\nS S     129.07 g\r\nS S     129.07 g\r\nS S     130.00 g\r\n"),
    ];
    let _sensor = play(&dir, steps);
    let plan = sensor_plan(
        &dir,
        "preset: mt-sics-continuous, publish: stable",
        "weight: { field: weight, unit: g }",
    );
    let stand = Stand::start(plan);
    stand.until("both weights", |s| s.of(1).len() >= 2).await;
    assert_eq!(seen(&stand, 1), [(f(129.07), GOOD), (f(130.0), GOOD)], "only at rest, once each");
    assert_eq!(stand.stop().await.sensor.unwrap().held_back, 2);
}

/// KERN FTC interface description FTC-BA-e-0720, 5.2.2, and METTLER TOLEDO E15609900A (12/00), tables
/// 6-9 to 6-11: word A 0x2C (XXXX.XX, step 1), word B 0x30 (gross, in range, at rest, kg), word C 0x20.
#[tokio::test]
async fn toledo_continuous_by_its_status_words() {
    let frame = |a: u8, b: u8, c: u8, weight: &str, tare: &str| {
        let mut frame = vec![2, a, b, c];
        frame.extend(weight.bytes().chain(tare.bytes()).chain([b'\r']));
        let sum = frame.iter().fold(0_u8, |sum, byte| sum.wrapping_add(byte & 0x7F));
        frame.push(sum.wrapping_neg() & 0x7F);
        frame
    };
    let dir = tempfile::tempdir().unwrap();
    let mut damaged = frame(0x2C, 0x30, 0x20, "012345", "000000");
    damaged[6] ^= 1;
    let steps = vec![
        QUIET,
        Step::Say(b"45000000\r\x10".to_vec()),
        Step::Say(frame(0x2C, 0x30, 0x20, "012345", "000150")),
        Step::Say(damaged),
        // Net, negative, in motion, lb.
        Step::Say(frame(0x2B, 0x2B, 0x20, "   123", "000000")),
        // Beyond its range.
        Step::Say(frame(0x2C, 0x34, 0x20, "999999", "000000")),
        // Two zeros that are not weighed, in g by word C.
        Step::Say(frame(0x28, 0x30, 0x21, "000012", "000000")),
        // Switched on and not zeroed.
        Step::Say(frame(0x2C, 0x70, 0x20, "012345", "000000")),
    ];
    let _sensor = play(&dir, steps);
    let plan = sensor_plan(
        &dir,
        "preset: toledo-continuous-checksum",
        "weight: { field: weight, unit: kg }, tare: { field: tare, unit: kg }, net: { field: net }",
    );
    let stand = Stand::start(plan);
    stand.until("all frames", |s| s.of(1).len() >= 5).await;
    let want = [
        (f(123.45), GOOD),
        (f(-12.3 * 0.453_592_37), UNSTABLE),
        (None, OVERLOAD),
        (f(1.2), GOOD),
        (None, DEVICE_ERROR),
    ];
    for (got, want) in seen(&stand, 1).iter().zip(&want) {
        assert_eq!(got.1, want.1);
        match (&got.0, &want.0) {
            (Some(Value::F64(got)), Some(Value::F64(want))) => assert!((got - want).abs() < 1e-12),
            (got, want) => assert_eq!(got, want),
        }
    }
    assert_eq!(stand.of(2)[0].value().cloned(), f(1.5));
    assert_eq!(stand.of(3)[1].value().cloned(), t("net"));
    let counters = stand.stop().await.sensor.unwrap();
    assert_eq!((counters.frames, counters.damaged), (5, 1));
    assert!(counters.noise_bytes >= 10, "{counters:?}");
}

/// METTLER TOLEDO IND445 user manual 22013194B (05/08), 5.2.2, without the checksum that is optional.
#[tokio::test]
async fn toledo_continuous_without_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        Step::Say(b"\x02\x2C\x30\x20012345000000\r".to_vec()),
        Step::Say(b"\x02\x2C\x30\x200123X5000000\r".to_vec()),
    ];
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: toledo-continuous",
        "weight: { field: weight, unit: kg }",
    ));
    stand.until("both frames", |s| s.port.status().sensor.is_some_and(|c| c.unmatched == 1)).await;
    assert_eq!(seen(&stand, 1), [(f(123.45), GOOD)], "a letter among the digits is no weight");
    stand.stop().await;
}

/// Sartorius GC803S operating instructions, page 57 (16 characters: `+ 123.56 g`, 22: `N     + 123.56
/// g`; without stability no unit), Quintix, page 87 (High, Low), Entris II, page 3 (Stat, ERR).
#[tokio::test]
async fn sartorius_sbi_of_16_and_22_characters() {
    let dir = tempfile::tempdir().unwrap();
    let answers = [
        "+   123.56 g  \r\n",
        "N     +   123.56 g  \r\n",
        "N     +   123.57    \r\n",
        "      -   1255.7 mg \r\n",
        "      High    \r\n",
        "      Low     \r\n",
        "Stat     ERR 054    \r\n",
        "Stat        C       \r\n",
    ];
    let mut steps = Vec::new();
    for answer in answers {
        steps.extend([Step::Expect(b"\x1bP\r\n"), say(answer)]);
    }
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: sartorius-sbi, poll: { every: 100ms, timeout: 500ms }",
        "weight: { field: weight, unit: g }, id: { field: id }",
    ));
    stand.until("all answers", |s| s.of(1).len() >= answers.len()).await;
    let want = [
        (f(123.56), GOOD),
        (f(123.56), GOOD),
        (f(123.57), UNSTABLE),
        (f(-1.2557), GOOD),
        (None, OVERLOAD),
        (None, UNDERLOAD),
        (None, DEVICE_ERROR),
        (None, NOT_AVAILABLE),
    ];
    assert_eq!(seen(&stand, 1)[..want.len()], want);
    assert_eq!(stand.of(2)[1].value().cloned(), t("N"));
    stand.stop().await;
}

#[tokio::test]
async fn sartorius_sbi_sends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let _sensor = play(&dir, vec![QUIET, say("+   123.56 g  \r\n")]);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: sartorius-sbi-push",
        "weight: { field: weight, unit: kg }",
    ));
    stand.until("weight", |s| s.value(1) == f(0.123_56)).await;
    stand.stop().await;
}

/// A&D EK-L series, 9-2, page 28 (`ST,+001234.5  g`, `QT,+00012345 PC`, `OL,+999999.9  g`), EJ series,
/// page 24, AD-4212D, page 27 (`OL,+9999999E+19`).
#[tokio::test]
async fn and_standard_format_with_its_headers() {
    let dir = tempfile::tempdir().unwrap();
    let answers = [
        "ST,+001234.5  g\r\n",
        "US,+00123.45  g\r\n",
        "QT,+00012345 PC\r\n",
        "OL,+999999.9  g\r\n",
        "OL,+9999999E+19\r\n",
        "ST,-00123.45 kg\r\n",
    ];
    let mut steps = Vec::new();
    for answer in answers {
        steps.extend([Step::Expect(b"Q\r\n"), say(answer)]);
    }
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: and, poll: { every: 100ms, timeout: 500ms }",
        "weight: { field: weight, unit: g }, status: { field: status }",
    ));
    stand.until("all answers", |s| s.of(1).len() >= answers.len()).await;
    let want = [
        (f(1234.5), GOOD),
        (f(123.45), UNSTABLE),
        (None, Quality::Bad(Fault::WrongUnit)),
        (None, OVERLOAD),
        (None, OVERLOAD),
        (f(-123_450.0), GOOD),
    ];
    assert_eq!(seen(&stand, 1)[..want.len()], want);
    assert_eq!(stand.of(2)[2].value().cloned(), t("stable count"));
    stand.stop().await;
}

#[tokio::test]
async fn and_streams_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![QUIET, say("QT,+00012345 PC\r\nUS,+00012346 PC\r\n")];
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: and-stream",
        "count: { field: weight, unit: pcs }",
    ));
    stand.until("both", |s| s.of(1).len() >= 2).await;
    assert_eq!(seen(&stand, 1), [(f(12345.0), GOOD), (f(12346.0), UNSTABLE)]);
    stand.stop().await;
}

/// Sentences of the Vantron VT-M2M-TC user's manual, 6.2.4 example 2 (RMC), and of a ship's log of
/// NOAA ATOMIC 2020, gps02001420 (GGA, VTG, HDT, ZDA, all from one receiver).
#[tokio::test]
async fn nmea_0183_positions_and_common_sentences() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = "$GPHDT,84.20,T*34\r\n";
    let steps = vec![
        say("$GPRMC,225446,A,4916.45,N,12311.12,W,000.5,054.7,191194,020.3,E*68\r\n"),
        say(
            "$GPGGA,195959.00,1541.31258893,N,05130.51204125,W,2,06,1.5,9.2,M,-37.6,M,4.0,0138*7E\r\n",
        ),
        say(damaged),
        say("$GPVTG,147.44,T,164.31,M,0.26,N,0.49,K,D*2C\r\n$GPHDT,74.20,T*34\r\n"),
        say("$GPGSV,3,1,12,03,09,280,,04,11,322,,08,11,209,35,14,68,160,42*70\r\n"),
        say("$GPGLL,1541.31258893,N,05130.51204125,W,195959.00,A,D*7B\r\n"),
        say("$GPZDA,195959.00,14,01,2020,00,00*6A\r\n"),
    ];
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: nmea-0183",
        "lat: { field: latitude }, lon: { field: longitude }, speed: { field: speed, unit: km/h }, \
         course: { field: course }, heading: { field: heading }, sat: { field: satellites }, \
         alt: { field: altitude }, time: { field: time }, year: { field: year }",
    ));
    stand.until("the last sentence", |s| s.value(9).is_some()).await;
    let latitudes: Vec<_> = stand.of(1).iter().filter_map(|r| r.value()?.as_f64()).collect();
    assert_eq!(latitudes.len(), 3);
    for (got, want) in latitudes.iter().zip([49.274_166_67, 15.688_543_15, 15.688_543_15]) {
        assert!((got - want).abs() < 1e-7, "{got} for {want}");
    }
    let longitude = stand.of(2)[0].value().and_then(Value::as_f64).unwrap();
    assert!((longitude + 123.185_333_3).abs() < 1e-6, "{longitude}");
    assert_eq!(stand.of(3)[0].value().cloned(), f(0.926));
    assert_eq!(stand.value(4), f(147.44));
    assert_eq!(stand.of(5).len(), 1, "the damaged heading is none");
    assert_eq!(stand.value(5), f(74.2));
    assert_eq!(stand.value(6), Some(Value::I64(6)));
    assert_eq!(stand.value(7), f(9.2));
    assert_eq!(stand.value(8), t("195959.00"));
    assert_eq!(stand.value(9), Some(Value::I64(2020)));
    let counters = stand.stop().await.sensor.unwrap();
    assert_eq!((counters.frames, counters.damaged, counters.unmatched), (6, 1, 1));
}

/// A receiver without a fix: its position is no position (NMEA 0183, RMC status V, GGA quality 0).
#[tokio::test]
async fn nmea_0183_without_a_fix() {
    let sentence = |text: &str| {
        let sum = text.bytes().fold(0, |sum, byte| sum ^ byte);
        say(&format!("${text}*{sum:02X}\r\n"))
    };
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        sentence("GNRMC,120000.00,V,,,,,,,010126,,,N"),
        sentence("GNGGA,120000.00,4916.45,N,12311.12,W,6,00,99.9,,M,,M,,"),
    ];
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: nmea-0183",
        "lat: { field: latitude }, fix: { field: fix }, mode: { field: mode }",
    ));
    stand.until("both", |s| s.of(1).len() >= 2).await;
    let seen = seen(&stand, 1);
    assert_eq!(seen[0], (None, NOT_AVAILABLE));
    assert_eq!(seen[1].1, Quality::Uncertain(Doubt::Estimated));
    assert_eq!((stand.value(2), stand.value(3)), (t("estimated"), t("invalid")));
    stand.stop().await;
}

/// GS1 General Specifications 24, 5.10.1 (figure 5.1-1): the EAN-13 4006381333931 as readers send it,
/// with the suffixes CR, LF and both.
#[tokio::test]
async fn barcodes_with_any_suffix() {
    let dir = tempfile::tempdir().unwrap();
    let steps =
        vec![QUIET, say("4006381333931\r\n4006381333931\rA-1\n"), Step::Wait(300), say("end\r")];
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(&dir, "preset: barcode", "code: { field: code }"));
    stand.until("all codes", |s| s.of(1).len() >= 4).await;
    let codes: Vec<_> = stand.of(1).iter().map(|r| r.value().unwrap().to_string()).collect();
    assert_eq!(codes, ["4006381333931", "4006381333931", "A-1", "end"]);
    stand.stop().await;
}

/// What an ISKRA MT174 says in mode C (IEC 62056-21:2002, 6.4.3), with its own block check character.
const METER: &str = "1-0:0.9.2*255(0220127)\r\n1-0:0.9.1*255(105644)\r\n\
                     1-0:1.8.0*255(0000502.853*kWh)\r\n1-0:2.8.0*255(0098697.318*kWh)\r\n!\r\n";

#[tokio::test]
async fn iec_62056_21_mode_c_with_its_handshake() {
    let dir = tempfile::tempdir().unwrap();
    let block = |damage: u8| {
        let mut block = b"\x02".to_vec();
        block.extend(METER.bytes().chain([3]));
        block.push(0x19 ^ damage);
        Step::Say(block)
    };
    let mut steps = Vec::new();
    for damage in [0, 1] {
        steps.extend([
            // An optical head hands the request back.
            Step::Expect(b"/?!\r\n"),
            say("/?!\r\n/ISk5MT174-0002\r\n"),
            Step::Expect(b"\x06050\r\n"),
            block(damage),
        ]);
    }
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: iec-62056-21, poll: { every: 200ms, timeout: 2s }",
        "import: { field: energy_import, unit: kWh }, export: { field: energy_export, unit: MWh }, \
         none: { field: power, unit: W }",
    ));
    stand.until("a damaged block", |s| s.of(1).len() >= 2).await;
    let bad = (None, Quality::Bad(Fault::BadAnswer));
    assert_eq!(seen(&stand, 1)[..2], [(f(502.853), GOOD), bad.clone()]);
    assert_eq!(seen(&stand, 2)[..2], [(f(98.697_318), GOOD), bad]);
    assert_eq!(seen(&stand, 3)[0], (None, NOT_AVAILABLE), "a polled value that is not there");
    let counters = stand.stop().await.sensor.unwrap();
    assert_eq!((counters.frames, counters.damaged), (1, 1));
}

/// Modes A and B are not acknowledged (IEC 62056-21:2002, 6.4.1 and 6.4.2).
#[tokio::test]
async fn iec_62056_21_modes_a_and_b_need_no_acknowledgement() {
    for identification in ["/ISk@MT174\r\n", "/ISkEMT174\r\n"] {
        let dir = tempfile::tempdir().unwrap();
        let mut answer = identification.as_bytes().to_vec();
        answer.extend(b"\x02".iter().chain(METER.as_bytes()).chain(b"\x03\x19"));
        let _sensor = play(&dir, vec![Step::Expect(b"/?!\r\n"), Step::Say(answer)]);
        let stand = Stand::start(sensor_plan(
            &dir,
            "preset: iec-62056-21, poll: { every: 200ms, timeout: 1s }",
            "import: { field: energy_import, unit: kWh }",
        ));
        stand.until("energy", |s| s.of(1).first().is_some_and(|r| r.quality() == GOOD)).await;
        stand.stop().await;
    }
}

/// The datagram of an eBZ DD3 (mode D of IEC 62056-21), as its manual shows it.
#[tokio::test]
async fn iec_62056_21_pushed() {
    let dir = tempfile::tempdir().unwrap();
    let datagram = "/EBZ5DD3BZ06ETA_107\r\n\r\n1-0:0.0.0*255(1EBZ0100507409)\r\n\
                    1-0:1.8.0*255(000125.25688570*kWh)\r\n1-0:16.7.0*255(000259.20*W)\r\n\
                    1-0:32.7.0*255(232.4*V)\r\n1-0:96.5.0*255(001C0104)\r\n!\r\n";
    let _sensor = play(&dir, vec![say("31.7*V)\r\n!\r\n"), say(datagram)]);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: iec-62056-21-push",
        "import: { field: energy_import, unit: kWh }, power: { field: power, unit: W }, \
         voltage: { field: voltage_l1, unit: V }, serial: { field: serial_number }",
    ));
    stand.until("the datagram", |s| s.value(4).is_some()).await;
    assert_eq!(stand.value(1), f(125.256_885_7));
    assert_eq!((stand.value(2), stand.value(3)), (f(259.2), f(232.4)));
    assert_eq!(stand.value(4), t("1EBZ0100507409"));
    stand.stop().await;
}

/// A telegram of an ISKRA MT631 from the public collection devZer0/libsml-testing
/// (ISKRA_MT631-D1A52-K0z-H01_with_PIN.hex).
#[tokio::test]
async fn sml_telegrams() {
    const TELEGRAM: &str = "1B1B1B1B010101017605099DFAAC6200620072630101760101050334A8E40B0A0149534B\
        00047A5544726201650334A737620163D0BB007605099DFAAD620062007263070177010B0A0149534B00047A5544\
        070100620AFFFF726201650334A737757707010060320101010101010449534B0177070100600100FF010101010B\
        0A0149534B00047A55440177070100010800FF650010010401621E52FF650137C0C70177070100020800FF010162\
        1E52FF62000177070100100700FF0101621B52005300C101010163F376007605099DFAAE62006200726302017101\
        6342DD001B1B1B1B1A0038EB";
    let digits: Vec<u8> = TELEGRAM.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let telegram: Vec<u8> = digits.chunks(2).map(pair).collect();
    let mut damaged = telegram.clone();
    damaged[160] ^= 4;
    let dir = tempfile::tempdir().unwrap();
    let tail = telegram[40..].to_vec();
    let _sensor = play(&dir, vec![Step::Say(tail), Step::Say(damaged), Step::Say(telegram)]);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: sml",
        "import: { field: energy_import, unit: kWh }, export: { field: energy_export, unit: kWh }, \
         power: { field: power, unit: W }",
    ));
    stand.until("the sound telegram", |s| s.value(3).is_some()).await;
    assert_eq!(seen(&stand, 1), [(f(2_043.104_7), GOOD)]);
    assert_eq!((stand.value(2), stand.value(3)), (f(0.0), f(193.0)));
    let counters = stand.stop().await.sensor.unwrap();
    assert_eq!((counters.frames, counters.damaged), (1, 1));
}

#[tokio::test]
async fn keys_and_values_with_fields_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let _sensor = play(&dir, vec![QUIET, say("t=21,5; rh=40;p = 1013.2\r\n")]);
    let stand = Stand::start(sensor_plan(
        &dir,
        "preset: key-value, parse: { key-value: '(?<key>[a-z]+) *= *(?<value>[^; ]*)' }, fields: { \
         temperature: { from: t, type: number, decimal: comma, unit: °C }, \
         humidity: { from: rh, type: number, scale: 0.01 } }",
        "t: { field: temperature }, h: { field: humidity }",
    ));
    stand.until("both", |s| s.value(2).is_some()).await;
    assert_eq!((stand.value(1), stand.value(2)), (f(21.5), f(0.4)));
    stand.stop().await;
}

const LINES: &str = "framing: { line: { end: \"\\n\" } }, parse: { regex: '(?<v>[0-9]+)' }, \
                     fields: { v: { from: v, type: number } }";

#[tokio::test]
async fn a_silent_sensor_makes_its_values_bad_and_is_heard_again() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![QUIET, say("1\n"), Step::Wait(1500), say("2\n")];
    let _sensor = play(&dir, steps);
    let stand = Stand::start(sensor_plan(
        &dir,
        &format!("silent-after: 500ms, {LINES}"),
        "v: { field: v }",
    ));
    stand.until("a value", |s| s.value(1) == f(1.0)).await;
    let from = stand.of(1).into_iter().find(|r| r.quality() == GOOD).unwrap().at();
    let no_answer = Quality::Bad(Fault::NoAnswer);
    stand.until("silence", |s| s.quality(1) == Some(no_answer)).await;
    let aged = stand.last(1).unwrap().at() - from;
    assert!(aged >= ms(500) && aged < ms(1200), "{aged:?}");
    assert!(matches!(stand.port.status().devices[0].state, DeviceState::Silent { .. }));
    stand.until("back", |s| s.value(1) == f(2.0)).await;
    assert_eq!(stand.port.status().devices[0].state, DeviceState::Ok);
    stand.stop().await;
}

#[tokio::test]
async fn a_sensor_that_sends_only_rubbish_says_bad_answer() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![QUIET, say("x\nx\nx\n")];
    let _sensor = play(&dir, steps);
    let serial = format!("silent-after: 600ms, {LINES}");
    let stand = Stand::start(sensor_plan(&dir, &serial, "v: { field: v }"));
    stand.until("bad", |s| s.quality(1) == Some(Quality::Bad(Fault::BadAnswer))).await;
    assert!(stand.stop().await.sensor.unwrap().unmatched >= 3);
}

/// The answer to a poll that was given up must not pass for the answer to the next one.
#[tokio::test]
async fn a_late_answer_is_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let steps = vec![
        Step::Expect(b"?"),
        say("1\n"),
        Step::Expect(b"?"),
        Step::Wait(450),
        say("22\n"),
        Step::Expect(b"?"),
        say("3\n"),
    ];
    let _sensor = play(&dir, steps);
    let serial = format!("poll: {{ send: '?', every: 100ms, timeout: 300ms }}, {LINES}");
    let stand = Stand::start(sensor_plan(&dir, &serial, "v: { field: v }"));
    stand.until("the third answer", |s| s.value(1) == f(3.0)).await;
    let no_answer = (None, Quality::Bad(Fault::NoAnswer));
    assert_eq!(seen(&stand, 1)[..3], [(f(1.0), GOOD), no_answer, (f(3.0), GOOD)]);
    stand
        .until("silent", |s| matches!(s.port.status().devices[0].state, DeviceState::Silent { .. }))
        .await;
    let status = stand.stop().await;
    assert_eq!(status.sensor.unwrap().late, 1);
    assert!(status.devices[0].timeouts >= 1);
}

#[tokio::test]
async fn unplugged_and_replugged_it_goes_on_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let plan = || sensor_plan(&dir, LINES, "v: { field: v, publish: changes }");
    let first = play(&dir, vec![QUIET, say("1\n")]);
    let stand = Stand::start(plan());
    stand.until("a value", |s| s.value(1) == f(1.0)).await;
    drop(first);
    stand.until("down", |s| s.quality(1) == Some(Quality::Bad(Fault::LinkDown))).await;
    assert!(matches!(stand.port.status().state, LinkState::Down { .. }));
    let outcome = stand.command("d", "v", Value::U64(1)).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::LinkDown));
    let mut steps = Vec::new();
    for number in 0..200 {
        steps.extend([Step::Wait(50), Step::Say(format!("{}\n", 100 + number / 20).into_bytes())]);
    }
    let _second = play(&dir, steps);
    stand.until("up", |s| s.value(1).is_some_and(|v| v.as_f64() >= Some(100.0))).await;
    assert_eq!(stand.stop().await.connects, 2);
}

#[tokio::test]
async fn the_same_over_the_port_of_a_device_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        for round in ["1\n", "2\n"] {
            let (mut peer, _) = listener.accept().await.unwrap();
            tokio::time::sleep(ms(700)).await;
            peer.write_all(round.as_bytes()).await.unwrap();
            // Closing the connection after a while is the end of the line for the gateway.
            tokio::time::sleep(ms(300)).await;
        }
        std::future::pending::<()>().await;
    });
    let text = format!(
        "gateway: {{ name: g }}\nbroker: {{}}\n\
         buses: {{ b: {{ serial: {{ host: 127.0.0.1, port: {port}, {LINES} }} }} }}\n\
         devices: {{ d: {{ bus: b, tags: {{ v: {{ field: v }} }} }} }}\n"
    );
    let mut plan = config::parse(&text, "t").unwrap().plan;
    plan.assign_ids(&[TagId(1)]);
    let stand = Stand::start(plan.buses.remove(0));
    stand.until("both rounds", |s| s.value(1) == f(2.0)).await;
    assert!(seen(&stand, 1).contains(&(f(1.0), GOOD)));
    stand.stop().await;
}
