//! The signer as a service: it answers questions, and has no socket but its links.

use std::{io, path::Path, time::Duration};

use bus::{Grant, Hub, Input, Kind, LinkId};
use signer::{Ask, Signer, topic};
use tracing::{info, warn};

use super::{clock, stop::Stop, view_file};

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

/// Answers until it is told to stop. What it knows of the chain is kept in `dir`.
pub fn run(mut hub: Hub, mut signer: Signer, dir: &Path, stop: &Stop) -> io::Result<()> {
    let mut inputs = Vec::new();
    while !stop.is_set() {
        let now = clock::now();
        signer.expire(now);
        let wait = signer.next_expiry().map(|at| Duration::from_millis(at.since(now).0 + 1));
        hub.poll(wait, &mut inputs)?;
        for input in inputs.drain(..) {
            match input {
                Input::Frame { link, frame } if frame.kind == Kind::Ask => {
                    if answer(&mut hub, &mut signer, link, frame) {
                        view_file::write(dir, signer.view())?;
                    }
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

/// Whether its view of the chain may be another one now.
fn answer(hub: &mut Hub, signer: &mut Signer, link: LinkId, frame: bus::Frame) -> bool {
    let ask = match Ask::decode(&frame.payload) {
        // The permission was looked up by the frame's topic, so it must be the question's.
        Ok(ask) if ask.topic() == frame.topic => ask,
        Ok(ask) => {
            warn!(link = link.0, topic = frame.topic, ask = ask.name(), "a question in disguise");
            hub.close(link);
            return false;
        }
        Err(malformed) => {
            warn!(link = link.0, %malformed, "not a question");
            hub.close(link);
            return false;
        }
    };
    let of = signer::LinkId(link.0);
    let told = matches!(ask, Ask::ViewHeaders { .. } | Ask::ViewProof { .. });
    let answer = signer.answer(of, ask, clock::now(), clock::ephemeral);
    let taken = told && !matches!(answer, signer::Answer::Refused(_));
    let answer = answer.encode();
    if let Err(fault) = hub.answer(link, frame.id, frame.topic, answer.bytes()) {
        warn!(link = link.0, %fault, "no answer");
    }
    taken
}
