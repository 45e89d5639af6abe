//! The contract as bytes. A topic names the kind; the payload has the fields in the order in which
//! `api.rs` declares them.

use noise::{STATE_BYTES, TransportState};
use wire::{
    Body as _, Init,
    id::{ChannelId, ConnectionId},
    reader::Reader,
    tick::Millis,
};
use zeroize::Zeroizing;

use super::api::{Answer, Ask, Denial, Event, Opened, Status, Summary};
use crate::{
    api::{Culprit, Epoch, OutSeq, Seq},
    bytes::{Malformed, Put, Take},
    limits::{LISTED_MAX, MARKS_MAX},
    live::Reclaimed,
    tunnel::Delegation,
};

/// The numbers of the questions on the bus, for permissions.
pub mod topic {
    /// [`Ask::Subscribe`](super::Ask::Subscribe).
    pub const SUBSCRIBE: u16 = 1;
    /// [`Ask::Dial`](super::Ask::Dial).
    pub const DIAL: u16 = 2;
    /// [`Ask::Tunnel`](super::Ask::Tunnel).
    pub const TUNNEL: u16 = 3;
    /// [`Ask::Close`](super::Ask::Close).
    pub const CLOSE: u16 = 4;
    /// [`Ask::Send`](super::Ask::Send).
    pub const SEND: u16 = 5;
    /// [`Ask::Ping`](super::Ask::Ping).
    pub const PING: u16 = 6;
    /// [`Ask::Acknowledge`](super::Ask::Acknowledge).
    pub const ACKNOWLEDGE: u16 = 7;
    /// [`Ask::Delegate`](super::Ask::Delegate).
    pub const DELEGATE: u16 = 8;
    /// [`Ask::Reclaim`](super::Ask::Reclaim).
    pub const RECLAIM: u16 = 9;
    /// [`Ask::Attach`](super::Ask::Attach).
    pub const ATTACH: u16 = 10;
    /// [`Ask::Credit`](super::Ask::Credit).
    pub const CREDIT: u16 = 11;
    /// [`Ask::Pass`](super::Ask::Pass).
    pub const PASS: u16 = 12;
    /// [`Ask::List`](super::Ask::List).
    pub const LIST: u16 = 13;
    /// [`Ask::Status`](super::Ask::Status).
    pub const STATUS: u16 = 14;
}

type Payload = Zeroizing<Vec<u8>>;

fn connection(from: &mut Reader<'_>) -> Result<ConnectionId, Malformed> {
    Take::u64(from).map(ConnectionId)
}

fn epoch(from: &mut Reader<'_>) -> Result<Epoch, Malformed> {
    Take::u64(from).map(Epoch)
}

fn unknown<T>(what: &'static str, topic: u16) -> Result<T, Malformed> {
    Err(Malformed::Kind { what, got: topic.into() })
}

/// A list of at most `max`, refused before anything is set aside for it.
fn list<T>(
    from: &mut Reader<'_>,
    max: usize,
    mut take: impl FnMut(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = Take::u32(from)?;
    if count as usize > max {
        return Err(Malformed::Kind { what: "a list", got: count.into() });
    }
    (0..count).map(|_| take(from)).collect()
}

impl Ask {
    /// The question's number on the bus.
    pub const fn topic(&self) -> u16 {
        match self {
            Self::Subscribe { .. } => topic::SUBSCRIBE,
            Self::Dial { .. } => topic::DIAL,
            Self::Tunnel { .. } => topic::TUNNEL,
            Self::Close { .. } => topic::CLOSE,
            Self::Send { .. } => topic::SEND,
            Self::Ping { .. } => topic::PING,
            Self::Acknowledge { .. } => topic::ACKNOWLEDGE,
            Self::Delegate { .. } => topic::DELEGATE,
            Self::Reclaim { .. } => topic::RECLAIM,
            Self::Attach { .. } => topic::ATTACH,
            Self::Credit { .. } => topic::CREDIT,
            Self::Pass { .. } => topic::PASS,
            Self::List { .. } => topic::LIST,
            Self::Status => topic::STATUS,
        }
    }

    /// The payload. Keys in it are given away.
    pub fn encode(self) -> Payload {
        let mut to = Payload::default();
        match self {
            Self::Subscribe { epoch } => to.u64(epoch.0),
            Self::Dial { remote, address } => {
                to.key(&remote);
                to.address(address);
            }
            Self::Tunnel { address, epoch } => {
                to.address(address);
                to.u64(epoch.0);
            }
            Self::Close { connection } | Self::Ping { connection } => to.u64(connection.0),
            Self::Send { connection, epoch, seq, message } => {
                to.numbers([connection.0, epoch.0, seq.0]);
                to.extend_from_slice(&message);
            }
            Self::Acknowledge { marks } => {
                to.u32(marks.len() as u32);
                for (connection, seq) in marks {
                    to.u64(connection.0);
                    to.u64(seq.0);
                }
            }
            Self::Delegate { connection, delegation } => {
                to.u64(connection.0);
                put_delegation(delegation, &mut to);
            }
            Self::Reclaim { connection, epoch } => {
                to.u64(connection.0);
                to.u64(epoch.0);
            }
            Self::Attach { connection, epoch, offset }
            | Self::Credit { connection, epoch, offset } => {
                to.numbers([connection.0, epoch.0, offset]);
            }
            Self::Pass { connection, epoch, offset, bytes } => {
                to.numbers([connection.0, epoch.0, offset]);
                to.extend_from_slice(&bytes);
            }
            Self::List { after, max } => {
                to.maybe(after, |to, after| to.u64(after.0));
                to.u16(max);
            }
            Self::Status => {}
        }
        to
    }

    /// Reads a question.
    pub fn decode(topic: u16, payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let from = &mut reader;
        let ask = match topic {
            topic::SUBSCRIBE => Self::Subscribe { epoch: epoch(from)? },
            topic::DIAL => Self::Dial { remote: from.key()?, address: from.address()? },
            topic::TUNNEL => Self::Tunnel { address: from.address()?, epoch: epoch(from)? },
            topic::CLOSE => Self::Close { connection: connection(from)? },
            topic::SEND => {
                let (connection, epoch) = (connection(from)?, epoch(from)?);
                let seq = OutSeq(Take::u64(from)?);
                Self::Send { connection, epoch, seq, message: from.rest().to_vec() }
            }
            topic::PING => Self::Ping { connection: connection(from)? },
            topic::ACKNOWLEDGE => {
                let mark = |from: &mut Reader<'_>| Ok((connection(from)?, Seq(Take::u64(from)?)));
                Self::Acknowledge { marks: list(from, MARKS_MAX, mark)? }
            }
            topic::DELEGATE => {
                let connection = connection(from)?;
                Self::Delegate { connection, delegation: take_delegation(from)? }
            }
            topic::RECLAIM => Self::Reclaim { connection: connection(from)?, epoch: epoch(from)? },
            topic::ATTACH => {
                let (connection, epoch) = (connection(from)?, epoch(from)?);
                Self::Attach { connection, epoch, offset: from.u64()? }
            }
            topic::CREDIT => {
                let (connection, epoch) = (connection(from)?, epoch(from)?);
                Self::Credit { connection, epoch, offset: from.u64()? }
            }
            topic::PASS => {
                let (connection, epoch) = (connection(from)?, epoch(from)?);
                let offset = from.u64()?;
                Self::Pass { connection, epoch, offset, bytes: from.rest().to_vec() }
            }
            topic::LIST => Self::List { after: from.maybe(connection)?, max: from.u16()? },
            topic::STATUS => Self::Status,
            _ => return unknown("a question", topic),
        };
        reader.end()?;
        Ok(ask)
    }
}

fn put_delegation(delegation: Delegation, to: &mut Vec<u8>) {
    let Delegation { epoch, remote, state, rx_offset, tx_offset, init } = delegation;
    to.u64(epoch.0);
    to.key(&remote);
    to.extend_from_slice(state.export().as_bytes());
    to.u64(rx_offset);
    to.u64(tx_offset);
    to.maybe(init, |to, init| {
        let mut body = Vec::new();
        init.write_body(&mut body);
        to.run(&body);
    });
}

fn take_delegation(from: &mut Reader<'_>) -> Result<Delegation, Malformed> {
    Ok(Delegation {
        epoch: epoch(from)?,
        remote: from.key()?,
        state: TransportState::import(from.take(STATE_BYTES)?).map_err(Malformed::Keys)?,
        rx_offset: from.u64()?,
        tx_offset: from.u64()?,
        init: from.maybe(|from| {
            let init = Init::read_body(from.run()?).map_err(Malformed::Init)?;
            Ok(Box::new(init))
        })?,
    })
}

impl Answer {
    /// The answer's number on the bus.
    pub const fn topic(&self) -> u16 {
        match self {
            Self::Subscribed { .. } => 1,
            Self::Dialing { .. } => 2,
            Self::Done => 3,
            Self::Ponged { .. } => 4,
            Self::Reclaimed(_) => 5,
            Self::Listed(_) => 6,
            Self::Status(_) => 7,
            Self::Refused(Denial::StaleEpoch { .. }) => 9,
            Self::Refused(_) => 8,
        }
    }

    /// The payload. Keys in it are given away; a refusal becomes its words, but one that says which
    /// epoch is in force: whoever starts goes on from there.
    pub fn encode(self) -> Payload {
        let mut to = Payload::default();
        match self {
            Self::Subscribed { holder, listening } => {
                to.u64(holder);
                to.u32(listening.len() as u32);
                listening.into_iter().for_each(|address| to.address(address));
            }
            Self::Dialing { connection } => to.u64(connection.0),
            Self::Done => {}
            Self::Ponged { after } => to.u64(after.0),
            Self::Reclaimed(reclaimed) => put_reclaimed(reclaimed, &mut to),
            Self::Listed(summaries) => {
                to.u32(summaries.len() as u32);
                for summary in summaries {
                    to.u64(summary.connection.0);
                    to.maybe(summary.remote, |to, remote| to.key(&remote));
                    to.address(summary.address);
                    to.flag(summary.outbound);
                    to.run(summary.state.as_bytes());
                }
            }
            Self::Status(Status { connections, handshakes, unanswered, key_holder }) => {
                to.numbers([connections, handshakes, unanswered]);
                to.flag(key_holder);
            }
            Self::Refused(Denial::StaleEpoch { got, have }) => to.numbers([got.0, have.0]),
            Self::Refused(denial) => to.extend_from_slice(denial.to_string().as_bytes()),
        }
        to
    }

    /// Reads an answer.
    pub fn decode(topic: u16, payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let from = &mut reader;
        let answer = match topic {
            1 => Self::Subscribed {
                holder: from.u64()?,
                listening: list(from, LISTED_MAX, |from| from.address())?,
            },
            2 => Self::Dialing { connection: connection(from)? },
            3 => Self::Done,
            4 => Self::Ponged { after: Millis(from.u64()?) },
            5 => Self::Reclaimed(take_reclaimed(from)?),
            6 => Self::Listed(list(from, LISTED_MAX, |from| {
                Ok(Summary {
                    connection: connection(from)?,
                    remote: from.maybe(Take::key)?,
                    address: from.address()?,
                    outbound: from.flag()?,
                    state: from.text()?,
                })
            })?),
            7 => Self::Status(Status {
                connections: from.u64()?,
                handshakes: from.u64()?,
                unanswered: from.u64()?,
                key_holder: from.flag()?,
            }),
            8 => {
                let text = core::str::from_utf8(from.rest()).map_err(|_| Malformed::Text)?;
                Self::Refused(Denial::Told(text.to_owned()))
            }
            9 => Self::Refused(Denial::StaleEpoch { got: epoch(from)?, have: epoch(from)? }),
            _ => return unknown("an answer", topic),
        };
        reader.end()?;
        Ok(answer)
    }
}

fn put_reclaimed(reclaimed: Reclaimed, to: &mut Vec<u8>) {
    let Reclaimed { remote, state, init, rx_offset, tx_offset, unsaved } = reclaimed;
    to.key(&remote);
    to.extend_from_slice(state.export().as_bytes());
    to.run(&init);
    to.u64(rx_offset);
    to.u64(tx_offset);
    to.u32(unsaved.len() as u32);
    for (seq, message) in unsaved {
        to.u64(seq.0);
        to.run(&message);
    }
}

fn take_reclaimed(from: &mut Reader<'_>) -> Result<Reclaimed, Malformed> {
    Ok(Reclaimed {
        remote: from.key()?,
        state: TransportState::import(from.take(STATE_BYTES)?).map_err(Malformed::Keys)?,
        init: from.run()?.into(),
        rx_offset: from.u64()?,
        tx_offset: from.u64()?,
        unsaved: list(from, crate::limits::INBOX_MESSAGES_MAX, |from| {
            Ok((Seq(from.u64()?), from.run()?.to_vec()))
        })?,
    })
}

impl Event {
    /// The event's number on the bus.
    pub const fn topic(&self) -> u16 {
        match self {
            Self::Opened(_) => 1,
            Self::Caught => 2,
            Self::Message { .. } => 3,
            Self::Complaint { .. } => 4,
            Self::Closed { .. } => 5,
            Self::Tunnel { .. } => 6,
        }
    }

    /// Appends the payload.
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Opened(opened) => {
                to.u64(opened.connection.0);
                to.key(&opened.remote);
                to.address(opened.address);
                to.flag(opened.outbound);
                to.u64(opened.epoch.0);
                to.u64(opened.sent.0);
                to.run(&opened.init);
            }
            Self::Caught => {}
            Self::Message { connection, seq, bytes } => {
                to.u64(connection.0);
                to.u64(seq.0);
                to.extend_from_slice(bytes);
            }
            Self::Complaint { connection, fails, channel_id, text } => {
                to.u64(connection.0);
                to.flag(*fails);
                to.extend_from_slice(&channel_id.0);
                to.run(text.as_bytes());
            }
            Self::Closed { connection, culprit, text } => {
                to.u64(connection.0);
                to.u8(match culprit {
                    Culprit::Local => 0,
                    Culprit::Remote => 1,
                    Culprit::Network => 2,
                });
                to.run(text.as_bytes());
            }
            Self::Tunnel { connection, offset, bytes } => {
                to.u64(connection.0);
                to.u64(*offset);
                to.extend_from_slice(bytes);
            }
        }
    }

    /// Reads an event.
    pub fn decode(topic: u16, payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        let from = &mut reader;
        let event = match topic {
            1 => Self::Opened(Opened {
                connection: connection(from)?,
                remote: from.key()?,
                address: from.address()?,
                outbound: from.flag()?,
                epoch: epoch(from)?,
                sent: OutSeq(from.u64()?),
                init: from.run()?.to_vec(),
            }),
            2 => Self::Caught,
            3 => {
                let (connection, seq) = (connection(from)?, Seq(from.u64()?));
                Self::Message { connection, seq, bytes: from.rest().to_vec() }
            }
            4 => Self::Complaint {
                connection: connection(from)?,
                fails: from.flag()?,
                channel_id: ChannelId(*from.array()?),
                text: from.text()?,
            },
            5 => Self::Closed {
                connection: connection(from)?,
                culprit: match Take::u8(from)? {
                    0 => Culprit::Local,
                    1 => Culprit::Remote,
                    2 => Culprit::Network,
                    got => return unknown("a culprit", got.into()),
                },
                text: from.text()?,
            },
            6 => {
                let (connection, offset) = (connection(from)?, from.u64()?);
                Self::Tunnel { connection, offset, bytes: from.rest().to_vec() }
            }
            _ => return unknown("an event", topic),
        };
        reader.end()?;
        Ok(event)
    }
}
