//! What happens.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use apart::{IDENTITY, Place, Secrets};
use node::{io::office::POST, store::Store};

use crate::{
    cast::{Ear, Failed, Heard, Leyden, Service},
    cheat::cheat,
    lightning::{Payer, lightning},
    money::money,
    stage::Stage,
};

/// The type of our messages: odd and custom, so that any peer may pass over them.
const NOTE: &str = "33281";

/// Alice's node, in three processes.
struct Alice {
    leyden: Leyden,
    id: String,
    secrets: Secrets,
    signer: Service,
    sockets: Service,
    node: Service,
    signer_words: Vec<String>,
    node_words: Vec<String>,
}

/// Bob's, in one.
struct Bob {
    leyden: Leyden,
    id: String,
    node: Service,
}

/// Plays everything.
pub fn play(stage: &mut Stage, stay: bool) -> Result<(), Failed> {
    let place = Place::new();
    stage.say(
        "Leyden is a Lightning node that you can take apart. This shows it on this machine:",
    )?;
    stage.say("Alice's node runs as three processes, Bob's as one. Everything is done with the")?;
    stage.say("binary `leyden`; lines with a $ are what you would type in the folder")?;
    stage.say(&format!("{}.", place.path().display()))?;
    let (mut alice, mut bob) = start(stage, &place)?;
    connect(stage, &alice, &bob)?;
    let connected = Instant::now();
    where_the_key_is(stage, &alice)?;
    let (to_alice, to_bob) = (alice.leyden.listen()?, bob.leyden.listen()?);
    talk(stage, &alice, &bob, &to_alice, &to_bob)?;
    upgrade(stage, &mut alice, &bob, &to_alice, &to_bob)?;
    without_signer(stage, &mut alice, &bob)?;
    without_node(stage, &mut alice, &bob, to_alice)?;
    money(stage, &alice.leyden, &bob.leyden)?;
    let peers = alice.leyden.must(&["peers"])?;
    let (connection, seconds) = (&peers[0]["connection"], connected.elapsed().as_secs_f32());
    stage.say(&format!(
        "Connection {connection} has lived through all of this, for {seconds:.1} s."
    ))?;
    drop(to_bob);
    let words = alice.node_words.clone();
    let (leyden, id) = (&alice.leyden, &alice.id);
    let mut payer = Payer { leyden, id, node: &mut alice.node, words: &words };
    lightning(stage, &mut payer, &bob.leyden, &bob.id)?;
    let chain = chain_words(&bob.leyden, &bob.node)?;
    cheat(stage, place.path(), &alice.leyden, &bob.leyden, &chain)?;
    stage.scene("The end")?;
    stage.say("All of it on one machine; nothing of it is left.")?;
    if stay {
        remain(stage, &mut alice, &mut bob)?;
    }
    stage.say("")?;
    stage.say("Payments over several channels come next: docs/status.md.")?;
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn up(leyden: &Leyden, words: &[String]) -> Result<Service, Failed> {
    leyden.up(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn start(stage: &mut Stage, place: &Place) -> Result<(Alice, Bob), Failed> {
    stage.scene("Two nodes, one of them in three processes")?;
    let of_alice = Leyden::new(place.path(), "alice")?;
    let of_bob = Leyden::new(place.path(), "bob")?;
    let made = stage.wait("encrypting two seeds", || Ok((of_alice.init()?, of_bob.init()?)))?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let (alice_id, bob_id) = (text(&made.0["node"]), text(&made.1["node"]));
    let seed: Vec<String> = made.0["words"].as_array().into_iter().flatten().map(text).collect();
    let secrets = Secrets::of_words(&seed.join(" ")).ok_or("words that are none")?;

    let link = |name: &str| of_alice.link(name);
    let signer_words = words(&[
        "--roles",
        "signer",
        "--listen",
        &link("keys-for-node"),
        "--listen",
        &format!("sockets@{}", link("keys-for-sockets")),
    ]);
    let sockets_words = words(&[
        "--roles",
        "sockets",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        &link("sockets-for-node"),
        "--listen",
        &format!("handover@{}", link("door")),
        "--signer",
        &link("keys-for-sockets"),
    ]);
    let of_bobs =
        ["--roles", "all,devnet", "--devnet-rpc", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let (signer, sockets, node, bob, node_words) = stage.wait("starting four processes", || {
        let signer = up(&of_alice, &signer_words)?;
        let sockets = up(&of_alice, &sockets_words)?;
        let bob = of_bob.up(&of_bobs)?;
        let node_words = node_words(&of_alice, &of_bob, &bob)?;
        let node = up(&of_alice, &node_words)?;
        of_alice.until(&["info"], |info| info["signer"] == true && info["sockets"] == true)?;
        of_bob.until(&["info"], |info| info["node"].is_string())?;
        Ok((signer, sockets, node, bob, node_words))
    })?;
    let alice = Alice {
        leyden: of_alice,
        id: alice_id,
        secrets,
        signer,
        sockets,
        node,
        signer_words,
        node_words,
    };
    let bob = Bob { leyden: of_bob, id: bob_id, node: bob };
    picture(stage, &alice, &bob)?;
    Ok((alice, bob))
}

/// Alice's node has a signer and sockets elsewhere, and takes Bob's devnet for a bitcoind.
fn node_words(alice: &Leyden, bob: &Leyden, of_bob: &Service) -> Result<Vec<String>, Failed> {
    let mut all = words(&[
        "--roles",
        "node",
        "--signer",
        &alice.link("keys-for-node"),
        "--sockets",
        &alice.link("sockets-for-node"),
    ]);
    all.extend(chain_words(bob, of_bob)?);
    Ok(all)
}

/// Who takes Bob's devnet for a bitcoind says so.
fn chain_words(bob: &Leyden, of_bob: &Service) -> Result<Vec<String>, Failed> {
    let devnet = of_bob.ready["devnet"].as_str().ok_or("Bob has no devnet")?;
    let (url, cookie) = (format!("http://{devnet}"), bob.dir.join("devnet/.cookie"));
    let cookie = cookie.display().to_string();
    Ok(words(&["--bitcoind", &url, "--bitcoind-cookie", &cookie]))
}

fn picture(stage: &Stage, alice: &Alice, bob: &Bob) -> Result<(), Failed> {
    let Alice { leyden, signer, sockets, node, .. } = alice;
    stage.typed(&leyden.typed(&["up", "--roles", "signer …"]))?;
    stage.typed(&leyden.typed(&["up", "--roles", "sockets …"]))?;
    stage.typed(&leyden.typed(&["up", "--roles", "node …"]))?;
    stage.say("")?;
    stage.say("                  ┌─────────────────┐")?;
    stage.say(&format!(
        "            ┌─────┤ signer  {:<8}│  the key, and nothing else",
        signer.id()
    ))?;
    stage.say("            │     └────────┬────────┘")?;
    stage.say("   ┌────────┴────────┐     │")?;
    stage.say(&format!("   │ node    {:<8}│     │  a log on disk, an API, no key", node.id()))?;
    stage.say("   └────────┬────────┘     │")?;
    stage.say("            │     ┌────────┴────────┐")?;
    stage.say(&format!(
        "            └─────┤ sockets {:<8}│──── the network: no key, no disk",
        sockets.id()
    ))?;
    stage.say("                  └─────────────────┘")?;
    stage.show("Alice", &alice.id)?;
    stage.show("Bob", &bob.id)?;
    stage.show("", &format!("process {}", bob.node.id()))?;
    Ok(())
}

fn connect(stage: &mut Stage, alice: &Alice, bob: &Bob) -> Result<(), Failed> {
    stage.scene("Alice calls Bob")?;
    let at = format!("{}@{}", bob.id, bob.node.listening()?);
    stage.typed(&alice.leyden.typed(&["connect", &format!("BOB@{}", bob.node.listening()?)]))?;
    let peer = alice.leyden.must(&["connect", &at])?;
    bob.leyden.until(&["peers"], |peers| peers[0].is_object())?;
    stage.say(
        "The sockets asked the signer two questions, for two steps of the handshake. What is",
    )?;
    stage.say(
        "said from now on is sealed with keys that the sockets have, and the signer has not.",
    )?;
    stage.show("connection", &peer["connection"].to_string())?;
    let pong = alice.leyden.must(&["ping", &bob.id])?;
    stage.show("Bob answers a ping", &format!("after {} ms", pong["after_ms"]))?;
    Ok(())
}

fn where_the_key_is(stage: &mut Stage, alice: &Alice) -> Result<(), Failed> {
    stage.scene("Who has Alice's key?")?;
    stage.say(
        "The demonstration knows Alice's seed. It reads the memory of each process, byte by",
    )?;
    stage.say("byte, and looks for the key of her node, her seed, and every step between.")?;
    let parts = [("signer", &alice.signer), ("sockets", &alice.sockets), ("node", &alice.node)];
    for (name, service) in parts {
        let what = format!("reading the memory of {}", service.id());
        let found = stage.wait(&what, || Ok(alice.secrets.found_in(service.id())))?;
        let found = match found {
            Ok(found) => found,
            Err(fault) => {
                stage.show(name, &format!("this system does not let us look: {fault}"))?;
                continue;
            }
        };
        let is_signer = name == "signer";
        if found.contains(&IDENTITY.to_owned()) != is_signer || !(is_signer || found.is_empty()) {
            return Err(format!("the {name} has {found:?}").into());
        }
        let verdict = if is_signer { "has the node's key" } else { "nothing found" };
        stage.show(&format!("{name} ({})", service.id()), verdict)?;
    }
    Ok(())
}

/// Sends numbered messages from both sides, from `first` on, until told to stop. How many each way.
fn chat(
    alice: &Alice,
    bob: &Bob,
    next: &AtomicU64,
    stop: &AtomicBool,
    most: u64,
) -> Result<(), Failed> {
    while !stop.load(Ordering::Relaxed) && next.load(Ordering::Relaxed) < most {
        let number = format!("{:016x}", next.load(Ordering::Relaxed));
        alice.leyden.must(&["message", &bob.id, NOTE, &number])?;
        bob.leyden.must(&["message", &alice.id, NOTE, &number])?;
        next.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn talk(
    stage: &mut Stage,
    alice: &Alice,
    bob: &Bob,
    to_alice: &Ear,
    to_bob: &Ear,
) -> Result<(), Failed> {
    const EACH: u64 = 60;
    stage.scene("They talk")?;
    stage.typed(&alice.leyden.typed(&["message", "BOB", NOTE, "0000000000000001"]))?;
    stage.typed(&bob.leyden.typed(&["events"]))?;
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    // Events are told from the moment that the stream is open.
    let begin = Instant::now();
    while to_alice.heard().numbers.is_empty() || to_bob.heard().numbers.is_empty() {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err("no message comes through".into());
        }
        let number = format!("{:016x}", u64::MAX - begin.elapsed().as_millis() as u64);
        alice.leyden.must(&["message", &bob.id, NOTE, &number])?;
        bob.leyden.must(&["message", &alice.id, NOTE, &number])?;
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(100));
    to_alice.clear();
    to_bob.clear();
    stage.wait("sending messages", || chat(alice, bob, &next, &stop, EACH))?;
    let heard = [to_alice.until(EACH as usize)?, to_bob.until(EACH as usize)?];
    stage.show("messages each way", &EACH.to_string())?;
    verdict(stage, &heard, EACH)?;
    stage.say("Each was on Alice's disk before her sockets were told that they may forget it.")?;
    Ok(())
}

fn verdict(stage: &Stage, heard: &[Heard; 2], sent: u64) -> Result<(), Failed> {
    for (name, heard) in ["Alice", "Bob"].iter().zip(heard) {
        let lost = (0..sent).filter(|number| !heard.numbers.contains(number)).count();
        let (doubled, ended) = (heard.doubled.len(), heard.disconnects.len());
        stage.show(
            &format!("{name} has heard"),
            &format!(
                "{} messages, {lost} lost, {doubled} doubled, {ended} disconnects",
                heard.numbers.len()
            ),
        )?;
        if lost + doubled + ended > 0 {
            return Err(format!("{name} has not heard everything once").into());
        }
    }
    Ok(())
}

fn upgrade(
    stage: &mut Stage,
    alice: &mut Alice,
    bob: &Bob,
    to_alice: &Ear,
    to_bob: &Ear,
) -> Result<(), Failed> {
    stage.scene("The sockets are upgraded while they talk")?;
    let door = alice.leyden.link("door");
    let keys = alice.leyden.link("keys-for-sockets");
    let take_over = ["up", "--roles", "sockets", "--take-over", "unix:alice/door", "--signer …"];
    stage.typed(&alice.leyden.typed(&take_over))?;
    to_alice.clear();
    to_bob.clear();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let shared = &*alice;
    let successor = std::thread::scope(|scope| {
        let chatting = scope.spawn(|| chat(shared, bob, &next, &stop, u64::MAX));
        let upgraded = stage.wait("upgrading under traffic", || {
            std::thread::sleep(Duration::from_millis(400));
            let words = ["--roles", "sockets", "--take-over", &door, "--signer", &keys];
            let successor = shared.leyden.up(&words)?;
            std::thread::sleep(Duration::from_millis(400));
            Ok(successor)
        });
        stop.store(true, Ordering::Relaxed);
        chatting.join().map_err(|_| "a thread panicked")??;
        upgraded
    })?;
    let sent = next.load(Ordering::Relaxed);
    let heard = [to_alice.until(sent as usize)?, to_bob.until(sent as usize)?];
    let mut old = std::mem::replace(&mut alice.sockets, successor);
    old.wait()?;
    stage.show("the old process", &format!("{} has ended", old.id()))?;
    stage.show("the new one", &format!("{} has its sockets and their keys", alice.sockets.id()))?;
    verdict(stage, &heard, sent)?;
    let gap = heard.iter().map(|heard| heard.longest_gap).max().unwrap_or_default();
    stage.show("longest silence", &format!("{} ms", gap.as_millis()))?;
    Ok(())
}

fn without_signer(stage: &mut Stage, alice: &mut Alice, bob: &Bob) -> Result<(), Failed> {
    stage.scene("The signer is killed")?;
    stage.typed(&format!("kill -9 {}", alice.signer.id()))?;
    alice.signer.kill()?;
    alice.leyden.until(&["info"], |info| info["signer"] == false)?;
    let pong = alice.leyden.must(&["ping", &bob.id])?;
    stage.show("ping", &format!("works: after {} ms", pong["after_ms"]))?;
    alice.leyden.must(&["message", &bob.id, NOTE, "ffff"])?;
    stage.show("a message", "works")?;
    match alice.leyden.ask(&["sign", "hello"])? {
        Ok(_) => return Err("somebody has signed without a key".into()),
        Err(error) => stage.show("a signature", &format!("does not: {error}"))?,
    }
    let leyden = &alice.leyden;
    let words = &alice.signer_words;
    alice.signer = stage.wait("starting the signer again", || {
        let signer = up(leyden, words)?;
        leyden.until(&["info"], |info| info["signer"] == true)?;
        Ok(signer)
    })?;
    let signed = alice.leyden.must(&["sign", "hello"])?;
    let signature = signed["signature"].as_str().unwrap_or_default();
    let verified = bob.leyden.must(&["verify", "hello", signature])?;
    if verified["node"] != *alice.id {
        return Err("Bob takes the signature for somebody else's".into());
    }
    stage.show("the signer is back", "a signature works, and Bob verifies it as Alice's")?;
    Ok(())
}

fn without_node(stage: &mut Stage, alice: &mut Alice, bob: &Bob, ear: Ear) -> Result<(), Failed> {
    const WHILE_AWAY: u64 = 10;
    stage.scene("The node is killed, and Bob talks on")?;
    let before = alice.leyden.must(&["peers"])?;
    drop(ear);
    stage.typed(&format!("kill -9 {}", alice.node.id()))?;
    alice.node.kill()?;
    for number in 0..WHILE_AWAY {
        bob.leyden.must(&["message", &alice.id, NOTE, &format!("{number:016x}")])?;
    }
    let pong = bob.leyden.must(&["ping", &alice.id])?;
    stage.show("Bob's ping", &format!("is answered after {} ms", pong["after_ms"]))?;
    stage.show("Bob's messages", &format!("{WHILE_AWAY} wait with the sockets"))?;
    let leyden = &alice.leyden;
    let words = &alice.node_words;
    alice.node = stage.wait("starting the node again", || {
        let node = up(leyden, words)?;
        leyden.until(&["peers"], |peers| peers[0].is_object())?;
        Ok(node)
    })?;
    let after = alice.leyden.must(&["peers"])?;
    if after[0]["connection"] != before[0]["connection"] {
        return Err("it is another connection".into());
    }
    stage.show("the node is back", "with the same connection")?;
    let node = &mut alice.node;
    let numbers = stage.wait("looking at the node's disk", || {
        let mut numbers = Vec::new();
        // It may not have taken all of them yet.
        for _ in 0..10 {
            leyden.must(&["stop"])?;
            node.wait()?;
            numbers = newest_numbers(leyden, WHILE_AWAY)?;
            *node = up(leyden, words)?;
            leyden.until(&["peers"], |peers| peers[0].is_object())?;
            if numbers.iter().copied().eq(0..WHILE_AWAY) {
                break;
            }
        }
        Ok(numbers)
    })?;
    if !numbers.iter().copied().eq(0..WHILE_AWAY) {
        return Err(format!("its disk ends with {numbers:?}").into());
    }
    stage.show("on its disk", &format!("Bob's {WHILE_AWAY} messages, once each and in order"))?;
    Ok(())
}

/// The numbers in the newest messages on a node's disk, the oldest first.
fn newest_numbers(leyden: &Leyden, count: u64) -> Result<Vec<u64>, Failed> {
    let mut store = Store::open(&leyden.dir.join("log.sqlite"), None)?;
    let kept = store.newest(POST, b"received", count as u32)?;
    // An entry is who said it, the type, and the number.
    let number = |entry: &[u8]| entry.last_chunk().map(|tail| u64::from_be_bytes(*tail));
    Ok(kept.iter().rev().filter_map(|(_, entry)| number(entry)).collect())
}

/// Keeps everything running until it is ended from outside.
fn remain(stage: &mut Stage, alice: &mut Alice, bob: &mut Bob) -> Result<(), Failed> {
    stage.scene("All of it keeps running")?;
    stage.say("Try it yourself, in another terminal; Ctrl-C ends it here.")?;
    stage.typed(&alice.leyden.typed(&["info"]))?;
    stage.typed(&alice.leyden.typed(&["events"]))?;
    stage.typed(&alice.leyden.typed(&["wallet", "balance"]))?;
    stage.typed(&bob.leyden.typed(&["devnet", "mine"]))?;
    stage.typed(&bob.leyden.typed(&["message", &alice.id, NOTE, "cafe"]))?;
    while alice.node.runs()? && bob.node.runs()? {
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
