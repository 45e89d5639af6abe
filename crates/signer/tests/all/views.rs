//! What a signer sees of the chain, and what it does not let itself be told.

use bitcoin::block::{self, Header};
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness, Work, absolute, constants,
};
use chain::{BlockRef, Fault, HeaderFault, Height, Proof, ProofFault, REORG_BLOCKS_MAX};
use signer::{
    Answer, Ask, Checkpoint, Proven, Refusal, Seconds, Signer, UnixTime, VIEW_HEADERS_MAX, View,
    ViewFlaw, ViewStatus,
};
use wire::Network;
use wire::dice::Dice;
use wire::tick::{Millis, Tick};

use crate::parties::{LINK, ask_over_bytes, bob};

const NETWORK: Network = Network::Regtest;

/// Every flaw, with numbers that are told apart.
pub fn flaws() -> impl Iterator<Item = ViewFlaw> {
    let (height, [one, two]) = (Height(7), [1, 2].map(CompactTarget::from_consensus));
    let (parent, block) = (BlockHash::from_byte_array([3; 32]), BlockHash::all_zeros());
    let [got, want] = [4, 5].map(|byte| TxMerkleNode::from_byte_array([byte; 32]));
    let flaws = [
        ViewFlaw::Headers(HeaderFault::Unconnected { parent }),
        ViewFlaw::Headers(HeaderFault::Broken { height }),
        ViewFlaw::Headers(HeaderFault::NoWork { height }),
        ViewFlaw::Headers(HeaderFault::TooEasy { height, got: one, max: two }),
        ViewFlaw::Headers(HeaderFault::OtherTarget { height, got: one, want: two }),
        ViewFlaw::Headers(HeaderFault::TooMany { got: 1, max: 2 }),
        ViewFlaw::TooEarly { height, got: UnixTime(1), min: UnixTime(2) },
        ViewFlaw::TooLate { height, got: UnixTime(2), max: UnixTime(1) },
        ViewFlaw::Chain(Fault::TooDeep { got: 1, max: 2 }),
        ViewFlaw::TooManyBlocks { got: 1, max: 2 },
        ViewFlaw::UnknownBlock { block },
        ViewFlaw::TooManyProven { have: 1, max: 2 },
        ViewFlaw::Proof(ProofFault::Ambiguous { bytes: 64 }),
        ViewFlaw::Proof(ProofFault::TooDeep { got: 1, max: 2 }),
        ViewFlaw::Proof(ProofFault::Depths { transaction: 1, coinbase: 2 }),
        ViewFlaw::Proof(ProofFault::Position { got: 1, max: 2 }),
        ViewFlaw::Proof(ProofFault::Doubled { position: 1, step: 2 }),
        ViewFlaw::Proof(ProofFault::NoCoinbase),
        ViewFlaw::Proof(ProofFault::Root { got, want }),
    ];
    flaws.into_iter()
}

/// [`status`] as it travels.
pub const STATUS: &str = "0112 \
    0224 00000009 0606060606060606060606060606060606060606060606060606060606060606 \
    0420 0808080808080808080808080808080808080808080808080808080808080808 \
    0604 00000005 0804 00000003 0a00 0c00 \
    0e24 00000008 0505050505050505050505050505050505050505050505050505050505050505";

pub fn status() -> ViewStatus {
    let tip = BlockRef { height: Height(9), hash: BlockHash::from_byte_array([6; 32]) };
    let work = Work::from_be_bytes([8; 32]);
    let first = BlockRef { height: Height(8), hash: BlockHash::from_byte_array([5; 32]) };
    ViewStatus { first, tip, work, header_time: 5, age: None, received: None, proven: 3 }
}

/// Every answer about a view.
pub fn answers() -> Vec<Answer> {
    let (status, tip) = (status(), status().tip);
    let txid = Txid::from_byte_array([1; 32]);
    let mut all = vec![
        Answer::View { status },
        Answer::View { status: ViewStatus { received: Some(Millis(u64::MAX)), ..status } },
        Answer::View { status: ViewStatus { age: Some(Seconds(u32::MAX)), ..status } },
        Answer::Refused(Refusal::NotSaved { bytes: 1, code: 28 }),
        Answer::Proven { proven: Proven { txid, block: tip, confirmations: 2 } },
    ];
    all.extend(flaws().map(|flaw| Answer::Refused(Refusal::View(flaw))));
    all
}

/// Every question about a view.
pub fn asks() -> Vec<Ask> {
    let block = mine(BlockHash::all_zeros(), 1, vec![payment(4)]);
    let proof = Box::new(Proof::of(&block, 1).unwrap());
    vec![
        Ask::ViewHeaders { headers: Vec::new() },
        Ask::ViewHeaders { headers: vec![block.header; 3] },
        Ask::ViewProof { block: block.block_hash(), proof },
        Ask::ViewStatus,
    ]
}

pub fn transaction(spends: OutPoint, number: u64) -> Transaction {
    let script = ScriptBuf::from_bytes([&[0x6a, 8][..], &number.to_be_bytes()].concat());
    let input = TxIn {
        previous_output: spends,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut { value: Amount::from_sat(9), script_pubkey: script }],
    }
}

pub fn payment(number: u64) -> Transaction {
    transaction(OutPoint { txid: Txid::from_byte_array([2; 32]), vout: 7 }, number)
}

pub fn mine(parent: BlockHash, salt: u64, transactions: Vec<Transaction>) -> Block {
    let coinbase = transaction(OutPoint::null(), salt);
    let txdata = std::iter::once(coinbase).chain(transactions).collect();
    let header = Header {
        version: block::Version::TWO,
        prev_blockhash: parent,
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1_700_000_000 + salt as u32,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata };
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    block
}

pub fn genesis() -> BlockHash {
    constants::genesis_block(NETWORK).block_hash()
}

/// Blocks one behind the other, two payments in each.
pub fn branch(parent: BlockHash, count: u64, salt: u64) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for number in salt..salt + count {
        let parent = blocks.last().map_or(parent, Block::block_hash);
        let payments = vec![payment(2 * number), payment(2 * number + 1)];
        blocks.push(mine(parent, number, payments));
    }
    blocks
}

pub fn headers(blocks: &[Block]) -> Vec<Header> {
    blocks.iter().map(|block| block.header).collect()
}

fn told(signer: &mut Signer, ask: &Ask, now: u64) -> Result<ViewStatus, ViewFlaw> {
    let answer = ask_over_bytes(signer, LINK, ask, now, 1);
    let name = answer.name();
    match answer {
        Answer::View { status } => Ok(status),
        Answer::Refused(Refusal::View(flaw)) => Err(flaw),
        Answer::Proven { .. } => ask_status(signer, now),
        Answer::NodeId { .. }
        | Answer::Handshake { .. }
        | Answer::Forgotten { .. }
        | Answer::Signed { .. }
        | Answer::WalletAccount { .. }
        | Answer::SpendSigned { .. }
        | Answer::Channel(_)
        | Answer::Peeled(_)
        | Answer::Refused(_) => panic!("{name}"),
    }
}

fn ask_status(signer: &mut Signer, now: u64) -> Result<ViewStatus, ViewFlaw> {
    told(signer, &Ask::ViewStatus, now)
}

fn see(signer: &mut Signer, blocks: &[Block], now: u64) -> Result<ViewStatus, ViewFlaw> {
    told(signer, &Ask::ViewHeaders { headers: headers(blocks) }, now)
}

fn prove(signer: &mut Signer, block: &Block, position: u32) -> Result<ViewStatus, ViewFlaw> {
    let proof = Box::new(Proof::of(block, position).unwrap());
    told(signer, &Ask::ViewProof { block: block.block_hash(), proof }, 0)
}

#[test]
fn headers_are_seen_and_grow_old() {
    let mut bob = bob();
    let status = ask_status(&mut bob, 5).unwrap();
    assert_eq!((status.tip.height, status.received), (Height(0), None));
    let blocks = branch(genesis(), 9, 1);
    let status = see(&mut bob, &blocks, 1_000).unwrap();
    assert_eq!(status.tip, BlockRef { height: Height(9), hash: blocks[8].block_hash() });
    assert_eq!(status.received, Some(Millis(0)));
    assert_eq!(status.header_time, 1_700_000_009);
    let one = blocks[0].header.work();
    assert_eq!(status.work, (1..10).fold(one, |sum, _| sum + one));
    // What is known already is nothing new.
    let status = see(&mut bob, &blocks[3..], 61_000).unwrap();
    assert_eq!(status.received, Some(Millis(60_000)));
    let next = branch(blocks[8].block_hash(), 1, 20);
    assert_eq!(see(&mut bob, &next, 70_000).unwrap().received, Some(Millis(0)));
    assert_eq!(ask_status(&mut bob, 71_000).unwrap().received, Some(Millis(1_000)));
}

#[test]
fn a_reorg_takes_back_what_was_proven() {
    let mut bob = bob();
    let blocks = branch(genesis(), 6, 1);
    see(&mut bob, &blocks, 0).unwrap();
    for block in &blocks {
        for position in 0..3 {
            prove(&mut bob, block, position).unwrap();
        }
    }
    assert_eq!(ask_status(&mut bob, 0).unwrap().proven, 18);
    // Once more changes nothing.
    assert_eq!(prove(&mut bob, &blocks[0], 1).unwrap().proven, 18);
    let fifth = blocks[4].txdata[2].compute_txid();
    let block = BlockRef { height: Height(5), hash: blocks[4].block_hash() };
    let want = Proven { txid: fifth, block, confirmations: 2 };
    assert_eq!(bob.view().proven(fifth), Some(want));
    // Weaker: nothing is taken back.
    let other = branch(blocks[3].block_hash(), 3, 100);
    assert_eq!(see(&mut bob, &other[..2], 0).unwrap().proven, 18);
    assert_eq!(see(&mut bob, &other, 0).unwrap().proven, 12);
    assert_eq!(bob.view().proven(fifth), None);
    let unknown = ViewFlaw::UnknownBlock { block: blocks[4].block_hash() };
    assert_eq!(prove(&mut bob, &blocks[4], 1), Err(unknown));
    assert_eq!(prove(&mut bob, &other[2], 1).unwrap().proven, 13);
}

#[test]
fn lies_are_refused_and_change_nothing() {
    let mut bob = bob();
    let blocks = branch(genesis(), 6, 1);
    see(&mut bob, &blocks, 0).unwrap();
    prove(&mut bob, &blocks[2], 2).unwrap();
    let before = bob.view().encode();
    let parent = BlockHash::from_byte_array([9; 32]);
    let lost = branch(parent, 1, 50);
    let unconnected = ViewFlaw::Headers(HeaderFault::Unconnected { parent });
    assert_eq!(see(&mut bob, &lost, 0), Err(unconnected));
    let next = branch(blocks[5].block_hash(), 1, 60).remove(0);
    let broken = [next.clone(), lost[0].clone()];
    let height = Height(8);
    assert_eq!(see(&mut bob, &broken, 0), Err(ViewFlaw::Headers(HeaderFault::Broken { height })));
    let mut lazy = next.clone();
    while lazy.header.validate_pow(lazy.header.target()).is_ok() {
        lazy.header.nonce += 1;
    }
    let height = Height(7);
    assert_eq!(see(&mut bob, &[lazy], 0), Err(ViewFlaw::Headers(HeaderFault::NoWork { height })));
    let many = vec![next; VIEW_HEADERS_MAX + 1];
    let (got, max) = (801, 800);
    assert_eq!(see(&mut bob, &many, 0), Err(ViewFlaw::Headers(HeaderFault::TooMany { got, max })));
    // A proof for a block that has it not, and one of something else.
    let proof = Box::new(Proof::of(&blocks[0], 1).unwrap());
    let lie = Ask::ViewProof { block: blocks[1].block_hash(), proof };
    let [got, want] = [0, 1].map(|at| blocks[at].header.merkle_root);
    assert_eq!(told(&mut bob, &lie, 0), Err(ViewFlaw::Proof(ProofFault::Root { got, want })));
    let mut proof = Box::new(Proof::of(&blocks[0], 1).unwrap());
    proof.coinbase = proof.transaction.clone();
    let lie = Ask::ViewProof { block: blocks[0].block_hash(), proof };
    assert_eq!(told(&mut bob, &lie, 0), Err(ViewFlaw::Proof(ProofFault::NoCoinbase)));
    assert_eq!(bob.view().encode(), before);
    assert_eq!(ask_status(&mut bob, 7).unwrap().received, Some(Millis(7)));
}

#[test]
fn a_reorg_too_deep_needs_somebody_to_look() {
    let mut view = View::genesis(NETWORK);
    let depth = REORG_BLOCKS_MAX + 1;
    view.take(&headers(&branch(genesis(), depth.into(), 1)), Tick(0), None).unwrap();
    let before = view.encode();
    let other = headers(&branch(genesis(), u64::from(depth) + 1, 10_000));
    let (got, max) = (depth, REORG_BLOCKS_MAX);
    let want = ViewFlaw::Chain(Fault::TooDeep { got, max });
    assert_eq!(view.take(&other, Tick(0), None), Err(want));
    assert_eq!(view.encode(), before);
}

#[test]
fn a_saved_view_comes_back() {
    let mut bob = bob();
    let blocks = branch(genesis(), 6, 1);
    see(&mut bob, &blocks, 0).unwrap();
    prove(&mut bob, &blocks[2], 2).unwrap();
    let saved = bob.view().encode();
    let restored = View::decode(&saved, NETWORK).unwrap();
    assert_eq!((restored.sum_bytes, restored.bytes), (saved.len(), saved.len()));
    let view = restored.view;
    assert_eq!(view.encode(), saved);
    let (was, is) = (bob.view().status(Tick(3), None), view.status(Tick(3), None));
    // How old it is nobody knows any more.
    assert_eq!(is, ViewStatus { received: None, ..was });
    let mut again = crate::parties::bob().with_view(view);
    let more = branch(blocks[5].block_hash(), 1, 70);
    assert_eq!(see(&mut again, &more, 9).unwrap().received, Some(Millis(0)));
    // From a checkpoint on.
    let checkpoint = Checkpoint::new(NETWORK, Height(6), blocks[5].header).unwrap();
    let mut late = View::new(NETWORK, &checkpoint);
    late.take(&headers(&more), Tick(0), None).unwrap();
    let late = View::decode(&late.encode(), NETWORK).unwrap().view;
    assert_eq!(late.status(Tick(0), None).tip.height, Height(7));
}

/// A plain model beside it: the best branch is the one with the most blocks, and proven is what is
/// in it.
#[test]
fn any_tree_of_blocks_is_seen_as_it_is() {
    let mut dice = Dice::new(11);
    for seed in 0..6 {
        let mut view = View::genesis(NETWORK);
        let mut tree: Vec<(Vec<Block>, usize)> = vec![(Vec::new(), 0)];
        let (mut best, mut proven): (usize, Vec<(Txid, BlockHash)>) = (0, Vec::new());
        for step in 0..60 {
            // A branch that grows out of another one.
            let from = dice.below(tree.len());
            let keep = dice.below(tree[from].0.len() + 1);
            let mut blocks = tree[from].0[..keep].to_vec();
            let parent = blocks.last().map_or_else(genesis, Block::block_hash);
            let count = 1 + dice.below(4) as u64;
            blocks.extend(branch(parent, count, (seed * 1_000 + step) * 10 + 1));
            view.take(&headers(&blocks), Tick(0), None).unwrap();
            if blocks.len() > tree[best].0.len() {
                best = tree.len();
            }
            tree.push((blocks, 0));
            let chain = &tree[best].0;
            let in_chain = |hash: &BlockHash| chain.iter().any(|block| block.block_hash() == *hash);
            proven.retain(|(_, hash)| in_chain(hash));
            let some = &tree[dice.below(tree.len())].0;
            if let Some(block) = some.get(dice.below(some.len().max(1))) {
                let (position, hash) = (dice.below(3), block.block_hash());
                let proof = Proof::of(block, position as u32).unwrap();
                let outcome = view.prove(hash, &proof);
                assert_eq!(outcome.is_ok(), in_chain(&hash));
                let txid = block.txdata[position].compute_txid();
                if outcome.is_ok() && !proven.contains(&(txid, hash)) {
                    proven.push((txid, hash));
                }
            }
            let status = view.status(Tick(0), None);
            assert_eq!(status.tip.hash, chain.last().unwrap().block_hash());
            assert_eq!(status.proven, proven.len());
            for (txid, hash) in &proven {
                assert_eq!(view.proven(*txid).unwrap().block.hash, *hash);
            }
            assert_eq!(View::decode(&view.encode(), NETWORK).unwrap().view.encode(), view.encode());
        }
    }
}
