//! What a fresh world costs, with and without the kernel: every test and demonstration pays it.
//!
//! A *world* is opened, 110 blocks are mined in it, each is validated by the kernel and taken into
//! our index, and all of it is taken down again with its files. The *light* world is our own chain
//! with all of its checks, and no kernel. Figures are medians of rounds that alternate.

use std::hint::black_box;

use bitcoin::{Amount, ScriptBuf};
use devnet::{
    Devnet,
    ledger::{Draft, Ledger, subsidy},
};
use paired::{Target, Timing, compare_many};

const BENCH: &str = "devnet";
const BLOCKS: u32 = 110;
const TARGET_MS: f64 = 60.0;
const MS: f64 = 1e6;

fn main() {
    let timings = compare_many(&mut [
        ("world-of-110-blocks", &mut world),
        ("world-of-none", &mut empty),
        ("light-world-of-110-blocks", &mut light),
    ]);
    for Timing { name, ns } in &timings {
        let target = if name.starts_with("world-of-110") {
            Target::AtMost(TARGET_MS)
        } else {
            Target::Report
        };
        paired::report(BENCH, name, ns / MS, "ms", target, *ns, MS);
    }
    payments();
}

fn empty() {
    black_box(Devnet::in_memory().expect("a devnet"));
}

fn world() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    devnet.mine_many(BLOCKS, None).expect("blocks");
    assert_eq!(black_box(devnet.tip()).height, BLOCKS);
}

fn light() {
    let mut ledger = Ledger::new();
    let to = ScriptBuf::from_bytes(vec![0x51]);
    for extra in 0..BLOCKS {
        let (parent, place) = (ledger.tip().hash, ledger.next_place());
        let (height, reward) = (place.height, subsidy(place.height));
        let time = place.time + 600;
        let transactions = Vec::new();
        let extra = u64::from(extra);
        let draft = Draft { parent, height, time, to: &to, reward, extra, transactions };
        ledger.offer(draft.mine(), None).expect("a good block");
    }
    assert_eq!(black_box(ledger.tip()).height, BLOCKS);
}

/// What a payment costs until it waits: signed, judged, taken in.
fn payments() {
    let mut devnet = Devnet::in_memory().expect("a devnet");
    let to = ScriptBuf::from_bytes([&[0x00, 0x14][..], &[7; 20]].concat());
    let amount = Amount::from_sat(10_000);
    let mut pay = || {
        devnet.fund(&to, amount).expect("money");
        // A long row of them would measure the row.
        if devnet.mempool().len() >= 16 {
            devnet.mine(None).expect("a block");
        }
    };
    let timings = compare_many(&mut [("payment", &mut pay)]);
    let ns = timings[0].ns;
    paired::report(BENCH, "payments", 1e9 / ns, "1/s", Target::Report, 1e9, ns);
}
