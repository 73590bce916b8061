//! What the system lets the process have: files and sockets as many as it may, and no core dump.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the gateway has open beside the clients of its broker: buses, sensors, uplinks, the store.
const OTHERS: u64 = 512;

/// Takes as many as the system allows: services are started with a limit of 1,024 that they are
/// meant to raise themselves. Says so where `clients` can't all be connected.
pub fn raise_open_files(clients: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        limit.current = before;
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
    let wanted = u64::try_from(clients).unwrap_or(u64::MAX).saturating_add(OTHERS);
    if let Some(open_files) = limit.current.filter(|most| *most < wanted) {
        tracing::info!(open_files, clients, "the system allows fewer open files than clients");
    }
}

/// A process that crashes leaves its memory behind in a file; with the passwords and keys in it.
pub fn no_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may leave passwords and keys behind in a core dump");
    }
}
