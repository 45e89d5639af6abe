//! What is to happen in a world, its clock, and what has happened.

use std::collections::BTreeMap;

use wire::tick::Tick;

/// What is to happen, in its order.
pub(crate) struct Agenda<H> {
    pub(crate) now: Tick,
    queue: BTreeMap<(Tick, u64), H>,
    queued: u64,
    happened: u64,
    /// What happened, if it is to be kept.
    trace: Option<Vec<String>>,
}

impl<H> Agenda<H> {
    pub(crate) fn new(traced: bool) -> Self {
        let trace = traced.then(Vec::new);
        Self { now: Tick(0), queue: BTreeMap::new(), queued: 0, happened: 0, trace }
    }

    /// Puts something in the queue. What is put there first for a time happens first.
    pub(crate) fn at(&mut self, at: Tick, happening: H) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), happening);
    }

    /// What happens next, if anything does before the end. So many happenings are no world, but a
    /// circle.
    pub(crate) fn next(&mut self, end_ms: u64, most: u64) -> Result<Option<H>, String> {
        let Some(((at, _), happening)) = self.queue.pop_first() else { return Ok(None) };
        if at.0 > end_ms {
            return Ok(None);
        }
        self.now = at;
        self.happened += 1;
        if self.happened > most {
            return Err(format!("{most} happenings, and no end"));
        }
        Ok(Some(happening))
    }

    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} {}", self.now.0, text()));
        }
    }

    /// What happened, and the rule that was broken, if one was.
    pub(crate) fn ended(
        self,
        seed: u64,
        end: Result<(), String>,
    ) -> (Vec<String>, Option<crate::Broken>) {
        let at_ms = self.now.0;
        let broken = end.err().map(|rule| crate::Broken { seed, at_ms, rule });
        (self.trace.unwrap_or_default(), broken)
    }
}
