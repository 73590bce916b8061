//! `fieldhold uplink presets`: the cloud services that are known, and what each of them takes.

use std::process::ExitCode;

use crate::cli::BadInput;
use crate::config::clouds::{self, Service, ServiceLimits};
use crate::config::{show_duration, show_size};

/// All in a line each, or one in full.
pub(super) fn run(name: Option<&str>) -> anyhow::Result<ExitCode> {
    let Some(name) = name else {
        print!("{}", table());
        return Ok(ExitCode::SUCCESS);
    };
    let Some(service) = clouds::services().find(|service| service.name == name) else {
        let message = format!("there is no preset {name:?}; fieldhold uplink presets lists all");
        return Err(BadInput(message).into());
    };
    print!("{}", describe(&service));
    Ok(ExitCode::SUCCESS)
}

fn table() -> String {
    let services: Vec<Service> = clouds::services().collect();
    let wide = services.iter().map(|service| service.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for service in &services {
        out += &format!("{:<wide$}  {}\n", service.name, service.about);
        let limits = limits(&service.limits);
        let said = limits.iter().filter(|(_, value)| !value.is_empty());
        let short: Vec<String> = said
            .filter(|(what, _)| is_short(what))
            .map(|(what, value)| format!("{what} {value}"))
            .collect();
        if !short.is_empty() {
            out += &format!("{:<wide$}  {}\n", "", short.join(" · "));
        }
    }
    out + "\nfieldhold uplink presets NAME shows all limits of one, and where they are published.\n"
}

/// What the list has room for.
fn is_short(what: &str) -> bool {
    ["messages", "bytes", "packet", "unacknowledged", "levels"].contains(&what)
}

fn describe(service: &Service) -> String {
    let mut out = format!("{} · {}\n\n", service.title, service.about);
    for (what, value) in limits(&service.limits).iter().filter(|(_, value)| !value.is_empty()) {
        out += &format!("  {what:<16}{value}\n");
    }
    if let Some(notes) = &service.notes {
        out += &format!("\n{notes}\n");
    }
    out += "\nPublished at\n";
    for source in &service.source {
        out += &format!("  {source}\n");
    }
    out
}

/// What each limit is called and what it is; empty where the service has none.
fn limits(limits: &ServiceLimits) -> Vec<(&'static str, String)> {
    let shown = |value: Option<usize>| value.map(|n| n.to_string()).unwrap_or_default();
    let size = |value: Option<usize>| {
        value.and_then(|n| u64::try_from(n).ok()).map(show_size).unwrap_or_default()
    };
    let versions: Vec<&str> = limits.versions.iter().map(|version| version.as_str()).collect();
    let ports: Vec<String> = limits.ports.iter().map(u16::to_string).collect();
    let alpn = limits.alpn.as_ref().map(|(port, protocol)| format!("{protocol} on port {port}"));
    let tls = if limits.needs_tls { "required" } else { "optional" };
    let per_second = |value: Option<String>| value.map(|n| format!("{n}/s")).unwrap_or_default();
    let window = [
        limits.window_messages.map(|n| format!("{n} messages")),
        limits.window_bytes.and_then(|n| u64::try_from(n).ok()).map(show_size),
    ];
    let window: Vec<String> = window.into_iter().flatten().collect();
    let keep_alive = limits.keep_alive.as_ref().map(|range| {
        format!("{} to {}", show_duration(*range.start()), show_duration(*range.end()))
    });
    vec![
        ("tls", tls.to_owned()),
        ("ports", ports.join(", ")),
        ("alpn", alpn.unwrap_or_default()),
        ("no WebSocket", limits.no_websocket.clone().unwrap_or_default()),
        ("mqtt", versions.join(", ")),
        ("messages", per_second(limits.rate.messages.map(|n| n.to_string()))),
        ("bytes", per_second(limits.rate.bytes.map(show_size))),
        ("packet", size(limits.packet_bytes)),
        ("unacknowledged", window.join(", ")),
        ("levels", shown(limits.topic_levels)),
        ("topic bytes", shown(limits.topic_bytes)),
        ("topics", limits.topics.join(", ")),
        ("client id bytes", shown(limits.client_id_bytes)),
        ("subscriptions", shown(limits.subscriptions)),
        ("qos", format!("up to {}", limits.qos.level())),
        ("retain", if limits.retain { "yes" } else { "no" }.to_owned()),
        ("keep-alive", keep_alive.unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_for_and_the_figures_that_count() {
        let table = table();
        assert_eq!(table.lines().filter(|line| !line.starts_with(' ')).count(), 9 + 2);
        assert!(
            table.contains(
                "messages 100/s · bytes 512kB/s · packet 128KiB · unacknowledged 100 messages · levels 8"
            ),
            "{table}"
        );
        let hub = clouds::services().find(|service| service.name == "azure-iot-hub").unwrap();
        let shown = describe(&hub);
        assert!(shown.contains("  keep-alive      5s to 1177s\n"), "{shown}");
        assert!(shown.contains("read in part 2026-"), "{shown}");
    }
}
