//! What happens on the chain, block by block from our own cursor.

use std::sync::Arc;

use bitcoin::Transaction;
use chain::{BlockRef, Event as Heard, Found, Height};
use channel::{AskId, EndedBy, Now};
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
        let from = self.next_height();
        let mut watches = Vec::new();
        for name in self.live_names() {
            let watched = self.state.channels[&name].channel.watches();
            watches.extend(watched.iter().map(|watch| (watch.clone(), from)));
            self.lane(&name).watched = watched;
        }
        let cursor = self.state.cursor;
        self.want(Wanted::Follow, treasury::ChannelsWant::Follow { cursor, watches });
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

    /// The chain tells something. That it was heard is saved behind all that follows from it: if
    /// the process ends in between, it is told again, and what was saved changes nothing more.
    pub fn block(&mut self, event: Heard, urgent: FeeratePerKw, calm: FeeratePerKw) {
        match event {
            Heard::Connected { block, found } => {
                self.at(block, urgent, calm);
                self.found(block, &found);
                self.look_at_depths();
                self.look_at_rates();
                self.save(Change::Heard { block });
            }
            Heard::Disconnected { block, cursor } => {
                self.take_back(block, cursor);
                self.at(cursor, urgent, calm);
                self.save(Change::Unheard { cursor });
            }
            Heard::Found { block, found } => {
                self.found(block, &found);
                self.look_at_depths();
            }
            Heard::Searched { .. } => {}
        }
    }

    fn at(&mut self, tip: BlockRef, urgent: FeeratePerKw, calm: FeeratePerKw) {
        let now = Now { tip: BlockHeight(tip.height.0), urgent, calm };
        (self.now, self.tip) = (Some(now), Some(tip));
        for name in self.live_names() {
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

    pub(super) fn live_names(&self) -> Vec<ChannelName> {
        self.live().map(|(name, _)| *name).collect()
    }

    /// Each channel hears of what it has looked for.
    fn found(&mut self, block: BlockRef, found: &[Found]) {
        for name in self.live_names() {
            let watched = &self.lane(&name).watched;
            let of_it = found.iter().filter(|it| watched.contains(&it.watch));
            let mut seen: Vec<&Found> = Vec::new();
            for each in of_it {
                // One transaction may be found by what it spends and by what it pays.
                if seen.iter().all(|it| it.position != each.position) {
                    seen.push(each);
                }
            }
            if seen.is_empty() {
                continue;
            }
            let seen: Vec<_> =
                seen.iter().map(|it| (it.position, Arc::clone(&it.transaction))).collect();
            self.note(name, block, &seen);
            let channel = &self.state.channels[&name].channel;
            let outcome = channel.block(BlockHeight(block.height.0), &seen);
            self.take(name, &outcome);
            // What it has to look for now may be in this block.
            self.watch_news(&name, block.height);
            self.tell_channel(&name);
        }
    }

    /// What people see of it.
    fn note(&mut self, name: ChannelName, block: BlockRef, seen: &[(u32, Arc<Transaction>)]) {
        let funding = self.state.channels[&name].channel.funding();
        for (position, transaction) in seen {
            let position = *position;
            let spends = transaction.input.iter().any(|input| input.previous_output == funding);
            let held = &self.state.channels[&name];
            if transaction.compute_txid() == funding.txid {
                // One that holds something else than was agreed on is none.
                let is_it = held.channel.begun().is_funded_by(transaction);
                if is_it && held.confirmed != Some((block, position)) {
                    self.save(Change::Confirmed { name, block, position });
                }
            } else if spends && held.spent.as_ref().is_none_or(|(at, _)| *at != block) {
                let transaction = Box::new((**transaction).clone());
                self.save(Change::Spent { name, block, transaction });
            }
        }
    }

    /// Looks for what a channel has to look for, and did not before.
    pub(super) fn watch_news(&mut self, name: &ChannelName, from: Height) {
        let Some(held) = self.state.channels.get(name) else { return };
        for watch in held.channel.watches() {
            let watched = &mut self.lane(name).watched;
            if !watched.contains(&watch) {
                watched.push(watch.clone());
                self.watch(watch, from);
            }
        }
    }

    /// A block is gone, with all that was in it.
    fn take_back(&mut self, gone: BlockRef, cursor: BlockRef) {
        let is_gone = |at: &BlockRef| at.height > cursor.height;
        for name in self.live_names() {
            let held = &self.state.channels[&name];
            let unconfirmed = held.confirmed.as_ref().is_some_and(|(at, _)| is_gone(at));
            let unspent = held.spent.as_ref().is_some_and(|(at, _)| is_gone(at));
            if unconfirmed {
                self.save(Change::Unconfirmed { name });
            }
            if unspent {
                self.save(Change::Unspent { name });
            }
            let channel = &self.state.channels[&name].channel;
            let outcome = channel.unblock(BlockHeight(gone.height.0));
            self.take(name, &outcome);
            if unconfirmed || unspent {
                self.tell_channel(&name);
            }
        }
    }

    /// Says what is deep enough: a funding that is used, a close that is over.
    pub(super) fn look_at_depths(&mut self) {
        for name in self.live_names() {
            let held = &self.state.channels[&name];
            let want = held.channel.begun().agreed().minimum_depth.0;
            let is_deep = self.depth(held) >= want && held.confirmed.is_some() || want == 0;
            if is_deep && !held.channel.ready().local {
                let Some(alias) = self.new_alias() else { continue };
                let deep = self.state.channels[&name].channel.deep(Some(alias));
                self.take(name, &deep);
                self.tell_channel(&name);
            } else if self.is_closed(held) && self.depth_of_end(held) == self.terms.closed_depth.0 {
                self.tell_channel(&name);
            }
        }
    }

    /// Nothing can happen to a channel any more.
    pub(super) fn over(&mut self, name: &ChannelName) {
        self.save(Change::Closed { name: *name });
        let id = self.state.channels[name].channel.channel_id();
        self.by_id.remove(&id);
        for watch in std::mem::take(&mut self.lane(name).watched) {
            self.want(Wanted::Nothing, treasury::ChannelsWant::FollowUnwatch { watch });
        }
        self.tell_channel(name);
    }

    /// The treasury lends coins, or none.
    pub(super) fn lent(
        &mut self,
        name: ChannelName,
        asked: AskId,
        answer: Result<treasury::Reply, treasury::Refusal>,
    ) {
        let coins = match answer {
            Ok(treasury::Reply::Lent(coins)) => coins,
            Ok(_) | Err(_) => Vec::new(),
        };
        if let Some(held) = self.state.channels.get(&name) {
            let outcome = held.channel.lent(asked, coins);
            self.take(name, &outcome);
        }
    }

    /// What a revoked commitment says, from the log.
    pub fn recalled(&mut self, name: &ChannelName, meaning: tx::Meaning) {
        if let Some(held) = self.state.channels.get_mut(name) {
            held.channel.recalled(meaning);
            self.stirred.insert(*name);
        }
    }

    /// So many blocks the funding is deep.
    pub(super) fn depth(&self, held: &Held) -> u32 {
        self.depth_of(held.confirmed.as_ref().map(|(at, _)| at.height))
    }

    fn depth_of_end(&self, held: &Held) -> u32 {
        self.depth_of(held.spent.as_ref().map(|(at, _)| at.height))
    }

    fn depth_of(&self, height: Option<Height>) -> u32 {
        let tip = self.tip.map_or(0, |tip| tip.height.0);
        height.map_or(0, |at| tip.saturating_add(1).saturating_sub(at.0))
    }

    /// Both have closed it together, and that is deep in the chain. It is looked at for longer.
    pub(super) fn is_closed(&self, held: &Held) -> bool {
        let by_both = matches!(held.channel.ended_by(), Some((EndedBy::Both, _)));
        by_both && self.depth_of_end(held) >= self.terms.closed_depth.0
    }
}
