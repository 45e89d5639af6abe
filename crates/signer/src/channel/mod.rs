//! The keys of channels, and what a signer remembers of each.
//!
//! Questions that move a channel forward are *ratchets*: keyed by the channel, what is asked and
//! the number of the commitment. The same transactions again get the same answer, others for the
//! same number are refused as an alarm. What changes is saved before the answer is given
//! ([`Channels::decide`] says it, [`Channels::evolve`] does it, live and after a restart).
//!
//! A signer never believes a transaction: it builds each from its meaning. It verifies what the
//! peer has signed before it gives up the commitment before.

mod api;
mod day;
mod end;
mod journal;
mod judge;
mod keys;
mod limits;
mod memory;
mod saved;
pub(crate) mod topic;

use std::collections::BTreeMap;

use bitcoin::{Amount, Transaction, TxOut};
use secp256k1::{Message, SECP256K1, SecretKey};
use tx::{
    Commitment, CommitmentKeys, CommitmentSeed, ContractKeys, Meaning, NearSeed, Placed,
    SecretIndex, Templates, derived_secret_of, revocation_key_of_base, revocation_key_of_secret,
};
use wire::id::{ChannelKey, CommitmentNumber, PerCommitmentSecret};
use wire::key::{Point, Signature};
use wire::lease::LeaseEpoch;

pub use api::{ChannelAnswer, ChannelAsk, ChannelOp, ChannelRefusal, SetUp, ShownKeys};
pub use day::Spent;
pub use end::{
    CLAIM_FEE_PERCENT_MAX, CLOSE_FEE_PERCENT_MAX, END_FEE_FLOOR_SAT, EndFlaw, Money,
    RACED_FEE_PERCENT_MAX, SignClaims, SignClose, SignStages,
};
pub use journal::{CHANNELS_VERSION, ChannelsFault, RestoredChannels};
pub use judge::{
    COMMITMENT_RATE_MAX, COMMITMENT_RATE_MIN, CONTRACTS_MAX, DELAY_MAX, DUST_SAT_MAX, DUST_SAT_MIN,
    PEER_DELAY_MIN,
};
pub use keys::{ChannelKeys, PAYMENT_KEYS};
pub use limits::{
    ChannelLimits, DAY_MSAT_MAX, EXPIRY_BLOCKS_MAX, HEADER_AGE_SECONDS_MAX, IN_FLIGHT_MSAT_MAX,
    PUSH_PERCENT_MAX, Seen,
};
pub use memory::ChannelChange;

use api::ChannelRefusal as No;
use day::Day;
use keys::Use;
use limits::Rules;
use memory::{Agreed, Memory};

/// Channels of one signer.
pub const CHANNELS_MAX: usize = 100_000;

/// So many changes may wait until another one is saved.
const LATE_MAX: usize = 1_000;

/// All channels of one node, as its signer knows them.
pub struct Channels {
    keys: ChannelKeys,
    templates: Templates,
    /// Whoever has had the channels last.
    lease: LeaseEpoch,
    memory: BTreeMap<ChannelKey, Memory>,
    day: Day,
    /// Changes that wait until another one is saved, as [`journal`] has them.
    late: Vec<Vec<u8>>,
}

/// What a question leads to: the change, which is saved before the answer leaves.
pub type Decided = (Option<ChannelChange>, ChannelAnswer);

impl Channels {
    /// A signer's channels, before any was saved. Contracts without a template are refused.
    pub const fn new(keys: ChannelKeys, templates: Templates) -> Self {
        Self {
            keys,
            templates,
            lease: LeaseEpoch(0),
            memory: BTreeMap::new(),
            day: Day { hours: BTreeMap::new() },
            late: Vec::new(),
        }
    }

    /// The same, with contracts of BOLT 3 only.
    pub fn bolt3(keys: ChannelKeys) -> Self {
        Self::new(keys, Templates::bolt3())
    }

    /// How it reads contracts.
    pub const fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Of whoever has these channels: nobody else's questions are answered.
    pub const fn lease(&self) -> LeaseEpoch {
        self.lease
    }

    /// Somebody takes them over, and it is saved.
    pub fn take_lease(&mut self, epoch: LeaseEpoch) {
        self.late.clear();
        self.lease = epoch;
    }

    /// Judges a question, and answers it. Nothing has changed before [`Channels::evolve`]. What
    /// pays to a wallet is refused: there is none.
    pub fn decide(&self, ask: &ChannelAsk) -> Result<Decided, No> {
        self.decided(ask, None, None)
    }

    /// The same, with the wallet of the same signer, the rules of its owner, and what it sees of
    /// the world.
    pub fn decide_with(
        &self,
        ask: &ChannelAsk,
        money: &Money<'_>,
        seen: &Seen,
    ) -> Result<Decided, No> {
        self.decided(ask, Some(money), Some(seen))
    }

    fn decided(
        &self,
        ask: &ChannelAsk,
        money: Option<&Money<'_>>,
        seen: Option<&Seen>,
    ) -> Result<Decided, No> {
        let limits = money.map(|it| &it.policy.channels);
        let rules = Rules { limits, seen, day: &self.day };
        let (channel, money) = (&ask.channel, money.ok_or(No::End(EndFlaw::NoWallet)));
        match &ask.op {
            ChannelOp::Keys => Ok((None, self.shown(channel))),
            ChannelOp::SetUp(setup) => self.set_up(channel, setup, rules),
            ChannelOp::SignRemote { meaning, secrets } => {
                self.sign_remote(channel, (&self.read(meaning)?, secrets), rules)
            }
            ChannelOp::Advance { meaning, secrets, signature, stages } => {
                let meaning = &self.read(meaning)?;
                self.advance(channel, (meaning, secrets), (signature, stages), rules)
            }
            ChannelOp::Revoked { number, secret } => self.revoked(channel, *number, secret),
            ChannelOp::CheckSecret { number, secret } => {
                let at = index(*number).ok_or(No::WrongPoint { number: *number })?;
                let is_ours = self.keys.seed(channel).secret(at) == *secret;
                Ok((None, ChannelAnswer::Checked { is_ours }))
            }
            ChannelOp::SignLocal { meaning } => self.sign_local(channel, &self.read(meaning)?),
            ChannelOp::SignClose(close) => self.sign_close(channel, close, money?),
            ChannelOp::SignClaims(claims) => self.sign_claims(channel, claims, money?),
            ChannelOp::SignStages(stages) => self.sign_stages(channel, stages, money?),
        }
    }

    /// The same meaning, with contracts as our own templates read them: whoever asks may mean
    /// something else by the same terms.
    fn read(&self, meaning: &Meaning) -> Result<Meaning, No> {
        let contracts = meaning.contracts.iter().map(|it| self.read_placed(it));
        Ok(Meaning { contracts: contracts.collect::<Result<_, _>>()?, ..*meaning })
    }

    fn read_placed(&self, placed: &Placed) -> Result<Placed, No> {
        let contract = &placed.contract;
        let contract = self.templates.read(contract.kind(), &contract.terms());
        Ok(Placed { contract: contract.map_err(No::Contract)?, ..*placed })
    }

    /// Whether this has to be on the disk before it is taken in and answered.
    pub fn has_to_be_saved(&self, change: &ChannelChange) -> bool {
        !change.can_wait() || self.late.len() >= LATE_MAX
    }

    /// Takes a change in: one that was just decided, and is saved if it has to be.
    pub fn evolve(&mut self, channel: ChannelKey, change: &ChannelChange) {
        match self.has_to_be_saved(change) {
            true => self.late.clear(),
            false => self.late.push(self.encode_one(&channel, change)),
        }
        self.fold(channel, change);
    }

    fn fold(&mut self, channel: ChannelKey, change: &ChannelChange) {
        if let ChannelChange::SignedRemote { spent, .. } | ChannelChange::Advanced { spent, .. } =
            change
        {
            self.day.count(spent);
        }
        match change {
            ChannelChange::SetUp(setup) => {
                self.memory.insert(channel, Memory::new((**setup).clone()));
            }
            ChannelChange::SignedRemote { .. }
            | ChannelChange::Advanced { .. }
            | ChannelChange::Revoked { .. }
            | ChannelChange::Closing
            | ChannelChange::Shut => {
                let memory = self.memory.get_mut(&channel);
                memory.expect("a channel begins with its terms").evolve(change);
            }
        }
    }

    /// The outputs of a transaction that fund channels of ours, and whether the peer has signed the
    /// first commitment for us.
    pub(crate) fn funded_by(&self, transaction: &Transaction) -> BTreeMap<usize, bool> {
        let txid = transaction.compute_txid();
        let is_it = |it: &&Memory| it.setup.terms.funding.outpoint.txid == txid;
        let mut fundings = BTreeMap::new();
        for memory in self.memory.values().filter(is_it) {
            let terms = &memory.setup.terms;
            let output = usize::try_from(terms.funding.outpoint.vout).unwrap_or(usize::MAX);
            let want = TxOut {
                value: Amount::from_sat(terms.funding.value.0),
                script_pubkey: tx::funding(terms).to_p2wsh(),
            };
            let is_paid = transaction.output.get(output) == Some(&want);
            fundings.insert(output, is_paid && memory.local.is_some());
        }
        fundings
    }

    fn shown(&self, channel: &ChannelKey) -> ChannelAnswer {
        let seed = self.keys.seed(channel);
        let point = |number| seed.point(index(CommitmentNumber(number)).expect("there are more"));
        ChannelAnswer::Keys(Box::new(ShownKeys {
            funding_key: self.keys.point(channel, Use::Funding),
            basepoints: self.keys.basepoints(channel),
            points: [point(0), point(1)],
        }))
    }

    fn set_up(&self, channel: &ChannelKey, setup: &SetUp, rules: Rules<'_>) -> Result<Decided, No> {
        match self.memory.get(channel) {
            Some(memory) if memory.setup == *setup => return Ok((None, ChannelAnswer::Done)),
            Some(_) => return Err(No::AlreadySetUp),
            None if self.memory.len() >= CHANNELS_MAX => {
                return Err(No::TooMany { max: CHANNELS_MAX });
            }
            None => setup.judge(rules)?,
        }
        let ours = setup.terms.party(setup.side);
        let funding_key = self.keys.point(channel, Use::Funding);
        if ours.funding_key != funding_key || ours.keys != self.keys.basepoints(channel) {
            return Err(No::ForeignKeys);
        }
        Ok((Some(ChannelChange::SetUp(Box::new(setup.clone()))), ChannelAnswer::Done))
    }

    fn sign_remote(
        &self,
        channel: &ChannelKey,
        (meaning, secrets): (&Meaning, &[Vec<u8>]),
        rules: Rules<'_>,
    ) -> Result<Decided, No> {
        let memory = self.known(channel)?;
        let peer = memory.setup.side.other();
        if meaning.owner != peer {
            return Err(No::WrongOwner { want: peer });
        }
        let (is_new, unrevoked) = (is_next(memory.remote.as_ref(), meaning), memory.secrets.next());
        let newest = memory.remote.as_ref().map(|it| it.meaning.number);
        let out_of_turn = No::OutOfTurn { number: meaning.number, newest, unrevoked };
        let mut spent = Spent::default();
        if is_new {
            if meaning.number.0 > unrevoked.0.saturating_add(1) {
                return Err(out_of_turn);
            }
            memory.judge_open()?;
            spent = memory.judge(meaning, secrets, rules)?;
        } else if newest != Some(meaning.number) {
            return Err(out_of_turn);
        }
        let built = self.build_remote(channel, memory, meaning);
        let txid = same(memory.remote.as_ref().filter(|_| !is_new), meaning, &built)?;
        if is_new {
            judge::pays(meaning, &memory.setup.terms, &built)?;
        }
        let answer = self.remote_signatures(channel, memory, meaning, &built);
        let meaning = Box::new(meaning.clone());
        let change = ChannelChange::SignedRemote { meaning, txid, spent };
        Ok((is_new.then_some(change), answer))
    }

    /// The peer's commitment: of its revocation key we have the base.
    fn build_remote(&self, channel: &ChannelKey, memory: &Memory, meaning: &Meaning) -> Commitment {
        let (terms, side) = (&memory.setup.terms, memory.setup.side);
        let basepoint = &terms.party(side).keys.revocation;
        let mut base = self.keys.secret(channel, Use::Revocation);
        let revocation = revocation_key_of_base(basepoint, &base, &meaning.point);
        base.non_secure_erase();
        let (owner, point) = (meaning.owner, &meaning.point);
        let keys = CommitmentKeys::with_revocation(terms, owner, point, revocation);
        meaning.build_with(terms, keys)
    }

    fn remote_signatures(
        &self,
        channel: &ChannelKey,
        memory: &Memory,
        meaning: &Meaning,
        built: &Commitment,
    ) -> ChannelAnswer {
        let terms = &memory.setup.terms;
        let mut funding = self.keys.secret(channel, Use::Funding);
        let signature = sign(built.digest(terms), &funding);
        funding.non_secure_erase();
        let mut stages = built.second_stages(terms, meaning).peekable();
        if stages.peek().is_none() {
            return ChannelAnswer::RemoteSigned { signature, stages: Vec::new() };
        }
        let mut base = self.keys.secret(channel, Use::Htlc);
        let basepoint = &terms.party(memory.setup.side).keys.htlc;
        let mut htlc = derived_secret_of(&base, basepoint, &meaning.point);
        let stages = stages.map(|it| sign(it.digest(it.other_sighash), &htlc)).collect();
        base.non_secure_erase();
        htlc.non_secure_erase();
        ChannelAnswer::RemoteSigned { signature, stages }
    }

    fn advance(
        &self,
        channel: &ChannelKey,
        (meaning, secrets): (&Meaning, &[Vec<u8>]),
        (signature, stages): (&Signature, &[Signature]),
        rules: Rules<'_>,
    ) -> Result<Decided, No> {
        let memory = self.known(channel)?;
        let seed = self.keys.seed(channel);
        let is_new = is_next(memory.local.as_ref(), meaning);
        let newest = memory.local.as_ref().map(|it| it.meaning.number);
        let number = meaning.number;
        if !is_new && newest != Some(number) {
            return Err(No::OutOfTurn { number, newest, unrevoked: newest.unwrap_or_default() });
        }
        let seed = near(&seed, meaning)?;
        let keys = own(memory, &seed, meaning)?;
        let mut spent = Spent::default();
        if is_new {
            memory.judge_open()?;
            spent = memory.judge(meaning, secrets, rules)?;
        }
        let built = meaning.build_with(&memory.setup.terms, keys);
        let txid = same(memory.local.as_ref().filter(|_| !is_new), meaning, &built)?;
        if is_new {
            verify(memory, meaning, &built, (signature, stages))?;
        }
        let revoked = number.0.checked_sub(1).map(CommitmentNumber);
        let secret = revoked.and_then(index).map(|at| seed.secret(at));
        let following = index(CommitmentNumber(number.0 + 1));
        let unrevoked = number;
        let next = following.ok_or(No::OutOfTurn { number, newest, unrevoked })?;
        let next = seed.point(next);
        let answer = ChannelAnswer::Advanced { secret, next };
        let meaning = Box::new(meaning.clone());
        let change = ChannelChange::Advanced { meaning, txid, next: Some(next), spent };
        Ok((is_new.then_some(change), answer))
    }

    fn revoked(
        &self,
        channel: &ChannelKey,
        number: CommitmentNumber,
        secret: &PerCommitmentSecret,
    ) -> Result<Decided, No> {
        let memory = self.known(channel)?;
        if let Some(known) = memory.secrets.secret(number) {
            let same = known == *secret;
            return same.then_some((None, ChannelAnswer::Done)).ok_or(No::WrongSecret { number });
        }
        let newest = memory.remote.as_ref().map(|it| it.meaning.number);
        if newest.is_none_or(|newest| number >= newest) {
            return Err(No::OutOfTurn { number, newest, unrevoked: memory.secrets.next() });
        }
        let point = memory.points.iter().flatten().find(|(of, _)| *of == number);
        let key = SecretKey::from_slice(&secret.0).map_err(|_| No::WrongSecret { number })?;
        let shown: Point = key.public_key(SECP256K1).into();
        if point.is_none_or(|(_, point)| *point != shown) {
            return Err(No::WrongSecret { number });
        }
        memory.secrets.clone().insert(number, secret).map_err(No::Secret)?;
        Ok((Some(ChannelChange::Revoked { number, secret: *secret }), ChannelAnswer::Done))
    }

    fn sign_local(&self, channel: &ChannelKey, meaning: &Meaning) -> Result<Decided, No> {
        let memory = self.known(channel)?;
        let newest = memory.local.as_ref().map(|it| it.meaning.number);
        let number = meaning.number;
        if newest != Some(number) {
            return Err(No::OutOfTurn { number, newest, unrevoked: newest.unwrap_or_default() });
        }
        let seed = self.keys.seed(channel);
        let keys = own(memory, &near(&seed, meaning)?, meaning)?;
        let built = meaning.build_with(&memory.setup.terms, keys);
        same(memory.local.as_ref(), meaning, &built)?;
        let mut funding = self.keys.secret(channel, Use::Funding);
        let signature = sign(built.digest(&memory.setup.terms), &funding);
        funding.non_secure_erase();
        let change = (!memory.closing).then_some(ChannelChange::Closing);
        Ok((change, ChannelAnswer::LocalSigned { signature }))
    }

    fn known(&self, channel: &ChannelKey) -> Result<&Memory, No> {
        self.memory.get(channel).ok_or(No::Unknown)
    }
}

/// Whether a commitment is the one after the newest.
fn is_next(newest: Option<&Agreed>, meaning: &Meaning) -> bool {
    meaning.number.0 == newest.map_or(0, |it| it.meaning.number.0.saturating_add(1))
}

/// The secrets of this commitment and of those beside it.
fn near<'a>(seed: &'a CommitmentSeed, meaning: &Meaning) -> Result<NearSeed<'a>, No> {
    let number = meaning.number;
    Ok(seed.near(index(number).ok_or(No::WrongPoint { number })?))
}

/// The keys of our own commitment, if it is that, with our point: of its revocation key we have the
/// secret of the commitment.
fn own(memory: &Memory, seed: &NearSeed<'_>, meaning: &Meaning) -> Result<CommitmentKeys, No> {
    let (want, number, terms) = (memory.setup.side, meaning.number, &memory.setup.terms);
    if meaning.owner != want {
        return Err(No::WrongOwner { want });
    }
    let at = index(number).ok_or(No::WrongPoint { number })?;
    let secret = seed.secret(at);
    let mut secret = SecretKey::from_slice(&secret.0).expect("nobody finds such a hash");
    let (point, basepoint) = (meaning.point, &terms.party(want.other()).keys.revocation);
    // After the newest one it was told, and not long ago.
    let told = memory.next_point.filter(|_| is_next(memory.local.as_ref(), meaning));
    let is_ours = point == told.unwrap_or_else(|| secret.public_key(SECP256K1).into());
    let keys = is_ours.then(|| {
        let revocation = revocation_key_of_secret(basepoint, &point, &secret);
        CommitmentKeys::with_revocation(terms, want, &point, revocation)
    });
    secret.non_secure_erase();
    keys.ok_or(No::WrongPoint { number })
}

/// What was agreed on for a number stays.
fn same(
    agreed: Option<&Agreed>,
    meaning: &Meaning,
    built: &Commitment,
) -> Result<bitcoin::Txid, No> {
    let txid = built.transaction.compute_txid();
    match agreed {
        Some(agreed) if !agreed.is(txid, meaning.feerate) => {
            Err(No::Otherwise { number: meaning.number, got: txid, have: agreed.txid })
        }
        Some(_) | None => Ok(txid),
    }
}

/// What the peer has signed is what it has to sign.
fn verify(
    memory: &Memory,
    meaning: &Meaning,
    built: &Commitment,
    (signature, stages): (&Signature, &[Signature]),
) -> Result<(), No> {
    let (terms, number) = (&memory.setup.terms, meaning.number);
    judge::pays(meaning, terms, built)?;
    let peer = terms.party(memory.setup.side.other());
    if !is_signed(built.digest(terms), signature, &peer.funding_key) {
        return Err(No::BadSignature { number, stage: None });
    }
    let wanted: Vec<_> = built.second_stages(terms, meaning).collect();
    if wanted.len() != stages.len() {
        return Err(No::StageCount { got: stages.len(), want: wanted.len() });
    }
    let Some(ContractKeys { other, .. }) = built.contract_keys else { return Ok(()) };
    for (at, (stage, signature)) in wanted.iter().zip(stages).enumerate() {
        if !is_signed(stage.digest(stage.other_sighash), signature, &other) {
            return Err(No::BadSignature { number, stage: Some(at) });
        }
    }
    Ok(())
}

/// A signature with a high s is none: nobody would relay it (BOLT 2, LOW-S).
fn is_signed(digest: [u8; 32], signature: &Signature, key: &Point) -> bool {
    SECP256K1.verify_ecdsa(&Message::from_digest(digest), &signature.ecdsa(), key.key()).is_ok()
}

fn sign(digest: [u8; 32], key: &SecretKey) -> Signature {
    SECP256K1.sign_ecdsa(&Message::from_digest(digest), key).into()
}

fn index(number: CommitmentNumber) -> Option<SecretIndex> {
    SecretIndex::of(number)
}
