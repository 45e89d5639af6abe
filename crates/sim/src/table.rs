//! How often each fault has struck at each effect.

use std::fmt::{self, Write as _};

/// A table fault × effect. One without rows takes those of the first that is added to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    faults: Vec<&'static str>,
    effects: Vec<&'static str>,
    hits: Vec<Vec<u64>>,
}

impl Table {
    pub(crate) fn new(faults: Vec<&'static str>, effects: Vec<&'static str>) -> Self {
        let hits = vec![vec![0; effects.len()]; faults.len()];
        Self { faults, effects, hits }
    }

    pub(crate) fn hit(&mut self, fault: usize, effect: usize) {
        self.hits[fault][effect] += 1;
    }

    /// Adds the hits of another world.
    pub fn add(&mut self, other: &Self) {
        if self.faults.is_empty() {
            *self = Self::new(other.faults.clone(), other.effects.clone());
        }
        for (row, more) in self.hits.iter_mut().zip(&other.hits) {
            row.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }

    /// Whether it has no rows yet.
    pub fn is_blank(&self) -> bool {
        self.faults.is_empty()
    }

    /// The cells that were never hit.
    pub fn empty(&self) -> Vec<String> {
        let mut empty = Vec::new();
        for (fault, row) in self.faults.iter().zip(&self.hits) {
            let never = self.effects.iter().zip(row).filter(|(_, hits)| **hits == 0);
            empty.extend(never.map(|(effect, _)| format!("{fault} at {effect}")));
        }
        empty
    }

    /// All hits together.
    pub fn sum(&self) -> u64 {
        self.hits.iter().flatten().sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut head = String::new();
        for effect in &self.effects {
            write!(head, "{effect:>9}")?;
        }
        writeln!(f, "{:18}{head}", "")?;
        for (fault, row) in self.faults.iter().zip(&self.hits) {
            write!(f, "{fault:18}")?;
            for hits in row {
                write!(f, "{hits:>9}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
