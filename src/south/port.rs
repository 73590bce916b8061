//! Opening a serial port, exclusively and with its settings checked.
//!
//! The library takes TIOCEXCL and an exclusive `flock`; a second opener is named by looking for it
//! in `/proc`. Some drivers silently ignore a baud rate they don't have, so it is read back.

use std::io::{self, Write as _};
use std::path::Path;

use tokio_serial::{SerialPort as _, SerialStream};

use crate::config::{Parity, SerialLine};

/// Opens the port; needs a tokio runtime around it. The error's text says what to do.
pub(crate) fn open(line: &SerialLine) -> io::Result<SerialStream> {
    let path = line.port.to_string_lossy();
    let builder = tokio_serial::new(path.as_ref(), line.baud)
        .data_bits(match line.data_bits {
            7 => tokio_serial::DataBits::Seven,
            _ => tokio_serial::DataBits::Eight,
        })
        .parity(match line.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .stop_bits(match line.stop_bits {
            2 => tokio_serial::StopBits::Two,
            _ => tokio_serial::StopBits::One,
        })
        .flow_control(tokio_serial::FlowControl::None);
    lower_latency(&line.port);
    let port = SerialStream::open(&builder).map_err(|error| explain(error, &line.port))?;
    let baud = port.baud_rate().map_err(io::Error::from)?;
    if baud != line.baud {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the port runs at {baud} baud, its driver does not know {}", line.baud),
        ));
    }
    Ok(port)
}

fn explain(error: tokio_serial::Error, port: &Path) -> io::Error {
    let error = io::Error::from(error);
    let advice = match (error.kind(), holder(port)) {
        (_, Some(holder)) => format!("{holder} has it open"),
        (io::ErrorKind::NotFound, None) => {
            "is the adapter plugged in? `ls /dev/serial/by-id` lists the ports".to_owned()
        }
        (io::ErrorKind::PermissionDenied, None) => {
            "the gateway's user may not use it: add it to the port's group, mostly dialout"
                .to_owned()
        }
        _ if !is_terminal(port) => "this is not a serial port".to_owned(),
        _ => return io::Error::new(error.kind(), format!("{}: {error}", port.display())),
    };
    io::Error::new(error.kind(), format!("{}: {error}; {advice}", port.display()))
}

/// Whether it is a device of characters, as serial ports are, and not a file or a directory.
fn is_terminal(port: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(port).is_ok_and(|metadata| metadata.file_type().is_char_device())
}

/// Which other process has this port open, as far as we may look.
fn holder(port: &Path) -> Option<String> {
    let port = std::fs::canonicalize(port).ok()?;
    let own = std::process::id().to_string();
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let open = files
            .flatten()
            .any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == port));
        if open {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let whose =
                if pid == own { "this process".to_owned() } else { format!("process {pid}") };
            return Some(format!("{whose} ({})", name.trim()));
        }
    }
    None
}

/// FTDI adapters hold bytes back for 16 ms by default, which would triple the time of a fast
/// line's request, and forget the setting when replugged. Without the right to change it the line
/// works all the same.
fn lower_latency(port: &Path) {
    let Ok(port) = std::fs::canonicalize(port) else { return };
    let Some(name) = port.file_name() else { return };
    let timer = Path::new("/sys/class/tty").join(name).join("device/latency_timer");
    if let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(timer) {
        let _ = file.write_all(b"1");
    }
}
