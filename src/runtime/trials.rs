//! Uplinks as a person tries them: every step to the broker from the plan alone, beside the
//! connection that runs, and the next attempt of that one at once.

use super::gateway::Gateway;
use crate::uplink::{Alone, Tried, beside, trial};

/// What a trial came to.
#[derive(Debug)]
pub struct Trial {
    /// The client id that stood in for the uplink's own.
    pub client_id: String,
    pub steps: Vec<Tried>,
    /// Whether a broker took the probe.
    pub good: bool,
}

impl Gateway {
    /// `None` without such an uplink.
    pub async fn try_uplink(&self, name: &str) -> Option<Result<Trial, Alone>> {
        let plan = self.plan().uplinks.into_iter().find(|uplink| uplink.name.as_str() == name)?;
        let client_id = match beside(&plan) {
            Ok(client_id) => client_id,
            Err(alone) => return Some(Err(alone)),
        };
        let mut steps = Vec::new();
        let mut tell = |tried| steps.push(tried);
        let (own, dir, now) = (Some(client_id.clone()), &self.secrets_dir, self.clock.wall());
        let good = trial(&plan, own, dir, now, &mut tell).await;
        Some(Ok(Trial { client_id, steps, good }))
    }

    /// Ends an uplink's wait for its next attempt; false without such an uplink.
    pub fn retry_uplink(&self, name: &str) -> bool {
        let uplinks = self.doors.uplinks();
        let found = uplinks.iter().find(|(own, _)| own.as_str() == name);
        found.inspect(|(_, port)| port.try_now()).is_some()
    }

    /// How much waited for an uplink over the last day; `None` where nothing is known of it.
    pub fn trend(&self, uplink: &str) -> Option<Vec<super::trend::Point>> {
        self.trend.of(uplink)
    }
}
