//! Targets that drive `channel` with a true signer: a peer that can sign whatever it likes, a
//! runner that loses, withholds and crashes, and a chain in which anything may be.
//!
//! | file | what |
//! |---|---|
//! | `tape.rs` | bytes as choices |
//! | `peer.rs` | the peer's keys, and what it signs |
//! | `open.rs` | openings, the peer's part as it should be or not |
//! | `world.rs` | our side: the channel, its log, its signer, and what must always hold |
//! | `said.rs` | what the peer says |
//! | `done.rs` | what we do, and what happens to us |

mod done;
mod open;
mod peer;
mod said;
mod tape;
mod world;

use open::{Twist, give_back, open};
use tape::Tape;
use world::World;

/// Acts of one run.
const ACTS_MAX: usize = 150;

/// A channel, used and abused: the first byte says which, then each act takes what it needs.
pub fn channel(data: &[u8]) {
    let mut tape = Tape::new(data);
    let kind = tape.byte();
    let (signer, begun, peer) = open(kind, &Twist::none()).expect("a good opening is taken");
    let mut world = World::new(signer, begun, peer, kind & 64 != 0);
    if kind & 28 != 4 {
        world.settle_in();
    }
    run(world, tape);
}

/// An opening with a peer that says something else than it should. What is accepted can be used.
pub fn opening(data: &[u8]) {
    let mut tape = Tape::new(data);
    let kind = tape.byte();
    let twist = Twist::of(&mut tape);
    let Some((signer, begun, peer)) = open(kind, &twist) else { return };
    let mut world = World::new(signer, begun, peer, kind & 64 != 0);
    world.settle_in();
    run(world, tape);
}

fn run(mut world: World, mut tape: Tape<'_>) {
    world.check();
    for _ in 0..ACTS_MAX {
        if tape.is_over() {
            break;
        }
        world.act(&mut tape);
        world.check();
    }
    world.check_saved();
    give_back(world.signer);
}
