//! Openings under way. Nothing of them is saved: whoever loses the connection begins again.

use bitcoin::Transaction;
use chain::Height;
use channel::{
    Accepting, Agreed, Answering, Begun, Channel, Created, Dialects, Funding, FundingOutput, Home,
    Move, Proposed, Variation,
};
use noise::PublicKey;
use signer::{
    Answer, ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal, Refusal as SignerNo, ShownKeys,
};
use tx::{Form, Side};
use wallet::DraftId;
use wire::{
    AcceptChannel, Error, FundingCreated, Message, OpenChannel,
    features::Feature,
    id::{ChannelId, ChannelKey, ConnectionId, OutputIndex, TemporaryChannelId},
    tick::{Millis, Tick},
};

use super::{
    Asked, CHANNELS_MAX, CallId, Change, ChannelName, Channels, Open, Opened, Refusal, Reply,
    Wanted, rates::rate_of,
};
use crate::services::treasury;

/// An opening that is not done by then is given up: nothing has been paid.
pub const OPENING_MAX: Millis = Millis(35_000);
/// Openings under way.
pub const OPENINGS_MAX: usize = 64;
/// Openings under way with one peer.
pub const OPENINGS_OF_PEER_MAX: usize = 4;

/// Names an opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpeningId(pub u64);

/// What the signer was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Keys,
    SetUp,
    Sign,
    Advance,
}

/// An opening under way.
pub(super) struct Opening {
    pub(super) connection: ConnectionId,
    pub(super) node: PublicKey,
    pub(super) until: Tick,
    temporary: TemporaryChannelId,
    key: ChannelKey,
    /// Its name once it is funded, when `funding_created` was sent or has come.
    channel_id: Option<ChannelId>,
    /// For the peer it is a channel already, and it has said something to that.
    early: Vec<Message>,
    /// Who wants it, and what; nothing if the peer does.
    ours: Option<(CallId, Open)>,
    stage: Stage,
}

enum Stage {
    /// Keys and a home are looked for. What the peer wants, if it does.
    Preparing { keys: Option<Box<ShownKeys>>, home: Option<Home>, said: Option<Box<OpenChannel>> },
    /// `open_channel` is sent.
    Proposed(Box<Proposed>),
    /// The treasury makes a funding transaction.
    Funding(Box<(Proposed, Agreed)>),
    /// It is there, and nobody has signed it.
    Created(Box<(Created, Paid)>),
    /// The peer has signed what spends it; now our signer signs it.
    Paying(Box<(Begun, Paid)>),
    /// `accept_channel` is sent.
    Accepting(Box<Accepting>),
    /// Our signer looks at the peer's first signature.
    Answering(Box<Answering>),
}

/// A funding transaction, and its coins.
#[derive(Clone)]
struct Paid {
    draft: DraftId,
    transaction: Transaction,
    channel_id: ChannelId,
}

/// So much a peer may say to a channel before our signer has looked at its signature.
const EARLY_MESSAGES_MAX: usize = 4;

impl Opening {
    /// Whether the peer may speak of it as of a channel: who opens may once it has named the
    /// funding, who accepts once it has signed.
    fn is_channel_to_peer(&self) -> bool {
        match &self.stage {
            Stage::Created(created) => created.0.is_signed(),
            Stage::Paying(_) | Stage::Answering(_) => true,
            Stage::Preparing { .. }
            | Stage::Proposed(_)
            | Stage::Funding(_)
            | Stage::Accepting(_) => false,
        }
    }

    /// By which of its names the peer knows it, if it hears from us that it has failed: that of the
    /// channel once we have sent what makes it one (BOLT 1).
    fn name(&self) -> ChannelId {
        let temporary = ChannelId(self.temporary.0);
        match &self.stage {
            Stage::Created(_) | Stage::Paying(_) => self.channel_id.unwrap_or(temporary),
            Stage::Preparing { .. }
            | Stage::Proposed(_)
            | Stage::Funding(_)
            | Stage::Accepting(_)
            | Stage::Answering(_) => temporary,
        }
    }
}

impl Channels {
    /// Somebody here wants a channel.
    pub(super) fn open_channel(&mut self, call: CallId, open: Open) {
        let Some(connection) = self.by_node.get(&open.node).copied() else {
            return self.reply(call, Err(Refusal::NotConnected { node: open.node }));
        };
        if self.now.is_none() {
            return self.reply(call, Err(Refusal::NoChain));
        }
        let node = open.node;
        match self.room(&node).and_then(|()| self.drawn()) {
            Ok([key, temporary]) => {
                let temporary = TemporaryChannelId(temporary);
                self.begin(connection, node, temporary, ChannelKey(key), Some((call, open)), None);
            }
            Err(refusal) => self.reply(call, Err(refusal)),
        }
    }

    /// A peer wants one.
    pub(super) fn asked_to_open(&mut self, at: ConnectionId, node: PublicKey, message: Message) {
        let Message::OpenChannel(said) = message else { return };
        let temporary = said.temporary_channel_id;
        let is_twice = self.opening_of(at, temporary).is_some();
        let refusal = match self.room(&node).and_then(|()| self.drawn()) {
            _ if is_twice => "this temporary_channel_id is in use".to_owned(),
            _ if self.now.is_none() => Refusal::NoChain.to_string(),
            Ok([key, _]) => {
                let said = Some(Box::new(said));
                return self.begin(at, node, temporary, ChannelKey(key), None, said);
            }
            Err(refusal) => refusal.to_string(),
        };
        self.say(at, &Error::new(ChannelId(temporary.0), &refusal).into());
    }

    fn room(&self, node: &PublicKey) -> Result<(), Refusal> {
        let of_peer = self.openings.values().filter(|it| it.node == *node).count();
        let full = [
            ("openings with this peer", of_peer, OPENINGS_OF_PEER_MAX),
            ("openings", self.openings.len(), OPENINGS_MAX),
            ("channels", self.live().count(), CHANNELS_MAX),
        ];
        match full.into_iter().find(|(_, have, max)| have >= max) {
            Some((what, have, max)) => Err(Refusal::TooMany { what, have, max }),
            None => Ok(()),
        }
    }

    fn drawn(&mut self) -> Result<[[u8; 32]; 2], Refusal> {
        let drawn = self.draw().zip(self.draw());
        drawn.map(|(first, second)| [first, second]).ok_or(Refusal::NoRandomness)
    }

    fn begin(
        &mut self,
        connection: ConnectionId,
        node: PublicKey,
        temporary: TemporaryChannelId,
        key: ChannelKey,
        ours: Option<(CallId, Open)>,
        said: Option<Box<OpenChannel>>,
    ) {
        self.last_opening = OpeningId(self.last_opening.0 + 1);
        let (id, until) = (self.last_opening, self.clock + OPENING_MAX);
        let stage = Stage::Preparing { keys: None, home: None, said };
        let (channel_id, early) = (None, Vec::new());
        let opening =
            Opening { connection, node, until, temporary, key, channel_id, early, ours, stage };
        self.openings.insert(id, opening);
        self.want(Wanted::Home(id), treasury::ChannelsWant::Home);
        let ask = ChannelAsk { channel: key, op: ChannelOp::Keys };
        self.ask_channel(Asked::Opening(id, Wants::Keys), Box::new(ask));
    }

    fn opening_of(&self, at: ConnectionId, temporary: TemporaryChannelId) -> Option<OpeningId> {
        let is_it = |it: &Opening| it.connection == at && it.temporary == temporary;
        self.openings.iter().find(|(_, opening)| is_it(opening)).map(|(id, _)| *id)
    }

    /// The treasury has a place for what will come back.
    pub(super) fn has_home(
        &mut self,
        id: OpeningId,
        answer: Result<treasury::Reply, treasury::Refusal>,
    ) {
        let Some(opening) = self.openings.get_mut(&id) else { return };
        let got = match answer {
            Ok(treasury::Reply::Home(got)) => got,
            Ok(_) => return self.give_up(id, "the treasury answers something else"),
            Err(refusal) => return self.give_up(id, &refusal.to_string()),
        };
        if let Stage::Preparing { home, .. } = &mut opening.stage {
            *home = Some(got);
        }
        self.prepared(id);
    }

    /// The signer has answered an opening.
    pub(super) fn opening_answered(&mut self, id: OpeningId, wants: Wants, answer: Option<Answer>) {
        if !self.openings.contains_key(&id) {
            return;
        }
        let answer = match answer {
            Some(Answer::Channel(answer)) => Ok(answer),
            Some(Answer::Refused(SignerNo::Channel(refusal))) => Err(refusal),
            Some(Answer::Refused(refusal)) => return self.give_up(id, &refusal.to_string()),
            _ => return self.give_up(id, "the signer does not do this for us"),
        };
        match (wants, answer) {
            (Wants::Keys, Ok(ChannelAnswer::Keys(got))) => {
                let opening = self.openings.get_mut(&id);
                if let Some(Opening { stage: Stage::Preparing { keys, .. }, .. }) = opening {
                    *keys = Some(got);
                }
                self.prepared(id);
            }
            (Wants::SetUp, Ok(_)) => {}
            (Wants::Sign, Ok(ChannelAnswer::RemoteSigned { signature, .. })) => {
                let Some(opening) = self.openings.get_mut(&id) else { return };
                let connection = opening.connection;
                if let Stage::Answering(answering) = &mut opening.stage {
                    answering.signed(signature);
                } else if let Stage::Created(created) = &opening.stage {
                    opening.channel_id = Some(created.1.channel_id);
                    let made = created.0.signed(signature);
                    self.make(id, connection, vec![made]);
                }
            }
            (Wants::Advance, answer) => self.advanced(id, answer),
            (_, Ok(_)) => self.give_up(id, "the signer answers something else"),
            (_, Err(refusal)) => self.give_up(id, &refusal.to_string()),
        }
    }

    /// Keys and a home are there: it is proposed, or accepted.
    fn prepared(&mut self, id: OpeningId) {
        let Some(opening) = self.openings.get_mut(&id) else { return };
        let Stage::Preparing { keys: Some(keys), home: Some(home), said } = &opening.stage else {
            return;
        };
        let (keys, home, said) = (**keys, home.clone(), said.clone());
        let (key, connection) = (opening.key, opening.connection);
        let both = self.peers.get(&connection).map(|peer| peer.features.clone());
        let both = both.unwrap_or_default();
        if !Dialects::of(&both, &both).any_segwit {
            // What a close returns goes to taproot: without it nobody could close together.
            return self.blame(id, "option_shutdown_anysegwit is not known there");
        }
        let policy = self.terms.policy.towards(&both, &both);
        let (stage, made) = match (said, &opening.ours) {
            (Some(said), _) => match Accepting::new(&policy, key, &keys, &home, &said) {
                Ok((accepting, made)) => (Stage::Accepting(Box::new(accepting)), made),
                Err(unfit) => return self.blame(id, &unfit.to_string()),
            },
            (None, Some((_, open))) => {
                let has_anchors = both.offers(Feature::Anchors);
                // What the world does not know of need not name a place in the chain.
                let alias = both.offers(Feature::ScidAlias) && !open.announce;
                let form = if has_anchors { Form::Anchors } else { Form::StaticRemoteKey };
                let wanted = Funding {
                    key,
                    temporary: opening.temporary,
                    funding: open.amount,
                    pushed: open.pushed,
                    feerate: rate_of(form, self.now.unwrap_or_default(), &policy),
                    form,
                    variation: Variation { alias, zero_conf: false },
                    announce: open.announce,
                    home,
                };
                match Proposed::new(policy, keys, &wanted) {
                    Ok((proposed, made)) => (Stage::Proposed(Box::new(proposed)), made),
                    Err(unfit) => return self.blame(id, &unfit.to_string()),
                }
            }
            (None, None) => return,
        };
        opening.stage = stage;
        self.make(id, connection, vec![made]);
    }

    /// Does what an opening wants done.
    fn make(&mut self, id: OpeningId, connection: ConnectionId, moves: Vec<Move>) {
        for made in moves {
            match made {
                Move::Send(message) => self.say(connection, &message),
                Move::Ask(ask) => {
                    let wants = match &ask.op {
                        ChannelOp::SetUp(_) => Wants::SetUp,
                        ChannelOp::SignRemote { .. } => Wants::Sign,
                        ChannelOp::Advance { .. } => Wants::Advance,
                        ChannelOp::Keys
                        | ChannelOp::Revoked { .. }
                        | ChannelOp::CheckSecret { .. }
                        | ChannelOp::SignClose(_)
                        | ChannelOp::SignClaims(_)
                        | ChannelOp::SignStages(_)
                        | ChannelOp::SignLocal { .. } => Wants::Keys,
                    };
                    self.ask_channel(Asked::Opening(id, wants), ask);
                }
            }
        }
    }

    /// A peer speaks of an opening by its temporary id.
    pub(super) fn opening_said(
        &mut self,
        at: ConnectionId,
        temporary: TemporaryChannelId,
        message: Message,
    ) {
        let Some(id) = self.opening_of(at, temporary) else {
            let text = format!("{}: no such channel", message.name());
            return self.say(at, &Error::new(ChannelId(temporary.0), &text).into());
        };
        if let Message::AcceptChannel(said) = &message {
            self.was_accepted(id, said);
        } else if let Message::FundingCreated(said) = &message {
            self.was_created(id, said);
        }
    }

    fn was_accepted(&mut self, id: OpeningId, said: &AcceptChannel) {
        let Some(opening) = self.openings.get_mut(&id) else { return };
        let (Stage::Proposed(proposed), Some((_, open))) = (&opening.stage, &opening.ours) else {
            return self.blame(id, "accept_channel: not now");
        };
        let agreed = match proposed.accepted(said) {
            Ok(agreed) => agreed,
            Err(unfit) => return self.blame(id, &unfit.to_string()),
        };
        let (script, amount, fee_rate) = (agreed.funding_script(), open.amount, open.fee_rate);
        opening.stage = Stage::Funding(Box::new(((**proposed).clone(), agreed)));
        match self.draw() {
            Some(draw) => {
                let amount = bitcoin::Amount::from_sat(amount.0);
                let fund = treasury::ChannelsWant::Fund { script, amount, fee_rate, draw };
                self.want(Wanted::Funding(id), fund);
            }
            None => self.give_up(id, &Refusal::NoRandomness.to_string()),
        }
    }

    /// The treasury has a funding transaction, which nobody has signed.
    pub(super) fn has_funding(
        &mut self,
        id: OpeningId,
        answer: Result<treasury::Reply, treasury::Refusal>,
    ) {
        let (draft, transaction) = match answer {
            Ok(treasury::Reply::Funding { draft, transaction }) => (draft, *transaction),
            Ok(_) => return self.give_up(id, "the treasury answers something else"),
            Err(refusal) => return self.give_up(id, &refusal.to_string()),
        };
        let opening = self.openings.get_mut(&id);
        let Some(Opening { stage: Stage::Funding(both), .. }) = opening else {
            return self.want(Wanted::Nothing, treasury::ChannelsWant::Unfund { draft });
        };
        let (proposed, agreed) = (**both).clone();
        let script = agreed.funding_script();
        let is_it = |output: &bitcoin::TxOut| output.script_pubkey == script;
        let at = transaction.output.iter().position(is_it);
        let Some(output) = at.and_then(|at| u16::try_from(at).ok()).map(OutputIndex) else {
            self.want(Wanted::Nothing, treasury::ChannelsWant::Unfund { draft });
            return self.give_up(id, "the treasury funds something else");
        };
        let funding = FundingOutput { txid: transaction.compute_txid(), output };
        let (created, moves) = proposed.funded(agreed, funding);
        let paid = Paid { draft, transaction, channel_id: funding.channel_id() };
        let Some(opening) = self.openings.get_mut(&id) else { return };
        opening.stage = Stage::Created(Box::new((created, paid)));
        let connection = opening.connection;
        self.make(id, connection, moves);
    }

    fn was_created(&mut self, id: OpeningId, said: &FundingCreated) {
        let Some(opening) = self.openings.get_mut(&id) else { return };
        let Stage::Accepting(accepting) = &opening.stage else {
            return self.blame(id, "funding_created: not now");
        };
        let output = said.funding_output_index;
        let channel_id = FundingOutput { txid: said.funding_txid, output }.channel_id();
        if self.by_id.contains_key(&channel_id) {
            return self.blame(id, "there is a channel with this funding");
        }
        match (**accepting).clone().receive(said) {
            Ok((answering, moves)) => {
                opening.channel_id = Some(channel_id);
                opening.stage = Stage::Answering(Box::new(answering));
                let connection = opening.connection;
                self.make(id, connection, moves);
            }
            Err(violation) => self.blame(id, &violation.to_string()),
        }
    }

    /// A message about a channel that is none yet, if it is for an opening; else it is given back.
    pub(super) fn opening_heard(
        &mut self,
        at: ConnectionId,
        channel_id: ChannelId,
        message: Message,
    ) -> Option<Message> {
        let is_it = |it: &Opening| {
            let is_named = it.channel_id == Some(channel_id) || it.temporary.0 == channel_id.0;
            it.connection == at && is_named
        };
        let mut found = self.openings.iter_mut().map(|(id, it)| (*id, it));
        let Some((id, opening)) = found.find(|(_, it)| is_it(it)) else { return Some(message) };
        let is_named = opening.channel_id == Some(channel_id);
        let is_channel = opening.is_channel_to_peer();
        match (&mut opening.stage, &message) {
            (Stage::Created(created), Message::FundingSigned(said)) if is_named => {
                match created.0.receive(said) {
                    Ok(made) => self.make(id, at, vec![made]),
                    Err(violation) => self.blame(id, &violation.to_string()),
                }
                None
            }
            // BOLT 2: "if it hasn't received a `funding_signed` (if it is a funder) or a
            // `funding_created` (if it is a fundee): SHOULD send an `error` and fail the channel."
            (_, Message::Shutdown(_)) if !is_channel => {
                self.blame(id, "shutdown: the channel is not funded yet");
                None
            }
            (_, Message::FundingSigned(_)) => Some(message),
            _ if is_named && opening.early.len() < EARLY_MESSAGES_MAX => {
                opening.early.push(message);
                None
            }
            _ => Some(message),
        }
    }

    /// The signer has looked at what the peer has signed: the channel begins.
    fn advanced(&mut self, id: OpeningId, answer: Result<ChannelAnswer, ChannelRefusal>) {
        let Some(opening) = self.openings.get_mut(&id) else { return };
        let begun = match &opening.stage {
            Stage::Created(created) => match created.0.clone().advanced(answer) {
                Ok(begun) => {
                    let draft = created.1.draft;
                    opening.stage = Stage::Paying(Box::new((begun, created.1.clone())));
                    let sign = treasury::ChannelsWant::SignFunding { draft };
                    return self.want(Wanted::Signatures(id), sign);
                }
                Err(violation) => Err(violation.to_string()),
            },
            Stage::Answering(answering) => {
                (**answering).clone().advanced(answer).map_err(|violation| violation.to_string())
            }
            Stage::Preparing { .. }
            | Stage::Proposed(_)
            | Stage::Funding(_)
            | Stage::Paying(_)
            | Stage::Accepting(_) => Err("the signer is too early".to_owned()),
        };
        match begun {
            Ok((begun, made)) => {
                let Some(opening) = self.openings.remove(&id) else { return };
                let Opening { connection, node, key, early, .. } = opening;
                let name = ChannelName { node, key };
                self.begun(name, connection, begun, None);
                self.make(id, connection, vec![made]);
                self.hear_early(name, connection, early);
                self.tell_channel(&name);
            }
            Err(why) => self.blame(id, &why),
        }
    }

    /// Our signer has signed what funds it: the channel begins.
    pub(super) fn has_signatures(
        &mut self,
        id: OpeningId,
        answer: Result<treasury::Reply, treasury::Refusal>,
    ) {
        let signed = match answer {
            Ok(treasury::Reply::FundingSigned(signed)) => *signed,
            Ok(_) => return self.give_up(id, "the treasury answers something else"),
            Err(refusal) => return self.give_up(id, &refusal.to_string()),
        };
        // Whoever has given it up meanwhile has freed its coins, too: it is not published.
        let Some(opening) = self.openings.remove(&id) else { return };
        let Opening { connection, node, ours, stage: Stage::Paying(paying), key, early, .. } =
            opening
        else {
            self.openings.insert(id, opening);
            return;
        };
        let (begun, paid) = *paying;
        let name = ChannelName { node, key };
        self.begun(name, connection, begun, Some(Paid { transaction: signed, ..paid }));
        self.hear_early(name, connection, early);
        self.opened(name, ours.map(|(call, _)| call));
    }

    /// From here on it is a channel: it is saved, and then its funding is published.
    fn begun(&mut self, name: ChannelName, at: ConnectionId, begun: Begun, paid: Option<Paid>) {
        let (channel_id, begun) = (begun.channel_id(), Box::new(begun));
        let (draft, funding) = paid.map(|it| (it.draft, Box::new(it.transaction))).unzip();
        let created = self.unix;
        self.save(Change::Begun { name, created, funding: funding.clone(), begun });
        self.by_id.insert(channel_id, name);
        if let (Some(draft), Some(transaction)) = (draft, funding) {
            let publish = treasury::ChannelsWant::PublishFunding { draft, transaction };
            self.want(Wanted::Nothing, publish);
        }
        self.watch_channel(&name);
        let (now, dialects) = (self.now.unwrap_or_default(), self.dialects(at));
        self.lane(&name).connection = Some(at);
        if let Some(held) = self.state.channels.get_mut(&name) {
            held.channel.at(now);
            let outcome = held.channel.opened_in(dialects);
            self.take(name, &outcome);
        }
    }

    /// What the peer has said to it before it was one for us.
    fn hear_early(&mut self, name: ChannelName, at: ConnectionId, early: Vec<Message>) {
        for message in early {
            self.lane_said(name, at, message);
        }
    }

    /// Watches the funding of a channel, and what spends it.
    pub(super) fn watch_channel(&mut self, name: &ChannelName) {
        let from = self.next_height();
        self.watch_news(name, from);
    }

    /// The block behind the last that was heard of.
    pub(super) fn next_height(&self) -> Height {
        Height(self.state.cursor.map_or(0, |cursor| cursor.height.0).saturating_add(1))
    }

    fn opened(&mut self, name: ChannelName, call: Option<CallId>) {
        self.tell_channel(&name);
        if let Some(call) = call
            && let Some(line) = self.line(&name)
        {
            self.reply(call, Ok(Reply::Opened(Opened { channel: Box::new(line) })));
        }
    }

    /// It comes to nothing because of what the peer has said, or of what both want: it hears why.
    fn blame(&mut self, id: OpeningId, why: &str) {
        self.end_opening(id, why, why);
    }

    /// It comes to nothing for reasons of our own, which are nobody else's business.
    fn give_up(&mut self, id: OpeningId, why: &str) {
        self.end_opening(id, why, "this opening is given up");
    }

    /// Whoever wanted it hears why, and coins are free again.
    fn end_opening(&mut self, id: OpeningId, why: &str, to_peer: &str) {
        let Some(opening) = self.openings.remove(&id) else { return };
        let named = opening.name();
        let Opening { connection, node, ours, stage, .. } = opening;
        let is_said = match &stage {
            Stage::Preparing { said, .. } => said.is_some(),
            Stage::Proposed(_)
            | Stage::Funding(_)
            | Stage::Created(_)
            | Stage::Paying(_)
            | Stage::Accepting(_)
            | Stage::Answering(_) => true,
        };
        let draft = match &stage {
            Stage::Created(created) => Some(created.1.draft),
            Stage::Paying(paying) => Some(paying.1.draft),
            Stage::Preparing { .. }
            | Stage::Proposed(_)
            | Stage::Funding(_)
            | Stage::Accepting(_)
            | Stage::Answering(_) => None,
        };
        if is_said {
            self.say(connection, &Error::new(named, to_peer).into());
        }
        if let Some(draft) = draft {
            self.want(Wanted::Nothing, treasury::ChannelsWant::Unfund { draft });
        }
        if let Some((call, _)) = ours {
            self.reply(call, Err(Refusal::NotOpened { node, why: why.to_owned() }));
        }
    }

    /// The peer has failed an opening.
    pub(super) fn lose_opening(&mut self, at: ConnectionId, id: ChannelId, text: &str) {
        let is_named = |it: &Opening| it.temporary.0 == id.0 || it.channel_id == Some(id);
        let is_it = |it: &Opening| it.connection == at && (is_named(it) || id == ChannelId::ALL);
        let gone: Vec<_> =
            self.openings.iter().filter(|(_, it)| is_it(it)).map(|(id, _)| *id).collect();
        for id in gone {
            self.give_up(id, &format!("the peer says: {text}"));
        }
    }

    pub(super) fn lose_openings(&mut self, at: ConnectionId) {
        let here = self.openings.iter().filter(|(_, opening)| opening.connection == at);
        for id in here.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.give_up(id, "the connection is gone");
        }
    }

    /// Gives up what takes too long.
    pub(super) fn lose_patience(&mut self) {
        let now = self.clock;
        let late = self.openings.iter().filter(|(_, opening)| opening.until <= now);
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            let seconds = OPENING_MAX.0 / 1_000;
            self.give_up(id, &format!("not done within {seconds} s; nothing was paid"));
        }
        self.lose_patience_with_payments();
    }

    /// Whether a channel was opened by us.
    pub(super) fn is_opener(channel: &Channel) -> bool {
        channel.side() == Side::Opener
    }
}
