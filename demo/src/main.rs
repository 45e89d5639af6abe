//! Shows on one machine what Leyden does so far: two ends shake hands over a wire that is tapped,
//! and talk past two key rotations.

mod talk;
mod tap;

use std::{error::Error, net::TcpListener, process::ExitCode, thread};

use end::KeyHolder;
use noise::{ACT1_BYTES, ACT3_BYTES};
use talk::{MESSAGES, MOVE_AT, Report, WORD};
use tap::Tap;
use wire::{Hex, Message, features::Context};

/// Messages worth a look: the first ones, and those around each rotation.
const SHOWN: &[usize] = &[0, 1, 2, 499, 500, 501, MOVE_AT, 999, 1_000, 1_001, MESSAGES - 1];

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        eprintln!("the demonstration takes no arguments, and was given '{argument}'");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("the demonstration failed: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let (alice_keys, bob_keys) = (KeyHolder::start(), KeyHolder::start());
    let (alice_id, bob_id) = (id(&alice_keys), id(&bob_keys));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (tap, tapped) = Tap::start(listener.local_addr()?)?;

    println!("Two Lightning nodes on this machine, and somebody who taps the wire between them.\n");
    println!("  Alice  {alice_id}");
    println!("  Bob    {bob_id}\n");
    println!("Each key lives in a thread of its own. The threads with the sockets ask it four");
    println!("questions while they shake hands, and none after that.\n");

    let bob_node = bob_keys.node();
    let bob = thread::spawn(move || talk::bob(&listener, &bob_keys));
    let called = talk::alice(tapped, &alice_keys, bob_node)?;
    let answered = bob.join().map_err(|_| "Bob's thread panicked")??;

    handshake(&tap, &called, &answered);
    conversation(&tap, &called, &answered)?;
    verdict(&tap, &called, &answered, [&alice_id, &bob_id])
}

fn id(keys: &KeyHolder) -> String {
    wire::key::Point::from(keys.node()).to_string()
}

fn handshake(tap: &Tap, called: &Report, answered: &Report) {
    let act1 = tap.there(0, ACT1_BYTES);
    let act3 = tap.there(ACT1_BYTES, ACT1_BYTES + ACT3_BYTES);
    println!("The handshake");
    println!("  the wire-tap sees  50 bytes there  {}", brief(&act1));
    println!("                     50 bytes back");
    println!("                     66 bytes there  {}", brief(&act3));
    println!("                     a version, two keys thrown away afterwards, and sealed bytes");
    println!("  Alice knows        she called {}", short(&called.remote));
    println!("  Bob knows          he was called by {}", short(&answered.remote));
    let chosen = called.agreed.iter().filter(|f| !f.contexts().contains(&Context::Assumed));
    let names: Vec<&str> = chosen.map(|feature| feature.name()).collect();
    for (at, names) in names.chunks(3).enumerate() {
        let head = if at == 0 { "both agreed on" } else { "" };
        println!("  {head:<17}  {}", names.join(", "));
    }
    println!();
}

fn conversation(tap: &Tap, called: &Report, answered: &Report) -> Result<(), Box<dyn Error>> {
    println!("The conversation, Alice's half of it");
    let (left, right) = ("what the wire-tap sees", "what Alice said and Bob read");
    println!("  {:>5}  {left:<47}  {right}", "");
    let mut last = 0;
    for &number in SHOWN {
        if number > last + 1 {
            println!("  {:>5}", "…");
        }
        if number == MOVE_AT {
            println!("  {:>5}  Alice's connection is now {} bytes in the", "", noise::STATE_BYTES);
            println!("  {:>5}  hands of another thread, which goes on with it", "");
        }
        if number > 0 && number % 500 == 0 {
            println!("  {:>5}  both ends have thrown their keys away and use new ones", "");
        }
        let sent = &called.sent[number];
        let read = answered.received.get(number).ok_or("Bob has read less than Alice has sent")?;
        if *read != sent.message {
            return Err(format!("message {number} is not what Alice sent: {read:?}").into());
        }
        let start = ACT1_BYTES + ACT3_BYTES;
        let record = tap.there(start + sent.record.start, start + sent.record.end);
        println!(
            "  {number:>5}  {:>3} bytes {:<37}  {}",
            record.len(),
            brief(&record),
            words(read)
        );
        last = number;
    }
    println!();
    Ok(())
}

fn verdict(
    tap: &Tap,
    called: &Report,
    answered: &Report,
    ids: [&str; 2],
) -> Result<(), Box<dyn Error>> {
    let wire = tap.everything();
    let read = called.received.len() + answered.received.len();
    println!("The verdict");
    println!("  {read} messages were read by the ends, past two key rotations in each direction");
    let id_bytes: Vec<Vec<u8>> = ids.iter().map(|id| unhex(id)).collect();
    let needles = [("the word \"Leyden\"", WORD.as_bytes())];
    let needles = needles
        .into_iter()
        .chain([("Alice's id", id_bytes[0].as_slice()), ("Bob's id", id_bytes[1].as_slice())]);
    for (name, needle) in needles {
        let found = wire.windows(needle.len()).filter(|window| *window == needle).count();
        println!("  {name}: {found} times in the {} bytes that the wire-tap heard", wire.len());
        if found > 0 {
            return Err(format!("{name} crossed the wire in the clear").into());
        }
    }
    println!(
        "  What the wire-tap does learn: which addresses talk, when, and how long each message is."
    );
    Ok(())
}

fn words(message: &Message) -> String {
    if let Message::Init(init) = message {
        return format!("init: {}", init.all_features());
    }
    if let Message::Unknown(note) = message {
        return String::from_utf8_lossy(note.payload()).into_owned();
    }
    format!("{message:?}")
}

fn brief(bytes: &[u8]) -> String {
    format!("{}…", Hex(&bytes[..bytes.len().min(16)]))
}

fn short(id: &str) -> String {
    format!("{}…", &id[..16])
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("ids print as hex");
    (0..text.len()).step_by(2).map(digit).collect()
}
