//! Headers that lie.

use bitcoin::{
    Block, CompactTarget, Network, ScriptBuf, block::Header, constants, hashes::Hash as _,
};
use chain::{
    Chain, Change, Fault, FirstFault, HEADERS_MAX, HEIGHT_MAX, HeaderFault, Headers, Height,
    REORG_BLOCKS_MAX, SnapshotFault,
};

use crate::blocks::{genesis, mine, outpoint, pays, script, work};

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
fn a_first_header_is_judged_by_itself() {
    let judge = chain::judge_first;
    let header = branch(genesis().header, 1, 1)[0];
    let got = header.block_hash();
    assert_eq!(judge(Network::Regtest, HEIGHT_MAX, &header), Ok(got));
    let above = Height(HEIGHT_MAX.0 + 1);
    let fault = FirstFault::TooHigh { got: above, max: HEIGHT_MAX };
    assert_eq!(judge(Network::Regtest, above, &header), Err(fault));
    let networks =
        [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];
    for network in networks {
        let first = constants::genesis_block(network).header;
        let genesis = first.block_hash();
        assert_eq!(judge(network, Height(0), &first), Ok(genesis));
        // It is nowhere else, and nothing else is there.
        for (height, header) in [(Height(1), first), (Height(0), header)] {
            let fault = FirstFault::Genesis { height, got: header.block_hash(), genesis };
            assert_eq!(judge(network, height, &header), Err(fault));
        }
        let max = first.bits;
        let bits = CompactTarget::from_consensus(0x2100_ffff);
        let easy = Header { bits, ..header };
        let height = Height(9);
        let fault = FirstFault::TooEasy { height, got: bits, max };
        assert_eq!(judge(network, height, &easy), Err(fault));
        let mut lazy = Header { bits: max, ..header };
        while lazy.target().is_met_by(lazy.block_hash()) {
            lazy.nonce += 1;
        }
        let fault = FirstFault::NoWork { got: lazy.block_hash(), max };
        assert_eq!(judge(network, height, &lazy), Err(fault));
    }
}

#[test]
fn saved_headers_do_not_begin_with_a_lie() {
    let mut first = branch(genesis().header, 1, 1)[0];
    let saved = Headers::new(Network::Regtest, Height(7), first).encode();
    assert!(Headers::decode(&saved).is_ok());
    while first.target().is_met_by(first.block_hash()) {
        first.nonce += 1;
    }
    let saved = Headers::new(Network::Regtest, Height(7), first).encode();
    let got = first.block_hash();
    let fault = SnapshotFault::First(FirstFault::NoWork { got, max: first.bits });
    assert_eq!(Headers::decode(&saved).err(), Some(fault));
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

/// Ten thousand blocks, of which the last few have replaced others.
fn long_chain() -> Chain {
    let first = genesis().header;
    let trunk = branch(first, 10_000, 1);
    let mut chain = chain_of(&trunk);
    let other = branch(trunk[9_989], 12, 500_000);
    assert_eq!(chain.handle_headers(&other), Ok(Ok(())));
    assert_eq!(chain.headers().tip().height, Height(10_002));
    chain
}

#[test]
fn blocks_are_found_by_hash_and_by_height() {
    let chain = long_chain();
    let headers = chain.headers();
    for height in 0..=10_002 {
        let block = headers.at(Height(height)).expect("it is there");
        assert_eq!(headers.height_of(block.hash), Some(Height(height)));
        assert!(headers.has(block));
    }
    assert_eq!(headers.at(Height(10_003)), None);
    let gone = branch(genesis().header, 1, 77)[0];
    assert_eq!(headers.height_of(gone.block_hash()), None);
}

#[test]
fn saved_headers_are_the_same_again() {
    let chain = long_chain();
    let bytes = chain.headers().encode();
    let read = Headers::decode(&bytes).expect("it was made from headers");
    assert_eq!(read.encode(), bytes);
    assert_eq!((read.network(), read.first()), (Network::Regtest, chain.headers().first()));
    assert_eq!((read.tip(), read.locator()), (chain.headers().tip(), chain.headers().locator()));
    // What was replaced is known as well: who stopped there finds back.
    let trunk = branch(genesis().header, 10_000, 1);
    let (hash, height) = (trunk[9_999].block_hash(), Height(10_000));
    let mut chain = Chain::new(read);
    let at = chain.attach(chain::User(1), Some(chain::BlockRef { height, hash }));
    assert_eq!(at.map(|at| at.height), Ok(Height(9_990)));
}

#[test]
fn damaged_headers_are_refused() {
    let trunk = branch(genesis().header, 20, 1);
    let mut chain = chain_of(&trunk);
    let other = branch(trunk[17], 4, 900);
    assert_eq!(chain.handle_headers(&other), Ok(Ok(())));
    let good = chain.headers().encode();
    for len in 0..good.len() {
        assert!(Headers::decode(&good[..len]).is_err(), "{len} bytes");
    }
    // Whatever is changed in a header is seen at the end, if not before.
    let headers_end = 86 + 4 + 22 * 48 + 32;
    for at in (0..headers_end).filter(|at| !(2..6).contains(at)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(Headers::decode(&bad).is_err() || at == 1, "byte {at}");
    }
    assert!(Headers::decode(&[good.clone(), vec![0]].concat()).is_err());
    let mut newer = good.clone();
    newer[0] = 2;
    let refused = SnapshotFault::Version { got: 2, max: 1 };
    assert_eq!(Headers::decode(&newer).err(), Some(refused));
    // Said to be more than there are.
    let mut many = good;
    many[86..90].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(Headers::decode(&many).is_err());
}

/// What would change is what changes.
fn take(headers: &mut Headers, some: &[Header]) -> Result<Result<Vec<Change>, Fault>, HeaderFault> {
    let changes = headers.changes(some)?;
    if let Ok(changes) = &changes {
        changes.iter().for_each(|change| headers.evolve(change));
    }
    Ok(changes)
}

/// Headers by themselves, as whoever needs no blocks has them.
#[test]
fn headers_are_taken_and_say_what_has_changed() {
    let first = genesis().header;
    let mut headers = Headers::new(Network::Regtest, Height(0), first);
    let one = branch(first, 4, 1);
    let connected = |headers: &[Header]| headers.iter().copied().map(Change::Connected).collect();
    let taken: Vec<Change> = connected(&one);
    assert_eq!(take(&mut headers, &one), Ok(Ok(taken)));
    let per_block = first.work();
    let work = |blocks: usize| (1..blocks).fold(per_block, |sum, _| sum + per_block);
    assert_eq!((headers.work(), headers.count()), (work(5), 5));
    // Weaker, and known already.
    assert_eq!(take(&mut headers, &branch(first, 3, 50)), Ok(Ok(Vec::new())));
    assert_eq!(take(&mut headers, &one[1..3]), Ok(Ok(Vec::new())));
    let two = branch(one[1], 3, 90);
    let mut changes = vec![Change::Disconnected; 2];
    changes.extend::<Vec<Change>>(connected(&two));
    assert_eq!(take(&mut headers, &two), Ok(Ok(changes)));
    assert_eq!((headers.work(), headers.count()), (work(6), 6));
    let tip = headers.tip();
    assert_eq!(headers.find(tip.hash), Some(tip));
    assert_eq!(headers.find(one[3].block_hash()), None);
    assert_eq!(headers.header_at(Height(5)), Some(&two[2]));
    for _ in 0..9 {
        headers.evolve(&Change::Disconnected);
    }
    assert_eq!((headers.work(), headers.count()), (work(1), 1));
}

/// The merkle root does not tell a block without witnesses from one that has lost them.
#[test]
fn a_block_whose_witnesses_were_taken_away_is_refused() {
    let first = genesis().header;
    let mut whole = mine(first.block_hash(), 1, vec![pays(&[outpoint(1)], &[script(1)])]);
    whole.txdata[1].input[0].witness.push([7; 64]);
    whole.txdata[0].input[0].witness.push([0; 32]);
    let root = whole.witness_root().expect("it has transactions");
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let output = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat();
    whole.txdata[0].output[0].script_pubkey = ScriptBuf::from_bytes(output);
    whole.header.merkle_root = whole.compute_merkle_root().expect("it has transactions");
    work(&mut whole.header);
    let mut bare = whole.clone();
    let inputs = bare.txdata.iter_mut().flat_map(|it| &mut it.input);
    inputs.for_each(|input| input.witness.clear());
    assert_eq!(bare.block_hash(), whole.block_hash());
    let mut chain = chain_of(&[]);
    chain.attach(chain::User(1), None).expect("there is room");
    assert_eq!(chain.handle_headers(&[whole.header]), Ok(Ok(())));
    while chain.poll().is_some() {}
    let fault = chain.handle_block(bare);
    assert!(matches!(fault, Err(chain::BlockFault::Witness { .. })), "{fault:?}");
    let mut other = whole.clone();
    other.txdata[1].input[0].witness.push([8; 64]);
    let fault = chain.handle_block(other);
    assert!(matches!(fault, Err(chain::BlockFault::Witness { .. })), "{fault:?}");
    assert_eq!(chain.handle_block(whole), Ok(()));
}
