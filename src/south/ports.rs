//! The serial ports of this machine, as a person picks one: under the name that stays when it is
//! plugged in elsewhere, with what the adapter calls itself.
//!
//! Looks into `/dev` and `/sys` alone, so that no library of the system is needed. A port that the
//! kernel only thinks possible (a UART without a chip) is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::port::holder;

/// Ports that are listed.
const PORTS_MAX: usize = 64;
/// Steps from the port of a USB adapter up to the adapter itself.
const STEPS_MAX: usize = 5;
/// The type of a UART that is not there (`PORT_UNKNOWN`).
const NO_UART: &str = "0";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SerialPort {
    /// What to write into a configuration.
    pub path: PathBuf,
    /// Its name in `/dev`, which may be another one after the next start.
    pub device: PathBuf,
    /// What a USB adapter says it is.
    pub product: Option<String>,
    /// Which process has it open, as far as we may look.
    pub held_by: Option<String>,
}

/// Those of this machine now. Reads files.
pub fn serial_ports() -> Vec<SerialPort> {
    let mut ports = found(Path::new("/dev"), Path::new("/sys"));
    for port in &mut ports {
        port.held_by = holder(&port.device);
    }
    ports
}

fn found(dev: &Path, sys: &Path) -> Vec<SerialPort> {
    let lasting = lasting_names(&dev.join("serial/by-id"));
    let mut ports = Vec::new();
    for entry in std::fs::read_dir(sys.join("class/tty")).into_iter().flatten().flatten() {
        let device = dev.join(entry.file_name());
        // What is no device of its own is a terminal, a console or a pseudo terminal.
        let Ok(hardware) = std::fs::canonicalize(entry.path().join("device")) else { continue };
        let is_there = read(&entry.path().join("type")).is_none_or(|kind| kind != NO_UART);
        if !is_there || !device.exists() {
            continue;
        }
        let path = lasting.get(&device).unwrap_or(&device).clone();
        ports.push(SerialPort { path, device, product: product(&hardware), held_by: None });
    }
    ports.sort_by(|a, b| a.path.cmp(&b.path));
    ports.truncate(PORTS_MAX);
    ports
}

/// Names in `/dev` with the link that leads to each.
fn lasting_names(by_id: &Path) -> BTreeMap<PathBuf, PathBuf> {
    let entries = std::fs::read_dir(by_id).into_iter().flatten().flatten();
    let link =
        |entry: std::fs::DirEntry| Some((std::fs::canonicalize(entry.path()).ok()?, entry.path()));
    entries.filter_map(link).collect()
}

/// `FTDI FT232R USB UART`, from the adapter above the port.
fn product(hardware: &Path) -> Option<String> {
    let adapter = hardware.ancestors().take(STEPS_MAX).find(|at| at.join("product").exists())?;
    let product = read(&adapter.join("product"))?;
    match read(&adapter.join("manufacturer")) {
        Some(maker) if !product.starts_with(&maker) => Some(format!("{maker} {product}")),
        _ => Some(product),
    }
}

fn read(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let plain: String = text.trim().chars().filter(|c| !c.is_control()).take(100).collect();
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(file: &Path, text: &str) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::File::create(file).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn ports_are_those_with_hardware_under_the_name_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let (dev, sys) = (root.join("dev"), root.join("sys"));
        let tty = |name: &str, hardware: Option<&str>, kind: Option<&str>| {
            let at = sys.join("class/tty").join(name);
            fs::create_dir_all(&at).unwrap();
            put(&dev.join(name), "");
            if let Some(hardware) = hardware {
                fs::create_dir_all(sys.join(hardware)).unwrap();
                symlink(sys.join(hardware), at.join("device")).unwrap();
            }
            if let Some(kind) = kind {
                put(&at.join("type"), kind);
            }
        };
        tty("tty0", None, None);
        tty("ttyS0", Some("devices/pnp/00:04"), Some("4\n"));
        tty("ttyS1", Some("devices/platform/serial8250"), Some("0\n"));
        tty("ttyAMA0", Some("devices/platform/soc/uart"), Some("32\n"));
        tty("ttyUSB0", Some("devices/usb1/1-1/1-1:1.0/ttyUSB0"), None);
        put(&sys.join("devices/usb1/1-1/product"), "USB-RS485 Cable\n");
        put(&sys.join("devices/usb1/1-1/manufacturer"), "FTDI\n");
        fs::create_dir_all(dev.join("serial/by-id")).unwrap();
        let id = dev.join("serial/by-id/usb-FTDI_USB-RS485_FT1-if00-port0");
        symlink("../../ttyUSB0", &id).unwrap();
        let ports = found(&dev, &sys);
        let seen: Vec<_> = ports.iter().map(|p| (p.path.clone(), p.product.as_deref())).collect();
        assert_eq!(
            seen,
            [
                (id, Some("FTDI USB-RS485 Cable")),
                (dev.join("ttyAMA0"), None),
                (dev.join("ttyS0"), None),
            ]
        );
        assert_eq!(ports[0].device, dev.join("ttyUSB0"));
        assert_eq!(found(&root.join("nothing"), &root.join("nothing")), []);
    }
}
