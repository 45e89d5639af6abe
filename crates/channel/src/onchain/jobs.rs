//! What we can take of what is on the chain: from which block on, and until when.

use bitcoin::{OutPoint, Sequence, Transaction};
use tx::{At, Claim, Claimed, Locks, Purpose, Side, Staged, revocable, to_remote};
use wire::amount::{BlockCount, BlockHeight, Sat};

use super::ended::{Ended, EndedBy, Says};
use crate::change::End;
use crate::state::Channel;

/// After its lock a contract of ours can still be taken by whoever learns its secret: so soon we
/// want it.
const RACE_BLOCKS: BlockCount = BlockCount(12);

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
        let mut jobs = match (&ended.by, &ended.says) {
            (EndedBy::Both, _) | (_, None) => self.of_claims(self.salvage(ended)),
            (EndedBy::Local, Some(says)) => {
                let mut jobs = self.of_claims(self.claims(ended, says, false));
                jobs.extend(self.stages(says));
                jobs
            }
            (EndedBy::Remote, Some(says)) => self.of_claims(self.claims(ended, says, false)),
            (EndedBy::Revoked(_) | EndedBy::Unknown(_), Some(says)) => {
                self.of_claims(self.claims(ended, says, true))
            }
        };
        jobs.retain(|job| !self.is_taken(&job.outpoint));
        jobs
    }

    fn is_taken(&self, outpoint: &OutPoint) -> bool {
        self.seen.spend(outpoint).is_some()
    }

    /// What is not taken yet, with its locks: keys are derived once, and only for what is left.
    fn of_claims(&self, mut claims: Vec<(Claim, BlockHeight)>) -> Vec<Job> {
        claims.retain(|(claim, _)| !self.is_taken(&claim.outpoint));
        let mut locks = Locks::new(&self.setup.terms);
        let jobs = claims.into_iter().filter_map(|(claim, at)| self.job(&mut locks, claim, at));
        jobs.collect()
    }

    /// What opens contracts that the peer has offered.
    fn known_secrets(&self) -> Vec<Vec<u8>> {
        let offered = |by: Side| by != self.setup.side;
        let known = self.contracts.iter().filter(|(id, _)| offered(id.offered_by));
        let known = known.filter_map(|(_, known)| {
            known.preimage.or(match &known.end {
                Some(End::Fulfilled(preimage)) => Some(*preimage),
                Some(End::Failed(_) | End::Malformed { .. }) | None => None,
            })
        });
        // What we have learned as a payer is for whoever uses the channel to pass on.
        let over = self.over.iter().filter(|(id, _)| offered(id.offered_by));
        let over = over.filter_map(|(_, end)| match end {
            End::Fulfilled(preimage) => Some(*preimage),
            End::Failed(_) | End::Malformed { .. } => None,
        });
        known.chain(over).map(|it| it.0.to_vec()).collect()
    }

    /// What one side can take alone, second stages' outputs with it.
    fn claims(&self, ended: &Ended, says: &Says, is_revoked: bool) -> Vec<(Claim, BlockHeight)> {
        let (terms, side) = (&self.setup.terms, self.setup.side);
        let Says { meaning, built, .. } = says;
        let mut claims = built.claims(terms, meaning, (side, is_revoked), &self.known_secrets());
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

    fn job(&self, locks: &mut Locks<'_>, claim: Claim, parent: BlockHeight) -> Option<Job> {
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
            Claimed::Contract { placed, secret: Some(_), .. } => {
                Some(BlockHeight(placed.contract.order()))
            }
            Claimed::Contract { secret: None, .. } => Some(BlockHeight(ready + RACE_BLOCKS.0)),
        };
        let (outpoint, value) = (claim.outpoint, claim.value);
        Some(Job { what: What::Claim(claim), outpoint, value, ready: BlockHeight(ready), deadline })
    }

    /// The second stages of our own commitment: those that pay us, and those whose lock is over.
    fn stages(&self, says: &Says) -> Vec<Job> {
        let (terms, secrets) = (&self.setup.terms, self.known_secrets());
        let stages = says.built.second_stages(terms, &says.meaning);
        let job = |(stage, signature): (tx::SecondStage, &wire::key::Signature)| {
            let placed = &says.meaning.contracts[stage.contract];
            let is_ours = placed.offered_by == self.setup.side;
            let secret = secrets.iter().find(|it| placed.contract.is_opened_by(it));
            let secret = secret.filter(|_| !is_ours).cloned();
            if !is_ours && secret.is_none() {
                return None;
            }
            let lock = stage.transaction.lock_time.to_consensus_u32();
            let expiry = placed.contract.order();
            let deadline = if is_ours { lock + RACE_BLOCKS.0 } else { expiry };
            Some(Job {
                outpoint: stage.transaction.input[0].previous_output,
                value: stage.spends,
                ready: BlockHeight(lock),
                deadline: Some(BlockHeight(deadline)),
                what: What::Stage(Staged {
                    contract: stage.contract,
                    signature: *signature,
                    secret,
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

/// For how many blocks an input waits.
fn blocks_of(sequence: Sequence) -> u32 {
    match sequence.to_relative_lock_time() {
        Some(bitcoin::relative::LockTime::Blocks(blocks)) => blocks.value().into(),
        Some(bitcoin::relative::LockTime::Time(_)) | None => 0,
    }
}
