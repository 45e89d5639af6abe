//! What we can take of what is on the chain: from which block on, and until when.

use std::collections::BTreeMap;

use bitcoin::{OutPoint, Transaction};
use tx::{At, Claim, Claimed, Locks, Place, Purpose, Side, Staged, revocable, to_remote};
use wire::amount::{BlockHeight, Sat};

use super::ended::{Ended, EndedBy, Says};
use crate::change::End;
use crate::contract::{Spot, Taking, blocks_of};
use crate::state::{Channel, Known};

/// How the contracts of a commitment are taken, by their place in its meaning.
type Takings = BTreeMap<usize, Taking>;

/// Something that we can take.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) what: What,
    pub(crate) outpoint: OutPoint,
    pub(crate) value: Sat,
    /// A transaction that takes it can be in the block after this one.
    pub(crate) ready: BlockHeight,
    /// Then somebody else can take it as well, if that can be.
    pub(crate) deadline: Option<BlockHeight>,
}

/// How it is taken.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// By us alone.
    Claim(Claim),
    /// By a second stage of our own commitment.
    Stage(Staged),
}

impl Channel {
    /// All that can be taken, now or later, and was not.
    pub(crate) fn jobs(&self, ended: &Ended) -> Vec<Job> {
        let none = Takings::new();
        let mut jobs = match (&ended.by, &ended.says) {
            (EndedBy::Both, _) | (_, None) => self.of_claims(self.salvage(ended), None),
            (EndedBy::Local | EndedBy::Remote, Some(says)) => {
                let takings = self.takings(ended, says);
                let claims = self.claims(ended, says, (&takings, false));
                let mut jobs = self.of_claims(claims, Some((says, &takings)));
                jobs.extend(self.stages(says, &takings));
                jobs
            }
            (EndedBy::Revoked(_) | EndedBy::Unknown(_), Some(says)) => {
                self.of_claims(self.claims(ended, says, (&none, true)), None)
            }
        };
        jobs.retain(|job| !self.is_taken(&job.outpoint));
        jobs
    }

    fn is_taken(&self, outpoint: &OutPoint) -> bool {
        self.seen.spend(outpoint).is_some()
    }

    /// What is not taken yet, with its locks: keys are derived once, and only for what is left.
    fn of_claims(
        &self,
        mut claims: Vec<(Claim, BlockHeight)>,
        contracts: Option<(&Says, &Takings)>,
    ) -> Vec<Job> {
        claims.retain(|(claim, _)| !self.is_taken(&claim.outpoint));
        let mut locks = self.locks();
        let job = |(claim, at): (Claim, BlockHeight)| {
            let taking = contracts.and_then(|(says, takings)| {
                let output = says.built.outputs.get(claim.outpoint.vout as usize)?;
                let Purpose::Contract { index, .. } = output.purpose else { return None };
                takings.get(&index)
            });
            self.job(&mut locks, (claim, taking), at)
        };
        claims.into_iter().filter_map(job).collect()
    }

    /// Keys of the commitment that has ended the channel are derived already.
    pub(super) fn locks(&self) -> Locks<'_> {
        let terms = &self.setup.terms;
        match self.ended.as_ref().and_then(|it| it.says.as_ref()) {
            Some(Says { meaning, built, .. }) => Locks::knowing(terms, meaning, built),
            None => Locks::new(terms),
        }
    }

    /// How our commitment's contracts, or the peer's, are taken: their resolvers say it.
    fn takings(&self, ended: &Ended, says: &Says) -> Takings {
        let Some(keys) = &says.built.contract_keys else { return Takings::new() };
        let (owner, secrets) = (says.meaning.owner, self.known_secrets());
        let taking = |output: &tx::Output| {
            let Purpose::Contract { index, .. } = output.purpose else { return None };
            let placed = &says.meaning.contracts[index];
            let direction = placed.direction(owner);
            let is_ours = placed.offered_by == self.setup.side;
            let spot = Spot {
                contract: &*placed.contract,
                place: Place { form: self.setup.terms.form, direction, keys },
                is_own: owner == self.setup.side,
                parent: ended.height,
                // What opens it is for whoever is paid.
                secrets: if is_ours { &[] } else { &secrets },
            };
            let taking = self.resolvers.known(placed.contract.kind()).take(&spot)?;
            Some((index, taking))
        };
        says.built.outputs.iter().filter_map(taking).collect()
    }

    /// What opens contracts that the peer has offered.
    fn known_secrets(&self) -> Vec<Vec<u8>> {
        let offered = |by: Side| by != self.setup.side;
        let known = self.contracts.iter().filter(|(id, _)| offered(id.offered_by));
        let known = known.filter_map(|(_, known)| Known::opened_by(known));
        // What we have learned as a payer is for whoever uses the channel to pass on.
        let over = self.over.iter().filter(|(id, _)| offered(id.offered_by));
        let over = over.filter_map(|(_, end)| End::secret(end));
        known.chain(over).map(<[u8]>::to_vec).collect()
    }

    /// What one side can take alone, second stages' outputs with it.
    fn claims(
        &self,
        ended: &Ended,
        says: &Says,
        (takings, is_revoked): (&Takings, bool),
    ) -> Vec<(Claim, BlockHeight)> {
        let (terms, side) = (&self.setup.terms, self.setup.side);
        let Says { meaning, built, .. } = says;
        let mut claims = built.claims_by(terms, meaning, (side, is_revoked), |index| {
            let taking = takings.get(&index).filter(|it| !it.staged);
            taking.map(|it| it.secret.clone())
        });
        claims.retain(|it| !matches!(it.what, Claimed::Anchor));
        let claims = claims.into_iter().map(|it| (it, ended.height));
        claims.chain(self.second_outputs(says, is_revoked)).collect()
    }

    /// The outputs of second stages that are in the chain.
    fn second_outputs(&self, says: &Says, is_revoked: bool) -> Vec<(Claim, BlockHeight)> {
        let (terms, owner) = (&self.setup.terms, says.meaning.owner);
        let is_ours = owner == self.setup.side;
        if !is_ours && !is_revoked {
            return Vec::new();
        }
        let pays_to = revocable(&says.built.keys, terms.party(owner).delay).to_p2wsh();
        let at = At { number: says.meaning.number, point: says.meaning.point };
        let txid = says.built.transaction.compute_txid();
        let contracts = (0..).zip(&says.built.outputs).filter_map(|(vout, output)| {
            matches!(output.purpose, Purpose::Contract { .. }).then_some(OutPoint { txid, vout })
        });
        let second = |outpoint: OutPoint| {
            let spend = self.seen.spend(&outpoint)?;
            let paid = spend.transaction.output.get(spend.input)?;
            if paid.script_pubkey != pays_to {
                return None;
            }
            let (txid, vout) = (spend.transaction.compute_txid(), spend.input as u32);
            let what = if is_ours { Claimed::Delayed(at) } else { Claimed::RevokedDelayed(at) };
            let (outpoint, value) = (OutPoint { txid, vout }, Sat(paid.value.to_sat()));
            let claim = Claim { outpoint, value, claimer: self.setup.side, what };
            Some((claim, spend.height))
        };
        contracts.filter_map(second).collect()
    }

    fn job(
        &self,
        locks: &mut Locks<'_>,
        (claim, taking): (Claim, Option<&Taking>),
        parent: BlockHeight,
    ) -> Option<Job> {
        let lock = locks.of(&claim).ok()?;
        let wait = blocks_of(lock.sequence);
        let ready = (parent.0 + wait).saturating_sub(1).max(lock.lock_time.0);
        let peer = self.setup.side.other();
        let punished = parent.0 + u32::from(self.setup.terms.party(peer).delay.0);
        let deadline = match &claim.what {
            Claimed::Delayed(_) | Claimed::ToRemote | Claimed::Anchor => None,
            Claimed::RevokedDelayed(_) | Claimed::RevokedContract { .. } => {
                Some(BlockHeight(punished))
            }
            Claimed::Contract { .. } | Claimed::OwnContract { .. } => taking.map(|it| it.deadline),
        };
        let (outpoint, value) = (claim.outpoint, claim.value);
        Some(Job { what: What::Claim(claim), outpoint, value, ready: BlockHeight(ready), deadline })
    }

    /// The second stages of our own commitment: those that pay us, and those whose lock is over.
    fn stages(&self, says: &Says, takings: &Takings) -> Vec<Job> {
        if says.meaning.owner != self.setup.side {
            return Vec::new();
        }
        let terms = &self.setup.terms;
        let stages = says.built.second_stages(terms, &says.meaning);
        let job = |(stage, signature): (tx::SecondStage, &wire::key::Signature)| {
            let taking = takings.get(&stage.contract).filter(|it| it.staged)?;
            let lock = stage.transaction.lock_time.to_consensus_u32();
            Some(Job {
                outpoint: stage.transaction.input[0].previous_output,
                value: stage.spends,
                ready: BlockHeight(lock),
                deadline: Some(taking.deadline),
                what: What::Stage(Staged {
                    contract: stage.contract,
                    signature: *signature,
                    secret: taking.secret.clone(),
                }),
            })
        };
        stages.zip(&self.local.stages).filter_map(job).collect()
    }

    /// Of a commitment that we know nothing of there is our balance to take.
    fn salvage(&self, ended: &Ended) -> Vec<(Claim, BlockHeight)> {
        let (terms, side) = (&self.setup.terms, self.setup.side);
        if ended.by == EndedBy::Both {
            return Vec::new();
        }
        let (pays_to, _) = to_remote(terms.form, &terms.party(side).keys.payment);
        let transaction: &Transaction = &ended.transaction;
        let txid = transaction.compute_txid();
        let ours = (0..).zip(&transaction.output).filter(|(_, it)| it.script_pubkey == pays_to);
        let claim = |(vout, output): (u32, &bitcoin::TxOut)| Claim {
            outpoint: OutPoint { txid, vout },
            value: Sat(output.value.to_sat()),
            claimer: side,
            what: Claimed::ToRemote,
        };
        ours.map(claim).map(|it| (it, ended.height)).collect()
    }
}
