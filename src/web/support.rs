//! The support bundle: one file for whoever helps from afar, without secrets. What the page offers for
//! download and `fieldhold support` writes is made here, of the same parts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{system, trace};
use super::redact;
use super::state::Shared;
use crate::codec::registers::utc;
use crate::codec::tar::Tar;
use crate::model::Wall;
use crate::runtime::{Gateway, History, LogLine};

/// Versions of the configuration that go along, the newest.
const VERSIONS_MAX: usize = 10;

/// What it is made of, secrets still among it.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Parts {
    pub status: Value,
    pub system: Value,
    pub traces: Value,
    pub configuration: String,
    pub log: String,
    /// Who changed the configuration when, and what it said then, by version.
    pub history: Value,
    pub versions: BTreeMap<u64, String>,
    /// What `fieldhold doctor` finds.
    pub doctor: Value,
}

/// Of a gateway that runs.
pub(super) async fn of_gateway(shared: &Arc<Shared>) -> Parts {
    let deps = shared.deps();
    // Without it the rest is worth as much.
    let configuration = deps.setup.text().await.unwrap_or_else(|why| format!("# {why}\n"));
    let shared = Arc::clone(shared);
    let gathered = crate::runtime::blocking(move || {
        let deps = shared.deps();
        let uptime = deps.clock.mono() - shared.started();
        let facts = system::look(&*deps.clock, Some(uptime), deps.state_dir.as_deref());
        Parts {
            status: serde_json::to_value(deps.gateway.status()).unwrap_or_default(),
            traces: traces(&deps.gateway),
            log: deps.logs.since(0).lines.iter().map(written).collect(),
            system: serde_json::to_value(facts).unwrap_or_default(),
            ..past(deps.state_dir.as_deref())
        }
    });
    Parts { configuration, ..gathered.await.unwrap_or_default() }
}

/// Of one that does not: what lies on the disk. The caller knows the status of the store.
pub fn of_files(configuration: String, status: Value, state_dir: Option<&Path>) -> Parts {
    let clock = crate::runtime::SystemClock::new();
    let facts = system::look(&clock, None, state_dir);
    let system = serde_json::to_value(facts).unwrap_or_default();
    Parts { configuration, status, system, ..past(state_dir) }
}

/// The history of the configuration.
fn past(state_dir: Option<&Path>) -> Parts {
    let Some(Ok(history)) = state_dir.map(History::read) else { return Parts::default() };
    let newest = history.records().iter().rev().take(VERSIONS_MAX);
    let texts =
        newest.filter_map(|record| Some((record.version, history.text(record.version).ok()?)));
    Parts {
        versions: texts.collect(),
        history: serde_json::to_value(history.records()).unwrap_or_default(),
        ..Parts::default()
    }
}

/// The file, gzipped; every secret is taken out here, wherever it came from.
pub fn bundle(parts: Parts, now: Wall) -> Vec<u8> {
    let Parts { status, system, traces, configuration, log, history, versions, doctor } = parts;
    let mut tar = Tar::new(u64::try_from(now.0 / 1000).unwrap_or(0));
    let documents = [
        ("status.json", status),
        ("system.json", system),
        ("traces.json", traces),
        ("history.json", history),
        ("doctor.json", doctor),
    ];
    for (name, value) in documents.into_iter().filter(|(_, value)| !value.is_null()) {
        let text = serde_json::to_string_pretty(&redact::json(value)).unwrap_or_default();
        tar.file(name, text.as_bytes());
    }
    tar.file("configuration.yaml", redact::text(&configuration).as_bytes());
    for (version, text) in versions {
        tar.file(&format!("history/{version}.yaml"), redact::text(&text).as_bytes());
    }
    if !log.is_empty() {
        tar.file("log.txt", redact::text(&log).as_bytes());
    }
    tar.gzip()
}

fn written(line: &LogLine) -> String {
    let time = utc(line.at_wall_ms).unwrap_or_default();
    format!("{time} {:5} {}: {}\n", line.level, line.target, line.text)
}

/// Of every bus: what its last exchanges came to, and how long they took.
fn traces(gateway: &Gateway) -> Value {
    let mut buses = serde_json::Map::new();
    for bus in gateway.plan().buses {
        let Some((page, exchanges)) = trace::all(gateway, bus.name.as_str()) else { continue };
        let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
        let mut purposes: BTreeMap<String, u64> = BTreeMap::new();
        let mut took: Vec<u64> = exchanges.iter().map(|exchange| exchange.took_us).collect();
        for exchange in &exchanges {
            *verdicts.entry(exchange.verdict.to_string()).or_default() += 1;
            let purpose = serde_json::to_value(exchange.purpose).unwrap_or_default();
            *purposes.entry(purpose.as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        took.sort_unstable();
        let middle = took.get(took.len() / 2);
        buses.insert(
            bus.name.to_string(),
            json!({
                "link": page.link, "exchanges": exchanges.len(), "verdicts": verdicts,
                "purposes": purposes, "took_us_p50": middle, "took_us_max": took.last(),
            }),
        );
    }
    Value::Object(buses)
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec;

    use super::*;

    /// The same secret in every place that there is.
    #[test]
    fn no_secret_leaves_from_any_place() {
        let secret = "hunter2-planted";
        let yaml = format!(
            "# password: {secret}\nuplinks:\n  c: {{ url: \"mqtts://u:{secret}@h\", token: {secret} }}\n\
             \x20 d:\n    password: \"{secret}\"\n    secret-key: '{secret}'\n"
        );
        let document =
            || json!({ "password": secret, "deep": [{ "text": format!("token={secret}") }] });
        let parts = Parts {
            status: document(),
            system: document(),
            traces: document(),
            history: document(),
            doctor: document(),
            configuration: yaml.clone(),
            versions: BTreeMap::from([(1, yaml.clone()), (2, yaml)]),
            log: format!("info: can't connect to mqtt://u:{secret}@h password={secret}\n"),
        };
        let zipped = bundle(parts, Wall(0));
        let tar = decompress_to_vec(&zipped[10..zipped.len() - 8]).unwrap();
        let text = String::from_utf8_lossy(&tar);
        for name in
            ["status.json", "doctor.json", "history/2.yaml", "log.txt", "configuration.yaml"]
        {
            assert!(text.contains(name), "{name}");
        }
        assert!(!text.contains(secret), "{text}");
        assert!(text.contains("can't connect to mqtt://(masked)@h"), "the rest stays");
        let only = Parts { configuration: "a: 1\n".to_owned(), ..Parts::default() };
        let zipped = bundle(only, Wall(0));
        let tar = decompress_to_vec(&zipped[10..zipped.len() - 8]).unwrap();
        assert!(!String::from_utf8_lossy(&tar).contains("status.json"));
    }
}
