//! The thread in front of a store.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
};

use super::{Batch, Store, StoreFault, Write};
use crate::services::gate::Ticket;

/// Bytes that wait to be written; whoever has more waits as well.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;

/// What the log tells a writer.
#[derive(Clone, Debug)]
pub enum Durable {
    /// All up to this ticket survives a crash.
    Through(Ticket),
    /// Nothing after the last ticket told does; and nothing is taken any more.
    Failed(Arc<StoreFault>),
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

/// One store for several writers: their batches become durable in the order in which they came.
#[derive(Clone)]
pub struct Log(Arc<Thread>);

/// Takes a core's batches at once, and makes them durable in order.
pub struct Writer {
    log: Log,
    id: usize,
}

struct Thread {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

type Tell = Box<dyn Fn(Durable) + Send>;
type Read = Box<dyn FnOnce(&mut Store) + Send>;

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
    /// The last ticket of each writer, and whoever has one in `batches`.
    given: Vec<(Ticket, bool)>,
    /// Writers that the thread does not know yet.
    new: Vec<Tell>,
    /// Questions to the store, behind all that was given before.
    reads: Vec<Read>,
    ended: bool,
    broken: bool,
}

impl Log {
    /// Starts the thread.
    pub fn start(store: Store) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let handle = std::thread::spawn(move || write_all(&of_thread, store));
        Self(Arc::new(Thread { shared, handle: Some(handle) }))
    }

    /// Asks the store something, on the log's thread, once all that was given before is durable.
    pub fn read(&self, read: impl FnOnce(&mut Store) + Send + 'static) {
        self.0.shared.lock().reads.push(Box::new(read));
        self.0.shared.filled.notify_one();
    }

    /// One writer more; `tell` is called in the log's thread after each commit that has its
    /// batches.
    pub fn writer(&self, tell: impl Fn(Durable) + Send + 'static) -> Writer {
        let mut queue = self.0.shared.lock();
        let id = queue.given.len();
        queue.given.push((Ticket(0), false));
        queue.new.push(Box::new(tell));
        drop(queue);
        Writer { log: self.clone(), id }
    }
}

impl Writer {
    /// Takes a batch, whose ticket will be told when it is durable; tickets of a writer begin with
    /// one. If too much waits for the disk, it waits, too: then those who send more have to wait
    /// for whoever calls this.
    pub fn append(&self, batch: Batch) -> Result<Ticket, LogFault> {
        if let Some(long) = batch.iter().find(|write| write.bytes() > write.bytes_max()) {
            return Err(LogFault::TooLong { got: long.bytes(), max: long.bytes_max() });
        }
        let shared = &self.log.0.shared;
        let mut queue = shared.lock();
        while queue.bytes > QUEUE_BYTES_MAX && !queue.broken {
            queue = shared.taken.wait(queue).expect("nobody panics while holding it");
        }
        if queue.broken {
            return Err(LogFault::Broken);
        }
        queue.bytes += batch.iter().map(Write::bytes).sum::<usize>();
        queue.batches.push(batch);
        let (Ticket(last), waits) = &mut queue.given[self.id];
        (*last, *waits) = (*last + 1, true);
        let ticket = Ticket(*last);
        shared.filled.notify_one();
        Ok(ticket)
    }
}

/// What waits is written first.
impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.filled.notify_one();
        if let Some(handle) = self.handle.take() {
            // A panic there has been told by its message.
            handle.join().ok();
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

/// Until the log is dropped, or broken; a bug in here breaks it, too, for nobody is to wait for it.
fn write_all(shared: &Shared, store: Store) {
    let path = store.path.clone();
    let mut writers = Vec::new();
    let all = AssertUnwindSafe(|| write_on(shared, store, &mut writers));
    let fault = match catch_unwind(all) {
        Ok(Ok(())) => return,
        Ok(Err(fault)) => fault,
        Err(_) => StoreFault::Failed { path, why: "a bug has ended its thread".to_owned() },
    };
    let mut queue = shared.lock();
    queue.broken = true;
    queue.batches.clear();
    writers.append(&mut queue.new);
    drop(queue);
    shared.taken.notify_all();
    let fault = Arc::new(fault);
    for tell in &writers {
        // One that cannot be told keeps nobody else from hearing it.
        let fault = Durable::Failed(Arc::clone(&fault));
        catch_unwind(AssertUnwindSafe(|| tell(fault))).ok();
    }
}

fn write_on(shared: &Shared, mut store: Store, writers: &mut Vec<Tell>) -> Result<(), StoreFault> {
    loop {
        let mut queue = shared.lock();
        while queue.batches.is_empty() && queue.reads.is_empty() {
            if queue.ended {
                return Ok(());
            }
            queue = shared.filled.wait(queue).expect("nobody panics while holding it");
        }
        writers.append(&mut queue.new);
        let (batches, reads) =
            (std::mem::take(&mut queue.batches), std::mem::take(&mut queue.reads));
        let given = queue.given.clone();
        queue.given.iter_mut().for_each(|(_, waits)| *waits = false);
        queue.bytes = 0;
        drop(queue);
        shared.taken.notify_all();
        if !batches.is_empty() {
            store.commit(&batches)?;
        }
        reads.into_iter().for_each(|read| read(&mut store));
        for ((last, waited), tell) in given.into_iter().zip(&*writers) {
            if waited {
                tell(Durable::Through(last));
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
