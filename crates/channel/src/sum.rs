//! A channel as one change: the sum of all that were before, whole and short.
//!
//! | part | bytes |
//! |---|---|
//! | life | kind (1: 0 funding, 1 normal, 2 shutdown, 3 negotiating, 4 failing, 5 done), more |
//! | funding | said by us (1) and the peer (1), an alias of each, the block from which we wait |
//! | ledger | balances (16 each), next contracts: side (1), kind (2), number (8) of each; rate |
//! | | (4), rates on their way: step (1) and rate (4) of each |
//! | entries | contract, amount (8), kind (2), terms, step (1), step out (1), if paid (1) |
//! | known | contract, the message that has added it, end, secret |
//! | over | contract, end |
//! | local | number (8), points, those given up, signature, those of stages; the same, received |
//! | remote | number (8), points, the first that is not revoked (8), what is kept of secrets |
//! | order | whether the last of ours was a revocation (1) |
//! | chain | where the funding is, transactions that spend what is ours, and what they spend |
//!
//! Whatever may be missing has a byte in front that says so (0, 1), and a list its length (4), as
//! has what does not know its own. Amounts are in msat, heights have 4 bytes, points 64
//! (`points.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::Transaction;
use bitcoin::consensus::{deserialize, serialize};
use tx::{Kind, RevokedSecrets};
use wire::Message;
use wire::amount::BlockHeight;
use wire::field::Field;
use wire::id::{CommitmentNumber, PerCommitmentSecret};
use wire::key::{Point, Signature};
use wire::list::Script;
use wire::reader::Reader;
use wire::saved::ChangeFault;

use crate::change::{
    End, read_contract, read_end, read_side, read_why, write_contract, write_end, write_why,
};
use crate::contract::{NoResolver, Resolvers};
use crate::ledger::{ContractId, EntrySum, LedgerSum, Removal, Step};
use crate::onchain::{Seen, Spend};
use crate::points::{read_point, write_maybe_point, write_point};
use crate::state::{Channel, Failing, Known, Local, Negotiating, Ready, Remote, Shutdown, State};

/// All that is saved of a channel, but its beginning.
#[derive(Clone, Debug)]
pub struct Sum {
    state: State,
    ready: Ready,
    waits_since: Option<BlockHeight>,
    ledger: LedgerSum,
    contracts: BTreeMap<ContractId, Known>,
    over: BTreeMap<ContractId, End>,
    local: Local,
    remote: Remote,
    revoked_last: bool,
    seen: Seen,
}

/// Sums are the same if what is saved of them is.
impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        self.encode() == other.encode()
    }
}

impl Eq for Sum {}

impl Channel {
    /// All that was saved of it since its beginning, as one change.
    pub fn sum(&self) -> Sum {
        Sum {
            state: self.state.clone(),
            ready: self.ready,
            waits_since: self.waits_since,
            ledger: self.ledger.sum(),
            contracts: self.contracts.clone(),
            over: self.over.clone(),
            local: self.local.clone(),
            remote: self.remote.clone(),
            revoked_last: self.revoked_last,
            seen: self.seen.clone(),
        }
    }

    /// Becomes what the sum is of.
    pub(crate) fn evolve_sum(&mut self, sum: &Sum) {
        let sum = sum.clone();
        self.state = sum.state;
        self.ready = sum.ready;
        self.waits_since = sum.waits_since;
        let resolvers = self.resolvers.clone();
        let contract = |kind, terms: &[u8]| resolvers.contract(kind, terms);
        self.ledger.become_sum(sum.ledger, |kind, terms| {
            contract(kind, terms).expect("contracts without a resolver are not taken in")
        });
        self.contracts = sum.contracts;
        self.over = sum.over;
        self.local = sum.local;
        self.remote = sum.remote;
        self.revoked_last = sum.revoked_last;
        self.seen = sum.seen;
        self.ended = self.look_at_end();
    }
}

impl Sum {
    /// Whether all of its contracts are of kinds that are known.
    pub(crate) fn judge(&self, resolvers: &Resolvers) -> Result<(), NoResolver> {
        for known in self.contracts.values() {
            resolvers.judge_add(&known.add)?;
        }
        for (_, entry) in &self.ledger.entries {
            resolvers.contract(entry.kind, &entry.terms)?;
        }
        Ok(())
    }

    /// The bytes that are saved.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(1 << 10);
        write_state(&self.state, &mut to);
        to.extend([u8::from(self.ready.local), u8::from(self.ready.remote)]);
        write_maybe(self.ready.local_alias.as_ref(), &mut to);
        write_maybe(self.ready.remote_alias.as_ref(), &mut to);
        write_maybe(self.waits_since.as_ref(), &mut to);
        write_ledger(&self.ledger, &mut to);
        write_count(self.contracts.len(), &mut to);
        for (id, known) in &self.contracts {
            write_contract(*id, &mut to);
            let add = known.add.encode().expect("it crossed the wire, or will");
            write_long(&add, &mut to);
            to.push(u8::from(known.end.is_some()));
            known.end.iter().for_each(|end| write_long_end(end, &mut to));
            to.push(u8::from(known.secret.is_some()));
            known.secret.iter().for_each(|secret| write_long(secret, &mut to));
        }
        write_count(self.over.len(), &mut to);
        for (id, end) in &self.over {
            write_contract(*id, &mut to);
            write_long_end(end, &mut to);
        }
        write_local(&self.local, &mut to);
        write_remote(&self.remote, &mut to);
        to.push(u8::from(self.revoked_last));
        write_seen(&self.seen, &mut to);
        to
    }

    /// Reads what was saved.
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, ChangeFault> {
        Ok(Self {
            state: read_state(from)?,
            ready: Ready {
                local: read_bool(from)?,
                remote: read_bool(from)?,
                local_alias: read_maybe(from)?,
                remote_alias: read_maybe(from)?,
            },
            waits_since: read_maybe(from)?,
            ledger: read_ledger(from)?,
            contracts: read_list(from, |from| Ok((read_contract(from)?, read_known(from)?)))?,
            over: read_list(from, |from| Ok((read_contract(from)?, read_long_end(from)?)))?,
            local: read_local(from)?,
            remote: read_remote(from)?,
            revoked_last: read_bool(from)?,
            seen: read_seen(from)?,
        })
    }
}

fn write_state(state: &State, to: &mut Vec<u8>) {
    match state {
        State::Funding => to.push(0),
        State::Normal => to.push(1),
        State::Shutdown(Shutdown { local, remote }) => {
            to.extend([2, u8::from(*local)]);
            write_maybe(remote.as_ref(), to);
        }
        State::Negotiating(Negotiating { remote, closed }) => {
            to.push(3);
            remote.write(to);
            let closed = closed.as_ref().map(|it| serialize(&**it));
            write_long(&closed.unwrap_or_default(), to);
        }
        State::Failing(Failing { why, is_behind }) => {
            to.extend([4, u8::from(*is_behind)]);
            let mut bytes = Vec::new();
            write_why(why, &mut bytes);
            write_long(&bytes, to);
        }
        State::Done => to.push(5),
    }
}

fn read_state(from: &mut Reader<'_>) -> Result<State, ChangeFault> {
    match *from.array()? {
        [0] => Ok(State::Funding),
        [1] => Ok(State::Normal),
        [2] => Ok(State::Shutdown(Shutdown { local: read_bool(from)?, remote: read_maybe(from)? })),
        [3] => {
            let remote = Script::read(from)?;
            let closed = match read_long(from)? {
                [] => None,
                bytes => Some(Box::new(read_transaction(bytes)?)),
            };
            Ok(State::Negotiating(Negotiating { remote, closed }))
        }
        [4] => {
            let is_behind = read_bool(from)?;
            let mut why = Reader::new(read_long(from)?);
            Ok(State::Failing(Failing { why: read_why(&mut why)?, is_behind }))
        }
        [5] => Ok(State::Done),
        [got] => Err(none("state of a channel", got)),
    }
}

fn write_ledger(ledger: &LedgerSum, to: &mut Vec<u8>) {
    to.extend(ledger.opener.to_be_bytes());
    to.extend(ledger.acceptor.to_be_bytes());
    write_count(ledger.next.len(), to);
    for ((side, kind), id) in &ledger.next {
        to.push(*side as u8);
        to.extend(kind.0.to_be_bytes());
        id.write(to);
    }
    ledger.rate.write(to);
    write_count(ledger.rates.len(), to);
    for (step, rate) in &ledger.rates {
        to.push(*step as u8);
        rate.write(to);
    }
    write_count(ledger.entries.len(), to);
    for (id, entry) in &ledger.entries {
        write_contract(*id, to);
        entry.amount.write(to);
        to.extend(entry.kind.0.to_be_bytes());
        write_long(&entry.terms, to);
        to.push(entry.added as u8);
        to.push(u8::from(entry.removed.is_some()));
        if let Some(Removal { step, paid }) = entry.removed {
            to.extend([step as u8, u8::from(paid)]);
        }
    }
}

fn read_ledger(from: &mut Reader<'_>) -> Result<LedgerSum, ChangeFault> {
    Ok(LedgerSum {
        opener: i128::from_be_bytes(*from.array()?),
        acceptor: i128::from_be_bytes(*from.array()?),
        next: read_list(from, |from| {
            Ok(((read_side(from)?, read_kind(from)?), Field::read(from)?))
        })?,
        rate: Field::read(from)?,
        rates: read_list(from, |from| Ok((read_step(from)?, Field::read(from)?)))?,
        entries: read_list(from, |from| Ok((read_contract(from)?, read_entry(from)?)))?,
    })
}

fn read_kind(from: &mut Reader<'_>) -> Result<Kind, ChangeFault> {
    Ok(Kind(u16::from_be_bytes(*from.array()?)))
}

fn read_entry(from: &mut Reader<'_>) -> Result<EntrySum, ChangeFault> {
    let (amount, kind) = (Field::read(from)?, read_kind(from)?);
    let terms = read_long(from)?.to_vec();
    let added = read_step(from)?;
    let removed = match read_bool(from)? {
        true => Some(Removal { step: read_step(from)?, paid: read_bool(from)? }),
        false => None,
    };
    Ok(EntrySum { amount, kind, terms, added, removed })
}

fn read_step(from: &mut Reader<'_>) -> Result<Step, ChangeFault> {
    let [got] = *from.array()?;
    let all = [Step::Proposed, Step::Committed, Step::Revoked, Step::AckCommitted, Step::Acked];
    all.into_iter().find(|step| *step as u8 == got).ok_or(none("step", got))
}

fn read_known(from: &mut Reader<'_>) -> Result<Known, ChangeFault> {
    let add = Box::new(read_add(read_long(from)?)?);
    let end = if read_bool(from)? { Some(read_long_end(from)?) } else { None };
    let secret = if read_bool(from)? { Some(read_long(from)?.to_vec()) } else { None };
    Ok(Known { add, end, secret })
}

fn read_add(bytes: &[u8]) -> Result<Message, ChangeFault> {
    Message::decode(bytes).map_err(|fault| none("added contract", fault))
}

fn write_long_end(end: &End, to: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    write_end(end, &mut bytes);
    write_long(&bytes, to);
}

fn read_long_end(from: &mut Reader<'_>) -> Result<End, ChangeFault> {
    let mut bytes = Reader::new(read_long(from)?);
    let end = read_end(&mut bytes)?;
    bytes.end()?;
    Ok(end)
}

fn write_local(local: &Local, to: &mut Vec<u8>) {
    local.number.write(to);
    local.points.iter().for_each(|point| write_point(point, to));
    local.given_up.iter().for_each(|point| write_maybe_point(point.as_ref(), to));
    write_signatures(&local.signature, &local.stages, to);
    to.push(u8::from(local.received.is_some()));
    if let Some((signature, stages)) = &local.received {
        write_signatures(signature, stages, to);
    }
}

fn read_local(from: &mut Reader<'_>) -> Result<Local, ChangeFault> {
    let number = CommitmentNumber::read(from)?;
    let points = [read_point(from)?, read_point(from)?];
    let given_up = [read_maybe_point(from)?, read_maybe_point(from)?];
    let (signature, stages) = read_signatures(from)?;
    let received = if read_bool(from)? { Some(read_signatures(from)?) } else { None };
    Ok(Local { number, points, given_up, signature, stages, received })
}

fn write_signatures(signature: &Signature, stages: &[Signature], to: &mut Vec<u8>) {
    signature.write(to);
    write_count(stages.len(), to);
    stages.iter().for_each(|it| it.write(to));
}

fn read_signatures(from: &mut Reader<'_>) -> Result<(Signature, Vec<Signature>), ChangeFault> {
    Ok((Field::read(from)?, read_list(from, |from| Ok(Field::read(from)?))?))
}

fn write_remote(remote: &Remote, to: &mut Vec<u8>) {
    remote.number.write(to);
    write_point(&remote.points.0, to);
    write_maybe_point(remote.points.1.as_ref(), to);
    write_maybe_point(remote.before.as_ref(), to);
    remote.unrevoked.write(to);
    write_count(remote.secrets.kept().len(), to);
    remote.secrets.kept().for_each(|secret| secret.write(to));
}

fn read_remote(from: &mut Reader<'_>) -> Result<Remote, ChangeFault> {
    let number = CommitmentNumber::read(from)?;
    let points = (read_point(from)?, read_maybe_point(from)?);
    let before = read_maybe_point(from)?;
    let unrevoked = CommitmentNumber::read(from)?;
    let kept: Vec<PerCommitmentSecret> = read_list(from, |from| Ok(Field::read(from)?))?;
    let secrets = RevokedSecrets::from_kept(unrevoked, &kept);
    let secrets = secrets.ok_or_else(|| none("list of secrets", kept.len()))?;
    Ok(Remote { number, points, before, unrevoked, secrets })
}

fn write_seen(seen: &Seen, to: &mut Vec<u8>) {
    to.push(u8::from(seen.funding_at().is_some()));
    if let Some((height, position)) = seen.funding_at() {
        height.write(to);
        to.extend(position.to_be_bytes());
    }
    write_count(seen.spends().len(), to);
    for spend in seen.spends().values() {
        spend.height.write(to);
        write_count(spend.input, to);
        write_long(&serialize(&*spend.transaction), to);
    }
}

fn read_seen(from: &mut Reader<'_>) -> Result<Seen, ChangeFault> {
    let funding = match read_bool(from)? {
        true => Some((Field::read(from)?, u32::from_be_bytes(*from.array()?))),
        false => None,
    };
    let mut known: BTreeMap<bitcoin::Txid, Arc<Transaction>> = BTreeMap::new();
    let spends = read_list(from, |from| {
        let height = Field::read(from)?;
        let input = read_count(from)?;
        let transaction = read_transaction(read_long(from)?)?;
        let outpoint = transaction.input.get(input).map(|it| it.previous_output);
        let outpoint = outpoint.ok_or(none("input of a transaction", input))?;
        let txid = transaction.compute_txid();
        let transaction = known.entry(txid).or_insert_with(|| Arc::new(transaction)).clone();
        Ok((outpoint, Spend { height, transaction, input }))
    })?;
    Ok(Seen::of(funding, spends))
}

fn write_maybe<T: Field>(value: Option<&T>, to: &mut Vec<u8>) {
    to.push(u8::from(value.is_some()));
    value.iter().for_each(|value| value.write(to));
}

fn read_maybe<T: Field>(from: &mut Reader<'_>) -> Result<Option<T>, ChangeFault> {
    Ok(if read_bool(from)? { Some(T::read(from)?) } else { None })
}

fn read_maybe_point(from: &mut Reader<'_>) -> Result<Option<Point>, ChangeFault> {
    Ok(if read_bool(from)? { Some(read_point(from)?) } else { None })
}

fn read_bool(from: &mut Reader<'_>) -> Result<bool, ChangeFault> {
    match *from.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [got] => Err(none("yes or no", got)),
    }
}

fn write_long(bytes: &[u8], to: &mut Vec<u8>) {
    write_count(bytes.len(), to);
    to.extend_from_slice(bytes);
}

fn read_long<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], ChangeFault> {
    let len = read_count(from)?;
    Ok(from.take(len)?)
}

fn write_count(count: usize, to: &mut Vec<u8>) {
    to.extend(u32::try_from(count).expect("nothing in a channel is so long").to_be_bytes());
}

fn read_count(from: &mut Reader<'_>) -> Result<usize, ChangeFault> {
    Ok(usize::try_from(u32::from_be_bytes(*from.array()?)).unwrap_or(usize::MAX))
}

/// As many as are there: a list that says it has more has none of them, and is refused.
fn read_list<T, L: FromIterator<T>>(
    from: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, ChangeFault>,
) -> Result<L, ChangeFault> {
    let count = read_count(from)?;
    (0..count).map(|_| read(from)).collect()
}

fn read_transaction(bytes: &[u8]) -> Result<Transaction, ChangeFault> {
    deserialize(bytes).map_err(|fault| none("transaction", fault))
}

fn none(what: &'static str, got: impl ToString) -> ChangeFault {
    ChangeFault::Meaningless { what, got: got.to_string() }
}
