//! A source that has not all blocks, is slow, stands still, is elsewhere, or changes its mind.

use bitcoin::{
    BlockHash, CompactTarget, Network, block::Header, constants::genesis_block, hashes::Hash as _,
};
use chain::{Height, Watch};
use node::services::treasury::{
    ANSWER_MAX, ASKS_MAX, Answer, Ask, AskId, Change, Command, Event, Failure, Health, LAG_MAX,
    NO_BLOCK_MIN, NetworkName, PUBLIC_SIGNET, Reply, SourceFault, State, Status, Terms,
};
use wire::{id::ChainHash, tick::Tick};

use crate::{
    blocks::{mine, outpoint, pays, script},
    treasury::{Bank, Source, terms},
};

fn status(bank: &mut Bank) -> Status {
    match bank.call(Command::Status) {
        Ok(Reply::Status(status)) => *status,
        other => panic!("{other:?}"),
    }
}

fn long(blocks: u64) -> Source {
    let mut source = Source::new();
    for salt in 1..=blocks {
        source.mine(salt, vec![pays(&[outpoint(salt)], &[script(salt)])]);
    }
    source
}

fn health_of(bank: &Bank) -> String {
    bank.treasury.health().to_string()
}

/// A chain that is to begin somewhere on some network.
fn born_at(network: Network, birthday: u32) -> Bank {
    let terms = Terms { network, birthday: Some(Height(birthday)), ..terms() };
    Bank::with(State::default(), terms, Vec::new())
}

#[test]
fn a_block_that_is_pruned_concerns_only_who_needs_it() {
    let mut source = long(20);
    let mut bank = Bank::new();
    bank.follow(&source);
    let pruned = source.chain[2];
    source.pruned.insert(pruned);
    let past = Command::Watch { watch: Watch::Spend(outpoint(2)), from: Some(Height(1)) };
    bank.call(past).expect("room");
    let next = Command::Watch { watch: Watch::Pay(script(21)), from: None };
    bank.call(next).expect("room");
    bank.follow(&source);
    assert_eq!(*bank.treasury.health(), Health::Up);
    let said: Vec<_> = status(&mut bank).no_blocks.iter().map(ToString::to_string).collect();
    let want = format!(
        "block 2 {pruned} is not to be had from this source: Block not available (pruned data)"
    );
    assert_eq!(said, [want]);
    // Blocks that come are heard of.
    source.mine(21, vec![pays(&[], &[script(21)])]);
    bank.follow(&source);
    assert_eq!(status(&mut bank).heard.map(|block| block.height), Some(Height(21)));
    // It is asked for again, more and more rarely.
    let mut asked = Vec::new();
    let begin = bank.now;
    for _ in 0..200 {
        bank.wake();
        while let Some((id, ask)) = bank.asked.pop() {
            if ask == (Ask::Block { hash: pruned }) {
                asked.push(bank.now.0 - begin.0);
            }
            bank.tell(id, source.answer(&ask));
        }
    }
    assert!((2..=5).contains(&asked.len()), "{asked:?}");
    assert!(asked.windows(2).all(|two| two[1] - two[0] >= NO_BLOCK_MIN.0), "{asked:?}");
    let told = |event: &&Event| matches!(event, Event::NoBlock(_));
    assert_eq!(bank.events.iter().filter(told).count(), 1, "said once");
    let lost = |event: &&Event| matches!(event, Event::Source(Health::Down { .. }));
    assert_eq!(bank.events.iter().filter(lost).count(), 0);
    // Whoever gives it to the source ends the wait.
    source.pruned.clear();
    for _ in 0..700 {
        bank.follow(&source);
    }
    assert_eq!(status(&mut bank).no_blocks, []);
    assert_eq!(bank.hits().iter().sum::<usize>(), 2);
}

/// One that is not ready yet is none; nothing but its tip is asked.
#[test]
fn a_source_that_warms_up_is_down() {
    let source = long(3);
    let mut bank = Bank::new();
    bank.wake();
    while let Some((id, ask)) = bank.asked.pop() {
        let why = "Loading block index".to_owned();
        let warming = SourceFault::Refused { method: "getblock", code: -28, why };
        let is_block = matches!(ask, Ask::Block { .. });
        bank.tell(id, if is_block { Err(warming) } else { source.answer(&ask) });
    }
    assert!(matches!(bank.treasury.health(), Health::Down { .. }), "{}", health_of(&bank));
}

/// A bank that needs more blocks than it asks for at once.
fn busy(source: &mut Source) -> Bank {
    let mut bank = Bank::new();
    bank.follow(source);
    let past = Command::Watch { watch: Watch::Spend(outpoint(2)), from: Some(Height(1)) };
    bank.call(past).expect("room");
    for salt in 1_000..1_010 {
        source.mine(salt, vec![]);
    }
    bank.wake();
    let mut rounds = 0..3;
    while let Some(at) = bank.asked.iter().position(|(_, ask)| !matches!(ask, Ask::Block { .. })) {
        let (id, ask) = bank.asked.remove(at);
        bank.tell(id, source.answer(&ask));
        rounds.next().expect("the tip, fee rates and headers");
    }
    bank
}

#[test]
fn few_questions_are_open_at_once() {
    let mut source = long(300);
    let mut bank = busy(&mut source);
    let mut rounds = 0..10_000;
    assert_eq!(bank.asked.len(), ASKS_MAX);
    while !bank.asked.is_empty() {
        assert!(bank.asked.len() <= ASKS_MAX);
        let (id, ask) = bank.asked.remove(0);
        bank.tell(id, source.answer(&ask));
        rounds.next().expect("it ends");
    }
    assert_eq!(bank.hits(), [1]);
    assert_eq!(Some(&bank.tip()), source.chain.last());
}

/// It answers one after the other: nobody waits for what has not had its turn.
#[test]
fn a_slow_source_has_its_time_for_each_question() {
    let mut source = long(60);
    let mut bank = busy(&mut source);
    for _ in 0..20 {
        let (id, ask) = bank.asked.remove(0);
        bank.tell(id, source.answer(&ask));
        bank.now = Tick(bank.now.0 + ANSWER_MAX.0 - 1);
        bank.treasury.wake(bank.now);
        bank.settle();
        assert_eq!(*bank.treasury.health(), Health::Up);
    }
    let (id, ask) = bank.asked.remove(0);
    bank.tell(id, source.answer(&ask));
    // What has waited for the disk has not been asked until then.
    let first = bank.treasury.first_open();
    let left = Tick(bank.now.0 + ANSWER_MAX.0 - 1);
    assert!(bank.treasury.question_left(first, left));
    bank.treasury.wake(Tick(left.0 + ANSWER_MAX.0 - 1));
    assert_eq!(*bank.treasury.health(), Health::Up);
    bank.treasury.wake(Tick(left.0 + ANSWER_MAX.0));
    assert_eq!(health_of(&bank), "no answer after 60 s");
}

#[test]
fn what_was_asked_before_a_loss_is_not_asked_after_it() {
    let mut source = long(60);
    let mut bank = busy(&mut source);
    let before: Vec<AskId> = bank.asked.iter().map(|(id, _)| *id).collect();
    let gone = || Err(SourceFault::Unreachable { why: "gone".to_owned() });
    bank.tell(before[3], gone());
    assert!(matches!(bank.treasury.health(), Health::Down { .. }));
    bank.asked.clear();
    let first = bank.treasury.first_open();
    for id in &before {
        assert!(*id < first && !bank.treasury.question_left(*id, bank.now));
    }
    // Answers that come nevertheless change nothing.
    bank.tell(before[4], gone());
    bank.follow(&source);
    bank.follow(&source);
    assert_eq!(*bank.treasury.health(), Health::Up);
    assert_eq!(Some(&bank.tip()), source.chain.last());
}

/// Our chain may change with the answer: another question for headers would be about one that is
/// gone, and its answer would look like a lie.
#[test]
fn one_question_for_headers_is_open_at_once() {
    let mut source = long(5);
    let mut bank = Bank::new();
    bank.follow(&source);
    bank.follow(&source);
    let is_headers = |(_, ask): &&(AskId, Ask)| matches!(ask, Ask::Headers { .. });
    for salt in 6..=8 {
        source.mine(salt, vec![]);
        bank.wake();
        let at = bank.asked.iter().position(|(_, ask)| *ask == Ask::Tip).expect("it is due");
        let (tip, _) = bank.asked.remove(at);
        bank.tell(tip, source.answer(&Ask::Tip));
        assert_eq!(bank.asked.iter().filter(is_headers).count(), 1);
    }
    bank.follow(&source);
    assert_eq!(Some(&bank.tip()), source.chain.last());
}

#[test]
fn a_tip_that_flips_between_two_branches_is_followed() {
    let mut one = long(12);
    let mut two = long(9);
    let mut bank = Bank::new();
    bank.follow(&one);
    for turn in 0..20 {
        let (more, less) = if turn % 2 == 0 { (&mut two, &one) } else { (&mut one, &two) };
        while more.chain.len() <= less.chain.len() {
            more.mine(1_000 * turn + more.chain.len() as u64, vec![]);
        }
        bank.follow(&*more);
        assert_eq!(Some(&bank.tip()), more.chain.last());
        assert_eq!(*bank.treasury.health(), Health::Up);
        // The other one says where it is: it has less work, and nothing happens.
        let (blocks, tip) = (bank.treasury.tip(), bank.tip());
        if turn % 2 == 0 {
            bank.follow(&one)
        } else {
            bank.follow(&two)
        }
        assert_eq!((bank.treasury.tip(), bank.tip()), (blocks, tip));
    }
    let lies = |event: &&Event| matches!(event, Event::Source(Health::Lying { .. }));
    assert_eq!(bank.events.iter().filter(lies).count(), 0);
}

/// A header with work of its own.
fn some_header() -> Header {
    mine(BlockHash::from_byte_array([7; 32]), 9, vec![]).header
}

fn answer_with(
    source: &Source,
    ask: &Ask,
    height: u32,
    header: Header,
) -> Result<Answer, SourceFault> {
    match matches!(ask, Ask::HeaderAt { .. }) {
        true => Ok(Answer::HeaderAt { height: Height(height), header }),
        false => source.answer(ask),
    }
}

#[test]
fn a_chain_does_not_begin_with_a_lie() {
    let easy = CompactTarget::from_consensus(0x2100_ffff);
    let mut workless = some_header();
    while workless.validate_pow(workless.target()).is_ok() {
        workless.nonce += 1;
    }
    let genesis = genesis_block(Network::Regtest).header;
    let rows = [
        (5, 5, Header { bits: easy, ..some_header() }, "claims 2100ffff, the easiest is 207fffff"),
        (5, 5, workless, "lacks the work of 207fffff"),
        (5, 5, genesis, "the network's block at 0 is 0f9188f13cb7b2c7"),
        (0, 0, some_header(), "the network's block at 0 is 0f9188f13cb7b2c7"),
        (0, 0, genesis_block(Network::Bitcoin).header, "block 000000000019d668"),
        (u32::MAX, 500_000_000, some_header(), "a block at 500000000, the highest is 499999999"),
        (5, 6, some_header(), "block 6 when asked for 5"),
    ];
    for (birthday, height, header, want) in rows {
        let mut bank = born_at(Network::Regtest, birthday);
        bank.follow_once(|source, ask| answer_with(source, ask, height, header));
        let health = health_of(&bank);
        assert!(health.contains(want), "{want}: {health}");
        assert!(matches!(bank.treasury.health(), Health::Lying { .. }), "{health}");
        assert_eq!(bank.treasury.tip(), None);
        assert_eq!(bank.saved, Vec::<Vec<u8>>::new());
    }
    let mut bank = born_at(Network::Regtest, 5);
    let header = some_header();
    bank.follow_once(|source, ask| answer_with(source, ask, 5, header));
    assert_eq!(bank.treasury.tip().map(|tip| tip.hash), Some(header.block_hash()));
}

/// Nor does it go on with one, if a disk has made one of what was saved.
#[test]
fn a_saved_chain_does_not_begin_with_a_lie() {
    let mut header = some_header();
    while header.validate_pow(header.target()).is_ok() {
        header.nonce += 1;
    }
    let network = ChainHash::of(Network::Regtest);
    let mut state = State::default();
    state.evolve(&Change::Born { network, height: Height(5), header }, Network::Regtest);
    let bank = Bank::with(state, terms(), Vec::new());
    let got = header.block_hash();
    let fault = chain::FirstFault::NoWork { got, max: header.bits };
    assert_eq!(bank.failure, Some(Failure::First(fault)));
}

/// 2020, when the public signet began.
const THEN: u32 = 1_598_918_400;

#[test]
fn a_source_that_stands_still_is_named() {
    for network in [Network::Bitcoin, Network::Testnet4, Network::Signet, Network::Regtest] {
        let source = Source::of(genesis_block(network), network);
        let mut bank = born_at(network, 0);
        for _ in 0..3 {
            bank.follow(&source);
        }
        assert_eq!(*bank.treasury.health(), Health::Up, "nobody has said how late it is");
        // By the clock on the wall.
        let made = source.header(&source.chain[0]).time;
        bank.treasury.clock(made + 3 * 3_600);
        bank.follow(&source);
        assert_eq!(*bank.treasury.health(), Health::Up);
        bank.treasury.clock(made + 3 * 3_600 + 60);
        bank.follow(&source);
        bank.follow(&source);
        let is_stale = |bank: &Bank| matches!(bank.treasury.health(), Health::Stale { .. });
        assert_eq!(is_stale(&bank), network != Network::Regtest);
        if is_stale(&bank) {
            let want = "lagging: its newest block, 0, is 181 min old, at most 180";
            assert_eq!(health_of(&bank), want);
            let told = |event: &&Event| matches!(event, Event::Source(Health::Stale { .. }));
            assert_eq!(bank.events.iter().filter(told).count(), 1, "said once");
        }
        // By how long we have waited, if the clock on the wall is wrong.
        bank.treasury.clock(made);
        bank.follow(&source);
        assert_eq!(*bank.treasury.health(), Health::Up);
        bank.now = Tick(bank.now.0 + LAG_MAX.0 + 1);
        bank.follow(&source);
        assert_eq!(is_stale(&bank), network != Network::Regtest);
    }
}

/// A signet of one's own has blocks when somebody makes them.
#[test]
fn a_signet_of_ones_own_may_stand_still() {
    let mut source = Source::of(genesis_block(Network::Signet), Network::Signet);
    source.network.challenge = Some("51".to_owned());
    let challenge = Some("51".to_owned());
    let birthday = Some(Height(0));
    let terms = Terms { network: Network::Signet, birthday, challenge, ..terms() };
    let mut bank = Bank::with(State::default(), terms, Vec::new());
    bank.treasury.clock(THEN + 1_000_000);
    for _ in 0..3 {
        bank.follow(&source);
    }
    assert_eq!(*bank.treasury.health(), Health::Up);
}

#[test]
fn a_signet_is_the_public_one_unless_something_else_is_said() {
    let public = || Some(PUBLIC_SIGNET.to_owned());
    let upper = || Some(PUBLIC_SIGNET.to_uppercase());
    let own = || Some("51".to_owned());
    let rows = [
        (None, public(), true),
        (None, upper(), true),
        (None, None, true),
        (None, own(), false),
        (own(), own(), true),
        (own(), public(), false),
        (public(), own(), false),
    ];
    for (want, got, fits) in rows {
        let mut source = Source::of(genesis_block(Network::Signet), Network::Signet);
        source.network = NetworkName { name: "signet".to_owned(), challenge: got.clone() };
        let terms = Terms { network: Network::Signet, challenge: want.clone(), ..terms() };
        let mut bank = Bank::with(State::default(), terms, Vec::new());
        bank.follow(&source);
        let health = health_of(&bank);
        assert_eq!(*bank.treasury.health() == Health::Up, fits, "{want:?} {got:?}: {health}");
        let challenge = |it: Option<String>| it.unwrap_or_else(|| PUBLIC_SIGNET.to_owned());
        assert!(fits || health.contains(&challenge(want)) && health.contains(&challenge(got)));
    }
}
