//! Where a view begins, and the times that it believes.

use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{BlockHash, CompactTarget};
use chain::{Height, easiest};
use signer::{AHEAD_SECONDS_MAX, Checkpoint, CheckpointFault, Seconds, UnixTime, View, ViewFlaw};
use wire::Network;
use wire::tick::Tick;

use crate::views::{branch, genesis, headers};

const NETWORK: Network = Network::Regtest;
const BEGIN: u32 = 1_700_000_000;

/// Each is the block that is known by this hash, behind one that is known by the other, and has its
/// work.
#[test]
fn built_in_checkpoints_are_blocks_of_their_networks() {
    let rows = [
        (
            Network::Bitcoin,
            878_976,
            "00000000000000000002819359a9af460f342404bec23e7478512a619584083b",
            "000000000000000000006d0b2fecfc61125fe5a7c6387fdca048c4b3cd5ffa84",
            0x1702_8c61,
        ),
        (
            Network::Signet,
            229_824,
            "000000bac742cfc8d76fda4ad387b7aafa577b17d3684c61d8a089dcd08fa374",
            "000000dffd144d2e1eac01a786558c04cb65a8ed0002397db7b43011c223174e",
            0x1e01_46ad,
        ),
    ];
    for (network, height, hash, parent, bits) in rows {
        let checkpoint = Checkpoint::built_in(network);
        assert_eq!(checkpoint.block().hash.to_string(), hash);
        assert_eq!(checkpoint.header().prev_blockhash.to_string(), parent);
        assert_eq!(checkpoint.header().bits.to_consensus(), bits);
        assert_eq!(checkpoint.height(), Height(height));
        // It keeps the rules for those that people give.
        assert_eq!(Checkpoint::new(network, Height(height), *checkpoint.header()), Ok(checkpoint));
    }
    for network in [Network::Testnet, Network::Testnet4, Network::Regtest] {
        assert_eq!(Checkpoint::built_in(network), Checkpoint::genesis(network));
    }
}

#[test]
fn an_owner_gives_a_checkpoint_as_text() {
    let known = Checkpoint::built_in(Network::Bitcoin);
    let text = format!("878976:{}", serialize_hex(known.header()));
    assert_eq!(Checkpoint::parse(Network::Bitcoin, &text), Ok(known));
    let height = |height: u32| text.replace("878976", &height.to_string());
    let fault = |text: &str| Checkpoint::parse(Network::Bitcoin, text).unwrap_err();
    assert_eq!(
        fault(&height(878_977)),
        CheckpointFault::NotFirst { got: Height(878_977), first: Height(878_976) }
    );
    let (got, max) = (Height(u32::MAX), Height(499_999_999));
    assert_eq!(fault(&height(u32::MAX)), CheckpointFault::Height { got, max });
    let (got, want) = (known.block().hash, Checkpoint::genesis(Network::Bitcoin).block().hash);
    assert_eq!(fault(&height(0)), CheckpointFault::Genesis { got, want });
    // A hash alone does not say what the next target follows from.
    let hash = format!("878976:{}", known.block().hash);
    assert_eq!(fault(&hash), CheckpointFault::Text { got: 64, want: 160 });
    assert_eq!(fault("xyz"), CheckpointFault::Text { got: 3, want: 160 });
    // Another nonce, and another target: neither is worth the work it names.
    let lazy = text.replace("8c74d981", "8c74d982");
    let target = known.header().bits;
    let no_work =
        |fault| matches!(fault, CheckpointFault::NoWork { target: it, .. } if it == target);
    assert!(no_work(fault(&lazy)));
    let easy = text.replace("618c0217", "ffff7f20");
    let (got, max) =
        (CompactTarget::from_consensus(0x207f_ffff), easiest(Network::Bitcoin).to_compact_lossy());
    assert_eq!(fault(&easy), CheckpointFault::TooEasy { got, max });
}

/// A header for each of these times, without work but on regtest.
fn timed(parent: BlockHash, times: &[u32]) -> Vec<Header> {
    let mut made: Vec<Header> = Vec::new();
    for time in times {
        let mut header = branch(genesis(), 1, 1)[0].header;
        header.prev_blockhash = made.last().map_or(parent, Header::block_hash);
        header.time = *time;
        while header.validate_pow(header.target()).is_err() {
            header.nonce = header.nonce.wrapping_add(1);
        }
        made.push(header);
    }
    made
}

/// A plain model beside it: the median of the last eleven, of fewer at the beginning of all.
#[test]
fn a_block_is_younger_than_the_median_below_it() {
    let times = [9, 3, 7, 20, 5, 11, 30, 6, 25, 8, 12, 14, 15, 10, 40, 16, 17, 21, 22];
    let mut view = View::genesis(NETWORK);
    let mut known = vec![Checkpoint::genesis(NETWORK).header().time];
    for (at, offset) in (1..).zip(times) {
        let mut below: Vec<u32> = known.iter().rev().take(11).copied().collect();
        below.sort_unstable();
        let median = below[below.len() / 2];
        let one = timed(view.tip().hash, &[median]);
        let flaw = ViewFlaw::TooEarly {
            height: Height(at),
            got: UnixTime(median),
            min: UnixTime(median + 1),
        };
        assert_eq!(view.take(&one, Tick(0), None), Err(flaw));
        let time = (BEGIN + offset).max(median + 1);
        view.take(&timed(view.tip().hash, &[time]), Tick(0), None).unwrap();
        known.push(time);
    }
    // The same in one question, and in another branch.
    let early = timed(genesis(), &[BEGIN, BEGIN + 1, BEGIN + 2, BEGIN]);
    let (height, got, min) = (Height(4), UnixTime(BEGIN), UnixTime(BEGIN + 2));
    let mut fresh = View::genesis(NETWORK);
    assert_eq!(fresh.take(&early, Tick(0), None), Err(ViewFlaw::TooEarly { height, got, min }));
    assert_eq!(fresh.tip().height, Height(0), "all of it is refused");
}

/// Behind a checkpoint the median is not known at first: the least that it can be is asked for.
#[test]
fn a_checkpoint_asks_for_no_more_than_is_known() {
    let blocks = branch(genesis(), 20, 1);
    let checkpoint = Checkpoint::new(NETWORK, Height(5), blocks[4].header).unwrap();
    let view = || View::new(NETWORK, &checkpoint);
    // Five known blocks may all be younger than the median, six are not.
    let mut times: Vec<u32> = (1..5).map(|more| checkpoint.header().time + more).collect();
    times.push(1);
    view().take(&timed(checkpoint.block().hash, &times), Tick(0), None).unwrap();
    times[4] = checkpoint.header().time + 5;
    times.push(checkpoint.header().time);
    let flaw = view().take(&timed(checkpoint.block().hash, &times), Tick(0), None).unwrap_err();
    let (got, min) = (UnixTime(checkpoint.header().time), UnixTime(checkpoint.header().time + 1));
    assert_eq!(flaw, ViewFlaw::TooEarly { height: Height(11), got, min });
    view().take(&headers(&blocks[5..]), Tick(0), None).unwrap();
}

#[test]
fn a_block_is_not_far_ahead_of_the_clock() {
    let mut view = View::genesis(NETWORK);
    let latest = BEGIN + AHEAD_SECONDS_MAX;
    let time = Some(UnixTime(BEGIN));
    let late = timed(genesis(), &[BEGIN, latest + 1]);
    let flaw =
        ViewFlaw::TooLate { height: Height(2), got: UnixTime(latest + 1), max: UnixTime(latest) };
    assert_eq!(view.take(&late, Tick(0), time), Err(flaw));
    assert_eq!(view.tip().height, Height(0));
    view.take(&timed(genesis(), &[BEGIN, latest]), Tick(0), time).unwrap();
    assert_eq!(view.status(Tick(0), time).age, Some(Seconds(0)), "never less than nothing");
    let later = Some(UnixTime(latest + 61));
    assert_eq!(view.status(Tick(0), later).age, Some(Seconds(61)));
    assert_eq!(view.status(Tick(0), None).age, None);
    // In time it is right.
    let in_time = Some(UnixTime(BEGIN + 1));
    View::genesis(NETWORK).take(&late, Tick(0), in_time).unwrap();
}
