//! What a header must have, as far as a header shows it. All other rules of consensus are kept by
//! the source's node, or by the kernel.

use bitcoin::{Block, BlockHash, CompactTarget, Network, Target, block::Header, consensus::Params};

use crate::{api::Height, fault::HeaderFault};

/// Blocks between two changes of the target.
pub const RETARGET_BLOCKS: u32 = 2_016;
/// On test networks a block may be easy when none came for longer.
const EASY_AFTER_SECONDS: i64 = 20 * 60;

/// The easiest target of a network.
pub const fn easiest(network: Network) -> Target {
    match network {
        Network::Bitcoin => Target::MAX_ATTAINABLE_MAINNET,
        Network::Signet => Target::MAX_ATTAINABLE_SIGNET,
        Network::Regtest => Target::MAX_ATTAINABLE_REGTEST,
        Network::Testnet | Network::Testnet4 => Target::MAX_ATTAINABLE_TESTNET,
    }
}

/// What a block may have as its target.
enum Allowed {
    /// This one, as the blocks below say.
    Exactly(CompactTarget),
    /// This one, or one that is harder: too little is known of the blocks below.
    AtMost(CompactTarget),
}

/// What is known of the blocks below a block: some of a chain, and some that are to follow them.
#[derive(Clone, Copy)]
pub(crate) struct Below<'a> {
    network: Network,
    first: Height,
    chain: &'a [Header],
    new: &'a [Header],
}

impl<'a> Below<'a> {
    /// `chain` begins at `first`, and `new` is behind all of it.
    pub(crate) const fn new(
        network: Network,
        first: Height,
        chain: &'a [Header],
        new: &'a [Header],
    ) -> Self {
        Self { network, first, chain, new }
    }

    fn at(&self, height: u32) -> Option<&'a Header> {
        let offset = height.checked_sub(self.first.0)? as usize;
        match offset.checked_sub(self.chain.len()) {
            Some(beyond) => self.new.get(beyond),
            None => self.chain.get(offset),
        }
    }

    fn allowed(&self, parent: &Header, header: &Header, height: u32) -> Allowed {
        let easiest = easiest(self.network).to_compact_lossy();
        match self.network {
            Network::Regtest => Allowed::AtMost(easiest),
            _ if height.is_multiple_of(RETARGET_BLOCKS) => self.retarget(parent, height),
            Network::Bitcoin | Network::Signet => Allowed::Exactly(parent.bits),
            // Test networks let a block be easy when none came for a while, and only then.
            Network::Testnet | Network::Testnet4 => {
                let pause = i64::from(header.time) - i64::from(parent.time);
                match pause > EASY_AFTER_SECONDS {
                    true => Allowed::Exactly(easiest),
                    false => self.before_easy_ones(easiest, height),
                }
            }
        }
    }

    /// The target of the last block that was not let be easy.
    fn before_easy_ones(&self, easiest: CompactTarget, height: u32) -> Allowed {
        for below in (0..height).rev() {
            let Some(header) = self.at(below) else { break };
            if header.bits != easiest || below.is_multiple_of(RETARGET_BLOCKS) {
                return Allowed::Exactly(header.bits);
            }
        }
        Allowed::AtMost(easiest)
    }

    /// The first block of a period: its target follows from how long the last period took.
    fn retarget(&self, parent: &Header, height: u32) -> Allowed {
        let easiest = easiest(self.network);
        let Some(first) = self.at(height - RETARGET_BLOCKS) else {
            let allowed = match self.network {
                Network::Bitcoin | Network::Signet => {
                    parent.target().max_transition_threshold_unchecked().min(easiest)
                }
                Network::Testnet | Network::Testnet4 | Network::Regtest => easiest,
            };
            return Allowed::AtMost(allowed.to_compact_lossy());
        };
        // BIP 94: the first block of a period is never an easy one.
        let last_bits = if self.network == Network::Testnet4 { first.bits } else { parent.bits };
        let took = u64::from(parent.time.saturating_sub(first.time));
        let params = Params::new(self.network);
        Allowed::Exactly(CompactTarget::from_next_work_required(last_bits, took, params))
    }

    /// The hash of a header that has the work which it must have.
    pub(crate) fn check(
        &self,
        parent: &Header,
        header: &Header,
        height: Height,
    ) -> Result<BlockHash, HeaderFault> {
        let allowed = self.allowed(parent, header, height.0);
        let (Allowed::Exactly(max) | Allowed::AtMost(max)) = allowed;
        if header.target() > Target::from_compact(max) {
            return Err(HeaderFault::TooEasy { height, got: header.bits, max });
        }
        if matches!(allowed, Allowed::Exactly(_)) && header.bits != max {
            return Err(HeaderFault::OtherTarget { height, got: header.bits, want: max });
        }
        let hash = header.block_hash();
        match header.target().is_met_by(hash) {
            true => Ok(hash),
            false => Err(HeaderFault::NoWork { height }),
        }
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
