//! What a header must have, as far as a header shows it. All other rules of consensus are kept by
//! the source's node, or by the kernel.

use bitcoin::{Block, BlockHash, CompactTarget, Network, Target, block::Header};

use crate::{api::Height, fault::HeaderFault};

/// Blocks between two changes of the target.
const RETARGET_BLOCKS: u32 = 2_016;

/// The easiest target of a network.
pub(crate) fn easiest(network: Network) -> Target {
    match network {
        Network::Bitcoin => Target::MAX_ATTAINABLE_MAINNET,
        Network::Signet => Target::MAX_ATTAINABLE_SIGNET,
        Network::Regtest => Target::MAX_ATTAINABLE_REGTEST,
        Network::Testnet | Network::Testnet4 => Target::MAX_ATTAINABLE_TESTNET,
    }
}

/// The easiest target that a block at this height may have behind `parent`.
fn easiest_behind(network: Network, parent: &Header, height: u32) -> CompactTarget {
    let easiest = easiest(network);
    let behind = parent.target();
    let allowed = match network {
        Network::Bitcoin | Network::Signet => match height.is_multiple_of(RETARGET_BLOCKS) {
            true => behind.max_transition_threshold_unchecked().min(easiest),
            false => behind,
        },
        // Test networks let a block be easy when none came for a while.
        Network::Testnet | Network::Testnet4 | Network::Regtest => easiest,
    };
    allowed.to_compact_lossy()
}

/// The hash of a header that has its work.
pub(crate) fn check(
    network: Network,
    parent: &Header,
    header: &Header,
    height: Height,
) -> Result<BlockHash, HeaderFault> {
    let max = easiest_behind(network, parent, height.0);
    if header.target() > Target::from_compact(max) {
        return Err(HeaderFault::TooEasy { height, got: header.bits, max });
    }
    let hash = header.block_hash();
    match header.target().is_met_by(hash) {
        true => Ok(hash),
        false => Err(HeaderFault::NoWork { height }),
    }
}

/// How the output of a coinbase begins that commits to the block's witnesses: BIP 141.
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Whether a block has the witnesses that it commits to. One of which all were taken away looks to
/// its merkle root as one that never had any; what its coinbase says tells the two apart.
pub(crate) fn has_its_witnesses(block: &Block) -> bool {
    let Some(coinbase) = block.txdata.first() else { return false };
    let commits =
        coinbase.output.iter().any(|it| it.script_pubkey.as_bytes().starts_with(&COMMITMENT));
    // The commitment is over a value that stands in the coinbase's own witness.
    let has_value = coinbase.input.first().is_some_and(|input| !input.witness.is_empty());
    (!commits || has_value) && block.check_witness_commitment()
}
