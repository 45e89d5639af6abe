//! One channel: its state, what it takes in, what it wants done.
//!
//! | state | until |
//! |---|---|
//! | `Funding` | the funding is deep enough for both |
//! | `Normal` | somebody wants to close it |
//! | `Shutdown` | both have said so, and no contract is left |
//! | `Negotiating` | both have signed one closing transaction |
//! | `Failing` | all that was ours is deep in the chain |
//! | `Done` | |
//!
//! Nothing here knows a key. Commitments are asked of the signer by their meaning, and only after
//! what is asked was saved; what it gives up is sent only after it has said so.

mod evolve;
mod failing;
mod funding;
mod link;
mod negotiating;
mod outcome;
mod shutdown;
mod simple;

use std::collections::BTreeMap;
use std::sync::Arc;

use signer::{ChannelAsk, ChannelOp, SetUp};
use tx::{Meaning, RevokedSecrets, Side};
use wire::amount::{BlockHeight, FeeratePerKw};
use wire::id::{ChannelId, ChannelKey, CommitmentNumber, PerCommitmentSecret, Scid};
use wire::key::{Point, Signature};
use wire::{Message, UpdateAddHtlc};

use crate::begun::Begun;
use crate::bolt2::Limits;
use crate::change::{Change, End};
use crate::contract::{NoResolver, Resolvers};
use crate::fault::Violation;
use crate::ledger::{As, ContractId, Ledger, Step};
use crate::onchain::{Ended, Seen};

pub use failing::{Failing, Why};
pub use funding::{FUNDING_BLOCKS_MAX, Ready};
pub(crate) use link::{Advance, Asked, Link, Phase, ShownFor};
pub use link::{AskId, Dialects};
pub use negotiating::{CLOSING_BLOCKS_MAX, Negotiating};
pub use outcome::{Effect, Event, Outcome};
pub use shutdown::{Shutdown, is_closing_script};

/// A channel, from its first commitments on.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(crate) begun: Arc<Begun>,
    pub(crate) key: ChannelKey,
    pub(crate) channel_id: ChannelId,
    pub(crate) setup: SetUp,
    pub(crate) limits: Limits,
    /// The kinds of contracts that it knows.
    pub(crate) resolvers: Resolvers,
    pub(crate) state: State,
    pub(crate) ready: Ready,
    /// The newest block when we began to wait: the acceptor for the funding, and whoever closes for
    /// an answer to its fee, or a fee that it takes.
    pub(crate) waits_since: Option<BlockHeight>,
    pub(crate) ledger: Ledger,
    /// What the ledger does not know of contracts.
    pub(crate) contracts: BTreeMap<ContractId, Known>,
    /// Contracts in no commitment any more, until whoever uses the channel has heard of it.
    pub(crate) over: BTreeMap<ContractId, End>,
    pub(crate) local: Local,
    pub(crate) remote: Remote,
    /// Of the last `commitment_signed` and the last `revoke_and_ack` of ours the latter came later.
    pub(crate) revoked_last: bool,
    /// What the chain says.
    pub(crate) seen: Seen,
    /// The spend of the funding, as the chain and all else here tell it.
    pub(crate) ended: Option<Ended>,
    /// What is not saved: a restart begins without a connection.
    pub(crate) link: Link,
    /// What the shell has told of the world. Not saved either.
    pub(crate) now: Now,
}

/// How far a channel is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The funding is on its way into the chain.
    Funding,
    /// Payments can be made.
    Normal,
    /// No new contract is taken; those that are there come to their ends.
    Shutdown(Shutdown),
    /// Both sides look for a closing transaction.
    Negotiating(Negotiating),
    /// It ends on the chain.
    Failing(Failing),
    /// It has ended, and nothing can change that.
    Done,
}

/// What is known of a contract beside its money.
#[derive(Clone, Debug)]
pub struct Known {
    /// As it crossed the wire.
    pub add: Box<Message>,
    /// How it ends, if somebody has begun with that.
    pub end: Option<End>,
    /// What opens it, if it was shown since the channel fails.
    pub secret: Option<Vec<u8>>,
}

impl Known {
    /// What opens it, as far as that was shown.
    pub(crate) fn opened_by(&self) -> Option<&[u8]> {
        self.end.as_ref().and_then(End::secret).or(self.secret.as_deref())
    }

    /// The HTLC, if it is one.
    pub fn htlc(&self) -> Option<&UpdateAddHtlc> {
        if let Message::UpdateAddHtlc(add) = &*self.add { Some(add) } else { None }
    }
}

/// Our commitments.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    /// The newest that the peer has signed, and all before it are given up.
    pub(crate) number: CommitmentNumber,
    /// Its point, and that of the next.
    pub(crate) points: [Point; 2],
    /// The points of the last one that we gave up, and of the one before that.
    pub(crate) given_up: [Option<Point>; 2],
    pub(crate) signature: Signature,
    pub(crate) stages: Vec<Signature>,
    /// The peer has signed the next one, and our signer has not answered yet.
    pub(crate) received: Option<(Signature, Vec<Signature>)>,
}

/// The peer's commitments.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// The newest that we sign.
    pub(crate) number: CommitmentNumber,
    /// Its point, and that of the next, which comes with `channel_ready` or a revocation.
    pub(crate) points: (Point, Option<Point>),
    /// The point of the one before, as long as that is not given up.
    pub(crate) before: Option<Point>,
    /// The first that the peer has not given up.
    pub(crate) unrevoked: CommitmentNumber,
    /// What gave up those before.
    pub(crate) secrets: RevokedSecrets,
}

/// What the shell tells of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The newest block.
    pub tip: BlockHeight,
    /// For what has to be in the next blocks.
    pub urgent: FeeratePerKw,
    /// For what has time.
    pub calm: FeeratePerKw,
}

impl Channel {
    /// A channel with its first commitments, and contracts of BOLT 2 only.
    pub fn new(begun: Begun) -> Self {
        Self::with(begun, Resolvers::bolt2())
    }

    /// The same, with these kinds of contracts.
    pub fn with(begun: Begun, resolvers: Resolvers) -> Self {
        let agreed = begun.agreed();
        let ledger = Ledger::new(agreed.funding, agreed.pushed, agreed.feerate);
        Self {
            key: agreed.key,
            channel_id: begun.channel_id(),
            setup: begun.set_up(),
            limits: begun.limits(),
            resolvers,
            state: State::Funding,
            ready: Ready::default(),
            waits_since: None,
            ledger: ledger.expect("whoever has made a beginning has judged it"),
            contracts: BTreeMap::new(),
            over: BTreeMap::new(),
            local: Local {
                number: CommitmentNumber(0),
                points: agreed.local_points,
                given_up: [None; 2],
                signature: begun.signature(),
                stages: Vec::new(),
                received: None,
            },
            remote: Remote {
                number: CommitmentNumber(0),
                points: (agreed.remote_point, None),
                before: None,
                unrevoked: CommitmentNumber(0),
                secrets: RevokedSecrets::default(),
            },
            revoked_last: false,
            seen: Seen::default(),
            ended: None,
            link: Link::default(),
            now: Now::default(),
            begun: Arc::new(begun),
        }
    }

    /// Takes in a change that was saved; nothing has changed if it is about a contract that nobody
    /// has registered. [`Channel::evolve`] is for what this channel has decided itself.
    pub fn restore(&mut self, change: &Change) -> Result<(), NoResolver> {
        self.resolvers.judge(change)?;
        self.evolve(change);
        Ok(())
    }

    /// The kinds of contracts that it knows.
    pub const fn resolvers(&self) -> &Resolvers {
        &self.resolvers
    }

    /// What it has begun with.
    pub fn begun(&self) -> &Begun {
        &self.begun
    }

    /// How far it is in its life.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The channel's name for both.
    pub const fn channel_id(&self) -> ChannelId {
        self.channel_id
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

    /// The name by which the peer knows the channel, if it has given one.
    pub const fn remote_alias(&self) -> Option<Scid> {
        self.ready.remote_alias
    }

    /// What is so in the world. The shell tells it before all else, and whenever it changes.
    pub fn at(&mut self, now: Now) {
        let is_new = now.tip != self.now.tip;
        self.now = now;
        if is_new && self.link.is_refused {
            (self.link.is_refused, self.link.publishing, self.link.closing) = (false, None, None);
            (self.link.hangs_up, self.link.shown_again) = (self.link.is_stalled, 0);
            if let State::Failing(_) = self.state {
                self.link.advancing = None;
            }
            self.link.bids.retain(|_, bid| !bid.is_refused);
        }
    }

    /// Does what is our turn, if there is something: signs what is not signed, says that we want to
    /// close, publishes. Whoever runs the channel calls it when nothing else is waiting, so that
    /// what came together is signed together.
    pub fn drive(&self) -> Outcome {
        if self.ended.is_some() {
            return self.pursue_chain();
        }
        if let State::Failing(failing) = &self.state {
            return self.pursue_failing(failing);
        }
        if let Some(why) = self.overdue() {
            return self.fail_for(why);
        }
        if let Some(outcome) = self.say_shutdown() {
            return outcome;
        }
        if self.link.hangs_up {
            let mut outcome = self.nothing();
            (outcome.link.is_stalled, outcome.link.hangs_up) = (false, false);
            outcome.effects.push(Effect::Hangup);
            return outcome;
        }
        match &self.state {
            State::Funding => self.pursue_funding(),
            State::Failing(_) | State::Done => self.nothing(),
            State::Normal | State::Shutdown(_) => self.commit(),
            State::Negotiating(negotiating) => self.pursue_closing(negotiating),
        }
    }

    /// What users may not have heard, because nobody has saved that they have: it is told again
    /// after a restart.
    pub fn owed(&self) -> Vec<Event> {
        let mut owed = Vec::new();
        for (id, entry) in self.ledger.entries() {
            let Some(known) = self.contracts.get(id) else { continue };
            let is_ours = id.offered_by == self.setup.side;
            match &known.end {
                Some(end) if is_ours => owed.extend(Event::shown(*id, end)),
                None if !is_ours && entry.added == Step::Acked => owed.push(Event::Offered(*id)),
                Some(_) | None => {}
            }
        }
        for (id, known) in self.contracts.iter().filter(|it| it.0.offered_by == self.setup.side) {
            let end = known.secret.as_deref().and_then(|it| self.opened(*id, it));
            owed.extend(end.and_then(|it| Event::shown(*id, &it)));
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

    /// Whether the peer has said where it stands since the channel was restored. Before, nobody but
    /// our signer can know whether this is the newest state.
    pub const fn has_heard_peer(&self) -> bool {
        self.link.has_heard
    }

    /// Whether the peer may be heard now. While our signer looks at a revocation, what follows has
    /// to wait: what the peer signs next is built on it. So it has before we have said where we
    /// stand.
    pub fn can_receive(&self) -> bool {
        self.link.revoking.is_none() && self.link.phase != Phase::Waiting
    }

    /// A message of the peer about this channel, at a time at which it
    /// [can be heard](Channel::can_receive).
    #[allow(clippy::wildcard_enum_match_arm, reason = "each other message is as unexpected")]
    pub fn receive(&self, message: &Message) -> Result<Outcome, Violation> {
        match &self.state {
            State::Failing(failing) => return Ok(self.receive_failing(&failing.why, message)),
            State::Done => return Ok(self.receive_failing(&self.why_done(), message)),
            State::Funding | State::Normal | State::Shutdown(_) | State::Negotiating(_) => {}
        }
        let unexpected = Violation::Unexpected { message: message.name() };
        match (&self.link.phase, message) {
            (Phase::Greeting, Message::ChannelReestablish(said)) => self.receive_reestablish(said),
            (_, Message::Error(said)) => Ok(self.receive_error(said)),
            (Phase::Up, Message::ChannelReady(said)) => self.receive_ready(said),
            (Phase::Up, Message::Shutdown(said)) => self.receive_shutdown(said),
            (Phase::Up, message) => match &self.state {
                State::Funding => Err(unexpected),
                State::Normal | State::Shutdown(_) => self.receive_update(message),
                State::Negotiating(negotiating) => self.receive_closing(negotiating, message),
                State::Failing(_) | State::Done => Ok(self.nothing()),
            },
            (Phase::Gone | Phase::Waiting | Phase::Greeting, _) => Err(unexpected),
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "each other message is as unexpected")]
    fn receive_update(&self, message: &Message) -> Result<Outcome, Violation> {
        match message {
            Message::UpdateFee(fee) => self.receive_fee(fee),
            Message::CommitmentSigned(signed) => self.receive_signed(signed),
            Message::RevokeAndAck(revoke) => self.receive_revoke(revoke),
            other => self.receive_contract(other),
        }
    }

    /// How a contract ends that this secret has opened.
    pub(crate) fn opened(&self, id: ContractId, secret: &[u8]) -> Option<End> {
        self.resolvers.known(id.kind).opened(secret)
    }

    pub(crate) fn known_mut(&mut self, id: ContractId) -> &mut Known {
        self.contracts.get_mut(&id).expect("the ledger has it")
    }

    /// What a commitment means.
    pub(crate) fn meaning(
        &self,
        owner: Side,
        which: As,
        number: CommitmentNumber,
        point: Point,
    ) -> Meaning {
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
    pub(crate) fn secrets(&self) -> Vec<Vec<u8>> {
        let ended = self.ledger.entries().iter().filter(|(id, entry)| {
            id.offered_by == self.setup.side && entry.removed.is_some_and(|it| it.paid)
        });
        let secret = |(id, _)| Some(self.contracts.get(id)?.end.as_ref()?.secret()?.to_vec());
        ended.filter_map(secret).collect()
    }

    /// What the peer's last revocation gave up.
    pub(crate) fn last_secret(&self) -> Option<PerCommitmentSecret> {
        let last = self.remote.unrevoked.0.checked_sub(1)?;
        self.remote.secrets.secret(CommitmentNumber(last))
    }

    /// An outcome in which nothing happens yet.
    pub(crate) fn nothing(&self) -> Outcome {
        Outcome { changes: Vec::new(), effects: Vec::new(), link: self.link.clone() }
    }

    pub(crate) fn ask(&self, outcome: &mut Outcome, op: ChannelOp) -> AskId {
        outcome.link.asked.0 += 1;
        let ask = ChannelAsk { channel: self.key, op };
        outcome.effects.push(Effect::Ask(outcome.link.asked, Box::new(ask)));
        outcome.link.asked
    }

    /// Whether an end of it could be proposed now.
    pub(crate) fn can_end(&self, id: ContractId) -> bool {
        let entry = self.ledger.entries().get(&id);
        entry.is_some_and(|it| it.added == Step::Acked && it.removed.is_none())
    }
}

pub(crate) const fn next(number: CommitmentNumber) -> CommitmentNumber {
    CommitmentNumber(number.0.saturating_add(1))
}
