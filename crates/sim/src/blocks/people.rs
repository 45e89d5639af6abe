//! People: what they ask of a node, what they are answered, and what must be true in the end.

use std::collections::BTreeSet;

use bitcoin::{Amount, FeeRate, ScriptBuf};
use chain::{Height, Watch};
use node::services::treasury::PaymentName;
use signer::{Branch, KeyIndex, KeyPlace};
use wallet::{Order, Recipient, Wanted};

use super::{Broken, CallId, Command, Health, Refusal, Reply, World, disk::Want, nodes::script};

/// No wallet of a world hands out more addresses.
const ADDRESSES: u32 = 150;
/// Blocks back from which people mostly want something to be watched.
const NEAR: u32 = 40;

impl World {
    fn call(&mut self, command: Command) {
        let now = self.agenda.now;
        self.note(|| format!("people: {command:?}"));
        let Some(office) = &mut self.office else { return };
        office.last_call += 1;
        let call = CallId(office.last_call);
        office.calls.insert(call, command.clone());
        office.treasury.call(call, command, now);
    }

    pub(super) fn people(&mut self) {
        let Some(office) = &self.office else { return };
        let cursor = office.treasury.state().cursor.map_or(Height(0), |cursor| cursor.height);
        match self.dice.below(10) {
            0..4 => {
                let watch = self.nodes.thing(&mut self.dice);
                if matches!(self.truth.wants.get(&watch), None | Some(Want::No)) {
                    let next = Height(cursor.0 + 1);
                    // A search of all the past takes its time.
                    let back = if self.dice.one_in(8) { cursor.0 } else { cursor.0.min(NEAR) };
                    let some = Height(next.0 - self.dice.below(back as usize + 1) as u32);
                    let from = (!self.dice.one_in(3)).then_some(some);
                    self.truth.wants.insert(watch.clone(), Want::Unknown(from.unwrap_or(next)));
                    self.call(Command::Watch { watch, from });
                }
            }
            4 => {
                let wants = self.truth.wants.iter();
                let sure: Vec<_> = wants
                    .filter_map(|(watch, want)| match want {
                        Want::Yes(from) => Some((watch.clone(), *from)),
                        Want::No | Want::Unknown(_) => None,
                    })
                    .collect();
                let nth = self.dice.below(sure.len().max(1));
                if let Some((watch, from)) = sure.get(nth).cloned() {
                    self.truth.wants.insert(watch.clone(), Want::Unknown(from));
                    self.call(Command::Unwatch { watch });
                }
            }
            5 | 6 => self.call(Command::Address),
            7 | 8 => self.pay(),
            _ if self.dice.one_in(4) => self.call(Command::Status),
            _ if self.dice.one_in(4) => {
                let sent = self.truth.sent.len();
                let nth = self.dice.below(sent.max(1));
                let Some(txid) = self.truth.sent.iter().nth(nth).copied() else { return };
                // Whether it is done, nobody may hear any more.
                self.truth.sent.clear();
                self.call(Command::Forget { txid, force: true });
            }
            _ => {
                let sent = self.truth.sent.len();
                let nth = self.dice.below(sent.max(1));
                let Some(txid) = self.truth.sent.iter().nth(nth).copied() else { return };
                let fee_rate = FeeRate::from_sat_per_kwu(3_000 + self.dice.below(2_000) as u64);
                let draw = self.dice.array();
                self.call(Command::Bump {
                    txid,
                    fee_rate,
                    allow_high_fee: true,
                    spend_reserve: true,
                    draw,
                });
            }
        }
    }

    /// A new payment, or one that was asked for before, whatever has become of it.
    fn pay(&mut self) {
        let number = match self.payments > 0 && self.dice.one_in(3) {
            true => 1 + self.dice.below(self.payments as usize) as u64,
            false => self.payments + 1,
        };
        self.payments = self.payments.max(number);
        let to = Recipient::Script(script(500 + number));
        let name = PaymentName::new(&format!("payment {number}")).ok();
        let amount = Amount::from_sat(5_000 + number * 7_919 % 60_000);
        let rate = FeeRate::from_sat_per_kwu(500 + self.dice.below(1_500) as u64);
        let order = Order::new(to, Wanted::Exactly(amount), rate);
        let draw = self.dice.array();
        self.call(Command::Send { order, spend_reserve: true, name, draw });
    }

    pub(super) fn replied(
        &mut self,
        call: CallId,
        reply: Result<Reply, Refusal>,
    ) -> Result<(), Broken> {
        let Some(office) = &mut self.office else { return Ok(()) };
        let Some(command) = office.calls.remove(&call) else {
            return Err(format!("{call:?} was replied twice, or never called"));
        };
        match (command, reply) {
            (Command::Watch { watch, .. }, reply) => self.watched(watch, reply.is_ok(), true),
            (Command::Unwatch { watch }, reply) => self.watched(watch, reply.is_ok(), false),
            (Command::Address, Ok(Reply::Address(address))) => {
                self.nodes.gifts.push(address.script_pubkey());
                Ok(())
            }
            (Command::Send { .. }, Ok(Reply::Sent(sent))) => {
                self.truth.sent.insert(sent.txid);
                Ok(())
            }
            (Command::Bump { txid, .. }, Ok(Reply::Sent(sent))) => {
                // Of the two one is confirmed. The first may never have been published.
                self.truth.sent.insert(sent.txid);
                self.truth.refused.insert(txid);
                Ok(())
            }
            (Command::Watches, Ok(Reply::Watches(lines))) => {
                self.last.insert("watches");
                let mut lines: std::collections::BTreeMap<Watch, _> =
                    lines.into_iter().map(|line| (line.watch.clone(), line)).collect();
                for (watch, want) in &self.truth.wants {
                    let line = lines.remove(watch);
                    let (Want::Yes(from), Some(line)) = (want, &line) else {
                        match (want, line) {
                            (Want::No | Want::Unknown(_), _) => continue,
                            (Want::Yes(_), _) => return Err(format!("{watch:?} was lost")),
                        }
                    };
                    if line.searching {
                        return Err(format!("{watch:?} is searched for, and no end"));
                    }
                    let truth = self.nodes.truth(watch);
                    let missed =
                        truth.iter().find(|hit| hit.0.height >= *from && !line.hits.contains(hit));
                    if let Some((block, _)) = missed {
                        return Err(format!("{watch:?} was not found in {block}"));
                    }
                    if let Some((block, _)) = line.hits.iter().find(|hit| !truth.contains(hit)) {
                        return Err(format!("{watch:?} is not in {block}"));
                    }
                }
                Ok(())
            }
            (Command::Coins, Ok(Reply::Coins(coins))) => {
                self.last.insert("coins");
                let ours = coins.iter().filter(|coin| coin.height.is_some());
                let ours: BTreeSet<_> = ours.map(|coin| coin.outpoint).collect();
                let truth = self.nodes.unspent(&self.scripts());
                match ours.symmetric_difference(&truth).next() {
                    Some(coin) => Err(format!("the wallet is wrong about {coin}")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn watched(&mut self, watch: Watch, done: bool, is_watch: bool) -> Result<(), Broken> {
        let state = self.disk.state()?;
        let Some(want) = self.truth.wants.get_mut(&watch) else { return Ok(()) };
        let from = match *want {
            Want::Yes(from) | Want::Unknown(from) => from,
            Want::No => Height(0),
        };
        // What is refused is as it was.
        *want = if is_watch == done { Want::Yes(from) } else { Want::No };
        if done && state.watches.contains_key(&watch) != is_watch {
            return Err(format!("{watch:?}: {is_watch} is said, and not durable"));
        }
        Ok(())
    }

    /// All scripts that the wallet can have.
    fn scripts(&self) -> BTreeSet<ScriptBuf> {
        let mut scripts = BTreeSet::new();
        for branch in [Branch::Receive, Branch::Change] {
            for index in 0..ADDRESSES {
                let index = KeyIndex::new(index).expect("it is small");
                scripts.insert(self.account.script(KeyPlace { branch, index }));
            }
        }
        scripts
    }

    pub(super) fn last_calls(&mut self) {
        self.call(Command::Watches);
        self.call(Command::Coins);
    }

    /// It can never be confirmed: it was refused for ever, another one is in its place, or one of
    /// those that it spends from is doomed.
    fn is_doomed(&self, txid: bitcoin::Txid) -> bool {
        let mut left = vec![txid];
        let mut seen = BTreeSet::new();
        while let Some(txid) = left.pop() {
            if self.truth.refused.contains(&txid) {
                return true;
            }
            let Some(published) = self.truth.published.get(&txid) else { continue };
            if self.nodes.is_impossible(published) {
                return true;
            }
            let parents = published.input.iter().map(|it| it.previous_output.txid);
            left.extend(parents.filter(|it| seen.insert(*it)));
        }
        false
    }

    pub(super) fn end(&mut self) -> Result<(), Broken> {
        let Some(office) = &self.office else { return Err("there is no node".to_owned()) };
        let health = office.treasury.health();
        if *health != Health::Up {
            return Err(format!("the source is well, and said to be otherwise: {health}"));
        }
        let tip = office.treasury.tip().map(|block| block.hash);
        if tip != Some(self.nodes.tip()) {
            return Err(format!("the node is at {tip:?}, the chain at {}", self.nodes.tip()));
        }
        let seen = self.signer.view().tip().hash;
        if seen != self.nodes.tip() {
            return Err(format!("the signer is at {seen}, the chain at {}", self.nodes.tip()));
        }
        if self.last.len() != 2 {
            return Err(format!("of the last calls only these were replied: {:?}", self.last));
        }
        for number in 1..=self.payments {
            let times = self.nodes.paid(&script(500 + number));
            if times > 1 {
                return Err(format!("payment {number} was paid {times} times"));
            }
        }
        for txid in &self.truth.sent {
            let confirmed = self.nodes.is_confirmed(*txid);
            self.paid += u64::from(confirmed);
            if !confirmed && !self.is_doomed(*txid) {
                return Err(format!("{txid} was said to be on its way, and is nowhere"));
            }
        }
        Ok(())
    }
}
