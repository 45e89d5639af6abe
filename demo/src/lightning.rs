//! A channel: opened, used, interrupted by a SIGKILL, used again, closed.

use std::time::Duration;

use serde_json::Value;

use crate::{
    cast::{Failed, Leyden, Service},
    stage::Stage,
};

/// What the channel holds.
const CAPACITY_SAT: u64 = 1_000_000;
/// What of it is Bob's from the beginning.
const PUSHED_SAT: u64 = 200_000;
/// What Alice pays each time, and Bob.
const PAYMENTS_SAT: [u64; 2] = [2_500, 1_000];
/// How often both pay, before the process is killed and after.
const TIMES: u64 = 5;

/// A close that is not in so many blocks will never be,
const BLOCKS_MAX: usize = 50;
/// with this time between them.
const BETWEEN_BLOCKS: Duration = Duration::from_millis(100);

/// Alice, whose node can be killed and started again.
pub struct Payer<'a> {
    pub leyden: &'a Leyden,
    pub id: &'a str,
    pub node: &'a mut Service,
    pub words: &'a [String],
}

/// Opens a channel from Alice to Bob, and all that follows.
pub fn lightning(
    stage: &mut Stage,
    alice: &mut Payer<'_>,
    bob: &Leyden,
    bob_id: &str,
) -> Result<(), Failed> {
    stage.scene("A channel, and a process that is killed in the middle")?;
    opens(stage, alice.leyden, bob, bob_id)?;
    pays(stage, alice, bob, bob_id)?;
    stage.typed(&format!("kill -9 {}", alice.node.id()))?;
    alice.node.kill()?;
    let (leyden, words) = (alice.leyden, alice.words);
    *alice.node = stage.wait("starting the node again", || {
        let node = leyden.up(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        leyden.until(&["channels"], |all| all[0]["connected"] == true)?;
        Ok(node)
    })?;
    stage.show("the node is back", "both have said where they stand, and go on")?;
    pays(stage, alice, bob, bob_id)?;
    let each = 2 * TIMES;
    let ours = CAPACITY_SAT - PUSHED_SAT - each * PAYMENTS_SAT[0] + each * PAYMENTS_SAT[1];
    for (leyden, local) in [(alice.leyden, ours), (bob, CAPACITY_SAT - ours)] {
        leyden.until(&["channels"], |all| {
            all[0]["local_msat"] == local * 1_000 && all[0]["htlcs"] == 0
        })?;
    }
    stage.show("Alice and Bob", &format!("agree on {ours} and {} sat", CAPACITY_SAT - ours))?;
    closes(stage, alice.leyden, bob)
}

fn opens(stage: &Stage, alice: &Leyden, bob: &Leyden, bob_id: &str) -> Result<(), Failed> {
    let (amount, push) = (format!("{CAPACITY_SAT}sat"), format!("{PUSHED_SAT}sat"));
    stage.typed(&alice.typed(&["open", "BOB", &amount, "--push", &push]))?;
    let opened = alice.must(&["open", bob_id, &amount, "--push", &push])?;
    let id = opened["id"].as_str().unwrap_or_default().to_owned();
    stage.show("channel", &id[..16.min(id.len())])?;
    stage.typed(&bob.typed(&["devnet", "mine", "3"]))?;
    bob.must(&["devnet", "mine", "3"])?;
    for leyden in [alice, bob] {
        leyden.until(&["channels"], |all| all[0]["state"] == "open")?;
    }
    stage.show("its funding", "is three blocks deep: it is open")?;
    Ok(())
}

fn pays(stage: &Stage, alice: &Payer<'_>, bob: &Leyden, bob_id: &str) -> Result<(), Failed> {
    let [first, second] = PAYMENTS_SAT.map(|sat| format!("{sat}sat"));
    stage.typed(&alice.leyden.typed(&["pay", "BOB", &first]))?;
    stage.typed(&bob.typed(&["pay", "ALICE", &second]))?;
    for _ in 0..TIMES {
        is_paid(&alice.leyden.must(&["pay", bob_id, &first])?)?;
        is_paid(&bob.must(&["pay", alice.id, &second])?)?;
    }
    stage.show("paid", &format!("{TIMES} times each way"))?;
    Ok(())
}

fn closes(stage: &Stage, alice: &Leyden, bob: &Leyden) -> Result<(), Failed> {
    let id = alice.must(&["channels"])?[0]["id"].as_str().unwrap_or_default().to_owned();
    stage.typed(&alice.typed(&["close", &id[..8.min(id.len())]]))?;
    alice.must(&["close", &id])?;
    // Both sign it first; the block behind that has it.
    for _ in 0..BLOCKS_MAX {
        bob.must(&["devnet", "mine", "1"])?;
        std::thread::sleep(BETWEEN_BLOCKS);
        if alice.must(&["channels"])?[0]["closing_txid"].is_string() {
            break;
        }
    }
    bob.must(&["devnet", "mine", "6"])?;
    for leyden in [alice, bob] {
        leyden.until(&["channels"], |all| all[0]["state"] == "closed")?;
    }
    for (name, leyden) in [("Alice", alice), ("Bob", bob)] {
        let sat = leyden.must(&["wallet", "balance"])?["confirmed_sat"].to_string();
        stage.show(name, &format!("{sat} sat on the chain, what was in the channel included"))?;
    }
    Ok(())
}

fn is_paid(payment: &Value) -> Result<(), Failed> {
    match payment["state"] == "paid" {
        true => Ok(()),
        false => Err(format!("it is not paid: {payment}").into()),
    }
}
