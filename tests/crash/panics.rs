//! Panics of the store's own threads, which nobody else would notice.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Begins to count, once for the process.
pub fn count() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name().is_some_and(|name| name.starts_with("store-")) {
                COUNT.fetch_add(1, Ordering::Relaxed);
            }
            before(info);
        }));
    });
}

pub fn counted() -> u64 {
    COUNT.load(Ordering::Relaxed)
}
