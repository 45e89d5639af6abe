//! Both sides, the chain, and the connection between them.

use std::collections::VecDeque;

use bitcoin::secp256k1::{PublicKey, SECP256K1, SecretKey};
use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use channel::{Dialects, Funding, FundingOutput, Policy, Variation};
use lightning::util::logger::Level;
use tx::Form;
use wire::Message;
use wire::amount::{FeeratePerKw, HtlcCount, Msat, Sat};
use wire::features::{Feature, Features};
use wire::id::{OutputIndex, TemporaryChannelId};

use super::ours::KEY;
use super::{Chain, OldMonitor, Ours, Theirs, Wants};

/// The size of the channel.
pub const CAPACITY: Sat = Sat(10_000_000);
/// What the opener gives away at once.
pub const PUSHED: Msat = Msat(4_000_000_000);
/// The first rate.
const RATE: FeeratePerKw = FeeratePerKw(1_000);
/// Messages until both sides are at rest.
const MESSAGES_MAX: usize = 100_000;
/// Coins of each wallet, and what is in each.
pub const COINS: u32 = 20;
/// The same.
pub const COIN: Sat = Sat(50_000);
/// Blocks until all that follows from an end is final.
const END_BLOCKS_MAX: usize = 700;
/// Blocks until a channel is open.
const BLOCKS_MAX: usize = 20;

/// A channel between LDK and us.
pub struct World {
    /// Our side.
    pub ours: Ours,
    /// LDK's.
    pub theirs: Theirs,
    /// The chain.
    pub chain: Chain,
    /// LDK as it once was, if it cheats.
    pub old: Option<OldMonitor>,
    /// We as we once were, if we cheat.
    pub twin: Option<Ours>,
    /// Whether we see blocks, and whether LDK does.
    pub sees: [bool; 2],
    seen: [u32; 2],
    form: Form,
    is_connected: bool,
    /// The last messages and what happened between them: who fails shows them.
    trace: VecDeque<String>,
}

/// So much of that is kept.
const TRACE_MAX: usize = 50;

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.trace.iter().for_each(|line| println!("{line}"));
        }
    }
}

impl World {
    /// Both nodes are there, connected, and have money; there is no channel yet.
    pub fn new(form: Form, policy: Policy) -> Self {
        let key = SecretKey::from_slice(&[9; 32]).expect("below the order");
        let id = PublicKey::from_secret_key(SECP256K1, &key);
        let wants = Wants {
            form,
            depth: policy.minimum_depth,
            rate: RATE,
            htlcs_max: HtlcCount(50),
            level: Level::Info,
        };
        let theirs = Theirs::new(5, id, &wants);
        let mut world = Self {
            ours: Ours::new(6, policy),
            theirs,
            chain: Chain::new(),
            old: None,
            twin: None,
            sees: [true; 2],
            seen: [0; 2],
            form,
            is_connected: false,
            trace: VecDeque::new(),
        };
        for _ in 0..Chain::first_blocks() {
            world.mine();
        }
        world.connect();
        world
    }

    /// An open channel.
    pub fn open(form: Form, by_us: bool, policy: Policy) -> Self {
        Self::open_with(form, by_us, policy, (CAPACITY, PUSHED))
    }

    /// An open channel of this size, of which so much was given away.
    pub fn open_with(form: Form, by_us: bool, policy: Policy, size: (Sat, Msat)) -> Self {
        let mut world = Self::new(form, policy);
        world.propose(by_us, size);
        world.settle();
        world.fund();
        world.settle();
        for _ in 0..BLOCKS_MAX {
            world.mine();
            world.settle();
            if world.is_up() {
                return world;
            }
        }
        panic!("the channel is not open after {BLOCKS_MAX} blocks");
    }

    /// One side sends `open_channel`.
    pub fn propose(&mut self, by_us: bool, (funding, pushed): (Sat, Msat)) {
        match by_us {
            true => self.ours.open(&Funding {
                key: KEY,
                temporary: TemporaryChannelId([1; 32]),
                funding,
                pushed,
                feerate: RATE,
                form: self.form,
                variation: Variation::default(),
                announce: false,
                home: self.ours.home(),
            }),
            false => self.theirs.open(funding, pushed),
        }
    }

    /// Whoever waits for a funding gets it; ours is published when both have signed.
    pub fn fund(&mut self) {
        if let Some((script, value)) = self.theirs.wants_funding() {
            let funding = self.chain.pay(script, value);
            self.theirs.funded(funding);
        }
        if let Some((script, value)) = self.ours.wants_funding() {
            let funding = self.chain.pay(script, value);
            let output = OutputIndex(0);
            self.ours.funded(FundingOutput { txid: funding.compute_txid(), output });
            self.settle();
            assert!(self.ours.is_opened(), "both have signed: {:?}", self.ours.broken);
            self.chain.publish(vec![funding]);
        }
    }

    /// Both have coins in their wallets.
    pub fn fill_wallets(&mut self) {
        let value = Amount::from_sat(COIN.0);
        let to_us = (1..=COINS).map(|index| self.ours.coin_place(index).1);
        let to_ldk = (1..=COINS).map(|_| self.theirs.script());
        let outputs = to_us.chain(to_ldk).map(|script_pubkey| TxOut { value, script_pubkey });
        let paid = self.chain.pay_all(outputs.collect());
        let txid = paid.compute_txid();
        self.chain.publish(vec![paid]);
        self.mine();
        for vout in 0..COINS {
            self.ours.add_coin(OutPoint { txid, vout }, value, vout + 1);
        }
    }

    /// Mines a block that has all that was published and may be in it.
    pub fn mine(&mut self) {
        self.publish();
        self.chain.mine();
        self.show();
    }

    /// All that anybody has published goes to the mempool.
    pub fn publish(&mut self) {
        let mut all = self.theirs.published();
        all.append(&mut self.ours.published);
        all.extend(self.old.iter().flat_map(OldMonitor::published));
        if let Some(twin) = &mut self.twin {
            twin.pump();
            all.append(&mut twin.published);
        }
        for package in all {
            let brief: Vec<_> = package.iter().map(spends).collect();
            if self.chain.publish(package) {
                let height = self.chain.height();
                self.note(format!("published at {height}: {}", brief.join(", ")));
            }
        }
    }

    /// Shows all blocks to whoever has not seen them and can see them.
    pub fn show(&mut self) {
        let height = self.chain.height();
        let coins = self.chain.coins(&self.theirs.script());
        self.theirs.set_coins(coins.into_iter().collect());
        while self.sees[0] && self.seen[0] < height {
            self.seen[0] += 1;
            self.ours.block(&self.chain.block(self.seen[0]), self.seen[0]);
        }
        while self.sees[1] && self.seen[1] < height {
            self.seen[1] += 1;
            let block = self.chain.block(self.seen[1]);
            self.theirs.block(&block, self.seen[1]);
        }
        if let Some(old) = &self.old {
            old.block(&self.chain.block(height), height);
        }
        if let Some(twin) = &mut self.twin {
            twin.block(&self.chain.block(height), height);
        }
    }

    /// The last blocks go, and as many and one more come, which are empty. What was in them waits
    /// again. All see it.
    pub fn reorg(&mut self, depth: u32) {
        assert!(self.sees == [true; 2] && self.old.is_none() && self.twin.is_none());
        self.note(format!("the last {depth} blocks go"));
        let bottom = self.chain.height() - depth;
        self.chain.unmine(bottom);
        self.ours.unblock(bottom + 1);
        self.theirs.unblock(&self.chain.block(bottom), bottom);
        self.seen = [bottom; 2];
        for _ in 0..=depth {
            self.chain.mine_with(Vec::new());
        }
        self.show();
    }

    /// Blocks come, and all that follows happens.
    pub fn mine_many(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.mine();
            self.settle();
        }
    }

    /// LDK comes back as it was when it wrote this, and closes by force. Whoever it is now sees
    /// no blocks any more.
    pub fn cheat_by_ldk(&mut self, bytes: &[u8]) {
        self.disconnect(false);
        self.sees[1] = false;
        let old = OldMonitor::read(&self.theirs, bytes);
        old.force_close();
        self.old = Some(old);
    }

    /// We come back as we were once, and close by force. Whoever we are now sees no blocks.
    pub fn cheat_by_us(&mut self, mut twin: Ours) {
        self.disconnect(false);
        self.sees[0] = false;
        let height = self.chain.height();
        twin.block(&self.chain.block(height), height);
        twin.force_close();
        self.twin = Some(twin);
    }

    /// Blocks until nothing is left to be done by whoever sees them.
    pub fn finish(&mut self) {
        for _ in 0..END_BLOCKS_MAX {
            let is_over = |live: &channel::Channel| *live.state() == channel::State::Done;
            let ours = !self.sees[0] || self.ours.live().is_some_and(is_over);
            let theirs = match &self.old {
                Some(old) => old.is_swept(),
                None => self.theirs.is_swept(),
            };
            if ours && theirs {
                // What LDK has just swept.
                return self.mine_many(2);
            }
            self.mine_many(1);
        }
        let live = self.ours.channel();
        let refused = self.chain.refused();
        panic!("not done: {:?} {:?} {refused:?}", live.state(), live.ended_by());
    }

    /// Whether both can use the channel.
    pub fn is_up(&self) -> bool {
        self.ours.is_usable() && self.theirs.is_usable()
    }

    /// What both can do, of what they have said when they met.
    pub fn dialects(&self) -> Dialects {
        let form = match self.form {
            Form::Anchors => Feature::Anchors,
            Form::StaticRemoteKey => Feature::StaticRemotekey,
        };
        let ours = [form, Feature::ShutdownAnysegwit, Feature::SimpleClose];
        Dialects::of(&Features::optional(&ours), &self.theirs.features())
    }

    /// Connects both.
    pub fn connect(&mut self) {
        self.theirs.connect(self.form);
        self.ours.connect(self.dialects());
        self.is_connected = true;
    }

    /// The connection is gone, with what was on the wire.
    pub fn disconnect(&mut self, crash: bool) {
        self.note(format!("disconnected, our side restarts: {crash}"));
        if std::mem::take(&mut self.is_connected) {
            self.theirs.disconnect();
        }
        self.ours.disconnect(crash);
    }

    /// One message goes over. False if there is none.
    pub fn carry(&mut self, to_us: bool) -> bool {
        let wire = if to_us { &mut self.theirs.sent } else { &mut self.ours.sent };
        let Some(bytes) = wire.pop_front() else { return false };
        self.note(format!("{} {}", if to_us { "<-" } else { "->" }, brief(&bytes)));
        match to_us {
            true => self.ours.deliver(bytes),
            false => self.theirs.deliver(&bytes),
        }
        true
    }

    /// Notes what happens.
    pub fn note(&mut self, line: String) {
        self.trace.push_back(line);
        if self.trace.len() > TRACE_MAX {
            self.trace.pop_front();
        }
    }

    /// Everything that is under way arrives.
    pub fn settle(&mut self) {
        for _ in 0..MESSAGES_MAX {
            self.ours.pump();
            self.theirs.pump();
            if self.ours.wants_away {
                self.disconnect(false);
            }
            let moved = [self.carry(true), self.carry(false)];
            if moved == [false, false] {
                return;
            }
        }
        panic!("both sides do not come to rest");
    }

    /// Whether both sides have the same, if nothing is on the wire.
    pub fn assert_same(&self) {
        assert_eq!(self.ours.broken, None);
        assert_eq!(self.theirs.complaints, Vec::<String>::new());
        let (have, peer, pending) = self.ours.balances();
        let theirs = self.theirs.balances().expect("it has a channel");
        assert_eq!((peer, have, pending), theirs, "LDK's balance, ours, and HTLCs under way");
    }
}

/// A transaction in a few words.
fn spends(transaction: &Transaction) -> String {
    let from = transaction.input.iter().map(|it| it.previous_output.to_string()[..6].to_owned());
    let from: Vec<_> = from.collect();
    let out: Vec<_> = transaction.output.iter().map(|it| it.value.to_sat()).collect();
    let txid = transaction.compute_txid().to_string();
    format!("{} of {} at {}: {out:?}", &txid[..6], from.join(" "), transaction.lock_time)
}

/// A message in a few words.
#[allow(clippy::wildcard_enum_match_arm, reason = "the name is enough for most")]
fn brief(bytes: &[u8]) -> String {
    let Ok(message) = Message::decode(bytes) else { return "?".to_owned() };
    let more = match &message {
        Message::UpdateAddHtlc(it) => format!(" {} of {}", it.id, it.amount_msat),
        Message::UpdateFulfillHtlc(it) => format!(" {}", it.id),
        Message::UpdateFailHtlc(it) => format!(" {}", it.id),
        Message::UpdateFailMalformedHtlc(it) => format!(" {}", it.id),
        Message::UpdateFee(it) => format!(" {}", it.feerate_per_kw),
        Message::CommitmentSigned(it) => format!(" with {}", it.htlc_signature.len()),
        Message::ChannelReestablish(it) => {
            format!(" {} {}", it.next_commitment_number, it.next_revocation_number)
        }
        _ => String::new(),
    };
    format!("{}{more}", message.name())
}
