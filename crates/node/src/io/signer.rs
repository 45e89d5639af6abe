//! The signer as a service: it answers questions, and has no socket but its links.

use std::{io, time::Duration};

use bus::{Grant, Hub, Input, Kind, LinkId};
use signer::{Answer, Ask, Malformed, Pending, Refusal, Signer, SignerChange, topic};
use tracing::{info, warn};

use super::{channels_file::ChannelsFile, clock, stop::Stop, view_file::ViewFile};

/// What a signer has on its disk. The two live apart: a view can be had again, and is long.
pub struct SignerFiles {
    /// What it knows of the chain.
    pub view: ViewFile,
    /// What it remembers of channels.
    pub channels: ChannelsFile,
}

/// What the holder of the sockets may ask: the steps of handshakes.
pub fn for_sockets() -> Grant {
    Grant::nothing("sockets").and(topic::HANDSHAKE)
}

/// What the node may ask: its id, signatures under messages for people, spends of the
/// wallet, onions, all about channels; and it may tell of the chain.
pub fn for_node() -> Grant {
    let grant = Grant::nothing("node").and(topic::NODE_ID..=topic::NODE_ID);
    let grant = grant.and(topic::SIGN_MESSAGE..=topic::SIGN_MESSAGE);
    let grant = grant.and(topic::WALLET_ACCOUNT..=topic::SIGN_SPEND).and(topic::VIEW);
    let grant = grant.and(topic::PEEL_ONION..=topic::PEEL_ONION);
    let grant = grant.and(topic::CHANNEL_KEYS..=topic::CHANNEL_KEYS);
    grant.and(topic::CHANNEL_RATCHETS).and(topic::CHANNEL_REPEATABLE)
}

/// Answers until it is told to stop. What is new is in `files` before it is answered.
pub fn run(
    mut hub: Hub,
    mut signer: Signer,
    mut files: SignerFiles,
    stop: &Stop,
) -> io::Result<()> {
    let mut inputs = Vec::new();
    while !stop.is_set() {
        let now = clock::now();
        signer.expire(now);
        let wait = signer.next_expiry().map(|at| Duration::from_millis(at.since(now).0 + 1));
        hub.poll(wait, &mut inputs)?;
        for input in inputs.drain(..) {
            match input {
                Input::Frame { link, frame } if frame.kind == Kind::Ask => {
                    answer(&mut hub, &mut signer, &mut files, link, frame);
                }
                Input::LinkUp { link, name, .. } => info!(link = link.0, name, "link up"),
                Input::LinkDown { link, broken, .. } => {
                    signer.unlink(signer::LinkId(link.0));
                    match broken {
                        Some(broken) => warn!(link = link.0, %broken, "link closed"),
                        None => info!(link = link.0, "link down"),
                    }
                }
                Input::Denied { link, topic } => {
                    warn!(link = link.0, topic, "a link asked what it may not");
                }
                // A signer asks nothing and tells nothing; what is left needs no answer.
                Input::Frame { .. } | Input::Room { .. } | Input::Ready { .. } | Input::Woken => {}
            }
        }
    }
    hub.flush();
    Ok(())
}

fn answer(
    hub: &mut Hub,
    signer: &mut Signer,
    files: &mut SignerFiles,
    link: LinkId,
    frame: bus::Frame,
) {
    let answer = match Ask::decode_with(&frame.payload, signer.channels().templates()) {
        // The permission was looked up by the frame's topic, so it must be the question's.
        Ok(ask) if ask.topic() == frame.topic => {
            saved_answer(signer, files, signer::LinkId(link.0), ask)
        }
        Ok(ask) => {
            warn!(link = link.0, topic = frame.topic, ask = ask.name(), "a question in disguise");
            return hub.close(link);
        }
        Err(malformed) => match refusal(&malformed, frame.topic) {
            Some(refusal) => Answer::Refused(refusal),
            None => {
                warn!(link = link.0, %malformed, "not a question");
                return hub.close(link);
            }
        },
    };
    if let Err(fault) = hub.answer(link, frame.id, frame.topic, answer.encode().bytes()) {
        warn!(link = link.0, %fault, "no answer");
    }
}

/// What to answer to a question that is one, and has a part that is not known here.
fn refusal(malformed: &Malformed, topic: u16) -> Option<Refusal> {
    let (kind, refusal) = malformed.refusal()?;
    (kind == u64::from(topic)).then_some(refusal)
}

/// The answer to a question, once all that it says is on the disk.
pub fn saved_answer(
    signer: &mut Signer,
    files: &mut SignerFiles,
    link: signer::LinkId,
    ask: Ask,
) -> Answer {
    signer.tell_time(clock::unix_time());
    let pending = signer.decide(link, ask, clock::now(), clock::ephemeral);
    match files.save(&pending) {
        Ok(()) => pending.saved(),
        Err(refusal) => Answer::Refused(refusal),
    }
}

impl SignerFiles {
    fn save(&mut self, pending: &Pending<'_>) -> Result<(), Refusal> {
        let (signer, Some(change)) = (pending.signer(), pending.unsaved()) else { return Ok(()) };
        let (bytes, saved) = match change {
            SignerChange::View(change) => {
                let bytes = change.encode();
                let saved = self.view.save(signer.view(), &bytes);
                (bytes.len(), saved)
            }
            SignerChange::Lease(epoch) => {
                let bytes = signer.channels().encode_lease(*epoch);
                let saved = self.channels.save(signer.channels(), &bytes);
                (bytes.len(), saved)
            }
            SignerChange::Channel { channel, change } => {
                let bytes = signer.channels().encode_change(channel, change);
                let saved = self.channels.save(signer.channels(), &bytes);
                (bytes.len(), saved)
            }
        };
        saved.map_err(|fault| {
            warn!(%fault, bytes, "the signer cannot save what is new");
            Refusal::NotSaved { bytes, code: fault.raw_os_error().unwrap_or(0) }
        })
    }
}
