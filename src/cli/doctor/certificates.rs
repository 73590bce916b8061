//! Certificates of this gateway and of those it trusts.

use std::path::Path;

use super::{Finding, Patient};
use crate::codec::registers::utc;
use crate::config::{WebPlan, WebTls};
use crate::model::Wall;
use crate::tls;

const DAY_MS: i64 = 86_400_000;
/// A certificate that ends sooner is worth a word.
const SOON_DAYS: i64 = 30;
const ABOUT: &str = "certificate";

pub fn all(patient: &Patient<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let listeners = patient.plan.broker.iter().flat_map(|broker| &broker.listeners);
    let page = match &patient.plan.web {
        Some(WebPlan { tls: WebTls::Files(plan), .. }) => Some(plan),
        _ => None,
    };
    for plan in listeners.filter_map(|listener| listener.tls.as_ref()).chain(page) {
        let wrong = tls::inspect(plan).err().into_iter().flatten();
        let next =
            "get both from who made them, and put them in place; they are taken without a restart";
        out.extend(wrong.map(|error| Finding::bad(ABOUT, error.to_string(), next)));
    }
    let own = patient.plan.secret_files();
    for path in own.into_iter().filter(|path| path.is_absolute() || path.exists()) {
        out.extend(one(path, patient.now));
    }
    let pairs = patient.plan.uplinks.iter().filter_map(|uplink| {
        let (certificate, key) = uplink.tls.as_ref()?.client.as_ref()?;
        Some((&uplink.name, certificate, key))
    });
    for (name, certificate, key) in pairs {
        if certificate.exists()
            && key.exists()
            && let Err(error) = tls::server_config(certificate, key, None)
        {
            let next = "the key is of another certificate, or a file was cut; copy both again";
            out.push(Finding::bad(ABOUT, format!("uplink {name}: {error}"), next));
        }
    }
    if out.is_empty() {
        out.push(Finding::good(ABOUT, "none is wrong or about to end"));
    }
    out
}

/// When a certificate is valid; nothing of a file that has none.
fn one(path: &Path, now: Wall) -> Option<Finding> {
    let seen = tls::look(path)?;
    let (from, until) = (seen.valid_from.0, seen.valid_until.0);
    let at = |ms| utc(ms).unwrap_or_default();
    let shown = path.display();
    let days = until.saturating_sub(now.0) / DAY_MS;
    if now.0 < from {
        let text = format!(
            "{shown} is not valid yet: it begins {}, and the clock reads {}",
            at(from),
            at(now.0)
        );
        let next = "is the clock right? `timedatectl`; else wait, or get one that begins earlier";
        return Some(Finding::bad(ABOUT, text, next));
    }
    if now.0 >= until {
        let text = format!("{shown} ended {}, and the clock reads {}", at(until), at(now.0));
        return Some(Finding::bad(ABOUT, text, "get a new one from who made it"));
    }
    let next = "get a new one in time; it is taken without a restart";
    let text = format!("{shown} is valid for {days} more days");
    (days < SOON_DAYS).then(|| Finding::doubt(ABOUT, text, next))
}
