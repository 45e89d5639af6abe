//! Who has what when all is over, to the satoshi: what the last state says, less what was paid to
//! miners by each.

use bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};
use tx::{Form, Side};
use wire::amount::{Msat, Sat};

use super::World;
use super::world::{COIN, COINS};

/// One of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// We.
    Us,
    /// LDK.
    Ldk,
}

/// Both.
pub const BOTH: [Who; 2] = [Who::Us, Who::Ldk];
/// An output by which a child pays for a commitment.
const ANCHOR: u64 = 330;

/// What both had agreed on before the end, in their order.
#[derive(Clone, Debug)]
pub struct Deal {
    /// What each has beside what it has offered.
    pub free: [Msat; 2],
    /// Whoever has opened the channel pays for the commitment.
    pub opener: Who,
    form: Form,
    rate: u64,
    capacity: Sat,
    funding: OutPoint,
}

impl Who {
    /// The other.
    pub const fn other(self) -> Self {
        match self {
            Self::Us => Self::Ldk,
            Self::Ldk => Self::Us,
        }
    }
}

impl Deal {
    /// As both say now, at rest.
    pub fn of(world: &World) -> Self {
        world.assert_same();
        let live = world.ours.channel();
        let (ours, theirs, _) = world.ours.balances();
        let opener = if live.side() == Side::Opener { Who::Us } else { Who::Ldk };
        let agreed = live.begun().agreed();
        let rate = u64::from(world.theirs.rate().expect("it has a channel"));
        let (form, capacity) = (agreed.form, agreed.funding);
        Self { free: [ours, theirs], opener, form, rate, capacity, funding: live.funding() }
    }

    /// A contract has ended between both, and one has what it holds.
    pub fn won(&mut self, by: Who, amount: Msat) {
        self.free[by as usize].0 += amount.0;
    }

    /// Contracts whose second stage is in the chain: what takes them pays to a script.
    pub fn stages(&self, world: &World) -> usize {
        let money = Money::of(world, self);
        let txid = money.first.compute_txid();
        let all = money.fees.iter().map(|(.., of)| world.chain.transaction(of).expect("it is in"));
        all.map(|it| {
            let inputs = it.input.iter().filter(|it| it.previous_output.txid == txid);
            let pays_script = it.output.first().is_some_and(|it| it.script_pubkey.is_p2wsh());
            if pays_script { inputs.count() } else { 0 }
        })
        .sum()
    }

    /// The same deal with other balances.
    pub fn with(&self, free: [Msat; 2]) -> Self {
        Self { free, ..self.clone() }
    }

    /// Whether a commitment with these outputs of contracts has ended it.
    pub fn is_settled_by(&self, world: &World, outputs: &[Msat]) -> bool {
        let money = Money::of(world, self);
        let mut want: Vec<u64> = outputs.iter().map(|it| it.0 / 1_000).collect();
        for who in BOTH {
            let mut have = self.free[who as usize].0 / 1_000;
            if who == self.opener {
                have = have.saturating_sub(self.commitment_fee(outputs.len() as u64));
            }
            want.push(have);
        }
        if self.form == Form::Anchors {
            want.extend([ANCHOR; 2]);
        }
        want.sort_unstable();
        let mut have: Vec<u64> = money.first.output.iter().map(|it| it.value.to_sat()).collect();
        have.sort_unstable();
        have == want
    }

    /// Whether a close of both has ended it, and no commitment.
    pub fn is_closed_together(&self, world: &World) -> bool {
        let money = Money::of(world, self);
        // A commitment has its number there.
        money.first.input[0].sequence.0 >> 24 != 0x80
    }

    /// What the opener pays for a commitment with so many contracts.
    fn commitment_fee(&self, contracts: u64) -> u64 {
        let (alone, anchors) = match self.form {
            Form::Anchors => (1_124, 2 * ANCHOR),
            Form::StaticRemoteKey => (724, 0),
        };
        (alone + 172 * contracts) * self.rate / 1_000 + anchors
    }

    /// Both have what this says, if a commitment with so many outputs of contracts has ended the
    /// channel, and these have gone to whoever is named.
    pub fn assert_settled(&self, world: &World, outputs: &[(Who, Msat)]) {
        let money = Money::of(world, self);
        let count = outputs.len() as u64;
        for who in BOTH {
            let won = outputs.iter().filter(|(by, _)| *by == who);
            let mut want = self.free[who as usize].0 / 1_000;
            want += won.map(|(_, amount)| amount.0 / 1_000).sum::<u64>();
            if who == self.opener {
                want -= self.commitment_fee(count);
            }
            money.assert_has(world, who, want);
        }
    }

    /// All that was in the revoked commitment has gone to one.
    pub fn assert_punished(&self, world: &World, by: Who) {
        let money = Money::of(world, self);
        let anchors: u64 = money.anchors.iter().map(|_| ANCHOR).sum();
        let all: u64 = money.first.output.iter().map(|it| it.value.to_sat()).sum();
        money.assert_has(world, by, all - anchors);
        money.assert_has(world, by.other(), 0);
    }

    /// Both have what this says, if they have closed together.
    pub fn assert_closed(&self, world: &World, payer: Who) {
        let money = Money::of(world, self);
        let out: u64 = money.first.output.iter().map(|it| it.value.to_sat()).sum();
        let fee = self.capacity.0 - out;
        for who in BOTH {
            let mut want = self.free[who as usize].0 / 1_000;
            if who == payer {
                // What is below a satoshi of the other is the miner's.
                let lost = self.capacity.0 - self.free.iter().map(|it| it.0 / 1_000).sum::<u64>();
                want -= fee - lost;
            }
            money.assert_has(world, who, want);
        }
        assert!(fee >= 253 * money.first.weight().to_wu() / 1_000, "{fee} is relayed");
    }
}

/// All that has happened with the money of a channel.
struct Money {
    /// What has spent the funding.
    first: Transaction,
    /// All that came after it, and who has paid for it how much.
    fees: Vec<(Who, u64, Txid)>,
    /// Anchors, and who has spent them.
    anchors: Vec<Option<Who>>,
}

impl Money {
    fn of(world: &World, deal: &Deal) -> Self {
        let chain = &world.chain;
        let mut all = Vec::new();
        let mut family = vec![deal.funding.txid];
        let mut first = None;
        for height in 1..=chain.height() {
            for transaction in &chain.block(height).txdata[1..] {
                let spends = |txid: &Txid| {
                    transaction.input.iter().any(|it| it.previous_output.txid == *txid)
                };
                if !family.iter().any(spends) {
                    continue;
                }
                family.push(transaction.compute_txid());
                match first {
                    None => first = Some(transaction.clone()),
                    Some(_) => all.push(transaction.clone()),
                }
            }
        }
        let first = first.expect("the channel has ended");
        assert_eq!(first.input[0].previous_output, deal.funding);
        let fees = all.iter().map(|it| {
            let payer = payer(world, it, &all);
            let spent: u64 = it.input.iter().map(|it| value(world, &it.previous_output)).sum();
            let out: u64 = it.output.iter().map(|it| it.value.to_sat()).sum();
            (payer, spent - out, it.compute_txid())
        });
        let fees = fees.collect();
        let txid = first.compute_txid();
        let is_anchor =
            |output: &bitcoin::TxOut| output.value.to_sat() == ANCHOR && deal.form == Form::Anchors;
        let anchors = (0..).zip(&first.output).filter(|(_, output)| is_anchor(output));
        let anchors = anchors.map(|(vout, _)| {
            let at = OutPoint { txid, vout };
            let spends = |it: &&Transaction| it.input.iter().any(|it| it.previous_output == at);
            all.iter().find(spends).map(|it| payer(world, it, &all))
        });
        let anchors = anchors.collect();
        Self { first, fees, anchors }
    }

    /// One has what is due, less what it has paid to miners, and with the anchors it has spent.
    fn assert_has(&self, world: &World, who: Who, due: u64) {
        let paid: u64 = self.fees.iter().filter(|(by, ..)| *by == who).map(|(_, fee, _)| fee).sum();
        let spent = self.anchors.iter().filter(|by| **by == Some(who)).count() as u64;
        let want = i128::from(due + spent * ANCHOR) - i128::from(paid);
        let have = i128::from(has(world, who)) - i128::from(u64::from(COINS) * COIN.0);
        assert_eq!(have, want, "{who:?} of {due}: {:?}, anchors {:?}", self.fees, self.anchors);
    }
}

/// Where one side's money is: its wallet.
fn scripts(world: &World, who: Who) -> Vec<ScriptBuf> {
    match who {
        Who::Us => {
            let coins = (1..=COINS).map(|index| world.ours.coin_place(index).1);
            coins.chain([world.ours.home().script]).collect()
        }
        Who::Ldk => vec![world.theirs.script()],
    }
}

fn has(world: &World, who: Who) -> u64 {
    let coins = scripts(world, who).into_iter().map(|it| world.chain.coins(&it));
    coins.flat_map(|it| it.into_values().map(|it| it.value.to_sat())).sum()
}

fn script(world: &World, at: &OutPoint) -> ScriptBuf {
    let transaction = world.chain.transaction(&at.txid).expect("it was spent");
    transaction.output[at.vout as usize].script_pubkey.clone()
}

fn value(world: &World, at: &OutPoint) -> u64 {
    let transaction = world.chain.transaction(&at.txid).expect("it was spent");
    transaction.output[at.vout as usize].value.to_sat()
}

/// Whose coins are in it; if there are none, whoever has in the end what it pays.
fn payer(world: &World, transaction: &Transaction, all: &[Transaction]) -> Who {
    let of = |script: &ScriptBuf| BOTH.into_iter().find(|it| scripts(world, *it).contains(script));
    let spent = transaction.input.iter().map(|it| script(world, &it.previous_output));
    if let Some(who) = spent.filter_map(|it| of(&it)).next() {
        return who;
    }
    let mut at = transaction;
    for _ in 0..all.len() {
        if let Some(who) = at.output.iter().find_map(|it| of(&it.script_pubkey)) {
            return who;
        }
        let txid = at.compute_txid();
        let next = |it: &&Transaction| it.input.iter().any(|it| it.previous_output.txid == txid);
        at = all.iter().find(next).expect("somebody has it in the end");
    }
    panic!("nobody has what {} pays", transaction.compute_txid());
}
