//! One writer of the channels: an older process that wakes up saves, asks, says and publishes
//! nothing.

#[cfg(feature = "postgres")]
use apart::Place;
use bitcoin::ScriptBuf;
use node::services::{
    channels::{
        ASK_AGAIN, CallId, Change, Channels, Command, Effect, Progress, Reply, Step, Terms, Token,
    },
    post::{Passed, Post, State, Wish},
    treasury::{self, ChannelsWant},
};
#[cfg(feature = "postgres")]
use node::{
    io::channels::{CHANNELS, restore},
    services::channels::PaymentId,
    store::{Store, StoreFault, Write},
};
use signer::{Answer, Ask, Refusal};
use wire::{
    Network,
    amount::Msat,
    dice::Dice,
    features::Features,
    id::ConnectionId,
    lease::{LeaseEpoch, StaleLease},
    tick::Tick,
};

use crate::{
    bank::{Bank, sign},
    pair::{Ghost, Pair},
};

/// Two with a channel, of whom the first was taken over by a process with a copy of its log.
fn haunted(seed: u64) -> (Pair, Ghost) {
    let mut pair = Pair::new(seed);
    pair.opened();
    let ghost = take_over(&mut pair);
    (pair, ghost)
}

fn take_over(pair: &mut Pair) -> Ghost {
    let log = pair.ends[0].log.clone();
    let ghost = pair.ends[0].taken_over(log);
    pair.settle();
    pair.connect();
    pair.settle();
    ghost
}

fn stale(got: u64, have: u64) -> StaleLease {
    StaleLease { got: LeaseEpoch(got), have: LeaseEpoch(have) }
}

fn lease(pair: &Pair) -> LeaseEpoch {
    pair.ends[0].channels.state().lease
}

fn pays(pair: &mut Pair) {
    let call = pair.pay(0, Msat(5_000_000), None);
    pair.settle();
    match pair.ends[0].replies.remove(&call) {
        Some(Ok(Reply::Payment(line))) => {
            assert!(matches!(line.progress, Progress::Paid(_)), "{line:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// Without the peer.
fn close(pair: &mut Pair) {
    let id = wire::Hex(&pair.lines(0)[0].channel_id.0).to_string();
    pair.ends[0].call(Command::Close { id, force: true, unheard: true });
}

fn ghost_pays(pair: &Pair, ghost: &mut Ghost) {
    let node = pair.ends[1].node;
    let pay = Command::Pay { node, amount: Msat(5_000_000), name: None };
    ghost.channels.call(CallId(900), pay);
}

fn asks(effects: Vec<Effect>) -> Vec<(Token, Ask)> {
    let ask = |effect| {
        if let Effect::AskSigner(token, ask) = effect { Some((token, *ask)) } else { None }
    };
    effects.into_iter().filter_map(ask).collect()
}

/// It says so once, and nothing else.
fn has_stopped(ghost: &mut Ghost, why: StaleLease) {
    let last = ghost.effects();
    assert!(matches!(&last[..], [Effect::Stop(stale)] if *stale == why), "{last:?}");
    ghost.channels.signer_came();
    ghost.channels.clock(Tick(90_000), signer::UnixTime(90));
    ghost.channels.wake();
    assert!(ghost.effects().is_empty());
}

/// Over one database whoever comes later takes the log, and its first change is a later lease.
#[cfg(feature = "postgres")]
#[test]
fn an_old_process_saves_nothing() {
    let place = Place::new();
    let database = database::Database::start(place.path());
    let opened = || {
        let mut store = Store::connect(&database.address()).expect("it is there");
        let before = restore(&store.restore(CHANNELS).expect("it reads")).expect("ours");
        let terms = Terms::of(Network::Regtest);
        let mut channels = Channels::open(before.state, terms, Tick(0), signer::UnixTime(1));
        let Some(Step::Save(change)) = channels.poll() else { panic!("nothing comes before it") };
        (store, change)
    };
    let write = |change: &Change| vec![Write::Change { core: CHANNELS, bytes: change.encode() }];
    for epoch in [1, 2].map(LeaseEpoch) {
        let (mut old, first) = opened();
        assert_eq!(first, Change::Leased { epoch });
        old.commit(&[write(&first)]).expect("it has the log");
        if epoch == LeaseEpoch(2) {
            let (mut new, second) = opened();
            assert_eq!(second, Change::Leased { epoch: LeaseEpoch(3) });
            let late = Change::Failed { id: PaymentId(1), why: "late".to_owned() };
            let fault = old.commit(&[write(&late)]).expect_err("it was taken");
            assert!(matches!(fault, StoreFault::Fenced { .. }), "{fault}");
            new.commit(&[write(&second)]).expect("it has the log");
        }
    }
}

#[test]
fn an_old_process_asks_the_signer_in_vain() {
    let (mut pair, mut ghost) = haunted(31);
    assert_eq!(pair.ends[0].signer.channels().lease(), LeaseEpoch(2));
    let before = pair.ends[0].signer.channels().encode(Network::Regtest);
    ghost_pays(&pair, &mut ghost);
    let asked = asks(ghost.effects());
    assert!(matches!(&asked[..], [(_, Ask::Channel { lease: LeaseEpoch(1), .. })]), "{asked:?}");
    for (token, ask) in asked {
        let answer = sign(&mut pair.ends[0].signer, ask);
        let Answer::Refused(Refusal::StaleLease(why)) = &answer else { panic!("it is answered") };
        assert_eq!(*why, stale(1, 2));
        ghost.channels.signer_answered(token, Some(answer));
    }
    assert_eq!(pair.ends[0].signer.channels().encode(Network::Regtest), before);
    has_stopped(&mut ghost, stale(1, 2));
    pays(&mut pair);
}

/// What is signed already is held back, too.
#[test]
fn an_old_process_publishes_in_vain() {
    let mut pair = Pair::new(32);
    pair.opened();
    close(&mut pair);
    // The signer has signed, and the process is paused with the commitment in its hands.
    for what in [3, 0] {
        pair.step(0, what);
    }
    let ghost = &mut take_over(&mut pair);
    let published = pair.ends[0].bank.published.clone();
    let mut refused = 0;
    for effect in ghost.effects() {
        let Effect::AskTreasury { token, lease, want } = effect else { continue };
        assert_eq!(lease, LeaseEpoch(1));
        refused += usize::from(matches!(*want, ChannelsWant::Publish { .. }));
        pair.ends[0].bank.call(treasury::Command::Channels { lease, want: *want });
        let answer = pair.ends[0].bank.replies.pop().expect("it answers");
        assert_eq!(answer, Err(treasury::Refusal::StaleLease(stale(1, 2))));
        ghost.channels.treasury_answered(token, answer);
    }
    assert_eq!(refused, 1, "it wanted to publish");
    assert_eq!(pair.ends[0].bank.published, published);
    has_stopped(ghost, stale(1, 2));
}

#[test]
fn an_old_process_says_nothing_to_a_peer() {
    let (mut pair, mut ghost) = haunted(33);
    let mut post = Post::open(State::default(), Features::NONE, Dice::new(1));
    post.serve_channels();
    for lease in [1, 2].map(LeaseEpoch) {
        post.wish(Wish::Attach { lease });
        assert_eq!(post.poll_passed(), None);
    }
    // It answers its peer, who closes in good faith, by what it says to its old connection.
    let id = pair.lines(0)[0].channel_id;
    let shutdown = [&[0, 38][..], &id.0, &[0, 22, 0, 20], &[7; 20]].concat();
    ghost.channels.message(ConnectionId(1), &shutdown);
    let mut said = 0;
    for effect in ghost.effects() {
        let Effect::Send { lease, connection, bytes } = effect else { continue };
        said += 1;
        assert_eq!(lease, LeaseEpoch(1));
        post.wish(Wish::Say { lease, connection, bytes });
        assert_eq!(post.poll_passed(), Some(Passed::Stale(stale(1, 2))));
        post.wish(Wish::HangUp { lease, connection });
        assert_eq!(post.poll_passed(), Some(Passed::Stale(stale(1, 2))));
    }
    assert!(said > 0, "it wanted to say something");
    assert!(post.poll_holder().is_none(), "nothing is sent");
    ghost.channels.lose_lease(stale(1, 2));
    has_stopped(&mut ghost, stale(1, 2));
    pays(&mut pair);
}

#[test]
fn each_start_has_a_later_lease() {
    let mut pair = Pair::new(34);
    pair.opened();
    for epoch in 1..5 {
        assert_eq!(lease(&pair), LeaseEpoch(epoch));
        assert_eq!(pair.ends[0].signer.channels().lease(), LeaseEpoch(epoch));
        pays(&mut pair);
        pair.kill(0);
        pair.settle();
        pair.connect();
        pair.settle();
    }
}

/// Its own log knows of an old lease only: it takes a later one than anybody has seen.
#[test]
fn a_log_that_was_put_back_does_not_lock_its_owner_out() {
    let mut pair = Pair::new(35);
    pair.opened();
    let yesterday = pair.ends[0].log.clone();
    for _ in 0..3 {
        pair.kill(0);
        pair.settle();
    }
    assert_eq!(lease(&pair), LeaseEpoch(4));
    pair.ends[0].taken_over(yesterday);
    assert_eq!(lease(&pair), LeaseEpoch(2), "as its log says");
    pair.settle();
    assert_eq!(lease(&pair), LeaseEpoch(5));
    let is_saved =
        |epoch| pair.ends[0].log.contains(&Change::Leased { epoch: LeaseEpoch(epoch) }.encode());
    // What it was told is what it goes on from, without a save for each that is between.
    assert_eq!([2, 3, 4, 5].map(is_saved), [true, false, false, true]);
    assert_eq!(pair.ends[0].signer.channels().lease(), LeaseEpoch(5));
    pair.connect();
    pair.settle();
    pays(&mut pair);
}

/// What was to be asked before anybody had agreed is asked by the lease that they agree to.
#[test]
fn a_question_from_before_carries_the_lease_that_is_held() {
    let mut pair = Pair::new(39);
    pair.opened();
    close(&mut pair);
    pair.step(0, 3);
    let (log, published) = (pair.ends[0].log.clone(), pair.ends[0].bank.published.len());
    let later = Ask::Lease { epoch: LeaseEpoch(70) };
    assert!(matches!(sign(&mut pair.ends[0].signer, later), Answer::Channel(_)));
    pair.disconnect();
    pair.ends[0].taken_over(log);
    pair.settle();
    assert_eq!(lease(&pair), LeaseEpoch(71));
    assert!(pair.ends[0].bank.published.len() > published, "it was to be signed before");
}

/// The signer was put back, and the treasury was not.
#[test]
fn whoever_knows_the_latest_lease_is_heard() {
    let mut pair = Pair::new(36);
    pair.opened();
    let later = treasury::Command::Channels { lease: LeaseEpoch(70), want: ChannelsWant::Lease };
    pair.ends[0].bank.call(later);
    assert_eq!(pair.ends[0].bank.replies.pop(), Some(Ok(treasury::Reply::Done)));
    pair.kill(0);
    pair.settle();
    assert_eq!(lease(&pair), LeaseEpoch(71));
    assert_eq!(pair.ends[0].signer.channels().lease(), LeaseEpoch(71));
    pair.connect();
    pair.settle();
    pays(&mut pair);
}

/// Before the signer has agreed nothing leaves that another process could trip over.
#[test]
fn nothing_leaves_before_the_lease_is_held() {
    let mut pair = Pair::new(37);
    pair.opened();
    pair.disconnect();
    pair.ends[0].signer_is_up = false;
    let log = pair.ends[0].log.clone();
    pair.ends[0].taken_over(log);
    pair.connect();
    pair.settle();
    assert!(pair.ends[1].inbox.is_empty());
    let lines = pair.lines(0);
    assert_eq!(lines.len(), 1, "people are answered");
    let call = treasury::Command::Channels { lease: LeaseEpoch(2), want: ChannelsWant::Home };
    pair.ends[0].bank.call(call);
    let answer = pair.ends[0].bank.replies.pop();
    assert_eq!(answer, Some(Err(treasury::Refusal::StaleLease(stale(2, 1)))));
    // Its disk is full at first.
    pair.ends[0].signer_is_up = true;
    pair.ends[0].signer_is_full = 1;
    pair.ends[0].channels.signer_came();
    pair.settle();
    pair.wait(ASK_AGAIN);
    pair.settle();
    pays(&mut pair);
}

/// Before the lease is held a peer cannot fill the memory with what it makes us answer.
#[test]
fn what_waits_for_the_lease_is_bounded() {
    let (terms, peer) = (Terms::of(Network::Regtest), Pair::new(40).ends[1].node);
    let mut channels = Channels::open(Default::default(), terms, Tick(0), signer::UnixTime(1));
    let at = ConnectionId(1);
    channels.peer_came(at, peer, node::services::channels::features(), false);
    let unknown = [&[0, 38][..], &[9; 32], &[0, 22, 0, 20], &[7; 20]].concat();
    for _ in 0..30_000 {
        channels.message(at, &unknown);
    }
    channels.signer_came();
    let (mut said, mut hung_up) = (0, 0);
    while let Some(step) = channels.poll() {
        match step {
            Step::Do(Effect::AskSigner(token, _)) => {
                assert_eq!((said, hung_up), (0, 0));
                let done = Answer::Channel(signer::ChannelAnswer::Done);
                channels.signer_answered(token, Some(done));
            }
            Step::Do(Effect::AskTreasury { token, want, .. }) if *want == ChannelsWant::Lease => {
                channels.treasury_answered(token, Ok(treasury::Reply::Done));
            }
            Step::Do(Effect::Send { .. }) => said += 1,
            Step::Do(Effect::Hangup { .. }) => hung_up += 1,
            Step::Do(_) | Step::Save(_) => {}
        }
    }
    assert!((1..=20_000).contains(&said), "{said}");
    assert_eq!(hung_up, 1);
}

/// What the treasury knows of leases outlives it, as changes and as their sum.
#[test]
fn a_treasury_knows_the_lease_after_a_restart() {
    let mut pair = Pair::new(38);
    pair.opened();
    let bank = std::mem::replace(&mut pair.ends[0].bank, Bank::with(treasury::Saved::default()));
    let mut bank = bank.restart();
    for (got, want) in
        [(1, Ok(treasury::Reply::Done)), (0, Err(stale(0, 1))), (2, Err(stale(2, 1)))]
    {
        let want = want.map_err(treasury::Refusal::StaleLease);
        let watch = chain::Watch::Pay(ScriptBuf::from_bytes(vec![81]));
        let unwatch = ChannelsWant::FollowUnwatch { watch };
        bank.call(treasury::Command::Channels { lease: LeaseEpoch(got), want: unwatch });
        assert_eq!(bank.replies.pop(), Some(want));
    }
    let changes = bank.treasury.snapshot();
    let kept = wire::saved::split(&changes).expect("ours");
    let leased = treasury::Change::Leased { epoch: LeaseEpoch(1) }.encode();
    assert!(kept.contains(&&leased[..]));
}
