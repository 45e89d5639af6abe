//! What LDK was once: a monitor from the bytes of an earlier day, which knows nothing of what came
//! after and publishes what it has.

use std::sync::Arc;

use bitcoin::{Block, ScriptBuf, Transaction};
use lightning::{
    chain::channelmonitor::ChannelMonitor,
    events::{Event, ReplayEvent},
    sign::{InMemorySigner, KeysManager},
    util::{logger::Level, ser::ReadableArgs as _},
};

use super::Theirs;
use super::parts::{Lines, Published, Rates};
use super::purse::{Bumper, sweep};

/// LDK's monitor of an earlier day, and what it publishes.
pub struct OldMonitor {
    monitor: ChannelMonitor<InMemorySigner>,
    published: Arc<Published>,
    rates: Arc<Rates>,
    log: Arc<Lines>,
    bumper: Bumper,
    keys: Arc<KeysManager>,
    to: ScriptBuf,
}

impl OldMonitor {
    /// From what [`Theirs::monitor_bytes`] has given.
    pub fn read(of: &Theirs, bytes: &[u8]) -> Self {
        let keys = of.keys();
        let mut from = bytes;
        let (_, monitor) = <(bitcoin::BlockHash, ChannelMonitor<InMemorySigner>)>::read(
            &mut from,
            (&**keys, &**keys),
        )
        .unwrap_or_else(|no| panic!("{no:?}"));
        let published = Arc::new(Published::default());
        let log = Arc::new(Lines::new(Level::Info));
        let rates = Arc::new(Rates::new(1_000));
        let bumper = of.bumper(&published, &log);
        let (keys, to) = (Arc::clone(keys), of.script());
        Self { monitor, published, rates, log, bumper, keys, to }
    }

    /// Publishes the newest commitment that it knows of.
    pub fn force_close(&self) {
        self.monitor.broadcast_latest_holder_commitment_txn(
            &self.published,
            &self.rates,
            &self.log,
        );
        self.pump();
    }

    /// The next block.
    pub fn block(&self, block: &Block, height: u32) {
        let all: Vec<_> = block.txdata.iter().enumerate().collect();
        self.monitor.block_connected(
            &block.header,
            &all,
            height,
            Arc::clone(&self.published),
            Arc::clone(&self.rates),
            &self.log,
        );
        self.pump();
    }

    fn pump(&self) {
        let take = |event: Event| -> Result<(), ReplayEvent> {
            if let Event::BumpTransaction(bump) = &event {
                self.bumper.handle_event(bump);
            }
            if let Event::SpendableOutputs { outputs, .. } = &event {
                sweep(&self.keys, &self.published, (&*self.rates, self.to.clone()), outputs);
            }
            Ok(())
        };
        let done = self.monitor.process_pending_events(&&take, &self.log);
        done.unwrap_or_else(|no| panic!("{no:?}"));
    }

    /// Whether nothing is left to be had for it.
    pub fn is_swept(&self) -> bool {
        self.monitor.get_claimable_balances().is_empty()
    }

    /// What it has published since it was last asked.
    pub fn published(&self) -> Vec<Vec<Transaction>> {
        self.published.take()
    }
}
