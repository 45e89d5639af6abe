//! Giving up what is published.
//!
//! What somebody may have is never given up by itself, see
//! `docs/decisions/0014-what-may-be-out-is-kept.md`.

use std::collections::BTreeSet;

use bitcoin::{Amount, Txid};
use wallet::Standing;

use super::{Event, Following, Refusal, Reply, Treasury, purse::key};

/// Blocks on top of what has replaced a transaction, its own counted, from which on that may be
/// forgotten without force.
pub const FORGET_BLOCKS: u32 = 6;

impl Treasury {
    /// Forgets a pending transaction, if nobody may have it, or somebody insists.
    pub(super) fn forget(&mut self, txid: Txid, force: bool) -> Result<Reply, Refusal> {
        self.wallet()?;
        let Some(mut following) = self.chain.take() else { return Ok(Reply::Done) };
        let is_safe = if force { Ok(()) } else { following.may_forget(txid) };
        let gone = is_safe.and_then(|()| self.drop_spend(&mut following, txid, "it was given up"));
        self.chain = Some(following);
        gone.map(|gone| Reply::Forgotten(gone.into_iter().collect()))
    }

    /// Forgets a transaction and what hangs on it, here and where it is published.
    pub(super) fn drop_spend(
        &mut self,
        following: &mut Following,
        txid: Txid,
        why: &str,
    ) -> Result<BTreeSet<Txid>, Refusal> {
        let Some(wallet) = &mut following.wallet else { return Err(Refusal::NoSigner) };
        let gone = wallet.forget(txid).map_err(|refusal| Refusal::Wallet(Box::new(refusal)))?;
        for txid in &gone {
            let key = key(txid);
            following.publisher.forget(key, self.now);
            if let Some((_, call, _)) = self.purse.sending.remove(&key) {
                self.reply(call, Err(Refusal::NotTaken { why: why.to_owned() }));
            }
            self.tell(Event::Forgotten { txid: *txid });
        }
        Ok(gone)
    }

    /// Whether a source has ever taken this.
    pub(super) fn was_taken(&self, txid: &Txid) -> bool {
        let state = self.chain.as_ref().map(|it| it.publisher.state());
        state.and_then(|it| it.publications.get(&key(txid))).is_some_and(|it| it.taken)
    }
}

impl Following {
    /// Whether nobody may have this transaction, nor any that hangs on it.
    pub(super) fn is_at_home(&self, txid: Txid) -> bool {
        let Some(wallet) = &self.wallet else { return true };
        wallet.hanging_on(txid).iter().all(|txid| !self.publisher.may_be_out(key(txid)))
    }

    /// Refuses what may still be mined.
    fn may_forget(&self, txid: Txid) -> Result<(), Refusal> {
        let Some(wallet) = &self.wallet else { return Err(Refusal::NoSigner) };
        let hanging = wallet.hanging_on(txid);
        let ours: BTreeSet<Txid> =
            hanging.iter().copied().filter(|txid| wallet.is_made(*txid)).collect();
        let tip = self.chain.headers().tip().height.0;
        let blocks = match wallet.standing(txid) {
            Some(Standing::Replaced { height: Some(height), .. }) => {
                tip.saturating_add(1).saturating_sub(height.0)
            }
            Some(Standing::Replaced { height: None, .. } | Standing::Pending) => 0,
            // The wallet refuses both, in its own words.
            Some(Standing::Confirmed(_)) | None => return Ok(()),
        };
        if ours.is_empty() || blocks >= FORGET_BLOCKS {
            return Ok(());
        }
        let frees: Amount = wallet.spent_by(&hanging);
        let (hang, min) = (hanging.len().saturating_sub(1), FORGET_BLOCKS);
        Err(Refusal::MayBeMined { txid, frees, hang, blocks, min })
    }
}
