//! Opening a serial port, exclusively and with its settings checked.
//!
//! The library takes TIOCEXCL and an exclusive `flock`; a second opener is named by looking for it
//! in `/proc`. Some drivers silently ignore a baud rate they don't have, so it is read back. What a
//! port could not be given, and can do without, is a remark.

use std::io::{self, Write as _};
use std::path::Path;

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use serial2::rs4xx::Rs485Config;
use tokio_serial::{SerialPort as _, SerialStream};

use crate::config::{Parity, Rs485, SerialLine, Switching};

/// Where the kernel shows its devices.
const SYSFS: &str = "/sys";

/// A port, and what is to be known about it.
pub(crate) struct Opened {
    pub(crate) stream: SerialStream,
    pub(crate) remarks: Vec<String>,
}

/// Opens the port; needs a tokio runtime around it. The error's text says what to do.
pub(crate) fn open(line: &SerialLine) -> io::Result<Opened> {
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
    let mut remarks: Vec<String> =
        lower_latency(Path::new(SYSFS), &line.port).err().into_iter().collect();
    // Once the port is ours, nobody can open it any more: the mode needs a descriptor from before.
    let before = match line.switching {
        Switching::Driver(mode) => open_plainly(&line.port).ok().map(|port| (port, mode)),
        Switching::Adapter | Switching::Gateway(_) => None,
    };
    let port = SerialStream::open(&builder).map_err(|error| explain(error, &line.port))?;
    let baud = port.baud_rate().map_err(io::Error::from)?;
    if baud != line.baud {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the port runs at {baud} baud, its driver does not know {}", line.baud),
        ));
    }
    if let Some((descriptor, mode)) = before {
        remarks.extend(set_rs485(descriptor, mode)?);
    }
    Ok(Opened { stream: port, remarks })
}

fn open_plainly(port: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(port, flags, Mode::empty())?)
}

/// A remark if the driver has no such mode; an error if it is required.
fn set_rs485(descriptor: OwnedFd, mode: Rs485) -> io::Result<Option<String>> {
    let mut config = Rs485Config::new();
    config.set_invert_rts(!mode.rts_high);
    config.set_delay_before_send(mode.delay_before);
    config.set_delay_after_send(mode.delay_after);
    let port = serial2::SerialPort::from(descriptor);
    let Err(error) = port.set_rs4xx_mode(config) else { return Ok(None) };
    let why = format!("the port's driver has no RS-485 mode (rs485): {error}");
    if mode.required { Err(io::Error::new(error.kind(), why)) } else { Ok(Some(why)) }
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
pub(super) fn holder(port: &Path) -> Option<String> {
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
/// works all the same, and the remark says so.
fn lower_latency(sysfs: &Path, port: &Path) -> Result<(), String> {
    let Ok(port) = std::fs::canonicalize(port) else { return Ok(()) };
    let Some(name) = port.file_name() else { return Ok(()) };
    let timer = sysfs.join("class/tty").join(name).join("device/latency_timer");
    // Other adapters have none.
    let Ok(now) = std::fs::read_to_string(&timer) else { return Ok(()) };
    let now = now.trim();
    if now == "1" {
        return Ok(());
    }
    let set = std::fs::OpenOptions::new().write(true).open(&timer);
    set.and_then(|mut file| file.write_all(b"1")).map_err(|error| {
        let timer = timer.display();
        format!("the adapter holds answers back for {now} ms: {timer} can't be set to 1 ({error})")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::south::simulator::Pty;

    fn line(port: &Path, switching: Switching) -> SerialLine {
        SerialLine {
            port: port.to_owned(),
            baud: 19_200,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 1,
            switching,
        }
    }

    fn driver(required: bool) -> Switching {
        let delay = Duration::from_millis(1);
        Switching::Driver(Rs485 {
            rts_high: true,
            delay_before: delay,
            delay_after: delay,
            required,
        })
    }

    #[tokio::test]
    async fn a_driver_without_the_mode_is_a_remark_or_an_error() {
        let pty = Pty::open().unwrap();
        let opened = open(&line(pty.path(), driver(false))).unwrap();
        assert_eq!(opened.remarks.len(), 1);
        assert!(opened.remarks[0].contains("no RS-485 mode"), "{:?}", opened.remarks);
        drop(opened);
        let error = open(&line(pty.path(), driver(true))).err().unwrap().to_string();
        assert!(error.contains("no RS-485 mode"), "{error}");
        assert_eq!(open(&line(pty.path(), Switching::Adapter)).unwrap().remarks, [""; 0]);
    }

    #[test]
    fn the_latency_timer_is_set_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let port = dir.path().join("ttyUSB7");
        std::fs::File::create(&port).unwrap();
        assert_eq!(lower_latency(dir.path(), &port), Ok(()), "no FTDI adapter");
        let device = dir.path().join("class/tty/ttyUSB7/device");
        std::fs::create_dir_all(&device).unwrap();
        let timer = device.join("latency_timer");
        std::os::unix::fs::symlink(&port, dir.path().join("by-id")).unwrap();
        let write = |text: &str| {
            let mut file = std::fs::File::create(&timer).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        write("16\n");
        assert_eq!(lower_latency(dir.path(), &dir.path().join("by-id")), Ok(()));
        assert!(std::fs::read_to_string(&timer).unwrap().starts_with('1'));
        // What can't be written, whoever asks: a full device.
        std::fs::remove_file(&timer).unwrap();
        std::os::unix::fs::symlink("/proc/self/status", &timer).unwrap();
        let remark = lower_latency(dir.path(), &port).unwrap_err();
        assert!(remark.contains("can't be set to 1"), "{remark}");
    }
}
