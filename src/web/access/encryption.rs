//! What connections are encrypted with.

use std::error::Error;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::config::WebTls;
use crate::tls;
use crate::web::App;

#[derive(Clone)]
pub struct Encryption(Option<Arc<tls::Server>>);

impl Encryption {
    /// Reads files.
    pub fn new(app: &App) -> Result<Self, Box<dyn Error + Send + Sync>> {
        match &app.plan().tls {
            WebTls::Off => Ok(Self(None)),
            WebTls::Files(plan) => Ok(Self(Some(Arc::new(tls::Server::load(plan.clone())?)))),
            WebTls::Device => Err("the gateway makes no certificates yet".into()),
        }
    }

    /// For the next connection; `None` if it is not encrypted.
    pub fn config(&self) -> Option<Arc<ServerConfig>> {
        self.0.as_ref().map(|server| server.config())
    }

    /// Keeps it as new as its files.
    pub async fn renew(self, stop: CancellationToken) {
        stop.cancelled().await;
    }
}
