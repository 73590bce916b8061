//! How many connections each address has: one host that opens all of them leaves room for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part of all connections that one address may have.
const SHARE: usize = 4;

#[derive(Debug, Clone)]
pub struct Crowd {
    of_one_max: usize,
    here: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    address: IpAddr,
    crowd: Crowd,
}

impl Crowd {
    /// Of so many connections in all, which bounds the table as well.
    pub fn new(connections: usize) -> Self {
        Self { of_one_max: (connections / SHARE).max(1), here: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the address has its share.
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        let mut here = self.lock();
        let own = here.entry(address).or_default();
        if *own >= self.of_one_max {
            return None;
        }
        *own += 1;
        Some(Place { address, crowd: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut here = self.crowd.lock();
        if let Some(own) = here.get_mut(&self.address) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                here.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_gives_it_back() {
        let crowd = Crowd::new(16);
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut places: Vec<_> = (0..4).map(|_| crowd.place(one).unwrap()).collect();
        assert!(crowd.place(one).is_none());
        assert!(crowd.place(other).is_some());
        places.pop();
        assert!(crowd.place(one).is_some());
        places.clear();
        assert!(crowd.lock().is_empty());
    }
}
