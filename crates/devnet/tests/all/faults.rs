//! Every consensus fault that we know how to plant, in a block that both the light chain and the
//! kernel refuse, each with its own words.

use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxOut,
    Txid, Witness, absolute::LockTime, block, hashes::Hash, script::PushBytesBuf,
};
use devnet::{
    Kernel, Verdict,
    ledger::{Draft, Ledger, coinbase_commitment, grind, subsidy},
};

use crate::purse::{Coin, Lock, Purse, sat};

/// The two chains, alike, and coins of ours in them.
struct Chains {
    ledger: Ledger,
    kernel: Kernel,
    purse: Purse,
    /// Ripe coinbases.
    coins: Vec<Coin>,
    /// One coin of each lock.
    locked: Vec<Coin>,
}

const LOCKS: [Lock; 7] = [
    Lock::Key,
    Lock::OldKey,
    Lock::Nested,
    Lock::Taproot,
    Lock::Anyone,
    Lock::After(10),
    Lock::From(1_000),
];

/// What bitcoind calls it, and how it comes into a block.
type Row = (&'static str, &'static str, fn(&Chains) -> Block);

impl Chains {
    fn new() -> Self {
        let kernel = Kernel::in_memory().expect("a kernel");
        let mut chains = Self {
            ledger: Ledger::new(),
            kernel,
            purse: Purse::new(),
            coins: Vec::new(),
            locked: Vec::new(),
        };
        for height in 1..=120 {
            let block = chains.block(Vec::new());
            if height <= 10 {
                chains.coins.extend(chains.purse.coins(&block.txdata[0], &[Lock::Key]));
            }
            chains.take(block);
        }
        let coin = chains.coins.remove(0);
        let value = sat(coin.value.to_sat() / 10);
        let tx = chains.purse.spend(&[coin], &LOCKS.map(|lock| (lock, value)));
        chains.locked = chains.purse.coins(&tx, &LOCKS);
        let block = chains.block(vec![tx]);
        chains.take(block);
        chains
    }

    fn take(&mut self, block: Block) {
        assert_eq!(self.kernel.process(&block), Verdict::Connected);
        self.ledger.offer(block, None).expect("a good block");
    }

    /// A good block of these transactions.
    fn block(&self, transactions: Vec<Transaction>) -> Block {
        let (tip, place) = (self.ledger.tip(), self.ledger.next_place());
        let time = self.ledger.node(&tip.hash).expect("the tip").block.header.time + 600;
        let draft = Draft {
            parent: tip.hash,
            height: place.height,
            time,
            to: &self.purse.script(Lock::Key),
            reward: subsidy(place.height),
            extra: 0,
            transactions,
        };
        draft.mine()
    }

    /// A good block that is changed, committed to and mined again.
    fn changed(&self, change: impl FnOnce(&mut Block)) -> Block {
        let mut block = self.block(vec![self.pay()]);
        change(&mut block);
        coinbase_commitment(&mut block);
        grind(&mut block);
        block
    }

    /// One with the first coin's payment changed.
    fn with_tx(&self, change: impl FnOnce(&mut Transaction)) -> Block {
        let mut tx = self.pay();
        change(&mut tx);
        self.purse.sign(&mut tx, &self.coins[..1]);
        self.block(vec![tx])
    }

    fn pay(&self) -> Transaction {
        self.purse.pass(self.coins[0], Lock::Key, 1_000).0
    }

    /// The signature of a coin of this lock is another one's.
    fn forged(&self, lock: Lock) -> Block {
        let coin = self.locked.iter().find(|coin| coin.lock == lock).expect("there is one");
        let (mut tx, _) = self.purse.pass(*coin, Lock::Key, 1_000);
        tx.output[0].value -= sat(1);
        self.block(vec![tx])
    }
}

fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u32::try_from(since.as_secs()).expect("before 2106")
}

fn data(bytes: usize) -> ScriptBuf {
    ScriptBuf::new_op_return(PushBytesBuf::try_from(vec![0; bytes]).expect("short enough"))
}

const HEADERS: &[Row] = &[
    ("high-hash", "no work", |chains| {
        let mut block = chains.block(Vec::new());
        while block.header.validate_pow(block.header.target()).is_ok() {
            block.header.nonce += 1;
        }
        block
    }),
    ("high-hash", "a target above all", |chains| {
        chains.changed(|block| block.header.bits = CompactTarget::from_consensus(0x2100_ffff))
    }),
    ("bad-diffbits", "another target", |chains| {
        chains.changed(|block| block.header.bits = CompactTarget::from_consensus(0x207f_fffe))
    }),
    ("time-too-old", "the median time", |chains| {
        let time = chains.ledger.next_place().time;
        chains.changed(|block| block.header.time = time)
    }),
    ("time-too-new", "three hours ahead", |chains| {
        chains.changed(|block| block.header.time = now() + 3 * 3_600)
    }),
    ("bad-version", "version 3", |chains| {
        chains.changed(|block| block.header.version = block::Version::from_consensus(3))
    }),
    ("prev-blk-not-found", "behind nothing", |chains| {
        chains.changed(|block| block.header.prev_blockhash = BlockHash::from_byte_array([9; 32]))
    }),
];

const BODIES: &[Row] = &[
    ("bad-txnmrklroot", "other transactions", |chains| {
        let mut block = chains.block(vec![chains.pay()]);
        block.txdata.pop();
        block
    }),
    ("bad-txns-duplicate", "the last one twice, with the same root", |chains| {
        let (second, coin) = chains.purse.pass(chains.coins[1], Lock::Key, 1_000);
        let third = chains.purse.pass(coin, Lock::Key, 1_000).0;
        let mut block = chains.block(vec![second, third.clone()]);
        block.txdata.push(third);
        block
    }),
    ("bad-blk-length", "more than a megabyte without witnesses", |chains| {
        chains.changed(|block| {
            let output = TxOut { value: Amount::ZERO, script_pubkey: data(9_000) };
            block.txdata[0].output.extend(vec![output; 112]);
        })
    }),
    ("bad-blk-weight", "more than four million with witnesses", |chains| {
        chains.changed(|block| {
            let output = TxOut { value: Amount::ZERO, script_pubkey: data(9_000) };
            block.txdata[0].output.extend(vec![output; 100]);
            block.txdata[1].input[0].witness.push(vec![0; 500_000]);
        })
    }),
    ("bad-blk-length", "nothing in it", |chains| {
        let mut block = chains.block(Vec::new());
        block.txdata.clear();
        block.header.merkle_root = bitcoin::TxMerkleNode::all_zeros();
        grind(&mut block);
        block
    }),
    ("bad-cb-missing", "no coinbase", |chains| {
        let mut block = chains.block(vec![chains.pay()]);
        block.txdata.remove(0);
        grind(&mut block);
        block
    }),
    ("bad-cb-multiple", "two coinbases", |chains| {
        chains.changed(|block| {
            let mut second = block.txdata[0].clone();
            second.lock_time = LockTime::from_consensus(1);
            block.txdata.push(second);
        })
    }),
    ("bad-cb-height", "another height", |chains| {
        let height = chains.ledger.height();
        chains.changed(|block| {
            let script = bitcoin::script::Builder::new().push_int(i64::from(height));
            block.txdata[0].input[0].script_sig = script.push_int(7).into_script();
        })
    }),
    ("bad-cb-length", "a coinbase's script of 101 bytes", |chains| {
        chains.changed(|block| {
            let mut script = block.txdata[0].input[0].script_sig.clone().into_bytes();
            script.resize(101, 0);
            block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(script);
        })
    }),
    ("bad-cb-amount", "a satoshi too much", |chains| {
        chains.changed(|block| block.txdata[0].output[0].value += sat(1_001))
    }),
    ("bad-witness-nonce-size", "no nonce for the witnesses", |chains| {
        chains.changed(|block| block.txdata[0].input[0].witness = Witness::from_slice(&[[0; 31]]))
    }),
    ("bad-witness-merkle-match", "other witnesses", |chains| {
        let mut block = chains.block(vec![chains.pay()]);
        block.txdata[1].input[0].witness.push([1]);
        block
    }),
    ("unexpected-witness", "witnesses without a commitment", |chains| {
        let mut block = chains.block(vec![chains.pay()]);
        block.txdata[0].output.truncate(1);
        grind(&mut block);
        block
    }),
    ("bad-blk-sigops", "too many signature operations", |chains| {
        chains.changed(|block| {
            let script_pubkey = ScriptBuf::from_bytes(vec![0xac; 10_000]);
            let output = TxOut { value: Amount::ZERO, script_pubkey };
            let one = TxOut { script_pubkey: ScriptBuf::from_bytes(vec![0xac]), ..output.clone() };
            block.txdata[0].output.extend([output.clone(), output, one]);
        })
    }),
];

const TRANSACTIONS: &[Row] = &[
    ("bad-txns-vout-empty", "no outputs", |c| c.with_tx(|tx| tx.output.clear())),
    ("bad-txns-vout-toolarge", "an output above all money", |chains| {
        chains.with_tx(|tx| tx.output[0].value = Amount::MAX_MONEY + sat(1))
    }),
    ("bad-txns-txouttotal-toolarge", "outputs above all money", |chains| {
        chains.with_tx(|tx| {
            tx.output[0].value = Amount::MAX_MONEY;
            tx.output.push(tx.output[0].clone());
        })
    }),
    ("bad-txns-inputs-duplicate", "an input twice", |chains| {
        let mut tx = chains.pay();
        tx.input.push(tx.input[0].clone());
        chains.block(vec![tx])
    }),
    ("bad-txns-prevout-null", "an input of a coinbase", |chains| {
        let mut tx = chains.pay();
        tx.input.push(tx.input[0].clone());
        tx.input[1].previous_output = OutPoint::null();
        chains.block(vec![tx])
    }),
    ("bad-txns-inputs-missingorspent", "an unknown coin", |chains| {
        let txid = Txid::from_byte_array([5; 32]);
        chains.with_tx(|tx| tx.input[0].previous_output = OutPoint { txid, vout: 0 })
    }),
    ("bad-txns-inputs-missingorspent", "a coin spent twice in the block", |chains| {
        let other = chains.purse.pass(chains.coins[0], Lock::Taproot, 500).0;
        chains.block(vec![chains.pay(), other])
    }),
    ("bad-txns-inputs-missingorspent", "a coin spent in an earlier block", |chains| {
        let tip = chains.ledger.tip().hash;
        let spender = &chains.ledger.node(&tip).expect("the tip").block.txdata[1];
        let coin = Coin { outpoint: spender.input[0].previous_output, ..chains.coins[0] };
        chains.block(vec![chains.purse.pass(coin, Lock::Key, 1_000).0])
    }),
    ("bad-txns-BIP30", "a transaction made anew", |chains| {
        let tip = chains.ledger.tip().hash;
        let made = &chains.ledger.node(&tip).expect("the tip").block.txdata[1];
        chains.block(vec![made.clone()])
    }),
    ("bad-txns-inputs-missingorspent", "a child before its parent", |chains| {
        let (parent, coin) = chains.purse.pass(chains.coins[0], Lock::Key, 500);
        let child = chains.purse.pass(coin, Lock::Key, 500).0;
        chains.block(vec![child, parent])
    }),
    ("bad-txns-in-belowout", "more out than in", |chains| {
        let value = chains.coins[0].value + sat(1);
        chains.with_tx(|tx| tx.output[0].value = value)
    }),
    ("bad-txns-premature-spend-of-coinbase", "a coinbase of 99 blocks", |chains| {
        let height = chains.ledger.next_place().height - 99;
        let hash = chains.ledger.at(height).expect("it is there");
        let young = &chains.ledger.node(&hash).expect("it is there").block.txdata[0];
        let coin = chains.purse.coins(young, &[Lock::Key])[0];
        chains.block(vec![chains.purse.pass(coin, Lock::Key, 1_000).0])
    }),
    ("bad-txns-nonfinal", "an absolute lock by height", |chains| {
        let height = chains.ledger.next_place().height;
        chains.with_tx(|tx| tx.lock_time = LockTime::from_consensus(height))
    }),
    ("bad-txns-nonfinal", "an absolute lock by time", |chains| {
        let time = chains.ledger.next_place().time;
        chains.with_tx(|tx| tx.lock_time = LockTime::from_consensus(time))
    }),
    ("bad-txns-nonfinal", "a relative lock by height", |chains| {
        let coin = chains.locked[0];
        let mut tx = chains.purse.unsigned(&[coin], &[(Lock::Key, sat(1_000))]);
        tx.input[0].sequence = Sequence::from_height(2);
        chains.purse.sign(&mut tx, &[coin]);
        chains.block(vec![tx])
    }),
    ("bad-txns-nonfinal", "a relative lock by time", |chains| {
        let coin = chains.locked[0];
        let mut tx = chains.purse.unsigned(&[coin], &[(Lock::Key, sat(1_000))]);
        tx.input[0].sequence = Sequence::from_512_second_intervals(2);
        chains.purse.sign(&mut tx, &[coin]);
        chains.block(vec![tx])
    }),
    ("block-script-verify-flag-failed", "P2WPKH forged", |c| c.forged(Lock::Key)),
    ("block-script-verify-flag-failed", "P2PKH forged", |c| c.forged(Lock::OldKey)),
    ("block-script-verify-flag-failed", "P2SH-P2WPKH forged", |c| c.forged(Lock::Nested)),
    ("block-script-verify-flag-failed", "P2TR forged", |c| c.forged(Lock::Taproot)),
    ("block-script-verify-flag-failed", "CSV asks for more", |c| c.forged(Lock::After(10))),
    ("block-script-verify-flag-failed", "CLTV asks for more", |c| c.forged(Lock::From(1_000))),
    ("block-script-verify-flag-failed", "another script than the hash", |chains| {
        let coin = *chains.locked.iter().find(|coin| coin.lock == Lock::Anyone).expect("one");
        let (mut tx, _) = chains.purse.pass(coin, Lock::Key, 1_000);
        tx.input[0].witness = Witness::from_slice(&[[0x52]]);
        chains.block(vec![tx])
    }),
];

#[test]
fn both_refuse_each_fault_by_its_word() {
    let chains = Chains::new();
    println!("{:<38} {:<42} kernel", "light chain", "planted");
    for (word, planted, make) in [HEADERS, BODIES, TRANSACTIONS].concat() {
        let block = make(&chains);
        let mut light = chains.ledger.clone();
        let fault = light.offer(block.clone(), Some(now())).expect_err(planted);
        let verdict = chains.kernel.process(&block);
        let Verdict::Refused(reason) = verdict else { panic!("{planted}: {verdict}") };
        println!("{:<38} {planted:<42} {}", fault.word(), reason.word);
        assert_eq!((fault.word(), &*reason.word), (word, word), "{planted}: {fault}; {reason:?}");
        assert_eq!(light.tip(), chains.ledger.tip(), "{planted}");
        assert_eq!(light.coins(), chains.ledger.coins(), "{planted}");
        assert_eq!(chains.kernel.tip(), chains.ledger.tip().hash, "{planted}");
    }
    // After all that, both take the same good block.
    let mut chains = chains;
    let block = chains.block(vec![chains.pay()]);
    chains.take(block);
}

#[test]
fn what_is_behind_a_refused_block_is_refused() {
    let chains = Chains::new();
    let bad = chains.changed(|block| block.txdata[0].output[0].value += sat(1_001));
    let mut child = chains.block(Vec::new());
    child.header.prev_blockhash = bad.block_hash();
    child.header.time += 600;
    let script = bitcoin::script::Builder::new().push_int(i64::from(chains.ledger.height()) + 2);
    child.txdata[0].input[0].script_sig = script.push_int(1).into_script();
    coinbase_commitment(&mut child);
    grind(&mut child);
    let mut light = chains.ledger.clone();
    for (block, word) in
        [(&bad, "bad-cb-amount"), (&bad, "duplicate-invalid"), (&child, "bad-prevblk")]
    {
        let fault = light.offer(block.clone(), None).expect_err(word);
        let verdict = chains.kernel.process(block);
        let Verdict::Refused(reason) = verdict else { panic!("{word}: {verdict}") };
        assert_eq!((fault.word(), &*reason.word), (word, word), "{reason:?}");
    }
    let good = chains.block(Vec::new());
    light.offer(good.clone(), None).expect("a good block");
    assert_eq!(light.offer(good.clone(), None).expect_err("known").word(), "duplicate");
    assert_eq!(chains.kernel.process(&good), Verdict::Connected);
    assert_eq!(chains.kernel.process(&good), Verdict::Known);
}
