//! Cooperative closes.

use tx::{Close, ClosingOutputs, Side, Terms};
use wire::amount::{Msat, Sat};
use wire::id::ChannelKey;

use super::{CLOSE_FEE_PERCENT_MAX, EndFlaw, Money, SignClose, judge_fee, percent};
use crate::channel::judge::free;
use crate::channel::keys::Use;
use crate::channel::memory::Memory;
use crate::channel::{ChannelAnswer, ChannelChange, ChannelRefusal as No, Channels, Decided, sign};

impl Channels {
    pub(in crate::channel) fn sign_close(
        &self,
        channel: &ChannelKey,
        ask: &SignClose,
        money: &Money<'_>,
    ) -> Result<Decided, No> {
        let memory = self.known(channel)?;
        let transaction = memory.judge_close(ask, money).map_err(No::End)?;
        let mut funding = self.keys.secret(channel, Use::Funding);
        let signature = sign(Close::digest(&memory.setup.terms, &transaction), &funding);
        funding.non_secure_erase();
        let change = (!memory.shut).then_some(ChannelChange::Shut);
        Ok((change, ChannelAnswer::CloseSigned { signature }))
    }
}

impl Memory {
    fn judge_close(
        &self,
        SignClose { close, ours }: &SignClose,
        money: &Money<'_>,
    ) -> Result<bitcoin::Transaction, EndFlaw> {
        let want = self.settled()?;
        for (side, got) in [(Side::Opener, close.to_opener), (Side::Acceptor, close.to_acceptor)] {
            let want = want[side as usize];
            if got != want {
                return Err(EndFlaw::Balance { side, got, want });
            }
        }
        let (side, terms) = (self.setup.side, &self.setup.terms);
        let payer = payer(close, terms)?;
        let (fee, has) = (close.fee, want[payer as usize]);
        let transaction = close.build(terms).ok_or(EndFlaw::Nothing { fee, has })?;
        let (mut value, script) = match side {
            Side::Opener => (close.to_opener.floor_to_sat(), &close.opener_script),
            Side::Acceptor => (close.to_acceptor.floor_to_sat(), &close.acceptor_script),
        };
        if payer == side {
            judge_fee(fee, percent(value, CLOSE_FEE_PERCENT_MAX), value)?;
            value = Sat(value.0.saturating_sub(fee.0));
        }
        let to = money.script(ours, &[])?;
        match script {
            Some(script) if *script != to => return Err(EndFlaw::OtherScript),
            Some(script) => {
                let min = Sat(script.minimal_non_dust().to_sat());
                let is_there = transaction.output.iter().any(|it| it.script_pubkey == *script);
                if value < min && is_there {
                    return Err(EndFlaw::Dust { got: value, min });
                }
            }
            None => {
                let dust = terms.party(side).dust_limit;
                if value >= dust {
                    return Err(EndFlaw::LeftOut { got: value, dust });
                }
            }
        }
        Ok(transaction)
    }

    /// What the opener and the acceptor have, if nothing is under way: no contract, and no other
    /// commitment that the peer could publish.
    fn settled(&self) -> Result<[Msat; 2], EndFlaw> {
        let (Some(local), Some(remote)) = (&self.local, &self.remote) else {
            return Err(EndFlaw::NotOpen);
        };
        let (local, remote) = (&local.meaning, &remote.meaning);
        let contracts = local.contracts.len() + remote.contracts.len();
        if contracts > 0 {
            return Err(EndFlaw::UnderWay { contracts });
        }
        let (number, newest) = (self.secrets.next(), remote.number);
        if number != newest {
            return Err(EndFlaw::Unrevoked { number, newest });
        }
        if local.to_opener != remote.to_opener || local.to_acceptor != remote.to_acceptor {
            let [local, remote] = [local, remote].map(|it| free(it, self.setup.side));
            return Err(EndFlaw::Differ { local, remote });
        }
        Ok([local.to_opener, local.to_acceptor])
    }
}

/// Who pays.
fn payer(close: &Close, terms: &Terms) -> Result<Side, EndFlaw> {
    match close.dialect {
        ClosingOutputs::Complete { closer, .. } => Ok(closer),
        ClosingOutputs::Signed { dust_limit: got } => {
            let want = [terms.opener.dust_limit, terms.acceptor.dust_limit];
            let is_known = want.contains(&got);
            is_known.then_some(Side::Opener).ok_or(EndFlaw::DustLimit { got, want })
        }
    }
}
