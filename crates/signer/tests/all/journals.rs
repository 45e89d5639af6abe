//! A view that is saved step by step, and what a crash does to that.

use bitcoin::Block;
use chain::Proof;
use signer::{Checkpoint, View, ViewChange, ViewFault};
use wire::Network;
use wire::dice::Dice;
use wire::fault::Broke;
use wire::tick::Tick;

use chain::Height;

use crate::views::{branch, genesis, headers};

const NETWORK: Network = Network::Regtest;

/// Some steps: blocks come, something is proven, a reorg takes it back, something else is proven.
fn steps() -> (View, Vec<ViewChange>) {
    let one = branch(genesis(), 3, 1);
    let other = branch(one[0].block_hash(), 3, 50);
    let mut view = View::genesis(NETWORK);
    let mut changes = Vec::new();
    let mut take = |view: &mut View, blocks: &[Block]| {
        let change = view.judge(&headers(blocks), None).unwrap();
        view.evolve(&change);
        changes.push(change);
    };
    take(&mut view, &one);
    take(&mut view, &other);
    let mut prove = |block: &Block| {
        let proof = Proof::of(block, 1).unwrap();
        let change = view.judge_proof(block.block_hash(), &proof).unwrap();
        view.evolve(&change);
        changes.push(change);
    };
    prove(&one[0]);
    prove(&other[1]);
    let last = branch(other[0].block_hash(), 3, 90);
    let change = view.judge(&headers(&last), None).unwrap();
    view.evolve(&change);
    changes.push(change);
    (view, changes)
}

/// The file after each step, and the sum that it must be read as.
fn files() -> (Vec<u8>, Vec<(usize, Vec<u8>)>) {
    let mut view = View::genesis(NETWORK);
    let mut file = view.encode();
    let mut ends = vec![(file.len(), view.encode())];
    for change in steps().1 {
        file.extend(change.encode());
        view.evolve(&change);
        ends.push((file.len(), view.encode()));
    }
    assert_eq!(view.encode(), steps().0.encode());
    (file, ends)
}

/// The last step that is whole in so many bytes.
fn last(ends: &[(usize, Vec<u8>)], bytes: usize) -> &(usize, Vec<u8>) {
    ends.iter().rev().find(|(end, _)| *end <= bytes).unwrap()
}

#[test]
fn a_step_that_a_crash_cut_is_left_out_and_nothing_else() {
    let (file, ends) = files();
    let (sum, _) = ends[0];
    for cut in sum..=file.len() {
        let (end, want) = last(&ends, cut);
        let torn = &file[..cut];
        // A file may have grown before its bytes came.
        let holed = [torn, &[0; 700]].concat();
        let mut ways = vec![torn.to_vec()];
        // Zeros that are a part of the step are what was to be written.
        if cut == *end {
            ways.push(holed);
        }
        for bytes in ways {
            let restored = View::decode(&bytes, NETWORK).unwrap();
            assert_eq!(restored.view.encode(), *want, "cut at {cut}");
            assert_eq!((restored.sum_bytes, restored.bytes), (sum, *end), "cut at {cut}");
        }
    }
    // The sum is written beside, and then takes its place: it is never cut.
    for cut in 0..sum {
        let short = View::decode(&file[..cut], NETWORK).unwrap_err();
        assert!(matches!(short, ViewFault::Broke(Broke::Short { .. })), "{cut}: {short}");
    }
}

#[test]
fn a_damaged_file_is_refused_but_for_its_last_step() {
    let (file, ends) = files();
    let before_last = ends[ends.len() - 2].0;
    for at in 0..file.len() {
        let mut bytes = file.clone();
        bytes[at] ^= 0x10;
        let read = View::decode(&bytes, NETWORK);
        if at < before_last {
            // A length that points behind the end cannot be told from a step that was cut.
            let is_length = ends.iter().any(|(end, _)| (*end..*end + 4).contains(&at));
            assert!(read.is_err() || is_length, "{at}");
        } else if at >= before_last + 4 {
            // Its length came to the disk, and not all of the rest.
            let read = read.as_ref().expect("the last step is left out");
            assert_eq!(read.bytes, before_last, "{at}");
        }
        if let Ok(restored) = read {
            assert_eq!(restored.view.encode(), last(&ends, restored.bytes).1, "{at}");
        }
    }
}

#[test]
fn each_damage_is_named() {
    let (file, ends) = files();
    let fault = |bytes: &[u8]| View::decode(bytes, NETWORK).unwrap_err();
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = file.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        fault(&bytes)
    };
    assert_eq!(changed(0, &[1]), ViewFault::Version { got: 1, want: 2 });
    assert_eq!(changed(1, &[0]), ViewFault::Network { got: 0, want: 4 });
    let (got, max) = (Height(u32::MAX), Height(499_999_999));
    assert_eq!(changed(2, &[255; 4]), ViewFault::Height { got, max });
    let (min, max) = (1, 2_000_000);
    assert_eq!(changed(6, &[0; 4]), ViewFault::Count { got: 0, min, max });
    let got = u32::MAX as usize;
    assert_eq!(changed(6, &[255; 4]), ViewFault::Count { got, min, max });
    assert_eq!(changed(10 + 72, &[0; 4]), ViewFault::NoWork { height: Height(0) });
    let (first, second) = (ends[0].0, ends[1].0);
    let wrong = |at| move |fault| matches!(fault, ViewFault::Checksum { at: got, .. } if got == at);
    assert!(wrong(first)(changed(first + 4, &[9])));
    assert!(wrong(0)(changed(first - 4, &[0, 1, 2, 3])));
    assert!(wrong(second)(changed(second + 9 + 40, &[1, 2, 3])));
    let (got, max) = (0, 64_005);
    assert_eq!(changed(first, &[0; 4]), ViewFault::Length { at: first, got, max });
    assert_eq!(
        changed(first, &[0, 0, 255, 255]),
        ViewFault::Length { at: first, got: 65_535, max }
    );
    // Steps that are whole, and cannot be.
    let behind = |change: &ViewChange| [&file[..first], &change.encode()].concat();
    let changes = steps().1;
    let (got, max) = (2, 0);
    assert_eq!(fault(&behind(&changes[1])), ViewFault::Gone { at: first, got, max });
    let (got, max) = (Height(1), Height(0));
    assert_eq!(fault(&behind(&changes[2])), ViewFault::NoBlock { got, max });
    let lost = branch(steps().0.tip().hash, 1, 200);
    let lost = ViewChange::Headers(vec![chain::Change::Connected(lost[0].header)]);
    assert_eq!(fault(&behind(&lost)), ViewFault::Broken { height: Height(1) });
}

/// Whatever the bytes are, they are read as they would be written, or refused.
#[test]
fn any_bytes_are_a_view_or_none() {
    let (file, _) = files();
    let mut dice = Dice::new(9);
    for _ in 0..3_000 {
        let mut bytes = file.clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(bytes.len());
            bytes[at] = dice.throw() as u8;
        }
        bytes.truncate(dice.below(2 * bytes.len()));
        if let Ok(restored) = View::decode(&bytes, NETWORK) {
            let again = View::decode(&restored.view.encode(), NETWORK).unwrap();
            assert_eq!(again.view.encode(), restored.view.encode());
            assert!(restored.bytes <= bytes.len());
        }
    }
}

#[test]
fn a_view_goes_on_from_a_checkpoint_or_begins_anew() {
    let blocks = branch(genesis(), 4, 1);
    let at = |height: u32, block: &Block| {
        Checkpoint::new(NETWORK, Height(height), block.header).unwrap()
    };
    let mut view = View::new(NETWORK, &at(2, &blocks[1]));
    view.take(&headers(&blocks[2..3]), Tick(0), None).unwrap();
    assert_eq!(view.goes_on_from(&Checkpoint::genesis(NETWORK)), Ok(true));
    assert_eq!(view.goes_on_from(&at(3, &blocks[2])), Ok(true));
    assert_eq!(view.goes_on_from(&at(4, &blocks[3])), Ok(false));
    let other = at(3, &branch(genesis(), 1, 70)[0]);
    let (got, want) = (view.tip(), other.block());
    assert_eq!(view.goes_on_from(&other), Err(ViewFault::Checkpoint { got, want }));
}
