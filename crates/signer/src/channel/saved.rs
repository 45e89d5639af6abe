//! What is saved of one channel: its changes, and their sum.
//!
//! | change | name | value |
//! |---|---|---|
//! | 2 | set up | side (1), pushed (8), terms |
//! | 4 | signed remote | commitment |
//! | 6 | advanced | commitment |
//! | 8 | revoked | number (8), secret (32) |
//! | 10 | closing | |
//! | 12 | shut | |
//! | 14 | lease | epoch (8), in the place of a channel's change; its key is zeros |
//! | 16 | signed remote, with offers | spent, commitment |
//! | 18 | advanced, with offers | spent, commitment |
//!
//! | record of a sum | name | value |
//! |---|---|---|
//! | 0 | channel | its key (32) |
//! | 2 | set up | as in the change |
//! | 4 | local | commitment, if there is one |
//! | 6 | remote | commitment, if there is one |
//! | 8 | points | number (8) and point (33) of each that is not revoked; the newest is the first |
//! | 10 | secrets | the next number (8), those that are kept (32 each) |
//! | 12 | closing | |
//! | 14 | shut | |
//! | 16 | ahead | by how much (8), if it is not nothing |
//!
//! Spent is what is offered (8), what of it counts (8), and when (4).
//!
//! A commitment is its transaction's id (32), what it means but for contracts, and its contracts as
//! pieces: as many of the one before are left out, as many are kept, as many come (BigSize each),
//! and those that come. Terms, meanings and contracts are laid out as in questions.
//!
//! So a change costs what is new. Whole, a commitment takes 46 bytes for each HTLC, which is 44 kB
//! with all that there may be; as pieces it takes less than 200 in all when one HTLC comes, and
//! less than 160 when one goes, however many stay. All of it is kept and not only what `judge`
//! needs, so that a signer alone can say what it has agreed on. The id stands there although it
//! follows from the meaning: deriving keys again would make a start as slow as signing all.

use std::collections::BTreeMap;

use bitcoin::Txid;
use bitcoin::hashes::Hash as _;
use tx::{Meaning, Placed, RevokedSecrets, Templates};
use wire::amount::Msat;
use wire::bigsize;
use wire::field::Field as _;
use wire::id::{ChannelKey, CommitmentNumber, PerCommitmentSecret};
use wire::key::Point;
use wire::lease::LeaseEpoch;
use wire::reader::Reader;
use wire::saved::{self, ChangeFault};
use wire::tlv::Records;

use super::day::Ahead;
use super::memory::{Agreed, Memory};
use super::{ChannelChange, SetUp, Spent};
use crate::codec::RecordFlaw;
use crate::codec::channel::meaning::{read_head, read_placed, write_head, write_placed};
use crate::codec::channel::terms::{self, SIDES};
use crate::codec::channel::{chosen, length};
use crate::view::UnixTime;

/// The record of a lease.
const LEASE: u64 = 14;

/// The bytes of a change. `before` is the channel's memory without it.
pub(super) fn write_change(change: &ChannelChange, before: Option<&Memory>) -> Vec<u8> {
    let mut to = Vec::new();
    let record = match change {
        ChannelChange::SetUp(setup) => {
            write_setup(setup, &mut to);
            2
        }
        ChannelChange::SignedRemote { meaning, txid, spent } => {
            let record = if write_spent(spent, &mut to) { 16 } else { 4 };
            write_agreed((meaning, txid), before.and_then(|it| it.remote.as_ref()), &mut to);
            record
        }
        ChannelChange::Advanced { meaning, txid, next: _, spent } => {
            let record = if write_spent(spent, &mut to) { 18 } else { 6 };
            write_agreed((meaning, txid), before.and_then(|it| it.local.as_ref()), &mut to);
            record
        }
        ChannelChange::Revoked { number, secret } => {
            number.write(&mut to);
            secret.write(&mut to);
            8
        }
        ChannelChange::Closing => 10,
        ChannelChange::Shut => 12,
    };
    saved::write(record, &to)
}

/// What is saved of a lease.
pub(super) fn write_lease(epoch: LeaseEpoch) -> Vec<u8> {
    [&[0; 32], &saved::write(LEASE, &epoch.0.to_be_bytes())[..]].concat()
}

/// The lease, if that is what these bytes are.
pub(super) fn read_lease(bytes: &[u8]) -> Result<Option<LeaseEpoch>, ChangeFault> {
    match bigsize::read(&mut Reader::new(bytes)) {
        Ok(LEASE) => {
            saved::read(bytes, |_, from| Ok(Some(LeaseEpoch(u64::from_be_bytes(*from.array()?)))))
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Reads a change that can follow `before`; nothing if a newer version wrote it and it may be
/// passed over.
pub(super) fn read_change(
    bytes: &[u8],
    before: Option<&Memory>,
    templates: &Templates,
) -> Result<Option<ChannelChange>, ChangeFault> {
    let change = saved::read(bytes, |record, from| {
        let read = |from: &mut Reader<'_>, agreed| read_agreed(from, agreed, templates);
        Ok(Some(match record {
            2 => ChannelChange::SetUp(Box::new(read_setup(from)?)),
            4 | 16 => {
                let spent = read_spent(record == 16, from)?;
                let agreed = read(from, before.and_then(|it| it.remote.as_ref()))?;
                let (meaning, txid) = (agreed.meaning.into(), agreed.txid);
                ChannelChange::SignedRemote { meaning, txid, spent }
            }
            6 | 18 => {
                let spent = read_spent(record == 18, from)?;
                let agreed = read(from, before.and_then(|it| it.local.as_ref()))?;
                let (meaning, txid) = (agreed.meaning.into(), agreed.txid);
                ChannelChange::Advanced { meaning, txid, next: None, spent }
            }
            8 => ChannelChange::Revoked {
                number: CommitmentNumber::read(from)?,
                secret: PerCommitmentSecret::read(from)?,
            },
            10 => ChannelChange::Closing,
            12 => ChannelChange::Shut,
            _ => return Ok(None),
        }))
    })?;
    if let Some(change) = &change {
        follows(change, before)?;
    }
    Ok(change)
}

/// Whether a change can follow: taking it in panics otherwise, or would mean something else.
fn follows(change: &ChannelChange, before: Option<&Memory>) -> Result<(), ChangeFault> {
    let Some(memory) = before else {
        return match change {
            ChannelChange::SetUp(_) => Ok(()),
            ChannelChange::SignedRemote { .. }
            | ChannelChange::Advanced { .. }
            | ChannelChange::Revoked { .. }
            | ChannelChange::Closing
            | ChannelChange::Shut => Err(none("change of a channel", "one of no channel")),
        };
    };
    let is_next = |meaning: &Meaning, newest: Option<&Agreed>| {
        let want = newest.map_or(0, |it| it.meaning.number.0.saturating_add(1));
        let number = meaning.number;
        match number.0 == want {
            true => Ok(()),
            false => Err(none("next commitment", format!("{number} instead of {want}"))),
        }
    };
    match change {
        ChannelChange::SetUp(_) => Err(none("new channel", "one that is there")),
        ChannelChange::SignedRemote { meaning, .. } => is_next(meaning, memory.remote.as_ref()),
        ChannelChange::Advanced { meaning, .. } => is_next(meaning, memory.local.as_ref()),
        ChannelChange::Revoked { number, secret }
            if memory.secrets.secret(*number) == Some(*secret) =>
        {
            Ok(())
        }
        ChannelChange::Revoked { number, secret } => {
            let inserted = memory.secrets.clone().insert(*number, secret);
            inserted.map_err(|fault| none("next secret", fault))
        }
        ChannelChange::Closing | ChannelChange::Shut => Ok(()),
    }
}

/// The sum of a channel's changes.
pub(super) fn write_memory(channel: &ChannelKey, memory: &Memory) -> Vec<u8> {
    let Memory { setup, local, next_point: _, remote, points, secrets, ahead, closing, shut } =
        memory;
    let mut to = saved::write(0, &channel.0);
    let mut record = |number, write: &dyn Fn(&mut Vec<u8>)| {
        let mut value = Vec::new();
        write(&mut value);
        to.extend(saved::write(number, &value));
    };
    record(2, &|to| write_setup(setup, to));
    for (number, agreed) in [(4, local), (6, remote)] {
        if let Some(agreed) = agreed {
            record(number, &|to| write_agreed((&agreed.meaning, &agreed.txid), None, to));
        }
    }
    record(8, &|to| {
        for (number, point) in points.iter().flatten() {
            number.write(to);
            point.write(to);
        }
    });
    record(10, &|to| {
        secrets.next().write(to);
        secrets.kept().for_each(|secret| secret.write(to));
    });
    if *closing {
        record(12, &|_| {});
    }
    if *shut {
        record(14, &|_| {});
    }
    if *ahead != Ahead::default() {
        record(16, &|to| to.extend(ahead.0.to_be_bytes()));
    }
    to
}

/// Reads such a sum.
pub(super) fn read_memory(
    bytes: &[u8],
    templates: &Templates,
) -> Result<(ChannelKey, Memory), ChangeFault> {
    let (mut channel, mut memory) = (None, None::<Memory>);
    let mut records = Records::new(Reader::new(bytes));
    while let Some(record) = records.next_record()? {
        let mut from = Reader::new(record.value);
        let from = &mut from;
        match (record.number, &mut memory) {
            (0, _) => channel = Some(ChannelKey(*from.array()?)),
            (2, memory) => *memory = Some(Memory::new(read_setup(from)?)),
            (4, Some(memory)) => memory.local = Some(read_agreed(from, None, templates)?),
            (6, Some(memory)) => memory.remote = Some(read_agreed(from, None, templates)?),
            (8, Some(memory)) => {
                for place in &mut memory.points {
                    if !from.is_empty() {
                        *place = Some((CommitmentNumber::read(from)?, Point::read(from)?));
                    }
                }
            }
            (10, Some(memory)) => memory.secrets = read_secrets(from)?,
            (12, Some(memory)) => memory.closing = true,
            (14, Some(memory)) => memory.shut = true,
            (16, Some(memory)) => memory.ahead = Ahead(i64::from_be_bytes(*from.array()?)),
            (number, _) if number % 2 == 0 => return Err(ChangeFault::Newer { record: number }),
            (_, _) => _ = from.rest(),
        }
        from.end()?;
    }
    channel.zip(memory).ok_or_else(|| none("channel", "one without its key or terms"))
}

/// Says whether there is something to say.
fn write_spent(spent: &Spent, to: &mut Vec<u8>) -> bool {
    let Spent { offered, counted, at } = spent;
    if *offered == Msat(0) {
        return false;
    }
    offered.write(to);
    counted.write(to);
    to.extend(at.0.to_be_bytes());
    true
}

fn read_spent(is_there: bool, from: &mut Reader<'_>) -> Result<Spent, ChangeFault> {
    if !is_there {
        return Ok(Spent::default());
    }
    let (offered, counted) = (Msat::read(from)?, Msat::read(from)?);
    let at = UnixTime(u32::from_be_bytes(*from.array()?));
    match offered > Msat(0) && counted <= offered {
        true => Ok(Spent { offered, counted, at }),
        false => Err(none("what is spent", format!("{counted} of {offered}"))),
    }
}

fn read_secrets(from: &mut Reader<'_>) -> Result<RevokedSecrets, ChangeFault> {
    let next = CommitmentNumber::read(from)?;
    let mut kept = Vec::with_capacity(from.len() / 32);
    while !from.is_empty() {
        kept.push(PerCommitmentSecret::read(from)?);
    }
    let secrets = RevokedSecrets::from_kept(next, &kept);
    secrets.ok_or_else(|| none("secrets", format!("{} for {next} commitments", kept.len())))
}

fn write_setup(setup: &SetUp, to: &mut Vec<u8>) {
    to.push(setup.side as u8);
    setup.pushed.write(to);
    terms::write(&setup.terms, to);
}

fn read_setup(from: &mut Reader<'_>) -> Result<SetUp, ChangeFault> {
    let (side, pushed) = (chosen(from, &SIDES)?, Msat::read(from)?);
    let setup = SetUp { side, terms: terms::read(from)?, pushed };
    // What may be agreed on can change with versions: here it only has to be an amount of money.
    let value = setup.terms.funding.value;
    let all = value.to_msat().filter(|_| value <= wire::amount::Sat::MAX_MONEY);
    match all.is_some_and(|all| pushed <= all) {
        true => Ok(setup),
        false => Err(none("funding", format!("{value}, of which {pushed} are pushed"))),
    }
}

fn write_agreed((meaning, txid): (&Meaning, &Txid), before: Option<&Agreed>, to: &mut Vec<u8>) {
    to.extend(txid.as_byte_array());
    write_head(meaning, to);
    let bytes = |placed: &Placed| {
        let mut bytes = Vec::new();
        write_placed(placed, &mut bytes);
        bytes
    };
    let old = before.map_or(&[][..], |it| &it.meaning.contracts);
    let mut places: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (at, placed) in old.iter().enumerate().rev() {
        places.entry(bytes(placed)).or_default().push(at);
    }
    let (mut pieces, mut end) = (Pieces::default(), 0);
    for placed in &meaning.contracts {
        let bytes = bytes(placed);
        let found = places.get_mut(&bytes).and_then(|places| {
            while let Some(at) = places.pop() {
                if at >= end {
                    return Some(at);
                }
            }
            None
        });
        match found {
            Some(at) => {
                pieces.keep(at - end, to);
                end = at + 1;
            }
            None => pieces.add(&bytes),
        }
    }
    pieces.end(to);
}

/// One piece of a list of contracts, on its way to the bytes.
#[derive(Default)]
struct Pieces {
    left_out: u64,
    kept: u64,
    added: u64,
    new: Vec<u8>,
}

impl Pieces {
    fn keep(&mut self, left_out: usize, to: &mut Vec<u8>) {
        if left_out > 0 || self.added > 0 {
            self.end(to);
            self.left_out = left_out as u64;
        }
        self.kept += 1;
    }

    fn add(&mut self, bytes: &[u8]) {
        self.added += 1;
        self.new.extend(bytes);
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        let Self { left_out, kept, added, new } = std::mem::take(self);
        if left_out + kept + added > 0 {
            [left_out, kept, added].iter().for_each(|count| bigsize::write(*count, to));
            to.extend(new);
        }
    }
}

fn read_agreed(
    from: &mut Reader<'_>,
    before: Option<&Agreed>,
    templates: &Templates,
) -> Result<Agreed, ChangeFault> {
    let txid = Txid::from_byte_array(*from.array()?);
    let mut meaning = read_head(from)?;
    let mut old = before.map_or(&[][..], |it| &it.meaning.contracts);
    while !from.is_empty() {
        let (left_out, kept, added) = (length(from)?, length(from)?, length(from)?);
        let pieces = old.split_at_checked(left_out).and_then(|it| it.1.split_at_checked(kept));
        let (keeps, rest) = pieces
            .ok_or_else(|| none("piece", format!("{left_out} and {kept} of {}", old.len())))?;
        meaning.contracts.extend_from_slice(keeps);
        old = rest;
        for _ in 0..added {
            meaning.contracts.push(read_placed(from, templates)?);
        }
    }
    Ok(Agreed { meaning, txid })
}

fn none(what: &'static str, got: impl ToString) -> ChangeFault {
    ChangeFault::Meaningless { what, got: got.to_string() }
}

impl From<RecordFlaw> for ChangeFault {
    fn from(flaw: RecordFlaw) -> Self {
        match flaw {
            RecordFlaw::Broke(broke) => ChangeFault::Damaged(broke),
            RecordFlaw::Contract(flaw) => none("contract", flaw),
            RecordFlaw::Noise(_)
            | RecordFlaw::Signature(_)
            | RecordFlaw::Xpub
            | RecordFlaw::Index(_)
            | RecordFlaw::Transaction
            | RecordFlaw::Numbers
            | RecordFlaw::Choice { .. } => none("value", flaw),
        }
    }
}
