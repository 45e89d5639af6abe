//! Proofs that a transaction is in a block, and what only looks like one.

use bitcoin::{
    Amount, Block, BlockHash, ScriptBuf, Transaction, TxMerkleNode, TxOut, hashes::Hash as _,
};
use chain::{PROOF_STEPS_MAX, Proof, ProofFault};
use wire::dice::Dice;

use crate::blocks::{mine, outpoint, pays, script};

fn block(transactions: u64) -> Block {
    let all = (1..transactions).map(|number| pays(&[outpoint(number)], &[script(number)]));
    mine(BlockHash::all_zeros(), transactions, all.collect())
}

#[test]
fn every_transaction_of_every_block_is_shown() {
    for transactions in 1..40 {
        let block = block(transactions);
        for position in 0..transactions as u32 {
            let proof = Proof::of(&block, position).expect("there are so many");
            assert_eq!(proof.check(block.header.merkle_root), Ok(()), "{position}/{transactions}");
        }
        assert_eq!(Proof::of(&block, transactions as u32), None);
    }
}

#[test]
fn what_is_changed_shows_nothing() {
    let block = block(11);
    let root = block.header.merkle_root;
    let (mut dice, mut images) = (Dice::new(5), 0);
    for _ in 0..2_000 {
        let position = dice.below(11) as u32;
        let mut proof = Proof::of(&block, position).expect("it is there");
        let node = TxMerkleNode::from_byte_array(dice.array());
        let step = dice.below(proof.steps.len());
        match dice.below(6) {
            0 => proof.steps[step] = node,
            1 => proof.coinbase_steps[step] = node,
            2 => proof.position ^= 1 << dice.below(3),
            3 => proof.transaction.lock_time = bitcoin::absolute::LockTime::from_consensus(1),
            4 => proof.coinbase.version = bitcoin::transaction::Version(9),
            _ => proof.transaction = pays(&[outpoint(99)], &[]),
        }
        let fault = proof.check(root).expect_err("it shows nothing");
        let is_image = matches!(fault, ProofFault::Doubled { .. });
        assert!(is_image || matches!(fault, ProofFault::Root { .. }), "{fault}");
        assert!(!is_image || proof.position >= 11, "{fault}");
        images += usize::from(is_image);
    }
    assert!(images > 10, "{images}");
}

#[test]
fn limits_are_named() {
    let block = block(5);
    let (root, good) = (block.header.merkle_root, Proof::of(&block, 3).expect("it is there"));
    let zeros = TxMerkleNode::all_zeros();
    let fault = |proof: Proof| proof.check(root).expect_err("it shows nothing");
    let steps = vec![zeros; PROOF_STEPS_MAX + 1];
    let deep = Proof { steps: steps.clone(), coinbase_steps: steps, ..good.clone() };
    assert_eq!(fault(deep), ProofFault::TooDeep { got: 17, max: 16 });
    let high = Proof { steps: vec![zeros; 2], ..good.clone() };
    assert_eq!(fault(high), ProofFault::Depths { transaction: 2, coinbase: 3 });
    let far = Proof { position: 8, ..good.clone() };
    assert_eq!(fault(far), ProofFault::Position { got: 8, max: 7 });
    let none = Proof { coinbase: good.transaction.clone(), ..good };
    assert_eq!(fault(none), ProofFault::NoCoinbase);
}

/// A transaction whose 64 bytes are at the same time two hashes: the second is a payment that is in
/// no block.
#[test]
fn a_transaction_that_is_two_hashes_shows_nothing() {
    let mut payment = pays(&[outpoint(1)], &[script(1)]);
    payment.output[0].value = Amount::from_sat(1_000_000);
    let double = two_hashes();
    assert_eq!(double.base_size(), 64);
    let block = mine(BlockHash::all_zeros(), 1, vec![double.clone()]);
    let root = block.header.merkle_root;
    let coinbase = block.txdata[0].clone();
    // By itself it is in the block, and cannot be told from a pair.
    let honest = Proof::of(&block, 1).expect("it is there");
    assert_eq!(honest.check(root), Err(ProofFault::Ambiguous { bytes: 64 }));
    // Below it: its second half is the hash of what is in no block. (The half cannot be chosen
    // freely; so the hash is put in where a grinder would have found the payment.)
    let bytes = bitcoin::consensus::serialize(&double);
    let left = TxMerkleNode::from_slice(&bytes[..32]).expect("half of 64 bytes");
    let coinbase_node = TxMerkleNode::from_raw_hash(coinbase.compute_txid().to_raw_hash());
    let lie = Proof {
        transaction: payment,
        position: 3,
        steps: vec![left, coinbase_node],
        coinbase,
        coinbase_steps: honest.steps[..1].to_vec(),
    };
    assert_eq!(lie.check(root), Err(ProofFault::Depths { transaction: 2, coinbase: 1 }));
}

/// One input, one output: 4 + 1 + 41 + 1 + 8 + 1 + 4 + 4 bytes.
fn two_hashes() -> Transaction {
    let mut transaction = pays(&[outpoint(7)], &[]);
    let script_pubkey = ScriptBuf::from_bytes(vec![0x51; 4]);
    transaction.output.push(TxOut { value: Amount::from_sat(5), script_pubkey });
    transaction
}
