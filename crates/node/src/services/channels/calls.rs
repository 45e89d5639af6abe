//! What people and programs ask about channels.

use std::fmt;

use bitcoin::{FeeRate, OutPoint, Txid};
use channel::{Refusal as ChannelNo, State as Phase};
use noise::PublicKey;
use signer::UnixTime;
use tx::Side;
use wire::{
    Hex,
    amount::{FeeratePerKw, Msat, Sat},
    id::{ChannelId, PaymentHash, PaymentPreimage, Scid},
};

use super::{ChannelName, Channels, Held, Payment, PaymentId, Progress, aliases::place};
use crate::services::treasury::PaymentName;

/// Hex digits by which a channel may be named at least.
const ID_DIGITS_MIN: usize = 4;

/// Names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a channel. Answered when its funding is about to be published.
    Open(Open),
    /// Which channels are there?
    Channels,
    /// How is one?
    Channel {
        /// Its id, or the beginning of it, in hex.
        id: String,
    },
    /// Pay this rate from now on, until estimates are far from that.
    Fee {
        /// Its id, or the beginning of it, in hex.
        id: String,
        /// For its commitments.
        rate: FeeratePerKw,
    },
    /// Close it.
    Close {
        /// Its id, or the beginning of it, in hex.
        id: String,
        /// Without the peer.
        force: bool,
        /// Although the peer has not said where it stands since we started.
        unheard: bool,
    },
    /// Pay a peer. Answered when that has come to its end, or takes too long.
    Pay {
        /// Whom.
        node: PublicKey,
        /// How much.
        amount: Msat,
        /// What it is called: by one name one payment is made.
        name: Option<PaymentName>,
    },
    /// Which payments were there?
    Payments,
}

/// A channel that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// With whom.
    pub node: PublicKey,
    /// How much.
    pub amount: Sat,
    /// What of it is given away at once.
    pub pushed: Msat,
    /// Whether the world shall know of it.
    pub announce: bool,
    /// Of the funding transaction.
    pub fee_rate: FeeRate,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Command::Open`].
    Opened(Opened),
    /// To [`Command::Channels`].
    Channels(Vec<ChannelLine>),
    /// To [`Command::Channel`], [`Command::Fee`] and [`Command::Close`].
    Channel(Box<ChannelLine>),
    /// To [`Command::Pay`].
    Payment(Box<PaymentLine>),
    /// To [`Command::Payments`].
    Payments(Vec<PaymentLine>),
}

/// A channel that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The channel.
    pub channel: Box<ChannelLine>,
}

/// A channel, as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelLine {
    /// Its name for both.
    pub channel_id: ChannelId,
    /// The peer.
    pub node: PublicKey,
    /// How far it is.
    pub stage: Stage,
    /// What is to be known about that.
    pub why: Option<String>,
    /// Whether the peer is there, and both have said where they stand.
    pub connected: bool,
    /// Whether we have opened it.
    pub opener: bool,
    /// Whether the world shall know of it.
    pub announce: bool,
    /// What it lives in.
    pub funding: OutPoint,
    /// Where that stands in the chain, unless the channel is known by aliases only.
    pub place: Option<Scid>,
    /// Our name for it, which the peer has heard.
    pub alias: Option<Scid>,
    /// The peer's name for it.
    pub remote_alias: Option<Scid>,
    /// How much.
    pub capacity: Sat,
    /// What is ours.
    pub local: Msat,
    /// What is the peer's.
    pub remote: Msat,
    /// HTLCs under way.
    pub htlcs: usize,
    /// The rate of its commitments.
    pub feerate: FeeratePerKw,
    /// So deep its funding is.
    pub depth: u32,
    /// So deep it must be for us.
    pub depth_min: u32,
    /// What spends the funding, once something does.
    pub closing: Option<Txid>,
    /// When both sides had their first commitments.
    pub created: UnixTime,
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The funding is not deep enough.
    Funding,
    /// It is for us, and the peer has not said so.
    AwaitingPeer,
    /// Payments can be made, if the peer is there.
    Open,
    /// It was usable, and a reorg has taken its funding out of the chain.
    Reorganized,
    /// No new payment is taken.
    Shutdown,
    /// Both look for a closing transaction, or have one.
    Closing,
    /// It ends on the chain.
    Failing,
    /// It is over.
    Closed,
}

/// A payment, as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentLine {
    /// Its number.
    pub id: PaymentId,
    /// Who is at the other end.
    pub node: PublicKey,
    /// Whether it is to us.
    pub incoming: bool,
    /// How much.
    pub amount: Msat,
    /// Its hash.
    pub hash: PaymentHash,
    /// What people call it.
    pub name: Option<String>,
    /// How it is.
    pub progress: Progress,
    /// What shows that it was paid.
    pub preimage: Option<PaymentPreimage>,
    /// When it began.
    pub created: UnixTime,
}

/// Why a command was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// That peer is not connected.
    NotConnected {
        /// Which.
        node: PublicKey,
    },
    /// There is no chain yet.
    NoChain,
    /// No random number is left: the machine is too slow.
    NoRandomness,
    /// There are too many.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        have: usize,
        /// The most.
        max: usize,
    },
    /// An opening came to nothing.
    NotOpened {
        /// With whom.
        node: PublicKey,
        /// Why.
        why: String,
    },
    /// No channel has an id that begins so.
    UnknownChannel {
        /// So.
        id: String,
    },
    /// More than one has.
    ManyChannels {
        /// So.
        id: String,
        /// How many.
        have: usize,
    },
    /// There are too few digits, or it is no hex.
    BadId {
        /// What was given.
        id: String,
        /// The fewest digits.
        min: usize,
    },
    /// The channel says no.
    Channel(ChannelNo),
    /// There is no channel with that peer over which something could be paid.
    NoChannel {
        /// Whom.
        node: PublicKey,
        /// How many there are that cannot be used now.
        have: usize,
    },
    /// Our state could be an old one, for which the peer may take everything.
    Unheard {
        /// Who has not said where it stands.
        node: PublicKey,
    },
    /// A payment of this name was made, and it was another one.
    NameTaken {
        /// The name.
        name: PaymentName,
        /// What was paid, and to whom.
        had: (Msat, PublicKey),
    },
}

impl Channels {
    /// A call; its reply is an effect.
    pub fn call(&mut self, call: CallId, command: Command) {
        match command {
            Command::Open(open) => self.open_channel(call, open),
            Command::Channels => {
                let names: Vec<_> = self.state.channels.keys().copied().collect();
                let lines = names.iter().filter_map(|name| self.line(name)).collect();
                self.reply(call, Ok(Reply::Channels(lines)));
            }
            Command::Channel { id } => {
                let reply = self.named(&id).map(|name| self.line(&name));
                self.reply_line(call, reply);
            }
            Command::Fee { id, rate } => {
                let reply = self.set_fee(&id, rate);
                self.reply_line(call, reply);
            }
            Command::Close { id, force, unheard } => {
                let reply = self.close(&id, force, unheard);
                self.reply_line(call, reply);
            }
            Command::Pay { node, amount, name } => self.pay(call, node, amount, name),
            Command::Payments => {
                let lines = self.state.payments.iter().map(|(id, it)| line_of(*id, it)).collect();
                self.reply(call, Ok(Reply::Payments(lines)));
            }
        }
    }

    fn reply_line(&mut self, call: CallId, line: Result<Option<ChannelLine>, Refusal>) {
        let reply = line.and_then(|line| {
            let line = line.ok_or(Refusal::UnknownChannel { id: String::new() })?;
            Ok(Reply::Channel(Box::new(line)))
        });
        self.reply(call, reply);
    }

    fn set_fee(&mut self, id: &str, rate: FeeratePerKw) -> Result<Option<ChannelLine>, Refusal> {
        let name = self.named(id)?;
        let outcome = self.state.channels[&name].channel.send_fee(rate);
        self.take(name, &outcome.map_err(Refusal::Channel)?);
        Ok(self.line(&name))
    }

    fn close(
        &mut self,
        id: &str,
        force: bool,
        unheard: bool,
    ) -> Result<Option<ChannelLine>, Refusal> {
        let name = self.named(id)?;
        let held = &self.state.channels[&name];
        if held.closed {
            return Err(Refusal::Channel(ChannelNo::Closed));
        }
        if force && !unheard && !held.channel.has_heard_peer() {
            return Err(Refusal::Unheard { node: name.node });
        }
        let outcome = match force {
            true => held.channel.fail(),
            false => held.channel.close().map_err(Refusal::Channel)?,
        };
        self.take(name, &outcome);
        Ok(self.line(&name))
    }

    /// The channel whose id begins so.
    fn named(&self, id: &str) -> Result<ChannelName, Refusal> {
        let wanted = id.to_ascii_lowercase();
        let is_hex = wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || wanted.len() < ID_DIGITS_MIN {
            return Err(Refusal::BadId { id: id.to_owned(), min: ID_DIGITS_MIN });
        }
        let is_it =
            |held: &Held| Hex(&held.channel.channel_id().0).to_string().starts_with(&wanted);
        let found = self.state.channels.iter().filter(|(_, held)| is_it(held));
        let found: Vec<_> = found.map(|(name, _)| *name).collect();
        match found[..] {
            [name] => Ok(name),
            [] => Err(Refusal::UnknownChannel { id: id.to_owned() }),
            [..] => Err(Refusal::ManyChannels { id: id.to_owned(), have: found.len() }),
        }
    }

    /// A channel as people see it.
    pub(super) fn line(&self, name: &ChannelName) -> Option<ChannelLine> {
        let held = self.state.channels.get(name)?;
        let (channel, agreed) = (&held.channel, held.channel.begun().agreed());
        let side = channel.side();
        let (stage, why) = self.stage(held);
        let (local, remote) = (channel.ledger().free(side), channel.ledger().free(side.other()));
        Some(ChannelLine {
            channel_id: channel.channel_id(),
            node: name.node,
            stage,
            why,
            connected: channel.is_up(),
            opener: Self::is_opener(channel),
            announce: agreed.announce,
            funding: channel.funding(),
            place: place(held),
            alias: channel.ready().local_alias,
            remote_alias: channel.remote_alias(),
            capacity: agreed.funding,
            local,
            remote,
            htlcs: channel.contracts().len(),
            feerate: channel.ledger().view(Side::Opener, channel::As::Settled).feerate,
            depth: self.depth(held),
            depth_min: agreed.minimum_depth.0,
            closing: held.spent.as_ref().map(|(_, transaction)| transaction.compute_txid()),
            created: held.created,
        })
    }

    fn stage(&self, held: &Held) -> (Stage, Option<String>) {
        if held.closed || self.is_closed(held) {
            return (Stage::Closed, None);
        }
        match held.channel.state() {
            Phase::Funding if held.channel.ready().local => (Stage::AwaitingPeer, None),
            Phase::Funding => (Stage::Funding, None),
            Phase::Normal if held.confirmed.is_none() => {
                let why = "a reorg has taken its funding out of the chain".to_owned();
                (Stage::Reorganized, Some(why))
            }
            Phase::Normal => (Stage::Open, None),
            Phase::Shutdown(_) => (Stage::Shutdown, None),
            Phase::Negotiating(_) => (Stage::Closing, None),
            Phase::Failing(failing) => {
                let ended = held.channel.ended_by();
                let why = ended.map(|(by, height)| format!("{by}, in block {height}"));
                (Stage::Failing, Some(why.unwrap_or_else(|| failing.why.to_string())))
            }
            Phase::Done => (Stage::Closed, None),
        }
    }
}

/// A payment as people see it.
pub(super) fn line_of(id: PaymentId, payment: &Payment) -> PaymentLine {
    let preimage = match &payment.progress {
        Progress::Paid(preimage) => Some(*preimage),
        Progress::Pending | Progress::Failed(_) => None,
    };
    PaymentLine {
        id,
        node: payment.node,
        incoming: payment.incoming,
        amount: payment.amount,
        hash: payment.hash,
        name: payment.name.as_ref().map(|name| name.as_str().to_owned()),
        progress: payment.progress.clone(),
        preimage,
        created: payment.created,
    }
}

impl Stage {
    /// A word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Funding => "funding",
            Self::AwaitingPeer => "awaiting_peer",
            Self::Open => "open",
            Self::Reorganized => "reorganized",
            Self::Shutdown => "shutdown",
            Self::Closing => "closing",
            Self::Failing => "failing",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { node } => write!(f, "no connection to {node}"),
            Self::NoChain => f.write_str("the chain is not known yet"),
            Self::NoRandomness => f.write_str("no random numbers are left for now"),
            Self::TooMany { what, have, max } => write!(f, "{have} {what}, at most {max}"),
            Self::NotOpened { node, why } => write!(f, "no channel with {node}: {why}"),
            Self::UnknownChannel { id } => write!(f, "there is no channel '{id}'"),
            Self::ManyChannels { id, have } => write!(f, "{have} channels begin with '{id}'"),
            Self::BadId { id, min } => {
                write!(f, "'{id}' is no channel: its id in hex, or at least {min} digits of it")
            }
            Self::Channel(refusal) => refusal.fmt(f),
            Self::NoChannel { node, have: 0 } => write!(f, "there is no channel with {node}"),
            Self::NoChannel { node, have } => {
                write!(f, "of {have} channels with {node} none can be used now")
            }
            Self::Unheard { node } => write!(
                f,
                "since its start this node has not heard from {node}: if its files are those of \
                 an earlier day, closing by force gives all money of the channel to the peer. \
                 Connect first, or say --unheard"
            ),
            Self::NameTaken { name, had: (amount, node) } => {
                write!(f, "by the name '{}' {amount} were paid to {node}", name.as_str())
            }
        }
    }
}
