//! Why a file can't be used, and whether that is its own fault.

use std::io;

use crate::store::rows::LoadError;
use crate::store::schema::{CreateError, is_damage, is_full};

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the file in its place is another one")]
    Replaced,
}

impl From<rusqlite::Error> for FileError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Load(error.into())
    }
}

impl FileError {
    /// Whether the file itself is bad, so that only setting it aside helps.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Load(LoadError::Damaged(_)) | Self::Replaced => true,
            Self::Load(LoadError::Sqlite(error)) => is_damage(error),
            Self::Create(_) | Self::Io(_) => false,
        }
    }

    /// Whether it says itself that there was no room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Load(LoadError::Sqlite(error)) | Self::Create(CreateError::Sqlite(error)) => {
                is_full(error)
            }
            Self::Create(CreateError::Io(error)) | Self::Io(error) => {
                error.kind() == io::ErrorKind::StorageFull
            }
            Self::Load(LoadError::Damaged(_)) | Self::Replaced => false,
        }
    }
}
