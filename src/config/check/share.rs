//! The server face of a bus.

use std::ops::RangeInclusive;

use crate::config::defaults::{
    NETWORKS_MAX, SHARE_ALLOW, SHARE_CONNECTIONS, SHARE_CONNECTIONS_RANGE, STALE_RANGE,
    WRITABLE_MAX,
};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings};
use crate::config::section::{Field, Section};
use crate::config::share::{Network, ShareMode, SharePlan, ShareWrite, Writable};
use crate::config::values::{self, quoted};
use crate::model::Table;

/// `None` where there is no address to listen on.
pub(super) fn check(field: &Field<'_>, out: &mut Findings) -> Option<SharePlan> {
    let section = field.section(&keys::SHARE, out);
    let listen = section.required("listen", out, values::socket_address);
    let allow = allow(&section, out);
    let modes = [("cached", ShareMode::Cached), ("through", ShareMode::Through)];
    let mode = section.scalar("mode", out, values::word(&modes)).unwrap_or(ShareMode::Cached);
    let write = section.get("write").map_or(ShareWrite::Nothing, |field| write(field, out));
    let stale = section.scalar("stale", out, values::duration(STALE_RANGE));
    let connections = section.scalar("connections", out, values::integer(SHARE_CONNECTIONS_RANGE));
    let connections = connections.unwrap_or(SHARE_CONNECTIONS);
    let listen = listen?;
    if let (ShareMode::Through, Some(_)) = (mode, stale) {
        let complaint = Complaint::new("has no effect: mode through keeps nothing");
        out.warning(&section.spot_of("stale"), complaint);
    }
    if !listen.ip().is_loopback() && !section.has("allow") {
        let complaint = Complaint::new(format!("only this machine may use {listen}"));
        let hint = "write allow: [192.168.1.0/24] with the networks of its clients";
        out.warning(&section.spot_of("listen"), complaint.hint(hint));
    }
    if write == ShareWrite::Everything && !listen.ip().is_loopback() {
        let complaint = Complaint::new("every client that is allowed may write everything");
        let hint = "write the addresses: [ { unit: 3, holding: 100..119 } ]";
        out.warning(&section.spot_of("write"), complaint.hint(hint));
    }
    Some(SharePlan { listen, allow, mode, write, stale, connections })
}

fn allow(section: &Section<'_>, out: &mut Findings) -> Vec<Network> {
    let Some(field) = section.get("allow") else {
        return SHARE_ALLOW.iter().filter_map(|text| Network::parse(text)).collect();
    };
    let items = field.items();
    if items.is_empty() {
        let complaint = Complaint::new("is empty, so nobody may use it");
        out.error(&field.key_spot(), complaint.hint("write networks, as in [192.168.1.0/24]"));
    }
    if items.len() > NETWORKS_MAX {
        out.error(&field.key_spot(), format!("more than {NETWORKS_MAX} networks"));
    }
    let network = |text: &str| {
        Network::parse(text).ok_or_else(|| {
            Complaint::new(format!("{} is no network", quoted(text)))
                .hint("write it as in 192.168.1.0/24 or 192.168.1.7")
        })
    };
    items.iter().filter_map(|item| item.scalar(out, network)).collect()
}

fn write(field: &Field<'_>, out: &mut Findings) -> ShareWrite {
    if field.text().is_some() {
        return match field.scalar(out, values::boolean) {
            Some(true) => ShareWrite::Everything,
            _ => ShareWrite::Nothing,
        };
    }
    let items = field.items();
    if items.len() > WRITABLE_MAX {
        out.error(&field.key_spot(), format!("more than {WRITABLE_MAX} ranges"));
    }
    ShareWrite::Only(items.iter().filter_map(|item| writable(item, out)).collect())
}

fn writable(field: &Field<'_>, out: &mut Findings) -> Option<Writable> {
    let section = field.section(&keys::WRITABLE, out);
    let unit = section.required("unit", out, values::integer(0..=255));
    let holding = section.scalar("holding", out, range);
    let coil = section.scalar("coil", out, range);
    if section.has("holding") == section.has("coil") {
        let complaint = Complaint::new("says what may be written: either holding or coil");
        out.error(&section.spot, complaint.hint("write holding: 100..119"));
        return None;
    }
    let (table, addresses) = match (holding, coil) {
        (Some(addresses), _) => (Table::Holding, addresses),
        (None, Some(addresses)) => (Table::Coil, addresses),
        (None, None) => return None,
    };
    Some(Writable { unit: unit?, table, addresses })
}

/// `100` or `100..119`, both ends belonging to it.
fn range(text: &str) -> Result<RangeInclusive<u16>, Complaint> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let address = values::integer(0..=65_535);
    let (first, last) = (address(first.trim())?, address(last.trim())?);
    if first > last {
        return Err(Complaint::new(format!("{} ends before it begins", quoted(text))));
    }
    Ok(first..=last)
}
