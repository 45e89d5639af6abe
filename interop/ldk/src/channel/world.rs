//! Both sides, the chain, and the connection between them.

use std::collections::VecDeque;

use bitcoin::secp256k1::{PublicKey, SECP256K1, SecretKey};
use channel::{Funding, FundingOutput, Policy, Variation};
use lightning::util::logger::Level;
use tx::Form;
use wire::Message;
use wire::amount::{FeeratePerKw, HtlcCount, Msat, Sat};
use wire::id::{OutputIndex, TemporaryChannelId};

use super::ours::KEY;
use super::{Chain, Ours, Theirs, Wants};

/// The size of the channel.
pub const CAPACITY: Sat = Sat(10_000_000);
/// What the opener gives away at once.
pub const PUSHED: Msat = Msat(4_000_000_000);
/// The first rate.
const RATE: FeeratePerKw = FeeratePerKw(1_000);
/// Messages until both sides are at rest.
const MESSAGES_MAX: usize = 100_000;
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
    form: Form,
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
            form,
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
            self.chain.publish(funding);
        }
    }

    /// Mines a block that has all that was published.
    pub fn mine(&mut self) {
        for tx in self.theirs.published() {
            self.chain.publish(tx);
        }
        let block = self.chain.mine();
        let height = self.chain.height();
        self.theirs.block(&block, height);
        self.ours.block(&block, height);
    }

    /// Whether both can use the channel.
    pub fn is_up(&self) -> bool {
        self.ours.is_usable() && self.theirs.is_usable()
    }

    /// Connects both.
    pub fn connect(&mut self) {
        self.theirs.connect(self.form);
        self.ours.connect();
    }

    /// The connection is gone, with what was on the wire.
    pub fn disconnect(&mut self, crash: bool) {
        self.note(format!("disconnected, our side restarts: {crash}"));
        self.theirs.disconnect();
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
