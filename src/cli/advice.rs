//! What a person can do about an error of the command line: one table for all of them.
//!
//! An error says what went wrong and where; this adds the next step, where the text does not have
//! one already.

use std::io;

use crate::runtime::control::ControlError;
use crate::south::probe::ProbeError;
use crate::store::StoreError;

/// The next step after this error.
pub fn advice(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let store = cause.downcast_ref().map(of_store);
        let probe = || cause.downcast_ref().map(ProbeError::advice);
        let control = || cause.downcast_ref().map(of_control);
        store.or_else(probe).or_else(control).flatten()
    })
}

fn of_store(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Locked { .. } => Some(
            "is this gateway running already? `fieldhold status` shows it; two gateways on one \
             machine need a `store: path` each",
        ),
        StoreError::Directory { .. } => Some(
            "make the directory, writable for the user who runs the gateway, or choose another one \
             with `store: path`",
        ),
        StoreError::Missing { .. } => {
            Some("is this `store: path` of the configuration, and did the gateway ever run?")
        }
        StoreError::Look { .. } => {
            Some("only the user who runs the gateway may; use that user, or sudo")
        }
        StoreError::Sqlite { .. } => Some("is the disk full, or read-only? `df` and `dmesg` tell"),
        StoreError::Thread(_) => Some("the system has no memory or no threads left"),
        StoreError::NoConsumer { .. }
        | StoreError::Damaged { .. }
        | StoreError::Dropped
        | StoreError::NotKept { .. }
        | StoreError::Unread { .. }
        | StoreError::Uncopied { .. }
        | StoreError::Closed => None,
    }
}

fn of_control(error: &ControlError) -> Option<&'static str> {
    match error {
        ControlError::TooLong { .. } => Some("give the store a shorter `path`"),
        ControlError::Io { source, .. } => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Some(
                "the gateway is not running, or with another `store: path`; `fieldhold run` starts it",
            ),
            io::ErrorKind::PermissionDenied => {
                Some("only the user who runs the gateway may ask it; use that user, or sudo")
            }
            _ => None,
        },
    }
}

/// The error with all its causes and what to do, in one line.
pub fn explain(error: &anyhow::Error) -> String {
    match advice(error) {
        Some(advice) => format!("{error:#}; {advice}"),
        None => format!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_next_step_follows_the_causes() {
        let locked = StoreError::Locked { dir: "state/store".into() };
        let error = Err::<(), _>(locked).context("can't start").unwrap_err();
        let text = explain(&error);
        assert!(text.starts_with("can't start: the store in state/store is in use"), "{text}");
        assert!(text.contains("; is this gateway running already?"), "{text}");
        assert_eq!(explain(&anyhow::anyhow!("just so")), "just so");
    }

    #[test]
    fn whoever_asks_a_gateway_that_is_not_there_is_told_so() {
        for (kind, word) in [
            (io::ErrorKind::NotFound, "not running"),
            (io::ErrorKind::ConnectionRefused, "not running"),
            (io::ErrorKind::PermissionDenied, "sudo"),
        ] {
            let error = ControlError::Io { path: "x".into(), source: kind.into() };
            assert!(explain(&error.into()).contains(word));
        }
        let error = ControlError::TooLong { path: "x".into() };
        assert!(explain(&error.into()).contains("shorter"));
    }
}
