//! What is taken on chain.

use std::collections::BTreeMap;

use bitcoin::{Transaction, Txid};
use secp256k1::{Message, SECP256K1, SecretKey};
use tx::{
    At, CLAIM_INPUTS_MAX, Claim, ClaimFault, Claimed, InputSignature, Meaning, SigningKey, Stages,
    Sweep, Unsigned, derived_secret, revocation_secret,
};
use wire::amount::Sat;
use wire::id::{ChannelKey, CommitmentNumber};
use wire::key::Point;

use super::{
    CLAIM_FEE_PERCENT_MAX, EndFlaw, Money, RACED_FEE_PERCENT_MAX, SignClaims, SignStages,
    judge_fee, percent,
};
use crate::channel::judge::free;
use crate::channel::keys::Use;
use crate::channel::memory::Memory;
use crate::channel::{
    ChannelAnswer, ChannelRefusal as No, Channels, Decided, index, near, own, sign,
};
use crate::spend::SpendInput;

impl Channels {
    pub(in crate::channel) fn sign_claims(
        &self,
        channel: &ChannelKey,
        ask: &SignClaims,
        money: &Money<'_>,
    ) -> Result<Decided, No> {
        let memory = self.known(channel)?;
        let (got, min, max) = (ask.claims.len(), 1, CLAIM_INPUTS_MAX);
        if got > max {
            return Err(No::End(ClaimFault::Inputs { got, min, max }.into()));
        }
        let claims = ask.claims.iter().map(|it| self.read_claim(it));
        let claims = claims.collect::<Result<Vec<_>, _>>()?;
        for claim in &claims {
            self.judge_claim(channel, memory, claim)?;
        }
        let pays_to = money.script(&ask.to, &ask.coins).map_err(No::End)?;
        let (coins, fee, lock_time) = (money.coins(&ask.coins), ask.fee, ask.lock_time);
        let sweep = Sweep { claims, coins, pays_to, fee, lock_time };
        let unsigned = sweep.build(&memory.setup.terms).map_err(|it| No::End(it.into()))?;
        are_there(&unsigned, &ask.parents).map_err(No::End)?;
        memory.judge_claims_fee(&sweep.claims, fee).map_err(No::End)?;
        let signatures = self.input_signatures(channel, memory, &unsigned, (&ask.coins, money))?;
        Ok((None, ChannelAnswer::InputsSigned { signatures }))
    }

    pub(in crate::channel) fn sign_stages(
        &self,
        channel: &ChannelKey,
        ask: &SignStages,
        money: &Money<'_>,
    ) -> Result<Decided, No> {
        let memory = self.known(channel)?;
        let local = memory.local.as_ref().filter(|_| memory.closing);
        let meaning = &local.ok_or(No::End(EndFlaw::NotClosing))?.meaning;
        let terms = &memory.setup.terms;
        let seed = self.keys.seed(channel);
        let built = meaning.build_with(terms, own(memory, &near(&seed, meaning)?, meaning)?);
        let change = ask.change.map(|place| money.place(place, &ask.coins));
        let change = change.transpose().map_err(No::End)?;
        let (stages, coins, fee) = (ask.stages.clone(), money.coins(&ask.coins), ask.fee);
        let stages = Stages { stages, coins, change, fee };
        let unsigned = stages.build(terms, meaning, &built).map_err(|it| No::End(it.into()))?;
        // Without anchors the fee is what both have agreed on before.
        if terms.form.has_anchors() {
            let stake = Sat(unsigned.locks.iter().map(|it| it.spent.value.to_sat()).sum());
            let part = percent(stake, RACED_FEE_PERCENT_MAX);
            judge_fee(fee, part, stake).map_err(No::End)?;
        }
        let signatures = self.input_signatures(channel, memory, &unsigned, (&ask.coins, money))?;
        Ok((None, ChannelAnswer::InputsSigned { signatures }))
    }

    /// The same claim, with the contract as our own template reads it.
    fn read_claim(&self, claim: &Claim) -> Result<Claim, No> {
        let what = match &claim.what {
            Claimed::Contract { at, placed, secret } => {
                let (at, placed) = (*at, self.read_placed(placed)?);
                Claimed::Contract { at, placed, secret: secret.clone() }
            }
            Claimed::OwnContract { at, placed, secret } => {
                let (at, placed) = (*at, self.read_placed(placed)?);
                Claimed::OwnContract { at, placed, secret: secret.clone() }
            }
            Claimed::RevokedContract { at, placed } => {
                Claimed::RevokedContract { at: *at, placed: self.read_placed(placed)? }
            }
            Claimed::Delayed(_)
            | Claimed::ToRemote
            | Claimed::Anchor
            | Claimed::RevokedDelayed(_) => claim.what.clone(),
        };
        Ok(Claim { what, ..*claim })
    }

    /// Whether it is ours to claim, and of a commitment that we know.
    fn judge_claim(&self, channel: &ChannelKey, memory: &Memory, claim: &Claim) -> Result<(), No> {
        let want = memory.setup.side;
        if claim.claimer != want {
            return Err(No::End(EndFlaw::NotOurs { want }));
        }
        match &claim.what {
            Claimed::ToRemote => Ok(()),
            Claimed::Anchor => {
                let local = memory.local.as_ref().map(|it| it.txid);
                let is_out = memory.closing || local != Some(claim.outpoint.txid);
                is_out.then_some(()).ok_or(No::End(EndFlaw::NotClosing))
            }
            Claimed::Delayed(at) | Claimed::OwnContract { at, .. } => {
                let newest = memory.local.as_ref().map(|it| it.meaning.number);
                let (number, unrevoked) = (at.number, newest.unwrap_or_default());
                if newest != Some(number) {
                    return Err(No::OutOfTurn { number, newest, unrevoked });
                }
                if !memory.closing {
                    return Err(No::End(EndFlaw::NotClosing));
                }
                let point = index(number).map(|it| self.keys.seed(channel).point(it));
                is_at(at, point)
            }
            Claimed::Contract { at, .. } => {
                let newest = memory.remote.as_ref().map(|it| it.meaning.number);
                let (number, unrevoked) = (at.number, memory.secrets.next());
                let of = |it: &&(CommitmentNumber, Point)| it.0 == number;
                let known = memory.points.iter().flatten().find(of).map(|it| it.1);
                let point = known.or_else(|| Some(revoked_point(&memory.revoked(number)?)));
                if point.is_none() {
                    return Err(No::OutOfTurn { number, newest, unrevoked });
                }
                is_at(at, point)
            }
            Claimed::RevokedDelayed(at) | Claimed::RevokedContract { at, .. } => {
                let (number, unrevoked) = (at.number, memory.secrets.next());
                let secret = memory.revoked(number);
                let not_revoked = No::End(EndFlaw::NotRevoked { number, unrevoked });
                is_at(at, Some(revoked_point(&secret.ok_or(not_revoked)?)))
            }
        }
    }

    /// Signs every input of what has been judged.
    fn input_signatures(
        &self,
        channel: &ChannelKey,
        memory: &Memory,
        unsigned: &Unsigned,
        (coins, money): (&[SpendInput], &Money<'_>),
    ) -> Result<Vec<InputSignature>, No> {
        let digests = unsigned.digests();
        let mut signatures = Vec::with_capacity(digests.len());
        for (lock, digest) in unsigned.locks.iter().zip(&digests) {
            let mut secret = self.claiming_secret(channel, memory, &lock.key)?;
            signatures.push(InputSignature::Channel(sign(*digest, &secret)));
            secret.non_secure_erase();
        }
        for (coin, digest) in coins.iter().zip(&digests[unsigned.locks.len()..]) {
            let message = Message::from_digest(*digest);
            let signature = money.wallet.sign_message_at(coin.place, &message);
            signatures.push(InputSignature::Coin(signature));
        }
        Ok(signatures)
    }

    /// The key of a claim. The caller wipes it.
    fn claiming_secret(
        &self,
        channel: &ChannelKey,
        memory: &Memory,
        key: &SigningKey,
    ) -> Result<SecretKey, No> {
        let derived = |of, at: &At| {
            let mut base = self.keys.secret(channel, of);
            let secret = derived_secret(&base, &at.point);
            base.non_secure_erase();
            secret
        };
        match key {
            SigningKey::Delayed(at) => Ok(derived(Use::DelayedPayment, at)),
            SigningKey::Contract(at) => Ok(derived(Use::Htlc, at)),
            SigningKey::Payment => Ok(self.keys.secret(channel, Use::Payment)),
            SigningKey::Funding => Ok(self.keys.secret(channel, Use::Funding)),
            SigningKey::Revocation(at) => {
                let (number, unrevoked) = (at.number, memory.secrets.next());
                let not_revoked = No::End(EndFlaw::NotRevoked { number, unrevoked });
                let per_commitment = memory.revoked(number).ok_or(not_revoked)?;
                let mut base = self.keys.secret(channel, Use::Revocation);
                let secret = revocation_secret(&base, &per_commitment);
                base.non_secure_erase();
                Ok(secret)
            }
        }
    }
}

impl Memory {
    /// The secret of a commitment that the peer has revoked.
    fn revoked(&self, number: CommitmentNumber) -> Option<SecretKey> {
        let secret = self.secrets.secret(number)?;
        Some(SecretKey::from_slice(&secret.0).expect("its point was compared with it"))
    }

    /// A fee is a part of what it takes: a greater one of what the peer could take first.
    fn judge_claims_fee(&self, claims: &[Claim], fee: Sat) -> Result<(), EndFlaw> {
        let (mut part, mut stake) = (0u64, 0u64);
        for claim in claims {
            let (of, percents) = match claim.what {
                Claimed::Delayed(_) | Claimed::ToRemote => (claim.value, CLAIM_FEE_PERCENT_MAX),
                // With the child of an anchor all the commitment is at stake.
                Claimed::Anchor if claims.len() == 1 => (self.stake(claim), CLAIM_FEE_PERCENT_MAX),
                Claimed::Anchor => (claim.value, CLAIM_FEE_PERCENT_MAX),
                Claimed::Contract { .. }
                | Claimed::OwnContract { .. }
                | Claimed::RevokedDelayed(_)
                | Claimed::RevokedContract { .. } => (claim.value, RACED_FEE_PERCENT_MAX),
            };
            stake = stake.saturating_add(of.0);
            part = part.saturating_add(percent(of, percents).0);
        }
        judge_fee(fee, Sat(part), Sat(stake))
    }

    /// What the commitment of an anchor holds for us: our balance and all contracts. If it is not
    /// our newest one, it is counted as the peer's newest.
    fn stake(&self, anchor: &Claim) -> Sat {
        let local = self.local.as_ref().filter(|it| it.txid == anchor.outpoint.txid);
        let sum = |meaning: &Meaning| {
            let contracts = meaning.contracts.iter().map(|it| it.amount.0);
            contracts.fold(free(meaning, self.setup.side).0, u64::saturating_add)
        };
        let meaning = local.or(self.remote.as_ref()).map(|it| &it.meaning);
        Sat(meaning.map_or(0, sum) / 1_000)
    }
}

/// The point that a secret revokes.
fn revoked_point(secret: &SecretKey) -> Point {
    secret.public_key(SECP256K1).into()
}

fn is_at(at: &At, point: Option<Point>) -> Result<(), No> {
    let is_there = point == Some(at.point);
    is_there.then_some(()).ok_or(No::WrongPoint { number: at.number })
}

/// Whether the transactions that were shown hold what is claimed.
fn are_there(unsigned: &Unsigned, parents: &[Transaction]) -> Result<(), EndFlaw> {
    let (got, max) = (parents.len(), CLAIM_INPUTS_MAX);
    if got > max {
        return Err(EndFlaw::Shown { got, max });
    }
    let by_id: BTreeMap<Txid, _> = parents.iter().map(|it| (it.compute_txid(), it)).collect();
    for lock in &unsigned.locks {
        let (outpoint, got) = (lock.outpoint, Sat(lock.spent.value.to_sat()));
        let parent = by_id.get(&outpoint.txid);
        let parent = parent.ok_or(EndFlaw::NotShown { outpoint, shown: parents.len() })?;
        let output = parent.output.get(outpoint.vout as usize);
        if output != Some(&lock.spent) {
            let have = output.map(|it| Sat(it.value.to_sat()));
            return Err(EndFlaw::NotThere { outpoint, got, have });
        }
    }
    Ok(())
}
