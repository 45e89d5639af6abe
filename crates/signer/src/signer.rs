//! The signer of one node.

use std::fmt::{Debug, Display};

use noise::{EphemeralKey, PublicKey};
use static_assertions::assert_not_impl_any;
use wire::tick::Tick;

use crate::account::WalletKey;
use crate::api::{Answer, Ask, Refusal};
use crate::derive::NodeKey;
use crate::handshakes::{Handshakes, LinkId};
use crate::message::MESSAGE_BYTES_MAX;
use crate::policy::Policy;
use crate::view::{UnixTime, View, ViewChange};

assert_not_impl_any!(Signer: Clone, Copy, Debug, Display);

/// Answers as one node. It remembers handshakes for some seconds only: a signer that restarts
/// refuses the rest of what was under way, and the sockets dial again. Its view of the chain is
/// what has to be saved.
pub struct Signer {
    key: NodeKey,
    wallet: WalletKey,
    policy: Policy,
    view: View,
    handshakes: Handshakes,
    now: Tick,
    time: Option<UnixTime>,
}

impl Signer {
    /// A signer that answers as `key` and signs for `wallet`. The seed is not needed for it any
    /// more.
    pub fn new(key: NodeKey, wallet: WalletKey) -> Signer {
        let (policy, view) = (Policy::default(), View::genesis(wallet.network()));
        let (handshakes, now) = (Handshakes::default(), Tick(0));
        Signer { key, wallet, policy, view, handshakes, now, time: None }
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
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What a clock shows. Headers are compared with it, and with nothing as long as it is not
    /// told.
    pub const fn tell_time(&mut self, time: UnixTime) {
        self.time = Some(time);
    }

    /// What would be new after the answer to this question: the shell saves it first, and only then
    /// asks. If it cannot, it answers [`Refusal::NotSaved`] by itself.
    pub fn unsaved(&self, ask: &Ask) -> Option<ViewChange> {
        let change = match ask {
            Ask::ViewHeaders { headers } => self.view.judge(headers, self.time).ok()?,
            Ask::ViewProof { block, proof } => self.view.judge_proof(*block, proof).ok()?,
            Ask::NodeId
            | Ask::Handshake { .. }
            | Ask::Forget { .. }
            | Ask::SignMessage { .. }
            | Ask::WalletAccount
            | Ask::SignSpend { .. }
            | Ask::ViewStatus => return None,
        };
        Some(change).filter(|change| !change.is_nothing())
    }

    /// The node's id.
    pub fn node_id(&self) -> PublicKey {
        self.key.id()
    }

    /// Answers a question that came over `link`. `ephemeral` is drawn with strong randomness, and
    /// only if the question begins a handshake.
    pub fn answer(
        &mut self,
        link: LinkId,
        ask: Ask,
        now: Tick,
        ephemeral: impl FnOnce() -> EphemeralKey,
    ) -> Answer {
        self.expire(now);
        match ask {
            Ask::NodeId => Answer::NodeId { node: self.key.id() },
            Ask::Handshake { connection, ask } => {
                let (place, key) = ((link, connection), self.key.identity());
                match self.handshakes.answer(place, ask, key, self.now, ephemeral) {
                    Ok(answer) => Answer::Handshake { connection, answer },
                    Err(refusal) => Answer::Refused(refusal),
                }
            }
            Ask::Forget { connection } => {
                self.handshakes.forget((link, connection));
                Answer::Forgotten { connection }
            }
            Ask::SignMessage { message } if message.len() > MESSAGE_BYTES_MAX => {
                let (got, max) = (message.len(), MESSAGE_BYTES_MAX);
                Answer::Refused(Refusal::MessageTooLong { got, max })
            }
            Ask::SignMessage { message } => {
                Answer::Signed { signature: self.key.sign_message(&message) }
            }
            Ask::WalletAccount => Answer::WalletAccount { account: *self.wallet.account() },
            Ask::SignSpend { spend } => match self.policy.judge(self.wallet.account(), &spend) {
                Ok(_) => Answer::SpendSigned { signatures: self.wallet.sign(&spend) },
                Err(flaw) => Answer::Refused(Refusal::Spend(flaw)),
            },
            Ask::ViewHeaders { headers } => match self.view.take(&headers, self.now, self.time) {
                Ok(()) => Answer::View { status: self.view.status(self.now, self.time) },
                Err(flaw) => Answer::Refused(Refusal::View(flaw)),
            },
            Ask::ViewProof { block, proof } => match self.view.prove(block, &proof) {
                Ok(proven) => Answer::Proven { proven },
                Err(flaw) => Answer::Refused(Refusal::View(flaw)),
            },
            Ask::ViewStatus => Answer::View { status: self.view.status(self.now, self.time) },
        }
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
