//! Nouns: what every other layer talks about.
//!
//! Plain data, validated at birth. Knows the standard library and `thiserror`, nothing else:
//! no tokio, no files, no clock of its own (time comes in through [`Clock`]).

mod backoff;
mod blame;
mod coding;
mod command;
mod decimal;
mod form;
mod guesses;
mod lan;
mod latest;
mod name;
mod pulse;
mod quality;
mod reading;
pub mod sensor;
mod sink;
mod tag;
mod time;
pub mod tone;
mod topic;
mod unit;
mod value;
mod value_kind;

pub use backoff::Backoff;
pub use blame::{Blame, Retry};
pub use coding::{Coding, Half, Kind, Label, Linear, NotAvailable, Order, Table};
pub use command::{Answer, Command, Origin, Outcome, Refusal, Set, SetRequest};
pub use decimal::{Decimal, exact, power_of_ten};
pub use form::{Form, Holds, PayloadPiece, PayloadPlace, PayloadTemplate};
pub use guesses::{GUESSES_MAX, GUESSES_MEMORY, Guesses, network};
pub use lan::{FromCloud, Lan, Turned};
pub use latest::Latest;
pub use name::{Name, NameError};
pub use pulse::{AtWork, Pulse};
pub use quality::{Doubt, Fault, Quality};
pub use reading::{Batch, Class, Message, Qos, Reading, Seq};
pub use sink::Sink;
pub use tag::{TagId, TagMeta};
pub use time::{Clock, ManualClock, Mono, Wall};
pub use topic::{TopicError, TopicFilter, TopicName};
pub use unit::conversion;
pub use value::Value;
pub use value_kind::ValueKind;
