//! Two sides of a channel, each with its signer, a disk that lags, and what is on the wire.

use std::collections::VecDeque;

use bitcoin::{OutPoint, Txid, hashes::Hash as _};
use channel::{
    Accepting, AskId, Begun, Change, Created, Effect, Event, Funding, Live, Move, Opened, Outcome,
    Policy, Proposed,
};
use signer::{
    ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal, Channels, NodeIndex, Seed, ShownKeys,
};
use tx::{Form, Side, Templates};
use wire::amount::{BlockCount, CsvDelay, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::id::{ChainHash, ChannelKey, TemporaryChannelId};
use wire::{Message, Network};

pub const KEY: ChannelKey = ChannelKey([3; 32]);
pub const CAPACITY: Sat = Sat(2_000_000);
pub const PUSHED: Msat = Msat(900_000_000);
const RATE: FeeratePerKw = FeeratePerKw(1_000);
pub const SIDES: [Side; 2] = [Side::Opener, Side::Acceptor];

/// One side: a channel, the log that it is saved in, and its signer.
pub struct Half {
    begun: Begun,
    pub live: Live,
    pub log: Vec<Change>,
    durable: usize,
    /// Effects that wait for the disk.
    pub waiting: VecDeque<Effect>,
    signer: Channels,
    asked: VecDeque<(AskId, ChannelAsk)>,
    pub inbox: VecDeque<Message>,
    pub told: Vec<Event>,
}

pub fn channels(entropy: u8) -> Channels {
    let seed = Seed::take(&mut [entropy; 32]).expect("entropy of 32 bytes is a seed");
    let keys = seed.channel_keys(Network::Regtest, NodeIndex::FIRST);
    Channels::new(keys, Templates::bolt3())
}

/// Whatever a signer is asked for, saved at once.
pub fn answer(signer: &mut Channels, ask: &ChannelAsk) -> Result<ChannelAnswer, ChannelRefusal> {
    let (change, answer) = signer.decide(ask)?;
    if let Some(change) = change {
        signer.evolve(ask.channel, &change);
    }
    Ok(answer)
}

pub fn shown(signer: &mut Channels) -> ShownKeys {
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
    }
}

pub fn wanted(form: Form) -> Funding {
    Funding {
        key: KEY,
        temporary: TemporaryChannelId([1; 32]),
        funding: CAPACITY,
        pushed: PUSHED,
        feerate: RATE,
        form,
        announce: false,
    }
}

fn outpoint() -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([5; 32]), vout: 258 }
}

fn sent(made: Move) -> Message {
    let Move::Send(message) = made else { panic!("a message was to be sent") };
    let bytes = message.encode().expect("it fits");
    Message::decode(&bytes).expect("it was encoded")
}

fn asks(signer: &mut Channels, moves: &[Move]) -> Vec<ChannelAnswer> {
    let ask = |made: &Move| {
        let Move::Ask(ask) = made else { panic!("the signer was to be asked") };
        answer(signer, ask).unwrap_or_else(|no| panic!("{no}"))
    };
    moves.iter().map(ask).collect()
}

/// Opens a channel, message by message.
pub fn open(form: Form) -> ([Channels; 2], [Opened; 2]) {
    let [mut first, mut second] = [channels(1), channels(2)];
    let keys = [shown(&mut first), shown(&mut second)];
    let proposed = Proposed::new(policy(), keys[0], &wanted(form));
    let (proposed, made) = proposed.unwrap_or_else(|no| panic!("{no}"));
    let Message::OpenChannel(said) = sent(made) else { panic!("it opens") };
    let other = Policy { dust_limit: Sat(1_000), ..policy() };
    let (accepting, made) =
        Accepting::new(&other, KEY, &keys[1], &said).unwrap_or_else(|no| panic!("{no}"));
    let Message::AcceptChannel(said) = sent(made) else { panic!("it accepts") };
    let agreed = proposed.accepted(&said).unwrap_or_else(|no| panic!("{no}"));
    assert_eq!(agreed.funding_script(), accepting.agreed().funding_script());
    let (mut created, moves): (Created, _) = proposed.funded(agreed, outpoint());
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
    let (signers, mut opened) = open(form);
    let ready = [opened[0].deep(None), opened[1].deep(None)];
    for (message, to) in ready.iter().zip([1, 0]) {
        assert_eq!(opened[to].begun().map(|_| ()), None);
        let Message::ChannelReady(said) = message else { panic!("it is ready") };
        opened[to].receive(said).unwrap_or_else(|no| panic!("{no}"));
    }
    let mut signers = signers.into_iter();
    opened.map(|opened| {
        let begun = opened.begun().expect("both are ready");
        Half {
            live: Live::new(begun.clone()).expect("there is so much"),
            begun,
            log: Vec::new(),
            durable: 0,
            waiting: VecDeque::new(),
            signer: signers.next().expect("there are two"),
            asked: VecDeque::new(),
            inbox: VecDeque::new(),
            told: Vec::new(),
        }
    })
}

impl Half {
    pub fn take(&mut self, outcome: Outcome) {
        self.live.take(&outcome);
        self.log.extend(outcome.changes);
        self.waiting.extend(outcome.effects);
    }

    /// The disk has caught up, and what waited for it happens.
    pub fn flush(&mut self, to: &mut VecDeque<Message>) {
        self.durable = self.log.len();
        while let Some(effect) = self.waiting.pop_front() {
            match effect {
                Effect::Send(message) => {
                    let bytes = message.encode().expect("it fits");
                    to.push_back(Message::decode(&bytes).expect("it was encoded"));
                }
                Effect::Ask(id, ask) => self.asked.push_back((id, *ask)),
                Effect::Tell(event) => self.told.push(event),
            }
        }
    }

    pub fn answer(&mut self) {
        if let Some((id, ask)) = self.asked.pop_front() {
            let answer = answer(&mut self.signer, &ask);
            let outcome = self.live.answered(id, answer).unwrap_or_else(|no| panic!("{no}"));
            self.take(outcome);
        }
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
            self.take(outcome.unwrap_or_else(|no| panic!("{}: {no}", message.name())));
        }
    }

    /// Everything that was not durable is gone.
    pub fn crash(&mut self) {
        self.log.truncate(self.durable);
        self.waiting.clear();
        self.asked.clear();
        self.live = Live::new(self.begun.clone()).expect("there was so much");
        for change in &self.log {
            let read = Change::decode(&change.encode()).expect("ours").expect("of this version");
            assert_eq!(read, *change);
            self.live.evolve(&read);
        }
        let lost = self.live.disconnected();
        self.take(lost);
        self.told.extend(self.live.owed());
    }
}
