//! The broker's file as the router wants it.

use super::record::Saved;
use super::router::{Commit, KeepFile};
use crate::store::{Change, Keep, LeftOut};

pub struct Survival(pub Keep);

impl KeepFile for Survival {
    fn put(&self, changes: &mut Vec<Change>) {
        self.0.put(changes.drain(..));
    }

    fn committed(&self) -> Commit {
        let commit = self.0.committed();
        Box::pin(async move { commit.wait().await.map_err(|error| error.to_string()) })
    }

    fn take_renewed(&self) -> bool {
        self.0.take_renewed()
    }

    fn take_left_out(&self) -> Option<(LeftOut, usize)> {
        self.0.take_left_out()
    }

    fn leave_out(&self, left_out: &LeftOut) {
        self.0.leave_out(left_out);
    }
}

/// Everything that is there. Blocks.
pub fn read(keep: &Keep) -> Saved {
    Saved::read(|table, each| match keep.load(table, each) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "the broker's file can't be read to its end");
            false
        }
    })
}
