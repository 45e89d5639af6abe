//! Two nodes with channels, in virtual time: each with its signer, its treasury, a disk that lags,
//! and a wire between them that may break.

use std::collections::{BTreeMap, VecDeque};

use bitcoin::{OutPoint, Transaction, Witness};
use node::services::{
    channels::{
        self, CallId, Change, ChannelLine, Channels, Command, Effect, Event, PaymentLine, Refusal,
        Reply, Stage, State, Step, Terms, Token,
    },
    treasury,
};
use noise::PublicKey;
use signer::{Signer, UnixTime};
use wire::{
    Message,
    amount::{FeeratePerKw, Msat, Sat},
    dice::Dice,
    features::Features,
    id::ConnectionId,
    tick::{Millis, Tick},
};

use crate::bank::{Bank, sign, signer, to};

/// What waits for the disk.
enum Held {
    Save(Change),
    Do(Effect),
}

/// One node.
pub struct End {
    pub node: PublicKey,
    pub channels: Channels,
    pub bank: Bank,
    pub signer: Signer,
    /// The signer answers.
    pub signer_is_up: bool,
    /// So many of its next answers are that it cannot save anything.
    pub signer_is_full: usize,
    /// What is durable.
    pub log: Vec<Vec<u8>>,
    waiting: VecDeque<Held>,
    asked: VecDeque<(Token, signer::Ask)>,
    wanted: VecDeque<(Token, treasury::Command)>,
    pub inbox: VecDeque<(ConnectionId, Vec<u8>)>,
    pub hung_up: bool,
    pub replies: BTreeMap<CallId, Result<Reply, Refusal>>,
    pub events: Vec<Event>,
    /// What it has said in warnings and errors.
    pub complaints: Vec<String>,
    /// What its machine draws, if not what the dice throw.
    pub draw: Option<[u8; 32]>,
    /// What its source says that blocks cost, if not what the treasury thinks of that.
    pub rates: Option<[FeeratePerKw; 2]>,
    now: Tick,
    calls: u64,
}

/// A process that was not told that another one has its channels.
pub struct Ghost {
    pub channels: Channels,
    waiting: VecDeque<Held>,
}

/// Both.
pub struct Pair {
    pub ends: [End; 2],
    pub connection: Option<ConnectionId>,
    connections: u64,
    /// What both can do.
    pub features: Features,
    pub dice: Dice,
}

impl End {
    fn new(byte: u8, state: State) -> Self {
        let mut keys = signer(byte);
        let bank = Bank::poor(&mut keys);
        let mut end = Self {
            node: keys.node_id(),
            channels: Channels::open(state, terms(), Tick(0), UnixTime(1)),
            bank,
            signer: keys,
            signer_is_up: true,
            signer_is_full: 0,
            log: Vec::new(),
            waiting: VecDeque::new(),
            asked: VecDeque::new(),
            wanted: VecDeque::new(),
            inbox: VecDeque::new(),
            hung_up: false,
            replies: BTreeMap::new(),
            events: Vec::new(),
            complaints: Vec::new(),
            draw: None,
            rates: None,
            now: Tick(0),
            calls: 0,
        };
        end.channels.signer_came();
        end
    }

    /// Random numbers are kept in stock, and steps taken.
    fn turn(&mut self, dice: &mut Dice) {
        for _ in 0..self.channels.thirst() {
            self.channels.stock(self.draw.unwrap_or_else(|| dice.array()));
        }
        while let Some(step) = self.channels.poll() {
            self.waiting.push_back(Held::of(step));
        }
    }

    /// The disk catches up with some of what waits; what has no cause left happens.
    fn flush(&mut self, steps: usize, peer: &mut VecDeque<(ConnectionId, Vec<u8>)>) {
        for _ in 0..steps {
            match self.waiting.pop_front() {
                Some(Held::Save(change)) => {
                    let bytes = change.encode();
                    let read = Change::decode(&bytes).expect("ours").expect("of this version");
                    assert_eq!(read, change);
                    self.log.push(bytes);
                }
                Some(Held::Do(effect)) => self.perform(effect, peer),
                None => return,
            }
        }
    }

    fn perform(&mut self, effect: Effect, peer: &mut VecDeque<(ConnectionId, Vec<u8>)>) {
        match effect {
            Effect::Attach { .. } => {}
            Effect::Send { connection, bytes, .. } => {
                match Message::decode(&bytes) {
                    Ok(Message::Warning(said)) => self.complaints.push(text(&said.data.0)),
                    Ok(Message::Error(said)) => self.complaints.push(text(&said.data.0)),
                    _ => {}
                }
                peer.push_back((connection, bytes));
            }
            Effect::Hangup { .. } => self.hung_up = true,
            Effect::AskSigner(token, ask) => self.asked.push_back((token, *ask)),
            Effect::AskTreasury { token, lease, want } => {
                let command = treasury::Command::Channels { lease, want: *want };
                self.wanted.push_back((token, command));
            }
            Effect::Reply { call, reply } => {
                self.replies.insert(call, *reply);
            }
            Effect::Recall { .. } => panic!("nobody publishes what is revoked"),
            Effect::Tell(event) => self.events.push(event),
            Effect::Stop(stale) => panic!("nobody else has these channels: {stale}"),
        }
    }

    /// The signer answers one question, over bytes.
    fn sign(&mut self) {
        if !self.signer_is_up {
            return;
        }
        if let Some((token, ask)) = self.asked.pop_front() {
            if let Some(less) = self.signer_is_full.checked_sub(1) {
                self.signer_is_full = less;
                let no = signer::Refusal::NotSaved { bytes: 1, code: 28 };
                let answer = signer::Answer::Refused(no);
                return self.channels.signer_answered(token, Some(answer));
            }
            let ask = signer::Ask::decode(&ask.encode()).expect("ours");
            let mut bytes = sign(&mut self.signer, ask).encode().bytes().to_vec();
            let answer = signer::Answer::decode(&mut bytes).expect("the signer's");
            self.channels.signer_answered(token, Some(answer));
        }
    }

    /// The treasury answers one question.
    fn bank(&mut self) {
        if let Some((token, command)) = self.wanted.pop_front() {
            self.bank.call(command);
            self.bank.serve(&mut self.signer);
            self.bank.follow();
            let answer = self.bank.replies.pop().expect("it answers");
            self.channels.treasury_answered(token, answer);
        }
        for followed in std::mem::take(&mut self.bank.followed) {
            let treasury::Followed { event, urgent, calm } = followed;
            let [urgent, calm] = self.rates.unwrap_or([urgent, calm]);
            self.channels.block(event, urgent, calm);
        }
    }

    pub fn call(&mut self, command: Command) -> CallId {
        self.calls += 1;
        self.channels.call(CallId(self.calls), command);
        CallId(self.calls)
    }

    fn is_idle(&self) -> bool {
        let asked = self.asked.is_empty() || !self.signer_is_up;
        self.waiting.is_empty() && asked && self.wanted.is_empty() && self.inbox.is_empty()
    }

    /// What is not durable is gone, in the node and on its links.
    fn crash(&mut self) {
        self.waiting.clear();
        self.asked.clear();
        self.wanted.clear();
        self.inbox.clear();
        let mut state = State::default();
        evolve(&mut state, &self.log);
        // The same comes of a snapshot, and of what was saved behind it.
        let mut again = State::default();
        for some in self.log.chunks(1 + self.log.len() / 3) {
            evolve(&mut again, some);
            again = State::decode(&again.encode()).expect("ours");
        }
        assert_eq!(format!("{again:?}"), format!("{state:?}"), "from snapshots");
        let owed = state.owed_fundings();
        let bank = std::mem::replace(&mut self.bank, Bank::with(treasury::Saved::default()));
        self.bank = bank.restart_owing(owed);
        self.bank.treasury.signer_came();
        self.bank.follow();
        self.bank.serve(&mut self.signer);
        self.channels = Channels::open(again, terms(), self.now, UnixTime(2));
        self.channels.signer_came();
    }

    /// Another process starts with what is durable in a copy, or was so once; this one is paused.
    pub fn taken_over(&mut self, log: Vec<Vec<u8>>) -> Ghost {
        let waiting = std::mem::take(&mut self.waiting);
        self.asked.clear();
        self.wanted.clear();
        self.inbox.clear();
        self.log = log;
        let mut state = State::default();
        evolve(&mut state, &self.log);
        let channels = Channels::open(state, terms(), self.now, UnixTime(2));
        let channels = std::mem::replace(&mut self.channels, channels);
        if self.signer_is_up {
            self.channels.signer_came();
        }
        Ghost { channels, waiting }
    }

    pub fn lines(&mut self, pair_dice: &mut Dice) -> Vec<ChannelLine> {
        let call = self.call(Command::Channels);
        self.turn(pair_dice);
        self.flush(usize::MAX, &mut VecDeque::new());
        match self.replies.remove(&call) {
            Some(Ok(Reply::Channels(lines))) => lines,
            other => panic!("{other:?}"),
        }
    }

    pub fn payments(&mut self, pair_dice: &mut Dice) -> Vec<PaymentLine> {
        let call = self.call(Command::Payments);
        self.turn(pair_dice);
        self.flush(usize::MAX, &mut VecDeque::new());
        match self.replies.remove(&call) {
            Some(Ok(Reply::Payments(lines))) => lines,
            other => panic!("{other:?}"),
        }
    }
}

impl Ghost {
    /// All that leaves, now that its own copy of the log has taken everything.
    pub fn effects(&mut self) -> Vec<Effect> {
        let mut all: Vec<Effect> = self.waiting.drain(..).filter_map(Held::effect).collect();
        while let Some(step) = self.channels.poll() {
            all.extend(Held::of(step).effect());
        }
        all
    }
}

impl Held {
    fn of(step: Step) -> Self {
        match step {
            Step::Save(change) => Self::Save(change),
            Step::Do(effect) => Self::Do(effect),
        }
    }

    fn effect(self) -> Option<Effect> {
        match self {
            Self::Save(_) => None,
            Self::Do(effect) => Some(effect),
        }
    }
}

fn evolve(state: &mut State, log: &[Vec<u8>]) {
    for bytes in log {
        let change = Change::decode(bytes).expect("ours").expect("of this version");
        state.evolve(&change);
    }
}

fn terms() -> Terms {
    Terms::of(wire::Network::Regtest)
}

impl Pair {
    /// Two that know each other, and a block.
    pub fn new(seed: u64) -> Self {
        let ends = [End::new(51, State::default()), End::new(52, State::default())];
        let (connection, features) = (None, channels::features());
        let dice = Dice::new(seed);
        let mut pair = Self { ends, connection, connections: 0, features, dice };
        pair.settle();
        let gifts = [(0, 200_000), (1, 200_001)].map(|(at, sat)| {
            let script = pair.ends[at].bank.address();
            to(script, sat)
        });
        pair.mine_these(gifts.to_vec());
        pair.settle();
        pair.connect();
        pair.settle();
        pair
    }

    pub fn connect(&mut self) {
        self.disconnect();
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.connection = Some(connection);
        let nodes = [self.ends[0].node, self.ends[1].node];
        for (at, end) in self.ends.iter_mut().enumerate() {
            let features = self.features.clone();
            end.channels.peer_came(connection, nodes[1 - at], features, false);
        }
    }

    pub fn disconnect(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        for end in &mut self.ends {
            end.inbox.clear();
            end.hung_up = false;
            end.channels.peer_went(connection);
        }
    }

    fn two(&mut self, at: usize) -> (&mut End, &mut End) {
        let [first, second] = &mut self.ends;
        if at == 0 { (first, second) } else { (second, first) }
    }

    /// One thing happens at one end.
    pub fn step(&mut self, at: usize, what: usize) {
        let mut dice = Dice::new(self.dice.number());
        let connection = self.connection;
        let (end, peer) = self.two(at);
        match what {
            0 => end.sign(),
            1 => end.bank(),
            2 => {
                if let Some((over, bytes)) = end.inbox.pop_front()
                    && Some(over) == connection
                {
                    end.channels.message(over, &bytes);
                }
            }
            _ => {
                end.turn(&mut dice);
                let steps = if what == 3 { usize::MAX } else { 1 + dice.below(3) };
                end.flush(steps, &mut peer.inbox);
            }
        }
        if end.hung_up {
            self.disconnect();
        }
    }

    /// An end hears of the chain, and makes so many steps of what follows.
    pub fn hear_chain(&mut self, at: usize, steps: usize) {
        let mut dice = Dice::new(self.dice.number());
        let (end, peer) = self.two(at);
        end.bank();
        end.turn(&mut dice);
        end.flush(steps, &mut peer.inbox);
    }

    /// Until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..2_000 {
            for at in [0, 1] {
                for what in [3, 0, 1, 2, 3] {
                    self.step(at, what);
                }
            }
            if self.ends.iter().all(End::is_idle) {
                return;
            }
        }
        panic!("it never ends");
    }

    /// A process ends without a warning, and comes back.
    pub fn kill(&mut self, at: usize) {
        self.disconnect();
        self.ends[at].crash();
    }

    /// A block with all that was published.
    pub fn mine(&mut self) {
        let blocks = &self.ends[0].bank.blocks;
        let known: Vec<Transaction> = blocks.iter().flat_map(|it| it.txdata.clone()).collect();
        let mut spent: Vec<OutPoint> =
            known.iter().flat_map(|it| &it.input).map(|it| it.previous_output).collect();
        let mut all: Vec<Transaction> = Vec::new();
        // Of two that spend the same the first is mined.
        for transaction in self.ends.iter().flat_map(|end| &end.bank.published) {
            let spends = transaction.input.iter().map(|input| input.previous_output);
            if spends.clone().all(|outpoint| !spent.contains(&outpoint)) {
                spent.extend(spends);
                all.push(stripped(transaction.clone()));
            }
        }
        self.mine_these(all);
    }

    fn mine_these(&mut self, all: Vec<Transaction>) {
        self.ends[0].bank.mine(all);
        let blocks = self.ends[0].bank.blocks.clone();
        self.ends[1].bank.share(blocks);
    }

    /// A channel of 100,000 sat that the first has opened, with something for the second.
    pub fn opened(&mut self) {
        let call = self.open(Sat(100_000), Msat(20_000_000));
        self.settle();
        match self.ends[0].replies.remove(&call) {
            Some(Ok(Reply::Opened(_))) => {}
            other => panic!("{other:?}"),
        }
        for _ in 0..3 {
            self.mine();
            self.settle();
        }
        for at in [0, 1] {
            assert_eq!(self.stages(at), [Stage::Open]);
        }
    }

    pub fn open(&mut self, amount: Sat, pushed: Msat) -> CallId {
        self.open_as(amount, pushed, false)
    }

    pub fn open_as(&mut self, amount: Sat, pushed: Msat, announce: bool) -> CallId {
        let node = self.ends[1].node;
        let fee_rate = bitcoin::FeeRate::from_sat_per_vb(2).expect("it fits");
        let open = channels::Open { node, amount, pushed, announce, fee_rate };
        self.ends[0].call(Command::Open(open))
    }

    pub fn pay(&mut self, at: usize, amount: Msat, name: Option<&str>) -> CallId {
        let node = self.ends[1 - at].node;
        let name = name.map(|name| treasury::PaymentName::new(name).expect("a name"));
        self.ends[at].call(Command::Pay { node, amount, name })
    }

    pub fn lines(&mut self, at: usize) -> Vec<ChannelLine> {
        let mut dice = Dice::new(self.dice.number());
        self.ends[at].lines(&mut dice)
    }

    pub fn stages(&mut self, at: usize) -> Vec<Stage> {
        self.lines(at).iter().map(|line| line.stage).collect()
    }

    /// Time passes for both.
    pub fn wait(&mut self, time: Millis) {
        for end in &mut self.ends {
            end.now = end.now + time;
            end.channels.clock(end.now, UnixTime(3));
            end.channels.wake();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Without signatures: blocks of tests commit to none.
fn stripped(mut transaction: Transaction) -> Transaction {
    transaction.input.iter_mut().for_each(|input| input.witness = Witness::new());
    transaction
}
