//! The devnet itself: blocks, money, reorgs, time, and coming back from disk.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    thread,
    time::Duration,
};

use bitcoin::{Amount, ScriptBuf, Transaction};
use devnet::{Clock, Devnet, Fault, Miner, Verdict, lock};
use place::Place;

use crate::purse::{Coin, Lock, Purse, sat};

fn fund(devnet: &mut Devnet, lock: Lock) -> Coin {
    let purse = Purse::new();
    let value = sat(500_000);
    let outpoint = devnet.fund(&purse.script(lock), value).expect("money");
    Coin { outpoint, value, lock }
}

fn waiting(devnet: &Devnet) -> usize {
    devnet.mempool().len()
}

#[test]
fn the_same_acts_make_the_same_blocks() {
    let tip = || {
        let mut devnet = Devnet::in_memory().expect("a devnet");
        fund(&mut devnet, Lock::Key);
        devnet.reorg(2, Vec::new()).expect("a branch");
        devnet.mine(None).expect("a block").block
    };
    assert_eq!(tip(), tip());
}

#[test]
fn mining_tells_the_verdict() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    let script = Purse::new().script(Lock::Taproot);
    let mined = devnet.mine(Some(&script)).expect("a block");
    assert_eq!((mined.verdict, mined.block), (Verdict::Connected, devnet.tip()));
    let paid = &devnet.ledger().node(&mined.block.hash).expect("it").block.txdata[0].output[0];
    assert_eq!((paid.script_pubkey.clone(), paid.value), (script, Amount::from_int_btc(50)));
    // A block of transactions that are none is refused, and all stays as it was.
    let coin = fund(&mut devnet, Lock::Key);
    let tip = devnet.tip();
    let tx = Purse::new().spend(&[coin], &[(Lock::Key, coin.value + sat(1))]);
    let Err(Fault::Refused(reason)) = devnet.mine_of(vec![tx]) else { panic!("refused") };
    assert_eq!(reason.word, "bad-txns-inputs-missingorspent");
    assert_eq!((devnet.tip(), waiting(&devnet)), (tip, 1));
    // A time of its own, as far as the kernel's clock allows it.
    let before = devnet.ledger().next_place().time;
    let Err(Fault::Refused(reason)) = devnet.mine_at(None, before) else { panic!("refused") };
    assert_eq!(reason.word, "time-too-old");
    let mined = devnet.mine_at(None, before + 1).expect("a block");
    let header = devnet.ledger().node(&mined.block.hash).expect("it").block.header;
    assert_eq!((header.time, waiting(&devnet)), (before + 1, 0));
    assert!(matches!(devnet.mine_many(u32::MAX, None), Err(Fault::TooMany { .. })));
}

#[test]
fn money_for_everybody() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    let script = Purse::new().script(Lock::Key);
    let value = Amount::from_int_btc(30);
    for _ in 0..40 {
        let outpoint = devnet.fund(&script, value).expect("money");
        let (tx, _) = devnet.transaction(&outpoint.txid).expect("it waits");
        let output = &tx.output[outpoint.vout as usize];
        assert_eq!((&output.script_pubkey, output.value), (&script, value));
    }
    devnet.mine(None).expect("a block");
    let got = devnet.ledger().coins().values();
    let got = got.filter(|coin| coin.output.script_pubkey == script).count();
    assert_eq!((got, waiting(&devnet)), (40, 0));
    let poor = devnet.fund(&script, Amount::from_int_btc(1_000_000));
    assert!(matches!(poor, Err(Fault::Poor { have, need }) if have < need), "{poor:?}");
}

#[test]
fn a_reorg_brings_transactions_back() {
    let (mut devnet, purse) = (Devnet::in_memory().expect("a devnet"), Purse::new());
    let coin = fund(&mut devnet, Lock::Key);
    devnet.mine(None).expect("a block");
    let (ours, next) = purse.pass(coin, Lock::Key, 1_000);
    let (child, _) = purse.pass(next, Lock::Key, 1_000);
    devnet.submit(ours.clone()).expect("taken");
    devnet.mine(None).expect("a block");
    devnet.submit(child.clone()).expect("taken");
    let old = devnet.mine(None).expect("a block").block;
    let mined = devnet.reorg(2, Vec::new()).expect("a branch");
    assert_eq!(mined.len(), 3);
    assert_eq!(mined[0].verdict, Verdict::Stored);
    assert_eq!(mined[2].verdict, Verdict::Connected);
    assert_eq!(mined[2].block, devnet.tip());
    assert!(!devnet.ledger().is_active(&old.hash));
    assert_eq!(waiting(&devnet), 2);
    let entry = devnet.mempool().entry(&child.compute_txid()).expect("it waits");
    assert_eq!(entry.parents, [ours.compute_txid()].into());
    // A branch with another payment of the same coin: nothing comes back.
    devnet.mine(None).expect("a block");
    let (theirs, _) = purse.pass(coin, Lock::Taproot, 700);
    devnet.reorg(1, vec![vec![theirs]]).expect("a branch");
    assert_eq!(waiting(&devnet), 0);
    // Deeper than the coin itself: its child cannot wait without it.
    assert!(matches!(devnet.reorg(10_000, Vec::new()), Err(Fault::TooDeep { .. })));
}

#[test]
fn a_bad_branch_is_cut() {
    let (mut devnet, purse) = (Devnet::in_memory().expect("a devnet"), Purse::new());
    let coin = fund(&mut devnet, Lock::Key);
    devnet.mine_many(3, None).expect("blocks");
    let tip = devnet.tip();
    let coins = devnet.ledger().coins().clone();
    let (mut tx, _) = purse.pass(coin, Lock::Key, 1_000);
    tx.output[0].value -= sat(1);
    // Nobody looks at the signature until the branch is the heaviest.
    let bad = devnet.reorg(2, vec![vec![tx]]);
    let Err(Fault::Refused(reason)) = bad else { panic!("refused, not {bad:?}") };
    assert_eq!(reason.word, "block-script-verify-flag-failed");
    assert_eq!((devnet.tip(), devnet.ledger().coins()), (tip, &coins));
    let mined = devnet.mine(None).expect("a block");
    assert_eq!(mined.verdict, Verdict::Connected);
    devnet.invalidate(&mined.block.hash).expect("gone");
    assert_eq!(devnet.tip(), tip);
}

#[test]
fn a_reorg_takes_locks_and_coinbases_back() {
    let (mut devnet, purse) = (Devnet::in_memory().expect("a devnet"), Purse::new());
    let script = purse.script(Lock::Key);
    let mined = devnet.mine(Some(&script)).expect("a block").block;
    let coinbase = devnet.ledger().node(&mined.hash).expect("it").block.txdata[0].clone();
    let coin = purse.coins(&coinbase, &[Lock::Key])[0];
    devnet.mine_many(99, None).expect("blocks");
    let (tx, _) = purse.pass(coin, Lock::Key, 1_000);
    devnet.submit(tx).expect("ripe in the next block");
    let height = devnet.tip().height;
    let below = devnet.ledger().at(height - 1).expect("it is there");
    let tip = devnet.tip().hash;
    devnet.invalidate(&tip).expect("gone");
    assert_eq!((devnet.tip().hash, waiting(&devnet)), (below, 0));
    devnet.reconsider(&tip).expect("back");
    assert_eq!(devnet.tip().hash, tip);
}

#[test]
fn invalid_blocks_stay_out_until_reconsidered() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    let all = devnet.mine_many(20, None).expect("blocks");
    let (tenth, last) = (all[9].block, all[19].block);
    let step = devnet.invalidate(&tenth.hash).expect("gone");
    assert_eq!((step.gone.len(), devnet.tip()), (11, all[8].block));
    let mined = devnet.mine(None).expect("a block");
    assert_eq!((mined.verdict, mined.block.height), (Verdict::Connected, 10));
    let step = devnet.reconsider(&tenth.hash).expect("back");
    assert_eq!((step.gone.len(), step.come.len(), devnet.tip()), (1, 11, last));
    let first = devnet.ledger().at(0).expect("it is there");
    assert_eq!(devnet.invalidate(&first), Err(Fault::FirstBlock));
}

#[test]
fn blocks_on_a_timer() {
    let devnet = Devnet::in_memory().expect("a devnet").shared();
    let miner = Miner::every(devnet.clone(), Duration::from_millis(5), None).expect("a thread");
    while lock(&devnet).tip().height < 3 {
        thread::sleep(Duration::from_millis(5));
    }
    miner.stop().expect("nothing was wrong");
    let height = lock(&devnet).tip().height;
    thread::sleep(Duration::from_millis(30));
    assert_eq!(lock(&devnet).tip().height, height);
}

#[test]
fn the_wall_clock() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.set_clock(Clock::Wall);
    let mined = devnet.mine_many(20, None).expect("blocks");
    let time =
        |at: usize| devnet.ledger().node(&mined[at].block.hash).expect("it").block.header.time;
    assert!(time(0) > 1_700_000_000 && time(19) >= time(0) && time(19) < time(0) + 60);
}

/// A world with some of everything: its tip, and who waits.
fn lively(devnet: &mut Devnet) -> Transaction {
    let purse = Purse::new();
    let coin = fund(devnet, Lock::Key);
    devnet.mine(None).expect("a block");
    devnet.reorg(1, Vec::new()).expect("a branch");
    let tip = devnet.mine(None).expect("a block").block;
    devnet.invalidate(&tip.hash).expect("gone");
    let mined = devnet.mine_many(3, None).expect("blocks");
    let middle = mined[1].block.hash;
    devnet.invalidate(&middle).expect("gone");
    devnet.reconsider(&middle).expect("back");
    assert_eq!(devnet.tip(), mined[2].block);
    let (tx, _) = purse.pass(coin, Lock::Key, 1_000);
    devnet.submit(tx.clone()).expect("taken");
    tx
}

#[test]
fn it_comes_back_from_disk() {
    let place = Place::new();
    let mut devnet = Devnet::open(place.path()).expect("a devnet");
    let tx = lively(&mut devnet);
    let (tip, coins) = (devnet.tip(), devnet.ledger().coins().clone());
    assert!(Devnet::open(place.path()).is_err(), "one owner at a time");
    drop(devnet);
    for _ in 0..2 {
        let mut devnet = Devnet::open(place.path()).expect("a devnet");
        assert_eq!((devnet.tip(), devnet.ledger().coins()), (tip, &coins));
        let waits: Vec<_> = devnet.mempool().entries().map(|entry| entry.txid).collect();
        assert_eq!(waits, [tx.compute_txid()]);
        devnet.set_clock(Clock::Steps { seconds: 1 });
    }
    // Without the kernel's files, and with a record that was cut short.
    let kernels = fs::read_dir(place.path()).expect("a folder").flatten();
    for entry in kernels.filter(|entry| entry.path().is_dir()) {
        fs::remove_dir_all(entry.path()).expect("gone");
    }
    let mut file = OpenOptions::new().append(true).open(place.at("blocks")).expect("a file");
    file.write_all(b"b\xff\x00\x00\x00half a block").expect("written");
    drop(file);
    let mut devnet = Devnet::open(place.path()).expect("a devnet");
    assert_eq!((devnet.tip(), devnet.ledger().coins()), (tip, &coins));
    let mined = devnet.mine(None).expect("a block");
    assert_eq!((mined.verdict, waiting(&devnet)), (Verdict::Connected, 0));
    drop(devnet);
    let devnet = Devnet::open(place.path()).expect("a devnet");
    assert_eq!((devnet.tip(), waiting(&devnet)), (mined.block, 0));
}

#[test]
fn a_broken_file_is_not_guessed_at() {
    let place = Place::new();
    let mut devnet = Devnet::open(place.path()).expect("a devnet");
    devnet.mine_many(5, None).expect("blocks");
    drop(devnet);
    let path = place.at("blocks");
    let whole = fs::read(&path).expect("a file");
    for (at, broken) in [(0, 0), (20, 20), (whole.len() / 2, 1)] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, &bytes).expect("written");
        let opened = Devnet::open(place.path());
        assert!(matches!(opened, Err(Fault::Journal { .. })), "{at} {broken}: {opened:?}");
    }
    fs::write(&path, &whole).expect("written");
    assert_eq!(Devnet::open(place.path()).expect("a devnet").tip().height, 5);
}

#[test]
fn it_comes_back_when_killed() {
    let (place, copy) = (Place::new(), Place::new());
    let mut devnet = Devnet::open(place.path()).expect("a devnet");
    let tx = lively(&mut devnet);
    // What a killed process leaves is what is on disk while it runs.
    copy_folder(place.path(), copy.path());
    let again = Devnet::open(copy.path()).expect("a devnet");
    assert_eq!((again.tip(), again.ledger().coins()), (devnet.tip(), devnet.ledger().coins()));
    assert!(again.mempool().entry(&tx.compute_txid()).is_some());
    assert_eq!(again.kernel().tip(), devnet.kernel().tip());
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).expect("copied");
        }
    }
}

#[test]
fn it_leaves_no_folder_behind() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.mine_many(3, Some(&ScriptBuf::from_bytes(vec![0x51]))).expect("blocks");
    let first = devnet.kernel().folder().to_owned();
    assert!(first.exists());
    let tip = devnet.tip().hash;
    devnet.invalidate(&tip).expect("gone");
    let second = devnet.kernel().folder().to_owned();
    assert!(first != second && !first.exists() && second.exists());
    drop(devnet);
    assert!(!second.exists());
}
