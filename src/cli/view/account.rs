//! The accounting of uplinks as text: `read = delivered + waiting + dropped + excluded`.

use serde_json::Value;

use super::json::{items, number, text};

/// One uplink's numbers in one class, or a sum of them.
#[derive(Clone, Copy, Default)]
pub struct Account {
    pub read: u64,
    pub delivered: u64,
    pub waiting: u64,
    pub dropped: u64,
    pub excluded: u64,
}

impl Account {
    pub fn of(row: &Value) -> Self {
        Self {
            read: number(row, "/appended"),
            delivered: number(row, "/delivered"),
            waiting: number(row, "/waiting"),
            dropped: number(row, "/dropped"),
            excluded: number(row, "/excluded"),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            delivered: self.delivered + other.delivered,
            waiting: self.waiting + other.waiting,
            dropped: self.dropped + other.dropped,
            excluded: self.excluded + other.excluded,
        }
    }

    pub fn holds(self) -> bool {
        self.read == self.delivered + self.waiting + self.dropped + self.excluded
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // First, so that a narrow terminal does not cut it off.
        f.write_str(if self.holds() { "" } else { "DOES NOT ADD UP: " })?;
        write!(
            f,
            "read {} = delivered {} + waiting {} + dropped {}",
            self.read, self.delivered, self.waiting, self.dropped
        )?;
        if self.excluded > 0 {
            write!(f, " + excluded {}", self.excluded)?;
        }
        Ok(())
    }
}

/// What the store says about one consumer, by class; classes without readings are left out.
pub fn classes(consumer: &Value) -> Vec<(&str, Account)> {
    items(consumer, "/classes")
        .map(|row| (text(row, "/class"), Account::of(row)))
        .filter(|(_, account)| account.read > 0)
        .collect()
}

/// All classes of one consumer together.
pub fn sum(consumer: &Value) -> Account {
    classes(consumer).into_iter().fold(Account::default(), |sum, (_, account)| sum.plus(account))
}

/// The losses of one consumer by reason, as `too-old 12`.
pub fn losses(consumer: &Value) -> Vec<String> {
    let mut sums = std::collections::BTreeMap::new();
    for row in items(consumer, "/classes") {
        for (why, count) in super::json::entries(row, "/dropped_why") {
            *sums.entry(why.as_str()).or_insert(0) += count.as_u64().unwrap_or(0);
        }
    }
    sums.iter().map(|(why, count)| format!("{why} {count}")).collect()
}

/// The accounting of all uplinks in one line.
pub fn equation(status: &Value) -> String {
    items(status, "/store/consumers")
        .fold(Account::default(), |all, consumer| all.plus(sum(consumer)))
        .to_string()
}

/// Whether every uplink's equation holds in every class.
pub fn equation_holds(status: &Value) -> bool {
    items(status, "/store/consumers").flat_map(classes).all(|(_, account)| account.holds())
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
        assert!(equation(&status(5)).starts_with("DOES NOT ADD UP: read 20 = "));
    }

    #[test]
    fn losses_are_named_by_their_reason() {
        let consumer = json!({ "classes": [
            { "class": "bulk", "dropped_why": { "too-old": 3 } },
            { "class": "normal", "dropped_why": { "too-old": 2, "no-room": 1 } },
        ] });
        assert_eq!(losses(&consumer), ["no-room 1", "too-old 5"]);
    }
}
