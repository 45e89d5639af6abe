//! Taking money on chain: what one side can take of a channel's outputs without the other.
//!
//! A [`Claim`] says what is taken by its meaning; [`Claim::lock`] is what locks it and what opens
//! it. [`Sweep`] takes several of them at once, [`Stages`] second stages, and both leave an
//! [`Unsigned`] transaction, which tells the digests, the keys and its weight.

mod fault;
mod lock;
mod stages;
mod sweep;
mod unsigned;

use std::collections::BTreeMap;

use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxOut, WPubkeyHash, hashes::Hash as _};
use wire::amount::{LockTime, Sat};
use wire::id::CommitmentNumber;
use wire::key::Point;

use crate::{
    Commitment, CommitmentKeys, ContractKeys, Form, Item, Meaning, Place, Placed, Purpose, Side,
    Terms, Way, Who, script,
};

pub use fault::ClaimFault;
pub use lock::{Coin, Lock, Opening, SigningKey};
pub use stages::{Staged, Stages};
pub use sweep::Sweep;
pub use unsigned::{CLAIM_INPUTS_MAX, InputSignature, SWEEP_WEIGHT_MAX, Unsigned};

/// One output that `claimer` can take alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it holds.
    pub value: Sat,
    /// Who takes it.
    pub claimer: Side,
    /// What it is.
    pub what: Claimed,
}

/// Which commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Its number.
    pub number: CommitmentNumber,
    /// `per_commitment_point` of its owner.
    pub point: Point,
}

/// What a [`Claim`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Of the claimer's own commitment: `to_local`, or what a second stage of it pays, after the
    /// delay.
    Delayed(At),
    /// Of any commitment of the other: `to_remote`.
    ToRemote,
    /// The claimer's anchor, of anybody's commitment.
    Anchor,
    /// Of the other's commitment: a contract, by its secret or after its lock time.
    Contract {
        /// The commitment.
        at: At,
        /// The contract.
        placed: Placed,
        /// What opens it. Nothing: the claimer waits for the lock time.
        secret: Option<Vec<u8>>,
    },
    /// Of the claimer's own commitment: a contract that it takes without a second stage.
    OwnContract {
        /// The commitment.
        at: At,
        /// The contract.
        placed: Placed,
        /// What opens it. Nothing: the claimer waits for the lock time.
        secret: Option<Vec<u8>>,
    },
    /// Of a revoked commitment of the other: `to_local`, or what a second stage of it pays.
    RevokedDelayed(At),
    /// Of a revoked commitment of the other: a contract.
    RevokedContract {
        /// The commitment.
        at: At,
        /// The contract.
        placed: Placed,
    },
}

impl Claim {
    /// What locks it and what opens it; nothing if its claimer cannot take it alone.
    pub fn lock(&self, terms: &Terms) -> Result<Lock, ClaimFault> {
        self.lock_with(&mut Derived::new(terms))
    }

    /// The same, with the keys of commitments that others are claimed of.
    fn lock_with(&self, derived: &mut Derived<'_>) -> Result<Lock, ClaimFault> {
        let terms = derived.terms;
        if self.outpoint == terms.funding.outpoint {
            return Err(ClaimFault::Funding { outpoint: self.outpoint });
        }
        let (own, other) = (terms.party(self.claimer), self.claimer.other());
        Ok(match &self.what {
            Claimed::Delayed(at) => {
                let keys = derived.keys(self.claimer, at);
                let opening = vec![Opening::Ours, Opening::Bytes(Vec::new())];
                let delay = Sequence::from_height(own.delay.0);
                let key = (SigningKey::Delayed(*at), keys.delayed);
                self.scripted(script::revocable(&keys, own.delay), delay, key, opening)
            }
            Claimed::ToRemote => self.to_remote(terms.form, own.keys.payment),
            Claimed::Anchor => {
                let key = (SigningKey::Funding, own.funding_key);
                self.scripted(script::anchor(&key.1), ANY_TIME, key, vec![Opening::Ours])
            }
            Claimed::RevokedDelayed(at) => {
                let keys = derived.keys(other, at);
                let opening = vec![Opening::Ours, Opening::Bytes(vec![1])];
                let key = (SigningKey::Revocation(*at), keys.revocation);
                let script = script::revocable(&keys, terms.party(other).delay);
                self.scripted(script, ANY_TIME, key, opening)
            }
            Claimed::Contract { at, placed, secret } => {
                self.contract(derived, (at, placed), Who::Other, secret.as_deref())?
            }
            Claimed::OwnContract { at, placed, secret } => {
                self.contract(derived, (at, placed), Who::Owner, secret.as_deref())?
            }
            Claimed::RevokedContract { at, placed } => {
                self.contract(derived, (at, placed), Who::Punisher, None)?
            }
        })
    }

    fn scripted(
        &self,
        script: ScriptBuf,
        sequence: Sequence,
        (key, public): (SigningKey, Point),
        mut opening: Vec<Opening>,
    ) -> Lock {
        opening.push(Opening::Bytes(script.to_bytes()));
        let pays_to = script.to_p2wsh();
        let spent = TxOut { value: Amount::from_sat(self.value.0), script_pubkey: pays_to };
        let (outpoint, lock_time) = (self.outpoint, LockTime(0));
        Lock { outpoint, spent, code: script, sequence, lock_time, key, public, opening }
    }

    fn to_remote(&self, form: Form, payment: Point) -> Lock {
        let key = (SigningKey::Payment, payment);
        match script::to_remote(form, &payment) {
            (_, Some(script)) => {
                self.scripted(script, Sequence(form.sequence()), key, vec![Opening::Ours])
            }
            (pays_to, None) => Lock {
                outpoint: self.outpoint,
                spent: TxOut { value: Amount::from_sat(self.value.0), script_pubkey: pays_to },
                code: ScriptBuf::new_p2pkh(&pubkey_hash(&payment)),
                sequence: ANY_TIME,
                lock_time: LockTime(0),
                key: key.0,
                public: payment,
                opening: vec![Opening::Ours, Opening::Bytes(payment.bytes().to_vec())],
            },
        }
    }

    /// The way of `who` with this secret, or without one.
    fn contract(
        &self,
        derived: &mut Derived<'_>,
        (at, placed): (&At, &Placed),
        who: Who,
        secret: Option<&[u8]>,
    ) -> Result<Lock, ClaimFault> {
        let form = derived.terms.form;
        let owner = if who == Who::Owner { self.claimer } else { self.claimer.other() };
        let keys = derived.of_contracts(owner, at);
        let place = Place { form, direction: placed.direction(owner), keys: &keys };
        let (item, key) = match who {
            Who::Punisher => {
                (Item::RevocationSignature, (SigningKey::Revocation(*at), keys.revocation))
            }
            Who::Other => (Item::OtherSignature, (SigningKey::Contract(*at), keys.other)),
            Who::Owner => (Item::OwnerSignature, (SigningKey::Contract(*at), keys.owner)),
        };
        let ways = placed.contract.ways(&place).into_iter();
        let mut ways = ways.filter(|it| it.who == who && !it.staged);
        let found = ways.find_map(|way| Some((opening(&way, &item, placed, secret)?, way)));
        let (kind, has_secret) = (placed.contract.kind(), secret.is_some());
        let (opening, way) = found.ok_or(ClaimFault::NoWay { kind, has_secret })?;
        let script = placed.contract.script(&place);
        let lock = self.scripted(script, way.sequence, key, opening);
        Ok(Lock { lock_time: way.lock_time, ..lock })
    }
}

/// Keys of commitments, each derived once.
struct Derived<'a> {
    terms: &'a Terms,
    keys: BTreeMap<(Side, [u8; 33]), (CommitmentKeys, Option<ContractKeys>)>,
}

/// The locks of many claims: keys that they have in common are derived once.
pub struct Locks<'a>(Derived<'a>);

impl<'a> Locks<'a> {
    /// Of a channel with these terms.
    pub const fn new(terms: &'a Terms) -> Self {
        Self(Derived::new(terms))
    }

    /// The same, and those of one commitment are derived already.
    pub fn knowing(terms: &'a Terms, meaning: &Meaning, built: &Commitment) -> Self {
        Self(Derived::knowing(terms, meaning, built))
    }

    /// As [`Claim::lock`].
    pub fn of(&mut self, claim: &Claim) -> Result<Lock, ClaimFault> {
        claim.lock_with(&mut self.0)
    }
}

impl<'a> Derived<'a> {
    const fn new(terms: &'a Terms) -> Self {
        Self { terms, keys: BTreeMap::new() }
    }

    fn knowing(terms: &'a Terms, meaning: &Meaning, built: &Commitment) -> Self {
        let of = (meaning.owner, meaning.point.bytes());
        Self { terms, keys: BTreeMap::from([(of, (built.keys, built.contract_keys))]) }
    }

    fn of(&mut self, owner: Side, at: &At) -> &mut (CommitmentKeys, Option<ContractKeys>) {
        let keys = || (CommitmentKeys::new(self.terms, owner, &at.point), None);
        self.keys.entry((owner, at.point.bytes())).or_insert_with(keys)
    }

    fn keys(&mut self, owner: Side, at: &At) -> CommitmentKeys {
        self.of(owner, at).0
    }

    fn of_contracts(&mut self, owner: Side, at: &At) -> ContractKeys {
        let terms = self.terms;
        let (keys, of_contracts) = self.of(owner, at);
        *of_contracts.get_or_insert_with(|| keys.of_contracts(terms, owner, &at.point))
    }
}

/// An input that waits for nothing, may be replaced, and lets the lock time count.
const ANY_TIME: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;

fn pubkey_hash(key: &Point) -> bitcoin::PubkeyHash {
    bitcoin::PubkeyHash::from_byte_array(WPubkeyHash::hash(&key.bytes()).to_byte_array())
}

/// What opens a way for whoever signs for `ours`; nothing if it takes more, or another secret.
fn opening(way: &Way, ours: &Item, placed: &Placed, secret: Option<&[u8]>) -> Option<Vec<Opening>> {
    let secret = secret.filter(|it| placed.contract.is_opened_by(it));
    if way.wants_secret() != secret.is_some() {
        return None;
    }
    let one = |item: &Item| match item {
        Item::Secret(_) => secret.map(|it| Opening::Bytes(it.to_vec())),
        Item::Bytes(bytes) => Some(Opening::Bytes(bytes.clone())),
        Item::OwnerSignature | Item::OtherSignature | Item::RevocationSignature => {
            (item == ours).then_some(Opening::Ours)
        }
    };
    way.witness.iter().map(one).collect()
}

impl Commitment {
    /// All that `claimer` can take of it alone, in the order of its outputs. Contracts are left out
    /// that need a secret which is not among `secrets`; `is_revoked` takes them by punishment.
    /// Second stages are apart.
    pub fn claims(
        &self,
        terms: &Terms,
        meaning: &Meaning,
        who: (Side, bool),
        secrets: &[Vec<u8>],
    ) -> Vec<Claim> {
        // A secret that is known does not open our own payment to us.
        self.claims_by(terms, meaning, who, |index| {
            let is_opened = |it: &&Vec<u8>| meaning.contracts[index].contract.is_opened_by(it);
            let secret = secrets.iter().find(is_opened).cloned();
            secret.map(Some).into_iter().chain([None])
        })
    }

    /// The same, with `secrets` that say of each contract, by its place in [`Meaning::contracts`],
    /// with which secret it is taken, or with none. The first that opens it is taken.
    pub fn claims_by<I: IntoIterator<Item = Option<Vec<u8>>>>(
        &self,
        terms: &Terms,
        meaning: &Meaning,
        (claimer, is_revoked): (Side, bool),
        mut secrets: impl FnMut(usize) -> I,
    ) -> Vec<Claim> {
        let txid = self.transaction.compute_txid();
        let at = At { number: meaning.number, point: meaning.point };
        let is_owner = claimer == meaning.owner;
        let mut derived = Derived::knowing(terms, meaning, self);
        let claim = |(vout, output): (u32, &crate::Output)| {
            let outpoint = OutPoint { txid, vout };
            let of = |what| Claim { outpoint, value: output.value, claimer, what };
            let what = match output.purpose {
                Purpose::ToLocal if is_owner => Claimed::Delayed(at),
                Purpose::ToLocal if is_revoked => Claimed::RevokedDelayed(at),
                Purpose::ToRemote if !is_owner => Claimed::ToRemote,
                Purpose::Anchor(side) if side == claimer => Claimed::Anchor,
                Purpose::Contract { index, .. } if !is_owner && is_revoked => {
                    let placed = meaning.contracts[index].clone();
                    Claimed::RevokedContract { at, placed }
                }
                Purpose::Contract { index, .. } => {
                    let placed = meaning.contracts[index].clone();
                    let with = |secret| match is_owner {
                        true => Claimed::OwnContract { at, placed: placed.clone(), secret },
                        false => Claimed::Contract { at, placed: placed.clone(), secret },
                    };
                    let mut ways = secrets(index).into_iter().map(|secret| of(with(secret)));
                    return ways.find(|it| it.lock_with(&mut derived).is_ok());
                }
                Purpose::ToLocal | Purpose::ToRemote | Purpose::Anchor(_) => return None,
            };
            let claim = of(what);
            claim.lock_with(&mut derived).is_ok().then_some(claim)
        };
        (0..).zip(&self.outputs).filter_map(claim).collect()
    }
}
