//! What commitments pay, when the chain becomes dearer or cheaper.

use node::services::channels::{self, Change, Reply, Stage};
use signer::{ChannelLimits, UnixTime};
use wire::{
    amount::{FeeratePerKw, Msat, Sat},
    features::{Feature, Features},
};

use crate::pair::Pair;

/// A block, and what the next ones cost, in a hurry and not.
fn block(pair: &mut Pair, urgent: u32, calm: u32) {
    for end in &mut pair.ends {
        end.rates = Some([FeeratePerKw(urgent), FeeratePerKw(calm)]);
    }
    pair.mine();
    pair.settle();
}

/// What both say that their commitments pay.
fn rate(pair: &mut Pair) -> u32 {
    let [ours, theirs] = [0, 1].map(|at| pair.lines(at)[0].feerate.0);
    assert_eq!(ours, theirs);
    ours
}

/// The rates that an end has proposed or heard.
fn said(pair: &Pair, at: usize) -> Vec<u32> {
    let mut all = Vec::new();
    for bytes in &pair.ends[at].log {
        let change = Change::decode(bytes).expect("ours").expect("of this version");
        if let Change::Live { change, .. } = change
            && let channel::Change::Rate(rate) = *change
        {
            all.push(rate.0);
        }
    }
    all
}

#[test]
fn a_commitment_pays_what_mempools_want_and_is_not_changed_for_little() {
    let mut pair = Pair::new(81);
    pair.opened();
    let first = rate(&mut pair);
    let rows = [
        // Up by a quarter or more.
        (first * 5 / 4 - 1, first),
        (first * 5 / 4 + 1, first * 5 / 4 + 1),
        (2_000, 2_000),
        (2_499, 2_000),
        (2_500, 2_500),
        // A child pays for more.
        (90_000, 2_500),
        // Down to a quarter or less.
        (700, 2_500),
        (626, 2_500),
        (625, 625),
        (781, 625),
        // Nobody relays less.
        (1, 625),
        (1_500, 1_500),
        (1, 253),
    ];
    for (calm, want) in rows {
        block(&mut pair, 100_000, calm);
        assert_eq!(rate(&mut pair), want, "{calm}");
    }
    let before = said(&pair, 0);
    for turn in 0..20 {
        block(&mut pair, 1_000, [253, 300][turn % 2]);
    }
    assert_eq!(said(&pair, 0), before, "it does not go up and down");
    assert_eq!(said(&pair, 1), before, "the other side has nothing to say");
    assert_eq!([pair.stages(0), pair.stages(1)], [[Stage::Open], [Stage::Open]]);
    assert!(pair.ends.iter().all(|end| end.complaints.is_empty()));
}

#[test]
fn without_anchors_a_commitment_pays_for_the_next_blocks_with_a_margin() {
    let mut pair = Pair::new(82);
    let known = channels::features();
    let others = Feature::ALL.iter().copied();
    let others = others.filter(|it| known.offers(*it) && *it != Feature::Anchors);
    pair.features = Features::optional(&others.collect::<Vec<_>>());
    pair.connect();
    pair.settle();
    block(&mut pair, 2_000, 500);
    pair.opened();
    assert_eq!(rate(&mut pair), 4_000);
    block(&mut pair, 6_000, 500);
    assert_eq!(rate(&mut pair), 12_000);
}

/// It would be below its reserve: the channel goes on as it is, and nobody complains.
#[test]
fn a_rate_that_the_opener_cannot_pay_is_not_proposed() {
    let mut pair = Pair::new(83);
    let limits = ChannelLimits { push_percent_max: 100, ..Default::default() };
    pair.ends[0].limit(limits, UnixTime(0));
    pair.open(Sat(100_000), Msat(96_000_000));
    pair.settle();
    for _ in 0..3 {
        pair.mine();
        pair.settle();
    }
    // Of 4,000 sat 660 are for anchors and 1,000 stay. The fee is 1,405 sat, and would be 2,810.
    assert_eq!(rate(&mut pair), 1_250);
    block(&mut pair, 5_000, 2_500);
    assert_eq!(rate(&mut pair), 1_250);
    // What it is paid it can pay with, when there is another block.
    let call = pair.pay(1, Msat(9_000_000), None);
    pair.settle();
    assert!(matches!(pair.ends[1].replies.remove(&call), Some(Ok(Reply::Payment(_)))));
    block(&mut pair, 5_000, 2_500);
    assert_eq!(rate(&mut pair), 2_500);
    assert_eq!([pair.stages(0), pair.stages(1)], [[Stage::Open], [Stage::Open]]);
    assert!(pair.ends.iter().all(|end| end.complaints.is_empty()));
}

#[test]
fn whose_peer_is_away_says_it_when_it_is_back() {
    let mut pair = Pair::new(84);
    pair.opened();
    let first = rate(&mut pair);
    pair.disconnect();
    block(&mut pair, 5_000, 2_500);
    assert_eq!(rate(&mut pair), first);
    pair.connect();
    pair.settle();
    block(&mut pair, 5_000, 2_500);
    assert_eq!(rate(&mut pair), 2_500);
    // Said and saved, and the connection is lost: it is said again, and once.
    pair.mine();
    for end in &mut pair.ends {
        end.rates = Some([FeeratePerKw(5_000), FeeratePerKw(600)]);
    }
    pair.hear_chain(0, usize::MAX);
    pair.kill(0);
    pair.connect();
    pair.settle();
    assert_eq!(rate(&mut pair), 600);
    assert_eq!(said(&pair, 0), said(&pair, 1));
}

/// Our signer is away with a question of before, so nothing new is signed.
#[test]
fn a_rate_that_waits_is_not_proposed_again() {
    let mut pair = Pair::new(85);
    pair.opened();
    pair.ends[0].signer_is_up = false;
    pair.pay(0, Msat(1_000_000), None);
    pair.settle();
    for _ in 0..3 {
        block(&mut pair, 5_000, 2_500);
    }
    assert_eq!(said(&pair, 0), [2_500]);
    pair.ends[0].signer_is_up = true;
    pair.connect();
    pair.settle();
    assert_eq!((rate(&mut pair), said(&pair, 1)), (2_500, vec![2_500]));
}
