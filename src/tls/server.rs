//! What a listener shows of itself, kept as new as its files without a restart.
//!
//! Invariant: once loaded there is always a configuration to take connections with. Files that
//! changed and don't fit each other (a renewal writes one after the other) leave the one before in
//! use, are said once, and are tried again. Reads files: [`Server::refresh`] is not for an async
//! task.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;

use super::{TlsError, certificate, certificates, private_key, roots_in, server_config};
use crate::config::ServerTlsPlan;
use crate::model::Wall;

pub struct Server {
    plan: ServerTlsPlan,
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    valid_until: Option<Wall>,
    stamps: Vec<Option<Stamp>>,
    /// Why the files as they are now can't be used.
    problem: Option<String>,
}

/// Tells one content of a file from another: seconds and nanoseconds of its change, length, inode.
type Stamp = (i64, i64, u64, u64);

/// A listener's certificate at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub valid_until: Option<Wall>,
    /// Why the files as they are now are not the ones in use.
    pub problem: Option<String>,
}

impl Server {
    /// Loads the files.
    pub fn load(plan: ServerTlsPlan) -> Result<Self, TlsError> {
        // Stamped before they are read: a change in between is seen at the next look.
        let stamps = stamps(&plan);
        let (config, valid_until) = load(&plan)?;
        let state = State { config, valid_until, stamps, problem: None };
        Ok(Self { plan, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn plan(&self) -> &ServerTlsPlan {
        &self.plan
    }

    /// For the next connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.lock().config)
    }

    pub fn shown(&self) -> Shown {
        let state = self.lock();
        Shown { valid_until: state.valid_until, problem: state.problem.clone() }
    }

    /// Loads the files anew if one of them has changed.
    pub fn refresh(&self) {
        let stamps = stamps(&self.plan);
        {
            let state = self.lock();
            if state.stamps == stamps && state.problem.is_none() {
                return;
            }
        }
        let loaded = load(&self.plan);
        let certificate = self.plan.certificate.display();
        let mut state = self.lock();
        state.stamps = stamps;
        match loaded {
            Ok((config, valid_until)) => {
                tracing::info!(%certificate, "the certificate was renewed");
                (state.config, state.valid_until, state.problem) = (config, valid_until, None);
            }
            Err(error) => {
                let problem = error.to_string();
                if state.problem.as_ref() != Some(&problem) {
                    tracing::warn!(%certificate, %error, "the certificate before stays in use");
                }
                state.problem = Some(problem);
            }
        }
    }
}

/// All that is wrong with the files of a listener, and else until when its certificate is valid.
pub fn inspect(plan: &ServerTlsPlan) -> Result<Option<Wall>, Vec<TlsError>> {
    let of_files = [
        certificates("certificate", &plan.certificate).err(),
        private_key("key", &plan.key).err(),
        plan.client_ca.as_deref().and_then(|path| roots_in(path).err()),
    ];
    let wrong: Vec<_> = of_files.into_iter().flatten().collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    load(plan).map(|(_, valid_until)| valid_until).map_err(|error| vec![error])
}

fn load(plan: &ServerTlsPlan) -> Result<(Arc<ServerConfig>, Option<Wall>), TlsError> {
    let config = server_config(&plan.certificate, &plan.key, plan.client_ca.as_deref())?;
    let chain = certificates("certificate", &plan.certificate)?;
    Ok((Arc::new(config), chain.first().and_then(certificate::valid_until)))
}

fn stamps(plan: &ServerTlsPlan) -> Vec<Option<Stamp>> {
    let files = [&plan.certificate, &plan.key].into_iter().chain(&plan.client_ca);
    files.map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.mtime(), data.mtime_nsec(), data.size(), data.ino()))
}
