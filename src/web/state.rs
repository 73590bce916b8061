//! What every route gets: the gateway, the way to change it, and what the page itself keeps.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OnceCell, watch};

use crate::config::WebPlan;
use crate::model::{Clock, Mono};
use crate::runtime::{Gateway, Logs, Setup, SetupStatus};

use super::access::{Access, Opening, Who};
use super::api::demo::Demo;
use super::draft::Drafts;
use super::events::Events;
use super::problem::Problem;

/// What the page stands on.
pub struct Deps {
    pub gateway: Arc<Gateway>,
    pub setup: Setup,
    pub clock: Arc<dyn Clock>,
    /// The newest lines of the log.
    pub logs: Logs,
    /// Where accounts and certificates are kept; `None`: nowhere, they end with the process.
    pub state_dir: Option<PathBuf>,
    /// A demonstration: everyone is an administrator, and has its switches.
    pub demo: Option<Demo>,
}

/// The state of the page, shared by all requests.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    plan: Arc<WebPlan>,
    access: Arc<Access>,
}

/// What outlives a change of how the page is served.
pub(super) struct Shared {
    deps: Deps,
    events: Events,
    /// Accounts and sessions, from the moment they could be read.
    access: OnceCell<Arc<Access>>,
    draft: Drafts,
    started: Mono,
    /// The page can be called, or is not wanted.
    up: AtomicBool,
}

impl Shared {
    pub fn new(deps: Deps) -> Self {
        let draft = Drafts::new(deps.state_dir.as_deref());
        let started = deps.clock.mono();
        let (events, access) = (Events::default(), OnceCell::new());
        Self { deps, events, access, draft, started, up: AtomicBool::new(false) }
    }

    /// Who may use the page. What can't be read now may be readable later.
    pub async fn access(&self) -> Result<Arc<Access>, Opening> {
        let open = async || {
            let dir = self.deps.state_dir.clone().filter(|_| self.deps.demo.is_none());
            let clock = Arc::clone(&self.deps.clock);
            let opened = crate::runtime::blocking(move || Access::open(dir.as_deref(), clock));
            opened.await.map_err(|_| Opening::Stopping)?.map(Arc::new)
        };
        self.access.get_or_try_init(open).await.cloned()
    }

    pub fn deps(&self) -> &Deps {
        &self.deps
    }

    pub fn started(&self) -> Mono {
        self.started
    }

    pub fn set_up(&self) {
        self.up.store(true, Ordering::Relaxed);
    }

    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// How the configuration that runs wants the page served; `None`: not at all.
    pub fn plan(&self) -> Option<WebPlan> {
        self.deps.gateway.plan().web
    }

    /// Whenever the configuration changed.
    pub fn changes(&self) -> watch::Receiver<SetupStatus> {
        self.deps.setup.status()
    }
}

impl App {
    pub(super) async fn new(shared: Arc<Shared>, plan: WebPlan) -> Result<Self, Opening> {
        let access = shared.access().await?;
        Ok(Self { shared, plan: Arc::new(plan), access })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// It can be called from now on.
    pub fn set_up(&self) {
        self.shared.set_up();
    }

    /// Accounts, sessions, and the audit.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Notes in the audit what somebody did; before it is answered.
    pub async fn audit(&self, who: &Who, what: &str, detail: &str) -> Result<(), Problem> {
        Ok(self.access.audit(who, what, detail).await?)
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.shared.deps.gateway
    }

    pub fn setup(&self) -> &Setup {
        &self.shared.deps.setup
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.deps.clock
    }

    pub fn logs(&self) -> &Logs {
        &self.shared.deps.logs
    }

    /// When the page began, and the process a moment before.
    pub fn started(&self) -> Mono {
        self.shared.started
    }

    /// How the page is served.
    pub fn plan(&self) -> &WebPlan {
        &self.plan
    }

    pub fn state_dir(&self) -> Option<&PathBuf> {
        self.shared.deps.state_dir.as_ref()
    }

    pub fn demo(&self) -> bool {
        self.shared.deps.demo.is_some()
    }

    pub fn demonstration(&self) -> Option<&Demo> {
        self.shared.deps.demo.as_ref()
    }

    /// The next configuration, while people work on it.
    pub fn draft(&self) -> &Drafts {
        &self.shared.draft
    }

    pub fn events(&self) -> &Events {
        &self.shared.events
    }
}
