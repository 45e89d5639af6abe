//! What a signer knows of the chain, on a disk that fails and in a process that dies.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use apart::Place;
use bitcoin::block::Header;
use node::io::{
    channels_file::ChannelsFile,
    journal_file::JournalFault,
    signer::{SignerFiles, saved_answer},
    view_file::{VIEW_FILE, ViewFile},
};
use signer::{Answer, Ask, Checkpoint, LinkId, NodeIndex, Refusal, Signer};
use wire::{Network, dice::Dice};

use crate::blocks::{genesis, mine};

const NETWORK: Network = Network::Regtest;
const LINK: LinkId = LinkId(1);

/// The files of a folder, and a signer with what they have.
pub fn open(dir: &Path) -> (SignerFiles, Signer) {
    let opened = ViewFile::open(dir, NETWORK, &Checkpoint::genesis(NETWORK));
    let (file, view) = opened.expect("it is ours");
    let seed = apart::seed(4);
    let keys = seed.channel_keys(NETWORK, NodeIndex::FIRST);
    let (channels_file, channels) = ChannelsFile::open(dir, NETWORK, keys).expect("it is ours");
    let key = seed.node_key(NETWORK, NodeIndex::FIRST);
    let signer = Signer::new(key, seed.wallet_key(NETWORK), channels).with_view(view);
    (SignerFiles { view: file, channels: channels_file }, signer)
}

fn headers(count: u64) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for salt in 1..=count {
        let parent = headers.last().map_or_else(|| genesis().block_hash(), Header::block_hash);
        headers.push(mine(parent, salt, Vec::new()).header);
    }
    headers
}

fn tell(file: &mut SignerFiles, signer: &mut Signer, headers: &[Header]) -> Answer {
    saved_answer(signer, file, LINK, Ask::ViewHeaders { headers: headers.to_vec() })
}

fn is_taken(answer: &Answer) -> bool {
    matches!(answer, Answer::View { .. })
}

/// A folder whose file has `count` headers, each saved by itself, and its length after each.
fn written(dir: &Path, headers: &[Header]) -> Vec<u64> {
    let (mut file, mut signer) = open(dir);
    let mut lengths = Vec::new();
    for header in headers {
        assert!(is_taken(&tell(&mut file, &mut signer, &[*header])));
        lengths.push(fs::metadata(dir.join(VIEW_FILE)).expect("it is there").len());
    }
    lengths
}

#[test]
fn what_was_answered_is_there_after_a_crash_at_any_byte() {
    let place = Place::new();
    let (dir, headers) = (place.at(""), headers(6));
    let lengths = written(&dir, &headers);
    let whole = fs::read(dir.join(VIEW_FILE)).expect("it is there");
    // The sum is there with the first one.
    let per_header = lengths[1] - lengths[0];
    let sum = lengths[0] - per_header;
    assert!(per_header < 100, "what is new costs what it is: {per_header} bytes");
    let mut dice = Dice::new(3);
    for cut in sum as usize..=whole.len() {
        let mut bytes = whole[..cut].to_vec();
        // Some systems have made the file longer before its bytes were there.
        if dice.one_in(2) && lengths.contains(&(cut as u64)) {
            bytes.resize(cut + dice.below(300), 0);
        }
        fs::write(dir.join(VIEW_FILE), &bytes).expect("it is ours");
        let known = lengths.iter().filter(|length| **length <= cut as u64).count();
        let (mut file, mut signer) = open(&dir);
        assert_eq!(signer.view().tip().height.0 as usize, known, "cut at {cut}");
        // It goes on, and what comes now is not behind the torn end.
        assert!(is_taken(&tell(&mut file, &mut signer, &headers[known..])));
        assert_eq!(open(&dir).1.view().tip().height.0, 6, "cut at {cut}");
    }
}

#[test]
fn what_cannot_be_saved_is_refused_and_not_known() {
    let place = Place::new();
    let (dir, headers) = (place.at("later"), headers(2));
    let (mut file, mut signer) = open(&dir);
    for _ in 0..2 {
        let answer = tell(&mut file, &mut signer, &headers);
        let Answer::Refused(Refusal::NotSaved { bytes, code }) = answer else {
            panic!("no folder")
        };
        assert_eq!((bytes, code), (173, 2));
        assert_eq!(signer.view().tip().height.0, 0);
    }
    fs::create_dir(&dir).expect("it is ours");
    assert!(is_taken(&tell(&mut file, &mut signer, &headers)));
    assert_eq!(open(&dir).1.view().tip().height.0, 2);
}

/// Set in a process whose files cannot grow.
const SMALL_FILES: &str = "LEYDEN_TEST_SMALL_FILES";

#[test]
fn a_disk_that_is_full_is_an_answer() {
    if let Some(dir) = env::var_os(SMALL_FILES) {
        return fill(&PathBuf::from(dir));
    }
    let place = Place::new();
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\" --exact \"$1\""]);
    limited.arg(env::current_exe().expect("we run"));
    limited.arg("view_file::a_disk_that_is_full_is_an_answer");
    let output = limited.env(SMALL_FILES, place.at("")).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // With room it goes on from there.
    let (mut file, mut signer) = open(&place.at(""));
    let known = signer.view().tip().height.0;
    assert!((4..40).contains(&known), "{known}");
    assert!(is_taken(&tell(&mut file, &mut signer, &headers(40)[known as usize..])));
    assert_eq!(open(&place.at("")).1.view().tip().height.0, 40);
}

fn fill(dir: &Path) {
    let headers = headers(40);
    let (mut file, mut signer) = open(dir);
    let (mut known, mut refused) = (0, 0);
    for header in &headers {
        let answer = tell(&mut file, &mut signer, &[*header]);
        if is_taken(&answer) {
            known += 1;
        } else if let Answer::Refused(Refusal::NotSaved { code, .. }) = answer {
            assert_eq!(code, 27, "too large");
            refused += 1;
        } else {
            // It is behind one that was refused.
            assert!(matches!(answer, Answer::Refused(Refusal::View(_))), "{}", answer.name());
        }
    }
    assert!(known > 0 && refused > 0, "{known} {refused}");
    // What was written of the refused one is no trace: the same is refused again, and again.
    for _ in 0..3 {
        let answer = tell(&mut file, &mut signer, &headers[known..=known]);
        assert!(matches!(answer, Answer::Refused(Refusal::NotSaved { .. })));
        assert_eq!(signer.view().tip().height.0 as usize, known);
        assert_eq!(open(dir).1.view().tip().height.0 as usize, known);
    }
    // What is shorter has room, where a part of the longer one would stand.
    let block = mine(genesis().block_hash(), 1, Vec::new());
    let proof = Box::new(chain::Proof::of(&block, 0).expect("it has a coinbase"));
    let ask = Ask::ViewProof { block: block.block_hash(), proof };
    let answer = saved_answer(&mut signer, &mut file, LINK, ask);
    assert!(matches!(answer, Answer::Proven { .. }), "{}", answer.name());
    let txid = block.txdata[0].compute_txid();
    assert!(open(dir).1.view().proven(txid).is_some());
}

/// Reorgs to and fro make the changes longer than their sum: now and then only that is kept.
#[test]
fn a_file_does_not_grow_for_ever() {
    let place = Place::new();
    let dir = place.at("");
    let (mut file, mut signer) = open(&dir);
    let mut branches = [headers(150), Vec::new()];
    branches[1] = branches[0][..1].to_vec();
    let (mut longest, mut written) = (0, 0);
    for round in 0..130_u64 {
        let branch = &mut branches[round as usize % 2];
        while branch.len() < 150 + round as usize {
            let parent = branch.last().expect("it has a first").block_hash();
            branch.push(mine(parent, 10_000 * (round + 1) + branch.len() as u64, vec![]).header);
        }
        let behind = &branch[round.min(1) as usize..];
        assert!(is_taken(&tell(&mut file, &mut signer, behind)), "{round}");
        written += 80 * behind.len() as u64;
        longest = longest.max(fs::metadata(dir.join(VIEW_FILE)).expect("it is there").len());
    }
    assert!(written > 2 << 20, "{written}");
    assert!(longest < 5 << 18, "{longest}");
    let (_, again) = open(&dir);
    assert_eq!(again.view().encode(), signer.view().encode());
}

#[test]
fn a_file_of_another_chain_than_its_checkpoint_is_refused() {
    let place = Place::new();
    let (dir, headers) = (place.at(""), headers(6));
    written(&dir, &headers);
    let at = |height: u32, header: Header| {
        Checkpoint::new(NETWORK, chain::Height(height), header).expect("it is worked for")
    };
    let with = |checkpoint| ViewFile::open(&dir, NETWORK, &checkpoint).map(|(_, view)| view.tip());
    // One that it has, and one that is behind it: there it begins anew.
    let tip = with(at(3, headers[2])).expect("it goes on");
    assert_eq!(tip.height.0, 6);
    let newer = mine(headers[5].block_hash(), 8, Vec::new()).header;
    assert_eq!(with(at(9, newer)).expect("it begins anew"), at(9, newer).block());
    let wrong = with(at(3, newer)).expect_err("another block");
    assert!(matches!(wrong, JournalFault::File { .. }), "{wrong}");
    assert!(wrong.to_string().contains(&newer.block_hash().to_string()), "{wrong}");
}
