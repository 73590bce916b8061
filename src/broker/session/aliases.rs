//! Topic aliases that the broker uses towards one client (MQTT 5.0, 3.3.2.3.4).
//!
//! First come, first served: a topic keeps its alias as long as the connection lasts, and when all
//! are given the others go without. Short topics go without anyway: an alias takes three bytes.

use std::collections::HashMap;

use crate::broker::encode::Alias;
use crate::model::TopicName;

/// Topics up to this length are shorter than an alias.
const SHORT: usize = 3;

pub struct Aliases {
    /// How many the client takes.
    max: u16,
    numbers: HashMap<TopicName, u16>,
}

impl Aliases {
    pub fn new(max: u16) -> Self {
        Self { max, numbers: HashMap::new() }
    }

    /// The alias to send a message of this topic with, if there is one.
    pub fn of(&self, topic: &TopicName) -> Option<Alias> {
        if self.max == 0 || topic.as_str().len() <= SHORT {
            return None;
        }
        if let Some(number) = self.numbers.get(topic) {
            return Some(Alias { number: *number, is_known: true });
        }
        let number = u16::try_from(self.numbers.len()).ok()?.checked_add(1)?;
        (number <= self.max).then_some(Alias { number, is_known: false })
    }

    /// A PUBLISH with this alias is on its way: from now on the client knows it.
    pub fn sent(&mut self, topic: &TopicName, alias: Alias) {
        if !alias.is_known {
            self.numbers.insert(topic.clone(), alias.number);
        }
    }
}
