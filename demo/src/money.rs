//! Money on the chain: it arrives, is taken back, and returns.

use serde_json::Value;

use crate::{
    cast::{Failed, Leyden},
    stage::Stage,
};

/// What Alice gets.
const FUNDS_SAT: u64 = 2_000_000;
/// What she pays Bob.
const PAYMENT_SAT: u64 = 150_000;

/// Bob's process has a chain; Alice's node follows it, and her signer signs.
pub fn money(stage: &mut Stage, alice: &Leyden, bob: &Leyden) -> Result<(), Failed> {
    stage.scene("Money on a chain of their own")?;
    stage.say(
        "Bob's process has a chain for tests in it, validated by Bitcoin Core's own code. It",
    )?;
    stage.say("speaks bitcoind's JSON-RPC, and Alice's node takes it for one.")?;
    arrives(stage, alice, bob)?;
    is_taken_back_and_returns(stage, alice, bob)?;
    is_paid_on(stage, alice, bob)
}

fn arrives(stage: &Stage, alice: &Leyden, bob: &Leyden) -> Result<(), Failed> {
    let address = text(&alice.must(&["wallet", "address"])?["address"]);
    let amount = format!("{FUNDS_SAT}sat");
    stage.typed(&bob.typed(&["devnet", "fund", "ALICE", &amount]))?;
    stage.wait("mining test money", || bob.must(&["devnet", "fund", &address, &amount]))?;
    stage.typed(&bob.typed(&["devnet", "mine"]))?;
    let (height, verdict) = newest(&bob.must(&["devnet", "mine"])?)?;
    stage.show("block", &format!("{height}: the kernel says {verdict}"))?;
    balance(alice, FUNDS_SAT, 0)?;
    stage.show("Alice", &format!("{FUNDS_SAT} sat, confirmed"))?;
    Ok(())
}

fn is_taken_back_and_returns(stage: &Stage, alice: &Leyden, bob: &Leyden) -> Result<(), Failed> {
    stage.typed(&bob.typed(&["devnet", "reorg", "1"]))?;
    let (height, _) = newest(&bob.must(&["devnet", "reorg", "1"])?)?;
    balance(alice, 0, FUNDS_SAT)?;
    stage.show("a heavier branch", &format!("up to block {height}, without her payment"))?;
    stage.show("Alice", &format!("nothing; {FUNDS_SAT} sat are pending again"))?;
    let (height, _) = newest(&bob.must(&["devnet", "mine"])?)?;
    balance(alice, FUNDS_SAT, 0)?;
    stage.show("block", &format!("{height} has it once more"))?;
    stage.show("Alice", &format!("{FUNDS_SAT} sat, confirmed"))?;
    Ok(())
}

fn is_paid_on(stage: &Stage, alice: &Leyden, bob: &Leyden) -> Result<(), Failed> {
    let address = text(&bob.must(&["wallet", "address"])?["address"]);
    let amount = format!("{PAYMENT_SAT}sat");
    stage.typed(&alice.typed(&["wallet", "send", "BOB", &amount]))?;
    let sent = alice.must(&["wallet", "send", &address, &amount])?;
    let fee = sent["fee_sat"].as_u64().ok_or("no fee")?;
    stage.show("her signer", "has judged what it means, and signed; her node has no key")?;
    bob.must(&["devnet", "mine"])?;
    balance(alice, FUNDS_SAT - PAYMENT_SAT - fee, 0)?;
    balance(bob, PAYMENT_SAT, 0)?;
    stage.show("Bob", &format!("{PAYMENT_SAT} sat, confirmed"))?;
    stage.show("Alice", &format!("{} sat, after a fee of {fee}", FUNDS_SAT - PAYMENT_SAT - fee))?;
    Ok(())
}

/// Waits until a wallet has just so much.
fn balance(leyden: &Leyden, confirmed_sat: u64, pending_sat: u64) -> Result<(), Failed> {
    leyden.until(&["wallet", "balance"], |balance| {
        balance["confirmed_sat"] == confirmed_sat && balance["pending_sat"] == pending_sat
    })
}

/// The last of some blocks that were mined: its height, and what the kernel says.
fn newest(mined: &Value) -> Result<(u64, String), Failed> {
    let last = mined["blocks"].as_array().and_then(|blocks| blocks.last()).ok_or("no block")?;
    let height = last["block"]["height"].as_u64().ok_or("a block without a height")?;
    Ok((height, text(&last["verdict"])))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
