//! Ten thousand channels at rest in one process: what each has in memory, and how long a restart
//! takes, from the file of the store to where the service follows the chain again.
//!
//! One channel is opened and used; all others are copies of it with names, keys and fundings of
//! their own. The log has a snapshot of all, and one change of each behind it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{PublicKey, SECP256K1, SecretKey};
use chain::{BlockRef, Height};
use channel::Begun;
use interop_ldk::channel::{KEY, TXID, Twins};
use node::io::channels::{CHANNELS, restore};
use node::services::channels::{Change, ChannelName, Channels, Effect, State, Step, Terms};
use node::services::treasury::{ChannelsWant, FollowedFrom, Reply};
use node::store::{Store, Write};
use paired::{Target, report};
use signer::{Answer, ChannelAnswer, UnixTime};
use wire::Network;
use wire::amount::FeeratePerKw;
use wire::id::ChannelKey;
use wire::tick::Tick;

#[global_allocator]
static HEAP: counting::Counting = counting::Counting;

const CHANNELS_HELD: usize = 10_000;
/// With so many peers.
const PEERS: usize = 1_000;
/// Payments that each channel has seen.
const PAYMENTS: usize = 500;
const BYTES_MAX: f64 = 8_192.0;
const RESTART_SECONDS_MAX: f64 = 2.0;
const RESTARTS: usize = 5;

fn main() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = path.join(format!("rest-{}.sqlite", std::process::id()));
    make(&path);
    let bytes = fs::metadata(&path).expect("it was made").len() as f64;
    let each = CHANNELS_HELD as f64;
    report("rest", "disk", bytes / each, "B", Target::Report, bytes, each);
    let (mut seconds, mut held) = (Vec::new(), 0);
    for _ in 0..RESTARTS {
        let before = counting::live_bytes();
        let begun = Instant::now();
        let channels = restart(&path);
        seconds.push(begun.elapsed().as_secs_f64());
        held = counting::live_bytes() - before;
        assert_eq!(channels.state().channels.len(), CHANNELS_HELD);
    }
    let held = held as f64;
    report("rest", "memory", held / each, "B", Target::AtMost(BYTES_MAX), held, each);
    seconds.sort_by(f64::total_cmp);
    let (median, target) = (seconds[RESTARTS / 2], Target::AtMost(RESTART_SECONDS_MAX));
    report("rest", "restart", median, "s", target, median, 1.0);
    clean(&path);
}

/// A store with all of them.
fn make(path: &Path) {
    let mut twins = Twins::open(1);
    (0..PAYMENTS).for_each(|_| twins.wave(1));
    let (begun, sum) = (twins.begun().encode(), twins.sum());
    let block = BlockRef { height: Height(100), hash: BlockHash::all_zeros() };
    let (mut state, mut lost) = (State::default(), Vec::new());
    state.evolve(&Change::Heard { block });
    for at in 0..CHANNELS_HELD {
        let (key, txid) = (mark(1, at), mark(2, at));
        let begun = patched(&patched(&begun, &KEY.0, &key), &TXID, &txid);
        let begun = Box::new(Begun::decode(&begun).expect("only names were changed"));
        let name = ChannelName { node: peer(at % PEERS), key: ChannelKey(key) };
        state.evolve(&Change::Begun { name, created: UnixTime(1), funding: None, begun });
        let change = Box::new(channel::Change::Sum(Box::new(sum.clone())));
        state.evolve(&Change::Live { name, change });
        state.evolve(&Change::Confirmed { name, block, position: 1 });
        let change = Change::Live { name, change: Box::new(channel::Change::Lost) };
        lost.push(Write::Change { core: CHANNELS, bytes: change.encode() });
    }
    let mut store = Store::open(path, None).unwrap_or_else(|no| panic!("{no}"));
    let snapshot = Write::Snapshot { core: CHANNELS, bytes: state.encode() };
    store.commit(&[vec![snapshot], lost]).unwrap_or_else(|no| panic!("{no}"));
}

/// What a process does before it hears of anybody.
fn restart(path: &Path) -> Channels {
    let mut store = Store::open(path, None).unwrap_or_else(|no| panic!("{no}"));
    let saved = store.restore(CHANNELS).unwrap_or_else(|no| panic!("{no}"));
    let before = restore(&saved).unwrap_or_else(|no| panic!("{no}"));
    drop((saved, store));
    let terms = Terms::of(Network::Regtest);
    let mut channels = Channels::open(before.state, terms, Tick(0), UnixTime(2));
    let at = BlockRef { height: Height(100), hash: BlockHash::all_zeros() };
    let (urgent, calm) = (FeeratePerKw(2_000), FeeratePerKw(1_000));
    channels.signer_came();
    // The signer and the treasury take its lease, and the chain is where it was.
    while let Some(step) = channels.poll() {
        match step {
            Step::Do(Effect::AskSigner(token, _)) => {
                channels.signer_answered(token, Some(Answer::Channel(ChannelAnswer::Done)));
            }
            Step::Do(Effect::AskTreasury { token, want, .. }) => {
                let following = Reply::Following(FollowedFrom { at, urgent, calm });
                let is_lease = *want == ChannelsWant::Lease;
                let reply = if is_lease { Reply::Done } else { following };
                channels.treasury_answered(token, Ok(reply));
            }
            Step::Do(_) | Step::Save(_) => {}
        }
    }
    channels
}

fn mark(kind: u8, at: usize) -> [u8; 32] {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&at.to_be_bytes());
    bytes
}

/// The same with other bytes in the one place that has these.
fn patched(bytes: &[u8], from: &[u8; 32], to: &[u8; 32]) -> Vec<u8> {
    let places: Vec<_> = bytes.windows(32).enumerate().filter(|(_, it)| it == from).collect();
    let [(at, _)] = places[..] else { panic!("{} places", places.len()) };
    [&bytes[..at], to, &bytes[at + 32..]].concat()
}

fn peer(at: usize) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&(at as u64 + 1).to_be_bytes());
    PublicKey::from_secret_key(SECP256K1, &SecretKey::from_slice(&bytes).expect("below the order"))
}

fn clean(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let name = format!("{}{end}", path.display());
        fs::remove_file(PathBuf::from(name)).ok();
    }
}
