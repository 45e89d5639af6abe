//! Shows on one machine what Leyden does so far: two ends shake hands over a wire that is tapped,
//! and talk past two key rotations.

mod talk;
mod tap;

use std::{
    error::Error,
    io::{self, Write},
    net::TcpListener,
    process::ExitCode,
    thread,
};

use end::KeyHolder;
use noise::{ACT1_BYTES, ACT2_BYTES, ACT3_BYTES};
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
    match run(&mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Who has read enough may go.
        Err(fault) if is_broken_pipe(&*fault) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("the demonstration failed: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(fault: &(dyn Error + 'static)) -> bool {
    fault.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

fn run(to: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let (alice_keys, bob_keys) = (KeyHolder::start(), KeyHolder::start());
    let (alice_id, bob_id) = (id(&alice_keys), id(&bob_keys));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (tap, tapped) = Tap::start(listener.local_addr()?)?;

    writeln!(
        to,
        "Two Lightning nodes on this machine, and somebody who taps the wire between them.\n"
    )?;
    writeln!(to, "  Alice  {alice_id}")?;
    writeln!(to, "  Bob    {bob_id}\n")?;
    writeln!(
        to,
        "Each key lives in a thread of its own. The threads with the sockets ask it four"
    )?;
    writeln!(to, "questions while they shake hands, and none after that.\n")?;

    let bob_node = bob_keys.node();
    let bob = thread::spawn(move || talk::bob(&listener, &bob_keys));
    let called = talk::alice(tapped, &alice_keys, bob_node)?;
    let answered = bob.join().map_err(|_| "Bob's thread panicked")??;

    handshake(to, &tap, &called, &answered)?;
    conversation(to, &tap, &called, &answered)?;
    verdict(to, &tap, &called, &answered, [&alice_id, &bob_id])
}

fn id(keys: &KeyHolder) -> String {
    wire::key::Point::from(keys.node()).to_string()
}

fn handshake(to: &mut impl Write, tap: &Tap, called: &Report, answered: &Report) -> io::Result<()> {
    let act1 = tap.there(0, ACT1_BYTES);
    let act2 = tap.back(0, ACT2_BYTES);
    let act3 = tap.there(ACT1_BYTES, ACT1_BYTES + ACT3_BYTES);
    writeln!(to, "The handshake")?;
    writeln!(to, "  the wire-tap sees  50 bytes there  {}", brief(&act1))?;
    writeln!(to, "                     50 bytes back   {}", brief(&act2))?;
    writeln!(to, "                     66 bytes there  {}", brief(&act3))?;
    writeln!(
        to,
        "                     a version, two keys thrown away afterwards, and sealed bytes"
    )?;
    writeln!(to, "  Alice knows        she called {}", short(&called.remote))?;
    writeln!(to, "  Bob knows          he was called by {}", short(&answered.remote))?;
    let chosen = called.agreed.iter().filter(|f| !f.contexts().contains(&Context::Assumed));
    let names: Vec<&str> = chosen.map(|feature| feature.name()).collect();
    for (at, names) in names.chunks(3).enumerate() {
        let head = if at == 0 { "both agreed on" } else { "" };
        writeln!(to, "  {head:<17}  {}", names.join(", "))?;
    }
    writeln!(to)
}

fn conversation(
    to: &mut impl Write,
    tap: &Tap,
    called: &Report,
    answered: &Report,
) -> Result<(), Box<dyn Error>> {
    writeln!(to, "The conversation, Alice's half of it")?;
    let (left, right) = ("what the wire-tap sees", "what Alice said and Bob read");
    writeln!(to, "  {:>5}  {left:<47}  {right}", "")?;
    let mut last = 0;
    for &number in SHOWN {
        if number > last + 1 {
            writeln!(to, "  {:>5}", "…")?;
        }
        if number == MOVE_AT {
            writeln!(
                to,
                "  {:>5}  Alice's connection is now {} bytes in the",
                "",
                noise::STATE_BYTES
            )?;
            writeln!(to, "  {:>5}  hands of another thread, which goes on with it", "")?;
        }
        if number > 0 && number % 500 == 0 {
            writeln!(
                to,
                "  {:>5}  Alice has thrown this key away; she seals with the next one",
                ""
            )?;
        }
        let sent = &called.sent[number];
        let read = answered.received.get(number).ok_or("Bob has read less than Alice has sent")?;
        if *read != sent.message {
            return Err(format!("message {number} is not what Alice sent: {read:?}").into());
        }
        let start = ACT1_BYTES + ACT3_BYTES;
        let record = tap.there(start + sent.record.start, start + sent.record.end);
        writeln!(
            to,
            "  {number:>5}  {:>3} bytes {:<37}  {}",
            record.len(),
            brief(&record),
            words(read)
        )?;
        last = number;
    }
    writeln!(to)?;
    Ok(())
}

fn verdict(
    to: &mut impl Write,
    tap: &Tap,
    called: &Report,
    answered: &Report,
    ids: [&str; 2],
) -> Result<(), Box<dyn Error>> {
    let wire = tap.everything();
    let read = called.received.len() + answered.received.len();
    writeln!(to, "The verdict")?;
    writeln!(
        to,
        "  {read} messages were read by the ends, past two key rotations in each direction"
    )?;
    let id_bytes: Vec<Vec<u8>> = ids.iter().map(|id| unhex(id)).collect();
    let needles = [("the word \"Leyden\"", WORD.as_bytes())];
    let needles = needles
        .into_iter()
        .chain([("Alice's id", id_bytes[0].as_slice()), ("Bob's id", id_bytes[1].as_slice())]);
    for (name, needle) in needles {
        let found = wire.windows(needle.len()).filter(|window| *window == needle).count();
        writeln!(
            to,
            "  {name}: {found} times in the {} bytes that the wire-tap heard",
            wire.len()
        )?;
        if found > 0 {
            return Err(format!("{name} crossed the wire in the clear").into());
        }
    }
    writeln!(
        to,
        "  What the wire-tap does learn: which addresses talk, when, and how long each message is."
    )?;
    Ok(())
}

fn words(message: &Message) -> String {
    if let Message::Init(init) = message {
        return format!("init, offering {} features", init.all_features().bits().count());
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
