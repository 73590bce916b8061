//! Rows of sound and broken configurations; CSV out and in.

use proptest::prelude::*;

use super::*;
use crate::config::edit::{self, Edit};
use crate::config::problem::Severity;
use crate::config::{Alone, file, look_with};

const TEXT: &str = "\
gateway: { name: g, site: s }
buses:
  b: { modbus-tcp: { host: h } }
devices:
  # the press
  press:
    bus: b
    unit: 7
    order: CDAB
    tags:
      force: { holding: 6, type: f32, unit: kN, publish: { change: 0.5, at-least: 60s } } # newton
      state: { holding: 0, type: u16, labels: { 0: off, 1: \"on, or not\" } }
      speed: { input: 0x10, type: i16, scale: 0.10, every: 5s, write: false }
      'odd name': { coil: 3, unit: '=1+1', topic: \"x/{tag}\" }
  meter: { bus: b, profile: eastron-sdm120 }
";

fn tree(text: &str) -> Value {
    edit::read(text).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

fn look(text: &str) -> (Option<Plan>, Vec<Problem>) {
    let looked = look_with(text, "x.yaml", &Alone);
    (looked.plan, looked.problems)
}

fn rows_of(text: &str) -> Vec<Row> {
    let (plan, problems) = look(text);
    rows(&tree(text), plan.as_ref(), &problems)
}

fn import_into(text: &str, csv: &str) -> Import {
    import(csv, &tree(text), |edits| {
        let text = edit::apply(text, edits).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        Ok(look(&text).1.into_iter().filter(|p| p.severity == Severity::Error).collect())
    })
}

#[test]
fn rows_say_what_holds_for_each_tag() {
    let rows = rows_of(&TEXT.replace("'odd name'", "odd_name"));
    let shown: Vec<String> = rows
        .iter()
        .take(4)
        .map(|row| {
            format!(
                "{} {} {:?} {} {:?} {} {} {}",
                row.tag,
                row.table.unwrap(),
                row.address,
                row.kind,
                row.order,
                row.every,
                row.topic,
                row.class
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "force holding Some(Number(Number(6))) f32 Some(\"CDAB\") 1s s/g/press/force normal",
            "state holding Some(Number(Number(0))) u16 Some(\"CDAB\") 1s s/g/press/state normal",
            "speed input Some(Text(\"0x10\")) i16 Some(\"CDAB\") 5s s/g/press/speed normal",
            "odd_name coil Some(Number(Number(3))) bool Some(\"CDAB\") 1s x/odd_name normal",
        ]
    );
    assert_eq!(rows.iter().filter(|row| row.unit_id == Some(7)).count(), 4);
    let of_profile: Vec<_> = rows.iter().filter(|row| row.device == "meter").collect();
    assert!(of_profile.len() > 5, "{rows:?}");
    assert!(of_profile.iter().all(|row| row.profile.as_deref() == Some("eastron-sdm120")));
    assert!(rows.iter().all(|row| row.problems.is_empty()));
}

#[test]
fn a_configuration_with_problems_has_its_rows_all_the_same() {
    let text = TEXT.replace("'odd name'", "odd_name").replace("type: f32", "type: float");
    let rows = rows_of(&text);
    let force = rows.iter().find(|row| row.tag == "force").unwrap();
    assert_eq!(
        (force.table, force.kind.as_str(), force.unit.as_str()),
        (Some("holding"), "float", "kN")
    );
    assert_eq!(force.problems.len(), 1);
    assert!(force.problems[0].hint.as_ref().unwrap().contains("f32"));
    assert!(rows.iter().filter(|row| row.tag != "force").all(|row| row.problems.is_empty()));
    assert_eq!(rows.iter().find(|row| row.tag == "state").unwrap().topic, "s/g/press/state");
}

#[test]
fn the_table_is_read_back_as_it_was() {
    let csv = export(&tree(TEXT));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5, "{csv}");
    assert_eq!(
        lines[1],
        "press,force,holding,6,f32,,,,,,,,,kN,,,,\"{ change: 0.5, at-least: 60s }\","
    );
    assert!(lines[2].contains("\"{ 0: off, 1: \"\"on, or not\"\" }\""), "{}", lines[2]);
    assert!(lines[4].contains("\"\"\"=1+1\"\"\""), "no formula: {}", lines[4]);
    let import = import_into(TEXT, &csv);
    assert_eq!(import.problems, []);
    assert_eq!((import.rows_ok, import.edits), (4, vec![]));
}

#[test]
fn cells_that_differ_become_edits() {
    let csv = "\u{feff}tag;device;address;table;type;unit;every\r\n\
        force;press;8;holding;f32;N;\r\n\
        speed;press;0x10;holding;i16;;5s\r\n\
        new;press;20;input;u32;\"a \"\"b\"\"; c\";\r\n";
    let import = import_into(TEXT, csv);
    assert_eq!((import.problems.len(), import.rows_ok), (0, 3), "{:?}", import.problems);
    let text = edit::apply(TEXT, &import.edits).unwrap();
    assert!(text.contains("force: { holding: 8, type: f32, unit: N, publish: { change: 0.5, at-least: 60s } } # newton\n"), "{text}");
    assert!(
        text.contains(
            "speed: { type: i16, scale: 0.10, every: 5s, write: false, holding: 0x10 }\n"
        ),
        "{text}"
    );
    assert!(text.contains("new: { input: 20, type: u32, unit: a \"b\"; c }\n"), "{text}");
    assert!(import.edits.iter().any(|edit| matches!(edit, Edit::Remove { .. })));
}

#[test]
fn what_is_wrong_is_told_by_line_and_column() {
    let csv = "device,tag,table,address,type,scale,topic\n\
        press,a,holding,30,float,,\n\
        press,b,holding,32,f32,\"0,1\",\n\
        pres,c,holding,34,u16,,\n\
        press,d,hold,36,u16,,\n\
        press,,holding,38,u16,,\n\
        press,e,holding,40,u16,,s/g/press/force\n\
        press,f,,42,u16,,\n\
        press,g,holding,44,u16,,\n\
        press,g,holding,46,u16,,\n\
        press,h,holding,48,u16,,,more\n\
        press,i,holding,50,{,,\n\
        press,j,holding,90000,u16,,\n\
        press,good,holding,52,u16,0.1,\n";
    let import = import_into(TEXT, csv);
    let said: Vec<String> = import
        .problems
        .iter()
        .map(|p| {
            format!("{} {} {} | {}", p.line, p.column, p.message, p.hint.as_deref().unwrap_or("-"))
        })
        .collect();
    for (wanted, hint) in [
        ("2 5 ", "f32"),
        ("3 6 \"0,1\" has a comma", "write 0.1"),
        ("4 1 there is no device \"pres\"", "did you mean press?"),
        ("5 3 \"hold\" is no table", "did you mean holding?"),
        ("6 2 this row names no tag", "-"),
        ("7 7 ", ""),
        ("8 3 an address without its table", "write holding"),
        ("10 0 line 9 is about this tag", "-"),
        ("11 8 this cell has no column", "-"),
        ("12 5 can't be understood", "one line"),
        ("13 4 ", ""),
    ] {
        assert!(
            said.iter().any(|s| s.starts_with(wanted) && s.contains(hint)),
            "{wanted}: {said:#?}"
        );
    }
    assert_eq!(import.rows_ok, 2, "{said:#?}");
    let text = edit::apply(TEXT, &import.edits).unwrap();
    assert!(text.contains("good: { holding: 52, type: u16, scale: 0.1 }"), "{text}");
    assert!(!text.contains("float") && !text.contains("hold:"));
    for (csv, said) in [
        ("", "the table is empty"),
        ("device,tagg\n", "there is no column \"tagg\""),
        ("device,type\n", "there is no column tag"),
        ("device,tag,tag\n", "a second column tag"),
    ] {
        let import = import_into(TEXT, csv);
        assert!(import.problems[0].message.contains(said), "{csv:?}: {:?}", import.problems);
        assert!(import.edits.is_empty());
    }
}

fn any_tag() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        "[\u{1}-\u{2fff}]{0,6}",
        Just("1".to_owned()),
        Just("true".to_owned()),
        Just("~".to_owned()),
        Just(" x ".to_owned()),
        Just("=SUM(A1)".to_owned()),
    ];
    let value = prop_oneof![
        text.clone().prop_map(Value::Text),
        any::<u32>().prop_map(|n| Value::Number(n.into())),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        text.prop_map(|text| Value::Map(vec![("change".to_owned(), Value::Text(text))])),
        Just(Value::List(vec![Value::Number(1.into()), Value::Text("a,b".to_owned())])),
    ];
    let key = prop::sample::select(vec![
        "type", "unit", "scale", "labels", "publish", "write", "topic", "holding",
    ]);
    prop::collection::btree_map(key, value, 0..5)
        .prop_map(|keys| Value::Map(keys.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()))
}

proptest! {
    /// R4: whatever is written in tags, a table that is exported and imported again changes nothing,
    /// and imported where the tags are not there it makes them.
    #[test]
    fn export_then_import_is_the_identity(tags in prop::collection::btree_map("[a-z]{1,8}", any_tag(), 1..6)) {
        let tags: Vec<(String, Value)> = tags.into_iter().filter(|(_, tag)| !tag.entries().is_empty()).collect();
        let device = |tags| Value::Map(vec![("tags".to_owned(), Value::Map(tags))]);
        let root = |tags| Value::Map(vec![("devices".to_owned(), Value::Map(vec![("m".to_owned(), device(tags))]))]);
        let (full, bare) = (root(tags), root(Vec::new()));
        let csv = export(&full);
        let same = import(&csv, &full, |_| Ok(Vec::new()));
        prop_assert_eq!(same.problems, vec![]);
        prop_assert_eq!(same.edits, vec![]);
        let made = import(&csv, &bare, |_| Ok(Vec::new()));
        prop_assert_eq!(made.problems, vec![]);
        let text = edit::apply("devices: { m: { tags: {} } }\n", &made.edits).unwrap();
        let again = export(&edit::read(&text).unwrap());
        prop_assert_eq!(again, csv);
    }
}

#[test]
fn every_shipped_configuration_goes_out_and_in() {
    for name in ["configs/demo.yaml", "configs/reference.yaml"] {
        let text = file::read_text(std::path::Path::new(name)).unwrap();
        let tree = tree(&text);
        let import = import(&export(&tree), &tree, |_| Ok(Vec::new()));
        assert_eq!((import.problems, import.edits), (vec![], vec![]), "{name}");
        assert!(import.rows_ok > 10, "{name}");
    }
}

/// What is not in the table would be lost by a way out and in.
#[test]
fn every_key_of_a_tag_has_its_column() {
    // These are one column, with the address beside it.
    let tables = ["holding", "input", "coil", "discrete", "field"];
    let keys = crate::config::keys::TAG.keys.iter().filter(|key| !tables.contains(*key));
    let missing: Vec<_> = keys.filter(|key| !table::COLUMNS.contains(*key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_quote_that_never_ends_takes_no_rows_away() {
    let csv = "device,tag,table,address,unit\npress,a,coil,7,\"kN\npress,b,coil,8,\n";
    let imported = import_into(&TEXT.replace("'odd name'", "odd_name"), csv);
    let [problem] = imported.problems.as_slice() else { panic!("{:?}", imported.problems) };
    assert_eq!((problem.line, problem.column), (2, 5));
    assert!(problem.message.contains("never ends"), "{problem:?}");
    assert!(imported.edits.is_empty());
}
