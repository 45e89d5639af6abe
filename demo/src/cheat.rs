//! A peer that puts an old state on the chain, and what it costs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::{
    cast::{Failed, Leyden, Service},
    stage::Stage,
};

/// What the channel holds.
const CAPACITY_SAT: u64 = 500_000;
/// What of it is Mallory's from the beginning.
const PUSHED_SAT: u64 = 250_000;
/// What she pays Alice, and would like to have back.
const PAID_SAT: u64 = 200_000;
/// What is enough for everybody's fees.
const FEES_SAT_MAX: u64 = 20_000;
/// Between two blocks.
const BETWEEN_BLOCKS: Duration = Duration::from_millis(100);
/// A punishment that is not over after so many blocks never will be.
const BLOCKS_MAX: usize = 60;

/// Mallory, and the chain she follows.
struct Mallory {
    leyden: Leyden,
    chain: Vec<String>,
}

/// Mallory pays, puts back her files of the day before, and closes with them.
pub fn cheat(
    stage: &mut Stage,
    folder: &Path,
    alice: &Leyden,
    bob: &Leyden,
    chain: &[String],
) -> Result<(), Failed> {
    stage.scene("Somebody cheats")?;
    let mallory = Mallory { leyden: Leyden::new(folder, "mallory")?, chain: chain.to_vec() };
    let before = confirmed(alice)?;
    let (id, node) = opens(stage, alice, bob, &mallory)?;
    let node = pays(stage, alice, &mallory, node)?;
    let _node = lies(stage, &mallory, node, &id)?;
    let has = is_punished(stage, alice, bob, &id, before.saturating_sub(FEES_SAT_MAX))?;
    let all = CAPACITY_SAT - before.saturating_sub(has);
    stage.show("Alice has again", &format!("{all} of {CAPACITY_SAT} sat: all but the fees"))?;
    let rest = PUSHED_SAT - PAID_SAT;
    stage.show("Mallory", &format!("nothing; honest she would have {rest} sat"))?;
    Ok(())
}

fn opens(
    stage: &Stage,
    alice: &Leyden,
    bob: &Leyden,
    mallory: &Mallory,
) -> Result<(String, Service), Failed> {
    let node = stage.wait("starting Mallory's node", || {
        let made = mallory.leyden.init()?;
        let node = mallory.up(&["--roles", "all", "--listen", "127.0.0.1:0"])?;
        let at = format!("{}@{}", made["node"].as_str().unwrap_or_default(), node.listening()?);
        alice.must(&["connect", &at])?;
        Ok((node, made))
    })?;
    let (node, made) = node;
    let to = made["node"].as_str().unwrap_or_default();
    let (amount, push) = (format!("{CAPACITY_SAT}sat"), format!("{PUSHED_SAT}sat"));
    stage.typed(&alice.typed(&["open", "MALLORY", &amount, "--push", &push]))?;
    let opened = stage.wait("opening", || alice.must(&["open", to, &amount, "--push", &push]))?;
    let id = opened["id"].as_str().ok_or("a channel without an id")?.to_owned();
    bob.must(&["devnet", "mine", "3"])?;
    for leyden in [alice, &mallory.leyden] {
        leyden.until(&["channel", &id], |line| line["state"] == "open")?;
    }
    stage.show("channel", &format!("{}: {PUSHED_SAT} sat of it are Mallory's", &id[..16]))?;
    Ok((id, node))
}

/// Mallory copies her folder, and pays.
fn pays(
    stage: &Stage,
    alice: &Leyden,
    mallory: &Mallory,
    mut node: Service,
) -> Result<Service, Failed> {
    let to = alice.must(&["info"])?["node"].as_str().unwrap_or_default().to_owned();
    let at = node.listening()?.to_owned();
    stage.typed(&mallory.leyden.typed(&["stop"]))?;
    stage.typed("cp -r mallory yesterday")?;
    let amount = format!("{PAID_SAT}sat");
    stage.typed(&mallory.leyden.typed(&["pay", "ALICE", &amount]))?;
    let node = stage.wait("copying, and paying", || {
        mallory.leyden.must(&["stop"])?;
        node.wait()?;
        copy(&mallory.leyden.dir, &mallory.yesterday())?;
        // Where she was, so that Alice's node finds her.
        let node = mallory.up(&["--roles", "all", "--listen", &at])?;
        mallory.leyden.until(&["channels"], |all| all[0]["connected"] == true)?;
        let paid = mallory.leyden.must(&["pay", &to, &amount])?;
        if paid["state"] != "paid" {
            return Err(format!("it is not paid: {paid}").into());
        }
        for leyden in [alice, &mallory.leyden] {
            leyden.until(&["channels"], |all| {
                all.as_array().is_some_and(|all| all.iter().all(|line| line["htlcs"] == 0))
            })?;
        }
        Ok(node)
    })?;
    stage.show("paid", &format!("of her {PUSHED_SAT} sat Mallory has {PAID_SAT} less"))?;
    Ok(node)
}

/// The node and its signer of the day before, which nobody can tell anything: they have no sockets.
fn lies(stage: &Stage, mallory: &Mallory, mut node: Service, id: &str) -> Result<Service, Failed> {
    stage.typed(&format!("kill -9 {}", node.id()))?;
    node.kill()?;
    stage.typed("rm -r mallory; mv yesterday mallory")?;
    fs::remove_dir_all(&mallory.leyden.dir)?;
    fs::rename(mallory.yesterday(), &mallory.leyden.dir)?;
    let nowhere = mallory.leyden.link("nowhere");
    let node = mallory.up(&["--roles", "signer,node", "--sockets", &nowhere])?;
    mallory.leyden.until(&["channels"], |all| all[0]["state"] == "open")?;
    let short = &id[..8];
    stage.typed(&mallory.leyden.typed(&["close", short, "--force"]))?;
    match mallory.leyden.ask(&["close", id, "--force"])? {
        Ok(_) => return Err("her node closes, although it could know better".into()),
        Err(_) => stage.show("her node", "says no: it has not heard from Alice since its start")?,
    }
    stage.typed(&mallory.leyden.typed(&["close", short, "--force", "--unheard"]))?;
    mallory.leyden.must(&["close", id, "--force", "--unheard"])?;
    stage.show("on its way", &format!("a state in which Mallory still has {PUSHED_SAT} sat"))?;
    Ok(node)
}

/// Mallory's commitment is in a block; then everything that it pays is Alice's.
fn is_punished(
    stage: &Stage,
    alice: &Leyden,
    bob: &Leyden,
    id: &str,
    expected_sat: u64,
) -> Result<u64, Failed> {
    stage.typed(&bob.typed(&["devnet", "mine"]))?;
    stage.wait("mining", || {
        // Mallory's node may still be publishing.
        for _ in 0..BLOCKS_MAX {
            bob.must(&["devnet", "mine"])?;
            std::thread::sleep(BETWEEN_BLOCKS);
            if alice.must(&["channel", id])?["closing_txid"].is_string() {
                return Ok(());
            }
        }
        Err("nothing was published".into())
    })?;
    stage.typed(&alice.typed(&["channel", &id[..8]]))?;
    stage.say(alice.must(&["channel", id])?["why"].as_str().unwrap_or("it says nothing"))?;
    stage.wait("taking everything", || {
        for _ in 0..BLOCKS_MAX {
            bob.must(&["devnet", "mine", "1"])?;
            std::thread::sleep(BETWEEN_BLOCKS);
            let sat = confirmed(alice)?;
            if sat >= expected_sat {
                return Ok(sat);
            }
        }
        Err(format!("Alice has {} sat, not {expected_sat}", confirmed(alice)?).into())
    })
}

fn confirmed(leyden: &Leyden) -> Result<u64, Failed> {
    let balance: Value = leyden.must(&["wallet", "balance"])?;
    balance["confirmed_sat"].as_u64().ok_or_else(|| "a wallet without a balance".into())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failed> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // Links and locks are made anew.
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

impl Mallory {
    fn up(&self, words: &[&str]) -> Result<Service, Failed> {
        let chain = self.chain.iter().map(String::as_str);
        self.leyden.up(&words.iter().copied().chain(chain).collect::<Vec<_>>())
    }

    fn yesterday(&self) -> PathBuf {
        self.leyden.dir.with_file_name("yesterday")
    }
}
