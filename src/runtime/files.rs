//! How many files and sockets the process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

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
