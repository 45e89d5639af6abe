//! Names by which peers call our channels, and that are no places in the chain.

use wire::{features::Feature, id::Scid};

use super::{Channels, Held};

/// A place with this bit is in a block whose height is above eight million: no channel will stand
/// there for a hundred years, so no alias is the place of one.
const NO_PLACE: u64 = 1 << 63;

impl Channels {
    /// A name that no channel of ours has had, whoever is its peer. Nothing if no random number is
    /// left: it is looked for again when one comes.
    pub(super) fn new_alias(&mut self) -> Option<Scid> {
        loop {
            let Some([a, b, c, d, e, f, g, h, ..]) = self.draw() else {
                self.is_unnamed = true;
                return None;
            };
            let alias = Scid(u64::from_be_bytes([a, b, c, d, e, f, g, h]) | NO_PLACE);
            if self.aliases.insert(alias) {
                return Some(alias);
            }
        }
    }
}

/// Where the funding stands in the chain, if the channel may be called by that: not if its type
/// says that it is known by aliases only.
pub(super) fn place(held: &Held) -> Option<Scid> {
    let begun = held.channel.begun();
    let (block, position) = held.confirmed?;
    let is_named = !begun.agreed().channel_type.offers(Feature::ScidAlias);
    let place = Scid::new(block.height.0, position, begun.funding().output.0);
    place.filter(|_| is_named)
}
