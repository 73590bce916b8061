//! Frames cut and decoded, and that no bytes break either.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::sensor::*;
use crate::model::{Doubt, Fault, Mono, Quality, TagId, Value};

fn sensor(framing: Framing) -> Sensor {
    Sensor {
        framing,
        frame_max: 32,
        body: None,
        check: None,
        forms: Vec::new(),
        ask: Ask::Push,
        init: Vec::new(),
        ack: Vec::new(),
        emit: Emit::Every,
        silent_after: None,
    }
}

fn line() -> Framing {
    Framing::Line { ends: vec![b"\r\n".to_vec()] }
}

fn start_stop(escape: Option<u8>) -> Framing {
    Framing::StartStop { start: vec![2], end: vec![3], after: 1, escape }
}

fn xor() -> Check {
    Check {
        sum: Sum::Xor,
        range: Span { first: 1, last: -2 },
        position: Span { first: -1, last: -1 },
        encoding: Encoding::Binary(ByteOrder::Big),
    }
}

/// What comes of a stream that arrives in these pieces; `|` in the result is a frame, `!` a skip.
fn cuts(splitter: &mut Splitter, pieces: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for piece in pieces {
        splitter.push(piece);
        while let Some(cut) = splitter.next() {
            found.push(show(&cut));
        }
    }
    found
}

fn show(cut: &Cut) -> String {
    match cut {
        Cut::Frame(frame) => format!("|{}", frame.body.escape_ascii()),
        Cut::Skipped { bytes, why } => {
            let word = match why {
                Skip::Noise => "noise",
                Skip::NotFromStart => "not from start",
                Skip::Incomplete => "incomplete",
                Skip::TooLong => "too long",
                Skip::Checksum { .. } => "checksum",
                Skip::Malformed => "malformed",
            };
            format!("!{word} {}", bytes.escape_ascii())
        }
    }
}

#[test]
fn a_line_whose_beginning_was_not_seen_is_no_frame() {
    let mut splitter = Splitter::new(&sensor(line()));
    let got = cuts(&mut splitter, &[b"3.45\r\n1", b"2.30\r", b"\n\r\n7\r\n"]);
    assert_eq!(got, ["!not from start 3.45\\r\\n", "|12.30", "|7"]);
    // After a silence the next byte is a beginning, and what had begun is over.
    let mut splitter = Splitter::new(&sensor(line()));
    assert_eq!(splitter.silence(), None);
    splitter.push(b"12");
    assert!(splitter.has_begun());
    let cut = splitter.silence().unwrap();
    assert_eq!(show(&cut), "!incomplete 12");
    assert_eq!(cuts(&mut splitter, &[b"34.5\r\n"]), ["|34.5"]);
}

#[test]
fn a_line_without_end_is_let_go() {
    let mut splitter = Splitter::new(&sensor(line()));
    splitter.silence();
    let long = [b'x'; 40];
    let got = cuts(&mut splitter, &[&long, b"tail\r\ngood\r\n"]);
    assert_eq!(got.len(), 3, "{got:?}");
    assert!(got[0].starts_with("!too long"));
    assert_eq!(got[1..], ["!not from start tail\\r\\n", "|good"]);
}

#[test]
fn start_and_stop_find_the_frame_in_noise() {
    let mut splitter = Splitter::new(&Sensor { check: Some(xor()), ..sensor(start_stop(None)) });
    let bcc = |body: &[u8]| body.iter().fold(3, |sum, byte| sum ^ byte);
    let mut stream = b"noise\x02ab\x02cd\x03".to_vec();
    stream.push(bcc(b"cd"));
    stream.extend(b"\x02ef\x03");
    stream.push(bcc(b"ef") ^ 1);
    stream.extend(b"\x02gh\x03");
    stream.push(bcc(b"gh"));
    let whole = cuts(&mut splitter, &[&stream]);
    let want = ["!noise noise", "!incomplete \\x02ab", "|cd", "!checksum", "|gh"];
    assert_eq!(whole.len(), want.len(), "{whole:?}");
    assert!(whole.iter().zip(want).all(|(got, want)| got.starts_with(want)), "{whole:?}");
    // The same, byte by byte; noise then comes in pieces.
    let mut splitter = Splitter::new(&Sensor { check: Some(xor()), ..sensor(start_stop(None)) });
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    let frames: Vec<_> =
        cuts(&mut splitter, &bytes).into_iter().filter(|cut| cut.starts_with('|')).collect();
    assert_eq!(frames, ["|cd", "|gh"]);
}

#[test]
fn an_escaped_byte_is_content() {
    let mut splitter = Splitter::new(&sensor(start_stop(Some(0x10))));
    let got = cuts(&mut splitter, &[b"\x02a\x10\x03b\x10", b"\x10\x03!"]);
    assert_eq!(got, ["|a\\x03b\\x10"]);
}

#[test]
fn a_false_beginning_does_not_swallow_the_real_frame() {
    let fixed = Framing::Fixed { length: 4, sync: vec![2] };
    let mut splitter = Splitter::new(&Sensor { check: Some(xor()), ..sensor(fixed) });
    let got = cuts(&mut splitter, &[b"\x02\x02ab", &[b'a' ^ b'b']]);
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(got[0].starts_with("!checksum"), "{got:?}");
    assert_eq!(got[1], "|\\x02ab\\x03");
}

#[test]
fn a_length_that_can_not_be_is_skipped() {
    let framing = Framing::LengthField {
        sync: vec![0xAA],
        offset: 1,
        width: 1,
        order: ByteOrder::Big,
        adjust: 2,
    };
    let mut splitter = Splitter::new(&sensor(framing));
    let got = cuts(&mut splitter, &[b"\xAA\xFF\xAA\x02hi", b"\xAA\x00"]);
    assert_eq!(got, ["!too long \\xaa\\xff", "|\\xaa\\x02hi", "|\\xaa\\x00"]);
}

#[test]
fn silence_ends_a_frame_where_nothing_else_does() {
    let mut splitter = Splitter::new(&sensor(Framing::Idle { gap: Duration::from_millis(5) }));
    assert_eq!(splitter.gap(), Duration::from_millis(5));
    splitter.push(b"middle");
    assert_eq!(splitter.silence().map(|cut| show(&cut)).unwrap(), "!not from start middle");
    splitter.push(b"he");
    splitter.push(b"llo");
    assert_eq!(splitter.next(), None);
    assert_eq!(splitter.silence().map(|cut| show(&cut)).unwrap(), "|hello");
}

fn field(name: &str, place: Place, kind: FieldKind) -> Field {
    Field {
        name: name.into(),
        place,
        kind,
        bits: None,
        labels: Vec::new(),
        not_available: Vec::new(),
        linear: None,
        comma: false,
        decimals_from: None,
        sign_from: None,
        unit: UnitFrom::Unknown,
        quality_from: Vec::new(),
        verdicts: Vec::new(),
        other_verdict: None,
        quality: None,
    }
}

fn decoder(parse: Parse, fields: Vec<Field>) -> Decoder {
    let forms = vec![Form { when: None, parse, fields }];
    Decoder::new(&Sensor { forms, ..sensor(line()) }).unwrap()
}

fn bytes(first: i32, last: i32) -> Place {
    Place::Bytes(Span { first, last })
}

#[test]
fn binary_members_in_both_orders() {
    let u16 = |order| FieldKind::Unsigned(order);
    let mut status = field("bits", bytes(0, 0), u16(ByteOrder::Big));
    status.bits = Some((4, 3));
    let mut decoder = decoder(
        Parse::Bytes,
        vec![
            field("big", bytes(0, 1), u16(ByteOrder::Big)),
            field("little", bytes(0, 1), u16(ByteOrder::Little)),
            field("signed", bytes(2, 3), FieldKind::Signed(ByteOrder::Big)),
            field("float", bytes(4, 7), FieldKind::Float(ByteOrder::Little)),
            field("bcd", bytes(0, 1), FieldKind::Bcd(ByteOrder::Big)),
            field("raw", bytes(-2, -1), FieldKind::Raw),
            status,
            field("far", bytes(8, 9), u16(ByteOrder::Big)),
        ],
    );
    let mut body = vec![0x56, 0x78, 0xFF, 0xFE];
    body.extend(1.5_f32.to_le_bytes());
    let samples = decoder.decode(&body).unwrap();
    let values: Vec<_> = samples.iter().map(|s| (&*s.name, s.value("").unwrap())).collect();
    let want = [
        ("big", Value::I64(0x5678)),
        ("little", Value::I64(0x7856)),
        ("signed", Value::I64(-2)),
        ("float", Value::F64(1.5)),
        ("bcd", Value::I64(5678)),
        ("raw", Value::Bytes([0xC0, 0x3F].as_slice().into())),
        ("bits", Value::I64(5)),
    ];
    assert_eq!(values, want, "a member beyond the frame is not there");
    let bad = decoder.decode(&[0x5A; 8]).unwrap();
    assert_eq!(bad[4].quality, Quality::Bad(Fault::Undecodable), "a digit above 9");
    let mut nan = vec![0; 4];
    nan.extend(f32::NAN.to_le_bytes());
    assert_eq!(decoder.decode(&nan).unwrap()[3].quality, Quality::Bad(Fault::NotAvailable));
}

#[test]
fn json_and_keys() {
    let number = FieldKind::Number;
    let mut json = decoder(
        Parse::Json,
        vec![
            field("t", Place::Pointer("/a/0".into()), number),
            field("on", Place::Pointer("/on".into()), FieldKind::Bool),
            field("none", Place::Pointer("/none".into()), number),
        ],
    );
    let samples = json.decode(br#"{"a":[-1.5e1],"on":true,"none":null}"#).unwrap();
    assert_eq!(samples[0].value(""), Ok(Value::F64(-15.0)));
    assert_eq!(samples[1].value(""), Ok(Value::Bool(true)));
    assert_eq!(samples[2].quality, Quality::Bad(Fault::NotAvailable));
    assert_eq!(json.decode(b"{\"a\":[1"), None);

    let pattern = r"(?<key>[a-z]+)=(?<value>[^;]*)";
    let mut keys = decoder(
        Parse::KeyValue(pattern.to_owned()),
        vec![
            field("a", Place::Key("a".into()), number),
            field("b", Place::Key("b".into()), number),
        ],
    );
    let samples = keys.decode(b"a=1;b=2,5").unwrap();
    assert_eq!(samples[0].value(""), Ok(Value::F64(1.0)));
    assert_eq!(samples[1].quality, Quality::Bad(Fault::Undecodable), "a comma is no point");
    let samples = keys.decode(b"a=1;a=2;b=3").unwrap();
    assert_eq!(samples.len(), 1, "a key that stands twice says nothing");
    assert_eq!(keys.decode(b"nothing"), None);
}

#[test]
fn a_value_in_another_unit_is_converted_or_bad() {
    let mut weight = field("w", Place::Group("w".into()), FieldKind::Number);
    weight.unit = UnitFrom::Fields(vec![1]);
    let unit = field("u", Place::Group("u".into()), FieldKind::Text);
    let pattern = "(?<w>[0-9.]+) ?(?<u>[a-z]*)";
    let mut decoder = decoder(Parse::Regex(pattern.to_owned()), vec![weight, unit]);
    let mut read = |frame: &[u8], unit| {
        let samples = decoder.decode(frame).unwrap();
        let reading = samples[0].reading(TagId(1), Mono(5), unit);
        (reading.value().cloned(), reading.quality())
    };
    let (kg, bad) = (Some(Value::F64(0.1)), Quality::Bad(Fault::WrongUnit));
    assert_eq!(read(b"100.00", "kg"), (None, bad), "no unit yet");
    assert_eq!(read(b"100.00 g", "kg"), (kg.clone(), Quality::Good));
    assert_eq!(read(b"100.00", "kg"), (kg, Quality::Good), "the unit of before");
    assert_eq!(read(b"100.00 pcs", "kg"), (None, bad));
    assert_eq!(read(b"100.00 pcs", "pcs").1, Quality::Good);
    assert_eq!(read(b"100.00 kg", "").1, bad, "a tag without unit takes none");
}

#[test]
fn quality_is_the_worst_that_the_frame_says() {
    let mut status = field("s", Place::Group("s".into()), FieldKind::Text);
    let unstable = Quality::Uncertain(Doubt::Unstable);
    status.verdicts = vec![
        ("S".to_owned(), Quality::Good),
        ("D".to_owned(), unstable),
        ("+".to_owned(), Quality::Bad(Fault::Overload)),
    ];
    let mut weight = field("w", Place::Group("w".into()), FieldKind::Number);
    weight.quality_from = vec![1];
    let pattern = "(?<s>.) ?(?<w>[0-9.]*)";
    let mut decoder = decoder(Parse::Regex(pattern.to_owned()), vec![weight, status]);
    let mut quality = |frame: &[u8]| decoder.decode(frame).unwrap()[0].quality;
    assert_eq!(quality(b"S 1.0"), Quality::Good);
    assert_eq!(quality(b"D 1.0"), unstable);
    assert_eq!(quality(b"+ 9.9"), Quality::Bad(Fault::Overload));
    assert_eq!(quality(b"? 1.0"), Quality::Bad(Fault::Undecodable), "a status that nobody knows");
    assert_eq!(quality(b"S "), Quality::Bad(Fault::NotAvailable));
}

fn framings() -> impl Strategy<Value = Framing> {
    let bytes = || proptest::collection::vec(0_u8..4, 1..3);
    prop_oneof![
        proptest::collection::vec(bytes(), 1..3).prop_map(|ends| Framing::Line { ends }),
        (bytes(), bytes(), 0_usize..4, proptest::option::of(0_u8..4)).prop_map(
            |(start, end, after, escape)| Framing::StartStop { start, end, after, escape }
        ),
        (1_usize..8, bytes()).prop_map(|(length, sync)| Framing::Fixed { length, sync }),
        (bytes(), 0_usize..4, 1_usize..5, -5_i64..6, any::<bool>()).prop_map(
            |(sync, offset, width, adjust, little)| Framing::LengthField {
                sync,
                offset,
                width,
                order: if little { ByteOrder::Little } else { ByteOrder::Big },
                adjust,
            }
        ),
        Just(Framing::Idle { gap: Duration::from_millis(5) }),
        Just(Framing::Sml),
    ]
}

fn places() -> impl Strategy<Value = (Parse, Place)> {
    let span = (-6_i32..6, -6_i32..6).prop_map(|(first, last)| bytes(first, last));
    let key = || Just(Place::Key("a".into()));
    prop_oneof![
        span.prop_map(|place| (Parse::Bytes, place)),
        (0_usize..4).prop_map(|item| (Parse::Split(1), Place::Item(item))),
        key().prop_map(|key| (Parse::KeyValue("(?<key>.)(?<value>.*)".to_owned()), key)),
        Just((Parse::Regex("(?s)(?<a>.*)".to_owned()), Place::Group("a".into()))),
        Just((Parse::Json, Place::Pointer(String::new()))),
        key().prop_map(|key| (Parse::Sml, key)),
    ]
}

fn kinds() -> impl Strategy<Value = FieldKind> {
    let order = prop_oneof![Just(ByteOrder::Big), Just(ByteOrder::Little)];
    (0_u8..11, order).prop_map(|(kind, order)| match kind {
        0 => FieldKind::Number,
        1 => FieldKind::Integer,
        2 => FieldKind::Hex,
        3 => FieldKind::Text,
        4 => FieldKind::Bool,
        5 => FieldKind::DegreesMinutes,
        6 => FieldKind::Unsigned(order),
        7 => FieldKind::Signed(order),
        8 => FieldKind::Float(order),
        9 => FieldKind::Bcd(order),
        _ => FieldKind::Raw,
    })
}

/// Bytes that mean something to the framings and parsers above, and others.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        (0_u8..4).prop_map(|byte| vec![byte]),
        any::<u8>().prop_map(|byte| vec![byte]),
        Just(vec![0x1B; 4]),
        Just(vec![1; 4]),
        Just(vec![0x1B, 0x1B, 0x1B, 0x1B, 0x1A, 0, 0, 0]),
        Just(b"-12.5E3".to_vec()),
        Just(b"{\"a\":1}".to_vec()),
        Just(vec![0x76, 0x05, 1, 2, 3, 4, 0x62, 0, 0x72, 0x63, 7, 1, 0x77]),
    ];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    /// `PROPTEST_CASES` makes it many more.
    #[test]
    fn no_bytes_break_a_splitter(
        framing in framings(),
        stream in stream(),
        piece in 1_usize..9,
        check in proptest::option::of(Just(xor())),
        silent in 0_usize..4,
    ) {
        let mut splitter = Splitter::new(&Sensor { check, ..sensor(framing) });
        let mut out = 0;
        for (number, bytes) in stream.chunks(piece).enumerate() {
            splitter.push(bytes);
            let mut rounds = 0;
            while let Some(cut) = splitter.next() {
                let length = match &cut {
                    Cut::Frame(frame) => frame.bytes.len(),
                    Cut::Skipped { bytes, .. } => bytes.len(),
                };
                prop_assert!(length <= 32 + 8 + piece, "bounded: {length}");
                rounds += 1;
                prop_assert!(rounds <= stream.len() + 1, "ends");
            }
            out += rounds;
            if silent > 0 && number % 4 == silent {
                splitter.silence();
            }
        }
        prop_assert!(out <= 2 * stream.len() + 2);
    }

    #[test]
    fn no_bytes_break_a_decoder(
        (parse, place) in places(),
        kind in kinds(),
        bits in proptest::option::of((0_u8..64, 1_u8..65)),
        other in any::<bool>(),
        body in stream(),
    ) {
        let mut main = field("a", place.clone(), kind);
        main.bits = bits;
        if other {
            main.decimals_from = Some(1);
            main.sign_from = Some(1);
            main.quality_from = vec![1];
            main.unit = UnitFrom::Fields(vec![1, 7]);
        }
        let mut decoder = decoder(parse, vec![main, field("b", place, FieldKind::Text)]);
        for sample in decoder.decode(&body).unwrap_or_default() {
            let reading = sample.reading(TagId(1), Mono(0), "kg");
            if let Some(Value::F64(value)) = reading.value() {
                prop_assert!(value.is_finite());
            }
        }
    }

    /// Whatever stands around it and however it arrives, a sound frame is found, and no damaged one.
    #[test]
    fn a_frame_is_found_among_noise(
        noise in proptest::collection::vec(4_u8..255, 0..20),
        body in proptest::collection::vec(b'0'..=b'9', 1..12),
        piece in 1_usize..7,
        flip in proptest::option::of(0_usize..8),
    ) {
        let mut frame = vec![2];
        frame.extend(&body);
        frame.push(3);
        frame.push(frame[1..].iter().fold(0, |sum, byte| sum ^ byte));
        if let Some(bit) = flip {
            let at = 1 + bit % body.len();
            frame[at] ^= 1 << (bit % 3);
        }
        let mut splitter = Splitter::new(&Sensor { check: Some(xor()), ..sensor(start_stop(None)) });
        let stream = [noise.clone(), frame, noise].concat();
        let pieces: Vec<&[u8]> = stream.chunks(piece).collect();
        let frames: Vec<_> =
            cuts(&mut splitter, &pieces).into_iter().filter(|cut| cut.starts_with('|')).collect();
        let whole = format!("|{}", body.escape_ascii());
        prop_assert_eq!(frames, if flip.is_some() { vec![] } else { vec![whole] });
    }
}

/// A telegram of an ISKRA MT631 with PIN, 9600 8N1, from the public collection devZer0/libsml-testing
/// (ISKRA_MT631-D1A52-K0z-H01_with_PIN.hex): 2043104.7 Wh, 193 W.
const TELEGRAM: &str = "\
    1B1B1B1B010101017605099DFAAC6200620072630101760101050334A8E40B0A0149534B00047A5544726201650334A7\
    37620163D0BB007605099DFAAD620062007263070177010B0A0149534B00047A5544070100620AFFFF726201650334A7\
    37757707010060320101010101010449534B0177070100600100FF010101010B0A0149534B00047A5544017707010001\
    0800FF650010010401621E52FF650137C0C70177070100020800FF0101621E52FF62000177070100100700FF0101621B\
    52005300C101010163F376007605099DFAAE620062007263020171016342DD001B1B1B1B1A0038EB";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(value).collect()
}

#[test]
fn an_sml_telegram_is_unwrapped_and_read() {
    let telegram = unhex(TELEGRAM);
    let wide = Sensor { frame_max: 1024, ..sensor(Framing::Sml) };
    let mut splitter = Splitter::new(&wide);
    let frame = |splitter: &mut Splitter, stream: &[u8]| {
        splitter.push(stream);
        std::iter::from_fn(|| splitter.next())
            .filter_map(|cut| match cut {
                Cut::Frame(frame) => Some(frame.body),
                Cut::Skipped { .. } => None,
            })
            .collect::<Vec<_>>()
    };
    let bodies = frame(&mut splitter, &[b"\x1B\x1B\x1Bxx", telegram.as_slice()].concat());
    assert_eq!(bodies.len(), 1);
    let mut energy = field("import", Place::Key("1-0:1.8.0*255".into()), FieldKind::Number);
    energy.unit = UnitFrom::Beside;
    let mut power = field("power", Place::Key("16.7.0".into()), FieldKind::Number);
    power.unit = UnitFrom::Beside;
    let mut decoder = decoder(Parse::Sml, vec![energy, power]);
    let samples = decoder.decode(&bodies[0]).unwrap();
    assert_eq!(samples[0].unit, SampleUnit::Said("Wh".to_owned()));
    assert_eq!(samples[0].value("Wh"), Ok(Value::F64(2_043_104.7)));
    assert_eq!(samples[0].value("kWh"), Ok(Value::F64(2_043.104_7)));
    assert_eq!(samples[1].value("W"), Ok(Value::F64(193.0)));
    for at in 8..telegram.len() {
        let mut damaged = telegram.clone();
        damaged[at] ^= 0x10;
        let mut splitter = Splitter::new(&wide);
        assert!(frame(&mut splitter, &damaged).is_empty(), "byte {at}");
    }
    // Four escape bytes in the content are sent twice.
    let content = [0x1B, 0x1B, 0x1B, 0x1B, 7];
    let mut wrapped = b"\x1B\x1B\x1B\x1B\x01\x01\x01\x01\x1B\x1B\x1B\x1B".to_vec();
    wrapped.extend(content);
    wrapped.extend([0, 0, 0, 0x1B, 0x1B, 0x1B, 0x1B, 0x1A, 3]);
    let crc = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC).checksum(&wrapped);
    wrapped.extend(crc.to_le_bytes());
    assert_eq!(frame(&mut splitter, &wrapped), [content.to_vec()]);
}

#[test]
fn names_are_shared_not_copied() {
    let mut decoder =
        decoder(Parse::Split(b','), vec![field("a", Place::Item(0), FieldKind::Integer)]);
    let first = decoder.decode(b"1").unwrap();
    let second = decoder.decode(b"18446744073709551615").unwrap();
    assert!(Arc::ptr_eq(&first[0].name, &second[0].name));
    assert_eq!(second[0].value(""), Ok(Value::U64(u64::MAX)));
}
