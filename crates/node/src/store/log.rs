//! The thread in front of a store.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
};

use super::{Batch, Store, StoreFault, WRITE_BYTES_MAX, Write};
use crate::services::gate::Ticket;

/// Bytes that wait to be written; whoever has more waits as well.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

/// What the log tells.
#[derive(Debug)]
pub enum Durable {
    /// All up to this ticket survives a crash.
    Through(Ticket),
    /// Nothing after the last ticket told does; and nothing is taken any more.
    Failed(StoreFault),
}

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFault {
    /// One write is longer than any may be.
    TooLong {
        /// Its bytes.
        got: usize,
        /// The most they may be.
        max: usize,
    },
    /// A commit has failed before: what came after it would have no cause.
    Broken,
}

/// Takes batches at once, and makes them durable in order.
pub struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    taken: Condvar,
}

#[derive(Default)]
struct Queue {
    batches: Vec<Batch>,
    bytes: usize,
    last: u64,
    ended: bool,
    broken: bool,
}

impl Log {
    /// Starts the thread; `tell` is called there after each commit.
    pub fn start(store: Store, tell: impl Fn(Durable) + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || write_all(&of_thread, store, tell));
        Self { shared, thread: Some(thread) }
    }

    /// Takes a batch, whose ticket will be told when it is durable. If too much waits for the disk,
    /// it waits, too: then those who send more have to wait for whoever calls this.
    pub fn append(&self, batch: Batch) -> Result<Ticket, LogFault> {
        let longest = batch.iter().map(Write::bytes).max().unwrap_or(0);
        if longest > WRITE_BYTES_MAX {
            return Err(LogFault::TooLong { got: longest, max: WRITE_BYTES_MAX });
        }
        let mut queue = self.shared.lock();
        while queue.bytes > QUEUE_BYTES_MAX && !queue.broken {
            queue = self.shared.taken.wait(queue).expect("nobody panics while holding it");
        }
        if queue.broken {
            return Err(LogFault::Broken);
        }
        queue.bytes += batch.iter().map(Write::bytes).sum::<usize>();
        queue.batches.push(batch);
        queue.last += 1;
        self.shared.filled.notify_one();
        Ok(Ticket(queue.last))
    }
}

/// What waits is written first.
impl Drop for Log {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told by its message.
            thread.join().ok();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nobody panics while holding it")
    }
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Self::Change { bytes, .. } | Self::Snapshot { bytes, .. } => bytes.len(),
            Self::Archive { key, entry, .. } => key.len() + entry.len(),
        }
    }
}

fn write_all(shared: &Shared, mut store: Store, tell: impl Fn(Durable)) {
    loop {
        let mut queue = shared.lock();
        while queue.batches.is_empty() {
            if queue.ended {
                return;
            }
            queue = shared.filled.wait(queue).expect("nobody panics while holding it");
        }
        let batches = std::mem::take(&mut queue.batches);
        let last = Ticket(queue.last);
        queue.bytes = 0;
        drop(queue);
        shared.taken.notify_all();
        match store.commit(&batches) {
            Ok(()) => tell(Durable::Through(last)),
            Err(fault) => {
                let mut queue = shared.lock();
                queue.broken = true;
                queue.batches.clear();
                drop(queue);
                shared.taken.notify_all();
                return tell(Durable::Failed(fault));
            }
        }
    }
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { got, max } => write!(f, "{got} bytes to save at once, at most {max}"),
            Self::Broken => f.write_str("nothing can be saved any more"),
        }
    }
}

impl std::error::Error for LogFault {}
