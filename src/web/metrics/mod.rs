//! Figures for Prometheus (`/metrics`), and whether the gateway is alive and ready.
//!
//! Names follow Prometheus' conventions: base units, `_total` for what only grows. Every figure is
//! of one snapshot of the status, so the equation of readings holds in each scrape.

mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::text::{CONTENT_TYPE, Text, seconds};
use super::App;
use super::problem::Problem;
use crate::broker::BrokerStatus;
use crate::runtime::{Status, UnitState};
use crate::south::{BusStatus, DeviceState, DeviceStatus, LinkState};
use crate::store::{AccountStatus, ConsumerStatus, Health, Reason, StoreStatus};
use crate::uplink::{Connection, DeadReason};
use crate::web::described::{Routes, routes};

/// Beside the API, where scrapers and watchdogs look for them.
pub fn routes() -> Routes {
    routes!(metrics).merge(routes!(healthz)).merge(routes!(readyz))
}

/// Figures in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", security(("session" = ["viewer"])),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn metrics(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text(&app.gateway().status())).into_response()
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "system", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Every unit runs and the store is on its disk, or wants none; a device, a bus or a cloud that is
/// away is no matter of the gateway's.
#[utoipa::path(get, path = "/readyz", tag = "system", security(()),
    responses(
        (status = 200, content_type = "text/plain", body = String),
        (status = 503, content_type = "application/problem+json", body = Problem),
    ))]
async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    // Anybody may ask, so no more is looked at than has to be.
    let units = app.gateway().unit_status();
    let down = units.iter().find(|(_, unit)| unit.state != UnitState::Running);
    let reason = match (down, app.gateway().store_status().health) {
        (Some((name, _)), _) => format!("the unit {name} is not running"),
        (None, Health::RamOnly(_)) => "the store can't write to its disk".to_owned(),
        (None, Health::Closed) => "the store is closed".to_owned(),
        (None, Health::Ok | Health::MemoryOnly) => return Ok("ready\n"),
    };
    let title = "The gateway is not ready";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", title, reason)
        .hint("its status says more"))
}

fn text(status: &Status) -> String {
    let mut text = Text::default();
    text.gauge("fieldhold_build_info", "Always 1; which version runs.")
        .add(&[("version", status.gateway.version)], 1)
        .gauge("fieldhold_clock_synced", "Whether a time source confirmed the clock.")
        .add(&[], u8::from(status.gateway.clock_synced));
    units(&mut text, status);
    readings(&mut text, &status.store.consumers);
    store(&mut text, &status.store);
    uplinks(&mut text, status);
    buses(&mut text, status);
    devices(&mut text, status);
    if let Some(broker) = &status.broker {
        lan(&mut text, broker);
    }
    commands(&mut text, status);
    text.end()
}

fn units(text: &mut Text, status: &Status) {
    text.gauge("fieldhold_unit_up", "Whether a part of the gateway runs.");
    for (name, unit) in &status.units {
        text.add(&[("unit", name)], u8::from(unit.state == UnitState::Running));
    }
    text.counter("fieldhold_unit_restarts_total", "Times a part ended against its will.");
    for (name, unit) in &status.units {
        text.add(&[("unit", name)], unit.restarts);
    }
}

/// appended = delivered + excluded + waiting + dropped, of every uplink in every class.
fn readings(text: &mut Text, consumers: &[ConsumerStatus]) {
    let accounts = || {
        consumers
            .iter()
            .flat_map(|consumer| consumer.classes.iter().map(move |class| (consumer, class)))
    };
    type Of = fn(&AccountStatus) -> u64;
    let counters: [(&'static str, &str, Of); 3] = [
        ("fieldhold_readings_appended_total", "Readings and messages taken in.", |a| a.appended),
        ("fieldhold_readings_delivered_total", "Those the cloud acknowledged.", |a| a.delivered),
        ("fieldhold_readings_excluded_total", "Those the uplink does not want.", |a| a.excluded),
    ];
    for (name, help, of) in counters {
        text.counter(name, help);
        for (consumer, class) in accounts() {
            text.add(&[("uplink", &consumer.name), ("class", class.class)], of(class));
        }
    }
    text.gauge("fieldhold_readings_waiting", "Those that are not delivered yet.");
    for (consumer, class) in accounts() {
        text.add(&[("uplink", &consumer.name), ("class", class.class)], class.waiting);
    }
    text.counter("fieldhold_readings_dropped_total", "Those given up, by reason.");
    for (consumer, class) in accounts() {
        for (reason, n) in dropped(class) {
            let labels = [("uplink", &*consumer.name), ("class", class.class), ("reason", &reason)];
            text.add(&labels, n);
        }
    }
    text.gauge("fieldhold_oldest_waiting_seconds", "How long the oldest waits; 0 when none does.");
    for (consumer, class) in accounts() {
        let labels = [("uplink", &*consumer.name), ("class", class.class)];
        text.add(&labels, seconds(class.oldest_ms.unwrap_or(0)));
    }
}

/// What was dropped by every reason, with a zero for those that cost nothing yet: a rule over the
/// increase of a series sees nothing in its first value.
fn dropped(class: &AccountStatus) -> BTreeMap<Cow<'_, str>, u64> {
    let dead = DeadReason::ALL.map(|reason| Reason::Dead(reason.code()));
    let known = Reason::LOSSES.into_iter().chain(dead).map(|reason| (reason.word(), 0));
    let counted = class.dropped_why.iter().map(|(reason, n)| (Cow::from(reason.as_str()), *n));
    known.chain(counted).collect()
}

fn store(text: &mut Text, store: &StoreStatus) {
    let sound = matches!(store.health, Health::Ok | Health::MemoryOnly);
    text.gauge("fieldhold_store_up", "Whether the store writes as it is meant to.")
        .add(&[], u8::from(sound))
        .gauge("fieldhold_store_bytes", "Size of the live data in the file.")
        .add(&[], store.disk_bytes)
        .gauge("fieldhold_store_limit_bytes", "What it may grow to now.")
        .add(&[], store.disk_bytes_allowed)
        .gauge("fieldhold_store_memory_bytes", "What is in memory.")
        .add(&[], store.ram_bytes)
        .gauge("fieldhold_store_loss_bound_seconds", "What a power cut takes at most.")
        .maybe(&[], store.loss_bound_ms.map(seconds))
        .counter("fieldhold_store_commits_total", "Transactions.")
        .add(&[], store.counters.commits)
        .counter("fieldhold_store_commit_failures_total", "Transactions that failed.")
        .add(&[], store.counters.commit_failures)
        .counter("fieldhold_store_corrupt_chunks_total", "Damaged rows that were skipped.")
        .add(&[], store.counters.chunks_corrupt)
        .counter("fieldhold_accounting_violations_total", "Contradictions found in the accounts.")
        .add(&[], store.counters.violations)
        .counter("fieldhold_store_written_bytes_total", "Written since the file was made.")
        .add(&[], store.wear.store_bytes_total)
        .gauge("fieldhold_store_written_bytes_per_day", "At the rate of the last 24 hours.")
        .maybe(&[], store.wear.store_bytes_per_day)
        .gauge("fieldhold_process_written_bytes_per_day", "Of the whole process.")
        .maybe(&[], store.wear.process_bytes_per_day)
        .gauge("fieldhold_card_life_years", "How long a new card lasts at this rate.")
        .maybe(&[], store.wear.card_years);
}

fn uplinks(text: &mut Text, status: &Status) {
    text.gauge("fieldhold_uplink_up", "Whether the uplink is connected.");
    for (name, uplink) in &status.uplinks {
        let online = matches!(uplink.connection, Connection::Online { .. });
        text.add(&[("uplink", name)], u8::from(online));
    }
    text.counter("fieldhold_uplink_connects_total", "Connections made.");
    for (name, uplink) in &status.uplinks {
        text.add(&[("uplink", name)], uplink.connects);
    }
    text.gauge("fieldhold_uplink_in_flight_messages", "Sent and not acknowledged yet.");
    for (name, uplink) in &status.uplinks {
        text.add(&[("uplink", name)], uplink.in_flight_messages);
    }
    text.gauge("fieldhold_uplink_last_ack_seconds", "Since the last acknowledgement.");
    for (name, uplink) in &status.uplinks {
        text.maybe(&[("uplink", name)], uplink.last_ack_age_ms.map(seconds));
    }
}

fn buses(text: &mut Text, status: &Status) {
    type Of = fn(&BusStatus) -> String;
    let up: Of = |bus| u8::from(matches!(bus.state, LinkState::Up { .. })).to_string();
    let families: [(&'static str, &str, bool, Of); 4] = [
        ("fieldhold_bus_up", "Whether the line or connection is there.", false, up),
        ("fieldhold_bus_busy_ratio", "Share of the last minute.", false, |bus| {
            bus.utilisation.to_string()
        }),
        ("fieldhold_bus_connects_total", "Times the link came up.", true, |bus| {
            bus.connects.to_string()
        }),
        ("fieldhold_bus_requests_total", "Requests made.", true, |bus| bus.requests.to_string()),
    ];
    for (name, help, grows, of) in families {
        if grows {
            text.counter(name, help)
        } else {
            text.gauge(name, help)
        };
        for (bus, status) in &status.buses {
            text.add(&[("bus", bus)], of(status));
        }
    }
}

fn devices(text: &mut Text, status: &Status) {
    type Of = fn(&DeviceStatus) -> u64;
    let families: [(&'static str, &str, bool, Of); 7] = [
        ("fieldhold_device_up", "Whether it answers.", false, |device| {
            u64::from(!matches!(device.state, DeviceState::Silent { .. }))
        }),
        ("fieldhold_device_requests_total", "Requests made.", true, |device| device.requests),
        ("fieldhold_device_timeouts_total", "Requests it did not answer.", true, |device| {
            device.timeouts
        }),
        ("fieldhold_device_bad_answers_total", "Answers that were wrong.", true, |device| {
            device.bad_answers
        }),
        ("fieldhold_device_exceptions_total", "Requests it refused.", true, |device| {
            device.exceptions
        }),
        ("fieldhold_device_readings_total", "Readings, bad ones too.", true, |device| {
            device.readings
        }),
        ("fieldhold_device_bad_readings_total", "Readings without a value.", true, |device| {
            device.readings_bad
        }),
    ];
    let all = || {
        let buses = status.buses.iter();
        buses.flat_map(|(bus, status)| status.devices.iter().map(move |device| (bus, device)))
    };
    for (name, help, grows, of) in families {
        if grows {
            text.counter(name, help)
        } else {
            text.gauge(name, help)
        };
        for (bus, device) in all() {
            text.add(&[("bus", bus), ("device", &device.name)], of(device));
        }
    }
    text.summary("fieldhold_device_latency_seconds", "From a request to its answer, of late.");
    for (bus, device) in all() {
        for (quantile, us) in [("0.5", device.latency_p50_us), ("0.99", device.latency_p99_us)] {
            let labels = [("bus", bus.as_str()), ("device", &device.name), ("quantile", quantile)];
            text.add(&labels, format!("{}.{:06}", us / 1_000_000, us % 1_000_000));
        }
    }
}

fn lan(text: &mut Text, broker: &BrokerStatus) {
    text.gauge("fieldhold_broker_connections", "Clients that are connected.")
        .add(&[], broker.connections)
        .gauge("fieldhold_broker_sessions", "Sessions, with and without a connection.")
        .add(&[], broker.sessions)
        .counter("fieldhold_broker_messages_total", "PUBLISH packets.")
        .add(&[("direction", "in")], broker.messages_in)
        .add(&[("direction", "out")], broker.messages_out)
        .counter("fieldhold_broker_bytes_total", "Bytes of packets.")
        .add(&[("direction", "in")], broker.bytes_in)
        .add(&[("direction", "out")], broker.bytes_out)
        .gauge("fieldhold_broker_retained_messages", "Retained messages.")
        .add(&[], broker.retained)
        .counter("fieldhold_broker_refused_logins_total", "Wrong names or passwords.")
        .add(&[], broker.logins_refused);
}

fn commands(text: &mut Text, status: &Status) {
    text.counter("fieldhold_commands_total", "Commands to tags, by what became of them.")
        .add(&[("outcome", "done")], status.commands.done);
    for (code, n) in &status.commands.refused {
        text.add(&[("outcome", code)], n);
    }
    text.counter("fieldhold_live_left_out_total", "Readings stored and not shown live.")
        .add(&[], status.live.left_out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class() -> AccountStatus {
        AccountStatus {
            class: "normal",
            appended: 10,
            delivered: 3,
            excluded: 0,
            dropped: 7,
            dropped_why: [("quota".to_owned(), 4), ("dead:another".to_owned(), 3)].into(),
            waiting: 0,
            oldest_ms: None,
        }
    }

    #[test]
    fn every_reason_of_a_loss_has_a_series_before_it_costs_anything() {
        let class = class();
        let told = dropped(&class);
        assert_eq!((told["quota"], told["age"], told["dead:too-large"]), (4, 0, 0));
        assert_eq!(told.values().sum::<u64>(), class.dropped);
        assert_eq!(told.len(), 8 + 4 + 1);
    }

    #[test]
    fn a_series_is_there_when_nothing_waits() {
        let consumer =
            ConsumerStatus { name: "cloud".into(), required: true, classes: vec![class()] };
        let mut text = Text::default();
        readings(&mut text, &[consumer]);
        let line = "fieldhold_oldest_waiting_seconds{uplink=\"cloud\",class=\"normal\"} 0.000\n";
        let said = text.end();
        assert!(said.contains(line), "{said}");
    }
}
