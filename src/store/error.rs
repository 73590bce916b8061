//! What can go wrong with the store, as seen from outside.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Blame, Retry};

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("the store in {} is in use by another process", dir.display())]
    Locked { dir: PathBuf },
    #[error("the store directory {} can't be used", dir.display())]
    Directory {
        dir: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("there is no store file {}", file.display())]
    Missing { file: PathBuf },
    #[error("the store file {} can't be looked into", file.display())]
    Look {
        file: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("no uplink of this store is called {name:?}; it knows {}", known.join(", "))]
    NoConsumer { name: String, known: Vec<String> },
    #[error("could not start the store's thread")]
    Thread(#[source] Arc<io::Error>),
    #[error("could not {doing}")]
    Sqlite {
        doing: &'static str,
        #[source]
        source: Arc<rusqlite::Error>,
    },
    #[error("the row of {what} is damaged; the gateway will set the file aside when it starts")]
    Damaged { what: &'static str },
    #[error("the message was dropped for want of room before it was safe")]
    Dropped,
    #[error("what the broker keeps could not be made safe: {why}")]
    NotKept { why: String },
    #[error("what the broker kept can't be read: {why}")]
    Unread { why: String },
    #[error("what the broker keeps can't be copied: {why}")]
    Uncopied { why: String },
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub fn blame(&self) -> Blame {
        match self {
            Self::Locked { .. }
            | Self::Directory { .. }
            | Self::Missing { .. }
            | Self::Look { .. }
            | Self::NoConsumer { .. } => Blame::Config,
            Self::Sqlite { .. }
            | Self::Damaged { .. }
            | Self::Dropped
            | Self::NotKept { .. }
            | Self::Unread { .. }
            | Self::Uncopied { .. } => Blame::Disk,
            Self::Thread(_) | Self::Closed => Blame::Us,
        }
    }

    pub fn retry(&self) -> Retry {
        match self {
            Self::Sqlite { .. }
            | Self::Dropped
            | Self::NotKept { .. }
            | Self::Uncopied { .. }
            | Self::Locked { .. }
            | Self::Thread(_) => Retry::Later,
            Self::Directory { .. }
            | Self::NoConsumer { .. }
            | Self::Missing { .. }
            | Self::Look { .. }
            | Self::Damaged { .. }
            | Self::Unread { .. }
            | Self::Closed => Retry::Never,
        }
    }
}
