//! The demonstration plant, ready to run: the press behind Modbus TCP, the meter on a pseudo
//! terminal, and the switches a visitor wants to try.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Meter, Press, Pty, RtuSlave, TcpServer};

/// How often the values move.
const STEP: Duration = Duration::from_millis(50);
/// The meter's line, as in `configs/demo.yaml`, and how long it thinks.
const BAUD: u32 = 19_200;
const TURNAROUND: Duration = Duration::from_millis(4);

const PRESS: u8 = 1;
const METER: u8 = 3;

/// The switches; cheap to clone.
#[derive(Clone)]
pub struct Demo {
    pub press: Press,
    pub meter: Meter,
    plugged: watch::Sender<bool>,
    address: SocketAddr,
}

/// What moves and answers.
pub struct DemoRunner {
    demo: Demo,
    server: TcpServer,
    port: PathBuf,
    plugged: watch::Receiver<bool>,
}

/// Binds the press to `tcp` (port 0 takes a free one) and puts the meter's line at `port`, which
/// becomes a symbolic link.
pub async fn demo(tcp: SocketAddr, port: &Path) -> io::Result<(Demo, DemoRunner)> {
    let (press, meter) = (Press::new(), Meter::new());
    let server = TcpServer::bind(tcp, press.devices().clone()).await?;
    let (switch, plugged) = watch::channel(true);
    let address = server.address()?;
    let demo = Demo { press, meter, plugged: switch, address };
    let runner = DemoRunner { demo: demo.clone(), server, port: port.to_owned(), plugged };
    Ok((demo, runner))
}

impl Demo {
    /// Where the press answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts or restores the press's power; its TCP connection stays.
    pub fn switch_press(&self, on: bool) {
        self.press.devices().switch(PRESS, on);
    }

    pub fn switch_meter(&self, on: bool) {
        self.meter.devices().switch(METER, on);
    }

    /// Pulls out the USB adapter of the meter's line, or puts it back.
    pub fn plug_line(&self, plugged: bool) {
        let _ = self.plugged.send(plugged);
    }

    pub fn is_line_plugged(&self) -> bool {
        *self.plugged.borrow()
    }
}

impl DemoRunner {
    /// Plays the plant until stopped.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let Self { demo, server, port, plugged } = self;
        tokio::select! {
            result = server.run(stop.clone()) => result,
            result = line(&demo.meter, &port, plugged, stop) => result,
            () = move_values(&demo) => Ok(()),
        }
    }
}

async fn move_values(demo: &Demo) {
    let started = Instant::now();
    let mut steps = tokio::time::interval(STEP);
    loop {
        steps.tick().await;
        let time = started.elapsed();
        demo.press.advance(time);
        demo.meter.advance(time);
    }
}

/// The meter's line: there while it is plugged in.
async fn line(
    meter: &Meter,
    port: &Path,
    mut plugged: watch::Receiver<bool>,
    stop: CancellationToken,
) -> io::Result<()> {
    loop {
        let is_plugged = *plugged.borrow_and_update();
        if is_plugged {
            let pty = Pty::open_at(port)?;
            let slave = RtuSlave::new(meter.devices().clone()).with_speed(BAUD, TURNAROUND);
            tokio::select! {
                result = slave.run(pty, stop.clone()) => return result,
                changed = plugged.changed() => changed.map_err(io::Error::other)?,
            }
        } else {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = plugged.changed() => changed.map_err(io::Error::other)?,
            }
        }
    }
}
