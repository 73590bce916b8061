//! What hosts ask for.

use super::*;
use crate::codec::sparkplug::Content;
use crate::uplink::sparkplug::commands::{Command, CommandError, Kind, commands, is_rebirth, kind};

fn wanted(name: Option<&str>, alias: Option<u64>, value: Content) -> WireMetric {
    WireMetric { name: name.map(str::to_owned), alias, value: Some(value), ..WireMetric::default() }
}

fn dcmd(metrics: Vec<WireMetric>, timestamp: Option<u64>) -> Vec<u8> {
    Payload { timestamp, metrics, seq: None }.encode_to_vec()
}

fn texts(commands: Vec<Command>) -> Vec<String> {
    let text = |command: Command| {
        format!("{} {}", command.topic, String::from_utf8(command.payload).unwrap())
    };
    commands.into_iter().map(text).collect()
}

#[test]
fn topics_are_told_apart() {
    let rig = Rig::new();
    for (topic, is) in [
        ("spBv1.0/plant/NCMD/edge", Kind::Node),
        ("spBv1.0/plant/DCMD/edge/press", Kind::Device("press")),
        ("spBv1.0/STATE/scada", Kind::State("scada")),
        ("spBv1.0/plant/NCMD/other", Kind::Other),
        ("spBv1.0/other/NCMD/edge", Kind::Other),
        ("spBv1.0/plant/DCMD/edge", Kind::Other),
        ("plant/NCMD/edge", Kind::Other),
        ("", Kind::Other),
    ] {
        assert_eq!(kind(&rig.node, topic), is, "{topic}");
    }
}

#[test]
fn a_command_is_what_a_set_message_is() {
    let mut rig = Rig::new();
    let births = rig.births();
    let alias = named(&births[1], "setpoint").alias;
    let by_alias = dcmd(vec![wanted(None, alias, Content::Double(2.5))], Some(17));
    let by_name = dcmd(vec![wanted(Some("setpoint"), None, Content::Double(2.5))], None);
    let press = |payload: &[u8]| commands(&rig.node, "press", payload);
    assert_eq!(
        texts(press(&by_alias).unwrap()),
        ["works/edge/press/setpoint/set {\"v\":2.5,\"ts\":17}"]
    );
    assert_eq!(texts(press(&by_name).unwrap()), ["works/edge/press/setpoint/set {\"v\":2.5}"]);
    let both = vec![
        wanted(Some("setpoint"), None, Content::Double(1.0)),
        wanted(Some("mode"), None, Content::Text("a\"b".to_owned())),
    ];
    assert_eq!(
        texts(press(&dcmd(both, Some(18))).unwrap()),
        ["works/edge/press/set {\"v\":{\"setpoint\":1.0,\"mode\":\"a\\\"b\"},\"ts\":18}"]
    );
}

#[test]
fn what_takes_no_commands_is_refused() {
    let rig = Rig::new();
    let count = vec![wanted(Some("count"), None, Content::Long(1))];
    let unknown = Err(CommandError::Unknown("count".to_owned()));
    assert_eq!(commands(&rig.node, "press", &dcmd(count.clone(), None)), unknown);
    assert_eq!(commands(&rig.node, "oven", &dcmd(count, None)), unknown);
    let null =
        WireMetric { is_null: Some(true), ..wanted(Some("setpoint"), None, Content::Double(1.0)) };
    assert_eq!(commands(&rig.node, "press", &dcmd(vec![null], None)), Err(CommandError::Null));
    let template = vec![wanted(Some("setpoint"), None, Content::Template(vec![]))];
    let refused = commands(&rig.node, "press", &dcmd(template, None)).unwrap_err();
    assert_eq!(refused.to_string(), "templates are not taken");
}

#[test]
fn a_rebirth_is_asked_for_by_name_with_true() {
    let ask = |name, value| is_rebirth(&dcmd(vec![wanted(Some(name), None, value)], None)).unwrap();
    assert!(ask("Node Control/Rebirth", Content::Boolean(true)));
    assert!(!ask("Node Control/Rebirth", Content::Boolean(false)));
    assert!(!ask("Node Control/Reboot", Content::Boolean(true)));
    assert!(is_rebirth(&[0xFF]).is_err());
}
