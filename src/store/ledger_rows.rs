//! The ledger in the file: rows of what is missing, and up to which of them everyone was told.
//!
//! What a damaged row means: `drop_ledger`: it is left out, with an error in the log; `told`: the
//! consumer is told again of everything the ledger still has.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ledger::{DropRow, Ledger, LedgerWork};
use super::rows::crc;
use super::schema::{self, class_code, class_of};
use super::state::Consumer;
use crate::model::Class;

/// Rows kept in the file besides those that are not told; the accounts keep the sums for ever.
const ROWS_MAX: i64 = 10_000;
/// Every so many rows the oldest ones are deleted.
const TRIM_ROWS: i64 = 64;
/// Rows loaded at the start besides those that are not told.
const ROWS_LOADED: i64 = 128;

/// The columns as they are read; who looks at a file of an earlier version does not change it.
fn columns(connection: &Connection) -> rusqlite::Result<String> {
    let new = match schema::version(connection)? {
        ..3 => "NULL, NULL, NULL",
        _ => "shift_ms, epoch, crc",
    };
    Ok(format!("id, reason, consumer, class, seq_from, seq_to, n, wall_from, wall_to, {new}"))
}

/// What goes into the row for it to be believed.
pub fn row_crc(row: &DropRow) -> u32 {
    let optional = |value: Option<i64>| {
        let mut bytes = [u8::from(value.is_some()); 9];
        bytes[1..].copy_from_slice(&value.unwrap_or(0).to_le_bytes());
        bytes
    };
    let epoch = optional(row.epoch.map(u64::cast_signed));
    crc(&[
        &row.id.to_le_bytes(),
        row.reason.as_bytes(),
        row.consumer.as_bytes(),
        row.class.as_bytes(),
        &row.seq_from.to_le_bytes(),
        &row.seq_to.to_le_bytes(),
        &row.n.to_le_bytes(),
        &optional(row.wall_from_ms),
        &optional(row.wall_to_ms),
        &optional(row.shift_ms),
        &epoch,
    ])
}

fn told_crc(consumer: &str, id: i64) -> u32 {
    crc(&[consumer.as_bytes(), &id.to_le_bytes()])
}

pub fn put(connection: &Connection, work: &LedgerWork) -> rusqlite::Result<()> {
    for id in &work.gone {
        connection.execute("DELETE FROM drop_ledger WHERE id = ?1", [id])?;
    }
    let mut put = connection.prepare(
        "INSERT OR REPLACE INTO drop_ledger(id, reason, consumer, class, seq_from, seq_to, n,
         wall_from, wall_to, shift_ms, epoch, crc)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for row in &work.rows {
        let class = Class::ALL.into_iter().find(|class| class.as_str() == row.class);
        put.execute(params![
            row.id,
            row.reason,
            row.consumer,
            class.map(class_code),
            row.seq_from.cast_signed(),
            row.seq_to.cast_signed(),
            row.n.cast_signed(),
            row.wall_from_ms,
            row.wall_to_ms,
            row.shift_ms,
            row.epoch.map(u64::cast_signed),
            row_crc(row)
        ])?;
    }
    for (consumer, id) in &work.told {
        connection.execute(
            "INSERT OR REPLACE INTO told VALUES(?1, ?2, ?3)",
            params![consumer, id, told_crc(consumer, *id)],
        )?;
    }
    if work.rows.iter().any(|row| row.id % TRIM_ROWS == 0) {
        trim(connection)?;
    }
    Ok(())
}

/// Notes of all rows which epoch they count under, before another one begins.
pub fn date(connection: &Connection, epoch: u64) -> rusqlite::Result<()> {
    let sql = format!("SELECT {} FROM drop_ledger WHERE epoch IS NULL", columns(connection)?);
    let mut select = connection.prepare(&sql)?;
    let rows = select.query_map([], |row| Ok(drop_row(row)))?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten();
    let rows = rows.map(|row| DropRow { epoch: Some(epoch), ..row }).collect();
    put(connection, &LedgerWork { rows, ..LedgerWork::default() })
}

/// Deletes the oldest rows that nobody has to be told of any more.
fn trim(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM drop_ledger
         WHERE id <= (SELECT id FROM drop_ledger ORDER BY id DESC LIMIT 1 OFFSET ?1)
         AND NOT EXISTS (SELECT 1 FROM told
                         WHERE told.consumer = drop_ledger.consumer AND drop_ledger.id > told.id)",
        [ROWS_MAX],
    )
}

/// Everything that is not told, and the newest of the rest.
pub fn load(connection: &Connection, consumers: &[Consumer]) -> rusqlite::Result<Ledger> {
    let mut marks = Vec::new();
    for consumer in consumers {
        let name = consumer.name.as_str();
        marks.push((name.to_owned(), told(connection, name)?));
    }
    let last: i64 =
        connection
            .query_row("SELECT coalesce(max(id), 0) FROM drop_ledger", [], |row| row.get(0))?;
    let first: Option<i64> = connection
        .query_row(
            "SELECT id FROM drop_ledger ORDER BY id DESC LIMIT 1 OFFSET ?1",
            [ROWS_LOADED - 1],
            |row| row.get(0),
        )
        .optional()?;
    let untold = marks.iter().map(|(_, told)| told.saturating_add(1)).min();
    let first = first.unwrap_or(i64::MIN).min(untold.unwrap_or(i64::MAX));
    let sql =
        format!("SELECT {} FROM drop_ledger WHERE id >= ?1 ORDER BY id", columns(connection)?);
    let mut select = connection.prepare(&sql)?;
    let rows = select.query_map([first], |row| Ok(drop_row(row)))?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    if rows.iter().any(Option::is_none) {
        tracing::error!("the store's ledger of losses has damaged rows");
    }
    Ok(Ledger::resume(rows.drain(..).flatten(), last, marks))
}

/// The last `n` drops, oldest first; a damaged one is left out.
pub fn newest_drops(connection: &Connection, n: usize) -> rusqlite::Result<Vec<DropRow>> {
    let sql = format!("SELECT {} FROM drop_ledger ORDER BY id DESC", columns(connection)?);
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while found.len() < n
        && let Some(row) = rows.next()?
    {
        found.extend(drop_row(row).filter(DropRow::is_drop));
    }
    found.reverse();
    Ok(found)
}

/// 0 if the row is missing or damaged.
fn told(connection: &Connection, consumer: &str) -> rusqlite::Result<i64> {
    if schema::version(connection)? < 3 {
        return Ok(0);
    }
    let row: Option<(i64, u32)> = connection
        .query_row("SELECT id, crc FROM told WHERE consumer = ?1", [consumer], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(row.filter(|(id, stored)| told_crc(consumer, *id) == *stored).map_or(0, |(id, _)| id))
}

/// `None` if the row is damaged.
fn drop_row(row: &Row<'_>) -> Option<DropRow> {
    let position = |i| row.get::<_, i64>(i).ok().map(i64::cast_unsigned);
    let found = DropRow {
        id: row.get(0).ok()?,
        reason: Cow::Owned(row.get(1).ok()?),
        consumer: row.get(2).ok()?,
        class: class_of(row.get(3).ok()?)?.as_str(),
        seq_from: position(4)?,
        seq_to: position(5)?,
        n: position(6)?,
        wall_from_ms: row.get(7).ok()?,
        wall_to_ms: row.get(8).ok()?,
        shift_ms: row.get(9).ok()?,
        epoch: row.get::<_, Option<i64>>(10).ok()?.map(i64::cast_unsigned),
    };
    // Rows of versions before 3 have no CRC.
    let stored: Option<u32> = row.get(11).ok()?;
    stored.is_none_or(|stored| stored == row_crc(&found)).then_some(found)
}
