//! What a row found on a page is: only a row whose CRC holds is anything at all.

use std::ops::Range;

use super::pages::{Field, Row};
use crate::model::{Class, Mono, Name, TagId, TagMeta, TopicName};
use crate::store::accounting::SKIPPED;
use crate::store::boot::BootRow;
use crate::store::chunk::Chunk;
use crate::store::cursor::Cursor;
use crate::store::entry::BootNo;
use crate::store::ledger::DropRow;
use crate::store::ledger_rows;
use crate::store::per_class::PerClass;
use crate::store::rows;
use crate::store::schema::class_of;

/// A row of ours.
#[derive(Debug)]
pub enum Known {
    Chunk(Chunk),
    Boot(BootRow),
    Tag(TagId, TagMeta),
    Consumer {
        id: u32,
        name: Name,
    },
    Cursor {
        consumer: u32,
        class: Class,
        settled: Cursor,
    },
    Meta {
        key: String,
        value: u64,
    },
    /// Positions that were jumped over after a crash; under the file's own epoch if none is named.
    Skipped {
        class: Class,
        range: Range<u64>,
        epoch: Option<u64>,
    },
}

/// Tells tables apart by their columns and CRCs, since the page does not say whose it is.
pub fn recognize(row: &Row) -> Option<Known> {
    use Field::{Bytes, Integer, Null};
    match (row.rowid, row.fields.as_slice()) {
        (
            Some(seq),
            [
                Null,
                Integer(n),
                Integer(boot),
                Integer(from),
                Integer(to),
                Integer(kind),
                Integer(codec),
                Integer(crc),
                Bytes(body),
            ],
        ) => Class::ALL.into_iter().find_map(|class| {
            let chunk = Chunk {
                class,
                seq: seq.cast_unsigned(),
                n: n.cast_unsigned(),
                boot: BootNo(u32::try_from(*boot).ok()?),
                from: Mono(*from),
                to: Mono(*to),
                kind: u8::try_from(*kind).ok()?,
                codec: u8::try_from(*codec).ok()?,
                crc: u32::try_from(*crc).ok()?,
                body: body.clone(),
            };
            (chunk.is_whole() && chunk.seq.checked_add(chunk.n).is_some())
                .then_some(Known::Chunk(chunk))
        }),
        // A file of an earlier version has five columns; a row written by one keeps them.
        (
            Some(no),
            [Null, Bytes(kernel), Integer(offset), Integer(synced), Integer(crc), first @ ..],
        ) => {
            let row = BootRow {
                no: BootNo(u32::try_from(no).ok()?),
                kernel: String::from_utf8(kernel.clone()).ok()?,
                offset_ms: *offset,
                synced: *synced != 0,
                first: match first {
                    [Integer(alarm), Integer(normal), Integer(bulk)] => {
                        Some(PerClass::from_fn(|class| match class {
                            Class::Alarm => alarm.cast_unsigned(),
                            Class::Normal => normal.cast_unsigned(),
                            Class::Bulk => bulk.cast_unsigned(),
                        }))
                    }
                    [] | [Null, Null, Null] => None,
                    _ => return None,
                },
            };
            (i64::from(rows::boot_crc(&row)) == *crc).then_some(Known::Boot(row))
        }
        (
            Some(id),
            [
                Null,
                Bytes(topic),
                Bytes(device),
                Bytes(name),
                Bytes(unit),
                Bytes(coding),
                Integer(class),
                Integer(crc),
            ],
        ) => {
            let id = TagId(u32::try_from(id).ok()?);
            let meta = TagMeta {
                topic: TopicName::new(text(topic)?).ok()?,
                device: Name::new(text(device)?).ok()?,
                name: Name::new(text(name)?).ok()?,
                unit: text(unit)?.to_owned(),
                coding: text(coding)?.to_owned(),
                class: class_of(*class)?,
            };
            (i64::from(rows::tag_crc(id, &meta)) == *crc).then_some(Known::Tag(id, meta))
        }
        (Some(id), [Null, Bytes(name), Integer(required), Integer(crc)]) => {
            let (id, name) = (u32::try_from(id).ok()?, text(name)?);
            let policy = u8::try_from(*required).ok()?;
            let right = i64::from(rows::consumer_crc(id, name, policy)) == *crc;
            let name = Name::new(name).ok().filter(|_| right)?;
            Some(Known::Consumer { id, name })
        }
        (
            None,
            [
                Integer(consumer),
                Integer(class),
                Bytes(settled),
                Integer(delivered),
                Integer(excluded),
                Bytes(dropped),
                Integer(crc),
            ],
        ) => {
            let (consumer, class) = (u32::try_from(*consumer).ok()?, class_of(*class)?);
            let sums = (delivered.cast_unsigned(), excluded.cast_unsigned());
            let right = rows::share_crc(consumer, class, settled, sums, text(dropped)?);
            let settled = Cursor::from_bytes(settled).ok()?;
            (i64::from(right) == *crc).then_some(Known::Cursor { consumer, class, settled })
        }
        (
            Some(id),
            [
                Null,
                Bytes(reason),
                Bytes(consumer),
                Integer(class),
                Integer(from),
                Integer(to),
                Integer(n),
                wall_from,
                wall_to,
                shift,
                epoch,
                Integer(crc),
            ],
        ) => {
            let row = DropRow {
                id,
                reason: text(reason)?.to_owned().into(),
                consumer: text(consumer)?.to_owned(),
                class: class_of(*class)?.as_str(),
                seq_from: from.cast_unsigned(),
                seq_to: to.cast_unsigned(),
                n: n.cast_unsigned(),
                wall_from_ms: optional(wall_from)?,
                wall_to_ms: optional(wall_to)?,
                shift_ms: optional(shift)?,
                epoch: optional(epoch)?.map(i64::cast_unsigned),
            };
            let skipped = row.reason == SKIPPED && row.seq_from <= row.seq_to;
            let right = i64::from(ledger_rows::row_crc(&row)) == *crc;
            let (range, epoch) = (row.seq_from..row.seq_to, row.epoch);
            let class = class_of(*class)?;
            (skipped && right).then_some(Known::Skipped { class, range, epoch })
        }
        (None, [Bytes(key), Integer(value), Integer(crc)]) => {
            let (key, value) = (text(key)?.to_owned(), value.cast_unsigned());
            (i64::from(rows::meta_crc(&key, value)) == *crc).then_some(Known::Meta { key, value })
        }
        _ => None,
    }
}

/// `None` for what is no number at all.
fn optional(field: &Field) -> Option<Option<i64>> {
    match field {
        Field::Null => Some(None),
        Field::Integer(value) => Some(Some(*value)),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
