//! The receiving side of a columnar payload, as a consumer would write it; tests rely on it.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::model::{Seq, Wall};

/// A reading as it arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub topic: String,
    pub wall: Wall,
    pub seq: Seq,
    /// `null` if there is no value.
    pub value: Json,
    /// `good`, `uncertain:…` or `bad:…`.
    pub quality: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    id: String,
    ts: i64,
    tags: Vec<String>,
    rows: Vec<Vec<Json>>,
}

/// The payload's id and its readings in order; the error says what is wrong with it.
pub fn decode(payload: &[u8]) -> Result<(String, Vec<Point>), String> {
    let payload: Payload = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
    let mut points = Vec::new();
    for row in &payload.rows {
        let [dt, seq, elements @ ..] = row.as_slice() else {
            return Err("a row without time and position".to_owned());
        };
        let wall = dt.as_i64().and_then(|dt| payload.ts.checked_add(dt)).ok_or("no time")?;
        let mut seq = seq.as_u64().ok_or("no position")?;
        let mut column = 0_usize;
        for element in elements {
            let (value, quality) = match element {
                Json::Null => {
                    column += 1;
                    continue;
                }
                Json::Object(object) => {
                    if let Some(skip) = object.get("n").and_then(Json::as_u64) {
                        let skip = usize::try_from(skip).map_err(|e| e.to_string())?;
                        column = column.checked_add(skip).ok_or("too far")?;
                        continue;
                    }
                    let quality = object.get("q").and_then(Json::as_str).ok_or("no quality")?;
                    (object.get("v").cloned().unwrap_or(Json::Null), quality)
                }
                value => (value.clone(), "good"),
            };
            points.push(Point {
                topic: payload.tags.get(column).ok_or("more elements than tags")?.clone(),
                wall: Wall(wall),
                seq: Seq(seq),
                value,
                quality: quality.to_owned(),
            });
            column += 1;
            seq = seq.checked_add(1).ok_or("no such position")?;
        }
    }
    Ok((payload.id, points))
}
