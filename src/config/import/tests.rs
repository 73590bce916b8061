//! Lists and models with mistakes, and what good ones become.

use proptest::prelude::*;

use super::super::profile::{self, Profile};
use super::super::{Problems, TagPlan};
use super::sunspec::{Found, Model, chain};
use super::*;
use crate::model::{Kind, Table};

const LIST: &str = "\
Name;Register Type;Address;Data Type;Factor;Unit;Labels;Access;Min;Max;Description;Colour
Voltage L1;input;0;float;;V;;r;;;the first phase;red
state;holding;10;uint16;;;0=off | 1=on;rw;;;;
setpoint;Holding Register;0x14;INT16;0,1;°C;;RW;-10,5;80;;

;;;;;;;;;;;
pump;coil;3;;;;;yes;;;;
";

/// Reads back what an importer wrote: the text must mean what was checked.
fn again(imported: &Imported, name: &str) -> Profile {
    let (profile, _) = profile::check(&imported.text, name, name)
        .unwrap_or_else(|p| panic!("{p}\n{}", imported.text));
    assert_eq!(profile.device.tags.len(), imported.tags);
    profile
}

fn find<'a>(profile: &'a Profile, name: &str) -> &'a TagPlan {
    let tag = profile.device.tags.iter().find(|tag| tag.name.as_str() == name);
    tag.unwrap_or_else(|| panic!("no tag {name}"))
}

#[test]
fn a_list_becomes_a_profile() {
    let made = csv(LIST, "acme", "acme.csv").unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(made.notes, ["acme.csv:1:12 warning: the column \"Colour\" is not used"]);
    assert!(made.text.contains("# the first phase"), "{}", made.text);
    let profile = again(&made, "acme");
    let names: Vec<_> = profile.device.tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["Voltage_L1", "state", "setpoint", "pump"]);
    let voltage = find(&profile, "Voltage_L1").registers().unwrap();
    assert_eq!((voltage.table, voltage.address), (Table::Input, 0));
    assert_eq!(voltage.coding.kind, Kind::F32);
    let setpoint = find(&profile, "setpoint");
    assert_eq!((setpoint.unit.as_str(), setpoint.registers().unwrap().address), ("°C", 20));
    assert_eq!(setpoint.registers().unwrap().coding.linear.unwrap().divisor, 10.0);
    assert!(setpoint.write.is_some() && find(&profile, "pump").write.is_some());
    assert_eq!(find(&profile, "state").registers().unwrap().coding.labels.len(), 2);
}

#[test]
fn numbers_of_manuals_say_their_table() {
    let list = "name,address,type\na,40001,u16\nb,300010,u16\nc,00003,\nd,10001,\n";
    let profile = again(&csv(list, "p", "p.csv").unwrap_or_else(|p| panic!("{p}")), "p");
    let places: Vec<_> = profile
        .device
        .tags
        .iter()
        .map(|tag| tag.registers().map(|r| (r.table, r.address)).unwrap())
        .collect();
    assert_eq!(
        places,
        [(Table::Holding, 0), (Table::Input, 9), (Table::Coil, 2), (Table::Discrete, 0)]
    );
}

#[test]
fn all_mistakes_of_a_list_with_row_and_column() {
    let list = "\
name,table,address,type,scale,write,labels,adress
a,holding,70000,u16,,,,
b,holdin,1,u16,,,,
\"two
lines\",holding,1,flaot,,maybe,,
,holding,,u16,x,,,
d,holding,4,u16,,rw,,
d,holding,5,u16,,,on,
";
    let said = csv(list, "p", "p.csv").unwrap_err().to_string();
    assert_eq!(
        said,
        "p.csv:1:8 warning: the column \"adress\" is not used; did you mean address?\n\
         p.csv:2:3 groups.main.tags.a.holding: \"70000\" is no address; allowed are 0 to 65535\n\
         p.csv:3:2 \"holdin\" is no table; write holding, input, coil or discrete\n\
         p.csv:4:4 groups.main.tags.two_lines.type: \"flaot\" is unknown; did you mean f32?\n\
         p.csv:4:6 \"maybe\" is unknown; write rw or r\n\
         p.csv:6:1 this row has no name\n\
         p.csv:6:1 this row has no address\n\
         p.csv:6:5 groups.main.tags.row_6.scale: \"x\" is not a number\n\
         p.csv:7:6 groups.main.tags.d.write: a number that can be written needs limits; write it as in write: { min: 0, max: 100 }\n\
         p.csv:8:1 groups.main.tags.d: is written twice, first in line 7\n\
         p.csv:8:7 \"on\" is no list of labels; write 0=off | 1=on"
    );
    for (list, want) in [
        ("", "p.csv is empty; write a header and rows"),
        ("a,b\n1,2\n", "p.csv:1:1 there is no column name; the first row names the columns"),
    ] {
        let said = csv(list, "p", "p.csv").unwrap_err().to_string();
        assert!(said.contains(want), "{said}");
    }
}

#[test]
fn a_comma_that_may_mean_a_thousand_is_not_guessed_at() {
    let list = |delimiter: &str, scale: &str| {
        let head = ["name", "table", "address", "type", "scale", "write", "min", "max"];
        let row = ["a", "holding", "1", "i16", scale, "rw", "\"-0,5\"", "5"];
        format!("{}\n{}\n", head.join(delimiter), row.join(delimiter))
    };
    for (delimiter, scale, factor) in [
        (";", "1,000", 1.0),
        (";", "\"12,500\"", 12.5),
        (",", "\"0,100\"", 0.1),
        ("\t", "1,5", 1.5),
    ] {
        let list = list(delimiter, scale);
        let profile = again(&csv(&list, "p", "p.csv").unwrap_or_else(|p| panic!("{list}{p}")), "p");
        let linear = find(&profile, "a").registers().unwrap().coding.linear;
        let known = linear.map_or(1.0, |linear| linear.factor / linear.divisor);
        assert!((known - factor).abs() < 1e-12, "{list}: {known}");
    }
    for (delimiter, scale, want) in [
        (",", "\"1,000\"", "p.csv:2:5 \"1,000\" may be a thousand or one; write 1.000 or 1000"),
        (
            "\t",
            "-12,500",
            "p.csv:2:5 \"-12,500\" may be a thousand or one; write -12.500 or -12500",
        ),
    ] {
        assert_eq!(csv(&list(delimiter, scale), "p", "p.csv").unwrap_err().to_string(), want);
    }
}

#[test]
fn a_quote_that_never_ends_takes_no_rows_away() {
    let list = "name,table,address,about\na,coil,1,\"3\"\" pipe\"\nb,coil,2,\"4 pipe\nc,coil,3,\n";
    assert_eq!(
        csv(list, "p", "p.csv").unwrap_err().to_string(),
        "p.csv:3:4 a quote begins here and never ends; leave it out, or write it twice within a cell in quotes"
    );
}

/// A model of our own with every kind of layout.
const MODEL: &str = r#"{ "id": 64999, "group": { "name": "Test Model", "label": "Test", "points": [
  { "name": "ID", "type": "uint16", "size": 1 }, { "name": "L", "type": "uint16", "size": 1 },
  { "name": "V", "type": "uint16", "size": 1, "sf": "V_SF", "units": "V", "label": "Volts" },
  { "name": "V_SF", "type": "sunssf", "size": 1 },
  { "name": "WH", "type": "acc32", "size": 2, "units": "Wh" },
  { "name": "St", "type": "enum16", "size": 1, "symbols": [ { "name": "OFF", "value": 1 }, { "name": "ON", "value": 4 } ] },
  { "name": "Evt", "type": "bitfield32", "size": 2, "symbols": [ { "name": "HOT", "value": 0 }, { "name": "COLD", "value": 17 } ] },
  { "name": "Tmp", "type": "int16", "size": 1, "sf": -1, "units": "C" },
  { "name": "N", "type": "uint16", "size": 1 }, { "name": "Pad", "type": "pad", "size": 1 } ],
  "groups": [ { "name": "module", "count": "N", "points": [
    { "name": "A", "type": "int16", "size": 1, "sf": "A_SF" }, { "name": "A_SF", "type": "sunssf", "size": 1 },
    { "name": "W", "type": "int16", "size": 1, "sf": "V_SF" } ] },
    { "name": "tail", "count": 0, "points": [ { "name": "X", "type": "uint16", "size": 1 } ] } ] } }"#;

fn found(words: Option<Vec<u16>>) -> Found {
    Found { id: 64999, address: 100, length: 18, words }
}

#[test]
fn a_model_is_laid_out_with_its_scales_and_repetitions() {
    let model = Model::parse(MODEL, "m.json").unwrap_or_else(|p| panic!("{p}"));
    let mut words = vec![0; 20];
    words[10] = 2;
    let unknown = Found { id: 7, address: 300, length: 5, words: None };
    let chain = [found(Some(words)), unknown];
    let made = sunspec::profile(&[model], &chain, "p", "T").unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(made.notes, ["model 7 at 300 (length 5) is not among the files and is left out"]);
    let profile = again(&made, "p");
    let place = |name: &str| {
        let r = find(&profile, name).registers().unwrap();
        (r.address, r.coding.kind, r.scale_register)
    };
    let int = |bits, signed| Kind::Int { bits, signed };
    assert_eq!(place("test_model_v"), (102, int(16, false), Some(103)));
    assert_eq!(place("test_model_wh"), (104, int(32, false), None));
    assert_eq!(place("test_model_st"), (106, int(16, false), None));
    assert_eq!(place("test_model_evt"), (107, int(32, false), None));
    // Bit 0 is the lowest of the second register, bit 17 the second of the first.
    assert_eq!(place("test_model_evt_hot"), (108, Kind::Bit(0), None));
    assert_eq!(place("test_model_evt_cold"), (107, Kind::Bit(1), None));
    assert_eq!(place("test_model_module_1_a"), (112, int(16, true), Some(113)));
    assert_eq!(place("test_model_module_2_a"), (115, int(16, true), Some(116)));
    assert_eq!(place("test_model_module_2_w"), (117, int(16, true), Some(103)));
    assert_eq!(place("test_model_tail_2_x").0, 119);
    let tags: Vec<_> = profile.device.tags.iter().map(|tag| tag.name.as_str()).collect();
    assert!(!tags.iter().any(|tag| tag.contains("tail_3") || tag.contains("pad")), "{tags:?}");
    let temperature = find(&profile, "test_model_tmp");
    assert_eq!(temperature.registers().unwrap().coding.linear.unwrap().divisor, 10.0);
    let state = &find(&profile, "test_model_st").registers().unwrap().coding;
    assert_eq!((state.not_available[0].0, &*state.labels[1].text), (0xFFFF, "on"));
    assert!(profile.groups[0].is_default && !profile.groups[1].is_default);
}

#[test]
fn what_only_the_device_knows_is_left_out_and_said() {
    let model = Model::parse(MODEL, "m.json").unwrap_or_else(|p| panic!("{p}"));
    let made =
        sunspec::profile(&[model], &[found(None)], "p", "T").unwrap_or_else(|p| panic!("{p}"));
    assert!(made.notes[0].contains("test_model_module repeats as often"), "{:?}", made.notes);
    assert!(!made.text.contains("module_1"));
}

#[test]
fn chains_are_written_down() {
    let got = chain("1@40002:66, 103@40070:50").unwrap();
    assert_eq!((got[1].id, got[1].address, got[1].length), (103, 40_070, 50));
    for wrong in ["", "1", "1@2", "1@2:x", "70000@1:1", "1@2:3,"] {
        assert!(chain(wrong).is_err(), "{wrong}");
    }
    let said = Model::parse("{ \"id\": 1,\n \"group\": 3 }", "m.json").unwrap_err().to_string();
    assert!(said.starts_with("m.json:2:11 is no SunSpec model: invalid type"), "{said}");
}

/// Whatever the input is: a profile that reads back, or problems.
fn answer(made: Result<Imported, Problems>) {
    match made {
        Ok(made) => drop(again(&made, "p")),
        Err(Problems(problems)) => assert!(!problems.is_empty()),
    }
}

fn spliced(text: &str, edits: &[(usize, String, usize)]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (at, splinter, removed) in edits {
        let at = at % (text.len() + 1);
        let end = (at + removed).min(text.len());
        text.splice(at..end, splinter.chars());
    }
    text.into_iter().collect()
}

fn edits() -> impl Strategy<Value = Vec<(usize, String, usize)>> {
    let splinter = prop_oneof![
        proptest::sample::select(vec![
            "\"",
            ",",
            ";",
            "\n",
            "{",
            "}",
            "[",
            "]",
            ":",
            "-1",
            "65535",
            "99999999999999999999",
            "1e999",
            "null",
            "\u{feff}",
            "\0",
            "holding",
            "V_SF",
            "sunssf",
            "=",
            "|",
            "#",
            "'",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    proptest::collection::vec((any::<usize>(), splinter, 0..12_usize), 1..5)
}

/// Bounded here; `FIELDHOLD_FUZZ_CASES=1000000` runs as many as wanted.
fn cases() -> ProptestConfig {
    let wanted = std::env::var("FIELDHOLD_FUZZ_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(wanted.unwrap_or(128))
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_list_panics_the_importer(edits in edits(), raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        answer(csv(&spliced(LIST, &edits), "p", "p.csv"));
        answer(csv(&String::from_utf8_lossy(&raw), "p", "p.csv"));
    }

    #[test]
    fn no_model_panics_the_importer(
        edits in edits(),
        address in any::<u16>(),
        length in any::<u16>(),
        words in proptest::option::of(proptest::collection::vec(any::<u16>(), 0..40)),
    ) {
        let _ = chain(&spliced("1@40002:66,103@40070:50", &edits));
        if let Ok(model) = Model::parse(&spliced(MODEL, &edits), "m.json") {
            let id = model.id;
            // Long models are bounded by their length alone; most cases stay short.
            let length = if address % 64 == 0 { length } else { length % 64 };
            answer(sunspec::profile(&[model], &[Found { id, address, length, words }], "p", "t"));
        }
    }

    #[test]
    fn no_profile_panics_the_reader(
        edits in edits(),
        which in 0..profile::SHIPPED.len(),
        raw in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (name, text) = profile::SHIPPED[which];
        let _ = profile::check(&spliced(text, &edits), name, name);
        let _ = profile::check(&String::from_utf8_lossy(&raw), name, name);
    }
}
