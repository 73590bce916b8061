//! Addresses to listen on, names to reach, and who may come in.

use std::net::TcpListener;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Finding, Patient};
use crate::config::ListenerPlan;

/// For a name: a resolver that is away takes long to say so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the broker and the page could listen; a gateway that runs holds its addresses itself.
pub fn addresses(patient: &Patient<'_>) -> Vec<Finding> {
    if patient.running.is_some() {
        return Vec::new(); // It says itself what it could not open.
    }
    let listeners = patient.plan.broker.iter().flat_map(|broker| &broker.listeners);
    let broker =
        listeners.filter_map(ListenerPlan::address).map(|address| ("the LAN broker", address));
    let page = patient.plan.web.iter().map(|web| ("the web page", web.listen));
    let mut out = Vec::new();
    for (who, address) in broker.chain(page) {
        if let Err(error) = TcpListener::bind(address) {
            let next = match error.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need CAP_NET_BIND_SERVICE; the unit has a drop-in for it"
                        .to_owned()
                }
                std::io::ErrorKind::AddrInUse => format!(
                    "another program has it: `ss -ltnp sport = :{}`; stop that, or choose another port",
                    address.port()
                ),
                _ => "does this machine have that address? `ip address`".to_owned(),
            };
            out.push(Finding::bad(
                "ports",
                format!("{who} can't listen on {address}: {error}"),
                next,
            ));
        }
    }
    if out.is_empty() {
        out.push(Finding::good("ports", "the broker's and the page's are free"));
    }
    out
}

/// A broker that lets everybody in from everywhere.
pub fn open_broker(patient: &Patient<'_>) -> Vec<Finding> {
    let listeners = patient.plan.broker.iter().flat_map(|broker| &broker.listeners);
    let open = listeners.filter(|listener| {
        let is_reached = listener.address().is_some_and(|address| !address.ip().is_loopback());
        is_reached && listener.anonymous.is_some() && !listener.asks_for_certificates()
    });
    let finding = |listener: &ListenerPlan| {
        Finding::bad(
            "access",
            format!(
                "everybody in the network may use the LAN broker on {listener}, without a password"
            ),
            "give it users (`fieldhold broker password`), or let it listen on 127.0.0.1",
        )
    };
    open.map(finding).collect()
}

/// Whether the names of brokers of uplinks are known.
pub async fn names(patient: &Patient<'_>) -> Vec<Finding> {
    let mut asked = JoinSet::new();
    for uplink in &patient.plan.uplinks {
        // A proxy looks names up itself.
        let reached = match &uplink.proxy {
            Some(proxy) => vec![(proxy.host.clone(), proxy.port)],
            None => {
                uplink.brokers.iter().map(|broker| (broker.host.clone(), broker.port)).collect()
            }
        };
        for (host, port) in reached {
            let name = uplink.name.clone();
            asked.spawn(async move {
                let known = timeout(PATIENCE, lookup_host((host.as_str(), port))).await;
                (name, host.clone(), known.map(|known| known.map(Iterator::count)))
            });
        }
    }
    let mut out = Vec::new();
    for (name, host, known) in asked.join_all().await {
        let next = "is it spelt right, and is there a name server? `getent hosts` asks it";
        let text = match known {
            Ok(Ok(1..)) => continue,
            Ok(Ok(0)) => format!("uplink {name}: {host} has no address"),
            Ok(Err(error)) => format!("uplink {name}: the name {host} is not known: {error}"),
            Err(_) => format!("uplink {name}: no name server answers for {host}"),
        };
        out.push(Finding::bad("names", text, next));
    }
    if out.is_empty() && !patient.plan.uplinks.is_empty() {
        out.push(Finding::good("names", "those of all uplinks are known"));
    }
    out
}
