//! Opening a file that another process may be writing, or that nobody may write.
//!
//! It is read without locks, with an index of the log of its own in memory, so that a copy on a medium
//! without write permission can be read, and none gets a file beside it. What makes that right beside
//! a writer is the matter of `guests.rs`.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::schema;

/// Opens for reading alone; with `log`, what is in the log beside it too.
pub fn connect(path: &Path, log: bool) -> rusqlite::Result<Connection> {
    let how = if log { "&vfs=unix-none" } else { "&immutable=1" };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let uri = schema::uri(path) + "&mode=ro" + how;
    let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // Who closes a file last would bring its log in and delete that; here everyone seems the last.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    if log {
        connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE;")?;
    }
    connection.execute_batch("PRAGMA cache_size=-1000;")?;
    schema::check_ours(&schema::QUEUE, &connection)?;
    if schema::is_older(&connection)? {
        show_as_now(&connection)?;
    }
    Ok(connection)
}

/// Lets a file of an earlier version be read like one of this, without changing it: before tables
/// that lack columns go temporary views that have them, empty; tables that are not there are empty.
fn show_as_now(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA temp_store=MEMORY;")?;
    let now = schema::pattern()?;
    let mut tables = now.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let tables = tables.query_map([], |row| row.get::<_, String>(0))?;
    for table in tables {
        let table = table?;
        let (wanted, there) = (columns(&now, &table)?, columns(connection, &table)?);
        if there.is_empty() {
            connection
                .execute_batch(&format!("CREATE TEMP TABLE {table}({})", wanted.join(", ")))?;
            continue;
        }
        let missing = wanted.iter().filter(|column| !there.contains(column));
        let missing: String = missing.map(|column| format!(", NULL AS {column}")).collect();
        if !missing.is_empty() {
            connection.execute_batch(&format!(
                "CREATE TEMP VIEW {table} AS SELECT *{missing} FROM main.{table}"
            ))?;
        }
    }
    Ok(())
}

/// The names of a table's columns; none if it is not there.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    select.query_map([table], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A file with one row that a checkpoint brought in, and one that is in the WAL alone.
    fn made(dir: &Path) -> (PathBuf, Connection) {
        let path = dir.join("queue.db");
        assert!(schema::create(&schema::QUEUE, &path, schema::Shrinks::Whole, |_| Ok(())).is_ok());
        let writer = schema::connect(&schema::QUEUE, &path, 1 << 30).unwrap();
        writer.execute("INSERT INTO fact VALUES('a', '1')", []).unwrap();
        crate::store::checkpoint::run(&writer, "TRUNCATE").unwrap();
        writer.execute("INSERT INTO fact VALUES('b', '2')", []).unwrap();
        (path, writer)
    }

    fn rows(path: &Path) -> i64 {
        let log = crate::store::guests::head(path).unwrap().is_some();
        let connection = connect(path, log).unwrap();
        connection.query_row("SELECT count(*) FROM fact", [], |row| row.get(0)).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A copy that nobody but root may write, in a directory like that.
    fn copied(from: &Path, parts: &[&str]) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for part in parts {
            fs::copy(from.with_file_name(part), copy.path().join(part)).unwrap();
            let readable = fs::Permissions::from_mode(0o444);
            fs::set_permissions(copy.path().join(part), readable).unwrap();
        }
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o555)).unwrap();
        copy
    }

    #[test]
    fn a_writer_is_read_beside_and_its_wal_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (path, writer) = made(dir.path());
        assert_eq!(rows(&path), 2);
        writer.execute("INSERT INTO fact VALUES('c', '3')", []).unwrap();
        assert_eq!(rows(&path), 3);
    }

    #[test]
    fn copies_are_read_with_what_is_in_their_wal_and_nothing_is_left_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _writer) = made(dir.path());
        for (parts, expected) in [(&["queue.db", "queue.db-wal"][..], 2), (&["queue.db"][..], 1)] {
            let copy = copied(&path, parts);
            let copied = copy.path().join("queue.db");
            assert_eq!(rows(&copied), expected, "{parts:?}");
            assert_eq!(names(copy.path()), parts, "nothing is left behind");
        }
    }

    /// What stands for an earlier version is a file of this one without a column and a table.
    #[test]
    fn a_file_of_an_earlier_version_is_read_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, writer) = made(dir.path());
        writer
            .execute_batch(
                "INSERT INTO boot(no, kernel, offset_ms, synced, crc) VALUES(1, 'k', 5, 1, 0);
                 ALTER TABLE boot DROP COLUMN synced; DROP TABLE audit; PRAGMA user_version=1;",
            )
            .unwrap();
        drop(writer);
        let connection = connect(&path, true).unwrap();
        let boot = "SELECT no, offset_ms, synced FROM boot";
        let boot = connection.query_row(boot, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<bool>>(2)?))
        });
        assert_eq!(boot.unwrap(), (1, 5, None));
        assert_eq!(crate::store::rows::audit(&connection, 9).unwrap(), []);
        assert_eq!(rows(&path), 2, "tables that are the same are themselves");
    }

    #[test]
    fn other_files_are_not_taken_for_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE x(y)").unwrap();
        drop(other);
        let error = connect(&path, false).unwrap_err().to_string();
        assert!(error.contains("another program"), "{error}");
        let text = dir.path().join("store.rs");
        fs::copy(file!(), &text).unwrap();
        assert!(connect(&text, false).is_err());
    }
}
