//! The small tables: rows to memory and back. Every row that decides about data has a CRC of its
//! own, since SQLite does not notice a flipped bit inside a row.
//!
//! What a damaged row means: `meta`, `boot` or `consumer`: the file can't be trusted, it is set
//! aside; `tag`: the tag is unknown (its readings are counted as undeliverable by whoever can't name
//! them); `cursor`: everything that is there is delivered again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, params};

use super::accounting::Account;
use super::audit::{self, AuditRow};
use super::boot::{BootRow, Boots};
use super::cursor::Cursor;
use super::entry::{BootNo, Policy};
use super::per_class::PerClass;
use super::registry::{Facts, Tags};
use super::salvage::Salvage;
use super::schema::{self, chunk_table, class_code, class_of};
use super::state::{Consumer, Share};
use super::wear::{self, Hour, Wear, WearRows};
use super::work::{CHUNK_MAX, ConsumerRow, ShareRow};
use crate::model::{Class, Mono, Name, TagId, TagMeta, TopicName};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("the row of {0} is damaged")]
    Damaged(&'static str),
}

pub fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

/// Names of rows in `meta`.
pub const EPOCH: &str = "epoch";
/// 1 after an orderly shutdown.
pub const CLEAN: &str = "clean";
pub const TAG_LAST: &str = "tag_last";
pub const CONSUMER_LAST: &str = "consumer_last";
/// Bytes written since the file was made, by the store and by the whole process.
const WEAR_STORE: &str = "wear_store";
const WEAR_PROCESS: &str = "wear_process";

/// Below this every position may have been given out.
pub fn reserved_key(class: Class) -> String {
    format!("reserved_{}", class.as_str())
}

/// Below this everything is in the file or needed by nobody who counts on the file.
pub fn next_key(class: Class) -> String {
    format!("next_{}", class.as_str())
}

/// Below this there may be chunks that were salvaged, whose boots are in no order.
pub fn salvaged_key(class: Class) -> String {
    format!("salvaged_{}", class.as_str())
}

pub(super) fn meta_crc(key: &str, value: u64) -> u32 {
    crc(&[key.as_bytes(), &value.to_le_bytes()])
}

pub fn put_meta(connection: &Connection, key: &str, value: u64) -> rusqlite::Result<()> {
    let crc = meta_crc(key, value);
    let mut put = connection.prepare("INSERT OR REPLACE INTO meta VALUES(?1, ?2, ?3)")?;
    put.execute(params![key, value.cast_signed(), crc])?;
    Ok(())
}

pub fn meta(connection: &Connection, key: &str) -> Result<Option<u64>, LoadError> {
    let row: Option<(i64, u32)> = connection
        .query_row("SELECT v, crc FROM meta WHERE k = ?1", [key], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((value, stored)) = row else { return Ok(None) };
    let value = value.cast_unsigned();
    if meta_crc(key, value) != stored {
        return Err(LoadError::Damaged("meta"));
    }
    Ok(Some(value))
}

pub fn needed_meta(connection: &Connection, key: &str) -> Result<u64, LoadError> {
    meta(connection, key)?.ok_or(LoadError::Damaged("meta"))
}

pub(super) fn boot_crc(row: &BootRow) -> u32 {
    let (no, offset) = (row.no.0.to_le_bytes(), row.offset_ms.to_le_bytes());
    let synced = [u8::from(row.synced)];
    let mut parts: Vec<&[u8]> = vec![&no, row.kernel.as_bytes(), &offset, &synced];
    // A row of an earlier version has no more than these.
    let first =
        row.first.as_ref().map(|first| Class::ALL.map(|class| first.get(class).to_le_bytes()));
    parts.extend(first.iter().flatten().map(<[u8; 8]>::as_slice));
    crc(&parts)
}

fn first(row: &BootRow, class: Class) -> Option<i64> {
    row.first.as_ref().map(|first| first.get(class).cast_signed())
}

pub fn put_boots(connection: &Connection, rows: &[BootRow]) -> rusqlite::Result<()> {
    for row in rows {
        connection.execute(
            "INSERT OR REPLACE INTO boot(no, kernel, offset_ms, synced, crc, first_alarm,
             first_normal, first_bulk) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                row.no.0,
                row.kernel,
                row.offset_ms,
                row.synced,
                boot_crc(row),
                first(row, Class::Alarm),
                first(row, Class::Normal),
                first(row, Class::Bulk)
            ],
        )?;
    }
    Ok(())
}

/// Deletes what is not among `boots` any more.
pub fn keep_boots(connection: &Connection, boots: &Boots) -> rusqlite::Result<()> {
    let mut select = connection.prepare("SELECT no FROM boot")?;
    let there = select.query_map([], |row| row.get::<_, u32>(0))?;
    for no in there.collect::<rusqlite::Result<Vec<_>>>()? {
        if boots.row(BootNo(no)).is_none() {
            connection.execute("DELETE FROM boot WHERE no = ?1", [no])?;
        }
    }
    Ok(())
}

pub fn boots(connection: &Connection) -> Result<Boots, LoadError> {
    // Who looks at a file of an earlier version does not change it.
    let first = match schema::version(connection)? {
        ..3 => "NULL, NULL, NULL",
        _ => "first_alarm, first_normal, first_bulk",
    };
    let sql = format!("SELECT no, kernel, offset_ms, synced, crc, {first} FROM boot ORDER BY no");
    let mut select = connection.prepare(&sql)?;
    let rows = select.query_map([], |row| {
        let mut first = PerClass::from_fn(|_| None::<i64>);
        for (i, class) in [Class::Alarm, Class::Normal, Class::Bulk].into_iter().enumerate() {
            *first.get_mut(class) = row.get(5 + i)?;
        }
        let known = Class::ALL.into_iter().all(|class| first.get(class).is_some());
        let first = known.then(|| {
            PerClass::from_fn(|class| first.get(class).unwrap_or_default().cast_unsigned())
        });
        let boot = BootRow {
            no: BootNo(row.get(0)?),
            kernel: row.get(1)?,
            offset_ms: row.get(2)?,
            synced: row.get(3)?,
            first,
        };
        Ok((boot, row.get::<_, u32>(4)?))
    })?;
    let mut boots = Vec::new();
    for row in rows {
        let (row, stored) = row?;
        if boot_crc(&row) != stored {
            return Err(LoadError::Damaged("boot"));
        }
        boots.push(row);
    }
    Ok(Boots::resume(boots))
}

pub(super) fn tag_crc(id: TagId, meta: &TagMeta) -> u32 {
    crc(&[
        &id.0.to_le_bytes(),
        meta.topic.as_str().as_bytes(),
        meta.device.as_str().as_bytes(),
        meta.name.as_str().as_bytes(),
        meta.unit.as_bytes(),
        meta.coding.as_bytes(),
        &[class_code(meta.class)],
    ])
}

pub fn put_tag(connection: &Connection, id: TagId, meta: &TagMeta) -> rusqlite::Result<()> {
    let mut put =
        connection.prepare("INSERT OR REPLACE INTO tag VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    put.execute(params![
        id.0,
        meta.topic.as_str(),
        meta.device.as_str(),
        meta.name.as_str(),
        meta.unit,
        meta.coding,
        class_code(meta.class),
        tag_crc(id, meta)
    ])?;
    Ok(())
}

pub fn tags(connection: &Connection) -> Result<Tags, LoadError> {
    let mut last = u32::try_from(meta(connection, TAG_LAST)?.unwrap_or(0)).unwrap_or(u32::MAX);
    let mut select = connection
        .prepare("SELECT id, topic, device, name, unit, coding, class, crc FROM tag ORDER BY id")?;
    let mut rows = select.query([])?;
    let mut tags = Vec::new();
    while let Some(row) = rows.next()? {
        let (topic, device, name): (String, String, String) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        let id = TagId(row.get(0)?);
        let meta = (|| {
            Some(TagMeta {
                topic: TopicName::new(&topic).ok()?,
                device: Name::new(&device).ok()?,
                name: Name::new(&name).ok()?,
                unit: row.get(4).ok()?,
                coding: row.get(5).ok()?,
                class: class_of(row.get(6).ok()?)?,
            })
        })();
        match meta {
            Some(meta) if row.get(7) == Ok(tag_crc(id, &meta)) => {
                last = last.max(id.0);
                tags.push((id, meta));
            }
            _ => tracing::error!(tag = id.0, "a tag's row in the store is damaged"),
        }
    }
    Ok(Tags::resume(tags, last))
}

/// A required consumer for which things may be missing in the file is told from the others.
fn policy_code(policy: Policy, sparse: bool) -> u8 {
    match (policy, sparse) {
        (Policy::BestEffort, _) => 0,
        (Policy::Required, false) => 1,
        (Policy::Required, true) => 2,
    }
}

pub(super) fn consumer_crc(id: u32, name: &str, policy: u8) -> u32 {
    crc(&[&id.to_le_bytes(), name.as_bytes(), &[policy]])
}

pub fn put_consumers(connection: &Connection, rows: &[ConsumerRow]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM consumer", [])?;
    for row in rows {
        let required = policy_code(row.policy, row.sparse);
        let crc = consumer_crc(row.id, row.name.as_str(), required);
        connection.execute(
            "INSERT INTO consumer VALUES(?1, ?2, ?3, ?4)",
            params![row.id, row.name.as_str(), required, crc],
        )?;
    }
    connection.execute("DELETE FROM cursor WHERE consumer NOT IN (SELECT id FROM consumer)", [])?;
    connection.execute("DELETE FROM told WHERE consumer NOT IN (SELECT name FROM consumer)", [])?;
    Ok(())
}

pub(super) fn share_crc(
    consumer: u32,
    class: Class,
    settled: &[u8],
    sums: (u64, u64),
    dropped: &str,
) -> u32 {
    crc(&[
        &consumer.to_le_bytes(),
        &[class_code(class)],
        settled,
        &sums.0.to_le_bytes(),
        &sums.1.to_le_bytes(),
        dropped.as_bytes(),
    ])
}

pub fn put_share(connection: &Connection, row: &ShareRow) -> rusqlite::Result<()> {
    let dropped = serde_json::to_string(&row.account.dropped).unwrap_or_default();
    let sums = (row.account.delivered, row.account.excluded);
    let crc = share_crc(row.consumer, row.class, &row.settled, sums, &dropped);
    let mut put =
        connection.prepare("INSERT OR REPLACE INTO cursor VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    put.execute(params![
        row.consumer,
        class_code(row.class),
        row.settled,
        sums.0.cast_signed(),
        sums.1.cast_signed(),
        dropped,
        crc
    ])?;
    Ok(())
}

/// A cursor and its sums; `None` if the row is missing or damaged.
fn share(connection: &Connection, consumer: u32, class: Class) -> rusqlite::Result<Option<Share>> {
    type Row = (Vec<u8>, i64, i64, String, u32);
    let row: Option<Row> = connection
        .query_row(
            "SELECT settled, delivered, excluded, dropped, crc FROM cursor
             WHERE consumer = ?1 AND class = ?2",
            params![consumer, class_code(class)],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .optional()?;
    let Some((settled, delivered, excluded, dropped, stored)) = row else { return Ok(None) };
    let sums = (delivered.cast_unsigned(), excluded.cast_unsigned());
    if share_crc(consumer, class, &settled, sums, &dropped) != stored {
        return Ok(None);
    }
    let Ok(cursor) = Cursor::from_bytes(&settled) else { return Ok(None) };
    let dropped: BTreeMap<String, u64> = serde_json::from_str(&dropped).unwrap_or_default();
    let dropped = dropped.into_iter().map(|(word, n)| (Cow::Owned(word), n)).collect();
    let account = Account { appended: 0, delivered: sums.0, excluded: sums.1, dropped };
    Ok(Some(Share { cursor, account, ..Share::default() }))
}

/// The consumers with their cursors; what was appended for them is what the sums and the cursor
/// say, counted up to `next`.
pub fn consumers(
    connection: &Connection,
    next: &PerClass<u64>,
) -> Result<Vec<Consumer>, LoadError> {
    let mut select =
        connection.prepare("SELECT id, name, required, crc FROM consumer ORDER BY id")?;
    let mut rows = select.query([])?;
    let mut consumers = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, name, required): (u32, String, u8) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let stored: u32 = row.get(3)?;
        let right = consumer_crc(id, &name, required) == stored;
        let Some(name) = Name::new(&name).ok().filter(|_| right) else {
            return Err(LoadError::Damaged("a consumer"));
        };
        let policy = if required == 0 { Policy::BestEffort } else { Policy::Required };
        let mut sparse = required > 1;
        let mut shares = PerClass::<Share>::default();
        for class in Class::ALL {
            let loaded = share(connection, id, class)?;
            let share = shares.get_mut(class);
            *share = match loaded {
                Some(share) => share,
                None => {
                    tracing::error!(
                        consumer = %name,
                        class = class.as_str(),
                        "a cursor in the store is damaged: what is there is delivered again"
                    );
                    sparse = true;
                    let first = first_chunk(connection, class, 0)?.map(|(seq, _)| seq);
                    let cursor = Cursor::at(first.unwrap_or(*next.get(class)));
                    Share { cursor, version: 1, ..Share::default() }
                }
            };
            let account = &mut share.account;
            account.appended = account.delivered
                + account.excluded
                + account.dropped_total()
                + share.cursor.waiting(*next.get(class));
        }
        consumers.push(Consumer { id, name, policy, sparse, shares });
    }
    // A consumer goes with its cursors: cursors alone mean that its row can't be found.
    let orphans = "SELECT 1 FROM cursor WHERE consumer NOT IN (SELECT id FROM consumer) LIMIT 1";
    if connection.query_row(orphans, [], |_| Ok(())).optional()?.is_some() {
        return Err(LoadError::Damaged("a consumer"));
    }
    Ok(consumers)
}

/// Positions that the chunks of a class cover, from the one that holds `from` on, at most `n`.
pub fn chunk_ranges(
    connection: &Connection,
    class: Class,
    from: u64,
    n: usize,
) -> rusqlite::Result<Vec<Range<u64>>> {
    let table = chunk_table(class);
    let sql = format!(
        "SELECT seq, n FROM {table}
         WHERE seq >= coalesce((SELECT max(seq) FROM {table} WHERE seq <= ?1), 0)
         ORDER BY seq LIMIT ?2"
    );
    let limit = i64::try_from(n).unwrap_or(i64::MAX);
    let mut select = connection.prepare(&sql)?;
    let rows = select.query_map(params![from.cast_signed(), limit], |row| {
        let (seq, n): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok(seq.cast_unsigned()..seq.cast_unsigned().saturating_add(n.cast_unsigned()))
    })?;
    rows.collect()
}

/// Position of the oldest chunk of a class that reaches `from`, and when the oldest of it was read.
pub fn first_chunk(
    connection: &Connection,
    class: Class,
    from: u64,
) -> rusqlite::Result<Option<(u64, (BootNo, Mono))>> {
    let table = chunk_table(class);
    let sql = format!(
        "SELECT seq, boot, mono0 FROM {table}
         WHERE seq >= ifnull((SELECT max(seq) FROM {table} WHERE seq <= ?1), 0)
         ORDER BY seq LIMIT 1"
    );
    let mut select = connection.prepare(&sql)?;
    let row = select.query_row([from.cast_signed()], |row| {
        let seq: i64 = row.get(0)?;
        Ok((seq.cast_unsigned(), (BootNo(row.get(1)?), Mono(row.get(2)?))))
    });
    row.optional()
}

/// The position after a class's newest chunk, 0 without any. A damaged count is believed no more
/// than any chunk holds.
pub fn chunks_end(connection: &Connection, class: Class) -> rusqlite::Result<u64> {
    let sql = format!("SELECT seq, n FROM {} ORDER BY seq DESC LIMIT 1", chunk_table(class));
    let row: Option<(i64, i64)> =
        connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let count = |n: i64| n.cast_unsigned().min(CHUNK_MAX);
    Ok(row.map_or(0, |(seq, n)| seq.cast_unsigned().saturating_add(count(n))))
}

pub fn put_facts(
    connection: &Connection,
    facts: &[(String, Option<String>)],
) -> rusqlite::Result<()> {
    for (key, value) in facts {
        match value {
            Some(value) => connection
                .execute("INSERT OR REPLACE INTO fact VALUES(?1, ?2)", params![key, value])?,
            None => connection.execute("DELETE FROM fact WHERE k = ?1", [key])?,
        };
    }
    Ok(())
}

pub fn facts(connection: &Connection) -> rusqlite::Result<Facts> {
    let mut select = connection.prepare("SELECT k, v FROM fact")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Facts::resume(rows.collect::<rusqlite::Result<BTreeMap<_, _>>>()?))
}

/// Writes the claims on files set aside, all there are.
pub fn put_salvages(connection: &Connection, files: &[Salvage]) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM salvage", [])?;
    for salvage in files {
        let claims = salvage.to_bytes();
        let crc = crc(&[&salvage.file.to_le_bytes(), &claims]);
        let row = params![salvage.file.cast_signed(), claims, crc];
        connection.execute("INSERT INTO salvage VALUES(?1, ?2, ?3)", row)?;
    }
    Ok(())
}

/// The claims on files set aside. Of a damaged row nothing is claimed: what was dropped, stays so.
pub fn salvages(connection: &Connection) -> rusqlite::Result<Vec<Salvage>> {
    if !has_table(connection, "salvage")? {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare("SELECT file, claims, crc FROM salvage ORDER BY file")?;
    let rows = select.query_map([], |row| {
        let (file, claims, stored): (i64, Vec<u8>, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let file = file.cast_unsigned();
        let right = crc(&[&file.to_le_bytes(), &claims]) == stored;
        let salvage = Salvage::from_bytes(file, &claims).ok().filter(|_| right);
        Ok(salvage.unwrap_or_else(|| Salvage { file, ..Salvage::default() }))
    })?;
    rows.collect()
}

fn hour_crc(hour: &Hour) -> u32 {
    crc(&[
        &hour.no.to_le_bytes(),
        &hour.store_bytes.to_le_bytes(),
        &hour.process_bytes.to_le_bytes(),
        &hour.ms.to_le_bytes(),
    ])
}

pub fn put_wear(connection: &Connection, wear: &WearRows) -> rusqlite::Result<()> {
    let mut put = connection.prepare("INSERT OR REPLACE INTO wear VALUES(?1, ?2, ?3, ?4, ?5)")?;
    for hour in &wear.hours {
        put.execute(params![
            hour.no.cast_signed(),
            hour.store_bytes.cast_signed(),
            hour.process_bytes.cast_signed(),
            hour.ms.cast_signed(),
            hour_crc(hour)
        ])?;
    }
    if let Some(last) = wear.hours.last() {
        let kept = last.no.saturating_sub(wear::HOURS as u64);
        connection.execute("DELETE FROM wear WHERE hour < ?1", [kept.cast_signed()])?;
    }
    put_meta(connection, WEAR_STORE, wear.store_bytes_total)?;
    put_meta(connection, WEAR_PROCESS, wear.process_bytes_total)
}

/// What was written so far; a damaged hour counts as none.
pub fn wear(connection: &Connection) -> Result<Wear, LoadError> {
    if !has_table(connection, "wear")? {
        return Ok(Wear::default());
    }
    let mut select =
        connection.prepare("SELECT hour, store, process, ms, crc FROM wear ORDER BY hour")?;
    let rows = select.query_map([], |row| {
        let of = |i| row.get::<_, i64>(i).map(i64::cast_unsigned);
        let hour = Hour { no: of(0)?, store_bytes: of(1)?, process_bytes: of(2)?, ms: of(3)? };
        Ok((hour, row.get::<_, u32>(4)?))
    })?;
    let mut hours = Vec::new();
    for row in rows {
        let (hour, stored) = row?;
        if hour_crc(&hour) == stored {
            hours.push(hour);
        }
    }
    Ok(Wear::resume(WearRows {
        hours,
        store_bytes_total: meta(connection, WEAR_STORE)?.unwrap_or(0),
        process_bytes_total: meta(connection, WEAR_PROCESS)?.unwrap_or(0),
    }))
}

/// Every so many rows the oldest ones are deleted.
const AUDIT_TRIM_ROWS: i64 = 64;

pub fn put_audit(connection: &Connection, rows: &[AuditRow]) -> rusqlite::Result<()> {
    let mut put = connection.prepare("INSERT OR REPLACE INTO audit VALUES(?1, ?2, ?3, ?4)")?;
    for row in rows {
        let text = serde_json::to_string(row).unwrap_or_default();
        let crc = crc(&[&row.id.to_le_bytes(), text.as_bytes()]);
        put.execute(params![row.id, row.record.carried_out, text, crc])?;
    }
    if rows.iter().any(|row| row.id % AUDIT_TRIM_ROWS == 0) {
        for carried_out in [true, false] {
            connection.execute(
                "DELETE FROM audit WHERE carried_out = ?1 AND id <= (SELECT id FROM audit
                 WHERE carried_out = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![carried_out, audit::ROWS_MAX],
            )?;
        }
    }
    Ok(())
}

/// Whether the file is of a version that has this table.
fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(connection.query_row(sql, [name], |_| Ok(())).optional()?.is_some())
}

/// The id given last.
pub fn audit_last(connection: &Connection) -> rusqlite::Result<i64> {
    if !has_table(connection, "audit")? {
        return Ok(0);
    }
    connection.query_row("SELECT coalesce(max(id), 0) FROM audit", [], |row| row.get(0))
}

/// The last `n`, oldest first; a damaged one is left out.
pub fn audit(connection: &Connection, n: usize) -> rusqlite::Result<Vec<AuditRow>> {
    if !has_table(connection, "audit")? {
        return Ok(Vec::new());
    }
    let mut select =
        connection.prepare("SELECT id, row, crc FROM audit ORDER BY id DESC LIMIT ?1")?;
    let rows = select.query_map([i64::try_from(n).unwrap_or(i64::MAX)], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?))
    })?;
    let mut all = Vec::new();
    for row in rows {
        let (id, text, stored) = row?;
        let right = crc(&[&id.to_le_bytes(), text.as_bytes()]) == stored;
        match serde_json::from_str(&text) {
            Ok(row) if right => all.push(row),
            _ => tracing::error!(id, "the record of a command in the store is damaged"),
        }
    }
    all.reverse();
    Ok(all)
}
