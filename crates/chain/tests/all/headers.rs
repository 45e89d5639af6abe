//! Headers that lie.

use bitcoin::{CompactTarget, Network, block::Header};
use chain::{Chain, Fault, HEADERS_MAX, HeaderFault, Headers, Height, REORG_BLOCKS_MAX};

use crate::blocks::{genesis, mine, work};

fn branch(parent: Header, count: u32, salt: u64) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for number in 0..count {
        let behind = headers.last().unwrap_or(&parent).block_hash();
        headers.push(mine(behind, salt + u64::from(number), Vec::new()).header);
    }
    headers
}

fn chain_of(headers: &[Header]) -> Chain {
    let mut chain = Chain::new(Headers::new(Network::Regtest, Height(0), genesis().header));
    for some in headers.chunks(HEADERS_MAX) {
        assert_eq!(chain.handle_headers(some), Ok(Ok(())));
    }
    chain
}

#[test]
fn headers_that_lie_are_refused_and_nothing_changes() {
    let first = genesis().header;
    let good = branch(first, 5, 1);
    let mut chain = chain_of(&good);
    let tip = chain.headers().tip();
    let behind = |header: &Header, salt| mine(header.block_hash(), salt, Vec::new()).header;

    let stranger = branch(behind(&first, 900), 3, 1_000);
    let unconnected = HeaderFault::Unconnected { parent: stranger[0].prev_blockhash };
    assert_eq!(chain.handle_headers(&stranger), Err(unconnected));

    let next = behind(&good[4], 2_000);
    let broken = [next, behind(&first, 2_001)];
    assert_eq!(chain.handle_headers(&broken), Err(HeaderFault::Broken { height: Height(7) }));

    let mut lazy = next;
    while lazy.validate_pow(lazy.target()).is_ok() {
        lazy.nonce += 1;
    }
    assert_eq!(chain.handle_headers(&[lazy]), Err(HeaderFault::NoWork { height: Height(6) }));

    let many = vec![next; HEADERS_MAX + 1];
    let (got, max) = (HEADERS_MAX + 1, HEADERS_MAX);
    assert_eq!(chain.handle_headers(&many), Err(HeaderFault::TooMany { got, max }));

    assert_eq!(chain.headers().tip(), tip);
    assert_eq!(chain.handle_headers(&[next]), Ok(Ok(())));
    assert_eq!(chain.headers().tip().height, Height(6));
}

#[test]
fn work_decides_and_not_length() {
    let first = genesis().header;
    let mut chain = chain_of(&branch(first, 4, 1));
    let tip = chain.headers().tip();
    // As long: it has no more work, and comes too late.
    assert_eq!(chain.handle_headers(&branch(first, 4, 100)), Ok(Ok(())));
    assert_eq!(chain.headers().tip(), tip);
    // Shorter, with more work in its one block.
    let mut heavy = branch(first, 1, 200)[0];
    heavy.bits = CompactTarget::from_consensus(0x2007_ffff);
    work(&mut heavy);
    assert_eq!(chain.handle_headers(&[heavy]), Ok(Ok(())));
    assert_eq!(chain.headers().tip().height, Height(1));
}

#[test]
fn a_network_with_a_target_keeps_it() {
    let mut first = genesis().header;
    first.bits = CompactTarget::from_consensus(0x1c7f_ff00);
    let mut chain = Chain::new(Headers::new(Network::Bitcoin, Height(700_000), first));
    let easy = mine(first.block_hash(), 1, Vec::new()).header;
    let refused = chain.handle_headers(&[easy]);
    let Err(HeaderFault::TooEasy { height, got, max }) = refused else { panic!("{refused:?}") };
    assert_eq!((height, got, max), (Height(700_001), easy.bits, first.bits));
}

#[test]
fn a_reorg_too_deep_is_refused() {
    let first = genesis().header;
    let deep = REORG_BLOCKS_MAX + 1;
    let mut chain = chain_of(&branch(first, deep, 1));
    let tip = chain.headers().tip();
    let fault = Fault::TooDeep { got: deep, max: REORG_BLOCKS_MAX };
    assert_eq!(chain.handle_headers(&branch(first, deep + 1, 5_000)), Ok(Err(fault)));
    assert_eq!(chain.headers().tip(), tip);
    // One less is allowed.
    let at = chain.headers().at(Height(1)).expect("it is there");
    let other = {
        let second = branch(first, 1, 1)[0];
        assert_eq!(second.block_hash(), at.hash);
        branch(second, deep, 9_000)
    };
    assert_eq!(chain.handle_headers(&other), Ok(Ok(())));
    assert_eq!(chain.headers().tip().hash, other[deep as usize - 1].block_hash());
}
