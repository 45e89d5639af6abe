//! Blocks on a timer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bitcoin::ScriptBuf;

use crate::{Shared, fault::Fault, lock};

/// Mines a block again and again. It stops when dropped.
#[derive(Debug)]
pub struct Miner {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Fault>>>,
}

impl Miner {
    /// Mines a block each time this long is over, to a script or to the devnet's own bank.
    pub fn every(devnet: Shared, wait: Duration, to: Option<ScriptBuf>) -> Result<Self, Fault> {
        let stopped = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stopped);
        let mine = move || {
            let mut next = Instant::now() + wait;
            while !theirs.load(Ordering::Acquire) {
                let left = next.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    lock(&devnet).mine(to.as_deref())?;
                    next = Instant::now() + wait;
                } else {
                    thread::park_timeout(left);
                }
            }
            Ok(())
        };
        let thread = thread::Builder::new().name("devnet miner".to_owned()).spawn(mine);
        let thread = thread.map_err(|error| Fault::Thread(error.to_string()))?;
        Ok(Self { stopped, thread: Some(thread) })
    }

    /// Stops, and says why it had stopped by itself.
    pub fn stop(mut self) -> Result<(), Fault> {
        self.end().unwrap_or(Ok(()))
    }

    fn end(&mut self) -> Option<Result<(), Fault>> {
        self.stopped.store(true, Ordering::Release);
        let thread = self.thread.take()?;
        thread.thread().unpark();
        thread.join().ok()
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.end();
    }
}
