//! The store: where readings wait for their uplinks, and for how long.

use std::path::PathBuf;

use crate::config::defaults::{
    COMMIT_RANGE, ENDURANCE_BYTES, ENDURANCE_RANGE, MAX_AGE, MAX_AGE_RANGE, MAX_BYTES_AUTO,
    MAX_BYTES_RANGE, RAM_BYTES, RAM_RANGE, STORE_PATH,
};
use crate::config::keys;
use crate::config::plan::{StoreMode, StorePlan};
use crate::config::problem::{Complaint, Findings};
use crate::config::section::Section;
use crate::config::values;

const PATH_BYTES_MAX: usize = 4_096;

const MODES: [(&str, StoreMode); 3] = [
    ("safe", StoreMode::Safe),
    ("balanced", StoreMode::Balanced),
    ("sd-saver", StoreMode::SdSaver),
];

pub(super) fn check(root: &Section<'_>, out: &mut Findings) -> StorePlan {
    let section = root.section("store", &keys::STORE, out);
    let path = match section.get("path") {
        None => Some(PathBuf::from(STORE_PATH)),
        Some(field) if field.is_null() => {
            let complaint = Complaint::new("is empty");
            let hint = "write a directory, or none to keep everything in memory";
            out.error(&field.spot(), complaint.hint(hint));
            None
        }
        Some(field) if field.text() == Some("none") => {
            let hint = "give a directory to keep them";
            let message = "readings are kept in memory only and are lost at every restart";
            out.warning(&field.spot(), Complaint::new(message).hint(hint));
            None
        }
        Some(field) => field.scalar(out, values::text(PATH_BYTES_MAX)).map(PathBuf::from),
    };
    let mode = section.scalar("mode", out, values::word(&MODES)).unwrap_or_default();
    StorePlan {
        path,
        commit: section
            .scalar("commit", out, values::duration(COMMIT_RANGE))
            .unwrap_or(mode.commit()),
        write_behind: section.scalar("write-behind", out, values::boolean).unwrap_or(true),
        endurance_bytes: section
            .scalar("endurance", out, values::size(ENDURANCE_RANGE))
            .unwrap_or(ENDURANCE_BYTES),
        max_bytes: section.scalar("max-bytes", out, max_bytes).flatten(),
        max_age: section.scalar("max-age", out, values::duration(MAX_AGE_RANGE)).unwrap_or(MAX_AGE),
        ram_bytes: section
            .scalar("ram", out, values::size_in_memory(RAM_RANGE))
            .unwrap_or(RAM_BYTES),
    }
}

fn max_bytes(text: &str) -> Result<Option<u64>, Complaint> {
    if text == MAX_BYTES_AUTO {
        return Ok(None);
    }
    values::size(MAX_BYTES_RANGE)(text).map(Some)
}
