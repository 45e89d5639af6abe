//! The other end of a holder's contract: who subscribes, saves what comes, and sends.
//!
//! The link to the holder may go down at any time, and the holder may be another process when it
//! comes up again. What was sent and not answered is compared with what the holder says it has
//! sent, and the rest is sent again: within a connection nothing is lost and nothing doubled.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wire::id::{ChannelId, ConnectionId};

use crate::{
    api::{Culprit, Epoch, OutSeq, Seq},
    holder::{Answer, Ask, Denial, Event, Opened},
    limits::{MARKS_MAX, UNANSWERED_MAX},
};

/// Names a question that the desk's owner has asked through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What the desk has to tell.
pub enum News {
    /// The holder's connections are known: [`News::Opened`] told them all.
    Caught,
    /// A connection can be used.
    Opened(Opened),
    /// A peer said something. It comes again until [`Desk::saved`], but not to this desk.
    Message {
        /// Over which connection.
        connection: ConnectionId,
        /// The message's number.
        seq: Seq,
        /// The message, its type in front.
        bytes: Vec<u8>,
    },
    /// A peer complains, or fails a channel.
    Complaint {
        /// Over which connection.
        connection: ConnectionId,
        /// About which channel; zeros if it is about all of them.
        channel_id: ChannelId,
        /// An `error`, not a `warning`.
        fails: bool,
        /// Its words.
        text: String,
    },
    /// A connection is over, or never came to be.
    Closed {
        /// Which one.
        connection: ConnectionId,
        /// Who ended it.
        culprit: Culprit,
        /// Why, in words.
        text: String,
    },
    /// A message is on its way.
    Sent {
        /// Over which connection.
        connection: ConnectionId,
        /// Its number.
        seq: OutSeq,
    },
    /// A message was not sent, and will not be.
    NotSent {
        /// Over which connection.
        connection: ConnectionId,
        /// Its number.
        seq: OutSeq,
        /// Why, in words.
        why: String,
    },
    /// The holder has answered a question of the owner's.
    Answered {
        /// Which one.
        token: Token,
        /// With this; nothing if the link went down before.
        answer: Option<Answer>,
    },
    /// Somebody was here with this epoch or a higher one before we ever were: what we know of our
    /// starts is old, or another one's. [`Desk::raise`] goes on.
    Behind {
        /// The epoch in force.
        have: Epoch,
    },
    /// Another subscriber has taken our place: this desk is of no use any more.
    Superseded {
        /// In the holder's words.
        why: String,
    },
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// There is no such connection.
    Unknown,
    /// So many wait for the holder already.
    Full {
        /// Messages that wait.
        have: usize,
        /// How many may.
        max: usize,
    },
}

/// Subscribes to one holder.
pub struct Desk {
    epoch: Epoch,
    /// Which holder the connections belong to.
    holder: Option<u64>,
    /// Where peers can call it.
    listening: Vec<SocketAddr>,
    up: bool,
    lines: BTreeMap<ConnectionId, Line>,
    /// Connections that the holder has not told again since the link came up.
    missing: BTreeSet<ConnectionId>,
    /// Connections with marks that the holder does not know yet.
    unacknowledged: BTreeSet<ConnectionId>,
    /// What was saved in an earlier life.
    marks: BTreeMap<(u64, ConnectionId), Seq>,
    asked: BTreeMap<Token, Asked>,
    last: Token,
    out: VecDeque<(Token, Ask)>,
    news: VecDeque<News>,
}

#[derive(Default)]
struct Line {
    /// The owner in force: somebody else's, if a client brought the connection.
    epoch: Epoch,
    sent: OutSeq,
    unanswered: VecDeque<(OutSeq, Vec<u8>)>,
    heard: Seq,
    saved: Seq,
}

enum Asked {
    Subscribe,
    Send(ConnectionId, OutSeq),
    Acknowledge,
    Owner,
}

impl Desk {
    /// A desk of this epoch, which must be higher than that of every desk before it. `marks` are
    /// the messages that those have saved, by holder and connection.
    pub fn new(epoch: Epoch, marks: BTreeMap<(u64, ConnectionId), Seq>) -> Self {
        Self {
            epoch,
            holder: None,
            listening: Vec::new(),
            up: false,
            lines: BTreeMap::new(),
            missing: BTreeSet::new(),
            unacknowledged: BTreeSet::new(),
            marks,
            asked: BTreeMap::new(),
            last: Token(0),
            out: VecDeque::new(),
            news: VecDeque::new(),
        }
    }

    /// The next question for the holder; its answer goes to [`Desk::answered`] with the token.
    pub fn poll(&mut self) -> Option<(Token, Ask)> {
        if self.up && self.out.is_empty() && !self.unacknowledged.is_empty() {
            self.acknowledge();
        }
        self.out.pop_front()
    }

    /// What has happened, in order.
    pub fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Which holder it is, once it has said so.
    pub const fn holder(&self) -> Option<u64> {
        self.holder
    }

    /// Where peers can call, as the holder has said when the link came up.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// The connections that can be used, as far as it is known.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.lines.keys().copied()
    }

    /// Whether the holder can be reached.
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// The link is up.
    pub fn link_came(&mut self) {
        self.up = true;
        self.missing = self.lines.keys().copied().collect();
        let epoch = self.epoch;
        self.put(Asked::Subscribe, Ask::Subscribe { epoch });
    }

    /// A higher epoch is ours, now that the holder has said what it must be higher than.
    pub fn raise(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        if self.up {
            self.put(Asked::Subscribe, Ask::Subscribe { epoch });
        }
    }

    /// The link is down. What the owner asked is lost; what it sent is not.
    pub fn link_went(&mut self) {
        self.up = false;
        self.out.clear();
        for (token, asked) in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Owner => self.news.push_back(News::Answered { token, answer: None }),
                Asked::Subscribe | Asked::Send(..) | Asked::Acknowledge => {}
            }
        }
    }

    /// Asks something of the holder; the answer is told. Nothing if it cannot be reached.
    pub fn ask(&mut self, ask: Ask) -> Option<Token> {
        self.up.then(|| self.put(Asked::Owner, ask))
    }

    /// Sends a message. It is told whether it was sent.
    pub fn send(&mut self, connection: ConnectionId, message: Vec<u8>) -> Result<OutSeq, NotTaken> {
        let line = self.lines.get_mut(&connection).ok_or(NotTaken::Unknown)?;
        let have = line.unanswered.len();
        if have >= UNANSWERED_MAX {
            return Err(NotTaken::Full { have, max: UNANSWERED_MAX });
        }
        line.sent = OutSeq(line.sent.0 + 1);
        let seq = line.sent;
        line.unanswered.push_back((seq, message.clone()));
        // While the holder has not told of the connection again, it is not known what it has sent.
        if self.up && !self.missing.contains(&connection) {
            self.put_send(connection, seq, message);
        }
        Ok(seq)
    }

    /// All messages of a connection up to this one are durable.
    pub fn saved(&mut self, connection: ConnectionId, seq: Seq) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.saved = line.saved.max(seq);
            self.unacknowledged.insert(connection);
        }
    }

    /// The holder has answered.
    pub fn answered(&mut self, token: Token, answer: Answer) {
        match self.asked.remove(&token) {
            None | Some(Asked::Acknowledge) => {}
            Some(Asked::Owner) => {
                self.news.push_back(News::Answered { token, answer: Some(answer) });
            }
            Some(Asked::Subscribe) => self.subscribed(answer),
            Some(Asked::Send(connection, seq)) => self.settled(connection, seq, answer),
        }
    }

    /// The holder tells something.
    pub fn event(&mut self, event: Event) {
        match event {
            Event::Opened(opened) => self.opened(opened),
            Event::Caught => self.caught(),
            Event::Message { connection, seq, bytes } => self.heard(connection, seq, bytes),
            Event::Complaint { connection, fails, channel_id, text } => {
                self.news.push_back(News::Complaint { connection, channel_id, fails, text });
            }
            Event::Closed { connection, culprit, text } => self.closed(connection, culprit, text),
            // We never have the keys of a connection.
            Event::Tunnel { .. } => {}
        }
    }

    fn subscribed(&mut self, answer: Answer) {
        match answer {
            Answer::Subscribed { holder, listening } => {
                self.listening = listening;
                if self.holder != Some(holder) {
                    self.holder = Some(holder);
                    let gone: Vec<_> = self.lines.keys().copied().collect();
                    for id in gone {
                        self.closed(id, Culprit::Local, "its sockets are gone".to_owned());
                    }
                }
            }
            Answer::Refused(Denial::StaleEpoch { have, .. }) if self.holder.is_none() => {
                self.news.push_back(News::Behind { have });
            }
            Answer::Refused(denial) => {
                self.news.push_back(News::Superseded { why: denial.to_string() });
            }
            Answer::Dialing { .. }
            | Answer::Done
            | Answer::Ponged { .. }
            | Answer::Reclaimed(_)
            | Answer::Listed(_)
            | Answer::Status(_) => {}
        }
    }

    fn opened(&mut self, opened: Opened) {
        let id = opened.connection;
        self.missing.remove(&id);
        if let Some(line) = self.lines.get(&id) {
            if line.epoch == opened.epoch && opened.sent <= line.sent {
                return self.reopened(&opened);
            }
            let why = "another owner sends over this connection".to_owned();
            self.closed(id, Culprit::Local, why);
        }
        let mark = self.holder.and_then(|holder| self.marks.remove(&(holder, id)));
        let saved = mark.unwrap_or_default();
        let (epoch, sent) = (opened.epoch, opened.sent);
        let line = Line { epoch, sent, unanswered: VecDeque::new(), heard: saved, saved };
        if saved > Seq(0) {
            self.unacknowledged.insert(id);
        }
        self.lines.insert(id, line);
        self.news.push_back(News::Opened(opened));
    }

    /// A connection that we knew: what the holder has not sent is sent again.
    fn reopened(&mut self, opened: &Opened) {
        let (id, sent) = (opened.connection, opened.sent);
        let line = self.lines.get_mut(&id).expect("looked at by the caller");
        while let Some((seq, _)) = line.unanswered.front()
            && *seq <= sent
        {
            let (seq, _) = line.unanswered.pop_front().expect("looked at above");
            self.news.push_back(News::Sent { connection: id, seq });
        }
        let again: Vec<_> = line.unanswered.iter().cloned().collect();
        self.unacknowledged.insert(id);
        for (seq, message) in again {
            self.put_send(id, seq, message);
        }
    }

    fn caught(&mut self) {
        for id in std::mem::take(&mut self.missing) {
            self.closed(id, Culprit::Network, "it ended while nobody listened".to_owned());
        }
        // Marks of connections that are over are of no use.
        self.marks.clear();
        self.news.push_back(News::Caught);
    }

    fn heard(&mut self, connection: ConnectionId, seq: Seq, bytes: Vec<u8>) {
        let Some(line) = self.lines.get_mut(&connection) else { return };
        if seq <= line.heard {
            if seq <= line.saved {
                self.unacknowledged.insert(connection);
            }
            return;
        }
        line.heard = seq;
        self.news.push_back(News::Message { connection, seq, bytes });
    }

    fn closed(&mut self, connection: ConnectionId, culprit: Culprit, text: String) {
        self.missing.remove(&connection);
        self.unacknowledged.remove(&connection);
        for (seq, _) in self.lines.remove(&connection).unwrap_or_default().unanswered {
            let why = format!("the connection is over: {text}");
            self.news.push_back(News::NotSent { connection, seq, why });
        }
        self.news.push_back(News::Closed { connection, culprit, text });
    }

    fn settled(&mut self, connection: ConnectionId, seq: OutSeq, answer: Answer) {
        let Some(line) = self.lines.get_mut(&connection) else { return };
        if line.unanswered.front().is_none_or(|(first, _)| *first != seq) {
            return;
        }
        line.unanswered.pop_front();
        let news = match answer {
            Answer::Refused(denial) => {
                let why = denial.to_string();
                self.news.push_back(News::NotSent { connection, seq, why });
                return self.give_up(connection, seq);
            }
            Answer::Subscribed { .. }
            | Answer::Dialing { .. }
            | Answer::Done
            | Answer::Ponged { .. }
            | Answer::Reclaimed(_)
            | Answer::Listed(_)
            | Answer::Status(_) => News::Sent { connection, seq },
        };
        self.news.push_back(news);
    }

    /// After a message that was refused, those behind it are out of sequence: they take its number
    /// and those that follow.
    fn give_up(&mut self, connection: ConnectionId, refused: OutSeq) {
        let line = self.lines.get_mut(&connection).expect("looked at by the caller");
        let behind = std::mem::take(&mut line.unanswered);
        line.sent = OutSeq(refused.0 - 1);
        for (seq, _) in behind {
            let why = format!("message {} before it was refused", refused.0);
            self.news.push_back(News::NotSent { connection, seq, why });
        }
    }

    fn acknowledge(&mut self) {
        let mut marks = Vec::new();
        while marks.len() < MARKS_MAX
            && let Some(id) = self.unacknowledged.pop_first()
        {
            let saved = self.lines.get(&id).map_or(Seq(0), |line| line.saved);
            if saved > Seq(0) {
                marks.push((id, saved));
            }
        }
        if !marks.is_empty() {
            self.put(Asked::Acknowledge, Ask::Acknowledge { marks });
        }
    }

    fn put_send(&mut self, connection: ConnectionId, seq: OutSeq, message: Vec<u8>) {
        let epoch = self.epoch;
        let ask = Ask::Send { connection, epoch, seq, message };
        self.put(Asked::Send(connection, seq), ask);
    }

    fn put(&mut self, asked: Asked, ask: Ask) -> Token {
        self.last = Token(self.last.0 + 1);
        self.asked.insert(self.last, asked);
        self.out.push_back((self.last, ask));
        self.last
    }
}
