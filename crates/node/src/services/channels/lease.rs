//! The lease by which this process has the channels.
//!
//! Its epoch is made here and nowhere else, once in each start: one more than the log has. It is
//! saved, then shown to the signer, and what that has taken to the treasury. If one of them knows
//! of a later owner the log was put back, or is a copy, or another process starts, too: then one
//! more than theirs is saved, and shown to both, the signer first. Until both have taken it nothing
//! is asked of them, nothing is said to a peer and nothing is published; what is to be waits here.
//! Whoever is told after that that its lease is not in force has been followed by another process,
//! and does nothing more.

use wire::{
    id::ConnectionId,
    lease::{LeaseEpoch, StaleLease},
};

use super::{Asked, CHANNELS_MAX, Change, Channels, Effect, Step, Wanted};
use crate::services::treasury::{self, ChannelsWant};

/// Effects that wait before a peer that says something is hung up on. Each channel may have some,
/// and none says much before the signer has answered.
const WAITING_EFFECTS_MAX: usize = 2 * CHANNELS_MAX;

/// How far this process is with its lease.
#[derive(Debug)]
pub(super) struct Lease {
    /// Its epoch. It rises only before it is held.
    epoch: LeaseEpoch,
    standing: Standing,
    /// What leaves once it is held.
    waiting: Vec<Effect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The signer, or behind it the treasury, has not taken it yet.
    Claiming,
    Held,
    /// Another process has come; whoever runs this one is to be told.
    Lost(StaleLease),
    Ended,
}

impl Lease {
    /// Nobody's yet.
    pub(super) const fn new(epoch: LeaseEpoch) -> Self {
        Self { epoch, standing: Standing::Claiming, waiting: Vec::new() }
    }

    pub(super) const fn epoch(&self) -> LeaseEpoch {
        self.epoch
    }

    pub(super) fn is_held(&self) -> bool {
        self.standing == Standing::Held
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.standing, Standing::Lost(_) | Standing::Ended)
    }

    /// As much waits as may, before a peer is hung up on that says more.
    pub(super) const fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_EFFECTS_MAX
    }

    /// The last step of all.
    pub(super) fn end(&mut self) -> Option<Step> {
        let Standing::Lost(stale) = self.standing else { return None };
        self.standing = Standing::Ended;
        Some(Step::Do(Effect::Stop(stale)))
    }
}

impl Channels {
    /// A later one than that is saved, and nobody has seen it.
    pub(super) fn raise_lease(&mut self, have: LeaseEpoch) {
        let (got, have) = (self.lease.epoch, have.max(self.state.lease));
        match have.next() {
            Some(epoch) => {
                self.lease.epoch = epoch;
                self.save(Change::Leased { epoch });
            }
            None => self.lose_lease(StaleLease { got, have }),
        }
    }

    /// Shows it to the signer.
    pub(super) fn claim(&mut self) {
        self.asked.retain(|_, (asked, _)| !matches!(asked, Asked::Lease));
        self.wanted.retain(|_, wanted| !matches!(wanted, Wanted::Lease));
        let token = self.next_token();
        let ask = Box::new(signer::Ask::Lease { epoch: self.lease.epoch });
        self.asked.insert(token, (Asked::Lease, ask.clone()));
        self.act(Effect::AskSigner(token, ask));
    }

    /// The signer has said something to that.
    pub(super) fn signer_leased(&mut self, answer: Option<signer::Answer>) {
        if let Some(signer::Answer::Channel(signer::ChannelAnswer::Done)) = answer {
            let (token, lease) = (self.next_token(), self.lease.epoch);
            self.wanted.insert(token, Wanted::Lease);
            let want = Box::new(ChannelsWant::Lease);
            self.act(Effect::AskTreasury { token, lease, want });
        }
    }

    /// The treasury has.
    pub(super) fn treasury_leased(&mut self, answer: Result<treasury::Reply, treasury::Refusal>) {
        if answer.is_ok() {
            self.hold_lease();
        }
    }

    /// From here on these channels are ours: what has waited leaves.
    fn hold_lease(&mut self) {
        self.lease.standing = Standing::Held;
        let lease = self.lease.epoch;
        self.act(Effect::Attach { lease });
        for effect in std::mem::take(&mut self.lease.waiting) {
            self.act(effect.by(lease));
        }
        for (_, ask) in self.asked.values_mut() {
            if let signer::Ask::Channel { lease: by, .. } = &mut **ask {
                *by = lease;
            }
        }
        if self.signer {
            self.ask_again();
        }
    }

    /// Somebody knows of another lease. A claim was too low; all else was ours, and is no more.
    pub(super) fn lease_refused(&mut self, was_claim: bool, stale: StaleLease) {
        // One that was given up before is no answer to the one that is shown now.
        if stale.got != self.lease.epoch || self.lease.is_over() {
            return;
        }
        match was_claim {
            true => {
                self.raise_lease(stale.have);
                if self.signer {
                    self.claim();
                }
            }
            false => self.lose_lease(stale),
        }
    }

    /// Somebody else has the channels: nothing more leaves.
    pub fn lose_lease(&mut self, stale: StaleLease) {
        if !self.lease.is_over() {
            self.lease.standing = Standing::Lost(stale);
        }
    }

    /// This leaves when the lease is held.
    pub(super) fn act_leased(&mut self, effect: Effect) {
        match self.lease.is_held() {
            true => self.act(effect),
            false => self.lease.waiting.push(effect),
        }
    }

    /// Nobody is there any more to whom this could be said.
    pub(super) fn unsay(&mut self, to: ConnectionId) {
        self.lease.waiting.retain(|effect| match effect {
            Effect::Send { connection, .. } | Effect::Hangup { connection, .. } => {
                *connection != to
            }
            Effect::Attach { .. }
            | Effect::AskSigner(..)
            | Effect::AskTreasury { .. }
            | Effect::Recall { .. }
            | Effect::Reply { .. }
            | Effect::Tell(_)
            | Effect::Stop(_) => true,
        });
    }
}

impl Effect {
    /// The same, by this lease.
    fn by(self, lease: LeaseEpoch) -> Self {
        match self {
            Self::Send { connection, bytes, .. } => Self::Send { lease, connection, bytes },
            Self::Hangup { connection, .. } => Self::Hangup { lease, connection },
            Self::AskTreasury { token, want, .. } => Self::AskTreasury { token, lease, want },
            Self::Attach { .. }
            | Self::AskSigner(..)
            | Self::Recall { .. }
            | Self::Reply { .. }
            | Self::Tell(_)
            | Self::Stop(_) => self,
        }
    }
}
