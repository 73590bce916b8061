//! The store: whether it is sound, what was set aside, what is lost, how long the card lasts.

use super::{Finding, Patient};
use crate::runtime::SystemClock;
use crate::store::{self, Inspector, StoreStatus};

/// Years that a card should last.
const YEARS_MIN: f64 = 5.0;
const ABOUT: &str = "store";

pub fn all(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(dir) = &patient.plan.store.path else { return Vec::new() };
    let file = store::database(dir);
    let looked = Inspector::open(&file).and_then(|opened| {
        let status = opened.status(&SystemClock::new())?;
        Ok((status, opened.verify()?))
    });
    let (status, found) = match looked {
        Ok(looked) => looked,
        Err(store::StoreError::Missing { .. }) => {
            return vec![Finding::good(ABOUT, "there is none yet; the first start makes it")];
        }
        Err(error) => {
            let text = format!("{}: {}", file.display(), crate::runtime::in_full(&error));
            let next = "the gateway sets it aside when it starts, and brings back what is whole";
            return vec![Finding::bad(ABOUT, text, next)];
        }
    };
    let mut out = Vec::new();
    if found.sound {
        let text =
            format!("sound: {} readings and messages wait in {}", found.items, file.display());
        out.push(Finding::good(ABOUT, text));
    } else {
        let text = format!("{} is damaged:\n{}", file.display(), found.problems.join("\n"));
        let next = "the gateway sets it aside when it starts, and brings back what is whole; \
                    is the card worn out? `dmesg`";
        out.push(Finding::bad(ABOUT, text, next));
    }
    out.extend(aside(&status));
    out.extend(wear(&status, patient.plan.store.endurance_bytes));
    out
}

fn aside(status: &StoreStatus) -> Vec<Finding> {
    let finding = |file: &store::Quarantined| {
        let text = format!(
            "{} was set aside: {}; {} readings are back, {} are lost",
            file.file, file.why, file.salvaged, file.lost
        );
        let next = "a card that does that once does it again: exchange it; then remove the file";
        Finding::bad(ABOUT, text, next)
    };
    status.quarantined.iter().map(finding).collect()
}

/// How long what the configuration says of the card lasts at the present rate.
fn wear(status: &StoreStatus, endurance: u64) -> Option<Finding> {
    let per_day = status.wear.process_bytes_per_day.or(status.wear.store_bytes_per_day)?;
    let years = years(endurance, per_day)?;
    let text =
        format!("{} MB a day are written: the card lasts {years:.0} years", per_day / 1_000_000);
    Some(match years {
        ..YEARS_MIN => Finding::bad(
            "wear",
            text,
            "a longer `store: commit`, `publish: change` for noisy tags, or a larger card",
        ),
        _ => Finding::good("wear", text),
    })
}

fn years(endurance: u64, per_day: u64) -> Option<f64> {
    let days = endurance.checked_div(per_day)?;
    Some(f64::from(u32::try_from(days).unwrap_or(u32::MAX)) / 365.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_lasts_as_long_as_what_is_written_lets_it() {
        assert_eq!(years(3_650, 10), Some(1.0));
        assert_eq!(years(3_650, 0), None);
        assert!(years(u64::MAX, 1).is_some_and(|years| years > 1e6));
    }
}
