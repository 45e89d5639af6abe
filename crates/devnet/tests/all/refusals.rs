//! Every reason for which the mempool refuses a transaction, by its word and its numbers. What is
//! refused changes nothing.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, Txid, absolute::LockTime, hashes::Hash,
    script::PushBytesBuf, transaction::Version,
};
use devnet::{
    Devnet,
    ledger::TxFault,
    mempool::{Refusal, Truc},
};

use crate::purse::{Coin, Lock, Purse, sat};

/// A devnet, and coins of ours in its chain.
struct Case {
    devnet: Devnet,
    purse: Purse,
    coins: Vec<Coin>,
}

const VALUE: Amount = sat(1_000_000);

impl Case {
    /// Each coin is locked as wanted.
    fn with(locks: &[Lock]) -> Self {
        let (mut devnet, purse) = (Devnet::in_memory().expect("a devnet"), Purse::new());
        let coins = locks.iter().map(|lock| {
            let outpoint = devnet.fund(&purse.script(*lock), VALUE).expect("money");
            Coin { outpoint, value: VALUE, lock: *lock }
        });
        let coins = coins.collect();
        devnet.mine(None).expect("a block");
        Self { devnet, purse, coins }
    }

    fn one() -> Self {
        Self::with(&[Lock::Key])
    }

    /// A payment of the first coin that anybody would take.
    fn usual(&self) -> Transaction {
        self.purse.pass(self.coins[0], Lock::Key, 1_000).0
    }

    /// A changed payment of the first coin, signed.
    fn changed(&self, change: impl FnOnce(&mut Transaction)) -> Transaction {
        let mut tx = self.usual();
        change(&mut tx);
        self.purse.sign(&mut tx, &self.coins[..1]);
        tx
    }

    fn refused(&mut self, tx: &Transaction, word: &str) -> Refusal {
        let before: Vec<Txid> = self.devnet.mempool().entries().map(|entry| entry.txid).collect();
        let judged = self.devnet.judge(tx).expect_err("refused");
        let refusal = self.devnet.submit(tx.clone()).expect_err("refused");
        assert_eq!(judged, refusal, "asking and doing are the same");
        assert_eq!(refusal.word(), word, "{refusal}");
        assert!(refusal.to_string().starts_with(&format!("{word}, ")), "{refusal}");
        assert!(!refusal.cure().is_empty());
        let after: Vec<Txid> = self.devnet.mempool().entries().map(|entry| entry.txid).collect();
        assert_eq!(before, after, "nothing has changed");
        refusal
    }

    fn taken(&mut self, tx: &Transaction) -> Txid {
        self.devnet.submit(tx.clone()).expect("taken").txid
    }
}

#[test]
fn what_is_usual_is_taken() {
    let locks = [
        Lock::Key,
        Lock::OldKey,
        Lock::Nested,
        Lock::Taproot,
        Lock::Anyone,
        Lock::After(1),
        Lock::From(1),
        Lock::Anchor,
    ];
    let mut case = Case::with(&locks);
    for coin in case.coins.clone() {
        let mut tx = case.purse.unsigned(&[coin], &[(Lock::Taproot, VALUE - sat(500))]);
        tx.lock_time = LockTime::from_consensus(1);
        tx.input[0].sequence = Sequence::from_height(1);
        case.purse.sign(&mut tx, &[coin]);
        case.taken(&tx);
    }
    case.devnet.mine(None).expect("a block");
    assert!(case.devnet.mempool().is_empty());
}

#[test]
fn what_no_block_takes() {
    let mut case = Case::one();
    let tx = case.changed(|tx| tx.output.clear());
    case.refused(&tx, "bad-txns-vout-empty");
    let tx = case.changed(|tx| tx.output[0].value = sat(u64::MAX >> 1));
    case.refused(&tx, "bad-txns-vout-toolarge");
    let tx = case.changed(|tx| tx.output = vec![tx.output[0].clone(); 2]);
    let tx = {
        let mut tx = tx;
        tx.output.iter_mut().for_each(|output| output.value = Amount::MAX_MONEY);
        tx
    };
    case.refused(&tx, "bad-txns-txouttotal-toolarge");
    let mut tx = case.usual();
    tx.input.push(tx.input[0].clone());
    case.refused(&tx, "bad-txns-inputs-duplicate");
    let mut tx = case.usual();
    tx.input.push(tx.input[0].clone());
    tx.input[1].previous_output = OutPoint::null();
    case.refused(&tx, "bad-txns-prevout-null");
    let (spent, paid) = (VALUE, VALUE + sat(1));
    let tx = case.changed(|tx| tx.output[0].value = paid);
    let refusal = case.refused(&tx, "bad-txns-in-belowout");
    assert_eq!(refusal, Refusal::Consensus(TxFault::BelowOut { spent, paid }));
    let tx = case.changed(|tx| tx.input[0].previous_output.vout = 7);
    case.refused(&tx, "bad-txns-inputs-missingorspent");
    let block = case.devnet.tip().hash;
    let coinbase = case.devnet.ledger().node(&block).expect("the tip").block.txdata[0].clone();
    case.refused(&coinbase, "coinbase");
}

#[test]
fn what_is_locked() {
    let mut case = Case::with(&[Lock::Key, Lock::From(500)]);
    let height = case.devnet.tip().height;
    let tx = case.changed(|tx| tx.lock_time = LockTime::from_consensus(height + 1));
    case.refused(&tx, "non-final");
    let time = case.devnet.ledger().next_place().time;
    let tx = case.changed(|tx| tx.lock_time = LockTime::from_consensus(time));
    let refusal = case.refused(&tx, "non-final");
    let lock = LockTime::from_consensus(time);
    let fault = TxFault::NotFinal { lock, height: height + 1, time };
    assert_eq!(refusal, Refusal::Consensus(fault));
    // Two blocks: the coin's own and the next one.
    let tx = case.changed(|tx| tx.input[0].sequence = Sequence::from_height(2));
    case.refused(&tx, "non-BIP68-final");
    let tx = case.changed(|tx| {
        tx.input[0].sequence = Sequence::from_512_second_intervals(10);
    });
    case.refused(&tx, "non-BIP68-final");
    // The script asks for more than the transaction has.
    let coin = case.coins[1];
    let mut tx = case.purse.unsigned(&[coin], &[(Lock::Key, VALUE - sat(500))]);
    tx.lock_time = LockTime::from_consensus(height);
    case.purse.sign(&mut tx, &[coin]);
    let refusal = case.refused(&tx, "mempool-script-verify-flag-failed");
    assert_eq!(refusal, Refusal::Consensus(TxFault::Script { input: 0 }));
    // A block later, the first ones are open.
    case.devnet.mine(None).expect("a block");
    let tx = case.changed(|tx| {
        tx.lock_time = LockTime::from_consensus(height + 1);
        tx.input[0].sequence = Sequence::from_height(2);
    });
    case.taken(&tx);
}

#[test]
fn a_coinbase_ripens() {
    let mut case = Case::one();
    let script = case.purse.script(Lock::Key);
    let mined = case.devnet.mine(Some(&script)).expect("a block").block;
    let tx = case.devnet.ledger().node(&mined.hash).expect("it").block.txdata[0].clone();
    let coin = case.purse.coins(&tx, &[Lock::Key])[0];
    case.devnet.mine_many(98, None).expect("blocks");
    let (tx, _) = case.purse.pass(coin, Lock::Key, 1_000);
    let refusal = case.refused(&tx, "bad-txns-premature-spend-of-coinbase");
    assert_eq!(refusal, Refusal::Consensus(TxFault::Immature { got: 99, min: 100 }));
    case.devnet.mine(None).expect("a block");
    case.taken(&tx);
}

#[test]
fn what_nobody_relays() {
    let mut case = Case::with(&[Lock::Key, Lock::OldKey, Lock::Anchor]);
    for version in [0, 4, -1] {
        let tx = case.changed(|tx| tx.version = Version(version));
        let refusal = case.refused(&tx, "version");
        assert_eq!(refusal, Refusal::Version { got: version, min: 1, max: 3 });
    }
    let output = case.usual().output[0].clone();
    let tx = case.changed(|tx| tx.output = vec![output; 3_300]);
    case.refused(&tx, "tx-size");
    let data = PushBytesBuf::try_from(vec![0; 100_000]).expect("short enough");
    let tx = case.changed(|tx| tx.output[0].script_pubkey = ScriptBuf::new_op_return(data));
    let weight = tx.weight().to_wu();
    let refusal = case.refused(&tx, "tx-size");
    assert_eq!(refusal, Refusal::Weight { got: weight, max: 400_000 });
    let tx = case.changed(|tx| tx.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x51]));
    assert_eq!(case.refused(&tx, "scriptpubkey"), Refusal::ScriptPubkey { output: 0 });
    let tx = case.changed(|tx| tx.output[0].script_pubkey = ScriptBuf::new_op_return([]));
    let bytes = tx.base_size();
    let refusal = case.refused(&tx, "tx-size-small");
    assert_eq!(refusal, Refusal::TooSmall { got: bytes, min: 65 });
    let old = case.coins[1];
    let mut tx = case.purse.spend(&[old], &[(Lock::Key, VALUE - sat(500))]);
    let usual = tx.input[0].script_sig.clone();
    tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0; 1_651]);
    case.refused(&tx, "scriptsig-size");
    tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x76]);
    let refusal = case.refused(&tx, "scriptsig-not-pushonly");
    assert_eq!(refusal, Refusal::ScriptSigNotPushOnly { input: 0 });
    tx.input[0].script_sig = usual;
    tx.input[0].witness.push([1]);
    assert_eq!(case.refused(&tx, "bad-witness-nonstandard"), Refusal::Witness { input: 0 });
    let anchor = case.coins[2];
    let mut tx = case.purse.spend(&[anchor], &[(Lock::Key, VALUE - sat(500))]);
    tx.input[0].witness.push([1]);
    case.refused(&tx, "bad-witness-nonstandard");
}

#[test]
fn what_is_signed_wrong() {
    let locks = [Lock::Key, Lock::OldKey, Lock::Nested, Lock::Taproot];
    let mut case = Case::with(&locks);
    for coin in case.coins.clone() {
        let mut tx = case.purse.spend(&[coin], &[(Lock::Key, VALUE - sat(500))]);
        tx.output[0].value -= sat(1);
        let refusal = case.refused(&tx, "mempool-script-verify-flag-failed");
        assert_eq!(refusal, Refusal::Consensus(TxFault::Script { input: 0 }), "{coin:?}");
    }
}

#[test]
fn dust_is_paid_for_by_nobody_or_by_a_child() {
    let mut case = Case::one();
    let dusty = |lock, value, fee: u64| {
        let dust = sat(value);
        (vec![(Lock::Key, VALUE - dust - sat(fee)), (lock, dust)], dust)
    };
    for (lock, min) in
        [(Lock::Key, 294), (Lock::OldKey, 546), (Lock::Taproot, 330), (Lock::Anchor, 240)]
    {
        let (to, value) = dusty(lock, min - 1, 1_000);
        let tx = case.purse.spend(&case.coins[..1], &to);
        let refusal = case.refused(&tx, "dust");
        assert_eq!(refusal, Refusal::PaidDust { value, min: sat(min), fee: sat(1_000) });
        let (to, _) = dusty(lock, min, 1_000);
        let tx = case.purse.spend(&case.coins[..1], &to);
        case.devnet.judge(&tx).expect("no dust");
    }
    // Two are too many, fee or not.
    let to = [(Lock::Key, VALUE), (Lock::Anchor, sat(0)), (Lock::Anchor, sat(0))];
    let tx = case.purse.spend(&case.coins[..1], &to);
    assert!(matches!(case.refused(&tx, "dust"), Refusal::ManyDust { got: 2, max: 1, .. }));
    // One without a fee waits for a child that spends it.
    let mut parent = case.purse.unsigned(&case.coins[..1], &to[..2]);
    parent.version = Version(3);
    case.purse.sign(&mut parent, &case.coins[..1]);
    case.refused(&parent, "min relay fee not met");
    let coins = case.purse.coins(&parent, &[Lock::Key, Lock::Anchor]);
    let child = |spent: &[Coin]| {
        let mut tx = case.purse.unsigned(spent, &[(Lock::Key, VALUE - sat(2_000))]);
        tx.version = Version(3);
        case.purse.sign(&mut tx, spent);
        tx
    };
    let (lazy, good) = (child(&coins[..1]), child(&coins));
    let parts = case.devnet.submit_package(&[parent.clone(), lazy]).expect("a package");
    let dust = Refusal::DustLeft { parent: parent.compute_txid() };
    assert_eq!(parts[1].result, Some(Err(dust)));
    assert_eq!(case.devnet.mempool().len(), 0);
    let parts = case.devnet.submit_package(&[parent, good]).expect("a package");
    assert!(parts.iter().all(|part| matches!(part.result, Some(Ok(_)))), "{parts:?}");
    assert_eq!(case.devnet.mempool().len(), 2);
    case.devnet.mine(None).expect("a block");
    assert_eq!(case.devnet.mempool().len(), 0);
}

#[test]
fn the_lowest_fee() {
    let mut case = Case::one();
    let vbytes = case.usual().vsize() as u64;
    let min = sat(vbytes.div_ceil(10));
    let low = min - sat(1);
    let (tx, _) = case.purse.pass(case.coins[0], Lock::Key, low.to_sat());
    let refusal = case.refused(&tx, "min relay fee not met");
    assert_eq!(refusal, Refusal::RelayFee { got: low, min });
    let (tx, _) = case.purse.pass(case.coins[0], Lock::Key, min.to_sat());
    case.taken(&tx);
}

#[test]
fn what_is_known() {
    let mut case = Case::with(&[Lock::Anyone]);
    let mut tx = case.usual();
    case.taken(&tx);
    assert_eq!(case.refused(&tx, "txn-already-in-mempool"), Refusal::Known);
    tx.input[0].witness = bitcoin::Witness::from_slice(&[vec![1], vec![0x75, 0x51]]);
    let refusal = case.refused(&tx, "txn-same-nonwitness-data-in-mempool");
    assert_eq!(refusal, Refusal::OtherWitness);
    case.devnet.mine(None).expect("a block");
    assert_eq!(case.refused(&tx, "txn-already-known"), Refusal::Confirmed);
}

#[test]
fn a_replacement_pays() {
    let mut case = Case::with(&[Lock::Key, Lock::Key]);
    let (first, coin) = case.purse.pass(case.coins[0], Lock::Key, 1_000);
    case.taken(&first);
    let (child, _) = case.purse.pass(coin, Lock::Key, 500);
    case.taken(&child);
    let with_fee = |fee| case.purse.pass(case.coins[0], Lock::OldKey, fee).0;
    let vbytes = with_fee(0).vsize() as u64;
    // All that leaves, the child too, and its own way.
    let min = sat(1_500 + vbytes.div_ceil(10));
    let (low, high) = (with_fee(min.to_sat() - 1), with_fee(min.to_sat()));
    let refusal = case.refused(&low, "insufficient fee");
    assert_eq!(refusal, Refusal::ReplacementFee { got: min - sat(1), min });
    // It pays more, but for so many bytes that miners would wait.
    let fat = case.purse.spend(&case.coins[..1], &[(Lock::OldKey, sat(20_000)); 45]);
    let fee = VALUE - sat(900_000);
    assert_eq!(case.devnet.judge(&fat).expect("dear enough").fee, fee);
    let fat = case.purse.spend(&case.coins[..1], &[(Lock::OldKey, sat(22_150)); 45]);
    case.refused(&fat, "replacement-failed");
    // It must not spend what it replaces.
    let own = case.purse.spend(&[case.coins[0], coin], &[(Lock::Key, VALUE)]);
    case.refused(&own, "bad-txns-spends-conflicting-tx");
    let plan = case.devnet.submit(high).expect("taken");
    let gone = [first.compute_txid(), child.compute_txid()];
    assert_eq!(plan.replaces, gone.into());
    assert_eq!(case.devnet.mempool().len(), 1);
    // A replacement may bring inputs that are not confirmed: that rule is gone.
    let (other, coin) = case.purse.pass(case.coins[1], Lock::Key, 1_000);
    case.taken(&other);
    let inputs = [case.coins[0], coin];
    let tx = case.purse.spend(&inputs, &[(Lock::Key, VALUE)]);
    case.taken(&tx);
}

#[test]
fn a_replacement_touches_a_hundred_clusters() {
    let mut case = Case::one();
    let split = case.purse.spend(&case.coins[..1], &[(Lock::Key, sat(9_000)); 101]);
    case.devnet.mine_of(vec![split.clone()]).expect("a block");
    let coins = case.purse.coins(&split, &[Lock::Key; 101]);
    for coin in &coins {
        let (tx, _) = case.purse.pass(*coin, Lock::Key, 50);
        case.taken(&tx);
    }
    let all = case.purse.spend(&coins, &[(Lock::Key, sat(100_000))]);
    let refusal = case.refused(&all, "too many potential replacements");
    assert_eq!(refusal, Refusal::ManyReplaced { got: 101, max: 100 });
    let most = case.purse.spend(&coins[1..], &[(Lock::Key, sat(100_000))]);
    case.taken(&most);
    assert_eq!(case.devnet.mempool().len(), 2);
}

#[test]
fn what_hangs_together() {
    let mut case = Case::with(&[Lock::Key, Lock::Key]);
    let mut coin = case.coins[0];
    for _ in 0..64 {
        let (tx, next) = case.purse.pass(coin, Lock::Key, 1_000);
        case.taken(&tx);
        coin = next;
    }
    let (tx, _) = case.purse.pass(coin, Lock::Key, 1_000);
    let refusal = case.refused(&tx, "too-large-cluster");
    assert_eq!(refusal, Refusal::ClusterCount { got: 65, max: 64 });
    // The last one may still be replaced: one leaves, one comes.
    let last = case.devnet.mempool().entry(&coin.outpoint.txid).expect("it waits");
    let before = last.tx.input[0].previous_output;
    let before = Coin { outpoint: before, value: coin.value + sat(1_000), lock: Lock::Key };
    let (tx, _) = case.purse.pass(before, Lock::Taproot, 3_000);
    case.taken(&tx);
    let big: Vec<_> = (0..1_800).map(|_| (Lock::Taproot, sat(330))).collect();
    let first = case.purse.spend(&case.coins[1..], &big);
    case.taken(&first);
    let coins = case.purse.coins(&first, &[Lock::Taproot; 1_800]);
    let second = case.purse.spend(&coins[..900], &vec![(Lock::Taproot, sat(330)); 850]);
    let sum = (first.vsize() + second.vsize()) as u64;
    let refusal = case.refused(&second, "too-large-cluster");
    assert_eq!(refusal, Refusal::ClusterBytes { got: sum, max: 101_000 });
}

#[test]
fn version_three() {
    let mut case = Case::with(&[Lock::Key, Lock::Key]);
    let purse = Purse::new();
    let third = |coins: &[Coin], to: &[(Lock, Amount)]| {
        let mut tx = purse.unsigned(coins, to);
        tx.version = Version(3);
        purse.sign(&mut tx, coins);
        tx
    };
    let big = vec![(Lock::Key, sat(320)); 400];
    let tx = third(&case.coins[..1], &big);
    let got = tx.vsize() as u64;
    let refusal = case.refused(&tx, "TRUC-violation");
    assert_eq!(refusal, Refusal::Truc(Truc::Bytes { got, max: 10_000 }));
    let parent = third(&case.coins[..1], &[(Lock::Key, sat(400_000)); 2]);
    case.taken(&parent);
    let coins = purse.coins(&parent, &[Lock::Key; 2]);
    let tx = third(&coins[..1], &big[..40]);
    let got = tx.vsize() as u64;
    let refusal = case.refused(&tx, "TRUC-violation");
    assert_eq!(refusal, Refusal::Truc(Truc::Bytes { got, max: 1_000 }));
    let (mixed, _) = purse.pass(coins[0], Lock::Key, 1_000);
    let refusal = case.refused(&mixed, "TRUC-violation");
    assert_eq!(refusal, Refusal::Truc(Truc::Mixed { parent: parent.compute_txid() }));
    let child = third(&coins[..1], &[(Lock::Key, sat(399_000))]);
    case.taken(&child);
    let grandchild = third(&purse.coins(&child, &[Lock::Key]), &[(Lock::Key, sat(390_000))]);
    let refusal = case.refused(&grandchild, "TRUC-violation");
    assert_eq!(refusal, Refusal::Truc(Truc::Ancestors { got: 3, max: 2 }));
    // A sibling makes room if it is outbid, and only then.
    let sibling = |fee: u64| third(&coins[1..], &[(Lock::Key, sat(400_000 - fee))]);
    case.refused(&sibling(900), "insufficient fee");
    let plan = case.devnet.submit(sibling(3_000)).expect("taken");
    assert_eq!(plan.replaces, [child.compute_txid()].into());
    let (second, coin) = purse.pass(case.coins[1], Lock::Key, 1_000);
    case.taken(&second);
    let tx = third(&[coin], &[(Lock::Key, sat(900_000))]);
    let refusal = case.refused(&tx, "TRUC-violation");
    assert_eq!(refusal, Refusal::Truc(Truc::Mixed { parent: second.compute_txid() }));
}

#[test]
fn a_script_with_many_signatures() {
    let mut case = Case::one();
    let ghost = Txid::from_byte_array([7; 32]);
    let tx = case.changed(|tx| tx.input[0].previous_output = OutPoint { txid: ghost, vout: 0 });
    case.refused(&tx, "bad-txns-inputs-missingorspent");
    // Sixteen signature operations under a hash.
    let redeem = ScriptBuf::from_bytes(vec![0xac; 16]);
    let script = ScriptBuf::new_p2sh(&redeem.script_hash());
    let mut split = case.usual();
    split.output[0].script_pubkey = script;
    case.purse.sign(&mut split, &case.coins[..1]);
    case.devnet.mine_of(vec![split.clone()]).expect("a block");
    let mut tx = split.clone();
    tx.input[0].previous_output = OutPoint { txid: split.compute_txid(), vout: 0 };
    tx.input[0].witness.clear();
    let push = PushBytesBuf::try_from(redeem.into_bytes()).expect("short");
    tx.input[0].script_sig = bitcoin::script::Builder::new().push_slice(push).into_script();
    let refusal = case.refused(&tx, "bad-txns-nonstandard-inputs");
    assert_eq!(refusal, Refusal::InputSigops { got: 16, max: 15 });
}
