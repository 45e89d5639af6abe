//! What must be so, whatever goes wrong: checked as it happens.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Txid};
use chain::Package;
use channel::{As, Change as OfChannel, FundingOutput, Why};
use node::services::channels::{Change, ChannelName, Event, Held, Progress};
use signer::{ChannelChange, SignerChange};
use tx::{Meaning, Side};
use wire::{
    Message,
    amount::Msat,
    id::{ChannelId, ChannelKey, CommitmentNumber, OutputIndex},
    lease::LeaseEpoch,
};

use super::{Broken, World, chain::TownChain, keys};

/// An opening may come to nothing, and whoever has lost it is told so.
const HARMLESS: [&str; 6] =
    ["no such channel", "given up", "openings", "the chain is not", "random", "channels, at most"];
/// Before its lock a contract is taken to the chain by so many blocks, a reorg's added.
const DEADLINE_BLOCKS: u32 = 18 + 5;

/// A channel, as one of its signers knows it.
struct Signed {
    funding: OutPoint,
    side: Side,
    /// Its newest commitment of its own: all before it are revoked.
    newest: Option<(CommitmentNumber, Txid)>,
}

/// Which commitment it is.
type State = (OutPoint, Side, CommitmentNumber);

/// What was signed, published and said.
#[derive(Default)]
pub(crate) struct Truth {
    signers: BTreeMap<(usize, ChannelKey), Signed>,
    states: BTreeMap<State, Txid>,
    commitments: BTreeMap<Txid, State>,
    owners: BTreeMap<(OutPoint, Side), (usize, ChannelKey)>,
    fundings: BTreeMap<ChannelId, OutPoint>,
    /// Whose disk knows the channel.
    begun: BTreeSet<(usize, OutPoint)>,
    /// Whose disk says that it ends without the peer, or has ended.
    ended: BTreeSet<(usize, OutPoint)>,
    /// What people want to end so.
    pub(crate) forced: BTreeSet<OutPoint>,
    /// By which leases the houses' channels are had, as their signers know; and which is attached.
    leases: BTreeMap<usize, LeaseEpoch>,
    attached: BTreeMap<usize, LeaseEpoch>,
    /// What somebody has tried to spend.
    spent: BTreeSet<OutPoint>,
    /// Channels that were ended without the peer.
    pub(crate) fails: u64,
}

impl Truth {
    /// A signer has saved something: what it signs from now on follows from that.
    pub(crate) fn signed(&mut self, house: usize, change: &SignerChange) -> Result<(), Broken> {
        let (channel, change) = match change {
            SignerChange::View(_) => return Ok(()),
            SignerChange::Lease(epoch) => return self.leased(house, *epoch),
            SignerChange::Channel { channel, change } => (channel, change),
        };
        match change {
            ChannelChange::SetUp(setup) => {
                let (funding, side) = (setup.terms.funding.outpoint, setup.side);
                let output = u16::try_from(funding.vout).map(OutputIndex);
                let output = output.map_err(|fault| fault.to_string())?;
                let id = FundingOutput { txid: funding.txid, output }.channel_id();
                self.fundings.insert(id, funding);
                let known = self.owners.insert((funding, side), (house, *channel));
                if known.is_some_and(|known| known != (house, *channel)) {
                    return Err(format!("two have set up the {side:?} of {funding}"));
                }
                self.signers.insert((house, *channel), Signed { funding, side, newest: None });
            }
            ChannelChange::SignedRemote { meaning, txid, spent: _ } => {
                self.agreed(house, channel, meaning, *txid)?;
            }
            ChannelChange::Advanced { meaning, txid, next: _, spent: _ } => {
                self.agreed(house, channel, meaning, *txid)?;
                if let Some(signed) = self.signers.get_mut(&(house, *channel)) {
                    signed.newest = Some((meaning.number, *txid));
                }
            }
            ChannelChange::Revoked { .. } | ChannelChange::Closing | ChannelChange::Shut => {}
        }
        Ok(())
    }

    /// A signer has taken a lease: each start has a later one.
    fn leased(&mut self, house: usize, epoch: LeaseEpoch) -> Result<(), Broken> {
        match self.leases.insert(house, epoch) {
            Some(before) if before >= epoch => {
                Err(format!("house {house} has {epoch:?}, and had {before:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A house says that the channels are its own: its signer has said so before.
    pub(crate) fn attaches(&mut self, house: usize, lease: LeaseEpoch) -> Result<(), Broken> {
        self.attached.insert(house, lease);
        self.acts(house, lease)
    }

    /// A house says something for its channels, by a lease.
    pub(crate) fn acts(&self, house: usize, lease: LeaseEpoch) -> Result<(), Broken> {
        let all = [self.leases.get(&house), self.attached.get(&house)];
        match all.iter().all(|have| *have == Some(&lease)) {
            true => Ok(()),
            false => Err(format!("house {house} acts by {lease:?}; in force are {all:?}")),
        }
    }

    /// Of each number there is one commitment of each side, for both signers.
    fn agreed(
        &mut self,
        house: usize,
        channel: &ChannelKey,
        meaning: &Meaning,
        txid: Txid,
    ) -> Result<(), Broken> {
        let Some(signed) = self.signers.get(&(house, *channel)) else {
            return Err(format!("house {house} signs for a channel that it has not set up"));
        };
        let state = (signed.funding, meaning.owner, meaning.number);
        let before = self.states.insert(state, txid);
        self.commitments.insert(txid, state);
        match before.filter(|before| *before != txid) {
            Some(before) => {
                let (of, number) = (state.1, state.2);
                Err(format!("house {house}: {of:?}'s {number} is {txid}, and was {before}"))
            }
            None => Ok(()),
        }
    }

    /// A house gives transactions to the chain.
    pub(crate) fn spreads(&mut self, house: usize, package: &Package) -> Result<(), Broken> {
        for transaction in package.transactions() {
            let txid = transaction.compute_txid();
            self.may_publish(house, &txid, true)?;
            for input in &transaction.input {
                self.spent.insert(input.previous_output);
                self.may_publish(house, &input.previous_output.txid, false)?;
            }
        }
        Ok(())
    }

    /// Nothing of ours is published once it is revoked.
    fn may_publish(&self, house: usize, txid: &Txid, itself: bool) -> Result<(), Broken> {
        let Some((funding, side, number)) = self.commitments.get(txid) else { return Ok(()) };
        let owner = self.owners.get(&(*funding, *side));
        let Some(owner) = owner.filter(|(of, _)| *of == house) else {
            return match itself {
                true => Err(format!("house {house} publishes what is its peer's: {txid}")),
                false => Ok(()),
            };
        };
        match self.signers.get(owner).and_then(|it| it.newest) {
            Some((newest, _)) if newest == *number => Ok(()),
            newest => Err(format!(
                "house {house} publishes its {number} or what spends it, and {newest:?} is newest"
            )),
        }
    }

    /// A house has made something durable.
    pub(crate) fn durable(
        &mut self,
        house: usize,
        changes: &[Change],
        chain: &TownChain,
    ) -> Result<(), Broken> {
        for change in changes {
            match change {
                Change::Begun { begun, .. } => {
                    if let Some(funding) = self.fundings.get(&begun.channel_id()) {
                        self.begun.insert((house, *funding));
                    }
                }
                Change::Live { name, change } => {
                    if let OfChannel::Failing(why) = &**change {
                        self.fails(house, name, why, chain)?;
                    } else if **change == OfChannel::Done {
                        self.has_ended(house, name);
                    }
                }
                Change::Closed { name } => self.has_ended(house, name),
                Change::Confirmed { .. }
                | Change::Unconfirmed { .. }
                | Change::Spent { .. }
                | Change::Unspent { .. }
                | Change::Heard { .. }
                | Change::Unheard { .. }
                | Change::Leased { .. }
                | Change::Paying { .. }
                | Change::Attempt { .. }
                | Change::Paid { .. }
                | Change::Failed { .. }
                | Change::Received { .. } => {}
            }
        }
        Ok(())
    }

    fn funding(&self, house: usize, name: &ChannelName) -> Option<(OutPoint, Side)> {
        self.signers.get(&(house, name.key)).map(|it| (it.funding, it.side))
    }

    fn has_ended(&mut self, house: usize, name: &ChannelName) {
        if let Some((funding, _)) = self.funding(house, name) {
            self.ended.insert((house, funding));
        }
    }

    /// A channel ends without its peer: somebody wants it, or has no other choice.
    fn fails(
        &mut self,
        house: usize,
        name: &ChannelName,
        why: &Why,
        chain: &TownChain,
    ) -> Result<(), Broken> {
        let Some((funding, side)) = self.funding(house, name) else {
            return Err(format!("house {house} fails a channel that its signer does not know"));
        };
        let peer = self.owners.get(&(funding, side.other())).map(|(peer, _)| *peer);
        let may = match why {
            Why::Wanted => self.forced.contains(&funding),
            Why::Deadline { expiry, .. } => chain.height() + DEADLINE_BLOCKS >= expiry.0,
            Why::Error(_) => peer.is_none_or(|peer| {
                let known = self.begun.contains(&(peer, funding));
                !known || self.ended.contains(&(peer, funding))
            }),
            Why::Spent => self.spent.contains(&funding),
            Why::Violation(_) | Why::Behind(_) | Why::Unfunded | Why::Unknown => false,
        };
        self.ended.insert((house, funding));
        self.fails += 1;
        match may {
            true => Ok(()),
            false => Err(format!("house {house} fails {funding} without need: {why}")),
        }
    }

    /// A house says something.
    pub(crate) fn says(&self, house: usize, message: &Message) -> Result<(), Broken> {
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        if let Message::Warning(said) = message {
            return Err(format!("house {house} warns: {}", text(&said.data.0)));
        }
        if let Message::Error(said) = message {
            let (is_channel, text) =
                (self.fundings.contains_key(&said.channel_id), text(&said.data.0));
            if !is_channel && !HARMLESS.iter().any(|it| text.contains(it)) {
                return Err(format!("house {house} refuses an opening: {text}"));
            }
        }
        Ok(())
    }

    /// Whether a channel was ever to be on the chain.
    pub(crate) fn peer_of(&self, funding: &OutPoint, side: Side) -> Option<usize> {
        self.owners.get(&(*funding, side.other())).map(|(house, _)| *house)
    }

    /// The houses of each channel.
    pub(crate) fn houses(&self) -> BTreeMap<OutPoint, [Option<usize>; 2]> {
        let of = |funding: OutPoint, side| self.owners.get(&(funding, side)).map(|it| it.0);
        let sides = |funding| [of(funding, Side::Opener), of(funding, Side::Acceptor)];
        self.fundings.values().map(|funding| (*funding, sides(*funding))).collect()
    }
}

/// All that a channel has is all that was put into it, in every commitment.
pub(crate) fn conserved(held: &Held) -> Result<(), Broken> {
    let (channel, want) = (&held.channel, held.channel.begun().agreed().funding.to_msat());
    for owner in [Side::Opener, Side::Acceptor] {
        for which in [As::Draft, As::Signed, As::Settled] {
            let view = channel.ledger().view(owner, which);
            let inside = view.contracts.iter().map(|(_, placed)| placed.amount.0).sum::<u64>();
            let got = Msat(view.to_opener.0 + view.to_acceptor.0 + inside);
            if Some(got) != want {
                return Err(format!("{owner:?}'s {which:?} commitment has {got} of {want:?}"));
            }
        }
    }
    Ok(())
}

/// Whether a signer's owner lets no more leave, or be under way.
fn is_limit(why: &str) -> bool {
    ["of ours would be under way", "than may leave today"].iter().any(|it| why.contains(it))
}

impl World {
    /// Somebody hears something: it is durable, and it is no complaint.
    pub(super) fn told(&mut self, house: usize, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Payment(line) => {
                let saved = self.houses[house].durable.payments.get(&line.id);
                match saved.map(|it| &it.progress) {
                    Some(progress) if *progress == line.progress => Ok(()),
                    // It may have gone on meanwhile.
                    Some(_) if line.progress == Progress::Pending => Ok(()),
                    progress => Err(format!("house {house} tells {line:?}, and has {progress:?}")),
                }
            }
            Event::Refused { why, .. } if why.contains("no coin is left") => Ok(()),
            // After a crash what a signer does not take on waits, and is not taken back.
            Event::Refused { why, .. } if is_limit(why) && self.houses[house].life > 1 => Ok(()),
            Event::Refused { channel_id, why } => {
                Err(format!("house {house}: {channel_id:?} is refused: {why}"))
            }
            Event::Channel(line) => {
                let saved = self.houses[house].durable.channels.values();
                match saved.into_iter().any(|it| it.channel.channel_id() == line.channel_id) {
                    true => Ok(()),
                    false => Err(format!("house {house} tells of a channel that is not durable")),
                }
            }
        }
    }

    /// The house of a node.
    pub(super) fn house_of(&self, node: &noise::PublicKey) -> Option<usize> {
        (0..self.houses.len()).find(|house| keys::known(*house).node == *node)
    }
}
