//! Two sides of a channel, each with its signer, a disk that lags, and what is on the wire.

use std::collections::VecDeque;

use bitcoin::{ScriptBuf, Transaction};
use bitcoin::{Txid, hashes::Hash as _};
use channel::{
    Accepting, AskId, Begun, Change, Channel, Created, Dialects, Effect, Event, Funding,
    FundingOutput, Home, Move, Outcome, Policy, Proposed, Resolvers, Variation, Violation, Wanted,
};
use signer::{
    Branch, ChannelAnswer, ChannelAsk, ChannelChange, ChannelLimits, ChannelOp, ChannelRefusal,
    Channels, KeyIndex, KeyPlace, Money, NodeIndex, Seed, Seen, ShownKeys, WalletKey,
};
use tx::{Form, Side, Templates};
use wire::amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::id::{ChainHash, ChannelKey, OutputIndex, TemporaryChannelId};
use wire::{Message, Network};

pub const KEY: ChannelKey = ChannelKey([3; 32]);
pub const CAPACITY: Sat = Sat(2_000_000);
pub const PUSHED: Msat = Msat(900_000_000);
const RATE: FeeratePerKw = FeeratePerKw(1_000);
pub const SIDES: [Side; 2] = [Side::Opener, Side::Acceptor];

/// One side: a channel, the log that it is saved in, and its signer.
pub struct Half {
    pub begun: Begun,
    pub live: Channel,
    pub log: Vec<Change>,
    durable: usize,
    /// Effects that wait for the disk.
    pub waiting: VecDeque<Effect>,
    pub signer: Keys,
    pub asked: VecDeque<(AskId, ChannelAsk)>,
    pub inbox: VecDeque<Message>,
    pub told: Vec<Event>,
    pub published: Vec<Transaction>,
    pub packages: VecDeque<Vec<Transaction>>,
    pub wanted: Vec<Wanted>,
    pub hung_up: bool,
    /// Whether this test wants it to fail.
    pub may_fail: bool,
}

/// What one signer has.
pub struct Keys {
    pub channels: Channels,
    pub wallet: WalletKey,
    pub policy: signer::Policy,
    /// What it has remembered, in its order.
    pub log: Vec<ChannelChange>,
    entropy: u8,
}

pub fn channels(entropy: u8) -> Keys {
    channels_of(entropy, Templates::bolt3())
}

/// A signer that knows these contracts.
pub fn channels_of(entropy: u8, templates: Templates) -> Keys {
    let seed = Seed::take(&mut [entropy; 32]).expect("entropy of 32 bytes is a seed");
    let keys = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
    let channels = Channels::new(keys, templates);
    let wallet = seed.wallet_key(Network::Regtest);
    // Some tests begin with almost all on one side.
    let limits = ChannelLimits { push_percent_max: 100, ..Default::default() };
    let policy = signer::Policy { channels: limits, ..Default::default() };
    Keys { channels, wallet, policy, log: Vec::new(), entropy }
}

/// Whatever a signer is asked for, saved at once.
pub fn answer(signer: &mut Keys, ask: &ChannelAsk) -> Result<ChannelAnswer, ChannelRefusal> {
    let money = Money { wallet: &signer.wallet, policy: &signer.policy };
    let (change, answer) = signer.channels.decide_with(ask, &money, &Seen::default())?;
    if let Some(change) = change {
        signer.channels.evolve(ask.channel, &change);
        signer.log.push(change);
    }
    Ok(answer)
}

impl Keys {
    /// The signer as it was when its log was so long.
    pub fn of_old(&self, len: usize) -> Self {
        self.of_log(self.log[..len].to_vec())
    }

    /// The signer after a crash that took the peer's last revocation, whose save it does not wait
    /// for. Nothing if there was none.
    pub fn without_last_revocation(&self) -> Option<Self> {
        let mut log = self.log.clone();
        let last = log.iter().rposition(ChannelChange::can_wait)?;
        log.remove(last);
        Some(self.of_log(log))
    }

    fn of_log(&self, log: Vec<ChannelChange>) -> Self {
        let mut old = channels_of(self.entropy, self.channels.templates().clone());
        log.iter().for_each(|it| old.channels.evolve(KEY, it));
        Self { log, ..old }
    }
}

pub fn shown(signer: &mut Keys) -> ShownKeys {
    let ask = ChannelAsk { channel: KEY, op: ChannelOp::Keys };
    let Ok(ChannelAnswer::Keys(keys)) = answer(signer, &ask) else { panic!("keys are shown") };
    *keys
}

pub fn policy() -> Policy {
    Policy {
        chain: ChainHash::of(Network::Regtest),
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
        feerate_min: FeeratePerKw(253),
        feerate_max: FeeratePerKw(50_000),
        zero_conf: false,
        upfront: false,
    }
}

/// A place of the wallet of the same words as a signer's.
pub fn home(entropy: u8) -> Home {
    let seed = Seed::take(&mut [entropy; 32]).expect("entropy of 32 bytes is a seed");
    let place = KeyPlace { branch: Branch::Receive, index: KeyIndex::FIRST };
    let script: ScriptBuf = seed.wallet_key(Network::Regtest).account().script(place);
    Home { place, script }
}

pub fn wanted(form: Form) -> Funding {
    Funding {
        key: KEY,
        temporary: TemporaryChannelId([1; 32]),
        funding: CAPACITY,
        pushed: PUSHED,
        feerate: RATE,
        form,
        variation: Variation::default(),
        announce: false,
        home: home(1),
    }
}

/// A coin of the wallet of a side.
pub fn coin_place(entropy: u8, index: u32) -> (KeyPlace, ScriptBuf) {
    let seed = Seed::take(&mut [entropy; 32]).expect("entropy of 32 bytes is a seed");
    let index = KeyIndex::new(index).expect("it is small");
    let place = KeyPlace { branch: Branch::Receive, index };
    (place, seed.wallet_key(Network::Regtest).account().script(place))
}

pub fn funding() -> FundingOutput {
    FundingOutput { txid: Txid::from_byte_array([5; 32]), output: OutputIndex(258) }
}

fn sent(made: Move) -> Message {
    let Move::Send(message) = made else { panic!("a message was to be sent") };
    let bytes = message.encode().expect("it fits");
    Message::decode(&bytes).expect("it was encoded")
}

fn asks(signer: &mut Keys, moves: &[Move]) -> Vec<ChannelAnswer> {
    let ask = |made: &Move| {
        let Move::Ask(ask) = made else { panic!("the signer was to be asked") };
        answer(signer, ask).unwrap_or_else(|no| panic!("{no}"))
    };
    moves.iter().map(ask).collect()
}

/// Opens a channel, message by message.
pub fn open(form: Form) -> ([Keys; 2], [Begun; 2]) {
    open_with(form, |_| funding())
}

/// The same, with a funding of somebody's.
pub fn open_with(
    form: Form,
    funding: impl FnOnce(&ScriptBuf) -> FundingOutput,
) -> ([Keys; 2], [Begun; 2]) {
    open_of([channels(1), channels(2)], form, funding)
}

/// The same, with these signers.
pub fn open_of(
    signers: [Keys; 2],
    form: Form,
    funding: impl FnOnce(&ScriptBuf) -> FundingOutput,
) -> ([Keys; 2], [Begun; 2]) {
    let other = Policy { dust_limit: Sat(1_000), htlc_minimum: Msat(1_000), ..policy() };
    open_by(signers, &wanted(form), &[policy(), other], home(2), funding)
}

/// A channel of those who want something of their own.
pub fn open_as(
    wanted: &Funding,
    policies: &[Policy; 2],
    acceptor: Home,
    funding: impl FnOnce(&ScriptBuf) -> FundingOutput,
) -> ([Keys; 2], [Begun; 2]) {
    open_by([channels(1), channels(2)], wanted, policies, acceptor, funding)
}

/// The same, with these signers.
pub fn open_by(
    [mut first, mut second]: [Keys; 2],
    wanted: &Funding,
    policies: &[Policy; 2],
    acceptor: Home,
    funding: impl FnOnce(&ScriptBuf) -> FundingOutput,
) -> ([Keys; 2], [Begun; 2]) {
    let keys = [shown(&mut first), shown(&mut second)];
    let proposed = Proposed::new(policies[0].clone(), keys[0], wanted);
    let (proposed, made) = proposed.unwrap_or_else(|no| panic!("{no}"));
    let Message::OpenChannel(said) = sent(made) else { panic!("it opens") };
    let accepting = Accepting::new(&policies[1], KEY, &keys[1], &acceptor, &said);
    let (accepting, made) = accepting.unwrap_or_else(|no| panic!("{no}"));
    let Message::AcceptChannel(said) = sent(made) else { panic!("it accepts") };
    let agreed = proposed.accepted(&said).unwrap_or_else(|no| panic!("{no}"));
    assert_eq!(agreed.funding_script(), accepting.agreed().funding_script());
    let (mut created, moves): (Created, _) = {
        let output = funding(&agreed.funding_script());
        proposed.funded(agreed, output)
    };
    let answers = asks(&mut first, &moves);
    let Some(ChannelAnswer::RemoteSigned { signature, .. }) = answers.last() else {
        panic!("it signs last");
    };
    let Message::FundingCreated(said) = sent(created.signed(*signature)) else {
        panic!("it names the funding");
    };
    let (mut answering, moves) = accepting.receive(&said).unwrap_or_else(|no| panic!("{no}"));
    let mut answers = asks(&mut second, &moves);
    let advanced = answers.pop().expect("three questions, three answers");
    let Some(ChannelAnswer::RemoteSigned { signature, .. }) = answers.pop() else {
        panic!("it signs, and then takes");
    };
    answering.signed(signature);
    let (acceptors, made) = answering.advanced(Ok(advanced)).unwrap_or_else(|no| panic!("{no}"));
    let Message::FundingSigned(said) = sent(made) else { panic!("it signs") };
    let made = created.receive(&said).unwrap_or_else(|no| panic!("{no}"));
    let advanced = asks(&mut first, &[made]).pop().expect("it takes it");
    let openers = created.advanced(Ok(advanced)).unwrap_or_else(|no| panic!("{no}"));
    ([first, second], [openers, acceptors])
}

/// A channel that both sides can use.
pub fn pair(form: Form) -> [Half; 2] {
    let mut ends = begun_pair(form);
    for at in [0, 1] {
        let deep = ends[at].live.deep(None);
        ends[at].take(deep);
        let mut sent = VecDeque::new();
        ends[at].flush(&mut sent);
        ends[1 - at].inbox.extend(sent);
    }
    for end in &mut ends {
        end.hear();
        end.flush(&mut VecDeque::new());
        end.told.clear();
    }
    ends
}

/// A channel whose funding has just been signed for.
pub fn begun_pair(form: Form) -> [Half; 2] {
    halves(open(form))
}

/// Both sides of a channel.
pub fn halves(opened: ([Keys; 2], [Begun; 2])) -> [Half; 2] {
    halves_of(opened, &Resolvers::bolt2())
}

/// Both sides of a channel, which know these contracts.
pub fn halves_of((signers, begun): ([Keys; 2], [Begun; 2]), resolvers: &Resolvers) -> [Half; 2] {
    let mut signers = signers.into_iter();
    begun.map(|begun| {
        let begun = Begun::decode(&begun.encode()).expect("ours");
        let mut live = Channel::with(begun.clone(), resolvers.clone());
        let up = live.opened_in(Dialects::default());
        live.take(&up);
        Half {
            live,
            begun,
            log: Vec::new(),
            durable: 0,
            waiting: VecDeque::new(),
            signer: signers.next().expect("there are two"),
            asked: VecDeque::new(),
            inbox: VecDeque::new(),
            told: Vec::new(),
            published: Vec::new(),
            packages: VecDeque::new(),
            wanted: Vec::new(),
            hung_up: false,
            may_fail: false,
        }
    })
}

/// A bug of whoever runs a channel: `planted.rs`.
fn is_planted(plant: &str) -> bool {
    cfg!(feature = "planted") && std::env::var("LEYDEN_PLANT").is_ok_and(|chosen| chosen == plant)
}

/// The first message of an outcome.
pub fn first_sent(outcome: &Outcome) -> Message {
    let sent = outcome.effects.iter().find_map(|effect| {
        if let Effect::Send(message) = effect { Some((**message).clone()) } else { None }
    });
    sent.expect("something is sent")
}

impl Half {
    pub fn take(&mut self, outcome: Outcome) {
        self.live.take(&outcome);
        self.log.extend(outcome.changes);
        for effect in outcome.effects {
            if let (true, Effect::Ask(id, ask)) = (is_planted("ask-before-intent"), &effect) {
                self.asked.push_back((*id, (**ask).clone()));
                continue;
            }
            self.waiting.push_back(effect);
        }
    }

    /// The disk has caught up, and what waited for it happens.
    pub fn flush(&mut self, to: &mut VecDeque<Message>) {
        if !is_planted("send-before-save") {
            // What can wait has not come to the disk yet.
            let last = self.log.iter().rposition(|change| !change.can_wait());
            self.durable = self.durable.max(last.map_or(0, |at| at + 1));
        }
        while let Some(effect) = self.waiting.pop_front() {
            match effect {
                Effect::Send(message) => {
                    let bytes = message.encode().expect("it fits");
                    to.push_back(Message::decode(&bytes).expect("it was encoded"));
                }
                Effect::Ask(id, ask) => self.asked.push_back((id, *ask)),
                Effect::Tell(event) => self.told.push(event),
                Effect::Publish(package) => {
                    self.published.extend(package.iter().cloned());
                    self.packages.push_back(package);
                }
                Effect::Recall(number) => {
                    let log = self.log.iter().cloned();
                    let (begun, resolvers) = (self.begun.clone(), self.live.resolvers().clone());
                    let (of_kept, known) = (self.begun.clone(), resolvers.clone());
                    let meaning = Channel::recall_with(begun, resolvers, log, number);
                    // What is kept of the log says the same.
                    let kept = self.log.iter().filter_map(Change::trace);
                    let kept =
                        kept.map(|it| Change::read_trace(&it).expect("ours").expect("known"));
                    let again = Channel::recall_with(of_kept, known, kept, number);
                    assert_eq!(again, meaning);
                    self.live.recalled(meaning.expect("the log has it"));
                }
                Effect::Borrow(wanted) => self.wanted.push(wanted),
                Effect::Hangup => self.hung_up = true,
            }
        }
    }

    pub fn answer(&mut self) {
        if let Some(outcome) = self.judged() {
            let outcome = outcome.unwrap_or_else(|no| self.live.violated(&no));
            assert!(self.may_fail || !matches!(outcome.changes[..], [Change::Failing(_), ..]));
            self.take(outcome);
        }
    }

    /// What follows from what the signer says to its next question.
    pub fn judged(&mut self) -> Option<Result<Outcome, Violation>> {
        let (id, ask) = self.asked.pop_front()?;
        let answer = answer(&mut self.signer, &ask);
        Some(self.live.answered(id, answer))
    }

    pub fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.asked.is_empty() && self.waiting.is_empty()
    }

    pub fn hear(&mut self) {
        if !self.live.can_receive() {
            return;
        }
        if let Some(message) = self.inbox.pop_front() {
            let outcome = self.live.receive(&message);
            let state = self.live.state().clone();
            self.take(outcome.unwrap_or_else(|no| panic!("{} in {state:?}: {no}", message.name())));
        }
    }

    /// The channel comes back from its sum, the same as from all its changes.
    fn restore_sum(&mut self) {
        let sum = Change::Sum(Box::new(self.live.sum()));
        let read = Change::decode(&sum.encode()).expect("ours").expect("of this version");
        assert_eq!(read, sum);
        let mut again = Channel::with(self.begun.clone(), self.live.resolvers().clone());
        again.restore(&read).expect("its contracts are known");
        assert_eq!(format!("{again:?}"), format!("{:?}", self.live), "from its sum");
        self.live = again;
    }

    /// Everything that was not durable is gone.
    pub fn crash(&mut self) {
        self.log.truncate(self.durable);
        self.waiting.clear();
        self.asked.clear();
        self.wanted.clear();
        self.live = Channel::with(self.begun.clone(), self.live.resolvers().clone());
        for change in &self.log {
            let read = Change::decode(&change.encode()).expect("ours").expect("of this version");
            assert_eq!(read, *change);
            self.live.restore(&read).expect("its contracts are known");
        }
        self.restore_sum();
        let lost = self.live.disconnected();
        self.take(lost);
        self.told.extend(self.live.owed());
    }
}
