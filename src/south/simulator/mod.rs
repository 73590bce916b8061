//! A simulated plant: register banks behind Modbus TCP and Modbus RTU, with switches to break them.
//!
//! Used by the demonstration, by tests, and to try a configuration without the field. The slave
//! side is our own: tokio-modbus's RTU server ends after 25 bytes of noise.

mod bank;
mod plant;
mod pty;
mod rtu;
mod tcp;
#[cfg(test)]
mod tests;

pub use bank::Bank;
pub use plant::{Meter, Press};
pub use pty::Pty;
pub use rtu::RtuSlave;
#[cfg(test)]
pub(crate) use rtu::find_request;
pub use tcp::TcpServer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The devices of one line, shared between its server and whoever moves the values.
#[derive(Clone, Default)]
pub struct Devices(Arc<Mutex<Bank>>);

impl Devices {
    pub fn new(bank: Bank) -> Self {
        Self(Arc::new(Mutex::new(bank)))
    }

    pub fn bank(&self) -> MutexGuard<'_, Bank> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device that is off answers nothing, as if its power were cut.
    pub fn switch(&self, unit: u8, on: bool) {
        self.bank().switch(unit, on);
    }
}
