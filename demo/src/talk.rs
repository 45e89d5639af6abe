//! What the two ends say to each other.

use end::{End, Fault, KeyHolder};
use std::net::{SocketAddr, TcpListener};
use wire::{
    Init, Message, Unnamed, custom,
    features::{Feature, Features},
    id::ChainHash,
};

/// Messages from each side, `init` among them. A key lives for 500, so two rotations are passed.
pub const MESSAGES: usize = 1_200;

/// The message before which Alice's connection moves to another thread.
pub const MOVE_AT: usize = 700;

/// Every note contains this; nothing on the wire may.
pub const WORD: &str = "Leyden";

/// One message that Alice sent.
pub struct Sent {
    /// Where its record stands among the bytes of her direction, behind the handshake.
    pub record: std::ops::Range<usize>,
    /// The message itself.
    pub message: Message,
}

/// What one end reports when the talk is over.
pub struct Report {
    /// Who was at the other end, as proven by the handshake.
    pub remote: String,
    /// What it sent, in order.
    pub sent: Vec<Sent>,
    /// What it received, in order.
    pub received: Vec<Message>,
    /// Features that both ends will use.
    pub agreed: Vec<Feature>,
}

/// Bob waits for a call and answers each message.
pub fn bob(listener: &TcpListener, keys: &KeyHolder) -> Result<Report, Fault> {
    let (stream, _) = listener.accept()?;
    let mut end = End::answer(stream, keys)?;
    let mut report = Report::of(&end);
    for number in 0..MESSAGES {
        report.receive(&mut end)?;
        report.send(&mut end, opening_or_note("Bob", number))?;
    }
    Ok(report)
}

/// Alice calls and speaks first. Half-way her connection moves: its state becomes bytes, and a
/// thread that has never seen her key goes on with them.
pub fn alice(at: SocketAddr, keys: &KeyHolder, bob: noise::PublicKey) -> Result<Report, Fault> {
    let mut end = End::dial(at, bob, keys)?;
    let mut report = Report::of(&end);
    for number in 0..MOVE_AT {
        report.send(&mut end, opening_or_note("Alice", number))?;
        report.receive(&mut end)?;
    }
    let resting = end.rest()?;
    let elsewhere = std::thread::spawn(move || {
        let mut end = resting.wake()?;
        for number in MOVE_AT..MESSAGES {
            report.send(&mut end, opening_or_note("Alice", number))?;
            report.receive(&mut end)?;
        }
        Ok(report)
    });
    elsewhere.join().expect("the thread reports faults, it does not panic")
}

fn opening_or_note(who: &str, number: usize) -> Message {
    if number == 0 {
        let offered =
            [Feature::Anchors, Feature::ScidAlias, Feature::Quiesce, Feature::SimpleClose];
        let mut init = Init::offering(Features::optional(
            &[&offered[..], &[Feature::ShutdownAnysegwit]].concat(),
        ));
        init.networks = Some(vec![ChainHash::of(wire::Network::Regtest)]);
        return init.into();
    }
    let text = format!("{WORD} note {number} from {who}");
    let note = Unnamed::new(custom::NOTE.first, text.into_bytes());
    Message::Unknown(note.expect("the number is odd and not in the table"))
}

impl Report {
    fn of(end: &End) -> Self {
        let remote = wire::key::Point::from(end.remote()).to_string();
        Self { remote, sent: Vec::new(), received: Vec::new(), agreed: Vec::new() }
    }

    fn send(&mut self, end: &mut End, message: Message) -> Result<(), Fault> {
        let start = end.sent_bytes();
        end.send(&message)?;
        self.sent.push(Sent { record: start..end.sent_bytes(), message });
        Ok(())
    }

    fn receive(&mut self, end: &mut End) -> Result<(), Fault> {
        let message = end.receive()?;
        if let (Message::Init(theirs), Some(Sent { message: Message::Init(ours), .. })) =
            (&message, self.sent.first())
        {
            let theirs = theirs.all_features();
            self.agreed = ours.all_features().negotiate(&theirs).unwrap_or_default();
        }
        self.received.push(message);
        Ok(())
    }
}
