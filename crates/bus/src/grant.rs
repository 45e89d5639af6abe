//! What a link may ask.

use std::ops::RangeInclusive;

/// A link's name, and the questions that the other side may ask. It belongs to whoever listens, or
/// makes the pair; whoever connects cannot choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    name: String,
    asks: Vec<RangeInclusive<u16>>,
}

impl Grant {
    /// Nothing may be asked.
    pub fn nothing(name: &str) -> Self {
        Self { name: name.to_owned(), asks: Vec::new() }
    }

    /// These topics, too.
    #[must_use]
    pub fn and(mut self, topics: RangeInclusive<u16>) -> Self {
        self.asks.push(topics);
        self
    }

    /// The link's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a question of this topic is allowed.
    pub fn allows(&self, topic: u16) -> bool {
        self.asks.iter().any(|topics| topics.contains(&topic))
    }
}
