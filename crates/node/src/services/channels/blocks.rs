//! What happens on the chain, block by block from our own cursor.

use chain::{BlockRef, Event as Heard, Found, FoundIn, Height, Watch};
use channel::{Now, State as Phase};
use wire::{
    amount::{BlockHeight, FeeratePerKw},
    tick::Millis,
};

use super::{Change, ChannelName, Channels, Held, Wanted};
use crate::services::treasury::{self, FollowedFrom as Following};

/// A treasury that has no chain yet is asked again after this time.
const FOLLOW_AGAIN: Millis = Millis(500);

impl Channels {
    /// Asks for the chain from our block on, and for all that is watched.
    pub(super) fn follow(&mut self) {
        self.follow_at = None;
        let names: Vec<ChannelName> = self.live().map(|(name, _)| *name).collect();
        let watches = names.iter().flat_map(|name| self.watches(name)).collect();
        let cursor = self.state.cursor;
        self.want(Wanted::Follow, treasury::Command::Follow { cursor, watches });
    }

    /// The treasury follows the chain for us, or not yet.
    pub(super) fn following(&mut self, answer: Result<treasury::Reply, treasury::Refusal>) {
        match answer {
            Ok(treasury::Reply::Following(Following { at, urgent, calm })) => {
                if self.state.cursor.is_none() {
                    self.save(Change::Heard { block: at });
                }
                self.at(at, urgent, calm);
            }
            Ok(_) | Err(_) => self.follow_at = Some(self.clock + FOLLOW_AGAIN),
        }
    }

    /// The chain tells something.
    pub fn block(&mut self, event: Heard, urgent: FeeratePerKw, calm: FeeratePerKw) {
        match event {
            Heard::Connected { block, found } => {
                self.save(Change::Heard { block });
                self.found(block, found);
                self.at(block, urgent, calm);
            }
            Heard::Disconnected { block, cursor } => {
                self.save(Change::Unheard { cursor });
                self.take_back(cursor);
                let _gone = block;
                self.at(cursor, urgent, calm);
            }
            Heard::Found { block, found } => {
                self.found(block, found);
                self.look_at_depths();
            }
            Heard::Searched { .. } => {}
        }
    }

    fn at(&mut self, tip: BlockRef, urgent: FeeratePerKw, calm: FeeratePerKw) {
        let now = Now { tip: BlockHeight(tip.height.0), urgent, calm };
        (self.now, self.tip) = (Some(now), Some(tip));
        let names: Vec<ChannelName> = self.live().map(|(name, _)| *name).collect();
        for name in names {
            if let Some(held) = self.state.channels.get_mut(&name) {
                held.channel.at(now);
            }
            self.stirred.insert(name);
        }
        self.look_at_depths();
        for (name, id) in std::mem::take(&mut self.unpeeled) {
            self.offered(name, id);
        }
    }

    fn found(&mut self, block: BlockRef, found: Vec<Found>) {
        for Found { watch, transaction, position, part } in found {
            let names: Vec<ChannelName> = self.live().map(|(name, _)| *name).collect();
            for name in names {
                let held = &self.state.channels[&name];
                let funding = held.channel.begun().funding();
                let is_funding = transaction.compute_txid() == funding.txid
                    && part == FoundIn::Output(funding.output.0.into());
                let spends = matches!(&watch, Watch::Spend(it) if *it == funding.outpoint());
                if is_funding && held.confirmed != Some((block, position)) {
                    self.save(Change::Confirmed { name, block, position });
                    self.tell_channel(&name);
                } else if spends && held.spent.as_ref().is_none_or(|(at, _)| *at != block) {
                    let transaction = Box::new((*transaction).clone());
                    self.save(Change::Spent { name, block, transaction });
                    self.tell_channel(&name);
                }
            }
        }
    }

    /// A block is gone, with all that was in it.
    fn take_back(&mut self, cursor: BlockRef) {
        let is_gone = |at: &BlockRef| at.height > cursor.height;
        let names: Vec<ChannelName> = self.live().map(|(name, _)| *name).collect();
        for name in names {
            let held = &self.state.channels[&name];
            let unconfirmed = held.confirmed.as_ref().is_some_and(|(at, _)| is_gone(at));
            let unspent = held.spent.as_ref().is_some_and(|(at, _)| is_gone(at));
            if unconfirmed {
                self.save(Change::Unconfirmed { name });
            }
            if unspent {
                self.save(Change::Unspent { name });
            }
            if unconfirmed || unspent {
                self.tell_channel(&name);
            }
        }
    }

    /// Says what is deep enough: a funding that is used, a close that is over.
    fn look_at_depths(&mut self) {
        let names: Vec<ChannelName> = self.live().map(|(name, _)| *name).collect();
        for name in names {
            let held = &self.state.channels[&name];
            let want = held.channel.begun().agreed().minimum_depth.0;
            let is_deep = self.depth(held) >= want && held.confirmed.is_some() || want == 0;
            if is_deep && !held.channel.ready().local {
                let deep = held.channel.deep(None);
                self.take(name, &deep);
                self.tell_channel(&name);
            }
            let held = &self.state.channels[&name];
            if self.is_over(held) {
                self.save(Change::Closed { name });
                let id = self.state.channels[&name].channel.channel_id();
                self.by_id.remove(&id);
                for (watch, _) in self.watches(&name) {
                    self.want(Wanted::Nothing, treasury::Command::FollowUnwatch { watch });
                }
                self.tell_channel(&name);
            }
        }
    }

    /// So many blocks the funding is deep.
    pub(super) fn depth(&self, held: &Held) -> u32 {
        self.depth_of(held.confirmed.as_ref().map(|(at, _)| at.height))
    }

    pub(super) fn depth_of(&self, height: Option<Height>) -> u32 {
        let tip = self.tip.map_or(0, |tip| tip.height.0);
        height.map_or(0, |at| tip.saturating_add(1).saturating_sub(at.0))
    }

    /// Both have closed it together, and that is deep in the chain.
    fn is_over(&self, held: &Held) -> bool {
        let Some((at, transaction)) = &held.spent else { return false };
        let Phase::Negotiating(negotiating) = held.channel.state() else { return false };
        let home = &held.channel.begun().agreed().home.script;
        let is_close = transaction.output.iter().all(|output| {
            output.script_pubkey == *home || output.script_pubkey == negotiating.remote
        });
        is_close && self.depth_of(Some(at.height)) >= self.terms.closed_depth.0
    }
}
