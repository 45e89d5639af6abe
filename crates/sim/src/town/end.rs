//! The end of a town: nothing is under way any more, and everybody has what is theirs.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Txid};
use channel::{EndedBy, State as Phase};
use node::services::channels::{Held, Payment, Progress};
use tx::Side;

use super::{
    Broken, World,
    chain::{COIN, COINS},
    keys,
};

/// Anchors, and what costs more to take than it holds, may be left behind.
const WORTHLESS_MAX: Amount = Amount::from_sat(1_500);
/// No transaction of these worlds pays more to miners.
const FEE_MAX: Amount = Amount::from_sat(60_000);
/// Below this, and the fee of a second stage at most, a contract may have no output.
const DUST_MSAT_MAX: u64 = 5_000_000;
/// A source is asked for its tip once a second.
const LAG_BLOCKS: u32 = 4;
/// Balances are in thousandths, coins are not.
const ROUNDING_SAT: u64 = 1;
/// What an anchor holds (BOLT 3).
const ANCHOR: Amount = Amount::from_sat(330);

/// Whose a coin is: one or two houses.
type Owners = BTreeSet<usize>;

/// What became of the channels' money on the chain.
#[derive(Default)]
struct Story {
    /// What each house may have paid to miners, or left in anchors.
    costs: BTreeMap<usize, Amount>,
    /// Outputs of channels that nobody has taken.
    lying: Vec<OutPoint>,
}

impl World {
    /// What is still going on, in words; nothing if all is over.
    pub(super) fn unrest(&self) -> String {
        for (at, house) in self.houses.iter().enumerate() {
            let Some(office) = &house.office else { return format!("house {at} is dead") };
            if !house.keys.linked {
                return format!("house {at} has no signer");
            }
            if !office.calls.is_empty() {
                return format!("house {at} owes replies: {:?}", office.calls);
            }
            let heard = office.channels.state().cursor.map_or(0, |cursor| cursor.height.0);
            if heard + LAG_BLOCKS < self.chain.height() {
                return format!("house {at} has heard up to {heard}");
            }
            for (id, payment) in &house.durable.payments {
                if payment.progress == Progress::Pending {
                    return format!("{id:?} of house {at} hangs: {payment:?}");
                }
            }
            for (name, held) in &house.durable.channels {
                if !self.is_over_for(held) {
                    let (state, ended) = (held.channel.state(), held.channel.ended_by());
                    let (funding, ready) = (held.channel.funding(), held.channel.ready());
                    let is_there = self.chain.transaction(&funding.txid).is_some();
                    return format!(
                        "{name} of house {at} is {state:?}, ended by {ended:?}, {ready:?}, \
                         funded by {funding}: {is_there}, up {}",
                        office.channels.state().channels[name].channel.is_up()
                    );
                }
            }
        }
        match self.story() {
            Ok(story) => match story.lying.first() {
                Some(outpoint) => format!("nobody takes {outpoint}"),
                None => String::new(),
            },
            Err(broken) => broken,
        }
    }

    /// A channel whose funding is nowhere, and that only one side knows, or one that has ended.
    fn is_over_for(&self, held: &Held) -> bool {
        let channel = &held.channel;
        let funding = channel.funding();
        let deep = |height: u32| height + 5 <= self.chain.height();
        match channel.ended_by() {
            Some((_, height)) => deep(height.0),
            None if *channel.state() == Phase::Done => true,
            None => {
                let peer = self.truth.peer_of(&funding, channel.side());
                let knows = peer.is_some_and(|peer| {
                    let mut all = self.houses[peer].durable.channels.values();
                    all.any(|held| held.channel.funding() == funding)
                });
                !knows && self.chain.transaction(&funding.txid).is_none()
            }
        }
    }

    /// Goes through all that was confirmed.
    fn story(&self) -> Result<Story, Broken> {
        let mut story = Story::default();
        let mut owners: BTreeMap<OutPoint, Owners> = BTreeMap::new();
        let channels = self.truth.houses();
        for transaction in self.chain.story() {
            let txid = transaction.compute_txid();
            let (mut of, mut money) = (Owners::new(), Amount::ZERO);
            for input in &transaction.input {
                let output = self.spent_by(input.previous_output)?;
                money += output.value;
                let known = owners.get(&input.previous_output).cloned();
                of.extend(known.unwrap_or_else(|| {
                    self.of_script(&output.script_pubkey).into_iter().collect()
                }));
            }
            let paid: Amount = transaction.output.iter().map(|it| it.value).sum();
            let fee = money - paid;
            if fee > FEE_MAX {
                return Err(format!("{txid} pays {fee} to miners"));
            }
            for house in &of {
                *story.costs.entry(*house).or_default() += fee;
            }
            self.outputs((txid, transaction), &of, &channels, &mut owners, &mut story);
        }
        Ok(story)
    }

    /// Whose wallet has a script.
    fn of_script(&self, script: &ScriptBuf) -> Option<usize> {
        (0..self.houses.len()).find(|house| keys::known(*house).scripts.contains(script))
    }

    fn outputs(
        &self,
        (txid, transaction): (Txid, &Transaction),
        of: &Owners,
        channels: &BTreeMap<OutPoint, [Option<usize>; 2]>,
        owners: &mut BTreeMap<OutPoint, Owners>,
        story: &mut Story,
    ) {
        let spends_funding =
            transaction.input.iter().any(|input| channels.contains_key(&input.previous_output));
        for (vout, output) in (0..).zip(&transaction.output) {
            let outpoint = OutPoint { txid, vout };
            let home = self.of_script(&output.script_pubkey);
            let its = match (home, channels.get(&outpoint)) {
                (Some(house), _) => Owners::from([house]),
                (None, Some(both)) => both.iter().flatten().copied().collect(),
                (None, None) => of.clone(),
            };
            // The opener pays for both anchors, and the other side may spend its own.
            let is_anchor = spends_funding && output.value == ANCHOR;
            if home.is_none() && (is_anchor || self.chain.is_unspent(&outpoint)) {
                if output.value <= WORTHLESS_MAX {
                    for house in &its {
                        *story.costs.entry(*house).or_default() += output.value;
                    }
                } else {
                    story.lying.push(outpoint);
                }
            }
            owners.insert(outpoint, its);
        }
    }

    fn spent_by(&self, outpoint: OutPoint) -> Result<&bitcoin::TxOut, Broken> {
        let transaction = self.chain.transaction(&outpoint.txid);
        let output = transaction.and_then(|it| it.output.get(outpoint.vout as usize));
        output.ok_or_else(|| format!("{outpoint} is spent, and nowhere"))
    }

    /// Everything is over: is everybody's money where it belongs?
    pub(super) fn judge(&mut self) -> Result<(), Broken> {
        let story = self.story()?;
        let mut sums = self.sums;
        for at in 0..self.houses.len() {
            self.judge_payments(at, &mut sums)?;
            self.judge_money(at, &story)?;
        }
        self.sums = sums;
        self.judge_restarts()
    }

    /// What a process would know that starts now is what this one knows.
    fn judge_restarts(&self) -> Result<(), Broken> {
        for (at, house) in self.houses.iter().enumerate() {
            let again = house.disk.channels()?;
            if format!("{:?}", again.payments) != format!("{:?}", house.durable.payments) {
                return Err(format!("house {at} has saved other payments than it knows"));
            }
        }
        Ok(())
    }

    /// Payer and payee agree on each payment.
    fn judge_payments(&self, at: usize, sums: &mut super::Sums) -> Result<(), Broken> {
        let mut named = BTreeSet::new();
        for (id, payment) in &self.houses[at].durable.payments {
            let Some(peer) = self.house_of(&payment.node) else {
                return Err(format!("house {at} has paid a stranger"));
            };
            let other = self.houses[peer].durable.payments.values();
            let same = |it: &&Payment| it.hash == payment.hash && it.incoming != payment.incoming;
            let others: Vec<_> = other.filter(same).collect();
            let is_paid = matches!(payment.progress, Progress::Paid(_));
            if payment.incoming {
                match others[..] {
                    [one] if one.amount == payment.amount => {}
                    _ => return Err(format!("{id:?} of house {at} is paid by {others:?}")),
                }
                continue;
            }
            sums.paid += u64::from(is_paid);
            sums.failed += u64::from(!is_paid);
            let is_lost = self.is_lost(payment);
            match (is_paid, others.len()) {
                (true, 1) | (false, 0) => {}
                (false, 1) if is_lost => {}
                (_, count) => {
                    return Err(format!(
                        "{id:?} of house {at}, {:?}, was taken {count} times: {payment:?}",
                        payment.amount
                    ));
                }
            }
            if let Some(name) = payment.name.as_ref().filter(|_| is_paid)
                && !named.insert(name.as_str().to_owned())
            {
                return Err(format!("house {at} has paid '{}' twice", name.as_str()));
            }
        }
        Ok(())
    }

    /// What has no output on the chain goes to miners if the channel ends so: the payee has it,
    /// and nobody pays for it.
    fn is_lost(&self, payment: &Payment) -> bool {
        let all = self.houses.iter().flat_map(|it| &it.durable.channels);
        let its = |name| payment.attempt.as_ref().is_some_and(|attempt| attempt.channel == name);
        let mut mine = all.filter(|(name, _)| its(**name));
        let alone = |held: &Held| {
            let by = held.channel.ended_by();
            matches!(by, Some((EndedBy::Local | EndedBy::Remote, _)))
        };
        payment.amount.0 < DUST_MSAT_MAX && mine.any(|(_, held)| alone(held))
    }

    /// A house has what it had, what it was paid and what it did not pay, less fees.
    fn judge_money(&self, at: usize, story: &Story) -> Result<(), Broken> {
        let house = &self.houses[at];
        let had = i128::from(COIN.to_sat()) * i128::from(COINS) * 1_000;
        let mut due = had;
        for payment in house.durable.payments.values() {
            let amount = i128::from(payment.amount.0);
            if matches!(payment.progress, Progress::Paid(_)) {
                due += if payment.incoming { amount } else { -amount };
            }
        }
        let mut channels = 0;
        for held in house.durable.channels.values() {
            if self.chain.transaction(&held.channel.funding().txid).is_some() {
                channels += 1;
                let pushed = i128::from(held.channel.begun().agreed().pushed.0);
                due += if held.channel.side() == Side::Opener { -pushed } else { pushed };
            }
        }
        let has = i128::from(self.chain.worth(&keys::known(at).scripts).to_sat()) * 1_000;
        let costs = story.costs.get(&at).copied().unwrap_or_default();
        let least = due - i128::from(costs.to_sat() + 2 * ROUNDING_SAT * channels) * 1_000;
        match has >= least {
            true => Ok(()),
            false => Err(format!(
                "house {at} has {has} msat, and is due {due} less {costs} that were paid to miners"
            )),
        }
    }
}
