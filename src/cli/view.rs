//! The status as lines of text, for `fieldhold status` and the demo. Reads the status as JSON, since
//! that is how it comes from a running gateway.

use serde_json::Value;

/// Most tags that are listed; the rest is counted.
const TAGS_SHOWN: usize = 20;

/// The whole picture.
pub fn lines(status: &Value) -> Vec<String> {
    let mut out = vec![head(status), String::new()];
    out.extend(buses(status));
    out.extend(tags(status));
    out.extend(uplinks(status));
    out.extend(data(status));
    out.extend(units(status));
    out
}

/// The accounting of all uplinks in one line.
pub fn equation(status: &Value) -> String {
    let mut sum = Account::default();
    for (_, account) in accounts(status) {
        sum.add(account);
    }
    sum.to_string()
}

/// Whether every uplink's equation holds.
pub fn equation_holds(status: &Value) -> bool {
    accounts(status).iter().all(|(_, account)| account.holds())
}

/// One consumer's numbers in one class, or a sum of them.
#[derive(Clone, Copy, Default)]
struct Account {
    read: u64,
    delivered: u64,
    waiting: u64,
    dropped: u64,
    excluded: u64,
}

impl Account {
    fn of(row: &Value) -> Self {
        Self {
            read: number(row, "/appended"),
            delivered: number(row, "/delivered"),
            waiting: number(row, "/waiting"),
            dropped: number(row, "/dropped"),
            excluded: number(row, "/excluded"),
        }
    }

    fn add(&mut self, other: Self) {
        self.read += other.read;
        self.delivered += other.delivered;
        self.waiting += other.waiting;
        self.dropped += other.dropped;
        self.excluded += other.excluded;
    }

    fn holds(self) -> bool {
        self.read == self.delivered + self.waiting + self.dropped + self.excluded
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "read {} = delivered {} + waiting {} + dropped {}",
            self.read, self.delivered, self.waiting, self.dropped
        )?;
        if self.excluded > 0 {
            write!(f, " + excluded {}", self.excluded)?;
        }
        f.write_str(if self.holds() { "" } else { "   DOES NOT ADD UP" })
    }
}

fn accounts(status: &Value) -> Vec<(String, Account)> {
    items(status, "/store/consumers")
        .flat_map(|consumer| {
            let name = text(consumer, "/name");
            items(consumer, "/classes")
                .map(move |row| (format!("{name} {}", text(row, "/class")), Account::of(row)))
        })
        .filter(|(_, account)| account.read > 0)
        .collect()
}

fn head(status: &Value) -> String {
    let site = status.pointer("/gateway/site").and_then(Value::as_str);
    let clock = if flag(status, "/gateway/clock_synced") { "clock set" } else { "clock not set" };
    format!(
        "{}{} · fieldhold {} · {clock}",
        text(status, "/gateway/name"),
        site.map(|site| format!(" at {site}")).unwrap_or_default(),
        text(status, "/gateway/version"),
    )
}

fn buses(status: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (name, bus) in entries(status, "/buses") {
        out.push(format!(
            "bus {name:<12} {:<28} {:<10} busy {:>4.1} %   {} requests",
            text(bus, "/link"),
            state(bus),
            real(bus, "/utilisation") * 100.0,
            number(bus, "/requests"),
        ));
        for device in items(bus, "/devices") {
            out.push(format!(
                "  device {:<14} unit {:<4} {:<22} p50 {:>6.1} ms   {} ok, {} timeouts, {} exceptions, {} missed",
                text(device, "/name"),
                number(device, "/unit"),
                state(device),
                real(device, "/latency_p50_us") / 1000.0,
                number(device, "/ok"),
                number(device, "/timeouts"),
                number(device, "/exceptions"),
                number(device, "/missed_ticks"),
            ));
        }
    }
    out
}

fn tags(status: &Value) -> Vec<String> {
    let all: Vec<_> = items(status, "/tags").collect();
    let mut out = vec![String::new()];
    for tag in all.iter().take(TAGS_SHOWN) {
        let value = tag.pointer("/value").and_then(Value::as_str).unwrap_or("-");
        out.push(format!(
            "  {:<44} {:>14} {:<5} {:<22} {:>6.1} s ago",
            text(tag, "/topic"),
            value,
            text(tag, "/unit"),
            text(tag, "/quality"),
            real(tag, "/age_ms") / 1000.0,
        ));
    }
    if all.len() > TAGS_SHOWN {
        out.push(format!("  ... and {} more tags (--json shows all)", all.len() - TAGS_SHOWN));
    }
    out.push(String::new());
    out
}

fn uplinks(status: &Value) -> Vec<String> {
    entries(status, "/uplinks")
        .map(|(name, uplink)| {
            let reason = uplink.pointer("/reason").and_then(Value::as_str);
            format!(
                "uplink {name:<10} {:<26} {:<8} {} in flight, {:.0} acknowledged/s{}",
                text(uplink, "/peer"),
                state(uplink),
                number(uplink, "/in_flight_messages"),
                real(uplink, "/acked_rows_per_s"),
                reason.map(|reason| format!("   {reason}")).unwrap_or_default(),
            )
        })
        .collect()
}

fn data(status: &Value) -> Vec<String> {
    let mut out: Vec<_> = accounts(status)
        .into_iter()
        .map(|(name, account)| format!("  {name:<18} {account}"))
        .collect();
    out.push(format!(
        "store {} · {:.1} of {:.0} MB on disk · {} kB in memory",
        state(status.pointer("/store").unwrap_or(&Value::Null)),
        real(status, "/store/disk_bytes") / 1e6,
        real(status, "/store/disk_bytes_max") / 1e6,
        number(status, "/store/ram_bytes") / 1000,
    ));
    if status.pointer("/broker").is_some_and(|broker| !broker.is_null()) {
        out.push(format!("LAN broker · {} clients", number(status, "/broker/connections")));
    }
    out
}

/// Only units that are not well.
fn units(status: &Value) -> Vec<String> {
    entries(status, "/units")
        .filter(|(_, unit)| text(unit, "/state") != "running")
        .map(|(name, unit)| {
            format!("! {name}: {} · {}", text(unit, "/state"), text(unit, "/reason"))
        })
        .collect()
}

/// A state is a word, or an object whose `state` is the word.
fn state(value: &Value) -> String {
    match value.pointer("/state") {
        Some(Value::Object(object)) => object
            .get("state")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
            .or_else(|| object.keys().next().cloned())
            .unwrap_or_default(),
        Some(Value::String(word)) => word.clone(),
        _ => "-".to_owned(),
    }
}

fn items<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

fn entries<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.pointer(path).and_then(Value::as_object).into_iter().flatten()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn real(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or(0.0)
}

fn flag(value: &Value, path: &str) -> bool {
    value.pointer(path).and_then(Value::as_bool).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_equation_adds_up_all_uplinks_and_says_when_it_does_not() {
        let row = |delivered: u64| json!({ "class": "normal", "appended": 10, "delivered": delivered, "waiting": 3, "dropped": 1, "excluded": 0 });
        let status = |delivered: u64| {
            json!({ "store": { "consumers": [
            { "name": "a", "classes": [row(6)] },
            { "name": "b", "classes": [row(delivered)] },
        ] } })
        };
        assert_eq!(equation(&status(6)), "read 20 = delivered 12 + waiting 6 + dropped 2");
        assert!(equation_holds(&status(6)));
        assert!(!equation_holds(&status(5)));
        assert!(lines(&status(5)).iter().any(|line| line.ends_with("DOES NOT ADD UP")));
    }

    #[test]
    fn an_empty_status_is_shown_without_panic() {
        assert!(!lines(&Value::Null).is_empty());
    }
}
