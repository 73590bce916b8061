//! Whether a store's file is sound: everything that can be told without the gateway that wrote it.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Serialize;

use super::{Inspector, failed};
use crate::model::Class;
use crate::store::cursor::Cursor;
use crate::store::entry::Policy;
use crate::store::error::StoreError;
use crate::store::file;
use crate::store::per_class::PerClass;
use crate::store::rows::{self, LoadError};
use crate::store::salvage::{Field, FoundRow, Known, quick_check, recognize};
use crate::store::schema::chunk_table;

/// Most problems told of; the others are counted.
const PROBLEMS_MAX: usize = 100;

/// What was looked at and what is wrong with it.
#[derive(Debug, Default, Serialize)]
pub struct Findings {
    pub sound: bool,
    pub chunks: u64,
    /// Readings and messages in them.
    pub items: u64,
    /// Rows of the small tables.
    pub rows: u64,
    pub problems: Vec<String>,
    /// Problems beyond those.
    pub more: u64,
}

impl Findings {
    fn add(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }
}

impl Inspector {
    /// Looks at everything: SQLite's own check, the CRC of every chunk and row, that positions are
    /// in order, and that what required consumers wait for is there.
    pub fn verify(&self) -> Result<Findings, StoreError> {
        let doing = "check the store's file";
        self.look(doing, |connection| {
            let mut found = Findings::default();
            let unsound = quick_check(connection).map_err(failed(doing))?;
            unsound.into_iter().for_each(|problem| found.add(format!("SQLite: {problem}")));
            let looked =
                at_rows(connection, &mut found).and_then(|()| at_chunks(connection, &mut found));
            if let Err(error) = looked {
                found.add(format!("SQLite: {error}"));
            }
            found.sound = found.problems.is_empty();
            Ok(found)
        })
    }
}

fn at_rows(connection: &Connection, found: &mut Findings) -> rusqlite::Result<()> {
    for (table, has_rowid) in
        [("meta", false), ("boot", true), ("tag", true), ("consumer", true), ("cursor", false)]
    {
        let mut select = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            found.rows += 1;
            if recognize(&as_found(row, has_rowid)?).is_none() {
                let key = field(row.get_ref(0)?);
                found.add(format!("the row {key:?} of the table {table} is damaged"));
            }
        }
    }
    Ok(())
}

fn at_chunks(connection: &Connection, found: &mut Findings) -> rusqlite::Result<()> {
    let mut there = PerClass::<Cursor>::default();
    for class in Class::ALL {
        let sql = format!("SELECT * FROM {} ORDER BY seq", chunk_table(class));
        let mut select = connection.prepare(&sql)?;
        let mut rows = select.query([])?;
        let mut end = 0_u64;
        while let Some(row) = rows.next()? {
            found.chunks += 1;
            let seq = row.get::<_, i64>(0)?.cast_unsigned();
            let chunk = match recognize(&as_found(row, true)?) {
                Some(Known::Chunk(chunk)) if chunk.class == class => chunk,
                _ => {
                    found.add(format!("the {} chunk at {seq} is damaged", class.as_str()));
                    end = end.max(seq.saturating_add(1));
                    continue;
                }
            };
            if chunk.decode().is_err() {
                found.add(format!("the {} chunk at {seq} has no sense", class.as_str()));
            }
            if seq < end {
                found.add(format!(
                    "the {} chunk at {seq} begins before the one before it ends ({end})",
                    class.as_str()
                ));
            }
            end = seq + chunk.n;
            found.items += chunk.n;
            there.get_mut(class).settle_gone(seq..end);
        }
        at_end(connection, class, end, found);
    }
    at_accounts(connection, &there, found)
}

fn at_end(connection: &Connection, class: Class, end: u64, found: &mut Findings) {
    match rows::meta(connection, &rows::reserved_key(class)) {
        Ok(Some(reserved)) if end > reserved => found.add(format!(
            "the {} chunks end at {end}, beyond the positions reserved ({reserved})",
            class.as_str()
        )),
        _ => {} // A damaged row was told already.
    }
}

/// What required consumers wait for is in the file, and the sums follow.
fn at_accounts(
    connection: &Connection,
    there: &PerClass<Cursor>,
    found: &mut Findings,
) -> rusqlite::Result<()> {
    let state = match file::read_state(connection, 0) {
        Ok(state) => state,
        Err(LoadError::Sqlite(error)) => return Err(error),
        Err(LoadError::Damaged(what)) => {
            found.add(format!("the file can't be used: the row of {what} is damaged"));
            return Ok(());
        }
    };
    for consumer in &state.consumers {
        for class in Class::ALL {
            let (share, lane) = (consumer.shares.get(class), state.lanes.get(class));
            let (name, class_name) = (consumer.name.as_str(), class.as_str());
            let waiting = share.cursor.waiting(lane.head);
            if !share.account.balances(waiting) {
                let account = &share.account;
                found.add(format!("{name}'s sums of {class_name} don't add up: {account:?}"));
            }
            let open = share.cursor.unsettled_in(0..lane.next_in_file);
            let missing: u64 = open
                .flat_map(|range| there.get(class).unsettled_in(range))
                .map(|range| range.end - range.start)
                .sum();
            if missing > 0 && consumer.policy == Policy::Required {
                found.add(format!(
                    "{name} waits for {missing} of {class_name} that are not in the file"
                ));
            }
        }
    }
    Ok(())
}

/// A row as it would be found on a page.
fn as_found(row: &rusqlite::Row<'_>, has_rowid: bool) -> rusqlite::Result<FoundRow> {
    let columns = row.as_ref().column_count();
    let mut fields =
        (0..columns).map(|i| Ok(field(row.get_ref(i)?))).collect::<rusqlite::Result<Vec<_>>>()?;
    let rowid = if has_rowid { Some(row.get(0)?) } else { None };
    if let Some(key) = fields.first_mut().filter(|_| has_rowid) {
        *key = Field::Null;
    }
    Ok(FoundRow { rowid, fields })
}

fn field(value: ValueRef<'_>) -> Field {
    match value {
        ValueRef::Null => Field::Null,
        ValueRef::Integer(n) => Field::Integer(n),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Field::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => Field::Other,
    }
}
