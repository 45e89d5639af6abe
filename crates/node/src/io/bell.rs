//! What services have in common: how they are called, and how they save.

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    time::Duration,
};

use bus::Waker;

use crate::{
    services::gate::Ticket,
    store::{Batch, Durable, Log, LogFault, StoreFault, Writer},
};

/// Calls that wait to be looked at.
pub const CALLS_MAX: usize = 256;
/// Until the log has said why it is broken.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// What happens with a reply.
pub type Answer<R> = Box<dyn FnOnce(R) + Send>;

/// Calls a service from any thread.
pub struct Bell<C, R> {
    calls: SyncSender<(C, Answer<R>)>,
    waker: Waker,
}

/// Calls that a service has not looked at yet.
pub type Calls<C, R> = Receiver<(C, Answer<R>)>;

/// Why a call was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// Too many wait.
    Full {
        /// How many may.
        max: usize,
    },
    /// The service has ended.
    Ended,
}

/// Gives the log what is to be saved, and hears when it is.
pub(super) struct Saver {
    log: Writer,
    durable: Receiver<Durable>,
}

/// Why nothing can be saved.
#[derive(Debug)]
pub(super) enum SaveFault {
    /// The store cannot be used.
    Store(Arc<StoreFault>),
    /// The log takes it not.
    Log(LogFault),
}

/// A bell, and what it rings; each call wakes the service.
pub fn bell<C, R>(waker: Waker) -> (Bell<C, R>, Calls<C, R>) {
    let (calls, waiting) = sync_channel(CALLS_MAX);
    (Bell { calls, waker }, waiting)
}

impl<C, R> Bell<C, R> {
    /// Calls; the answer is given to `answer` on the service's thread, which must not wait.
    pub fn call(&self, command: C, answer: Answer<R>) -> Result<(), Unheard> {
        self.calls.try_send((command, answer)).map_err(|fault| match fault {
            TrySendError::Full(_) => Unheard::Full { max: CALLS_MAX },
            TrySendError::Disconnected(_) => Unheard::Ended,
        })?;
        self.waker.wake();
        Ok(())
    }
}

impl<C, R> Clone for Bell<C, R> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), waker: self.waker.clone() }
    }
}

impl Saver {
    /// Each commit wakes the service.
    pub(super) fn new(log: &Log, waker: Waker) -> Self {
        let (told, durable) = channel();
        Self { log: log.writer(pass_on(told, waker)), durable }
    }

    /// Saves all of this or nothing of it; how that went is told by [`Saver::told`].
    pub(super) fn append(&self, batch: Batch) -> Result<Ticket, SaveFault> {
        self.log.append(batch).map_err(|fault| self.why(fault))
    }

    /// Up to where all is durable, if there is news of it.
    pub(super) fn told(&self) -> Result<Option<Ticket>, SaveFault> {
        match self.durable.try_recv() {
            Ok(Durable::Through(ticket)) => Ok(Some(ticket)),
            Ok(Durable::Failed(fault)) => Err(SaveFault::Store(fault)),
            Err(_) => Ok(None),
        }
    }

    /// A log that is broken has said why, or is about to.
    fn why(&self, fault: LogFault) -> SaveFault {
        while fault == LogFault::Broken
            && let Ok(news) = self.durable.recv_timeout(LAST_WORDS_MAX)
        {
            if let Durable::Failed(fault) = news {
                return SaveFault::Store(fault);
            }
        }
        SaveFault::Log(fault)
    }
}

fn pass_on(told: Sender<Durable>, waker: Waker) -> impl Fn(Durable) + Send {
    move |durable| {
        // A service that has ended wants to know nothing any more.
        told.send(durable).ok();
        waker.wake();
    }
}

impl fmt::Display for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { max } => write!(f, "{max} calls wait, at most {max}"),
            Self::Ended => f.write_str("the node is stopping"),
        }
    }
}

impl std::error::Error for Unheard {}
