//! Whether the file in use is sound: SQLite's `quick_check`, after an unclean stop.
//!
//! It takes 14 s for 661 MB, so it never stands in the start's way: it runs on a connection of its
//! own, with pauses. It holds a read transaction, in which the log can't be emptied:
//! when the log grows long it gives up.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::survey::log_of;
use crate::store::schema;
use crate::store::shared::Shared;
use crate::store::status::Check;

/// After so many steps of SQLite's (a page, a row) it pauses.
const STEPS: i32 = 500;
const PAUSE: Duration = Duration::from_millis(1);
/// Longest log that is put up with (the log's bound is 4 MB).
const LOG_BYTES_MAX: u64 = 3 << 20;
/// Most problems told of.
const PROBLEMS_MAX: i64 = 3;

/// Checks, notes the result in the status, and has a damaged file set aside.
pub fn check(shared: &Arc<Shared>, path: &Path) {
    shared.lock().disk.check = Check::Running;
    let result = match problems(shared, path) {
        Ok(problems) if problems.is_empty() => Check::Sound,
        Ok(problems) => Check::Damaged(problems.join("; ")),
        Err(error) if schema::is_damage(&error) => Check::Damaged(error.to_string()),
        Err(error) => Check::GivenUp(error.to_string()),
    };
    let mut state = shared.lock();
    if let Check::Damaged(why) = &result {
        let why = format!("the check after an unclean stop found: {why}");
        state.control.poisoned.get_or_insert(why);
        shared.wake();
    }
    state.disk.check = result;
}

fn problems(shared: &Arc<Shared>, path: &Path) -> rusqlite::Result<Vec<String>> {
    let mut connection = schema::connect_reader(path)?;
    let log = log_of(path);
    let gives_up = {
        let shared = Arc::clone(shared);
        move || {
            std::thread::sleep(PAUSE);
            let long = log.metadata().is_ok_and(|log| log.len() > LOG_BYTES_MAX);
            long || shared.lock().control.stop.is_some()
        }
    };
    connection.progress_handler(STEPS, Some(gives_up))?;
    quick_check(&connection)
}

/// SQLite's own findings, none if the file is sound.
pub fn quick_check(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare(&format!("PRAGMA quick_check({PROBLEMS_MAX})"))?;
    let found = select.query_map([], |row| row.get::<_, String>(0))?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}
