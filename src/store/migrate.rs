//! What steps of the schema do that SQL can't: rows with a CRC have to be written anew.
//!
//! A step sees the file as the step before left it, so it has the names and words of that time.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::rows::share_crc;
use super::schema::class_of;

/// A row of `cursor`: its key and what its CRC covers.
type CursorRow = (u32, i64, Vec<u8>, i64, i64, String, u32);

/// Reasons of drops are written `ram-full` from version 3 on, no more `ram_full`. A damaged row
/// stays as it is, so that it is still known to be damaged.
pub fn spell_reasons_with_hyphens(connection: &Connection) -> rusqlite::Result<()> {
    let mut select = connection.prepare(
        "SELECT consumer, class, settled, delivered, excluded, dropped, crc FROM cursor
         WHERE dropped LIKE '%\\_%' ESCAPE '\\'",
    )?;
    let rows = select.query_map([], |row| {
        Ok((
            row.get(0)?,
            row.get(1)?,
            row.get(2)?,
            row.get(3)?,
            row.get(4)?,
            row.get(5)?,
            row.get(6)?,
        ))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<CursorRow>>>()?;
    for (consumer, class_code, settled, delivered, excluded, dropped, stored) in rows {
        let Some(class) = class_of(class_code) else { continue };
        let sums = (delivered.cast_unsigned(), excluded.cast_unsigned());
        if share_crc(consumer, class, &settled, sums, &dropped) != stored {
            continue;
        }
        let old: BTreeMap<String, u64> = serde_json::from_str(&dropped).unwrap_or_default();
        let mut new = BTreeMap::<String, u64>::new();
        for (word, n) in old {
            let word = if word.starts_with("dead:") { word } else { word.replace('_', "-") };
            *new.entry(word).or_default() += n;
        }
        let dropped = serde_json::to_string(&new).unwrap_or_default();
        let crc = share_crc(consumer, class, &settled, sums, &dropped);
        connection.execute(
            "UPDATE cursor SET dropped = ?1, crc = ?2 WHERE consumer = ?3 AND class = ?4",
            params![dropped, crc, consumer, class_code],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    #[test]
    fn words_change_with_their_crc_and_damage_stays_damage() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE cursor(consumer, class, settled, delivered, excluded, dropped, crc)",
            )
            .unwrap();
        let old = r#"{"consumer_lag":2,"dead:too_large":5,"ram_full":3}"#;
        let crc = share_crc(1, Class::Bulk, b"x", (7, 8), old);
        let row = "INSERT INTO cursor VALUES(?1, 2, x'78', 7, 8, ?2, ?3)";
        connection.execute(row, params![1, old, crc]).unwrap();
        connection.execute(row, params![2, old, crc]).unwrap();
        spell_reasons_with_hyphens(&connection).unwrap();
        let read = |consumer: u32| -> (String, u32) {
            connection
                .query_row("SELECT dropped, crc FROM cursor WHERE consumer = ?1", [consumer], |r| {
                    Ok((r.get(0)?, r.get(1)?))
                })
                .unwrap()
        };
        let (new, stored) = read(1);
        assert_eq!(new, r#"{"consumer-lag":2,"dead:too_large":5,"ram-full":3}"#);
        assert_eq!(stored, share_crc(1, Class::Bulk, b"x", (7, 8), &new));
        assert_eq!(read(2), (old.to_owned(), crc), "the CRC is of another consumer");
    }
}
