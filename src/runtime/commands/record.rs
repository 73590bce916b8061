//! From a command and its outcome to the record in the store.

use std::sync::Arc;

use super::check::Denied;
use super::targets::Target;
use crate::model::{Clock, Outcome, Refusal, SetRequest, Value};
use crate::runtime::live::Board;
use crate::store::{AuditRecord, Store};

/// Bytes of a payload that is recorded because it is no value; the store cuts it further.
const PAYLOAD_BYTES_MAX: usize = 512;

/// See the module.
pub struct Recorder {
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    store: Store,
}

impl Recorder {
    pub fn new(clock: Arc<dyn Clock>, board: Arc<Board>, store: Store) -> Self {
        Self { clock, board, store }
    }

    /// What these tags held last, as far as that is known.
    pub fn before(&self, sets: &[(Arc<Target>, Value)]) -> Vec<Option<String>> {
        sets.iter().map(|(target, _)| self.board.value(target.id)).collect()
    }

    /// A request that went to a bus, tag by tag.
    pub fn commanded(
        &self,
        request: &SetRequest,
        sets: &[(Arc<Target>, Value)],
        before: &[Option<String>],
        outcomes: &[Outcome],
    ) {
        for (((target, asked), old), outcome) in sets.iter().zip(before).zip(outcomes) {
            let read_back = match outcome {
                Outcome::Done { read_back } => Some(read_back.to_string()),
                Outcome::Refused(Refusal::ReadBack(value)) => Some(value.to_string()),
                _ => None,
            };
            self.keep(AuditRecord {
                tag: format!("{}.{}", target.device, target.tag),
                old: old.clone(),
                asked: asked.to_string(),
                read_back,
                ..self.record(request, outcome)
            });
        }
    }

    /// A request that no bus heard of: one record, however many tags it named.
    pub fn denied(&self, request: &SetRequest, denied: &Denied) {
        let payload = request.payload.get(..PAYLOAD_BYTES_MAX).unwrap_or(&request.payload);
        self.keep(AuditRecord {
            tag: denied.tag.clone().unwrap_or_default(),
            asked: String::from_utf8_lossy(payload).into_owned(),
            ..self.record(request, &Outcome::Refused(denied.refusal.clone()))
        });
    }

    fn record(&self, request: &SetRequest, outcome: &Outcome) -> AuditRecord {
        let reason = match outcome {
            Outcome::Refused(refusal) => Some(refusal.to_string()),
            _ => None,
        };
        let took = (self.clock.mono() - request.at).as_millis();
        AuditRecord {
            origin: request.origin.to_string(),
            topic: request.topic.to_string(),
            tag: String::new(),
            old: None,
            asked: String::new(),
            outcome: outcome.code().to_owned(),
            reason,
            read_back: None,
            carried_out: outcome.reached_device(),
            took_ms: u64::try_from(took).unwrap_or(u64::MAX),
        }
    }

    fn keep(&self, record: AuditRecord) {
        self.store.record(record);
    }
}
