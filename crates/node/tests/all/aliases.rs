//! Names that channels have for their peers: each its own, for as long as it lives.

use std::collections::BTreeSet;

use node::services::channels::{self, ChannelLine, Stage};
use wire::{
    amount::{Msat, Sat},
    features::{Feature, Features},
    id::Scid,
};

use crate::pair::Pair;

/// The same channel at both ends.
fn both(pair: &mut Pair, channel: usize) -> [ChannelLine; 2] {
    let ours = pair.lines(0)[channel].clone();
    let theirs = pair.lines(1).into_iter().find(|it| it.channel_id == ours.channel_id);
    [ours, theirs.expect("both have it")]
}

fn mine(pair: &mut Pair, blocks: usize) {
    for _ in 0..blocks {
        pair.mine();
        pair.settle();
    }
}

/// Where the funding of a channel stands.
fn place_of(pair: &Pair, line: &ChannelLine) -> Scid {
    let blocks = &pair.ends[0].bank.blocks;
    let txid = line.funding.txid;
    let found = blocks.iter().zip(0..).find_map(|(block, height)| {
        let at = block.txdata.iter().position(|it| it.compute_txid() == txid)?;
        Some((height, at as u32))
    });
    let (height, at) = found.expect("it is in a block");
    Scid::new(height, at, line.funding.vout as u16).expect("it fits")
}

#[test]
fn each_channel_has_a_name_of_its_own_at_either_end() {
    let mut pair = Pair::new(61);
    let mut names = BTreeSet::new();
    for announce in [false, true] {
        pair.open_as(Sat(60_000), Msat(20_000_000), announce);
        pair.settle();
        mine(&mut pair, 3);
    }
    for channel in [0, 1] {
        let lines = both(&mut pair, channel);
        for (line, other) in [(&lines[0], &lines[1]), (&lines[1], &lines[0])] {
            assert_eq!(line.stage, Stage::Open);
            // Each has heard what the other calls it, in `channel_ready`.
            assert!(line.alias.is_some());
            assert_eq!(line.alias, other.remote_alias);
            // No channel will ever stand there.
            let alias = line.alias.expect("it has one");
            assert!(alias.block() >= 1 << 23, "{alias}");
            names.insert(alias);
            // What the world does not know of is known by these names only.
            let place = line.announce.then(|| place_of(&pair, line));
            assert_eq!(line.place, place);
        }
    }
    assert_eq!(names.len(), 4, "two channels at two nodes");
}

#[test]
fn a_peer_that_knows_no_aliases_is_given_one_and_called_by_the_place() {
    let mut pair = Pair::new(62);
    let known = channels::features();
    let others = Feature::ALL.iter().copied();
    let others = others.filter(|it| known.offers(*it) && *it != Feature::ScidAlias);
    pair.features = Features::optional(&others.collect::<Vec<_>>());
    pair.connect();
    pair.settle();
    pair.opened();
    let [ours, theirs] = both(&mut pair, 0);
    assert_eq!((ours.alias, theirs.alias), (theirs.remote_alias, ours.remote_alias));
    assert!(ours.alias.is_some() && theirs.alias.is_some());
    assert_eq!([ours.place, theirs.place], [Some(place_of(&pair, &ours)); 2]);
}

#[test]
fn a_name_outlives_the_process_and_is_told_again() {
    let mut pair = Pair::new(63);
    pair.open(Sat(100_000), Msat(20_000_000));
    pair.settle();
    mine(&mut pair, 2);
    // It is deep enough for the first, and before the peer hears of that the connection is gone.
    pair.mine();
    pair.hear_chain(0, usize::MAX);
    pair.kill(0);
    pair.settle();
    let given = pair.lines(0)[0].alias;
    assert!(given.is_some(), "it was saved before it was said");
    assert_eq!(both(&mut pair, 0)[1].remote_alias, None);
    pair.connect();
    pair.settle();
    let [ours, theirs] = both(&mut pair, 0);
    assert_eq!((ours.alias, theirs.remote_alias), (given, given));
    assert_eq!([ours.stage, theirs.stage], [Stage::Open; 2]);
    pair.kill(1);
    assert_eq!(both(&mut pair, 0)[1].remote_alias, given);
}

/// A machine that draws the same number again and again, until it does not.
#[test]
fn a_name_that_is_taken_is_not_given_twice() {
    let mut pair = Pair::new(64);
    for _ in 0..2 {
        pair.open(Sat(60_000), Msat(20_000_000));
        pair.settle();
        pair.mine();
        pair.settle();
    }
    pair.kill(0);
    pair.ends[0].draw = Some([7; 32]);
    pair.connect();
    pair.settle();
    mine(&mut pair, 3);
    let named =
        |lines: &[ChannelLine]| -> Vec<Scid> { lines.iter().filter_map(|it| it.alias).collect() };
    let first = named(&pair.lines(0));
    assert_eq!(first.len(), 1, "the other channel waits");
    assert!(pair.stages(0).contains(&Stage::Funding));
    // It is not given again after a restart either.
    pair.kill(0);
    pair.connect();
    pair.settle();
    assert_eq!(named(&pair.lines(0)), first);
    // No block is needed when there are others.
    pair.ends[0].draw = None;
    pair.settle();
    let names: BTreeSet<_> = named(&pair.lines(0)).into_iter().collect();
    assert_eq!((names.len(), names.contains(&first[0])), (2, true));
    assert_eq!(pair.stages(0), [Stage::Open; 2]);
}
