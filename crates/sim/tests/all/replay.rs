//! Blocks of the simulator beside Bitcoin Core's kernel: what the nodes of a world make it takes.

use std::collections::BTreeSet;

use bitcoin::BlockHash;
use devnet::{Kernel, Verdict};
use sim::{blocks, town};

const SEEDS: u64 = 10;

#[test]
fn the_kernel_takes_every_block_of_the_nodes() {
    let (mut branches, mut spends, mut keys) = (0, 0, 0);
    for seed in 0..SEEDS {
        let blocks::Outcome { blocks, tip, broken, .. } = blocks::run(seed, false);
        assert_eq!(broken, None);
        let kernel = Kernel::in_memory().expect("a kernel");
        for block in &blocks {
            let verdict = kernel.process(block);
            let is_taken = matches!(verdict, Verdict::Connected | Verdict::Stored);
            assert!(is_taken, "seed {seed}, block {}: {verdict}", block.block_hash());
            branches += usize::from(verdict == Verdict::Stored);
            for input in block.txdata.iter().skip(1).flat_map(|tx| &tx.input) {
                spends += 1;
                // The wallet spends by the key of an output of taproot.
                keys += usize::from(input.witness.nth(0).is_some_and(|item| item.len() == 64));
            }
        }
        assert_eq!(kernel.tip(), tip, "seed {seed}");
        let hashes: BTreeSet<BlockHash> = blocks.iter().map(|block| block.block_hash()).collect();
        assert_eq!(hashes.len(), blocks.len(), "seed {seed}: each is made once");
    }
    assert!(branches > 30, "{branches} blocks of branches that were not the best yet");
    assert!(spends > 500 && keys > 40, "{spends} spends, {keys} of them the wallet's");
}

/// A channel's scripts, and whatever else its two sides spend, in the eyes of the kernel.
#[test]
fn the_kernel_takes_every_block_of_towns() {
    let mut spends = 0;
    for seed in [3, 4, 7] {
        let town::Outcome { blocks, tip, broken, .. } = town::run(seed, false);
        assert_eq!(broken, None);
        let kernel = Kernel::in_memory().expect("a kernel");
        for block in &blocks {
            let verdict = kernel.process(block);
            let is_taken = matches!(verdict, Verdict::Connected | Verdict::Stored);
            assert!(is_taken, "seed {seed}, block {}: {verdict}", block.block_hash());
            spends += block.txdata.iter().skip(1).flat_map(|it| &it.input).count();
        }
        assert_eq!(kernel.tip(), tip, "seed {seed}");
    }
    assert!(spends > 30, "{spends}");
}
