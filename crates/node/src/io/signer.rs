//! The signer as a service: it answers questions, and has no socket but its links.

use std::{io, time::Duration};

use bus::{Grant, Hub, Input, Kind, LinkId};
use signer::{Answer, Ask, Refusal, Signer, topic};
use tracing::{info, warn};

use super::{clock, stop::Stop, view_file::ViewFile};

/// What the holder of the sockets may ask: the steps of handshakes.
pub fn for_sockets() -> Grant {
    Grant::nothing("sockets").and(topic::HANDSHAKE)
}

/// What the node may ask: its id, signatures under messages for people, spends of the
/// wallet; and it may tell of the chain.
pub fn for_node() -> Grant {
    let grant = Grant::nothing("node").and(topic::NODE_ID..=topic::NODE_ID);
    let grant = grant.and(topic::SIGN_MESSAGE..=topic::SIGN_MESSAGE);
    grant.and(topic::WALLET_ACCOUNT..=topic::SIGN_SPEND).and(topic::VIEW)
}

/// Answers until it is told to stop. What it learns of the chain is in `file` before it says so.
pub fn run(mut hub: Hub, mut signer: Signer, mut file: ViewFile, stop: &Stop) -> io::Result<()> {
    let mut inputs = Vec::new();
    while !stop.is_set() {
        let now = clock::now();
        signer.expire(now);
        let wait = signer.next_expiry().map(|at| Duration::from_millis(at.since(now).0 + 1));
        hub.poll(wait, &mut inputs)?;
        for input in inputs.drain(..) {
            match input {
                Input::Frame { link, frame } if frame.kind == Kind::Ask => {
                    answer(&mut hub, &mut signer, &mut file, link, frame);
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
    file: &mut ViewFile,
    link: LinkId,
    frame: bus::Frame,
) {
    let ask = match Ask::decode(&frame.payload) {
        // The permission was looked up by the frame's topic, so it must be the question's.
        Ok(ask) if ask.topic() == frame.topic => ask,
        Ok(ask) => {
            warn!(link = link.0, topic = frame.topic, ask = ask.name(), "a question in disguise");
            return hub.close(link);
        }
        Err(malformed) => {
            warn!(link = link.0, %malformed, "not a question");
            return hub.close(link);
        }
    };
    let answer = saved_answer(signer, file, signer::LinkId(link.0), ask).encode();
    if let Err(fault) = hub.answer(link, frame.id, frame.topic, answer.bytes()) {
        warn!(link = link.0, %fault, "no answer");
    }
}

/// The answer to a question, once all that it says is on the disk.
pub fn saved_answer(
    signer: &mut Signer,
    file: &mut ViewFile,
    link: signer::LinkId,
    ask: Ask,
) -> Answer {
    signer.tell_time(clock::unix_time());
    if let Some(change) = signer.unsaved(&ask)
        && let Err(fault) = file.save(signer.view(), &change)
    {
        warn!(%fault, "the signer cannot save what it learns of the chain");
        let (bytes, code) = (change.encode().len(), fault.raw_os_error().unwrap_or(0));
        return Answer::Refused(Refusal::NotSaved { bytes, code });
    }
    signer.answer(link, ask, clock::now(), clock::ephemeral)
}
