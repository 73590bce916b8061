//! The serial ports of the machine, and which bus has which.

use std::path::{Path, PathBuf};

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::south::{SerialPort, serial_ports};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem};

pub fn routes() -> Routes {
    routes!(ports)
}

#[derive(Debug, Serialize, ToSchema)]
struct Ports {
    rows: Vec<PortRow>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PortRow {
    /// What to write into a configuration: the name that stays when it is plugged in elsewhere.
    path: String,
    /// Its name in `/dev` now.
    device: String,
    /// What the adapter says it is.
    product: Option<String>,
    /// The bus of the configuration that runs.
    used_by: Option<String>,
    /// Another program that has it open, as far as the gateway may look.
    held_by: Option<String>,
    /// Whether it is plugged in; a bus may wait for one that is not.
    there: bool,
}

/// Serial ports, those that buses wait for as well.
#[utoipa::path(get, path = "/ports", tag = "field", security(("session" = ["operator"])),
    responses((status = 200, body = Ports)))]
async fn ports(State(app): State<App>) -> Result<Json<Ports>, Problem> {
    let buses: Vec<(String, PathBuf)> = (app.gateway().plan().buses.iter())
        .filter_map(|bus| Some((bus.name.to_string(), bus.link.serial()?.port.clone())))
        .collect();
    // Looks at the files of all processes.
    let rows = crate::runtime::blocking(move || rows(serial_ports(), &buses)).await;
    let rows = rows.map_err(|_| Problem::unavailable("looking for ports broke off"))?;
    Ok(Json(Ports { rows }))
}

fn rows(ports: Vec<SerialPort>, buses: &[(String, PathBuf)]) -> Vec<PortRow> {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let buses: Vec<_> = buses.iter().map(|(bus, path)| (bus, path, real(path))).collect();
    let mut known = vec![false; buses.len()];
    let mut rows: Vec<PortRow> = Vec::new();
    for port in ports {
        let used_by = buses.iter().position(|(_, _, at)| *at == port.device);
        if let Some(known) = used_by.and_then(|at| known.get_mut(at)) {
            *known = true;
        }
        let bus = used_by.and_then(|at| buses.get(at)).map(|(bus, ..)| (*bus).clone());
        rows.push(PortRow {
            path: port.path.display().to_string(),
            device: port.device.display().to_string(),
            product: port.product,
            // Our own bus is named already.
            held_by: port.held_by.filter(|_| bus.is_none()),
            used_by: bus,
            there: true,
        });
    }
    let missing = buses.iter().zip(&known).filter(|(_, known)| !**known);
    rows.extend(missing.map(|((bus, path, at), _)| PortRow {
        path: path.display().to_string(),
        device: at.display().to_string(),
        product: None,
        used_by: Some((*bus).clone()),
        held_by: None,
        there: at.exists(),
    }));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_its_bus_and_a_bus_its_port() {
        let dir = tempfile::tempdir().unwrap();
        let device = std::fs::canonicalize(dir.path()).unwrap().join("ttyUSB0");
        std::fs::File::create(&device).unwrap();
        let id = dir.path().join("by-id");
        std::os::unix::fs::symlink(&device, &id).unwrap();
        let port = |path: &Path, device: &Path| SerialPort {
            path: path.to_owned(),
            device: device.to_owned(),
            product: None,
            held_by: Some("process 7 (x)".to_owned()),
        };
        let free = dir.path().join("ttyS0");
        let buses = [("hall".to_owned(), id.clone()), ("away".to_owned(), "/dev/none".into())];
        let rows = rows(vec![port(&id, &device), port(&free, &free)], &buses);
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.used_by.as_deref(), row.held_by.is_some(), row.there))
            .collect();
        assert_eq!(
            seen,
            [(Some("hall"), false, true), (None, true, true), (Some("away"), false, false)]
        );
    }
}
