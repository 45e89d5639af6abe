//! Targets that follow from the blocks below. The numbers are those of real blocks, as Bitcoin
//! Core's own tests have them; between them stand headers without any work, which only a chain that
//! is restored takes. So a right target is told by what is looked at next: there is no work for it.

use bitcoin::{CompactTarget, Network, block::Header};
use chain::{Change, HeaderFault, Headers, Height, RETARGET_BLOCKS, easiest};

use crate::blocks::genesis;

const EASIEST: u32 = 0x1d00_ffff;

fn header(behind: Option<&Header>, time: u32, bits: u32) -> Header {
    let mut header = genesis().header;
    if let Some(behind) = behind {
        header.prev_blockhash = behind.block_hash();
    }
    Header { time, bits: CompactTarget::from_consensus(bits), ..header }
}

/// A chain of headers with these times and targets.
struct Story {
    headers: Headers,
    tip: Header,
}

impl Story {
    fn new(network: Network, height: u32, time: u32, bits: u32) -> Self {
        let tip = header(None, time, bits);
        Self { headers: Headers::new(network, Height(height), tip), tip }
    }

    fn push(&mut self, time: u32, bits: u32) {
        self.tip = header(Some(&self.tip), time, bits);
        self.headers.evolve(&Change::Connected(self.tip));
    }

    /// Up to the end of the period, all with one target, the last one at `time`.
    fn fill(&mut self, time: u32, bits: u32) {
        while !(self.headers.tip().height.0 + 2).is_multiple_of(RETARGET_BLOCKS) {
            self.push(self.tip.time, bits);
        }
        self.push(time, bits);
    }

    /// What a block must have next, with what it is refused if it claims something else.
    fn judge(&self, time: u32, bits: u32) -> HeaderFault {
        self.headers.changes(&[header(Some(&self.tip), time, bits)]).expect_err("it has no work")
    }

    fn wants(&self, time: u32, want: u32) {
        let height = Height(self.headers.tip().height.0 + 1);
        assert_eq!(self.judge(time, want), HeaderFault::NoWork { height }, "{want:08x}");
        let want = CompactTarget::from_consensus(want);
        for other in [want.to_consensus() - 1, 0x0101_0000] {
            let got = CompactTarget::from_consensus(other);
            let fault = HeaderFault::OtherTarget { height, got, want };
            assert_eq!(self.judge(time, other), fault);
        }
        let easier = want.to_consensus() + 0x0100_0000;
        let got = CompactTarget::from_consensus(easier);
        assert_eq!(self.judge(time, easier), HeaderFault::TooEasy { height, got, max: want });
    }
}

#[test]
fn a_period_sets_the_target_of_the_next() {
    // First block and its time, time and target of the last, target of the next.
    let rows = [
        (30_240, 1_261_130_161, 1_262_152_739, 0x1d00_ffff, 0x1d00_d86a),
        // As easy as it gets.
        (0, 1_231_006_505, 1_233_061_996, 0x1d00_ffff, 0x1d00_ffff),
        // Not below a fourth, and not above four times.
        (66_528, 1_279_008_237, 1_279_297_671, 0x1c05_a3f4, 0x1c01_68fd),
        (44_352, 1_263_163_443, 1_269_211_443, 0x1c38_7f6f, 0x1d00_e1fd),
    ];
    for network in [Network::Bitcoin, Network::Testnet] {
        for (height, first, last, bits, next) in rows {
            let mut story = Story::new(network, height, first, bits);
            story.fill(last, bits);
            story.wants(last + 1, next);
        }
    }
    // A clock that went back counts as the shortest time.
    let mut story = Story::new(Network::Bitcoin, 66_528, 1_279_008_237, 0x1c05_a3f4);
    story.fill(1_279_008_236, 0x1c05_a3f4);
    story.wants(1_279_008_237, 0x1c01_68fd);
}

#[test]
fn inside_of_a_period_the_target_stays() {
    for network in [Network::Bitcoin, Network::Signet] {
        let mut story = Story::new(network, 30_300, 1_261_130_161, 0x1c05_a3f4);
        story.wants(2_000_000_000, 0x1c05_a3f4);
        story.push(1_261_130_162, 0x1c05_a3f4);
        story.wants(1_261_130_161, 0x1c05_a3f4);
    }
}

#[test]
fn a_period_whose_first_block_is_unknown_sets_a_limit_only() {
    let mut story = Story::new(Network::Bitcoin, 66_529, 1_279_008_237, 0x1c05_a3f4);
    story.fill(1_279_297_671, 0x1c05_a3f4);
    let (height, limit) = (Height(68_544), 0x1c16_8fd0);
    for bits in [0x1c01_68fd, 0x1c05_a3f4, limit] {
        assert_eq!(story.judge(0, bits), HeaderFault::NoWork { height });
    }
    let [got, max] = [limit + 1, limit].map(CompactTarget::from_consensus);
    assert_eq!(story.judge(0, limit + 1), HeaderFault::TooEasy { height, got, max });
}

#[test]
fn test_networks_let_a_block_be_easy_after_a_pause_and_only_then() {
    for network in [Network::Testnet, Network::Testnet4] {
        assert_eq!(easiest(network).to_compact_lossy().to_consensus(), EASIEST);
        let mut story = Story::new(network, 4_032, 1_000_000, 0x1c05_a3f4);
        story.wants(1_001_200, 0x1c05_a3f4);
        story.wants(1_001_201, EASIEST);
        story.push(1_001_201, EASIEST);
        story.push(1_002_402, EASIEST);
        // Back to the last that was not easy.
        story.wants(1_003_602, 0x1c05_a3f4);
        story.wants(1_003_603, EASIEST);
        // One that begins with easy ones does not know.
        let mut story = Story::new(network, 4_033, 1_000_000, EASIEST);
        story.push(1_001_201, EASIEST);
        let height = Height(4_035);
        for bits in [EASIEST, 0x1c05_a3f4] {
            assert_eq!(story.judge(1_001_202, bits), HeaderFault::NoWork { height });
        }
    }
}

/// BIP 94: the last block of a period may be easy, and the next period is not.
#[test]
fn an_easy_block_does_not_reset_the_fourth_test_network() {
    for (network, want) in [(Network::Testnet, EASIEST), (Network::Testnet4, 0x1c05_a3f4)] {
        let mut story = Story::new(network, 4_032, 1_000_000, 0x1c05_a3f4);
        story.fill(1_000_000 + 14 * 24 * 3_600, EASIEST);
        story.wants(1_000_000 + 14 * 24 * 3_600 + 5_000, want);
    }
}
