//! What a treasury tells its signer of the chain, and what it asks again.

use bitcoin::{Block, Network};
use chain::{Height, PublishEvent};
use node::services::treasury::{Event, Health, Saved, SignId, Terms};
use signer::Signer;

use crate::{
    bank::{Bank, sign, signer, terms},
    blocks::{genesis, mine},
};

/// A chain that begins near the tip, and a signer that begins far below.
fn far_apart() -> (Bank, Signer) {
    let mut bank = Bank::of(Saved::default(), Terms { birthday: Some(Height(9)), ..terms() });
    bank.blocks.push(genesis());
    for salt in 1..12 {
        bank.blocks.push(mine(bank.tip(), salt, Vec::new()));
    }
    (bank, signer(7))
}

fn unconnected(bank: &Bank) -> Vec<(Height, Height)> {
    let heights = |event: &Event| {
        let Event::ViewUnconnected { tip, first } = event else { return None };
        Some((tip.height, first.height))
    };
    bank.events.iter().filter_map(heights).collect()
}

fn refused(bank: &Bank) -> bool {
    bank.events.iter().any(|event| matches!(event, Event::ViewRefused { .. }))
}

#[test]
fn a_signer_far_below_is_told_what_is_between() {
    let (mut bank, mut by) = far_apart();
    bank.treasury.signer_came();
    bank.settle();
    for _ in 0..9 {
        bank.follow();
        bank.serve(&mut by);
    }
    assert_eq!(by.view().tip().hash, bank.tip());
    assert_eq!(unconnected(&bank), [(Height(0), Height(9))], "said once");
    assert!(!refused(&bank));
    bank.mine(Vec::new());
    bank.serve(&mut by);
    assert_eq!(by.view().tip().hash, bank.tip(), "and then as ever");
}

/// The source has lost what is between, as one that was told to begin anew: nothing is fed, and
/// nothing else suffers.
#[test]
fn what_does_not_connect_is_not_fed() {
    let (mut bank, mut by) = far_apart();
    bank.lacks_old = true;
    bank.treasury.signer_came();
    bank.settle();
    for _ in 0..9 {
        bank.follow();
        bank.serve(&mut by);
    }
    for _ in 0..3 {
        bank.mine(Vec::new());
        bank.serve(&mut by);
    }
    assert_eq!(by.view().tip().height, Height(0));
    assert_eq!(unconnected(&bank), [(Height(0), Height(9))], "said once");
    assert!(!refused(&bank), "it is not asked what it would refuse");
    assert_eq!(*bank.treasury.health(), Health::Up, "its source is as good as before");
    // The signer begins anew, with a checkpoint of its owner's.
    let at = bank.blocks[10].header;
    let checkpoint = signer::Checkpoint::new(Network::Regtest, Height(10), at).expect("worked");
    let mut by = signer(7).with_view(signer::View::new(Network::Regtest, &checkpoint));
    bank.treasury.signer_went();
    bank.treasury.signer_came();
    bank.settle();
    bank.serve(&mut by);
    assert_eq!(by.view().tip().hash, bank.tip());
    assert_eq!(unconnected(&bank).len(), 1);
}

/// One that has just begun knows nothing below that: it is told of a reorg from there on, and of
/// nothing as long as we are not so far.
#[test]
fn a_signer_that_has_just_begun_is_told_nothing_from_below() {
    let mut bank = Bank::with(Saved::default());
    bank.blocks.push(genesis());
    for salt in 1..=5 {
        bank.blocks.push(mine(bank.tip(), salt, Vec::new()));
    }
    let later: Vec<Block> = (6..=9).fold(Vec::new(), |mut later, salt| {
        let parent = later.last().map_or_else(|| bank.tip(), Block::block_hash);
        later.push(mine(parent, salt, Vec::new()));
        later
    });
    let checkpoint = signer::Checkpoint::new(Network::Regtest, Height(7), later[1].header);
    let view = signer::View::new(Network::Regtest, &checkpoint.expect("worked"));
    let mut by = signer(7).with_view(view);
    // It has seen one block that is then replaced.
    let stale = mine(later[1].block_hash(), 50, Vec::new());
    sign(&mut by, signer::Ask::ViewHeaders { headers: vec![stale.header] });
    bank.treasury.signer_came();
    bank.settle();
    for _ in 0..5 {
        bank.follow();
        bank.serve(&mut by);
    }
    assert_eq!(by.view().tip().hash, stale.block_hash());
    for block in later {
        bank.blocks.push(block);
        bank.follow();
        bank.serve(&mut by);
    }
    for _ in 0..3 {
        bank.follow();
        bank.serve(&mut by);
    }
    assert!(!refused(&bank), "{:?}", bank.events);
    assert_eq!(by.view().tip().hash, bank.tip());
}

/// One that could not answer, as it was busy or another version, is asked again after a while.
#[test]
fn a_signer_that_did_not_say_whose_money_it_is_is_asked_again() {
    let mut bank = Bank::with(Saved::default());
    bank.blocks.push(genesis());
    bank.treasury.signer_came();
    bank.follow();
    let accounts = |asks: &[(SignId, signer::Ask)]| {
        asks.iter().filter(|(_, ask)| *ask == signer::Ask::WalletAccount).count()
    };
    for _ in 0..3 {
        assert_eq!(accounts(&bank.to_sign), 1);
        for (id, _) in std::mem::take(&mut bank.to_sign) {
            bank.treasury.signer_answered(id, None);
            bank.settle();
        }
        let since = bank.now;
        for _ in 0..200 {
            if accounts(&bank.to_sign) > 0 {
                break;
            }
            bank.follow();
        }
        assert!(bank.now.since(since).0 >= 10_000, "not at once");
    }
    bank.serve(&mut signer(7));
    assert!(bank.treasury.state().account.is_some());
}

/// Of what is buried so deep that it is forgotten, that is said.
#[test]
fn what_is_deep_is_told() {
    let mut by = signer(7);
    let mut bank = Bank::rich(&mut by);
    bank.send(50_000);
    bank.serve(&mut by);
    let mut transaction = bank.published[0].clone();
    // Its block does not say what witnesses it has.
    transaction.input.iter_mut().for_each(|input| input.witness.clear());
    let txid = transaction.compute_txid();
    let deep = |bank: &Bank| {
        let is_deep = |event: &&Event| {
            matches!(event, Event::Publication { txid: it, event: PublishEvent::Deep { .. } }
                if *it == txid)
        };
        bank.events.iter().filter(is_deep).count()
    };
    bank.mine(vec![transaction]);
    for confirmations in 2..=chain::DEEP_BLOCKS {
        assert_eq!(deep(&bank), 0, "{confirmations}");
        bank.mine(Vec::new());
    }
    assert_eq!(deep(&bank), 1);
}
