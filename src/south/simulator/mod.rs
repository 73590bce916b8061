//! Simulated devices: register banks behind every wire and framing, with named faults.
//!
//! Used by `fieldhold simulate`, by the demonstration, by tests. The slave side is our own:
//! tokio-modbus's RTU server ends after 25 bytes of noise, and none can be made to misbehave.

mod bank;
mod faults;
mod field;
mod plant;
mod pty;
mod rtu;
mod signal;
mod slave;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod world;

pub use bank::Bank;
pub use faults::{Fault, Faults, Rule, names as fault_names};
pub use field::{Field, FieldAnswer, PUSH_ASSUMED};
pub use plant::{Meter, Press};
pub use pty::Pty;
pub use rtu::RtuSlave;
pub use signal::Signal;
#[cfg(test)]
pub(crate) use slave::serve;
pub use slave::{Asked, Deed, Tempo};
pub use tcp::TcpServer;
pub use udp::UdpServer;
pub use world::{Line, SetError, Start, Tag, World};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::config::Framing;

/// The devices of one line, shared between its server and whoever moves the values.
#[derive(Clone)]
pub struct Devices {
    bank: Arc<Mutex<Bank>>,
    faults: Arc<Mutex<Faults>>,
    /// The zero of the faults' times.
    begun: Instant,
}

impl Default for Devices {
    fn default() -> Self {
        Self::new(Bank::default())
    }
}

impl Devices {
    pub fn new(bank: Bank) -> Self {
        let (bank, faults) = (Arc::new(Mutex::new(bank)), Arc::default());
        Self { bank, faults, begun: Instant::now() }
    }

    /// With these faults on their line.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = Arc::new(Mutex::new(faults));
        self
    }

    pub fn bank(&self) -> MutexGuard<'_, Bank> {
        self.bank.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device that is off answers nothing, as if its power were cut.
    pub fn switch(&self, unit: u8, on: bool) {
        self.bank().switch(unit, on);
    }

    /// The right answer, if anyone answers, and what is done with it.
    pub(crate) fn respond(&self, asked: &Asked, framing: Framing) -> (Option<Vec<u8>>, Deed) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.respond(asked, framing, self.begun.elapsed(), || {
            let mut bank = self.bank();
            if framing != Framing::Tcp && asked.unit == 0 {
                bank.broadcast(&asked.pdu);
                return None;
            }
            bank.answer(asked.unit, &asked.pdu)
        })
    }
}
