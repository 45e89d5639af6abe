//! A channel whose funding exists: updates, commitments, revocations (BOLT 2, normal operation).
//!
//! Nothing here knows a key. Commitments are asked of the signer by their meaning, and only after
//! what is asked was saved; what it gives up is sent only after it has said so.

mod commit;
mod limits;
mod reestablish;
mod updates;

use std::collections::BTreeMap;
use std::sync::Arc;

use signer::{ChannelAsk, ChannelOp, SetUp};
use tx::{Contract, Htlc, Meaning, Side};
use wire::id::{ChannelId, ChannelKey, CommitmentNumber, PaymentPreimage, PerCommitmentSecret};
use wire::key::{Point, Signature};
use wire::{Message, UpdateAddHtlc};

use crate::change::{Change, End};
use crate::fault::Violation;
use crate::ledger::{As, ContractId, Ledger, Step};

pub use limits::{Limits, Taken};
pub use updates::Offer;

/// A channel in use.
#[derive(Clone, Debug)]
pub struct Live {
    key: ChannelKey,
    channel_id: ChannelId,
    setup: SetUp,
    limits: Limits,
    ledger: Ledger,
    /// What the ledger does not know of contracts.
    contracts: BTreeMap<ContractId, Known>,
    /// Contracts in no commitment any more, until whoever uses the channel has heard of it.
    over: BTreeMap<ContractId, End>,
    local: Local,
    remote: Remote,
    /// Of the last `commitment_signed` and the last `revoke_and_ack` of ours the latter came later.
    revoked_last: bool,
    /// What is not saved: a restart begins without a connection.
    link: Link,
}

/// What is known of a contract beside its money.
#[derive(Clone, Debug)]
pub struct Known {
    /// As it crossed the wire.
    pub add: Box<UpdateAddHtlc>,
    /// How it ends, if somebody has begun with that.
    pub end: Option<End>,
}

/// Our commitments.
#[derive(Clone, Debug)]
struct Local {
    /// The newest that the peer has signed, and all before it are given up.
    number: CommitmentNumber,
    /// Its point, and that of the next.
    points: [Point; 2],
    signature: Signature,
    stages: Vec<Signature>,
    /// The peer has signed the next one, and our signer has not answered yet.
    received: Option<(Signature, Vec<Signature>)>,
}

/// The peer's commitments.
#[derive(Clone, Debug)]
struct Remote {
    /// The newest that we sign.
    number: CommitmentNumber,
    /// Its point, and that of the next, which comes with a revocation.
    points: (Point, Option<Point>),
    /// The first that the peer has not given up.
    unrevoked: CommitmentNumber,
    /// What gave up the last one.
    secret: Option<PerCommitmentSecret>,
}

/// Names a question to the signer, so that a late answer is not taken for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// The connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link {
    phase: Phase,
    /// The last question to the signer: the only thing that outlives a connection.
    asked: AskId,
    /// Our signer is asked for a signature of the peer's newest commitment.
    signing: Option<AskId>,
    /// Our signer is shown what the peer has signed.
    advancing: Option<AskId>,
    /// Our signer is shown what the peer has given up: its secret and its next point.
    revoking: Option<(AskId, PerCommitmentSecret, Point)>,
    /// There are updates that the peer has not heard, because a signature comes first.
    unsaid: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// There is none.
    #[default]
    Gone,
    /// We have said where we stand, and the peer has not.
    Greeting,
    /// Both have.
    Up,
}

/// How a channel begins: what opening has agreed on.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Our name of it.
    pub key: ChannelKey,
    /// The peer's and ours.
    pub channel_id: ChannelId,
    /// Both sides' terms.
    pub setup: SetUp,
    /// What each side takes.
    pub limits: Limits,
    /// The first rate.
    pub feerate: wire::amount::FeeratePerKw,
    /// Our points of commitments 0 and 1.
    pub local_points: [Point; 2],
    /// The peer's.
    pub remote_points: [Point; 2],
    /// The peer's signature of our commitment 0.
    pub signature: Signature,
}

/// What follows from an input: first the changes are saved, then the effects happen in their order.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In their order.
    pub changes: Vec<Change>,
    /// In their order; none of them leaves the process before the changes are durable.
    pub effects: Vec<Effect>,
    link: Link,
}

/// What a channel wants done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// To the peer.
    Send(Box<Message>),
    /// To the signer.
    Ask(AskId, Box<ChannelAsk>),
    /// To whoever uses the channel.
    Tell(Event),
}

/// What users hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both sides have said where they stand.
    Up,
    /// A contract that the peer offers is in every commitment: now it may be relied on.
    Offered(ContractId),
    /// The peer has shown the preimage of a contract of ours.
    Fulfilled(ContractId, PaymentPreimage),
    /// A contract is in no commitment any more.
    Over {
        /// Which.
        id: ContractId,
        /// How it ended.
        end: End,
    },
}

impl Outcome {
    fn save(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    fn send(mut self, message: impl Into<Message>) -> Self {
        self.effects.push(Effect::Send(Box::new(message.into())));
        self
    }

    fn tell(&mut self, event: Event) {
        self.effects.push(Effect::Tell(event));
    }
}

impl Live {
    /// A channel with its first commitments. Nothing if the opener gives more than there is.
    pub fn new(begun: Begun) -> Option<Self> {
        let Begun { key, channel_id, setup, limits, feerate, local_points, .. } = begun;
        let ledger = Ledger::new(setup.terms.funding.value, setup.pushed, feerate)?;
        let [first, second] = begun.remote_points;
        Some(Self {
            key,
            channel_id,
            setup,
            limits,
            ledger,
            contracts: BTreeMap::new(),
            over: BTreeMap::new(),
            local: Local {
                number: CommitmentNumber(0),
                points: local_points,
                signature: begun.signature,
                stages: Vec::new(),
                received: None,
            },
            remote: Remote {
                number: CommitmentNumber(0),
                points: (first, Some(second)),
                unrevoked: CommitmentNumber(0),
                secret: None,
            },
            revoked_last: false,
            link: Link::default(),
        })
    }

    /// Who has what.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The contracts that some commitment has or will have.
    pub const fn contracts(&self) -> &BTreeMap<ContractId, Known> {
        &self.contracts
    }

    /// Which side we are.
    pub const fn side(&self) -> Side {
        self.setup.side
    }

    /// What users may not have heard, because nobody has saved that they have: it is told again
    /// after a restart.
    pub fn owed(&self) -> Vec<Event> {
        let mut owed = Vec::new();
        for (id, entry) in self.ledger.entries() {
            let end = self.contracts.get(id).and_then(|known| known.end.as_ref());
            match end {
                Some(End::Fulfilled(preimage)) if id.offered_by == self.setup.side => {
                    owed.push(Event::Fulfilled(*id, *preimage));
                }
                None if id.offered_by != self.setup.side && entry.added == Step::Acked => {
                    owed.push(Event::Offered(*id));
                }
                Some(_) | None => {}
            }
        }
        let over = self.over.iter();
        owed.extend(over.map(|(id, end)| Event::Over { id: *id, end: end.clone() }));
        owed
    }

    /// Whoever uses the channel has saved that this contract is over.
    pub fn heard(&self, id: ContractId) -> Outcome {
        let nothing = self.nothing();
        if self.over.contains_key(&id) { nothing.save(Change::Heard(id)) } else { nothing }
    }

    /// Whether both sides have said where they stand.
    pub fn is_up(&self) -> bool {
        self.link.phase == Phase::Up
    }

    /// Whether the peer may be heard now. While our signer looks at a revocation, what follows has
    /// to wait: what the peer signs next is built on it.
    pub const fn can_receive(&self) -> bool {
        self.link.revoking.is_none()
    }

    /// A message of the peer about this channel, at a time at which it
    /// [can be heard](Live::can_receive).
    #[allow(clippy::wildcard_enum_match_arm, reason = "each other message is as unexpected")]
    pub fn receive(&self, message: &Message) -> Result<Outcome, Violation> {
        let is_up = self.is_up();
        match message {
            Message::UpdateAddHtlc(add) if is_up => self.receive_add(add),
            Message::UpdateFulfillHtlc(fulfill) if is_up => self.receive_fulfill(fulfill),
            Message::UpdateFailHtlc(fail) if is_up => self.receive_fail(fail),
            Message::UpdateFailMalformedHtlc(fail) if is_up => self.receive_malformed(fail),
            Message::UpdateFee(fee) if is_up => self.receive_fee(fee),
            Message::CommitmentSigned(signed) if is_up => self.receive_signed(signed),
            Message::RevokeAndAck(revoke) if is_up => self.receive_revoke(revoke),
            Message::ChannelReestablish(said) if self.link.phase == Phase::Greeting => {
                self.receive_reestablish(said)
            }
            other => Err(Violation::Unexpected { message: other.name() }),
        }
    }

    /// Takes in what was just decided. The changes are saved before any effect leaves the process.
    pub fn take(&mut self, outcome: &Outcome) {
        self.link = outcome.link;
        for change in &outcome.changes {
            self.evolve(change);
        }
    }

    /// Takes a change in: one that was just decided, or one that was saved.
    pub fn evolve(&mut self, change: &Change) {
        let (side, peer) = (self.setup.side, self.setup.side.other());
        match change {
            Change::Added { by, add } => self.evolve_added(*by, add),
            Change::Ended { id, end } => {
                let paid = matches!(end, End::Fulfilled(_));
                assert!(self.ledger.remove(*id, paid), "it was judged before");
                self.known_mut(*id).end = Some(end.clone());
            }
            Change::Rate(rate) => self.ledger.set_rate(*rate),
            Change::Signed => {
                let next = self.remote.points.1.take().expect("the peer has given up one");
                self.ledger.sign(side);
                self.remote.number.0 += 1;
                self.remote.points.0 = next;
                self.revoked_last = false;
            }
            Change::Received { signature, stages } => {
                self.ledger.sign(peer);
                self.local.received = Some((*signature, stages.clone()));
            }
            Change::Advanced { next } => {
                let received = self.local.received.take().expect("the peer has signed it");
                (self.local.signature, self.local.stages) = received;
                self.local.number.0 += 1;
                self.local.points = [self.local.points[1], *next];
                self.revoked_last = true;
                self.evolve_revoked(side);
            }
            Change::Revoked { secret, next } => {
                self.remote.secret = Some(*secret);
                self.remote.unrevoked.0 += 1;
                self.remote.points.1 = Some(*next);
                self.evolve_revoked(peer);
            }
            Change::Lost => self.evolve_lost(),
            Change::Heard(id) => {
                self.over.remove(id);
            }
        }
    }

    fn evolve_added(&mut self, by: Side, add: &UpdateAddHtlc) {
        let id = self.ledger.add(by, add.amount_msat, contract_of(add));
        let id = id.expect("it was judged before");
        let known = Known { add: Box::new(add.clone()), end: None };
        self.contracts.insert(id, known);
    }

    fn evolve_revoked(&mut self, by: Side) {
        for gone in self.ledger.revoke(by) {
            let end = self.contracts.remove(&gone.id).and_then(|known| known.end);
            self.over.insert(gone.id, end.expect("it is gone because somebody has ended it"));
        }
    }

    fn evolve_lost(&mut self) {
        self.ledger.forget_unsigned(self.setup.side.other());
        self.link = Link { asked: self.link.asked, ..Link::default() };
        // An end that the peer had not signed is forgotten, but not its preimage: that is true.
        let entries = self.ledger.entries();
        self.contracts.retain(|id, _| entries.contains_key(id));
    }

    fn known_mut(&mut self, id: ContractId) -> &mut Known {
        self.contracts.get_mut(&id).expect("the ledger has it")
    }

    /// What a commitment means.
    fn meaning(&self, owner: Side, which: As, number: CommitmentNumber, point: Point) -> Meaning {
        let view = self.ledger.view(owner, which);
        Meaning {
            owner,
            number,
            point,
            feerate: view.feerate,
            to_opener: view.to_opener,
            to_acceptor: view.to_acceptor,
            contracts: view.contracts.into_iter().map(|(_, placed)| placed).collect(),
        }
    }

    /// What opened the contracts of ours that are ending: the signer wants to see it.
    fn secrets(&self) -> Vec<Vec<u8>> {
        let ended = self.ledger.entries().iter().filter(|(id, entry)| {
            id.offered_by == self.setup.side && entry.removed.is_some_and(|it| it.paid)
        });
        let secret = |(id, _)| match &self.contracts.get(id)?.end {
            Some(End::Fulfilled(preimage)) => Some(preimage.0.to_vec()),
            Some(End::Failed(_) | End::Malformed { .. }) | None => None,
        };
        ended.filter_map(secret).collect()
    }

    /// An outcome in which nothing happens yet.
    const fn nothing(&self) -> Outcome {
        Outcome { changes: Vec::new(), effects: Vec::new(), link: self.link }
    }

    fn ask(&self, outcome: &mut Outcome, op: ChannelOp) -> AskId {
        outcome.link.asked.0 += 1;
        let ask = ChannelAsk { channel: self.key, op };
        outcome.effects.push(Effect::Ask(outcome.link.asked, Box::new(ask)));
        outcome.link.asked
    }

    /// Whether an end of it could be proposed now.
    fn can_end(&self, id: ContractId) -> bool {
        let entry = self.ledger.entries().get(&id);
        entry.is_some_and(|it| it.added == Step::Acked && it.removed.is_none())
    }
}

const fn next(number: CommitmentNumber) -> CommitmentNumber {
    CommitmentNumber(number.0 + 1)
}

/// The contract of an HTLC, as channel and signer see it.
fn contract_of(add: &UpdateAddHtlc) -> Arc<dyn Contract> {
    Arc::new(Htlc { payment_hash: add.payment_hash, cltv_expiry: add.cltv_expiry })
}
