//! The channels of a node: it opens them, runs them, pays over them and closes them, each by the
//! pure core `channel`.
//!
//! Poll shape around a state that is the sum of its changes: [`Channels::poll`] gives steps, in
//! order, and what follows a [`Step::Save`] leaves only when that is durable. A connection is gone
//! with its process, so a message that was acknowledged and not followed by anything is said again
//! by the peer: `channel_reestablish` settles it.

mod aliases;
mod blocks;
mod calls;
mod change;
mod lanes;
mod lease;
mod openings;
mod payments;
mod peers;
mod rates;
mod state;
mod sum;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use bitcoin::Transaction;
use chain::{BlockRef, Height, Watch};
use channel::{AskId, ContractId, Now, Policy};
use noise::PublicKey;
use signer::UnixTime;
use wire::{
    Network,
    amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat},
    features::{Feature, Features},
    id::{ChainHash, ChannelId, CommitmentNumber, ConnectionId, Scid},
    lease::{LeaseEpoch, StaleLease},
    tick::{Millis, Tick},
};

pub use calls::{CallId, ChannelLine, Command, Open, Opened, PaymentLine, Refusal, Reply, Stage};
pub use change::Change;
pub use openings::{OPENING_MAX, OPENINGS_MAX, OPENINGS_OF_PEER_MAX, OpeningId};
pub use payments::{EXPIRY_BLOCKS, FINAL_BLOCKS_MIN, PAYING_MAX};
pub use peers::{HELD_MESSAGES_MAX, Peer};
pub use state::{
    Attempt, AttemptId, ChannelName, Held, PAYMENTS_MAX, Payment, PaymentId, Progress, ReturnBytes,
    State,
};
pub use sum::Past;

use crate::services::treasury::{self, ChannelsWant};
use lanes::Lane;
use lease::Lease;
use openings::Opening;

/// Channels that are not over.
pub const CHANNELS_MAX: usize = 10_000;
/// A signer whose disk is full, or that is confused, is asked again after this time.
pub const ASK_AGAIN: Millis = Millis(5_000);
/// Random numbers that the shell keeps in stock.
pub const DRAWS: usize = 64;
/// Messages of these types are about channels.
pub const ROUTED: [std::ops::RangeInclusive<u16>; 2] = [32..=41, 128..=136];

/// What the shell is to do next.
#[derive(Debug)]
pub enum Step {
    /// Give this to the log.
    Save(Change),
    /// Do this once all that was given to the log before is durable.
    Do(Effect),
}

/// What leaves the service.
#[derive(Debug)]
pub enum Effect {
    /// To the post office: from here on these channels are had by this lease.
    Attach {
        /// Which.
        lease: LeaseEpoch,
    },
    /// To a peer.
    Send {
        /// By which lease.
        lease: LeaseEpoch,
        /// Over this connection and no other.
        connection: ConnectionId,
        /// Its type in front.
        bytes: Vec<u8>,
    },
    /// Hang up, after what was sent.
    Hangup {
        /// By which lease.
        lease: LeaseEpoch,
        /// Which connection.
        connection: ConnectionId,
    },
    /// Ask the signer.
    AskSigner(Token, Box<signer::Ask>),
    /// Ask the treasury.
    AskTreasury {
        /// Names the question.
        token: Token,
        /// By which lease.
        lease: LeaseEpoch,
        /// What.
        want: Box<ChannelsWant>,
    },
    /// Look up in the log what a revoked commitment of the peer says: [`Channels::recalled`].
    Recall {
        /// Of which channel.
        name: ChannelName,
        /// Which one.
        number: CommitmentNumber,
    },
    /// Tell whoever asked.
    Reply {
        /// Which call.
        call: CallId,
        /// How it went.
        reply: Box<Result<Reply, Refusal>>,
    },
    /// Tell whoever listens.
    Tell(Event),
    /// Another process has the channels: nothing more is to be done in this one.
    Stop(StaleLease),
}

/// What listeners are told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A channel is not as it was.
    Channel(Box<ChannelLine>),
    /// A payment is not as it was.
    Payment(Box<PaymentLine>),
    /// The signer does not do what a channel wants.
    Refused {
        /// Which channel.
        channel_id: ChannelId,
        /// Why.
        why: String,
    },
}

/// Names a question of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// How the service works.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What is agreed to.
    pub policy: Policy,
    /// So deep a close must be in the chain.
    pub closed_depth: BlockCount,
}

/// For what the signer was asked.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Lease,
    Channel(ChannelName, AskId),
    Opening(OpeningId, openings::Wants),
    Peel(ChannelName, ContractId),
}

/// For what the treasury was asked.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// That it takes our lease.
    Lease,
    /// The chain, from our block on.
    Follow,
    /// A place for what a channel returns.
    Home(OpeningId),
    /// A funding transaction.
    Funding(OpeningId),
    /// Its signatures.
    Signatures(OpeningId),
    /// Coins that pay for what a channel has to publish.
    Coins(ChannelName, AskId),
    /// What needs no answer.
    Nothing,
}

/// All channels of a node.
pub struct Channels {
    terms: Terms,
    lease: Lease,
    state: State,
    lanes: BTreeMap<ChannelName, Lane>,
    by_id: BTreeMap<ChannelId, ChannelName>,
    /// All names that we have given to channels.
    aliases: BTreeSet<Scid>,
    /// A channel waits for a random number, to have a name.
    is_unnamed: bool,
    peers: BTreeMap<ConnectionId, Peer>,
    by_node: BTreeMap<PublicKey, ConnectionId>,
    openings: BTreeMap<OpeningId, Opening>,
    last_opening: OpeningId,
    signer: bool,
    asked: BTreeMap<Token, (Asked, Box<signer::Ask>)>,
    /// Asked again then.
    again: BTreeMap<Token, Tick>,
    /// Answers whose channel has asked something else before, and waits for that.
    early: BTreeMap<Token, Option<signer::Answer>>,
    wanted: BTreeMap<Token, Wanted>,
    last_token: Token,
    /// Not before the treasury has said where the chain is.
    now: Option<Now>,
    tip: Option<BlockRef>,
    follow_at: Option<Tick>,
    /// HTLCs that came before we knew a block.
    unpeeled: BTreeSet<(ChannelName, ContractId)>,
    paying: BTreeMap<PaymentId, Vec<(CallId, Tick)>>,
    draws: VecDeque<[u8; 32]>,
    clock: Tick,
    unix: UnixTime,
    stirred: BTreeSet<ChannelName>,
    steps: VecDeque<Step>,
}

impl Terms {
    /// For a network.
    pub fn of(network: Network) -> Self {
        let policy = Policy {
            chain: ChainHash::of(network),
            funding_min: Sat(20_000),
            funding_max: Sat(1_000_000_000),
            htlc_minimum: Msat(1),
            in_flight_percent: 75,
            htlcs_max: HtlcCount(30),
            reserve_permille: 10,
            dust_limit: Sat(354),
            delay: CsvDelay(144),
            delay_max: CsvDelay(2_016),
            minimum_depth: BlockCount(3),
            zero_conf: false,
            upfront: false,
            feerate_min: FeeratePerKw(253),
            feerate_max: FeeratePerKw(50_000),
        };
        Self { policy, closed_depth: BlockCount(6) }
    }
}

/// What we can do, and say in `init`.
pub fn features() -> Features {
    Features::optional(&[
        Feature::DataLossProtect,
        Feature::VarOnion,
        Feature::StaticRemotekey,
        Feature::PaymentSecret,
        Feature::SupportLargeChannel,
        Feature::Anchors,
        Feature::ShutdownAnysegwit,
        Feature::ChannelType,
        Feature::ScidAlias,
        Feature::SimpleClose,
    ])
}

impl Channels {
    /// Goes on from what was saved.
    pub fn open(state: State, terms: Terms, clock: Tick, unix: UnixTime) -> Self {
        let named = state.channels.values().filter_map(|it| it.channel.ready().local_alias);
        let mut channels = Self {
            aliases: named.collect(),
            is_unnamed: false,
            terms,
            lease: Lease::new(state.lease),
            state,
            lanes: BTreeMap::new(),
            by_id: BTreeMap::new(),
            peers: BTreeMap::new(),
            by_node: BTreeMap::new(),
            openings: BTreeMap::new(),
            last_opening: OpeningId(0),
            signer: false,
            asked: BTreeMap::new(),
            again: BTreeMap::new(),
            early: BTreeMap::new(),
            wanted: BTreeMap::new(),
            last_token: Token(0),
            now: None,
            tip: None,
            follow_at: None,
            unpeeled: BTreeSet::new(),
            paying: BTreeMap::new(),
            draws: VecDeque::new(),
            clock,
            unix,
            stirred: BTreeSet::new(),
            steps: VecDeque::new(),
        };
        channels.raise_lease(LeaseEpoch(0));
        channels.follow();
        channels.go_on();
        channels
    }

    /// What to do next, in order. Asked when no input waits: what came together goes together.
    pub fn poll(&mut self) -> Option<Step> {
        if self.lease.is_over() {
            self.steps.clear();
            return self.lease.end();
        }
        if self.steps.is_empty() {
            self.drive_all();
        }
        self.steps.pop_front()
    }

    /// So late it is.
    pub const fn clock(&mut self, clock: Tick, unix: UnixTime) {
        (self.clock, self.unix) = (clock, unix);
    }

    /// How many random numbers are wanted.
    pub fn thirst(&self) -> usize {
        DRAWS.saturating_sub(self.draws.len())
    }

    /// 32 bytes, drawn with strong randomness.
    pub fn stock(&mut self, draw: [u8; 32]) {
        self.draws.push_back(draw);
        if std::mem::take(&mut self.is_unnamed) {
            self.look_at_depths();
        }
    }

    fn draw(&mut self) -> Option<[u8; 32]> {
        self.draws.pop_front()
    }

    /// All that is remembered.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// When to call [`Channels::wake`] at the latest.
    pub fn wake_at(&self) -> Option<Tick> {
        let openings = self.openings.values().map(|opening| opening.until);
        let paying = self.paying.values().flatten().map(|(_, until)| *until);
        let again = self.again.values().copied().filter(|_| self.signer);
        openings.chain(paying).chain(again).chain(self.follow_at).min()
    }

    /// Time has passed.
    pub fn wake(&mut self) {
        let now = self.clock;
        if self.follow_at.is_some_and(|at| at <= now) {
            self.follow();
        }
        self.lose_patience();
        if self.signer {
            let late: Vec<Token> =
                self.again.extract_if(.., |_, at| *at <= now).map(|it| it.0).collect();
            for token in late {
                if let Some((_, ask)) = self.asked.get(&token) {
                    let ask = ask.clone();
                    self.act(Effect::AskSigner(token, ask));
                }
            }
        }
    }

    /// The link to the signer is up: what it has not answered it is asked again. The same question
    /// gets the same answer.
    pub fn signer_came(&mut self) {
        self.signer = true;
        self.again.clear();
        match self.lease.is_held() {
            true => self.ask_again(),
            false => self.claim(),
        }
    }

    fn ask_again(&mut self) {
        let open = self.asked.iter().filter(|(token, _)| !self.early.contains_key(token));
        let asks: Vec<_> = open.map(|(token, (_, ask))| (*token, ask.clone())).collect();
        for (token, ask) in asks {
            self.act(Effect::AskSigner(token, ask));
        }
    }

    /// The link to the signer is down: everything waits.
    pub const fn signer_went(&mut self) {
        self.signer = false;
    }

    /// The signer has answered; nothing, if it has not understood, or the question did not leave.
    pub fn signer_answered(&mut self, token: Token, answer: Option<signer::Answer>) {
        if let Some(signer::Answer::Refused(signer::Refusal::StaleLease(stale))) = answer {
            if let Some((asked, _)) = self.asked.get(&token) {
                self.lease_refused(matches!(asked, Asked::Lease), stale);
            }
            return;
        }
        let not_now = matches!(
            answer,
            None | Some(signer::Answer::Refused(signer::Refusal::NotSaved { .. }))
        );
        let Some((asked, _)) = self.asked.get(&token) else { return };
        let asked = *asked;
        if not_now && !matches!(asked, Asked::Opening(..)) {
            if self.early.contains_key(&token) {
                return;
            }
            self.again.insert(token, self.clock + ASK_AGAIN);
            return;
        }
        let Asked::Channel(name, _) = asked else { return self.hear_signer(token, answer) };
        self.early.insert(token, answer);
        // What a channel says follows from its questions, so it hears answers in their order, even
        // if one of them had to be asked again.
        while let Some(next) = self.lane(&name).asked.front().copied()
            && let Some(answer) = self.early.remove(&next)
        {
            self.lane(&name).asked.pop_front();
            self.hear_signer(next, answer);
        }
    }

    fn hear_signer(&mut self, token: Token, answer: Option<signer::Answer>) {
        match self.asked.remove(&token).map(|(asked, _)| asked) {
            Some(Asked::Lease) => self.signer_leased(answer),
            Some(Asked::Channel(name, id)) => self.channel_answered(name, id, answer),
            Some(Asked::Opening(id, wants)) => self.opening_answered(id, wants, answer),
            Some(Asked::Peel(name, contract)) => self.peeled(name, contract, answer),
            None => {}
        }
    }

    /// The treasury has answered.
    pub fn treasury_answered(
        &mut self,
        token: Token,
        answer: Result<treasury::Reply, treasury::Refusal>,
    ) {
        let wanted = self.wanted.remove(&token);
        if let Err(treasury::Refusal::StaleLease(stale)) = &answer {
            if let Some(wanted) = wanted {
                self.lease_refused(matches!(wanted, Wanted::Lease), *stale);
            }
            return;
        }
        match wanted {
            Some(Wanted::Lease) => self.treasury_leased(answer),
            Some(Wanted::Follow) => self.following(answer),
            Some(Wanted::Home(opening)) => self.has_home(opening, answer),
            Some(Wanted::Funding(opening)) => self.has_funding(opening, answer),
            Some(Wanted::Signatures(opening)) => self.has_signatures(opening, answer),
            Some(Wanted::Coins(name, asked)) => self.lent(name, asked, answer),
            Some(Wanted::Nothing) | None => {}
        }
    }

    fn ask(&mut self, asked: Asked, ask: signer::Ask) {
        let (token, ask) = (self.next_token(), Box::new(ask));
        self.asked.insert(token, (asked, ask.clone()));
        if let Asked::Channel(name, _) = asked {
            self.lane(&name).asked.push_back(token);
        }
        if self.signer && self.lease.is_held() {
            self.act(Effect::AskSigner(token, ask));
        }
    }

    /// About one channel.
    fn ask_channel(&mut self, asked: Asked, ask: Box<signer::ChannelAsk>) {
        let lease = self.lease.epoch();
        self.ask(asked, signer::Ask::Channel { lease, ask });
    }

    fn want(&mut self, wanted: Wanted, want: ChannelsWant) {
        let (token, lease) = (self.next_token(), self.lease.epoch());
        self.wanted.insert(token, wanted);
        self.act_leased(Effect::AskTreasury { token, lease, want: Box::new(want) });
    }

    fn next_token(&mut self) -> Token {
        self.last_token = Token(self.last_token.0 + 1);
        self.last_token
    }

    fn watch(&mut self, watch: Watch, from: Height) {
        self.want(Wanted::Nothing, ChannelsWant::FollowWatch { watch, from });
    }

    fn publish(&mut self, transactions: Vec<Transaction>) {
        self.want(Wanted::Nothing, ChannelsWant::Publish { transactions });
    }

    fn borrow(&mut self, name: ChannelName, wanted: channel::Wanted) {
        let value = bitcoin::Amount::from_sat(wanted.value.0);
        self.want(Wanted::Coins(name, wanted.asked), ChannelsWant::Lend { value });
    }

    fn save(&mut self, change: Change) {
        self.state.evolve(&change);
        #[cfg(feature = "planted")]
        if matches!(change, Change::Paid { .. }) && crate::planted::payment_not_saved() {
            return;
        }
        self.steps.push_back(Step::Save(change));
    }

    fn act(&mut self, effect: Effect) {
        self.steps.push_back(Step::Do(effect));
    }

    fn reply(&mut self, call: CallId, reply: Result<Reply, Refusal>) {
        self.act(Effect::Reply { call, reply: Box::new(reply) });
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "question {}", self.0)
    }
}
