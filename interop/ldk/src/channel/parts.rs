//! What LDK wants to be given: fees, a broadcaster, a router, a log. All in memory.

use std::collections::VecDeque;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use bitcoin::{Transaction, secp256k1};
use lightning::{
    blinded_path::payment::{BlindedPaymentPath, ReceiveTlvs},
    chain::{
        self,
        chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator},
    },
    ln::channel_state::ChannelDetails,
    routing::router::{InFlightHtlcs, Route, RouteParameters, Router},
    util::logger::{Level, Logger, Record},
};

/// The rate that LDK believes in, in sat/kw: the same for all but the least that it accepts.
pub struct Rates(AtomicU32);

/// What LDK has published: packages, a child behind its parents.
#[derive(Default)]
pub struct Published(Mutex<Vec<Vec<Transaction>>>);

/// A router that knows no way: every payment comes with its route.
pub struct NoWay;

/// The last lines of LDK's log: who fails can show them.
pub struct Lines {
    lines: Mutex<VecDeque<String>>,
    /// From this level on.
    level: Level,
}

/// So many lines are kept.
const LINES_MAX: usize = 20;

/// Watches nothing: all blocks come whole.
pub struct AllBlocks;

/// The least rate at which LDK works.
const RATE_MIN: u32 = 253;

impl Rates {
    pub const fn new(rate: u32) -> Self {
        Self(AtomicU32::new(rate))
    }

    pub fn set(&self, rate: u32) {
        self.0.store(rate, Ordering::Relaxed);
    }
}

impl FeeEstimator for Rates {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        match target {
            ConfirmationTarget::MinAllowedAnchorChannelRemoteFee
            | ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee
            | ConfirmationTarget::ChannelCloseMinimum => RATE_MIN,
            ConfirmationTarget::MaximumFeeEstimate
            | ConfirmationTarget::UrgentOnChainSweep
            | ConfirmationTarget::AnchorChannelFee
            | ConfirmationTarget::NonAnchorChannelFee
            | ConfirmationTarget::OutputSpendingFee => self.0.load(Ordering::Relaxed),
        }
    }
}

impl Published {
    pub fn take(&self) -> Vec<Vec<Transaction>> {
        std::mem::take(&mut self.0.lock().expect("no test panics with it"))
    }
}

impl BroadcasterInterface for Published {
    fn broadcast_transactions(&self, txs: &[&Transaction]) {
        let mut published = self.0.lock().expect("no test panics with it");
        published.push(txs.iter().map(|it| (*it).clone()).collect());
    }
}

impl Router for NoWay {
    fn find_route(
        &self,
        _: &secp256k1::PublicKey,
        _: &RouteParameters,
        _: Option<&[&ChannelDetails]>,
        _: InFlightHtlcs,
    ) -> Result<Route, &'static str> {
        Err("every payment comes with its route")
    }

    fn create_blinded_payment_paths<T: secp256k1::Signing + secp256k1::Verification>(
        &self,
        _: secp256k1::PublicKey,
        _: Vec<ChannelDetails>,
        _: ReceiveTlvs,
        _: Option<u64>,
        _: &secp256k1::Secp256k1<T>,
    ) -> Result<Vec<BlindedPaymentPath>, ()> {
        Err(())
    }
}

impl chain::Filter for AllBlocks {
    fn register_tx(&self, _: &bitcoin::Txid, _: &bitcoin::Script) {}

    fn register_output(&self, _: chain::WatchedOutput) {}
}

impl Lines {
    pub const fn new(level: Level) -> Self {
        Self { lines: Mutex::new(VecDeque::new()), level }
    }

    pub fn show(&self) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().for_each(|line| println!("LDK: {line}"));
    }
}

impl Logger for Lines {
    fn log(&self, record: Record<'_>) {
        if record.level < self.level {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_back(record.args.to_string());
        if lines.len() > LINES_MAX {
            lines.pop_front();
        }
    }
}

/// Everything on a wire goes over.
pub fn carry(wire: &mut VecDeque<Vec<u8>>, mut deliver: impl FnMut(Vec<u8>)) {
    while let Some(bytes) = wire.pop_front() {
        deliver(bytes);
    }
}
