//! The signer of one node.

use std::fmt::{Debug, Display};

use bitcoin::Txid;
use noise::{EphemeralKey, PublicKey};
use static_assertions::assert_not_impl_any;
use wire::id::ChannelKey;
use wire::lease::LeaseEpoch;
use wire::tick::Tick;

use crate::account::WalletKey;
use crate::api::{Answer, Ask, Refusal};
use crate::channel::{
    ChannelAnswer, ChannelAsk, ChannelChange, ChannelRefusal, Channels, Decided, Money, Seen,
};
use crate::derive::NodeKey;
use crate::handshakes::{Handshakes, LinkId};
use crate::message::MESSAGE_BYTES_MAX;
use crate::policy::Policy;
use crate::view::{UnixTime, View, ViewChange};

assert_not_impl_any!(Signer: Clone, Copy, Debug, Display);
assert_not_impl_any!(Pending<'_>: Clone, Copy, Debug, Display);

/// Answers as one node. It remembers handshakes for some seconds only: a signer that restarts
/// refuses the rest of what was under way, and the sockets dial again. Its view of the chain and
/// its memory of channels are what has to be saved.
pub struct Signer {
    key: NodeKey,
    wallet: WalletKey,
    channels: Channels,
    policy: Policy,
    view: View,
    handshakes: Handshakes,
    now: Tick,
    time: Option<UnixTime>,
}

/// What is new with an answer. It is saved before the answer leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignerChange {
    /// Of the chain.
    View(ViewChange),
    /// Whose the channels are.
    Lease(LeaseEpoch),
    /// Of a channel.
    Channel {
        /// Which one.
        channel: ChannelKey,
        /// What.
        change: ChannelChange,
    },
}

/// A question that is judged and not answered yet. Its work is done once: what is new is saved, and
/// then it is answered. If it cannot be saved this is dropped, and nothing has changed; the shell
/// answers [`Refusal::NotSaved`] by itself. It keeps the signer, so nothing can come between.
#[must_use]
pub struct Pending<'a> {
    signer: &'a mut Signer,
    change: Option<SignerChange>,
    then: Then,
}

/// How a question is answered once its change is taken in.
enum Then {
    Answer(Answer),
    Status,
    Proven(Txid),
}

impl Signer {
    /// A signer that answers as `key` and signs for `wallet` and `channels`. The seed is not needed
    /// for it any more.
    pub fn new(key: NodeKey, wallet: WalletKey, channels: Channels) -> Signer {
        let (policy, view) = (Policy::default(), View::genesis(wallet.network()));
        let (handshakes, now) = (Handshakes::default(), Tick(0));
        Signer { key, wallet, channels, policy, view, handshakes, now, time: None }
    }

    /// The same signer, with rules of its owner's.
    pub fn with_policy(self, policy: Policy) -> Signer {
        Signer { policy, ..self }
    }

    /// The same signer, with what it has seen of the chain before.
    pub fn with_view(self, view: View) -> Signer {
        Signer { view, ..self }
    }

    /// What it has seen of the chain.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// What it remembers of channels.
    pub const fn channels(&self) -> &Channels {
        &self.channels
    }

    /// What a clock shows. Headers are compared with it, and with nothing as long as it is not
    /// told.
    pub const fn tell_time(&mut self, time: UnixTime) {
        self.time = Some(time);
    }

    /// The node's id.
    pub fn node_id(&self) -> PublicKey {
        self.key.id()
    }

    /// Judges a question that came over `link`. `ephemeral` is drawn with strong randomness, and
    /// only if the question begins a handshake.
    pub fn decide(
        &mut self,
        link: LinkId,
        ask: Ask,
        now: Tick,
        ephemeral: impl FnOnce() -> EphemeralKey,
    ) -> Pending<'_> {
        self.expire(now);
        let (change, then) = self
            .judge(link, ask, ephemeral)
            .unwrap_or_else(|refusal| (None, Then::Answer(Answer::Refused(refusal))));
        Pending { signer: self, change, then }
    }

    /// Answers a question, for whoever has no disk: what is new is forgotten with this signer.
    pub fn answer(
        &mut self,
        link: LinkId,
        ask: Ask,
        now: Tick,
        ephemeral: impl FnOnce() -> EphemeralKey,
    ) -> Answer {
        self.decide(link, ask, now, ephemeral).saved()
    }

    fn judge(
        &mut self,
        link: LinkId,
        ask: Ask,
        ephemeral: impl FnOnce() -> EphemeralKey,
    ) -> Result<(Option<SignerChange>, Then), Refusal> {
        let answer = match ask {
            Ask::NodeId => Answer::NodeId { node: self.key.id() },
            Ask::Handshake { connection, ask } => {
                let (place, key) = ((link, connection), self.key.identity());
                let answer = self.handshakes.answer(place, ask, key, self.now, ephemeral)?;
                Answer::Handshake { connection, answer }
            }
            Ask::Forget { connection } => {
                self.handshakes.forget((link, connection));
                Answer::Forgotten { connection }
            }
            Ask::SignMessage { message } if message.len() > MESSAGE_BYTES_MAX => {
                let (got, max) = (message.len(), MESSAGE_BYTES_MAX);
                return Err(Refusal::MessageTooLong { got, max });
            }
            Ask::SignMessage { message } => {
                Answer::Signed { signature: self.key.sign_message(&message) }
            }
            Ask::WalletAccount => Answer::WalletAccount { account: *self.wallet.account() },
            Ask::SignSpend { spend } => {
                let account = self.wallet.account();
                let fundings = self.channels.funded_by(&spend.transaction(account));
                let judged = self.policy.judge_with(account, &spend, &fundings);
                judged.map_err(Refusal::Spend)?;
                Answer::SpendSigned { signatures: self.wallet.sign(&spend) }
            }
            Ask::ViewHeaders { headers } => {
                let change = self.view.judge(&headers, self.time).map_err(Refusal::View)?;
                let change = Some(change).filter(|change| !change.is_nothing());
                return Ok((change.map(SignerChange::View), Then::Status));
            }
            Ask::ViewProof { block, proof } => {
                let change = self.view.judge_proof(block, &proof).map_err(Refusal::View)?;
                let txid = proof.transaction.compute_txid();
                return Ok((Some(SignerChange::View(change)), Then::Proven(txid)));
            }
            Ask::ViewStatus => return Ok((None, Then::Status)),
            Ask::PeelOnion { packet, associated_data } => {
                Answer::Peeled(self.key.peel(&packet, &associated_data).into())
            }
            Ask::Lease { epoch } => {
                let judged = self.channels.lease().judge_claim(epoch);
                judged.map_err(Refusal::StaleLease)?;
                let then = Then::Answer(Answer::Channel(ChannelAnswer::Done));
                return Ok((Some(SignerChange::Lease(epoch)), then));
            }
            Ask::Channel { lease, ask } => {
                self.channels.lease().judge(lease).map_err(Refusal::StaleLease)?;
                let (change, answer) = self.decide_channel(&ask).map_err(Refusal::Channel)?;
                let channel = ask.channel;
                let change = change.map(|change| SignerChange::Channel { channel, change });
                return Ok((change, Then::Answer(Answer::Channel(answer))));
            }
        };
        Ok((None, Then::Answer(answer)))
    }

    fn decide_channel(&self, ask: &ChannelAsk) -> Result<Decided, ChannelRefusal> {
        let money = Money { wallet: &self.wallet, policy: &self.policy };
        self.channels.decide_with(ask, &money, &self.seen())
    }

    /// What it sees of the world. A view that nobody has ever shown a block to says nothing.
    fn seen(&self) -> Seen {
        let status = self.view.status(self.now, self.time);
        if status.tip == status.first {
            return Seen { time: self.time, ..Seen::default() };
        }
        let max = self.policy.channels.header_age_max_of(self.view.network());
        let stale = status.age.zip(max).filter(|(age, max)| age > max);
        let time = self.time.or(Some(UnixTime(status.header_time)));
        Seen { tip: Some(status.tip.height), stale, time }
    }

    /// Wipes every handshake whose time is over. The shell calls it at [`Signer::next_expiry`].
    pub fn expire(&mut self, now: Tick) {
        // A clock that went back would prolong secrets' lives.
        self.now = self.now.max(now);
        self.handshakes.expire(self.now);
    }

    /// When [`Signer::expire`] has something to do; nothing if no handshake is under way.
    pub fn next_expiry(&self) -> Option<Tick> {
        self.handshakes.next_expiry()
    }

    /// A link is gone: wipes all handshakes of its connections.
    pub fn unlink(&mut self, link: LinkId) {
        self.handshakes.unlink(link);
    }

    /// How many handshakes are under way.
    pub fn handshakes(&self) -> usize {
        self.handshakes.under_way()
    }
}

impl Pending<'_> {
    /// What has to be on the disk first; nothing if all stays as it is, or may be lost in a crash.
    pub fn unsaved(&self) -> Option<&SignerChange> {
        self.change.as_ref().filter(|change| match change {
            SignerChange::View(_) | SignerChange::Lease(_) => true,
            SignerChange::Channel { change, .. } => self.signer.channels.has_to_be_saved(change),
        })
    }

    /// The signer, without the change: of that its journals are the sum.
    pub const fn signer(&self) -> &Signer {
        self.signer
    }

    /// It is saved: takes it in, and answers.
    pub fn saved(self) -> Answer {
        let Pending { signer, change, then } = self;
        match change {
            Some(SignerChange::View(change)) => {
                if let ViewChange::Headers(_) = change {
                    signer.view.received(signer.now);
                }
                signer.view.evolve(&change);
            }
            Some(SignerChange::Lease(epoch)) => signer.channels.take_lease(epoch),
            Some(SignerChange::Channel { channel, change }) => {
                signer.channels.evolve(channel, &change);
            }
            None => {}
        }
        match then {
            Then::Answer(answer) => answer,
            Then::Status => Answer::View { status: signer.view.status(signer.now, signer.time) },
            Then::Proven(txid) => {
                let proven = signer.view.proven(txid);
                Answer::Proven { proven: proven.expect("it was just taken in") }
            }
        }
    }
}
