//! Questions and answers as bytes, for a link to a signer in another process.
//!
//! `version (1 byte, 1) | kind (BigSize) | TLV stream`, the stream with the rules of BOLT 1:
//! records in order and once, lengths minimal; an unknown odd record is skipped, an unknown even
//! one refused. Numbers are big-endian and of the length given; what is greater is cut to what
//! fits. `c` is record 0, the connection, 8 bytes.
//!
//! | kind of ask | name | records |
//! |---|---|---|
//! | 1 | node id | |
//! | 2 | dial | c, 2: remote (33) |
//! | 3 | finish | c, 2: act two (50) |
//! | 4 | respond | c, 2: act one (50) |
//! | 5 | verify | c, 2: act three (66) |
//! | 6 | forget | c |
//! | 7 | sign message | 2: message |
//! | 8 | wallet account | |
//! | 9 | sign spend | 2: version (4), 4: lock time (4), 6: inputs, 8: outputs, 10: high fee (1) |
//! | 10 | view headers | 2: headers, 80 bytes each |
//! | 11 | view proof | 2: block (32), 4: transaction, 6: position (4), 8: steps, 32 bytes each, |
//! | | | 10: coinbase, 12: its steps |
//! | 12 | view status | |
//! | 13 | peel onion | 2: packet (1366), 4: payment hash (32), or empty: of a message |
//! | 47 | lease | 2: epoch (8) |
//! | 16, 32 to 63 | about channels | `src/codec/channel/mod.rs`, with answers 22 to 29, 33, 34 |
//!
//! An input is outpoint (36), amount (8), place (5) and sequence (4). An output is an amount (8),
//! then 0 and a place, or 1 and a script behind its length (2). A place is branch (1), index (4).
//!
//! | kind of answer | name | records |
//! |---|---|---|
//! | 1 | node id | 2: node (33) |
//! | 2 | dialed | c, 2: act one (50) |
//! | 3 | finished | c, 2: act three (66), 4: `noise::TransportState` (135) |
//! | 4 | responded | c, 2: act two (50), 4: `noise::HalfOpen` (129) |
//! | 5 | verified | c, 2: remote (33) |
//! | 6 | forgotten | c |
//! | 7 | signed | 2: signature (65) |
//! | 8 | busy | c, 2: have (4), 4: max (4) |
//! | 9 | message too long | 2: got (4), 4: max (4) |
//! | 10 | denied | c |
//! | 11 | point | c, 2: act, 1 to 3 (1), 4: prefix (1) |
//! | 12 | mac | c, 2: act one, act two, key in act three, act three: 0 to 3 (1) |
//! | 13 | not now | c, 2: state, 0 to 3 of [`STATES`] (1), 4: ask, 0 to 3 of [`STEPS`] (1) |
//! | 14 | identity as ephemeral | c |
//! | 15 | wallet account | 2: extended public key (78), 4: fingerprint (4) |
//! | 16 | spend signed | 2: signatures, 64 bytes each |
//! | 17 | spend refused | 2: flaw (1), 4: its three numbers (24), 6: its coin, if any (36) |
//! | 18 | view | 2: tip (height 4, hash 32), 4: work (32), 6: time (4), 8: proven (4), |
//! | | | 10: milliseconds since it came (8), or empty; 12: its age in seconds (4), or empty; |
//! | | | 14: first (height 4, hash 32) |
//! | 19 | proven | 2: id (32), 4: block (height 4, hash 32), 6: confirmations (4) |
//! | 20 | view refused | 2: flaw (1), 4: its three numbers (12), 6: its hashes, if any (32 each) |
//! | 21 | not saved | 2: bytes (4), 4: the system's number (4) |
//! | 30 | peeled | 2: `sphinx::ReturnKeys` (64), 4: payload, 6: next packet (1366), or empty |
//! | 31 | bad payload | 2: `sphinx::ReturnKeys` (64), 4: the failure |
//! | 32 | bad onion | 2: its hash (32), 4: what is wrong: 0 version, 1 key, 2 HMAC (1), and |
//! | | | the byte that is wrong (1) |
//! | 40 | stale lease | 2: got (8), 4: have (8) |
//!
//! Kinds 10 to 14 are the faults with which a key holder can refuse a step. All others are of the
//! socket side; should one stand in an answer, it arrives as `Denied`.

pub(crate) mod channel;
mod onion;
mod spend;
mod view;

use std::fmt::{self, Debug, Display};

use noise::{Act, Act1, Act2, Act3, Fault, HalfOpen, PublicKey, Sealed, TransportState};
use static_assertions::assert_not_impl_any;
use tx::{CLAIM_INPUTS_MAX, Templates};
use wire::bigsize;
use wire::fault::Broke;
use wire::key::Point;
use wire::lease::{LeaseEpoch, StaleLease};
use wire::reader::Reader;
use wire::tlv::Records;
use zeroize::Zeroize;

use self::channel::INPUT_SIGNATURE_BYTES;
use crate::api::{Answer, Ask, ConnectionId, Refusal};
use crate::channel::{CONTRACTS_MAX, ChannelRefusal};
use crate::fault::{IndexFault, SignatureFault};
use crate::message::{MESSAGE_BYTES_MAX, MessageSignature};
use crate::secret::burning;
use crate::spend::SPEND_INPUTS_MAX;

assert_not_impl_any!(Frame: Clone, Copy, Debug, Display);

/// The layout that is written, and the only one that is read.
pub const CODEC_VERSION: u8 = 1;
/// The longest encoded question: as many claims as one transaction may have, and what they spend.
pub const ASK_BYTES_MAX: usize =
    CLAIM_INPUTS_MAX * CLAIM_BYTES_MAX + PARENTS_BYTES_MAX + ROOM_BYTES;
/// The longest encoded answer: signatures for all inputs that claims may have, with room for
/// records of later versions.
pub const ANSWER_BYTES_MAX: usize = INPUT_SIGNATURE_BYTES * CLAIM_INPUTS_MAX + ROOM_BYTES;

/// Transactions that claims spend, in one question, without their witnesses: no single one that a
/// block can hold is longer (BIP 141 counts each byte outside of witnesses four times, of
/// 4,000,000). So a peer cannot hide money behind a transaction that is too long to be shown.
pub const PARENTS_BYTES_MAX: usize = 1_000_000;

/// The longest contract in a question, if all that there may be are as long: an HTLC has 49.
pub const CONTRACT_BYTES_MAX: usize = 128;

/// The longest claim: outpoint, value, two bytes, commitment, contract and its secret.
const CLAIM_BYTES_MAX: usize = 36 + 8 + 2 + 41 + CONTRACT_BYTES_MAX + 34;
/// Of all contracts that both sides may have: the terms, the secret and the signature of the second
/// stage.
const COMMITMENT_BYTES_MAX: usize = 2 * CONTRACTS_MAX * (CONTRACT_BYTES_MAX + 33 + 64);

const _: () = assert!(ASK_BYTES_MAX > MESSAGE_BYTES_MAX + ROOM_BYTES);
const _: () = assert!(ASK_BYTES_MAX > COMMITMENT_BYTES_MAX + ROOM_BYTES);
const _: () = assert!(ANSWER_BYTES_MAX > 64 * SPEND_INPUTS_MAX + ROOM_BYTES);
const _: () = assert!(ANSWER_BYTES_MAX > 64 * (1 + 2 * CONTRACTS_MAX) + ROOM_BYTES);

/// Room for every answer that may hold a secret.
const ROOM_BYTES: usize = 512;

/// The states of an exchange, as `noise::Fault::NotNow` calls them.
const STATES: [&str; 4] = ["fresh", "dialing", "responding", "spent"];
/// The steps of a handshake, as `noise::Ask::name` calls them.
const STEPS: [&str; 4] = ["dial", "finish", "respond", "verify"];
const ACTS: [Act; 3] = [Act::One, Act::Two, Act::Three];
const SEALED: [Sealed; 4] =
    [Sealed::ActOne, Sealed::ActTwo, Sealed::ActThreeKey, Sealed::ActThreeEnd];

/// The record of the connection.
const C: u64 = 0;

/// An encoded answer. It may hold secrets, and is wiped when dropped.
pub struct Frame(Vec<u8>);

/// Why bytes are no question, or no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There are more bytes than any may have.
    TooLong {
        /// Bytes there are.
        got: usize,
        /// The most there may be.
        max: usize,
    },
    /// The layout has an unknown version.
    Version {
        /// The version.
        got: u8,
        /// The one we know.
        want: u8,
    },
    /// A kind that we do not know.
    Kind {
        /// Its number.
        got: u64,
    },
    /// What stands before the records, or the records' order and lengths, are wrong.
    Frame(Broke),
    /// A record is not there.
    Missing {
        /// The kind.
        kind: u64,
        /// The record.
        record: u64,
    },
    /// A record's value is wrong.
    Record {
        /// The kind.
        kind: u64,
        /// The record.
        record: u64,
        /// What is wrong.
        flaw: RecordFlaw,
    },
}

/// What is wrong with a record's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordFlaw {
    /// Its length, or its point.
    Broke(Broke),
    /// An act or a handshake's state.
    Noise(Fault),
    /// A message's signature.
    Signature(SignatureFault),
    /// An extended public key.
    Xpub,
    /// The place of a key.
    Index(IndexFault),
    /// A transaction.
    Transaction,
    /// Numbers that the refusal does not have.
    Numbers,
    /// The terms of a contract: they are some, and unknown here.
    Contract(tx::Flaw),
    /// A number beyond the end of its table.
    Choice {
        /// The number.
        got: u8,
        /// The least there is.
        min: u8,
        /// The greatest there is.
        max: u8,
    },
}

impl Ask {
    /// The bytes of this question.
    pub fn encode(&self) -> Vec<u8> {
        let message = if let Ask::SignMessage { message } = self { message.len() } else { 0 };
        let to = Writer(Vec::with_capacity(96 + message));
        let to = match self {
            Ask::NodeId => to.kind(1),
            Ask::Handshake { connection, ask } => match ask {
                noise::Ask::Dial { remote } => {
                    to.kind(2).connection(*connection).record(2, &remote.serialize())
                }
                noise::Ask::Finish { act2 } => {
                    to.kind(3).connection(*connection).record(2, act2.bytes())
                }
                noise::Ask::Respond { act1 } => {
                    to.kind(4).connection(*connection).record(2, act1.bytes())
                }
                noise::Ask::Verify { act3 } => {
                    to.kind(5).connection(*connection).record(2, act3.bytes())
                }
            },
            Ask::Forget { connection } => to.kind(6).connection(*connection),
            Ask::SignMessage { message } => to.kind(7).record(2, message),
            Ask::WalletAccount => to.kind(8),
            Ask::SignSpend { spend } => spend::write_spend(to.kind(9), spend),
            Ask::ViewHeaders { headers } => view::write_headers(to.kind(10), headers),
            Ask::ViewProof { block, proof } => view::write_proof(to.kind(11), *block, proof),
            Ask::ViewStatus => to.kind(12),
            Ask::PeelOnion { packet, associated_data } => {
                onion::write_ask(to.kind(13), packet, associated_data)
            }
            Ask::Lease { epoch } => to.kind(47).epoch(2, *epoch),
            Ask::Channel { lease, ask } => channel::ask::write(to, *lease, ask),
        };
        to.0
    }

    /// Reads what [`Ask::encode`] wrote, with contracts of BOLT 3 only.
    pub fn decode(bytes: &[u8]) -> Result<Ask, Malformed> {
        Ask::decode_with(bytes, &Templates::bolt3())
    }

    /// Reads what [`Ask::encode`] wrote, with contracts of these templates: the reader's own.
    pub fn decode_with(bytes: &[u8], templates: &Templates) -> Result<Ask, Malformed> {
        let from = open(bytes, ASK_BYTES_MAX)?;
        let handshake =
            |from: &Read<'_>, ask| Ok(Ask::Handshake { connection: from.connection()?, ask });
        match from.kind {
            1 => from.only(&[]).map(|_| Ask::NodeId),
            2 => {
                let from = from.only(&[C, 2])?;
                handshake(&from, noise::Ask::Dial { remote: from.point(2)? })
            }
            3 => {
                let from = from.only(&[C, 2])?;
                handshake(&from, noise::Ask::Finish { act2: from.noise(2, Act2::parse)? })
            }
            4 => {
                let from = from.only(&[C, 2])?;
                handshake(&from, noise::Ask::Respond { act1: from.noise(2, Act1::parse)? })
            }
            5 => {
                let from = from.only(&[C, 2])?;
                handshake(&from, noise::Ask::Verify { act3: from.noise(2, Act3::parse)? })
            }
            6 => Ok(Ask::Forget { connection: from.only(&[C])?.connection()? }),
            7 => Ok(Ask::SignMessage { message: from.only(&[2])?.bytes(2)?.to_vec() }),
            8 => from.only(&[]).map(|_| Ask::WalletAccount),
            9 => {
                let from = from.only(&[2, 4, 6, 8, 10])?;
                Ok(Ask::SignSpend { spend: spend::read_spend(&from)? })
            }
            10 => Ok(Ask::ViewHeaders { headers: view::read_headers(&from.only(&[2])?)? }),
            11 => {
                let (block, proof) = view::read_proof(&from.only(&[2, 4, 6, 8, 10, 12, 14])?)?;
                Ok(Ask::ViewProof { block, proof: Box::new(proof) })
            }
            12 => from.only(&[]).map(|_| Ask::ViewStatus),
            13 => onion::read_ask(&from.only(&[2, 4])?),
            47 => Ok(Ask::Lease { epoch: from.only(&[2])?.epoch(2)? }),
            got => channel::ask::read(from, templates)?.ok_or(Malformed::Kind { got }),
        }
    }
}

impl Answer {
    /// The bytes of this answer, whose secrets are moved there.
    pub fn encode(self) -> Frame {
        burning(|| self.write())
    }

    fn write(self) -> Frame {
        // Growing would leave secrets behind.
        let more = if let Answer::SpendSigned { signatures } = &self {
            64 * signatures.len()
        } else if let Answer::Channel(answer) = &self {
            channel::answer::signature_bytes(answer)
        } else if let Answer::Peeled(peel) = &self {
            onion::layer_bytes(peel)
        } else {
            0
        };
        let to = Writer(Vec::with_capacity(ROOM_BYTES + more));
        let room = to.0.capacity();
        let to = match self {
            Answer::NodeId { node } => to.kind(1).record(2, &node.serialize()),
            Answer::Handshake { connection, answer } => encode_step(to, connection, answer),
            Answer::Forgotten { connection } => to.kind(6).connection(connection),
            Answer::Signed { signature } => to.kind(7).record(2, signature.bytes()),
            Answer::Refused(Refusal::Busy { connection, have, max }) => {
                to.kind(8).connection(connection).number(2, have).number(4, max)
            }
            Answer::Refused(Refusal::MessageTooLong { got, max }) => {
                to.kind(9).number(2, got).number(4, max)
            }
            Answer::WalletAccount { account } => spend::write_account(to.kind(15), &account),
            Answer::SpendSigned { signatures } => spend::write_signatures(to.kind(16), &signatures),
            Answer::Refused(Refusal::Spend(flaw)) => spend::write_flaw(to.kind(17), &flaw),
            Answer::View { status } => view::write_status(to.kind(18), &status),
            Answer::Proven { proven } => view::write_proven(to.kind(19), &proven),
            Answer::Refused(Refusal::View(flaw)) => view::write_flaw(to.kind(20), &flaw),
            Answer::Refused(Refusal::NotSaved { bytes, code }) => {
                to.kind(21).number(2, bytes).record(4, &code.to_be_bytes())
            }
            Answer::Refused(Refusal::StaleLease(StaleLease { got, have })) => {
                to.kind(40).epoch(2, got).epoch(4, have)
            }
            Answer::Peeled(peel) => onion::write_answer(to, &peel),
            Answer::Channel(answer) => channel::answer::write(to, &answer),
            Answer::Refused(Refusal::Channel(refusal)) => channel::refusal::write(to, &refusal),
        };
        assert_eq!(to.0.capacity(), room, "every answer fits");
        Frame(to.0)
    }

    /// Reads what [`Answer::encode`] wrote. The bytes are zeros afterwards, whatever the outcome.
    pub fn decode(bytes: &mut [u8]) -> Result<Answer, Malformed> {
        let answer = burning(|| Answer::read(bytes));
        bytes.zeroize();
        answer
    }

    fn read(bytes: &[u8]) -> Result<Answer, Malformed> {
        let from = open(bytes, ANSWER_BYTES_MAX)?;
        match from.kind {
            1 => Ok(Answer::NodeId { node: from.only(&[2])?.point(2)? }),
            6 => Ok(Answer::Forgotten { connection: from.only(&[C])?.connection()? }),
            7 => {
                let from = from.only(&[2])?;
                let signature = MessageSignature::from_bytes(from.array(2)?)
                    .map_err(|fault| from.flaw(2, RecordFlaw::Signature(fault)))?;
                Ok(Answer::Signed { signature })
            }
            8 => {
                let from = from.only(&[C, 2, 4])?;
                let (connection, have) = (from.connection()?, from.number(2)?);
                Ok(Answer::Refused(Refusal::Busy { connection, have, max: from.number(4)? }))
            }
            9 => {
                let from = from.only(&[2, 4])?;
                let (got, max) = (from.number(2)?, from.number(4)?);
                Ok(Answer::Refused(Refusal::MessageTooLong { got, max }))
            }
            15 => {
                let account = spend::read_account(&from.only(&[2, 4])?)?;
                Ok(Answer::WalletAccount { account })
            }
            16 => {
                let signatures = spend::read_signatures(&from.only(&[2])?)?;
                Ok(Answer::SpendSigned { signatures })
            }
            17 => {
                let flaw = spend::read_flaw(&from.only(&[2, 4, 6])?)?;
                Ok(Answer::Refused(Refusal::Spend(flaw)))
            }
            18 => {
                let status = view::read_status(&from.only(&[2, 4, 6, 8, 10, 12, 14])?)?;
                Ok(Answer::View { status })
            }
            19 => Ok(Answer::Proven { proven: view::read_proven(&from.only(&[2, 4, 6])?)? }),
            20 => {
                let flaw = view::read_flaw(&from.only(&[2, 4, 6])?)?;
                Ok(Answer::Refused(Refusal::View(flaw)))
            }
            21 => {
                let from = from.only(&[2, 4])?;
                let (bytes, code) = (from.number(2)?, i32::from_be_bytes(*from.array(4)?));
                Ok(Answer::Refused(Refusal::NotSaved { bytes, code }))
            }
            40 => {
                let from = from.only(&[2, 4])?;
                let (got, have) = (from.epoch(2)?, from.epoch(4)?);
                Ok(Answer::Refused(Refusal::StaleLease(StaleLease { got, have })))
            }
            30..=32 => onion::read_answer(from).map(Answer::Peeled),
            22..=26 | 28 | 29 | 33 => channel::answer::read(from).map(Answer::Channel),
            27 | 34 => {
                let refusal = channel::refusal::read(&from.only(&[2, 4, 6])?)?;
                Ok(Answer::Refused(Refusal::Channel(refusal)))
            }
            _ => {
                let (connection, answer) = read_step(from)?;
                Ok(Answer::Handshake { connection, answer })
            }
        }
    }
}

fn encode_step(to: Writer, connection: ConnectionId, answer: noise::Answer) -> Writer {
    match answer {
        noise::Answer::Dialed { act1 } => to.kind(2).connection(connection).record(2, act1.bytes()),
        noise::Answer::Finished { act3, transport } => {
            let to = to.kind(3).connection(connection).record(2, act3.bytes());
            to.record(4, transport.export().as_bytes())
        }
        noise::Answer::Responded { act2, half_open } => {
            let to = to.kind(4).connection(connection).record(2, act2.bytes());
            to.record(4, half_open.export().as_bytes())
        }
        noise::Answer::Verified { remote } => {
            to.kind(5).connection(connection).record(2, &remote.serialize())
        }
        noise::Answer::Refused(fault) => encode_fault(to, connection, fault),
    }
}

fn encode_fault(to: Writer, connection: ConnectionId, fault: Fault) -> Writer {
    let to_kind = |kind| to.kind(kind).connection(connection);
    if let Fault::Point { act, prefix } = fault
        && let Some(act) = place(&ACTS, act)
    {
        return to_kind(11).record(2, &[act + 1]).record(4, &[prefix]);
    }
    if let Fault::Mac { sealed } = fault
        && let Some(sealed) = place(&SEALED, sealed)
    {
        return to_kind(12).record(2, &[sealed]);
    }
    if let Fault::NotNow { state, ask } = fault
        && let (Some(state), Some(ask)) = (place(&STATES, state), place(&STEPS, ask))
    {
        return to_kind(13).record(2, &[state]).record(4, &[ask]);
    }
    to_kind(if fault == Fault::IdentityAsEphemeral { 14 } else { 10 })
}

fn read_step(from: Read<'_>) -> Result<(ConnectionId, noise::Answer), Malformed> {
    use noise::Answer::{Dialed, Finished, Refused, Responded, Verified};
    let known: &[u64] = match from.kind {
        2 | 5 | 12 => &[C, 2],
        3 | 4 | 11 | 13 => &[C, 2, 4],
        10 | 14 => &[C],
        got => return Err(Malformed::Kind { got }),
    };
    let from = from.only(known)?;
    let connection = from.connection()?;
    let answer = match from.kind {
        2 => Dialed { act1: from.noise(2, Act1::parse)? },
        3 => Finished {
            act3: from.noise(2, Act3::parse)?,
            transport: from.secret(4, TransportState::import)?,
        },
        4 => Responded {
            act2: from.noise(2, Act2::parse)?,
            half_open: from.secret(4, HalfOpen::import)?,
        },
        5 => Verified { remote: from.point(2)? },
        11 => {
            let [prefix] = *from.array(4)?;
            Refused(Fault::Point { act: from.choice(2, 1, &ACTS)?, prefix })
        }
        12 => Refused(Fault::Mac { sealed: from.choice(2, 0, &SEALED)? }),
        13 => {
            let (state, ask) = (from.choice(2, 0, &STATES)?, from.choice(4, 0, &STEPS)?);
            Refused(Fault::NotNow { state, ask })
        }
        14 => Refused(Fault::IdentityAsEphemeral),
        _ => Refused(Fault::Denied),
    };
    Ok((connection, answer))
}

fn place<T: PartialEq>(table: &[T], value: T) -> Option<u8> {
    table.iter().position(|listed| *listed == value).and_then(|at| u8::try_from(at).ok())
}

impl Frame {
    /// The bytes, to be carried over a link that is itself protected.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Appends, from the kind to the last record.
struct Writer(Vec<u8>);

impl Writer {
    fn kind(mut self, kind: u64) -> Writer {
        self.0.push(CODEC_VERSION);
        bigsize::write(kind, &mut self.0);
        self
    }

    fn record(mut self, number: u64, value: &[u8]) -> Writer {
        bigsize::write(number, &mut self.0);
        bigsize::write(value.len() as u64, &mut self.0);
        self.0.extend_from_slice(value);
        self
    }

    fn connection(self, ConnectionId(number): ConnectionId) -> Writer {
        self.record(C, &number.to_be_bytes())
    }

    fn epoch(self, record: u64, LeaseEpoch(epoch): LeaseEpoch) -> Writer {
        self.record(record, &epoch.to_be_bytes())
    }

    fn number(self, record: u64, value: usize) -> Writer {
        self.record(record, &u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes())
    }
}

/// What stands behind a version and a kind.
struct Read<'a> {
    kind: u64,
    stream: Reader<'a>,
}

fn open(bytes: &[u8], max: usize) -> Result<Read<'_>, Malformed> {
    if bytes.len() > max {
        return Err(Malformed::TooLong { got: bytes.len(), max });
    }
    let mut stream = Reader::new(bytes);
    let [version] = *stream.array().map_err(Malformed::Frame)?;
    if version != CODEC_VERSION {
        return Err(Malformed::Version { got: version, want: CODEC_VERSION });
    }
    let kind = bigsize::read(&mut stream).map_err(Malformed::Frame)?;
    Ok(Read { kind, stream })
}

impl<'a> Read<'a> {
    /// Checks the whole stream: its form, and that no even record is in it but those `known`.
    fn only(self, known: &[u64]) -> Result<Read<'a>, Malformed> {
        let mut records = Records::new(self.stream);
        while let Some(record) = records.next_record().map_err(Malformed::Frame)? {
            if record.number.is_multiple_of(2) && !known.contains(&record.number) {
                return Err(Malformed::Frame(Broke::UnknownEvenTlv { record: record.number }));
            }
        }
        Ok(self)
    }

    fn bytes(&self, number: u64) -> Result<&'a [u8], Malformed> {
        let mut records = Records::new(self.stream);
        while let Some(record) = records.next_record().map_err(Malformed::Frame)? {
            if record.number == number {
                return Ok(record.value);
            }
        }
        Err(Malformed::Missing { kind: self.kind, record: number })
    }

    fn array<const N: usize>(&self, number: u64) -> Result<&'a [u8; N], Malformed> {
        let mut value = Reader::new(self.bytes(number)?);
        let array = value.array().and_then(|array| value.end().map(|()| array));
        array.map_err(|broke| self.flaw(number, RecordFlaw::Broke(broke)))
    }

    fn connection(&self) -> Result<ConnectionId, Malformed> {
        self.array(C).map(|bytes| ConnectionId(u64::from_be_bytes(*bytes)))
    }

    fn epoch(&self, number: u64) -> Result<LeaseEpoch, Malformed> {
        self.array(number).map(|bytes| LeaseEpoch(u64::from_be_bytes(*bytes)))
    }

    fn number(&self, number: u64) -> Result<usize, Malformed> {
        let value = u32::from_be_bytes(*self.array(number)?);
        Ok(usize::try_from(value).expect("no machine of ours counts to less"))
    }

    fn point(&self, number: u64) -> Result<PublicKey, Malformed> {
        Point::parse(self.array(number)?)
            .map(|point| *point.key())
            .map_err(|broke| self.flaw(number, RecordFlaw::Broke(broke)))
    }

    fn noise<T, const N: usize>(
        &self,
        number: u64,
        parse: impl FnOnce([u8; N]) -> Result<T, Fault>,
    ) -> Result<T, Malformed> {
        parse(*self.array(number)?).map_err(|fault| self.flaw(number, RecordFlaw::Noise(fault)))
    }

    /// Read from where it stands, so that no second copy is made.
    fn secret<T>(
        &self,
        number: u64,
        import: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, Malformed> {
        import(self.bytes(number)?).map_err(|fault| self.flaw(number, RecordFlaw::Noise(fault)))
    }

    fn choice<T: Copy>(&self, number: u64, min: u8, table: &[T]) -> Result<T, Malformed> {
        let [got] = *self.array(number)?;
        let found = got.checked_sub(min).and_then(|at| table.get(usize::from(at)));
        let max = u8::try_from(table.len()).expect("tables are short") - 1 + min;
        found.copied().ok_or_else(|| self.flaw(number, RecordFlaw::Choice { got, min, max }))
    }

    fn flaw(&self, record: u64, flaw: RecordFlaw) -> Malformed {
        Malformed::Record { kind: self.kind, record, flaw }
    }
}

impl Malformed {
    /// The number of the question, and what to answer, if it is one, but about a contract that
    /// nobody here knows. Whoever asks has done nothing wrong.
    pub fn refusal(&self) -> Option<(u64, Refusal)> {
        let Malformed::Record { kind, flaw: RecordFlaw::Contract(flaw), .. } = self else {
            return None;
        };
        Some((*kind, Refusal::Channel(ChannelRefusal::Contract(*flaw))))
    }
}

impl std::error::Error for Malformed {}

impl Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooLong { got, max } => write!(f, "{got} bytes, {max} at most"),
            Malformed::Version { got, want } => {
                write!(f, "layout version {got}, only {want} is known")
            }
            Malformed::Kind { got } => write!(f, "kind {got} is unknown"),
            Malformed::Frame(broke) => Display::fmt(broke, f),
            Malformed::Missing { kind, record } => {
                write!(f, "kind {kind} without record {record}")
            }
            Malformed::Record { kind, record, flaw } => {
                write!(f, "kind {kind}, record {record}: {flaw}")
            }
        }
    }
}

impl Display for RecordFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFlaw::Broke(broke) => Display::fmt(broke, f),
            RecordFlaw::Noise(fault) => Display::fmt(fault, f),
            RecordFlaw::Signature(fault) => Display::fmt(fault, f),
            RecordFlaw::Xpub => write!(f, "no extended public key"),
            RecordFlaw::Index(fault) => Display::fmt(fault, f),
            RecordFlaw::Transaction => write!(f, "no transaction"),
            RecordFlaw::Numbers => write!(f, "other numbers than the refusal has"),
            RecordFlaw::Contract(flaw) => Display::fmt(flaw, f),
            RecordFlaw::Choice { got, min, max } => {
                write!(f, "{got}, at least {min} and at most {max}")
            }
        }
    }
}

impl From<Broke> for RecordFlaw {
    fn from(broke: Broke) -> RecordFlaw {
        RecordFlaw::Broke(broke)
    }
}
