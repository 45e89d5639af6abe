//! Messages of which something was changed on the way.

use interop_ldk::channel::{Happened, World};
use wire::Body as _;
use wire::dice::Dice;

/// What became of a channel in which something was changed.
#[derive(Debug, Default)]
pub struct Found {
    /// The side that was lied to has noticed.
    pub noticed: usize,
    /// It made no difference: a field that nobody looks at, or a message that was lost anyway.
    pub harmless: usize,
}

/// Where changes are made: behind the type and the channel's name, by which whoever runs our side
/// finds the channel. An offer has its fields there.
const FIELDS: std::ops::Range<usize> = 34..86;

/// Changes a byte of the next message, or two messages' places, or says one twice.
pub fn spoil(world: &mut World, to_us: bool, dice: &mut Dice) -> bool {
    let wire = if to_us { &mut world.theirs.sent } else { &mut world.ours.sent };
    let has_two = wire.len() > 1;
    let Some(first) = wire.front_mut() else { return false };
    // Gossip goes elsewhere.
    if first.starts_with(&wire::ChannelUpdate::TYPE.to_be_bytes()) {
        return false;
    }
    match dice.below(8) {
        0 => {
            let first = first.clone();
            wire.push_front(first);
        }
        1 if has_two => wire.swap(0, 1),
        2 => _ = first.pop(),
        _ => {
            // The type stays: another message is nothing new. Behind its first fields an offer has
            // an onion, in which a change is no nonsense.
            let at = FIELDS.start + dice.below(FIELDS.end.min(first.len()) - FIELDS.start);
            first[at] ^= 1 << dice.below(8);
        }
    }
    true
}

/// Everything arrives. Whether somebody has noticed that something is wrong.
pub fn settle(world: &mut World) -> bool {
    world.settle();
    let closed = |it: &Happened| matches!(it, Happened::Closed(_));
    world.ours.broken.is_some()
        || !world.theirs.complaints.is_empty()
        || world.theirs.told.iter().any(closed)
}
