//! What memory knows of a file when work goes on with it, and the transactions that begin and end that.

use rusqlite::{Connection, TransactionBehavior};

use crate::model::Class;
use crate::store::accounting::Reason;
use crate::store::audit::Audit;
use crate::store::checkpoint;
use crate::store::lane::Lane;
use crate::store::ledger::Loss;
use crate::store::ledger_rows;
use crate::store::per_class::PerClass;
use crate::store::rows::{self, LoadError};
use crate::store::schema::is_full;
use crate::store::state::State;
use crate::store::wear::WearRows;
use crate::store::work::RESERVE;

/// What a file that is opened again has of a class.
#[derive(Debug, Clone, Copy, Default)]
pub struct Had {
    /// Where its last chunk ends.
    pub end: u64,
    /// Up to where positions are reserved.
    pub reserved: u64,
}

/// How far a class goes in the file. Nothing lies beyond what is reserved, whatever the damaged
/// count of a chunk says.
pub fn reached(connection: &Connection, class: Class) -> Result<Had, LoadError> {
    let reserved = rows::needed_meta(connection, &rows::reserved_key(class))?;
    Ok(Had { end: rows::chunks_end(connection, class)?.min(reserved), reserved })
}

/// Everything but the chunks, as the file has it.
pub fn read_state(connection: &Connection, ram_bytes: usize) -> Result<State, LoadError> {
    let mut state = State::new(rows::needed_meta(connection, rows::EPOCH)?, 0, ram_bytes);
    let clean = rows::needed_meta(connection, rows::CLEAN)? == 1;
    state.disk.clean_start = clean;
    let mut next = PerClass::<u64>::default();
    for class in Class::ALL {
        let noted = rows::needed_meta(connection, &rows::next_key(class))?;
        // After an orderly end that is all there is to it.
        let end = if clean { 0 } else { reached(connection, class)?.end };
        *next.get_mut(class) = noted.max(end);
        let oldest = rows::first_chunk(connection, class, 0)?;
        *state.disk.oldest.get_mut(class) = oldest.map(|(_, read)| read);
    }
    let last = rows::meta(connection, rows::CONSUMER_LAST)?.unwrap_or(0);
    state.consumer_id_last = u32::try_from(last).unwrap_or(u32::MAX);
    state.consumers = rows::consumers(connection, &next)?;
    state.ledger = ledger_rows::load(connection, &state.consumers)?;
    if !clean {
        state.ledger.skip_ids();
    }
    state.tags = rows::tags(connection)?;
    state.boots = rows::boots(connection)?;
    // Nothing changes them as long as the clock goes on as before.
    state.times = state.boots.times(state.times.version);
    state.facts = rows::facts(connection)?;
    state.wear = rows::wear(connection)?;
    state.audit = Audit::resume(rows::audit_last(connection)?);
    for class in Class::ALL {
        let reserved = rows::needed_meta(connection, &rows::reserved_key(class))?;
        let next = *next.get(class);
        let head = if clean { next } else { next.max(reserved) };
        // Nothing may be given out before more is reserved.
        *state.lanes.get_mut(class) =
            Lane { head, reserved: head, scan_from: head, next_in_file: next, ..Lane::default() };
        if next < head {
            // Of these nobody knows whether they were ever given out: skipped, not lost.
            for consumer in &mut state.consumers {
                let share = consumer.shares.get_mut(class);
                share.cursor.settle_gone(next..head);
                share.version += 1;
                let name = consumer.name.as_str();
                let jump = Loss::of(Reason::Skipped, name, class, next..head);
                state.ledger.record(&Loss { n: 0, ..jump });
            }
        }
    }
    Ok(state)
}

/// Brings the WAL into the file before anything is added to it. What a crash left of its last
/// sector may be followed at once by the next frame, and a cut while that is written could take
/// commits in the same sector along. On a full disk it stays where it is.
pub fn bring_in(connection: &Connection) -> rusqlite::Result<()> {
    match checkpoint::run(connection, "PASSIVE") {
        Err(error) if !is_full(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The first transaction: positions are reserved before any is given out.
pub fn begin(connection: &mut Connection, state: &mut State) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    rows::put_meta(&transaction, rows::CLEAN, 0)?;
    for class in Class::ALL {
        let head = state.lanes.get(class).head;
        rows::put_meta(&transaction, &rows::next_key(class), head)?;
        rows::put_meta(&transaction, &rows::reserved_key(class), head + RESERVE)?;
    }
    // Rows of boots of which nothing is left would else pile up for ever.
    let used = Class::ALL.iter().filter_map(|class| *state.disk.oldest.get(*class));
    let oldest = used.map(|(boot, _)| boot).min().unwrap_or(state.boot).min(state.boot);
    if !may_have_salvaged(&transaction, state)? {
        state.boots.forget_before(oldest);
        rows::keep_boots(&transaction, &state.boots)?;
    }
    let work = state.rows_only();
    for share in &work.shares {
        rows::put_share(&transaction, share)?;
    }
    rows::put_boots(&transaction, &work.boots)?;
    ledger_rows::put(&transaction, &work.ledger)?;
    transaction.commit()?;
    for class in Class::ALL {
        let lane = state.lanes.get_mut(class);
        lane.reserved = lane.head + RESERVE;
    }
    state.committed(&work);
    Ok(())
}

/// Whether there may be chunks whose boots are older than those of the chunks before them.
fn may_have_salvaged(connection: &Connection, state: &State) -> rusqlite::Result<bool> {
    if !state.salvages.is_empty() {
        return Ok(true);
    }
    for class in Class::ALL {
        let upto = rows::meta(connection, &rows::salvaged_key(class)).ok().flatten().unwrap_or(0);
        let first = rows::first_chunk(connection, class, 0)?;
        if first.is_some_and(|(seq, _)| seq < upto) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notes an orderly end: positions go on at `heads`.
pub fn mark_clean(
    connection: &Connection,
    heads: &PerClass<u64>,
    wear: &WearRows,
) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for class in Class::ALL {
        rows::put_meta(&transaction, &rows::next_key(class), *heads.get(class))?;
    }
    rows::put_meta(&transaction, rows::CLEAN, 1)?;
    rows::put_wear(&transaction, wear)?;
    transaction.commit()
}
