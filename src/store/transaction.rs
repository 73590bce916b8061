//! One transaction, in the order that never locks itself out: delete what is of no use, then
//! cursors and the other small rows, then insert chunks.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::chunk::Chunk;

use super::lane::Content;
use super::ledger_rows;
use super::per_class::PerClass;
use super::rows;
use super::schema::{Pages, chunk_table};
use super::work::{Piece, Work};
use super::writer::Victim;
use crate::model::Class;

/// Most chunks deleted one by one by a transaction.
pub const DELETE_MAX: usize = 256;
/// In a file of so much at most a table of which everything is settled is emptied as a whole. That
/// writes a page or three whatever was in it, where rows that go one by one change most of the
/// pages they lie in; but SQLite looks at every page for it, and nothing else is written meanwhile.
pub const EMPTIED_BYTES_MAX: u64 = 16 << 20;

/// What the file says of a class, so that it is not written again.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Said by the newest chunk or by a row of its own ...
    pub next: u64,
    /// ... which says this.
    pub next_noted: u64,
    pub reserved: u64,
    pub deleted_below: u64,
}

/// What a transaction did beyond what was asked.
#[derive(Debug, Default)]
pub struct Done {
    pub body_bytes: u64,
    pub deleted: u64,
    /// Whether there is more to delete.
    pub more_to_delete: bool,
    /// Where a class goes on, if a row was written that says so.
    pub next_noted: PerClass<Option<u64>>,
}

/// Does the work and makes it durable.
pub fn commit(
    connection: &Connection,
    work: &Work,
    victims: &[Victim],
    written: &PerClass<Written>,
) -> rusqlite::Result<Done> {
    let chunks: Vec<Chunk> = work.pieces.iter().map(encode).collect();
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let mut done = Done::default();
    let mut deleted = PerClass::from_fn(|class| victims.iter().any(|v| v.class == class));
    for victim in victims {
        let sql = format!("DELETE FROM {} WHERE seq = ?1", chunk_table(victim.class));
        done.deleted += transaction.execute(&sql, [victim.seq.cast_signed()])? as u64;
    }
    for class in Class::ALL {
        let below = *work.delete_below.get(class);
        if below > written.get(class).deleted_below {
            let n = if is_settled_whole(&transaction, class, below)?
                && Pages::of(&transaction)?.live() <= EMPTIED_BYTES_MAX
            {
                transaction.execute(&format!("DELETE FROM {}", chunk_table(class)), [])?
            } else {
                let n = delete_settled(&transaction, class, below)?;
                done.more_to_delete |= n >= DELETE_MAX;
                n
            };
            *deleted.get_mut(class) |= n > 0;
            done.deleted += n as u64;
        }
    }
    if let Some((last, consumers)) = &work.consumers {
        rows::put_meta(&transaction, rows::CONSUMER_LAST, u64::from(*last))?;
        rows::put_consumers(&transaction, consumers)?;
    }
    for share in &work.shares {
        rows::put_share(&transaction, share)?;
    }
    rows::put_boots(&transaction, &work.boots)?;
    if !work.tags.is_empty() {
        for (id, meta) in &work.tags {
            rows::put_tag(&transaction, *id, meta)?;
        }
        rows::put_meta(&transaction, rows::TAG_LAST, u64::from(work.tag_last))?;
    }
    rows::put_facts(&transaction, &work.facts)?;
    ledger_rows::put(&transaction, &work.ledger)?;
    rows::put_audit(&transaction, &work.audit)?;
    if let Some(rows) = &work.salvages {
        rows::put_salvages(&transaction, &rows.files)?;
    }
    for returned in &work.returned {
        let key = rows::salvaged_key(returned.class);
        rows::put_meta(&transaction, &key, returned.new.end)?;
    }
    if let Some(wear) = &work.wear {
        rows::put_wear(&transaction, wear)?;
    }
    for class in Class::ALL {
        let (next, reserved) = (*work.next.get(class), *work.reserved.get(class));
        // The end of the newest chunk mostly says it, as long as that chunk is there.
        let newest = work.pieces.iter().rfind(|piece| piece.class == class);
        let said = newest.is_some_and(|piece| piece.range.end == next)
            || (next == written.get(class).next && !deleted.get(class));
        if next != written.get(class).next_noted && !said {
            rows::put_meta(&transaction, &rows::next_key(class), next)?;
            *done.next_noted.get_mut(class) = Some(next);
        }
        if reserved != written.get(class).reserved {
            rows::put_meta(&transaction, &rows::reserved_key(class), reserved)?;
        }
    }
    for class in Class::ALL {
        let sql = format!(
            "INSERT INTO {} VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            chunk_table(class)
        );
        let mut of_class = chunks.iter().filter(|chunk| chunk.class == class).peekable();
        if of_class.peek().is_none() {
            continue;
        }
        let mut insert = transaction.prepare(&sql)?;
        for chunk in of_class {
            insert.execute(params![
                chunk.seq.cast_signed(),
                chunk.n.cast_signed(),
                chunk.boot.0,
                chunk.from.0,
                chunk.to.0,
                chunk.kind,
                chunk.codec,
                chunk.crc,
                chunk.body
            ])?;
            done.body_bytes += chunk.body.len() as u64;
        }
    }
    transaction.commit()?;
    Ok(done)
}

/// Whether nobody waits for anything that the file has of a class any more.
pub fn is_settled_whole(
    connection: &Connection,
    class: Class,
    below: u64,
) -> rusqlite::Result<bool> {
    Ok(rows::chunks_end(connection, class)? <= below)
}

/// Deletes chunks that nobody waits for any more, oldest first, a bounded number.
fn delete_settled(
    transaction: &Transaction<'_>,
    class: Class,
    below: u64,
) -> rusqlite::Result<usize> {
    let table = chunk_table(class);
    let sql = format!("SELECT seq, n FROM {table} WHERE seq < ?1 ORDER BY seq LIMIT ?2");
    let mut select = transaction.prepare(&sql)?;
    let limit = i64::try_from(DELETE_MAX + 1).unwrap_or(i64::MAX);
    let found = select.query_map(params![below.cast_signed(), limit], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    // A chunk ends where the next one begins, whatever a damaged count says.
    let ends = found.iter().skip(1).map(|(seq, _)| Some(*seq)).chain([None]);
    let last = found
        .iter()
        .zip(ends)
        .take(DELETE_MAX)
        .map(|((seq, n), next)| (*seq, next.unwrap_or(i64::MAX).min(seq.saturating_add(*n))))
        .take_while(|(_, end)| end.cast_unsigned() <= below)
        .last();
    let Some((last, _)) = last else { return Ok(0) };
    transaction.execute(&format!("DELETE FROM {table} WHERE seq <= ?1"), [last])
}

fn encode(piece: &Piece) -> Chunk {
    let (class, seq, boot) = (piece.class, piece.range.start, piece.boot);
    if matches!(piece.contents.first(), Some(Content::Message(_))) {
        let messages = piece.contents.iter().filter_map(|content| match content {
            Content::Message(message) => Some(&**message),
            Content::Readings(_) => None,
        });
        return Chunk::of_messages(class, seq, boot, &messages.collect::<Vec<_>>());
    }
    let readings = piece.contents.iter().flat_map(|content| match content {
        Content::Readings(readings) => readings.as_slice(),
        Content::Message(_) => &[],
    });
    Chunk::of_readings(class, seq, boot, &readings.collect::<Vec<_>>())
}
