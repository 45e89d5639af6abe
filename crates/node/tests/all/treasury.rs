//! The treasury and its source, without a disk and without a clock.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, Block, BlockHash, Network, block::Header};
use chain::{BlockRef, FeeTerms, Height, PublishAnswer, REORG_BLOCKS_MAX, Rates, Watch};
use node::services::{
    saved,
    treasury::{
        ANSWER_MAX, Answer, Ask, AskId, CallId, Change, Command, Effect, Event, Failure,
        HITS_ALL_MAX, HITS_MAX, Health, Hit, NetworkName, RETRY_MAX, Refusal, Reply, Save, Saved,
        SourceFault, State, Step, TIP_EVERY, Terms, Tip, Treasury,
    },
};
use wire::tick::Tick;

use crate::blocks::{genesis, mine, outpoint, pays, script};

/// A source with one chain, which can be told to misbehave.
pub struct Source {
    pub blocks: BTreeMap<BlockHash, Block>,
    pub chain: Vec<BlockHash>,
    pub network: NetworkName,
    pub headers: Option<u32>,
    /// Blocks that it says it does not have.
    pub pruned: BTreeSet<BlockHash>,
}

impl Source {
    pub fn new() -> Self {
        Self::of(genesis(), Network::Regtest)
    }

    /// One of another network.
    pub fn of(genesis: Block, network: Network) -> Self {
        Self {
            chain: vec![genesis.block_hash()],
            blocks: BTreeMap::from([(genesis.block_hash(), genesis)]),
            network: NetworkName::of(network, None),
            headers: None,
            pruned: BTreeSet::new(),
        }
    }

    pub fn mine(&mut self, salt: u64, transactions: Vec<bitcoin::Transaction>) {
        let block = mine(*self.chain.last().expect("it begins"), salt, transactions);
        self.chain.push(block.block_hash());
        self.blocks.insert(block.block_hash(), block);
    }

    pub fn cut(&mut self, height: usize) {
        self.chain.truncate(height + 1);
    }

    pub fn header(&self, hash: &BlockHash) -> Header {
        self.blocks[hash].header
    }

    pub fn answer(&self, ask: &Ask) -> Result<Answer, SourceFault> {
        let last = self.chain.len() - 1;
        Ok(match ask {
            Ask::Tip => Answer::Tip(Tip {
                network: self.network.clone(),
                hash: self.chain[last],
                blocks: Height(last as u32),
                headers: Height(self.headers.unwrap_or(last as u32)),
            }),
            Ask::HeaderAt { at } => {
                let at = match at {
                    node::services::treasury::From::At(height) => height.0 as usize,
                    node::services::treasury::From::Below(blocks) => {
                        last.saturating_sub(*blocks as usize)
                    }
                };
                Answer::HeaderAt { height: Height(at as u32), header: self.header(&self.chain[at]) }
            }
            Ask::Headers { locator } => {
                let shared = locator
                    .iter()
                    .find_map(|hash| self.chain.iter().position(|block| block == hash));
                let behind = shared.expect("the first block is shared") + 1;
                Answer::Headers(self.chain[behind..].iter().map(|hash| self.header(hash)).collect())
            }
            Ask::Block { hash } if self.pruned.contains(hash) => {
                let why = "Block not available (pruned data)".to_owned();
                return Err(SourceFault::Refused { method: "getblock", code: -1, why });
            }
            Ask::Block { hash } => Answer::Block(Box::new(self.blocks[hash].clone())),
            Ask::Publish { .. } => Answer::Published(PublishAnswer::Accepted),
            Ask::Rates { .. } => Answer::Rates(Rates::default()),
        })
    }
}

/// A treasury, what it has saved, and what it has said.
pub struct Bank {
    pub treasury: Treasury,
    pub saved: Vec<Vec<u8>>,
    pub asked: Vec<(AskId, Ask)>,
    pub events: Vec<Event>,
    pub replies: Vec<Result<Reply, Refusal>>,
    pub failure: Option<Failure>,
    pub now: Tick,
}

pub fn terms() -> Terms {
    let fees = FeeTerms::default();
    let reserve = Amount::ZERO;
    Terms { network: Network::Regtest, challenge: None, birthday: None, fees, reserve }
}

impl Bank {
    pub fn new() -> Self {
        Self::with(State::default(), terms(), Vec::new())
    }

    pub fn with(state: State, terms: Terms, saved: Vec<Vec<u8>>) -> Self {
        let mut bank = Self {
            treasury: Treasury::open(Saved { own: state, ..Saved::default() }, terms, Tick(0)),
            saved,
            asked: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
            failure: None,
            now: Tick(0),
        };
        bank.settle();
        bank
    }

    /// Everything but what was saved is gone.
    pub fn restart(self) -> Self {
        let mut state = State::default();
        for bytes in &self.saved {
            let change = Change::decode(bytes).expect("we wrote it").expect("it is known");
            state.evolve(&change, Network::Regtest);
        }
        let again = Self::with(state, terms(), self.saved);
        Self { now: self.now, ..again }
    }

    pub fn settle(&mut self) {
        while let Some(step) = self.treasury.poll() {
            match step {
                Step::Save(Save::Own(change)) => self.saved.push(change.encode()),
                Step::Save(_) | Step::Do(Effect::AskSigner(..)) => panic!("there is no wallet"),
                Step::Do(Effect::Follow(_)) => panic!("there are no channels"),
                Step::Do(Effect::AskSource(id, ask)) => self.asked.push((id, ask)),
                Step::Do(Effect::Reply { reply, .. }) => self.replies.push(*reply),
                Step::Do(Effect::Tell(event)) => self.events.push(event),
                Step::Do(Effect::Fail(failure)) => self.failure = Some(failure),
            }
        }
    }

    pub fn call(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.treasury.call(CallId(0), command, self.now);
        self.settle();
        self.replies.pop().expect("an answer at once")
    }

    pub fn wake(&mut self) {
        self.now = Tick(self.now.0.max(self.treasury.wake_at().0));
        self.treasury.wake(self.now);
        self.settle();
    }

    pub fn tell(&mut self, id: AskId, answer: Result<Answer, SourceFault>) {
        self.treasury.answered(id, answer, self.now);
        self.settle();
    }

    /// Until the source has nothing new.
    pub fn follow(&mut self, source: &Source) {
        self.wake();
        let mut rounds = 0..10_000;
        while let Some((id, ask)) = self.asked.pop() {
            self.tell(id, source.answer(&ask));
            rounds.next().expect("it ends");
        }
    }

    /// The same, with other answers.
    pub fn follow_once(&mut self, answer: impl Fn(&Source, &Ask) -> Result<Answer, SourceFault>) {
        let source = Source::new();
        self.wake();
        let mut rounds = 0..100;
        while let Some((id, ask)) = self.asked.pop() {
            self.tell(id, answer(&source, &ask));
            rounds.next().expect("it ends");
        }
    }

    pub fn tip(&self) -> BlockHash {
        self.treasury.tip().expect("it has begun").hash
    }

    pub fn hits(&mut self) -> Vec<usize> {
        let Ok(Reply::Watches(lines)) = self.call(Command::Watches) else { panic!("no list") };
        assert!(lines.iter().all(|line| !line.searching), "{lines:?}");
        lines.iter().map(|line| line.hits.len()).collect()
    }
}

#[test]
fn what_is_watched_is_found_wherever_it_is() {
    let mut source = Source::new();
    source.mine(1, vec![pays(&[outpoint(1)], &[script(1)])]);
    source.mine(2, vec![]);
    let mut bank = Bank::new();
    bank.follow(&source);
    assert_eq!(Some(&bank.tip()), source.chain.last());
    assert_eq!(*bank.treasury.health(), Health::Up);
    // One in the past, one to come; to watch twice changes nothing.
    let past = Command::Watch { watch: Watch::Spend(outpoint(1)), from: Some(Height(1)) };
    assert_eq!(bank.call(past.clone()), Ok(Reply::Done));
    let to_come = Command::Watch { watch: Watch::Pay(script(7)), from: None };
    assert_eq!(bank.call(to_come), Ok(Reply::Done));
    source.mine(3, vec![pays(&[], &[script(7)]), pays(&[outpoint(5)], &[script(7)])]);
    bank.follow(&source);
    assert_eq!(bank.call(past), Ok(Reply::Done));
    assert_eq!(bank.hits(), [1, 2]);
    let found = |event: &&Event| matches!(event, Event::Found { .. });
    assert_eq!(bank.events.iter().filter(found).count(), 3);
    // After a restart it is known, and not told again.
    let mut bank = bank.restart();
    bank.follow(&source);
    assert_eq!(bank.hits(), [1, 2]);
    assert_eq!(bank.events, [Event::Source(Health::Up)]);
}

/// To watch again from further back finds what is there, and tells nothing twice.
#[test]
fn what_is_watched_again_is_looked_for_further_back() {
    let mut source = Source::new();
    for salt in 1..=6 {
        source.mine(salt, vec![pays(&[outpoint(salt)], &[script(7)])]);
    }
    let mut bank = Bank::new();
    bank.follow(&source);
    let watch = |from| Command::Watch { watch: Watch::Pay(script(7)), from };
    let found = |bank: &Bank| {
        let found = |event: &&Event| matches!(event, Event::Found { .. });
        bank.events.iter().filter(found).count()
    };
    for (from, hits) in [(Some(5), 2), (None, 2), (Some(6), 2), (Some(2), 5)] {
        assert_eq!(bank.call(watch(from.map(Height))), Ok(Reply::Done));
        bank.follow(&source);
        assert_eq!((bank.hits(), found(&bank)), (vec![hits], hits), "{from:?}");
    }
    // Its chain does not know any more from where it has everything; nobody is told twice.
    let mut bank = bank.restart();
    bank.follow(&source);
    assert_eq!(bank.call(watch(Some(Height(1)))), Ok(Reply::Done));
    let mut bank = bank.restart();
    bank.follow(&source);
    assert_eq!((bank.hits(), found(&bank)), (vec![6], 1));
    let long = Watch::Pay(bitcoin::ScriptBuf::from_bytes(vec![0; 10_001]));
    let refused = bank.call(Command::Watch { watch: long, from: None });
    assert_eq!(refused, Err(Refusal::TooLong { got: 10_001, max: 10_000 }));
}

fn hit(number: u64) -> Hit {
    Hit { txid: outpoint(number).txid, part: chain::FoundIn::Output(number as u32) }
}

fn at(height: u32) -> BlockRef {
    let mut hash = [1; 32];
    hash[..4].copy_from_slice(&height.to_be_bytes());
    BlockRef { height: Height(height), hash: bitcoin::hashes::Hash::from_byte_array(hash) }
}

/// A sum that is read again is the same sum.
fn again(state: &State) -> State {
    let mut again = State::default();
    for change in state.changes(None) {
        let read = Change::decode(&change.encode()).expect("ours").expect("known");
        again.evolve(&read, Network::Regtest);
    }
    assert_eq!(again.watches, state.watches);
    again
}

#[test]
fn hits_that_a_reorg_can_take_are_kept_beside_the_others() {
    let watch = Watch::Pay(script(7));
    let mut state = State::default();
    let evolve = |state: &mut State, change: Change| state.evolve(&change, Network::Regtest);
    evolve(&mut state, Change::Watched { watch: watch.clone(), from: Height(1) });
    let heard = |height: u32, count: u64| Change::Heard {
        block: at(height),
        hits: (0..count).map(|number| (watch.clone(), hit(number))).collect(),
    };
    // Ten a block: the last 288 blocks have more than are kept of old ones.
    for height in 1..=500 {
        evolve(&mut state, heard(height, 10));
    }
    let kept = |state: &State| {
        let watched = &state.watches[&watch];
        (watched.hits.len(), watched.left_out)
    };
    assert_eq!(kept(&state), (HITS_MAX + 2_880, 5_000 - 3_880));
    let mut state = again(&state);
    // The deepest reorg leaves as many as there are to be.
    evolve(&mut state, Change::Unheard { cursor: at(500 - REORG_BLOCKS_MAX) });
    assert_eq!(kept(&state), (HITS_MAX, 1_120));
    let newest = state.watches[&watch].hits.last().expect("there are some").0;
    assert_eq!(newest, at(212));
    // They go as they grow old.
    for height in 213..=1_000 {
        evolve(&mut state, heard(height, 0));
    }
    assert_eq!(kept(&state), (HITS_MAX, 1_120));
    again(&state);
}

#[test]
fn hits_have_a_limit_together() {
    let (busy, quiet) = (Watch::Pay(script(7)), Watch::Pay(script(8)));
    let mut state = State::default();
    for watch in [&busy, &quiet] {
        let change = Change::Watched { watch: watch.clone(), from: Height(1) };
        state.evolve(&change, Network::Regtest);
    }
    let many = (0..HITS_ALL_MAX as u64).map(|number| (busy.clone(), hit(number))).collect();
    state.evolve(&Change::Found { block: at(1), hits: many }, Network::Regtest);
    let some = (0..7).map(|number| (quiet.clone(), hit(number))).collect();
    state.evolve(&Change::Heard { block: at(2), hits: some }, Network::Regtest);
    let kept = |watch| (state.watches[watch].hits.len(), state.watches[watch].left_out);
    assert_eq!((kept(&busy), kept(&quiet)), ((HITS_ALL_MAX - 7, 7), (7, 0)));
    again(&state);
    // Whoever stops to watch makes room.
    state.evolve(&Change::Unwatched { watch: busy }, Network::Regtest);
    let some = (0..9).map(|number| (quiet.clone(), hit(number))).collect();
    state.evolve(&Change::Heard { block: at(3), hits: some }, Network::Regtest);
    assert_eq!(state.watches[&quiet].hits.len(), 16);
}

#[test]
fn a_reorg_while_nobody_listened_takes_back_what_was_found() {
    let mut source = Source::new();
    let mut bank = Bank::new();
    bank.follow(&source);
    bank.call(Command::Watch { watch: Watch::Pay(script(7)), from: None }).expect("room");
    for salt in 1..=5 {
        source.mine(salt, vec![pays(&[outpoint(salt)], &[script(7)])]);
    }
    bank.follow(&source);
    assert_eq!(bank.hits(), [5]);
    source.cut(2);
    for salt in 13..=16 {
        source.mine(salt, vec![]);
    }
    let mut bank = bank.restart();
    bank.follow(&source);
    assert_eq!(bank.hits(), [2]);
    let gone = |event: &&Event| matches!(event, Event::FoundGone { .. });
    assert_eq!(bank.events.iter().filter(gone).count(), 3);
    assert_eq!(Some(&bank.tip()), source.chain.last());
}

/// What was watched before the first block was heard of is not lost with a restart.
#[test]
fn a_restart_before_the_first_block_loses_nothing() {
    let mut source = Source::new();
    let mut bank = Bank::new();
    bank.call(Command::Watch { watch: Watch::Pay(script(7)), from: None }).expect("room");
    source.mine(1, vec![pays(&[], &[script(7)])]);
    source.mine(2, vec![]);
    // Its headers come, and its blocks do not.
    bank.wake();
    while let Some(at) = bank.asked.iter().position(|(_, ask)| !matches!(ask, Ask::Block { .. })) {
        let (id, ask) = bank.asked.remove(at);
        bank.tell(id, source.answer(&ask));
    }
    assert_eq!(Some(&bank.tip()), source.chain.last());
    let mut bank = bank.restart();
    bank.follow(&source);
    assert_eq!(bank.hits(), [1]);
}

/// Blocks are what a source is for; without fee rates the owner's fallback is paid.
#[test]
fn a_source_without_fee_rates_is_a_source() {
    let mut source = Source::new();
    source.mine(1, vec![]);
    let mut bank = Bank::new();
    bank.wake();
    while let Some((id, ask)) = bank.asked.pop() {
        let refused = SourceFault::Refused { method: "rates", code: -32603, why: "no".to_owned() };
        let is_rates = matches!(ask, Ask::Rates { .. });
        bank.tell(id, if is_rates { Err(refused) } else { source.answer(&ask) });
    }
    assert_eq!(*bank.treasury.health(), Health::Up);
    assert_eq!(Some(&bank.tip()), source.chain.last());
}

/// A question that is open is no reason to look again and again.
#[test]
fn a_source_that_is_slow_is_waited_for_without_haste() {
    let mut bank = Bank::new();
    bank.wake();
    assert_eq!(bank.asked.len(), 1, "the tip");
    assert_eq!(bank.treasury.wake_at().0, bank.now.0 + ANSWER_MAX.0);
}

#[test]
fn a_source_that_fails_is_asked_again_more_and_more_rarely() {
    let mut source = Source::new();
    source.mine(1, vec![]);
    let mut bank = Bank::new();
    let unreachable = || Err(SourceFault::Unreachable { why: "nobody".to_owned() });
    let mut pauses = Vec::new();
    for _ in 0..8 {
        bank.wake();
        let (id, ask) = bank.asked.pop().expect("it is asked");
        assert_eq!(ask, Ask::Tip);
        bank.tell(id, unreachable());
        pauses.push(bank.treasury.wake_at().0 - bank.now.0);
    }
    assert_eq!(pauses[..3], [1_000, 2_000, 4_000]);
    assert_eq!(*pauses.last().expect("eight"), RETRY_MAX.0);
    let down = |event: &&Event| matches!(event, Event::Source(Health::Down { .. }));
    assert_eq!(bank.events.iter().filter(down).count(), 1, "said once");
    bank.follow(&source);
    assert_eq!(Some(&bank.tip()), source.chain.last());
    // One that answers nothing, ever.
    source.mine(2, vec![]);
    bank.wake();
    let late = bank.asked.pop().expect("it is asked");
    bank.now = Tick(bank.now.0 + ANSWER_MAX.0);
    bank.wake();
    assert!(matches!(bank.treasury.health(), Health::Down { .. }));
    bank.tell(late.0, source.answer(&late.1));
    assert!(matches!(bank.treasury.health(), Health::Down { .. }), "too late");
    bank.follow(&source);
    assert_eq!(Some(&bank.tip()), source.chain.last());
}

#[test]
fn a_source_that_lies_or_is_elsewhere_changes_nothing() {
    let mut source = Source::new();
    source.mine(1, vec![]);
    let mut bank = Bank::new();
    bank.follow(&source);
    let tip = bank.tip();
    source.mine(2, vec![pays(&[], &[script(3)])]);
    let other = mine(BlockHash::from_raw_hash(bitcoin::hashes::Hash::all_zeros()), 9, vec![]);
    let mut weak = source.header(source.chain.last().expect("two"));
    weak.nonce = (0..)
        .find(|nonce| {
            let header = Header { nonce: *nonce, ..weak };
            header.validate_pow(header.target()).is_err()
        })
        .expect("half of them");
    let mut wrong = source.blocks[source.chain.last().expect("two")].clone();
    wrong.txdata.pop();
    for lie in 0..5 {
        bank.wake();
        let mut lied = false;
        while let Some((id, ask)) = bank.asked.pop() {
            let answer = match (&ask, lie) {
                (Ask::Headers { .. }, 0) => Ok(Answer::Headers(vec![other.header])),
                (Ask::Headers { .. }, 1) => Ok(Answer::Headers(vec![weak])),
                (Ask::Headers { .. }, 2) => Ok(Answer::Published(PublishAnswer::Accepted)),
                (Ask::Block { .. }, 3) => Ok(Answer::Block(Box::new(wrong.clone()))),
                (Ask::Block { .. }, 4) => Ok(Answer::Block(Box::new(other.clone()))),
                _ => source.answer(&ask),
            };
            bank.tell(id, answer);
            lied |= matches!(bank.treasury.health(), Health::Lying { .. });
        }
        assert!(lied, "{lie}");
        assert!(lie >= 3 || bank.tip() == tip);
    }
    source.network = NetworkName::of(Network::Testnet, None);
    bank.follow(&source);
    assert!(matches!(bank.treasury.health(), Health::OtherNetwork { .. }));
    source.network = NetworkName::of(Network::Regtest, None);
    source.headers = Some(9);
    bank.follow(&source);
    let behind = Health::Behind { have: Height(2), want: Height(9) };
    assert_eq!(*bank.treasury.health(), behind);
    assert_eq!(Some(&bank.tip()), source.chain.last());
    assert_eq!(bank.treasury.state().cursor, bank.treasury.tip(), "nothing was left out");
    assert!(bank.treasury.wake_at().0 <= bank.now.0 + TIP_EVERY.0);
    assert_eq!(bank.failure, None);
}

#[test]
fn a_reorg_that_is_too_deep_stops_the_node() {
    let mut source = Source::new();
    for salt in 1..=300 {
        source.mine(salt, vec![]);
    }
    let mut bank = Bank::new();
    bank.follow(&source);
    source.cut(5);
    for salt in 1_000..1_300 {
        source.mine(salt, vec![]);
    }
    let before = bank.tip();
    bank.follow(&source);
    let want = Failure::Chain(chain::Fault::TooDeep { got: 295, max: REORG_BLOCKS_MAX });
    assert_eq!(bank.failure, Some(want));
    assert_eq!(bank.tip(), before);
}

#[test]
fn a_folder_belongs_to_one_network() {
    let mut source = Source::new();
    source.mine(1, vec![]);
    let mut bank = Bank::new();
    bank.follow(&source);
    let mut state = State::default();
    for bytes in &bank.saved {
        let change = Change::decode(bytes).expect("ours").expect("known");
        state.evolve(&change, Network::Regtest);
    }
    let terms = Terms { network: Network::Signet, ..terms() };
    let bank = Bank::with(state, terms, Vec::new());
    let Some(Failure::OtherNetwork { got: Network::Signet, .. }) = bank.failure else {
        panic!("{:?}", bank.failure)
    };
}

#[test]
fn a_chain_can_begin_near_its_tip_and_says_what_it_does_not_have() {
    let mut source = Source::new();
    for salt in 1..=20 {
        source.mine(salt, vec![]);
    }
    let mut bank =
        Bank::with(State::default(), Terms { birthday: Some(Height(12)), ..terms() }, vec![]);
    let none = bank.call(Command::Watch { watch: Watch::Pay(script(1)), from: None });
    assert_eq!(none, Err(Refusal::NoChain { health: Health::Unknown }));
    bank.follow(&source);
    bank.follow(&source);
    assert_eq!(Some(&bank.tip()), source.chain.last());
    let old = bank.call(Command::Watch { watch: Watch::Pay(script(1)), from: Some(Height(12)) });
    assert_eq!(old, Err(Refusal::TooOld { got: Height(12), min: Height(13) }));
    assert_eq!(
        bank.call(Command::Unwatch { watch: Watch::Pay(script(1)) }),
        Err(Refusal::NotWatched)
    );
}

#[test]
fn a_snapshot_is_the_sum_of_its_changes() {
    let mut source = Source::new();
    let mut bank = Bank::new();
    bank.follow(&source);
    for salt in 1..=4 {
        bank.call(Command::Watch { watch: Watch::Pay(script(salt)), from: None }).expect("room");
        source.mine(salt, vec![pays(&[outpoint(salt)], &[script(salt), script(1)])]);
        bank.follow(&source);
    }
    bank.call(Command::Watch { watch: Watch::Spend(outpoint(3)), from: Some(Height(9)) })
        .expect("room");
    let of_snapshot: Vec<Vec<u8>> = saved::split(&bank.treasury.snapshot())
        .expect("ours")
        .into_iter()
        .map(<[u8]>::to_vec)
        .collect();
    let mut again = Bank { saved: of_snapshot, ..bank.restart() }.restart();
    let state = again.treasury.state();
    assert_eq!(state.cursor, again.treasury.tip());
    again.follow(&source);
    assert_eq!(again.hits(), [0, 5, 1, 1, 1]);
}

/// Whatever a disk makes of what was saved: it is read, or it is refused.
#[test]
fn damaged_changes_are_refused_and_harm_nobody() {
    let mut source = Source::new();
    let mut bank = Bank::new();
    bank.follow(&source);
    bank.call(Command::Watch { watch: Watch::Pay(script(1)), from: None }).expect("room");
    bank.call(Command::Watch { watch: Watch::Spend(outpoint(1)), from: None }).expect("room");
    source.mine(1, vec![pays(&[outpoint(1)], &[script(1)])]);
    bank.follow(&source);
    source.cut(0);
    source.mine(2, vec![]);
    source.mine(3, vec![]);
    bank.follow(&source);
    bank.call(Command::Unwatch { watch: Watch::Pay(script(1)) }).expect("it is watched");
    for bytes in &bank.saved {
        let change = Change::decode(bytes).expect("ours").expect("known");
        assert_eq!(change.encode(), *bytes);
        for len in 0..bytes.len() {
            if let Ok(Some(cut)) = Change::decode(&bytes[..len]) {
                panic!("{change:?} was read as {cut:?}");
            }
        }
    }
    let newer = saved::write(1_000, &[]);
    assert!(Change::decode(&newer).is_err());
    assert_eq!(Change::decode(&saved::write(1_001, &[])), Ok(None));
}
