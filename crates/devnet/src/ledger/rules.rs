//! Consensus, as far as we check it ourselves. The order is Bitcoin Core's, so that a block with
//! two faults is refused for the same one.

use std::collections::BTreeSet;

use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, Transaction, TxOut, Weight, block::Header,
    consensus::encode::VarInt, hashes::Hash, script,
};

use super::{
    coins::{Overlay, View},
    fault::{BlockFault, TxFault},
    locks::{self, Place},
    verify,
};

/// The target of every block of a regtest chain.
pub fn bits() -> CompactTarget {
    CompactTarget::from_consensus(0x207f_ffff)
}

/// Blocks until the subsidy halves.
pub const HALVING_BLOCKS: u32 = 150;
/// Blocks until a coinbase can be spent.
pub const MATURITY_BLOCKS: u32 = 100;
/// Seconds that a block may be ahead of the clock.
pub const AHEAD_SECONDS_MAX: u32 = 2 * 60 * 60;
/// Cost of all signature operations of a block.
pub const SIGOPS_COST_MAX: u64 = 80_000;
/// Versions below are from before BIPs 34, 65 and 66.
pub const VERSION_MIN: i32 = 4;
/// Bytes of a coinbase's script.
const COINBASE_SCRIPT_BYTES: std::ops::RangeInclusive<usize> = 2..=100;
/// What a byte without witness weighs.
const SCALE: u64 = Weight::WITNESS_SCALE_FACTOR;
/// The first bytes of the output that commits to all witnesses.
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// What a block's coinbase may take besides the fees.
pub fn subsidy(height: u32) -> Amount {
    Amount::from_sat(
        Amount::from_int_btc(50).to_sat().checked_shr(height / HALVING_BLOCKS).unwrap_or(0),
    )
}

/// Whether a header has the work that it claims, and claims no less than any block.
pub(super) fn pow(header: &Header) -> Result<(), BlockFault> {
    let max = header.bits;
    let easy = header.target() > bitcoin::Target::from_compact(bits());
    if easy || header.validate_pow(header.target()).is_err() {
        return Err(BlockFault::NoWork { got: header.block_hash(), max });
    }
    Ok(())
}

/// What a header must be in its place. `now` is the clock, if somebody has one.
pub(super) fn header(header: &Header, median: u32, now: Option<u32>) -> Result<(), BlockFault> {
    let (got, want) = (header.bits, bits());
    if got != want {
        return Err(BlockFault::WrongBits { got, want });
    }
    let (got, min) = (header.time, median.saturating_add(1));
    if got < min {
        return Err(BlockFault::TimeTooOld { got, min });
    }
    if let Some(max) = now.map(|now| now.saturating_add(AHEAD_SECONDS_MAX))
        && got > max
    {
        return Err(BlockFault::TimeTooNew { got, max });
    }
    let (got, min) = (header.version.to_consensus(), VERSION_MIN);
    if got < min {
        return Err(BlockFault::Version { got, min });
    }
    Ok(())
}

/// What a block must be by itself.
pub(super) fn alone(block: &Block) -> Result<(), BlockFault> {
    merkle(block)?;
    let got = stripped_bytes(block) * SCALE;
    let max = Weight::MAX_BLOCK.to_wu();
    let many = block.txdata.len() as u64 * SCALE;
    if block.txdata.is_empty() || got.max(many) > max {
        return Err(BlockFault::Length { got: got.max(many), max });
    }
    if !block.txdata[0].is_coinbase() {
        return Err(BlockFault::CoinbaseMissing);
    }
    if let Some(at) = block.txdata.iter().skip(1).position(Transaction::is_coinbase) {
        return Err(BlockFault::CoinbaseTwice { at: at + 1 });
    }
    for (at, tx) in block.txdata.iter().enumerate() {
        transaction(tx).map_err(|fault| BlockFault::Transaction { at, fault })?;
    }
    // Without what they spend: what P2SH and witnesses cost is counted when the block is connected.
    let got = block.txdata.iter().map(|tx| tx.total_sigop_cost(|_| None) as u64).sum();
    if got > SIGOPS_COST_MAX {
        return Err(BlockFault::Sigops { got, max: SIGOPS_COST_MAX });
    }
    Ok(())
}

fn merkle(block: &Block) -> Result<(), BlockFault> {
    let mut row: Vec<_> = block.txdata.iter().map(|tx| tx.compute_txid().to_raw_hash()).collect();
    let mut twins = false;
    while row.len() > 1 {
        twins |= row.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        row = row
            .chunks(2)
            .map(|pair| {
                let mut both = [0; 64];
                both[..32].copy_from_slice(pair[0].as_ref());
                both[32..].copy_from_slice(pair[pair.len() - 1].as_ref());
                bitcoin::hashes::sha256d::Hash::hash(&both)
            })
            .collect();
    }
    let root = row.first().copied().unwrap_or_else(Hash::all_zeros);
    if block.header.merkle_root.to_raw_hash() != root {
        return Err(BlockFault::MerkleRoot);
    }
    // A list with its end repeated has the same root (CVE-2012-2459).
    if twins { Err(BlockFault::MerkleTwins) } else { Ok(()) }
}

fn stripped_bytes(block: &Block) -> u64 {
    let transactions: usize = block.txdata.iter().map(Transaction::base_size).sum();
    (Header::SIZE + VarInt(block.txdata.len() as u64).size() + transactions) as u64
}

/// What a transaction must be by itself.
pub fn transaction(tx: &Transaction) -> Result<(), TxFault> {
    if tx.input.is_empty() {
        return Err(TxFault::NoInputs);
    }
    if tx.output.is_empty() {
        return Err(TxFault::NoOutputs);
    }
    let (got, max) = (tx.base_size() as u64 * SCALE, Weight::MAX_BLOCK.to_wu());
    if got > max {
        return Err(TxFault::Oversize { got, max });
    }
    let (mut sum, max) = (0_u64, Amount::MAX_MONEY.to_sat());
    for output in &tx.output {
        let got = output.value.to_sat();
        if got > max {
            return Err(TxFault::OutputTooLarge { got, max });
        }
        sum += got;
        if sum > max {
            return Err(TxFault::OutputsTooLarge { got: sum, max });
        }
    }
    let mut seen = BTreeSet::new();
    for input in &tx.input {
        if !seen.insert(input.previous_output) {
            return Err(TxFault::InputTwice { outpoint: input.previous_output });
        }
    }
    if tx.is_coinbase() {
        let got = tx.input[0].script_sig.len();
        if !COINBASE_SCRIPT_BYTES.contains(&got) {
            return Err(TxFault::CoinbaseScript { got });
        }
    } else if tx.input.iter().any(|input| input.previous_output.is_null()) {
        return Err(TxFault::NullInput);
    }
    Ok(())
}

/// What a block must be at its height.
pub(super) fn in_place(block: &Block, place: Place) -> Result<(), BlockFault> {
    for (at, tx) in block.txdata.iter().enumerate() {
        locks::absolute(tx, place).map_err(|fault| BlockFault::Transaction { at, fault })?;
    }
    let want = script::Builder::new().push_int(i64::from(place.height)).into_script();
    let coinbase = &block.txdata[0];
    if !coinbase.input[0].script_sig.as_bytes().starts_with(want.as_bytes()) {
        return Err(BlockFault::CoinbaseHeight { want: place.height });
    }
    witnesses(block)?;
    let (got, max) = (block.weight().to_wu(), Weight::MAX_BLOCK.to_wu());
    if got > max {
        return Err(BlockFault::Weight { got, max });
    }
    Ok(())
}

fn witnesses(block: &Block) -> Result<(), BlockFault> {
    let coinbase = &block.txdata[0];
    let commits = |output: &&TxOut| {
        let script = output.script_pubkey.as_bytes();
        script.len() >= COMMITMENT.len() + 32 && script.starts_with(&COMMITMENT)
    };
    let Some(commitment) = coinbase.output.iter().rev().find(commits) else {
        let unexpected =
            block.txdata.iter().flat_map(|tx| &tx.input).any(|i| !i.witness.is_empty());
        return if unexpected { Err(BlockFault::WitnessUnexpected) } else { Ok(()) };
    };
    let witness = &coinbase.input[0].witness;
    let nonce: Option<[u8; 32]> = witness.iter().next().and_then(|nonce| nonce.try_into().ok());
    let (1, Some(nonce)) = (witness.len(), nonce) else {
        return Err(BlockFault::WitnessNonce { got: witness.len() });
    };
    let root = block.witness_root().expect("it has a coinbase");
    let want = Block::compute_witness_commitment(&root, &nonce);
    if commitment.script_pubkey.as_bytes()[COMMITMENT.len()..][..32] != want.to_byte_array() {
        return Err(BlockFault::WitnessCommitment);
    }
    Ok(())
}

/// Whether scripts and signatures are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// They are.
    Full,
    /// Somebody has done so already.
    Trusting,
}

/// What a block must be where it is connected. It is taken into the overlay on the way.
pub(super) fn connect<V: View>(
    block: &Block,
    place: Place,
    care: Care,
    overlay: &mut Overlay<'_, V>,
) -> Result<(), BlockFault> {
    // BIP 30. Core asks about all transactions first.
    for tx in &block.txdata {
        let txid = tx.compute_txid();
        let outpoints = (0..tx.output.len() as u32).map(|vout| OutPoint { txid, vout });
        if outpoints.into_iter().any(|outpoint| overlay.coin(&outpoint).is_some()) {
            return Err(BlockFault::Overwrites { txid });
        }
    }
    let (mut fees, mut sigops) = (Amount::ZERO, 0);
    let mut doubtful = None;
    for (at, tx) in block.txdata.iter().enumerate() {
        let wrong = |fault| BlockFault::Transaction { at, fault };
        if !tx.is_coinbase() {
            fees += spend(tx, overlay, place.height).map_err(wrong)?;
            locks::relative(tx, overlay, place).map_err(wrong)?;
        }
        sigops += sigops_cost(tx, overlay);
        if sigops > SIGOPS_COST_MAX {
            return Err(BlockFault::Sigops { got: sigops, max: SIGOPS_COST_MAX });
        }
        // Core runs scripts beside all else, and asks for the result in the end.
        if care == Care::Full && !tx.is_coinbase() && doubtful.is_none() {
            doubtful = verify(tx, &spent_by(tx, overlay)?).err().map(wrong);
        }
        overlay.apply(tx, place.height);
    }
    let got: Amount = block.txdata[0].output.iter().map(|output| output.value).sum();
    let max = subsidy(place.height) + fees;
    if got > max {
        return Err(BlockFault::CoinbaseAmount { got, max });
    }
    doubtful.map_or(Ok(()), Err)
}

/// What transactions leave for the miner of a block, if they can be in it in this order.
pub(super) fn fees(
    transactions: &[Transaction],
    place: Place,
    view: &impl View,
) -> Result<Amount, BlockFault> {
    let (mut fees, mut overlay) = (Amount::ZERO, Overlay::new(view));
    for (at, tx) in (1..).zip(transactions) {
        let fee = spend(tx, &overlay, place.height);
        fees += fee.map_err(|fault| BlockFault::Transaction { at, fault })?;
        overlay.apply(tx, place.height);
    }
    Ok(fees)
}

fn spent_by(tx: &Transaction, view: &impl View) -> Result<Vec<TxOut>, BlockFault> {
    let outputs = tx.input.iter().map(|input| {
        let outpoint = input.previous_output;
        let missing = TxFault::MissingInput { outpoint };
        let coin = view.coin(&outpoint);
        coin.map(|coin| coin.output.clone())
            .ok_or(BlockFault::Transaction { at: 0, fault: missing })
    });
    outputs.collect()
}

/// What a transaction's signature operations cost.
pub fn sigops_cost(tx: &Transaction, view: &impl View) -> u64 {
    tx.total_sigop_cost(|outpoint| Some(view.coin(outpoint)?.output.clone())) as u64
}

/// What a transaction leaves for the miner, if it may spend what it spends at this height.
pub fn spend(tx: &Transaction, view: &impl View, height: u32) -> Result<Amount, TxFault> {
    let mut spent = Amount::ZERO;
    for input in &tx.input {
        let outpoint = input.previous_output;
        if view.coin(&outpoint).is_none() {
            return Err(TxFault::MissingInput { outpoint });
        }
    }
    for input in &tx.input {
        let outpoint = input.previous_output;
        let coin = view.coin(&outpoint).ok_or(TxFault::MissingInput { outpoint })?;
        let got = height.saturating_sub(coin.height);
        if coin.coinbase && got < MATURITY_BLOCKS {
            return Err(TxFault::Immature { got, min: MATURITY_BLOCKS });
        }
        // All coins together are below all money.
        spent += coin.output.value;
    }
    // Its outputs are below all money: `transaction` has seen to that.
    let paid = tx.output.iter().map(|output| output.value).sum();
    spent.checked_sub(paid).ok_or(TxFault::BelowOut { spent, paid })
}
