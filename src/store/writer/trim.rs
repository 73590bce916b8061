//! What goes when room or time runs out: whole chunks, oldest first; first those that only
//! best-effort consumers wait for, then bulk, then normal, alarms last.
//!
//! A chunk that goes is dropped in memory first (accounts and ledger), and deleted by the next
//! transaction, which also holds the cursors that say so.

use rusqlite::params;

use super::Writer;
use crate::model::{Class, Clock, Mono};
use crate::store::accounting::Reason;
use crate::store::boot::Boots;
use crate::store::entry::{BootNo, Policy};
use crate::store::per_class::FIRST_TO_GO;
use crate::store::schema::chunk_table;
use crate::store::state::{State, Whom};
use crate::store::transaction::DELETE_MAX;

/// What a row takes in the file besides its body.
const ROW_BYTES: u64 = 64;

/// A chunk that has to go.
#[derive(Debug, Clone)]
pub struct Victim {
    pub class: Class,
    pub seq: u64,
    end: u64,
    boot: BootNo,
    from: Mono,
    to: Mono,
    bytes: u64,
}

impl State {
    /// Everything below is settled by all required consumers.
    fn required_below(&self, class: Class) -> u64 {
        let required = self.consumers.iter().filter(|c| c.policy == Policy::Required);
        let bases = required.map(|consumer| consumer.shares.get(class).cursor.base());
        bases.min().unwrap_or(self.lanes.get(class).head)
    }

    fn drop_victim(&mut self, victim: &Victim, reason: Reason) {
        let read =
            (self.boots.wall(victim.boot, victim.from), self.boots.wall(victim.boot, victim.to));
        let end = victim.end.min(self.lanes.get(victim.class).head);
        self.drop_range(victim.class, victim.seq..end, reason, Whom::Everyone, Some(read));
        self.after_settling(victim.class);
    }
}

impl Writer {
    /// Gives up as much as the file is over what it may hold now.
    pub fn trim_to_quota(&mut self) {
        let (over, why) = {
            let state = self.shared().lock();
            let over = state.disk.bytes.saturating_sub(state.disk.allowed);
            let why =
                if state.disk.allowed < state.disk.quota { Reason::Disk } else { Reason::Quota };
            (over, why)
        };
        if over == 0 {
            return;
        }
        if self.deleting_owed {
            // What is settled goes before what anyone waits for.
            self.delete_at = self.shared().clock.mono();
            self.shared().lock().dirty_now(self.delete_at);
            return;
        }
        self.trim_by(over, why);
    }

    /// Gives up about so many bytes for this reason, within the bound of one transaction.
    fn trim_by(&mut self, bytes: u64, why: Reason) {
        let mut left = bytes;
        for only_best_effort in [true, false] {
            for class in FIRST_TO_GO {
                while left > 0 && self.victims.len() < DELETE_MAX {
                    let Some(victim) = self.next_victim(class) else { break };
                    let mut state = self.shared().lock();
                    if only_best_effort && victim.end > state.required_below(class) {
                        break;
                    }
                    let reason = if only_best_effort { Reason::ConsumerLag } else { why };
                    state.drop_victim(&victim, reason);
                    drop(state);
                    left = left.saturating_sub(victim.bytes);
                    self.victims.push(victim);
                }
            }
        }
    }

    /// Gives up what is older than the configured age.
    pub fn trim_old(&mut self) {
        let max_age_ms = self.shared().options.max_age.as_millis();
        for class in FIRST_TO_GO {
            while self.victims.len() < DELETE_MAX {
                let Some(victim) = self.next_victim(class) else { break };
                let clock = std::sync::Arc::clone(&self.shared().clock);
                let mut state = self.shared().lock();
                if !is_old(&state.boots, &victim, max_age_ms, &*clock) {
                    break;
                }
                state.drop_victim(&victim, Reason::Age);
                state.dirty_now(clock.mono());
                drop(state);
                self.victims.push(victim);
            }
        }
    }

    /// The oldest chunk of a class that does not go already.
    fn next_victim(&mut self, class: Class) -> Option<Victim> {
        let after = self.victims.iter().filter(|v| v.class == class).map(|v| v.seq).max();
        let after = after.map_or(-1, u64::cast_signed);
        match oldest_after(self.connection()?, class, after) {
            Ok(victim) => victim,
            Err(error) => {
                self.failed("look for what to drop", &error);
                None
            }
        }
    }
}

fn is_old(boots: &Boots, victim: &Victim, max_age_ms: u128, clock: &dyn Clock) -> bool {
    boots.age_ms(victim.boot, victim.to, clock).is_some_and(|age| u128::from(age) > max_age_ms)
}

fn oldest_after(
    connection: &rusqlite::Connection,
    class: Class,
    after: i64,
) -> rusqlite::Result<Option<Victim>> {
    let sql = format!(
        "SELECT seq, n, boot, mono0, mono1, length(body) FROM {} WHERE seq > ?1
         ORDER BY seq LIMIT 2",
        chunk_table(class)
    );
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query(params![after])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (seq, n, bytes): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(5)?);
    let mut victim = Victim {
        class,
        seq: seq.cast_unsigned(),
        end: seq.saturating_add(n).cast_unsigned(),
        boot: BootNo(row.get(2)?),
        from: Mono(row.get(3)?),
        to: Mono(row.get(4)?),
        bytes: bytes.cast_unsigned() + ROW_BYTES,
    };
    // A chunk ends where the next one begins, whatever a damaged count says.
    if let Some(next) = rows.next()? {
        victim.end = victim.end.min(next.get::<_, i64>(0)?.cast_unsigned());
    }
    Ok(Some(victim))
}
