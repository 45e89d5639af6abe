//! What lasts as long as a connection, or as a question to the signer.

use std::sync::Arc;

use bitcoin::{OutPoint, Transaction};
use tx::Close;
use wire::ClosingComplete;
use wire::amount::{BlockHeight, Sat};
use wire::features::{Feature, Features};
use wire::id::PerCommitmentSecret;
use wire::key::{Point, Signature};

use crate::contract::Met;
use crate::onchain::{Bids, EndedBy};

/// Names a question to the signer, so that a late answer is not taken for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// What both ends of a connection can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialects {
    /// `option_shutdown_anysegwit`.
    pub any_segwit: bool,
    /// `option_simple_close`.
    pub simple_close: bool,
}

impl Dialects {
    /// Everything that we know.
    pub const ALL: Self = Self { any_segwit: true, simple_close: true };

    /// What both have offered in `init`.
    pub fn of(local: &Features, remote: &Features) -> Self {
        let both = |feature: Feature| local.offers(feature) && remote.offers(feature);
        Self {
            any_segwit: both(Feature::ShutdownAnysegwit),
            simple_close: both(Feature::SimpleClose),
        }
    }
}

/// The connection, and the questions under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) phase: Phase,
    pub(crate) dialects: Dialects,
    /// The kinds of contracts that both offer, as [`Met`] has them.
    pub(crate) kinds: u32,
    /// It is not the one in which the channel was opened.
    pub(crate) is_again: bool,
    /// Both have said where they stand, in this connection or an earlier one of this life.
    pub(crate) has_heard: bool,
    /// The last question to the signer: the only thing that outlives a connection.
    pub(crate) asked: AskId,
    /// Our signer is asked for a signature of the peer's newest commitment.
    pub(crate) signing: Option<AskId>,
    /// We have never had it: it was wanted in this life, and no connection of it could carry it. So
    /// it can still be taken back.
    pub(crate) is_unsigned: bool,
    /// Our signer is shown what the peer has signed.
    pub(crate) advancing: Option<(AskId, Advance)>,
    /// Our signer is shown what the peer has given up: its secret and its next point.
    pub(crate) revoking: Option<(AskId, PerCommitmentSecret, Point)>,
    /// Our signer is asked for a signature of a closing transaction.
    pub(crate) closing: Option<Box<Closing>>,
    /// Our signer is asked for our own commitment, to publish it.
    pub(crate) publishing: Option<AskId>,
    /// Our signer is asked whether the peer knows a secret of ours.
    pub(crate) checking: Option<AskId>,
    /// There are updates that the peer has not heard, because a signature comes first.
    pub(crate) unsaid: bool,
    /// Our signer has not signed yet what comes before a revocation: that is said behind it.
    pub(crate) revokes_late: bool,
    /// Our newest signature was lost, and is said again behind a revocation.
    pub(crate) signs_again: bool,
    /// The peer has heard our `shutdown` in this connection.
    pub(crate) said_shutdown: bool,
    /// We have heard the peer's in this connection.
    pub(crate) heard_shutdown: bool,
    /// What was handed out to be published: our own commitment, or the close of both.
    pub(crate) published: Option<Arc<Transaction>>,
    /// When a child of our commitment was last thought of.
    pub(crate) child_since: BlockHeight,
    /// Users were told who has ended the channel on the chain.
    pub(crate) told_end: Option<EndedBy>,
    /// A revoked commitment is looked up in the log.
    pub(crate) is_recalling: bool,
    /// With this block there was nothing to do on the chain.
    pub(crate) at_rest: Option<BlockHeight>,
    /// What takes our money on the chain.
    pub(crate) bids: Bids,
    /// Our signer has refused something: it is asked again with the next block.
    pub(crate) is_refused: bool,
    /// It is shown again what it had lost, for this.
    pub(crate) showing: Option<(AskId, ShownFor)>,
    /// So often it was, and has not signed since.
    pub(crate) shown_again: u8,
    /// It was something without which this connection cannot go on.
    pub(crate) is_stalled: bool,
    /// That was a block ago: we hang up, and both say where they stand.
    pub(crate) hangs_up: bool,
    /// What was offered in this connection to close with.
    pub(crate) offered: Offered,
}

/// Fees of closing transactions in this connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Ours, of the last `closing_signed`.
    pub(crate) local: Option<Sat>,
    /// The peer's.
    pub(crate) remote: Option<Sat>,
    /// Our `closing_complete`.
    pub(crate) complete: Option<Box<ClosingComplete>>,
}

/// A closing transaction that our signer looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub(crate) asked: AskId,
    pub(crate) close: Close,
    pub(crate) purpose: Purpose,
}

/// What a signature of a closing transaction is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `closing_signed`, with a fee that the peer has not taken yet.
    Offer,
    /// The peer has signed it: this is the one.
    Settle {
        /// The peer's signature.
        theirs: Signature,
        /// The peer has heard ours.
        is_said: bool,
    },
    /// `closing_complete`, which has a signature for each of its variants.
    Complete(Complete),
    /// `closing_sig`.
    Answer(Box<Answer>),
}

/// A `closing_complete` of ours, as far as it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complete {
    /// What the signer is asked for now.
    pub(crate) variant: Variant,
    /// What comes after that.
    pub(crate) left: Vec<Variant>,
    pub(crate) signed: Vec<(Variant, Signature)>,
}

/// A `closing_complete` of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) said: ClosingComplete,
    /// The one that we sign as well.
    pub(crate) variant: Variant,
    pub(crate) theirs: Signature,
}

/// Whose outputs a closing transaction has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// That of whoever pays for it.
    Closer,
    /// That of the other.
    Closee,
    /// Both.
    Both,
}

/// Why our signer is shown a commitment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// The peer has just signed it.
    New,
    /// The peer has not heard what it gave up.
    Again,
}

/// What our signer is asked again when it has seen what it had lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShownFor {
    Sign,
    Close,
    Bid(Vec<OutPoint>),
}

/// A question to which an answer has come.
pub(crate) enum Asked {
    Sign,
    Advance(Advance),
    Revoke(PerCommitmentSecret, Point),
    Close(Box<Closing>),
    Publish,
    Check,
    Bid(Vec<OutPoint>),
    Shown(ShownFor),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none.
    #[default]
    Gone,
    /// There is one, and our signer says first how far we are.
    Waiting,
    /// We have said where we stand, and the peer has not.
    Greeting,
    /// Both have.
    Up,
}

impl Link {
    /// What was asked under this number, if that is still waited for.
    pub(crate) fn question(&self, asked: AskId) -> Option<Asked> {
        if self.signing == Some(asked) {
            return Some(Asked::Sign);
        }
        if let Some((id, advance)) = self.advancing
            && id == asked
        {
            return Some(Asked::Advance(advance));
        }
        if let Some((id, secret, point)) = self.revoking
            && id == asked
        {
            return Some(Asked::Revoke(secret, point));
        }
        if let Some(closing) = &self.closing
            && closing.asked == asked
        {
            return Some(Asked::Close(closing.clone()));
        }
        if self.publishing == Some(asked) {
            return Some(Asked::Publish);
        }
        if self.checking == Some(asked) {
            return Some(Asked::Check);
        }
        if let Some((id, shown)) = &self.showing
            && *id == asked
        {
            return Some(Asked::Shown(shown.clone()));
        }
        let bid = self.bids.iter().find(|(_, bid)| bid.asked == Some(asked));
        bid.map(|(key, _)| Asked::Bid(key.clone()))
    }

    /// A connection begins.
    pub(crate) fn meet(&mut self, phase: Phase, met: Met) {
        (self.phase, self.dialects, self.kinds) = (phase, met.dialects, met.kinds);
    }

    /// What is left when the connection is gone: what is asked for the chain is not
    /// about the connection.
    pub(crate) fn lost(&self) -> Self {
        let dialects = Dialects::default();
        let mut kept = Self { phase: Phase::Gone, dialects, kinds: 0, ..self.clone() };
        (kept.signing, kept.advancing, kept.revoking) = (None, None, None);
        (kept.closing, kept.checking, kept.offered) = (None, None, Offered::default());
        (kept.unsaid, kept.said_shutdown, kept.heard_shutdown) = (false, false, false);
        (kept.is_stalled, kept.hangs_up) = (false, false);
        (kept.shown_again, kept.revokes_late) = (0, false);
        kept.showing = kept.showing.filter(|it| matches!(it.1, ShownFor::Bid(_)));
        kept
    }

    /// What is left when the channel ends on the chain: whoever is connected stays so, and hears no
    /// more of it.
    pub(crate) fn over(&self) -> Self {
        Self { phase: self.phase, dialects: self.dialects, ..self.lost() }
    }
}
