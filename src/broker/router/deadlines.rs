//! What happens because time passes: keep-alive, stuck clients, delayed wills, the end of sessions,
//! expiry; and the end of everything.

use std::time::Duration;

use super::Router;
use crate::broker::packet::Reason;
use crate::broker::session::{Close, ConnId};
use crate::broker::trie::SessionKey;
use crate::model::Mono;

/// A client that reads nothing for this long while something waits for it is cut.
const STUCK_MAX: Duration = Duration::from_secs(30);
/// Retained messages are swept for expired ones this often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

impl Router {
    /// Deadlines: keep-alive, stuck clients, delayed wills, the end of sessions, expiry.
    pub fn tick(&mut self, now: Mono) {
        self.tick_file(now);
        for place in 0..self.sessions.len() {
            let Ok(place) = u32::try_from(place) else { break };
            self.tick_session(SessionKey(place), now);
        }
        if now - self.swept_at >= SWEEP_EVERY {
            self.swept_at = now;
            for topic in self.retained.sweep(now) {
                self.round.change_retained(&topic, None, now);
            }
        }
    }

    fn tick_session(&mut self, key: SessionKey, now: Mono) {
        let Some(session) = self.session(key) else { return };
        session.gauge.measure(now);
        if let Some(link) = &mut session.link {
            if link.is_silent(now) {
                tracing::info!(client = %session.client_id, "client silent, closed by keep-alive");
                self.close(key, Close::Fault(Reason::KEEP_ALIVE_TIMEOUT), now);
            } else if link.stuck_for(now) >= STUCK_MAX {
                tracing::warn!(client = %session.client_id, "client does not read, connection cut");
                self.counters.slow_cut.one();
                self.close(key, Close::Cut, now);
            }
            return self.release_waiters(key, now);
        }
        let will_due = session.will_at.is_some_and(|at| at <= now);
        let over = session.ends_at.is_some_and(|at| at <= now);
        if will_due || over {
            self.publish_will(key, now);
        }
        if over {
            self.end_session(key);
        }
    }

    /// Ends every connection because the gateway stops.
    pub fn shut_down(&mut self, now: Mono) {
        // What ends from here on ends only for this run: the next one begins as after a crash, and
        // publishes the wills of those that were connected.
        self.persist();
        self.round.stop();
        let conns: Vec<ConnId> = self.by_conn.keys().copied().collect();
        for conn in conns {
            if let Some(&key) = self.by_conn.get(&conn) {
                // No will: nobody would be left to get it.
                if let Some(session) = self.session(key) {
                    session.will = None;
                }
                self.close(key, Close::Fault(Reason::SHUTTING_DOWN), now);
            }
        }
    }
}
