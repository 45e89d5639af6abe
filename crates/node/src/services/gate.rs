//! Save before send, by construction: effects wait until all changes before them are durable.

use std::collections::VecDeque;

/// So many records may wait for what comes next.
const LATE_RECORDS_MAX: usize = 1_000;

/// Numbers what was given to the log, from 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Holds effects back.
pub struct Gate<E> {
    given: Ticket,
    durable: Ticket,
    held: VecDeque<(Ticket, E)>,
    /// What needs no cause.
    passed: VecDeque<E>,
}

impl<E> Default for Gate<E> {
    fn default() -> Self {
        Self {
            given: Ticket(0),
            durable: Ticket(0),
            held: VecDeque::new(),
            passed: VecDeque::new(),
        }
    }
}

impl<E> Gate<E> {
    /// A change has been given to the log under this number. What comes now has it as its cause.
    pub fn given(&mut self, ticket: Ticket) {
        self.given = self.given.max(ticket);
    }

    /// The log is durable up to this number.
    pub fn durable(&mut self, through: Ticket) {
        self.durable = self.durable.max(through);
    }

    /// An effect, whose cause is all that was given before.
    pub fn hold(&mut self, effect: E) {
        self.held.push_back((self.given, effect));
    }

    /// An effect that waits for nothing, and comes before all that wait.
    pub fn pass(&mut self, effect: E) {
        self.passed.push_back(effect);
    }

    /// The next effect whose cause is durable.
    pub fn release(&mut self) -> Option<E> {
        if let Some(effect) = self.passed.pop_front() {
            return Some(effect);
        }
        let (cause, _) = self.held.front()?;
        if *cause > self.durable && !Self::is_planted_open() {
            return None;
        }
        self.held.pop_front().map(|(_, effect)| effect)
    }

    /// Never, but for a bug that is planted.
    fn is_planted_open() -> bool {
        #[cfg(feature = "planted")]
        if crate::planted::edge_before_barrier() {
            return true;
        }
        false
    }
}

/// What is to be done next, in order.
#[derive(Debug)]
pub enum Next<R, E> {
    /// Save all of this or nothing of it; then say so to [`Barrier::durable`].
    Save {
        /// Names it. They count from 1.
        ticket: Ticket,
        /// What is saved.
        records: Vec<R>,
    },
    /// Do this.
    Do(E),
}

/// A gate that numbers what is to be saved: what came since the last effect goes together.
pub struct Barrier<R, E> {
    gate: Gate<Next<R, E>>,
    last: Ticket,
    batch: Vec<R>,
    /// There is something in `batch` for which effects wait.
    is_due: bool,
}

impl<R, E> Default for Barrier<R, E> {
    fn default() -> Self {
        Self { gate: Gate::default(), last: Ticket(0), batch: Vec::new(), is_due: false }
    }
}

impl<R, E> Barrier<R, E> {
    /// This is to be saved.
    pub fn save(&mut self, record: R) {
        self.batch.push(record);
        self.is_due = true;
    }

    /// This is to be saved with what comes next, before it: no effect waits for it.
    pub fn save_late(&mut self, record: R) {
        self.batch.push(record);
        self.is_due |= self.batch.len() >= LATE_RECORDS_MAX;
    }

    /// Whether something waits for what comes next.
    pub const fn has_late(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Nothing has come for a while: what waits is to be saved as it is.
    pub const fn flush(&mut self) {
        self.is_due = !self.batch.is_empty();
    }

    /// This is to be done, once all before it is durable.
    pub fn hold(&mut self, effect: E) {
        self.close_batch();
        self.gate.hold(Next::Do(effect));
    }

    /// All that was to be saved is durable up to this ticket.
    pub fn durable(&mut self, through: Ticket) {
        self.gate.durable(through);
    }

    /// What can be done now.
    pub fn release(&mut self) -> Option<Next<R, E>> {
        self.close_batch();
        self.gate.release()
    }

    /// What came since the last ticket gets the next one, and leaves at once: it has no cause.
    fn close_batch(&mut self) {
        if std::mem::take(&mut self.is_due) {
            self.last = Ticket(self.last.0 + 1);
            let records = std::mem::take(&mut self.batch);
            self.gate.pass(Next::Save { ticket: self.last, records });
            self.gate.given(self.last);
        }
    }
}
