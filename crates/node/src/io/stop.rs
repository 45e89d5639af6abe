//! One word for all services of a process: stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bus::Waker;

/// Shared by all services of a process.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Tells all of them; the wakers end their waits.
    pub fn set(&self, wakers: &[Waker]) {
        self.0.store(true, Ordering::Release);
        wakers.iter().for_each(Waker::wake);
    }
}
