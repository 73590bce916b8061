//! Where a gateway keeps its state: said in one way for every command that asks or looks.

use std::path::PathBuf;

use super::{BadConfig, ConfigArgument, load};
use crate::store;

/// The state directory: as given, or as the configuration says.
#[derive(Debug, clap::Args)]
pub struct StateArgument {
    #[command(flatten)]
    config: ConfigArgument,
    /// The state directory of the gateway, instead of looking it up in the configuration
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// The store of a gateway, or a copy of its file.
#[derive(Debug, clap::Args)]
pub struct StoreArgument {
    #[command(flatten)]
    state: StateArgument,
    /// A copy of a store's file: queue.db, with its queue.db-wal beside it if there was one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state_dir", "config"])]
    file: Option<PathBuf>,
}

/// A store's file, and the state directory of the gateway that may be using it.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: PathBuf,
    /// `None` for a copy, which no gateway uses.
    pub state_dir: Option<PathBuf>,
}

impl StateArgument {
    pub fn config(&self) -> &ConfigArgument {
        &self.config
    }

    pub fn dir(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.state_dir {
            return Ok(dir.clone());
        }
        let plan = load(&self.config.config).map_err(|_| {
            // A gateway goes on by the file as it was before somebody edited it.
            eprintln!("with --state-dir DIR the gateway and its files are found all the same");
            BadConfig
        })?;
        self.dir_of(&plan)
    }

    /// As [`StateArgument::dir`], for who has loaded the configuration already.
    pub fn dir_of(&self, plan: &crate::config::Plan) -> anyhow::Result<PathBuf> {
        match self.state_dir.as_ref().or(plan.store.path.as_ref()) {
            Some(dir) => Ok(dir.clone()),
            None => anyhow::bail!(
                "this gateway has no state directory (`store: path: none`): there is no file to \
                 look into, and no socket to ask it"
            ),
        }
    }
}

impl StoreArgument {
    pub fn place(&self) -> anyhow::Result<Place> {
        if let Some(file) = &self.file {
            return Ok(Place { file: file.clone(), state_dir: None });
        }
        let dir = self.state.dir()?;
        Ok(Place { file: store::database(&dir), state_dir: Some(dir) })
    }
}
