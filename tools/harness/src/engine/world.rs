//! Our side: the channel, the log that it is saved in, its signer; and what must always hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bitcoin::Transaction;
use channel::{
    As, AskId, Begun, Change, Channel, Effect, Now, Outcome, Resolvers, Violation, Wanted,
};
use signer::{
    ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal, Channels, Money, Seen, WalletKey,
};
use tx::{Meaning, Side};
use wire::Message;
use wire::amount::{BlockHeight, FeeratePerKw};
use wire::id::PerCommitmentSecret;

use super::done::met;
use super::open::KEY;
use super::peer::Peer;
use super::tape::Tape;

pub(super) const SIDES: [Side; 2] = [Side::Opener, Side::Acceptor];
/// The first block of a run.
pub(super) const HEIGHT: u32 = 400;
/// So often what is saved is compared with what runs.
const COMPARE_ACTS: u32 = 16;
/// A channel that is not at rest after so many turns never is.
const TURNS_MAX: usize = 300;
/// Messages and transactions that are kept to be played with.
const KEPT_MAX: usize = 40;

/// What one signer has, and what it has answered.
pub(super) struct Keys {
    pub(super) channels: Channels,
    pub(super) wallet: WalletKey,
    pub(super) policy: signer::Policy,
    /// What is saved of it before it has done anything.
    pub(super) empty: Vec<u8>,
    /// What it has signed of the peer's, and what it has taken of ours.
    pub(super) signed: BTreeMap<u64, Meaning>,
    pub(super) taken: BTreeMap<u64, Meaning>,
    pub(super) secrets: BTreeMap<u64, PerCommitmentSecret>,
}

impl Keys {
    pub(super) fn answer(&mut self, ask: &ChannelAsk) -> Result<ChannelAnswer, ChannelRefusal> {
        let money = Money { wallet: &self.wallet, policy: &self.policy };
        let (change, answer) = self.channels.decide_with(ask, &money, &Seen::default())?;
        if let Some(change) = change {
            self.channels.evolve(ask.channel, &change);
        }
        self.remember(&ask.op, &answer);
        Ok(answer)
    }

    /// For one number there is one commitment: two would be theft, or a loss.
    fn remember(&mut self, op: &ChannelOp, answer: &ChannelAnswer) {
        let (all, meaning) = match op {
            ChannelOp::SignRemote { meaning, .. } => (&mut self.signed, meaning),
            ChannelOp::Advance { meaning, .. } => (&mut self.taken, meaning),
            ChannelOp::Keys
            | ChannelOp::SetUp(_)
            | ChannelOp::Revoked { .. }
            | ChannelOp::CheckSecret { .. }
            | ChannelOp::SignLocal { .. }
            | ChannelOp::SignClose(_)
            | ChannelOp::SignClaims(_)
            | ChannelOp::SignStages(_) => return,
        };
        let before = all.entry(meaning.number.0).or_insert_with(|| meaning.clone());
        assert_eq!(before, meaning, "two commitments of one number");
        if let ChannelAnswer::Advanced { secret: Some(secret), .. } = answer {
            self.secrets.insert(meaning.number.0 - 1, *secret);
        }
    }
}

pub(super) struct World {
    pub(super) begun: Begun,
    pub(super) live: Channel,
    pub(super) peer: Peer,
    pub(super) signer: Keys,
    pub(super) log: Vec<Change>,
    pub(super) durable: usize,
    pub(super) waiting: VecDeque<Effect>,
    pub(super) asked: VecDeque<(AskId, ChannelAsk)>,
    pub(super) answers: VecDeque<(AskId, Result<ChannelAnswer, ChannelRefusal>)>,
    pub(super) wanted: VecDeque<Wanted>,
    pub(super) sent: VecDeque<Message>,
    pub(super) published: Vec<Transaction>,
    pub(super) is_connected: bool,
    /// Both know parked contracts.
    pub(super) parks: bool,
    /// The signer and the disk are slow.
    pub(super) is_slow: bool,
    pub(super) now: Now,
    /// Where the peer has said that its money shall go.
    pub(super) script: bitcoin::ScriptBuf,
    acts: u32,
}

impl World {
    pub(super) fn new(signer: Keys, begun: Begun, peer: Peer, parks: bool) -> Self {
        let mut live = Channel::with(begun.clone(), Resolvers::all());
        let now =
            Now { tip: BlockHeight(HEIGHT), urgent: FeeratePerKw(3_000), calm: FeeratePerKw(500) };
        live.at(now);
        let met = met(if parks { 4 } else { 0 });
        live.take(&live.opened_in(met));
        Self {
            begun,
            live,
            peer,
            signer,
            log: Vec::new(),
            durable: 0,
            waiting: VecDeque::new(),
            asked: VecDeque::new(),
            answers: VecDeque::new(),
            wanted: VecDeque::new(),
            sent: VecDeque::new(),
            published: Vec::new(),
            is_connected: true,
            parks,
            is_slow: false,
            now,
            script: bitcoin::ScriptBuf::new(),
            acts: 0,
        }
    }

    /// One thing happens, and what follows from it.
    pub(super) fn act(&mut self, tape: &mut Tape<'_>) {
        self.acts += 1;
        match tape.byte() % 4 {
            0 => self.say(tape),
            1 => self.do_something(tape),
            2 => self.suffer(tape),
            _ => self.mend(),
        }
        self.turn();
        if self.acts.is_multiple_of(COMPARE_ACTS) {
            self.check_saved();
        }
    }

    pub(super) fn take(&mut self, outcome: Outcome) {
        self.live.take(&outcome);
        self.log.extend(outcome.changes);
        self.waiting.extend(outcome.effects);
    }

    /// What comes of a message or an answer. A violation alone changes nothing but that the channel
    /// may fail.
    pub(super) fn judge(&mut self, judged: Result<Outcome, Violation>) {
        let outcome = judged.unwrap_or_else(|violation| {
            let outcome = self.live.violated(&violation);
            let only = matches!(outcome.changes[..], [] | [Change::Failing(_)]);
            assert!(only, "{violation} leads to {:?}", outcome.changes);
            outcome
        });
        self.take(outcome);
    }

    /// The peer has said something.
    pub(super) fn hear(&mut self, message: &Message) {
        if self.is_connected && self.live.can_receive() {
            let judged = self.live.receive(message);
            if let (Ok(_), Message::Shutdown(said)) = (&judged, message) {
                self.script = said.scriptpubkey.clone();
            }
            self.judge(judged);
            self.turn();
        }
    }

    /// All that can go on goes on, as long as nobody is slow.
    pub(super) fn turn(&mut self) {
        for _ in 0..TURNS_MAX {
            if !self.is_slow {
                self.flush();
                self.sign();
                self.deliver();
            }
            let outcome = self.live.drive();
            let is_still = outcome.changes.is_empty() && outcome.effects.is_empty();
            self.take(outcome);
            let is_idle = self.waiting.is_empty() && self.asked.is_empty();
            if is_still && (self.is_slow || is_idle && self.answers.is_empty()) {
                return;
            }
        }
        panic!("never at rest: {:?}", self.live.drive());
    }

    /// The disk has caught up, and what waited for it happens.
    pub(super) fn flush(&mut self) {
        // What can wait has not come to the disk yet.
        let last = self.log.iter().rposition(|change| !change.can_wait());
        self.durable = self.durable.max(last.map_or(0, |at| at + 1));
        while let Some(effect) = self.waiting.pop_front() {
            match effect {
                Effect::Send(message) => self.send(&message),
                Effect::Ask(id, ask) => self.asked.push_back((id, *ask)),
                Effect::Publish(package) => package.into_iter().for_each(|it| self.publish(it)),
                Effect::Recall(number) => {
                    let log = self.log.iter().cloned();
                    let (begun, all) = (self.begun.clone(), Resolvers::all());
                    if let Some(meaning) = Channel::recall_with(begun, all, log, number) {
                        self.live.recalled(meaning);
                    }
                }
                Effect::Borrow(wanted) => self.wanted.push_back(wanted),
                Effect::Hangup => self.disconnect(),
                Effect::Tell(_) => {}
            }
        }
    }

    fn send(&mut self, message: &Message) {
        let bytes = message.encode().expect("what we send fits");
        assert_eq!(Message::decode(&bytes).as_ref(), Ok(message), "what we send can be read");
        if self.is_connected {
            self.sent.push_back(message.clone());
            if self.sent.len() > KEPT_MAX {
                self.sent.pop_front();
            }
        }
    }

    /// Nothing that our signer has given up goes into the chain.
    fn publish(&mut self, transaction: Transaction) {
        let (txid, terms) = (transaction.compute_txid(), self.begun.set_up().terms);
        if transaction.input.iter().any(|it| it.previous_output == self.live.funding()) {
            let newest = self.signer.taken.keys().next_back();
            for (number, meaning) in &self.signer.taken {
                let is_it = meaning.build(&terms).transaction.compute_txid() == txid;
                assert!(!is_it || Some(number) == newest, "{number} is revoked, {newest:?} is not");
            }
        }
        if self.published.len() < KEPT_MAX {
            self.published.push(transaction);
        }
    }

    /// The signer looks at one question.
    pub(super) fn sign(&mut self) {
        if let Some((id, ask)) = self.asked.pop_front() {
            assert_eq!(ask.channel, KEY);
            let answer = self.signer.answer(&ask);
            self.answers.push_back((id, answer));
        }
    }

    pub(super) fn deliver(&mut self) {
        if let Some((id, answer)) = self.answers.pop_front() {
            let judged = self.live.answered(id, answer);
            self.judge(judged);
        }
    }

    pub(super) fn disconnect(&mut self) {
        self.is_connected = false;
        self.waiting.retain(|it| !matches!(it, Effect::Send(_)));
        let lost = self.live.disconnected();
        self.take(lost);
    }

    /// Everything that was not saved is gone, and more if the disk has lied.
    pub(super) fn crash(&mut self, lost: usize) {
        self.log.truncate(self.durable.saturating_sub(lost));
        self.durable = self.log.len();
        self.waiting.clear();
        self.asked.clear();
        self.answers.clear();
        self.wanted.clear();
        self.live = self.restored();
        self.live.at(self.now);
        self.disconnect();
        self.live.owed();
    }

    fn restored(&self) -> Channel {
        let begun = Begun::decode(&self.begun.encode()).expect("we wrote it");
        let mut live = Channel::with(begun, Resolvers::all());
        for change in &self.log {
            let read = Change::decode(&change.encode()).expect("we wrote it");
            assert_eq!(read.as_ref(), Some(change));
            live.restore(change).expect("it knows what it knew");
        }
        live
    }

    /// What holds at any time: every commitment can be looked at, and its money is all there.
    pub(super) fn check(&self) {
        for owner in SIDES {
            for which in [As::Draft, As::Signed, As::Settled] {
                self.live.ledger().view(owner, which);
            }
        }
        for id in self.live.ledger().entries().keys() {
            assert!(self.live.contracts().contains_key(id) || self.has_resolved(), "{id:?}");
            self.live.is_too_dusty(*id);
        }
        assert!(self.live.watches().len() >= 2);
    }

    /// What ends on the chain is in the ledger for ever.
    fn has_resolved(&self) -> bool {
        self.log.iter().any(|it| matches!(it, Change::Resolved { .. }))
    }

    /// What was saved is what runs, but for the connection.
    pub(super) fn check_saved(&self) {
        let told = |it: &Channel| {
            let text = format!("{it:?}");
            let end = text.find(", ended: ").expect("it has such a field");
            text[..end].to_owned()
        };
        let restored = self.restored();
        assert_eq!(told(&restored), told(&self.live), "another one comes back");
        let height = |it: &Channel| it.ended_by().map(|(_, height)| height);
        assert_eq!(height(&restored), height(&self.live));
    }

    pub(super) fn of_log(&self, is: impl Fn(&Change) -> bool) -> u64 {
        self.log.iter().filter(|it| is(it)).count() as u64
    }

    pub(super) fn found(&mut self, transactions: Vec<Transaction>) {
        self.now.tip.0 += 1;
        self.live.at(self.now);
        let found: Vec<_> = (0..).zip(transactions.into_iter().map(Arc::new)).collect();
        let outcome = self.live.block(self.now.tip, &found);
        self.take(outcome);
    }
}
