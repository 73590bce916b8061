//! What a change of the configuration does to a gateway that runs, in words.

use std::collections::HashMap;

use super::blocks;
use super::plan::{BusPlan, Plan};
use crate::model::TagId;

/// A load that moves by less is not worth a word.
const LOAD_STEP: f64 = 0.005;

/// One sentence for each part that stops, starts or is asked more or less often.
pub fn effects(old: &Plan, new: &Plan) -> Vec<String> {
    let (old, new) = (&unnumbered(old), &unnumbered(new));
    let changes = old.diff(new);
    let mut out = Vec::new();
    let find = |plan: &'_ Plan, name: &str| plan.buses.iter().any(|bus| bus.name.as_str() == name);
    let mut met = Vec::new();
    for name in &changes.buses {
        if met.contains(&name) {
            continue;
        }
        met.push(name);
        out.push(match (find(old, name.as_str()), find(new, name.as_str())) {
            (true, true) => format!("bus {name} restarts, a pause of a second or two"),
            (true, false) => format!("bus {name} stops"),
            (false, _) => format!("bus {name} starts"),
        });
    }
    let untouched = new.buses.iter().filter(|bus| !changes.buses.contains(&bus.name)).count();
    match (changes.buses.is_empty(), untouched) {
        (true, _) | (_, 0) => {}
        (_, 1) => out.push("1 other bus goes on untouched".to_owned()),
        (_, more) => out.push(format!("{more} other buses go on untouched")),
    }
    let before: HashMap<&str, &BusPlan> =
        old.buses.iter().map(|bus| (bus.name.as_str(), bus)).collect();
    for bus in new.buses.iter().filter(|bus| changes.buses.contains(&bus.name)) {
        out.extend(load(before.get(bus.name.as_str()).copied(), bus));
    }
    if changes.broker {
        out.push(match (&old.broker, &new.broker) {
            (None, _) => "the LAN broker starts".to_owned(),
            (_, None) => "the LAN broker stops".to_owned(),
            _ => "the LAN broker takes its new settings; clients of a listener that changes connect again"
                .to_owned(),
        });
    }
    let mut met = Vec::new();
    for name in changes.uplinks {
        if met.contains(&name) {
            continue;
        }
        let is_in = |plan: &Plan| plan.uplinks.iter().any(|uplink| uplink.name == name);
        out.push(match (is_in(old), is_in(new)) {
            (true, true) => format!("uplink {name} connects again; what waits for it is kept"),
            (true, false) => format!("uplink {name} stops, and what waits for it is forgotten"),
            (false, _) => format!("uplink {name} starts"),
        });
        met.push(name);
    }
    if old.web != new.web {
        out.push(
            "this page is served anew: it connects again by itself, if its address stays"
                .to_owned(),
        );
    }
    if changes.store {
        out.push("the store's settings are taken at a restart of the gateway only".to_owned());
    }
    out
}

/// Only what runs has the store's numbers; they are no difference.
fn unnumbered(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let none = vec![TagId(0); plan.tags().count()];
    plan.assign_ids(&none);
    plan
}

/// The share of the line's time that is needed, if that moves.
fn load(old: Option<&BusPlan>, new: &BusPlan) -> Option<String> {
    new.link.modbus()?;
    let after = blocks::utilisation(new);
    let before = old.map_or(0.0, blocks::utilisation);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let moved = (after - before).abs() >= LOAD_STEP;
    let over = if after > 1.0 { ": more than the line can do" } else { "" };
    moved.then(|| format!("load of {} {} → {}{over}", new.name, percent(before), percent(after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn plan(text: &str) -> Plan {
        parse(text, "x.yaml")
            .map(|loaded| loaded.plan)
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    const OLD: &str = "gateway: { name: g }\nbuses:\n  a: { modbus-rtu: { port: /dev/a, baud: 9600 } }\n  \
        b: { modbus-tcp: { host: 127.0.0.1 } }\n  c: { modbus-tcp: { host: 127.0.0.2 } }\n\
        devices:\n  m: { bus: a, unit: 1, every: 100ms, tags: { t: { holding: 0, type: u16 } } }\n";

    #[test]
    fn tells_what_restarts_and_how_the_load_moves() {
        let new = OLD.replace("baud: 9600", "baud: 19200");
        assert_eq!(
            effects(&plan(OLD), &plan(&new)),
            [
                "bus a restarts, a pause of a second or two",
                "2 other buses go on untouched",
                "load of a 30 % → 18 %",
            ]
        );
        let new = OLD.replace("  c: { modbus-tcp: { host: 127.0.0.2 } }\n", "") + "broker: {}\n";
        let said = effects(&plan(OLD), &plan(&new));
        assert_eq!(said, ["bus c stops", "2 other buses go on untouched", "the LAN broker starts"]);
        assert_eq!(effects(&plan(OLD), &plan(OLD)), [""; 0]);
        let mut running = plan(OLD);
        running.assign_ids(&[TagId(7)]);
        assert_eq!(effects(&running, &plan(OLD)), [""; 0], "numbers are no difference");
    }
}
