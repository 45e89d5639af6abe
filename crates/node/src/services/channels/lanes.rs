//! Channels that run: what they hear in turn, and what they want done.

use std::collections::VecDeque;

use chain::Watch;
use channel::{AskId, Change as Step1, Effect as Wish, Event as Told, Outcome};
use signer::{Answer, ChannelRefusal, Refusal};
use wire::{Message, id::ConnectionId};

use super::{
    Asked, Change, ChannelName, Channels, Effect, Event, HELD_MESSAGES_MAX, Held, Step, Token,
};

/// Turns that one channel may take before others do.
const TURNS_MAX: usize = 16;

/// What is between a channel and its peer.
#[derive(Default)]
pub(super) struct Lane {
    /// Where the peer is.
    pub(super) connection: Option<ConnectionId>,
    /// What it has said, and the channel cannot hear yet.
    pub(super) inbox: VecDeque<Message>,
    /// What is looked for in blocks.
    pub(super) watched: Vec<Watch>,
    /// What it has asked the signer and not heard of, in its order.
    pub(super) asked: VecDeque<Token>,
}

impl Channels {
    /// Channels that are not over.
    pub(super) fn live(&self) -> impl Iterator<Item = (&ChannelName, &Held)> {
        self.state.channels.iter().filter(|(_, held)| !held.closed)
    }

    pub(super) fn lane(&mut self, name: &ChannelName) -> &mut Lane {
        self.lanes.entry(*name).or_default()
    }

    /// After a restart: no channel has a connection, and what users may not have heard is told.
    pub(super) fn go_on(&mut self) {
        let names: Vec<_> = self.live().map(|(name, _)| *name).collect();
        for name in names {
            let channel = &self.state.channels[&name].channel;
            self.by_id.insert(channel.channel_id(), name);
            let (lost, owed) = (channel.disconnected(), channel.owed());
            self.take(name, &lost);
            for event in owed {
                self.told(name, event);
            }
        }
        self.forget_unsent();
    }

    /// A peer has said something to a channel.
    pub(super) fn lane_said(&mut self, name: ChannelName, at: ConnectionId, message: Message) {
        let lane = self.lane(&name);
        if lane.connection != Some(at) {
            return;
        }
        if lane.inbox.len() >= HELD_MESSAGES_MAX {
            return self.hang_up(at);
        }
        lane.inbox.push_back(message);
        self.hear(name);
    }

    /// Hears what can be heard.
    fn hear(&mut self, name: ChannelName) {
        while let Some(held) = self.state.channels.get(&name)
            && !held.closed
            && held.channel.can_receive()
        {
            let Some(message) = self.lane(&name).inbox.pop_front() else { return };
            let channel = &self.state.channels[&name].channel;
            let before = channel.state().clone();
            let outcome = channel.receive(&message);
            let outcome = outcome.unwrap_or_else(|violation| channel.violated(&violation));
            self.take(name, &outcome);
            if self.state.channels[&name].channel.state() != &before {
                self.tell_channel(&name);
            }
        }
    }

    /// The signer has answered a channel.
    pub(super) fn channel_answered(
        &mut self,
        name: ChannelName,
        id: AskId,
        answer: Option<Answer>,
    ) {
        let Some(held) = self.state.channels.get(&name) else { return };
        let channel = &held.channel;
        let outcome = match answer {
            Some(Answer::Channel(answer)) => channel.answered(id, Ok(answer)),
            Some(Answer::Refused(Refusal::Channel(refusal))) => channel.answered(id, Err(refusal)),
            // Whatever else it says, it is not about what was asked.
            _ => channel.answered(id, Err(ChannelRefusal::Unknown)),
        };
        let outcome = outcome.unwrap_or_else(|violation| channel.violated(&violation));
        self.take(name, &outcome);
        self.hear(name);
    }

    /// Takes in what was decided: saves it, and lets it be done.
    pub(super) fn take(&mut self, name: ChannelName, outcome: &Outcome) {
        let Some(held) = self.state.channels.get_mut(&name) else { return };
        held.channel.take(outcome);
        for change in &outcome.changes {
            let change: Box<Step1> = Box::new(change.clone());
            self.steps.push_back(Step::Save(Change::Live { name, change }));
        }
        for effect in &outcome.effects {
            match effect {
                Wish::Send(message) => {
                    if let Some(connection) = self.lane(&name).connection {
                        self.say(connection, message);
                    }
                }
                Wish::Ask(id, ask) => {
                    self.ask_channel(Asked::Channel(name, *id), ask.clone());
                }
                Wish::Tell(event) => self.told(name, event.clone()),
                Wish::Publish(transactions) => self.publish(transactions.clone()),
                Wish::Recall(number) => {
                    self.act(Effect::Recall { name, number: *number });
                }
                Wish::Borrow(wanted) => self.borrow(name, *wanted),
                Wish::Hangup => {
                    if let Some(connection) = self.lane(&name).connection {
                        self.hang_up(connection);
                    }
                }
            }
        }
        self.stirred.insert(name);
    }

    /// A channel has something to tell whoever uses it.
    fn told(&mut self, name: ChannelName, event: Told) {
        match event {
            Told::Offered(id) => self.offered(name, id),
            Told::Fulfilled(id, preimage) => self.fulfilled(name, id, preimage),
            Told::Over { id, end } => {
                self.payment_over(name, id, &end);
                let heard = self.state.channels[&name].channel.heard(id);
                self.take(name, &heard);
            }
            Told::TakenBack { id, why } => self.payment_taken_back(name, id, &why),
            Told::Refused { why } => {
                let channel_id = self.state.channels[&name].channel.channel_id();
                self.act(Effect::Tell(Event::Refused { channel_id, why }));
            }
            Told::NeedsCoins => {
                let channel_id = self.state.channels[&name].channel.channel_id();
                let why = "no coin is left that could pay for what it has to publish".to_owned();
                self.act(Effect::Tell(Event::Refused { channel_id, why }));
            }
            Told::Done => self.over(&name),
            // Contracts of other kinds are none of ours yet.
            Told::Opened(..) | Told::Asked(_) => {}
            Told::Up | Told::Usable | Told::Closing | Told::Failing(_) => self.tell_channel(&name),
        }
    }

    /// Does what is each channel's turn, now that nothing else waits for it.
    pub(super) fn drive_all(&mut self) {
        while let Some(name) = self.stirred.pop_first() {
            for _ in 0..TURNS_MAX {
                let Some(held) = self.state.channels.get(&name).filter(|held| !held.closed) else {
                    break;
                };
                let outcome = held.channel.drive();
                if outcome.changes.is_empty() && outcome.effects.is_empty() {
                    break;
                }
                self.take(name, &outcome);
            }
            self.stirred.remove(&name);
        }
    }

    pub(super) fn tell_channel(&mut self, name: &ChannelName) {
        if let Some(line) = self.line(name) {
            self.act(Effect::Tell(Event::Channel(Box::new(line))));
        }
    }
}
