//! Second stages of one's own commitment, with coins that pay for them where they pay nothing.

use bitcoin::{Amount, ScriptBuf, TxOut, ecdsa};
use wire::amount::{LockTime, Sat};
use wire::key::Signature;

use super::unsigned::{count, sum};
use super::{At, ClaimFault, Coin, Lock, Opening, SigningKey, Unsigned};
use crate::{Commitment, Form, Item, Meaning, Place, SecondStage, Terms, Who};

/// One second stage and what completes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Which of [`Meaning::contracts`].
    pub contract: usize,
    /// The peer's signature.
    pub signature: Signature,
    /// What opens the contract, if that is how it is taken.
    pub secret: Option<Vec<u8>>,
}

/// Second stages of one commitment in one transaction: its inputs are theirs and then coins, its
/// outputs theirs and then change, because the peer has signed each input with the output at the
/// same place. Without anchors each stands alone and pays what was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages {
    /// The second stages: all of the same lock time, which the peer has signed as well.
    pub stages: Vec<Staged>,
    /// What pays for them.
    pub coins: Vec<Coin>,
    /// Who gets what is left of the coins. Nobody: the fee is all of them.
    pub change: Option<ScriptBuf>,
    /// What it costs.
    pub fee: Sat,
}

impl Stages {
    /// Builds it, for a commitment and its meaning.
    pub fn build(
        &self,
        terms: &Terms,
        meaning: &Meaning,
        built: &Commitment,
    ) -> Result<Unsigned, ClaimFault> {
        count(self.stages.len(), self.coins.len())?;
        let all: Vec<_> = built.second_stages(terms, meaning).collect();
        let mut locks = Vec::with_capacity(self.stages.len());
        let mut output = Vec::with_capacity(self.stages.len() + 1);
        let mut lock_time = None;
        for staged in &self.stages {
            let stage = all.iter().find(|it| it.contract == staged.contract);
            let (contract, of) = (staged.contract, meaning.contracts.len());
            let stage = stage.ok_or(ClaimFault::NoStage { contract, of })?;
            let got = LockTime(stage.transaction.lock_time.to_consensus_u32());
            let want = *lock_time.get_or_insert(got);
            if got != want {
                return Err(ClaimFault::LockTimes { got, want });
            }
            locks.push(staged.lock(terms, meaning, built, stage)?);
            output.push(stage.transaction.output[0].clone());
        }
        let spent = sum(&locks, &self.coins)?;
        self.pay(terms.form, spent, &mut output)?;
        let lock_time = lock_time.unwrap_or_default();
        Unsigned::new(locks, self.coins.clone(), output, lock_time)
    }

    /// What it weighs at most, signed: whatever its fee will be.
    pub fn weight_max(
        &self,
        terms: &Terms,
        meaning: &Meaning,
        built: &Commitment,
    ) -> Result<u64, ClaimFault> {
        let coins = self.coins.iter().map(|it| it.value.0).fold(0, u64::saturating_add);
        let fee = match (terms.form, &self.change) {
            (Form::StaticRemoteKey, _) => self.fee,
            (Form::Anchors, None) => Sat(coins),
            (Form::Anchors, Some(_)) => Sat(0),
        };
        Self { fee, ..self.clone() }.build(terms, meaning, built).map(|it| it.weight_max())
    }

    /// Adds the change, if there is one.
    fn pay(&self, form: Form, spent: Sat, output: &mut Vec<TxOut>) -> Result<(), ClaimFault> {
        let kept = Sat(output.iter().map(|it| it.value.to_sat()).sum());
        let (fee, left) = (self.fee, Sat(spent.0 - kept.0));
        let (got, min, max) = (output.len() + self.coins.len(), 1, 1);
        if form == Form::StaticRemoteKey && got > max {
            return Err(ClaimFault::Inputs { got, min, max });
        }
        let Some(change) = self.change.as_ref().filter(|_| form.has_anchors()) else {
            return (fee == left).then_some(()).ok_or(ClaimFault::Fee { got: fee, want: left });
        };
        let min = Sat(change.minimal_non_dust().to_sat());
        let rest = left.0.checked_sub(fee.0).filter(|rest| *rest >= min.0);
        let rest = rest.ok_or(ClaimFault::Short { spent: left, fee, min })?;
        output.push(TxOut { value: Amount::from_sat(rest), script_pubkey: change.clone() });
        Ok(())
    }
}

impl Staged {
    fn lock(
        &self,
        terms: &Terms,
        meaning: &Meaning,
        built: &Commitment,
        stage: &SecondStage,
    ) -> Result<Lock, ClaimFault> {
        let placed = &meaning.contracts[stage.contract];
        let keys = built.contract_keys.as_ref().expect("a second stage has a contract");
        let direction = placed.direction(meaning.owner);
        let place = Place { form: terms.form, direction, keys };
        let secret = self.secret.as_deref().filter(|it| placed.contract.is_opened_by(it));
        let mut ways = placed.contract.ways(&place).into_iter();
        let way = ways
            .find(|it| it.who == Who::Owner && it.staged && it.wants_secret() == secret.is_some());
        let (kind, has_secret) = (placed.contract.kind(), self.secret.is_some());
        let no_way = ClaimFault::NoWay { kind, has_secret };
        let way = way.ok_or(no_way)?;
        let piece = |item: &Item| match item {
            Item::OwnerSignature => Some(Opening::Ours),
            Item::OtherSignature => Some(Opening::Bytes(self.theirs(stage))),
            Item::RevocationSignature => None,
            Item::Secret(_) => secret.map(|it| Opening::Bytes(it.to_vec())),
            Item::Bytes(bytes) => Some(Opening::Bytes(bytes.clone())),
        };
        let opening: Option<Vec<_>> = way.witness.iter().map(piece).collect();
        let mut opening = opening.ok_or(no_way)?;
        opening.push(Opening::Bytes(stage.script.to_bytes()));
        let input = &stage.transaction.input[0];
        let (value, pays_to) = (Amount::from_sat(stage.spends.0), stage.script.to_p2wsh());
        Ok(Lock {
            outpoint: input.previous_output,
            spent: TxOut { value, script_pubkey: pays_to },
            code: stage.script.clone(),
            sequence: input.sequence,
            lock_time: LockTime(stage.transaction.lock_time.to_consensus_u32()),
            key: SigningKey::Contract(At { number: meaning.number, point: meaning.point }),
            public: keys.owner,
            opening,
        })
    }

    /// The peer's signature, as it stands in the witness.
    fn theirs(&self, stage: &SecondStage) -> Vec<u8> {
        let (signature, sighash_type) = (self.signature.ecdsa(), stage.other_sighash);
        ecdsa::Signature { signature, sighash_type }.to_vec()
    }
}
