//! Channels of two nodes in virtual time: opened, used, closed, and what they survive.

use node::services::{
    channels::{
        ASK_AGAIN, Command, OPENING_MAX, OPENINGS_OF_PEER_MAX, Progress, Refusal, Reply, Stage,
    },
    treasury,
};
use signer::{ChannelLimits, UnixTime};
use wire::{
    amount::{FeeratePerKw, Msat, Sat},
    dice::Dice,
};

use crate::pair::Pair;

fn close(pair: &mut Pair, at: usize) {
    let id = wire::Hex(&pair.lines(at)[0].channel_id.0).to_string();
    let call = pair.ends[at].call(Command::Close { id, force: false, unheard: false });
    pair.settle();
    let reply = pair.ends[at].replies.remove(&call);
    assert!(matches!(reply, Some(Ok(Reply::Channel(_)))), "{reply:?}");
}

#[test]
fn a_channel_is_opened_used_and_closed() {
    let mut pair = Pair::new(1);
    pair.opened();
    let before = pair.ends[0].bank.balance();
    assert!(before.confirmed.to_sat() < 100_000, "{before:?}");
    for at in [0, 1, 0] {
        let call = pair.pay(at, Msat(5_000_000), None);
        pair.settle();
        match pair.ends[at].replies.remove(&call) {
            Some(Ok(Reply::Payment(line))) => {
                assert!(matches!(line.progress, Progress::Paid(_)), "{line:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let [ours, theirs] = [pair.lines(0), pair.lines(1)];
    assert_eq!((ours[0].local, ours[0].remote), (Msat(75_000_000), Msat(25_000_000)));
    assert_eq!((theirs[0].local, theirs[0].remote), (Msat(25_000_000), Msat(75_000_000)));
    close(&mut pair, 0);
    assert_eq!(pair.stages(0), [Stage::Closing]);
    for _ in 0..7 {
        pair.mine();
        pair.settle();
    }
    assert_eq!((pair.stages(0), pair.stages(1)), (vec![Stage::Closed], vec![Stage::Closed]));
    // The fees are of the funding and of the close, which one of them has paid for.
    let [first, second] = [0, 1].map(|at| pair.ends[at].bank.confirmed());
    assert!((172_000..=175_000).contains(&first), "{first}");
    assert!((223_000..=225_001).contains(&second), "{second}");
}

/// A payment of more than the signer lets leave in a day fails at once, and says why. What is left
/// can be paid, and the channel goes on.
#[test]
fn a_payment_beyond_the_day_fails_with_the_numbers() {
    let mut pair = Pair::new(5);
    pair.opened();
    let limits = ChannelLimits { day_max: Msat(6_000_000), ..Default::default() };
    pair.ends[0].limit(limits, UnixTime(1_700_000_000));
    let pay = |pair: &mut Pair, at: usize, sat: u64| {
        let call = pair.pay(at, Msat(sat * 1_000), None);
        pair.settle();
        let reply = pair.ends[at].replies.remove(&call);
        let Some(Ok(Reply::Payment(line))) = reply else { panic!("{reply:?}") };
        line.progress
    };
    assert!(matches!(pay(&mut pair, 0, 5_000), Progress::Paid(_)));
    let Progress::Failed(why) = pay(&mut pair, 0, 2_000) else { panic!("it is refused") };
    let numbers =
        "2000000 msat is more than may leave today: 1000000 msat of 6000000 msat are left";
    assert!(why.contains(numbers), "{why}");
    pair.connect();
    pair.settle();
    assert!(matches!(pay(&mut pair, 1, 3_000), Progress::Paid(_)), "what comes in is not counted");
    assert!(matches!(pay(&mut pair, 0, 1_000), Progress::Paid(_)));
    let ours = pair.lines(0);
    assert_eq!((ours[0].local, ours[0].remote), (Msat(77_000_000), Msat(23_000_000)));
}

/// Nobody but the peer can tell that our files are those of an earlier day, if the signer's are.
#[test]
fn a_node_that_was_put_back_is_not_closed_by_force_unasked() {
    let mut pair = Pair::new(3);
    pair.opened();
    let id = wire::Hex(&pair.lines(0)[0].channel_id.0).to_string();
    let close = |pair: &mut Pair, unheard: bool| {
        let call = pair.ends[0].call(Command::Close { id: id.clone(), force: true, unheard });
        pair.settle();
        pair.ends[0].replies.remove(&call).expect("it is answered")
    };
    pair.disconnect();
    pair.kill(0);
    pair.settle();
    let node = pair.ends[1].node;
    assert_eq!(close(&mut pair, false), Err(Refusal::Unheard { node }));
    assert_eq!(pair.stages(0), [Stage::Open]);
    pair.connect();
    pair.settle();
    pair.disconnect();
    assert!(close(&mut pair, false).is_ok(), "the peer was heard in this life");
    assert_eq!(pair.stages(0), [Stage::Failing]);

    let mut pair = Pair::new(3);
    pair.opened();
    pair.disconnect();
    pair.kill(0);
    pair.settle();
    assert!(close(&mut pair, true).is_ok(), "it is wanted so");
    assert_eq!(pair.stages(0), [Stage::Failing]);
}

#[test]
fn what_cannot_be_is_refused_and_costs_nothing() {
    let mut pair = Pair::new(2);
    let rows = [
        (Sat(1_000), Msat(0), "funding_satoshis is 1000"),
        (Sat(100_000), Msat(100_000_001), "push_msat is 100000001"),
        (Sat(100_000), Msat(99_990_000), "the opener has"),
        (Sat(5_000_000), Msat(0), "0.00200000 BTC"),
    ];
    for (amount, pushed, text) in rows {
        let call = pair.open(amount, pushed);
        pair.settle();
        match pair.ends[0].replies.remove(&call) {
            Some(Err(refusal)) => assert!(refusal.to_string().contains(text), "{refusal}"),
            other => panic!("{amount}: {other:?}"),
        }
        assert_eq!(pair.ends[0].bank.balance().locked.to_sat(), 0);
    }
    assert!(pair.lines(0).is_empty() && pair.lines(1).is_empty());
    let call = pair.pay(0, Msat(1_000), None);
    pair.settle();
    let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err("no channel");
    assert!(matches!(refused, Refusal::NoChannel { have: 0, .. }), "{refused}");
    for (id, text) in [("zz", "is no channel"), ("abc", "at least 4"), ("abcdef", "no channel")] {
        let call = pair.ends[0].call(Command::Channel { id: id.to_owned() });
        pair.settle();
        let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err(id);
        assert!(refused.to_string().contains(text), "{refused}");
    }
    pair.opened();
    let id = wire::Hex(&pair.lines(0)[0].channel_id.0).to_string();
    for (at, rate, text) in [(0, 10, "10 "), (0, 4_000_000, "4000000 "), (1, 1_000, "opener")] {
        let rate = FeeratePerKw(rate);
        let call = pair.ends[at].call(Command::Fee { id: id.clone(), rate });
        pair.settle();
        let refused = pair.ends[at].replies.remove(&call).expect("an answer").expect_err(text);
        assert!(refused.to_string().contains(text), "{refused}");
    }
    for (amount, text) in [(0, ""), (90_000_000, "7")] {
        let call = pair.pay(0, Msat(amount), None);
        pair.settle();
        let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err(text);
        assert!(matches!(refused, Refusal::Channel(_)), "{refused}");
    }
    assert!(pair.lines(0)[0].connected, "nothing of this has cost the connection");
}

#[test]
fn an_opening_that_does_not_come_to_an_end_frees_its_coins() {
    let mut pair = Pair::new(3);
    pair.ends[1].signer_is_up = false;
    let call = pair.open(Sat(100_000), Msat(0));
    pair.settle();
    assert!(!pair.ends[0].replies.contains_key(&call), "the peer's signer is away");
    pair.wait(OPENING_MAX);
    pair.settle();
    let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err("too late");
    assert!(refused.to_string().contains("35 s"), "{refused}");
    // It gets as far as coins that are kept, and then the connection is gone.
    pair.ends[1].signer_is_up = true;
    pair.settle();
    let call = pair.open(Sat(100_000), Msat(0));
    let mut times = 0..500;
    while pair.ends[0].bank.balance().locked.to_sat() == 0 {
        times.next().expect("coins are kept for it");
        for (at, what) in [(0, 3), (0, 0), (0, 1), (0, 2), (1, 3), (1, 0), (1, 1), (1, 2)] {
            pair.step(at, what);
        }
    }
    pair.disconnect();
    pair.settle();
    let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err("gone");
    assert!(refused.to_string().contains("the connection is gone"), "{refused}");
    assert_eq!(pair.ends[0].bank.balance().locked.to_sat(), 0);
    assert!(pair.ends[0].bank.published.is_empty());
}

/// What replaced it would pay to the channel, and be another transaction: what both have signed
/// would spend nothing, and the money could not be had without the peer.
#[test]
fn a_funding_is_not_replaced_by_one_that_pays_more() {
    let mut pair = Pair::new(41);
    pair.open(Sat(100_000), Msat(20_000_000));
    pair.settle();
    let txid = pair.lines(0)[0].funding.txid;
    let bank = &mut pair.ends[0].bank;
    let fee_rate = bitcoin::FeeRate::from_sat_per_vb(50).expect("it fits");
    let (allow_high_fee, spend_reserve, draw) = (true, true, [3; 32]);
    bank.call(treasury::Command::Bump { txid, fee_rate, allow_high_fee, spend_reserve, draw });
    let reply = bank.replies.pop();
    assert!(matches!(reply, Some(Err(treasury::Refusal::FundsChannel { .. }))), "{reply:?}");
}

#[test]
fn a_channel_is_ready_no_block_too_early() {
    let mut pair = Pair::new(40);
    pair.open(Sat(100_000), Msat(20_000_000));
    pair.settle();
    for blocks in 1..=3 {
        pair.mine();
        pair.settle();
        let want = if blocks == 3 { Stage::Open } else { Stage::Funding };
        let lines = [pair.lines(0), pair.lines(1)].concat();
        for line in lines {
            assert_eq!((line.stage, line.depth, line.depth_min), (want, blocks, 3));
        }
    }
}

#[test]
fn an_opening_that_a_lost_connection_ends_can_begin_again() {
    // Wherever it is lost, up to the funding.
    for steps in 1..8 {
        let mut pair = Pair::new(30 + steps);
        let first = pair.open(Sat(100_000), Msat(20_000_000));
        for _ in 0..steps {
            for (at, what) in [(0, 3), (0, 0), (0, 1), (0, 3), (1, 2), (1, 3), (1, 0), (1, 3)] {
                pair.step(at, what);
            }
            pair.step(0, 2);
        }
        pair.connect();
        pair.settle();
        let before = pair.ends[0].replies.remove(&first);
        if matches!(before, Some(Ok(Reply::Opened(_)))) {
            assert!(steps > 3, "it was quick");
            continue;
        }
        assert!(matches!(before, Some(Err(Refusal::NotOpened { .. }))), "{before:?}");
        let published = &pair.ends[0].bank.published;
        assert!(published.is_empty(), "before the peer has signed: {published:?}");
        pair.opened();
    }
}

#[test]
fn one_peer_has_so_many_openings_and_no_more() {
    let mut pair = Pair::new(4);
    pair.ends[0].signer_is_up = false;
    let calls: Vec<_> =
        (0..=OPENINGS_OF_PEER_MAX).map(|_| pair.open(Sat(30_000), Msat(0))).collect();
    pair.settle();
    let last = calls.last().expect("there are some");
    let refused = pair.ends[0].replies.remove(last).expect("an answer").expect_err("too many");
    assert!(matches!(refused, Refusal::TooMany { have, max, .. } if have == max), "{refused}");
    assert!(calls[..OPENINGS_OF_PEER_MAX].iter().all(|it| !pair.ends[0].replies.contains_key(it)));
}

#[test]
fn by_one_name_one_payment_is_made() {
    let mut pair = Pair::new(5);
    pair.opened();
    for _ in 0..3 {
        let call = pair.pay(0, Msat(1_000_000), Some("rent"));
        pair.settle();
        let reply = pair.ends[0].replies.remove(&call);
        assert!(matches!(reply, Some(Ok(Reply::Payment(_)))), "{reply:?}");
        pair.kill(0);
        pair.connect();
        pair.settle();
    }
    assert_eq!(pair.lines(0)[0].local, Msat(79_000_000));
    let call = pair.pay(0, Msat(1_000_001), Some("rent"));
    pair.settle();
    let refused = pair.ends[0].replies.remove(&call).expect("an answer").expect_err("another");
    assert!(matches!(refused, Refusal::NameTaken { .. }), "{refused}");
}

#[test]
fn a_signer_that_is_away_for_hours_delays_and_loses_nothing() {
    let mut pair = Pair::new(6);
    pair.opened();
    pair.ends[1].signer_is_up = false;
    let call = pair.pay(0, Msat(2_000_000), None);
    pair.settle();
    assert!(!pair.ends[0].replies.contains_key(&call));
    pair.wait(wire::tick::Millis(31_000));
    pair.settle();
    match pair.ends[0].replies.remove(&call) {
        Some(Ok(Reply::Payment(line))) => assert_eq!(line.progress, Progress::Pending),
        other => panic!("{other:?}"),
    }
    pair.connect();
    pair.settle();
    pair.ends[1].signer_is_up = true;
    pair.settle();
    pair.connect();
    pair.settle();
    assert_eq!(pair.lines(0)[0].local, Msat(78_000_000));
    assert_eq!(pair.lines(1)[0].local, Msat(22_000_000));
}

#[test]
fn what_the_signer_could_not_save_is_said_in_its_turn() {
    let mut pair = Pair::new(7);
    pair.opened();
    // A signature has to wait, and what the peer signs meanwhile is answered behind it.
    pair.ends[1].signer_is_full = 1;
    pair.pay(1, Msat(2_000_000), None);
    pair.settle();
    pair.pay(0, Msat(3_000_000), None);
    pair.settle();
    pair.wait(ASK_AGAIN);
    pair.settle();
    assert_eq!([pair.stages(0), pair.stages(1)], [[Stage::Open], [Stage::Open]]);
    assert_eq!(pair.lines(0)[0].local, Msat(79_000_000));
    assert_eq!(pair.lines(1)[0].local, Msat(21_000_000));
}

#[test]
fn what_is_in_a_block_is_found_whenever_the_process_ends() {
    for steps in 0..12 {
        let mut pair = Pair::new(8);
        pair.open(Sat(100_000), Msat(20_000_000));
        pair.settle();
        pair.mine();
        pair.hear_chain(0, steps);
        pair.kill(0);
        pair.connect();
        pair.settle();
        for _ in 0..3 {
            pair.mine();
            pair.settle();
        }
        assert_eq!(pair.stages(0), [Stage::Open], "{steps} steps");
    }
}

/// A world in which anything may happen at any moment.
fn world(seed: u64) -> usize {
    let mut pair = Pair::new(seed);
    let mut dice = Dice::new(seed ^ 0xc0ffee);
    if !seed.is_multiple_of(4) {
        pair.opened();
    }
    for _ in 0..2_500 {
        let at = dice.below(2);
        match dice.below(100) {
            0 if dice.one_in(3) => pair.kill(at),
            1 if dice.one_in(2) => pair.disconnect(),
            2..=7 if pair.connection.is_none() => pair.connect(),
            8 => {
                pair.pay(at, Msat(1_000_000 + dice.below(9_000_000) as u64), None);
            }
            9 if dice.one_in(3) => pair.mine(),
            10 if pair.ends[0].channels.state().channels.is_empty() => {
                pair.open(Sat(100_000), Msat(30_000_000));
            }
            _ => {
                let what = [0, 0, 1, 2, 2, 4, 4, 4][dice.below(8)];
                pair.step(at, what);
            }
        }
    }
    pair.connect();
    pair.settle();
    for _ in 0..8 {
        pair.mine();
        pair.settle();
    }
    pair.connect();
    pair.settle();
    judge(&mut pair, seed)
}

/// An opening may come to nothing.
fn is_of_opening(complaint: &str) -> bool {
    ["no such channel", "given up", "openings", "the chain"].iter().any(|it| complaint.contains(it))
}

/// Both agree on who has what, and that is what the payments say.
fn judge(pair: &mut Pair, seed: u64) -> usize {
    for end in &pair.ends {
        let complaints: Vec<_> = end.complaints.iter().filter(|it| !is_of_opening(it)).collect();
        assert!(complaints.is_empty(), "seed {seed}: {complaints:?}");
    }
    let [mine, yours] = [pair.lines(0), pair.lines(1)];
    let mut dice = Dice::new(1);
    let payments = [0, 1].map(|at| pair.ends[at].payments(&mut dice));
    let open = |line: &&node::services::channels::ChannelLine| line.stage == Stage::Open;
    for line in mine.iter().filter(open) {
        let other = yours.iter().find(|other| other.channel_id == line.channel_id);
        let other = other.unwrap_or_else(|| panic!("seed {seed}: {line:?} is one-sided"));
        assert_eq!(
            (line.local, line.remote),
            (other.remote, other.local),
            "seed {seed} {line:?} {other:?}"
        );
        assert_eq!((line.htlcs, other.htlcs), (0, 0), "seed {seed}");
        assert!(line.connected && other.connected, "seed {seed}");
    }
    let paid = |at: usize, incoming: bool| -> u64 {
        let of = payments[at].iter().filter(|line| line.incoming == incoming);
        of.filter(|line| matches!(line.progress, Progress::Paid(_))).map(|it| it.amount.0).sum()
    };
    assert_eq!(paid(0, false), paid(1, true), "seed {seed}");
    assert_eq!(paid(1, false), paid(0, true), "seed {seed}");
    let pending = payments.iter().flatten().filter(|it| it.progress == Progress::Pending);
    assert_eq!(pending.count(), 0, "seed {seed}");
    let all: u64 = mine.iter().filter(open).map(|line| line.local.0).sum();
    let count = mine.iter().filter(open).count();
    if mine.len() == 1 && count == 1 {
        let begun = if seed.is_multiple_of(4) { 70_000_000 } else { 80_000_000 };
        assert_eq!(all + paid(0, false), begun + paid(0, true), "seed {seed}");
    }
    payments.iter().flatten().filter(|it| matches!(it.progress, Progress::Paid(_))).count()
}

#[test]
fn nodes_agree_whatever_is_killed_and_lost() {
    // The last two have found bugs in what is said again after a reconnection.
    let paid: usize = (100..112).chain([128, 169]).map(world).sum();
    assert!(paid > 60, "only {paid} payments were made: the worlds are too tame");
}
