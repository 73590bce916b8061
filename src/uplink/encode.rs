//! Provisional payloads until `codec` is here.
use crate::model::{Class, Reading, Seq, Wall};

pub fn tag(epoch: u64, class: Class, seq: Seq, r: &Reading, wall: Wall, unit: &str) -> Vec<u8> {
    let v = r.value().and_then(crate::model::Value::as_f64);
    let c = class.as_str().chars().next().unwrap_or('n');
    serde_json::json!({"v": v, "ts": wall.0, "u": unit, "id": format!("{epoch:x}-{c}-{}", seq.0)})
        .to_string()
        .into_bytes()
}

pub struct Columns {
    id: String,
    room: usize,
    rows: Vec<String>,
    bytes: usize,
}

impl Columns {
    pub fn new(epoch: u64, class: Class, room: usize) -> Self {
        let c = class.as_str().chars().next().unwrap_or('n');
        Self { id: format!("{epoch:x}-{c}"), room, rows: Vec::new(), bytes: 40 }
    }
    pub fn push(&mut self, r: &Reading, seq: Seq, wall: Wall, topic: &str) -> bool {
        let v = r.value().and_then(crate::model::Value::as_f64);
        let row = serde_json::json!([wall.0, seq.0, topic, v]).to_string();
        if self.bytes + row.len() + 1 > self.room {
            return false;
        }
        self.bytes += row.len() + 1;
        self.rows.push(row);
        true
    }
    pub fn finish(&mut self) -> Vec<u8> {
        self.bytes = 40;
        let rows = std::mem::take(&mut self.rows).join(",");
        format!("{{\"id\":\"{}\",\"rows\":[{rows}]}}", self.id).into_bytes()
    }
}
