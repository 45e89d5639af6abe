//! LDK with itself, and ourselves with ourselves: the same waves of payments, to be timed.
//!
//! A wave is so many HTLCs of the same amount: all are added, committed on both sides, fulfilled,
//! and committed again. All messages go over as bytes. Waves go to and fro in turns.

use std::path::PathBuf;

use bitcoin::Txid;
use bitcoin::hashes::{Hash as _, sha256};
use channel::{
    Begun, ContractId, Dialects, End, Event, Funding, FundingOutput, Offer, Policy, Sum, Variation,
};
use lightning::types::payment::PaymentPreimage;
use lightning::util::logger::Level;
use tx::Form;
use wire::amount::{BlockCount, BlockHeight, FeeratePerKw, HtlcCount, Msat, Sat};
use wire::id::{self, OnionPacket, OutputIndex, TemporaryChannelId};

use super::ours::{KEY, Ours, policy};
use super::theirs::{Happened, Theirs, Wants};
use super::{Chain, LdkSaves, OurDisk, parts};

/// The size of a channel: half of it is on each side.
const CAPACITY: Sat = Sat(16_000_000);
const HALF: Msat = Msat(CAPACITY.0 * 500);
const RATE: FeeratePerKw = FeeratePerKw(1_000);
const FORM: Form = Form::Anchors;
/// Of the transaction that funds our own pairs.
pub const TXID: [u8; 32] = [5; 32];
/// What each HTLC of a wave pays.
pub const AMOUNT: Msat = Msat(1_000_000);
/// As many as BOLT 2 allows.
const HTLCS_MAX: HtlcCount = HtlcCount(483);
/// When the HTLCs of our waves expire.
const EXPIRY: BlockHeight = BlockHeight(500);

/// Two nodes of LDK and their channel.
pub struct Ldks {
    ends: [Theirs; 2],
    waves: usize,
}

/// Two of our channels, which are one.
pub struct Twins {
    ends: [Ours; 2],
    waves: usize,
    preimages: Vec<id::PaymentPreimage>,
    onion: Box<OnionPacket>,
}

impl Ldks {
    /// An open channel; nothing is saved.
    pub fn open() -> Self {
        Self::saving([LdkSaves::Nothing; 2])
    }

    /// An open channel whose sides save like this.
    pub fn saving(saves: [LdkSaves<'_>; 2]) -> Self {
        let wants = Wants {
            form: FORM,
            depth: BlockCount(3),
            rate: RATE,
            htlcs_max: HTLCS_MAX,
            level: Level::Error,
        };
        let [first, second] = saves;
        let end = |seed, peer, it| Theirs::saving(seed, Theirs::id_of(peer), &wants, it);
        let mut pair = Self { ends: [end(5, 6, first), end(6, 5, second)], waves: 0 };
        let mut chain = Chain::new();
        for _ in 0..Chain::first_blocks() {
            pair.mine(&mut chain);
        }
        pair.ends.iter_mut().for_each(|end| end.connect(FORM));
        pair.ends[0].open(CAPACITY, HALF);
        pair.settle();
        let (script, value) = pair.ends[0].wants_funding().expect("both have agreed");
        let funding = chain.pay(script, value);
        pair.ends[0].funded(funding);
        pair.settle();
        for _ in 0..6 {
            pair.mine(&mut chain);
            pair.settle();
        }
        assert!(pair.ends.iter().all(Theirs::is_usable), "the channel is open");
        pair
    }

    /// So many payments, from offer to end.
    pub fn wave(&mut self, payments: usize) {
        let at = self.waves % 2;
        self.waves += 1;
        for _ in 0..payments {
            let invoice = self.ends[1 - at].invoice();
            assert!(self.ends[at].begin_payment(AMOUNT, invoice), "it has means");
        }
        self.ends[at].pump();
        self.settle();
        let claimable = |it: Happened| match it {
            Happened::Claimable(_, preimage) => Some(preimage),
            Happened::Claimed(_)
            | Happened::Sent(_)
            | Happened::Failed(_)
            | Happened::Ready
            | Happened::Closed(_) => None,
        };
        let told = std::mem::take(&mut self.ends[1 - at].told);
        let preimages: Vec<PaymentPreimage> = told.into_iter().filter_map(claimable).collect();
        assert_eq!(preimages.len(), payments, "all have come");
        for preimage in preimages {
            self.ends[1 - at].manager().claim_funds(preimage);
        }
        self.ends[1 - at].pump();
        self.settle();
        let told = std::mem::take(&mut self.ends[at].told);
        let sent = told.iter().filter(|it| matches!(it, Happened::Sent(_))).count();
        assert_eq!(sent, payments, "all are paid");
        self.ends[1 - at].told.clear();
    }

    fn mine(&mut self, chain: &mut Chain) {
        self.ends.iter().flat_map(Theirs::published).for_each(|tx| _ = chain.publish(tx));
        let block = chain.mine();
        let height = chain.height();
        self.ends.iter_mut().for_each(|end| end.block(&block, height));
    }

    fn settle(&mut self) {
        let [first, second] = &mut self.ends;
        while !(first.sent.is_empty() && second.sent.is_empty()) {
            parts::carry(&mut first.sent, |bytes| second.deliver(&bytes));
            parts::carry(&mut second.sent, |bytes| first.deliver(&bytes));
        }
        let complaints = [&first.complaints, &second.complaints];
        assert!(complaints.iter().all(|it| it.is_empty()), "{complaints:?}");
    }
}

impl Twins {
    /// An open channel, in which so many payments are under way at most; nothing is saved.
    pub fn open(payments: usize) -> Self {
        Self::with(payments, Ours::new)
    }

    /// The same, whose sides save: each in a store, and its signer in a folder.
    pub fn saving(payments: usize, mut place: impl FnMut() -> (PathBuf, OurDisk)) -> Self {
        Self::with(payments, |entropy, policy| {
            let (dir, disk) = place();
            Ours::saving(entropy, policy, &dir, disk)
        })
    }

    fn with(payments: usize, mut end: impl FnMut(u8, Policy) -> Ours) -> Self {
        let (htlcs_max, in_flight_percent) = (HTLCS_MAX, 100);
        let policy = Policy { htlcs_max, in_flight_percent, ..policy() };
        let mut pair = Self {
            ends: [end(7, policy.clone()), end(8, policy)],
            waves: 0,
            preimages: (0..payments).map(preimage).collect(),
            onion: Box::new(OnionPacket(std::array::from_fn(|at| at as u8))),
        };
        pair.ends.iter_mut().for_each(|end| end.connect(Dialects::default()));
        let home = pair.ends[0].home();
        pair.ends[0].open(&Funding {
            key: KEY,
            temporary: TemporaryChannelId([1; 32]),
            funding: CAPACITY,
            pushed: HALF,
            feerate: RATE,
            form: FORM,
            variation: Variation::default(),
            announce: false,
            home,
        });
        pair.settle();
        let (txid, output) = (Txid::from_byte_array(TXID), OutputIndex(0));
        pair.ends[0].funded(FundingOutput { txid, output });
        pair.settle();
        pair.ends.iter_mut().for_each(Ours::is_deep);
        pair.settle();
        assert!(pair.ends.iter().all(Ours::is_usable), "the channel is open");
        pair
    }

    /// So many payments, from offer to end.
    pub fn wave(&mut self, payments: usize) {
        let at = self.waves % 2;
        self.waves += 1;
        for preimage in &self.preimages[..payments] {
            let offer = offer(preimage, &self.onion);
            self.ends[at].offer(offer).unwrap_or_else(|no| panic!("{no}"));
        }
        self.settle();
        let told = std::mem::take(&mut self.ends[1 - at].told);
        let offered = told.iter().filter_map(offered);
        let mut count = 0;
        for (id, preimage) in offered.zip(&self.preimages) {
            let ended = self.ends[1 - at].end(id.id, End::Fulfilled(*preimage));
            ended.unwrap_or_else(|no| panic!("{no}"));
            count += 1;
        }
        assert_eq!(count, payments, "all have come");
        self.settle();
        for end in &mut self.ends {
            let told = std::mem::take(&mut end.told);
            let over: Vec<_> = told.iter().filter_map(over).collect();
            assert_eq!(over.len(), payments, "all are paid");
            // Nothing leaves after this: it is saved with what comes next.
            over.into_iter().for_each(|id| end.heard(id));
            end.forget_log();
        }
    }

    /// So many are under way in each direction, and stay so.
    pub fn hold(&mut self, payments: usize) {
        for end in &mut self.ends {
            for at in 0..payments {
                let offer = offer(&preimage(usize::MAX - at), &self.onion);
                end.offer(offer).unwrap_or_else(|no| panic!("{no}"));
            }
        }
        self.settle();
        for end in &mut self.ends {
            let told = std::mem::take(&mut end.told);
            assert_eq!(told.iter().filter_map(offered).count(), payments, "all have come");
            end.forget_log();
        }
    }

    /// With what the channel of the first side has begun.
    pub fn begun(&self) -> &Begun {
        self.ends[0].channel().begun()
    }

    /// All that has become of it.
    pub fn sum(&self) -> Sum {
        self.ends[0].channel().sum()
    }

    /// What a commitment of now weighs.
    pub fn weight(&self) -> u64 {
        FORM.weight(self.ends[0].channel().ledger().entries().len())
    }

    fn settle(&mut self) {
        let [first, second] = &mut self.ends;
        loop {
            first.pump_together();
            parts::carry(&mut first.sent, |bytes| second.deliver(bytes));
            second.pump_together();
            parts::carry(&mut second.sent, |bytes| first.deliver(bytes));
            if !first.has_mail() {
                break;
            }
        }
        assert_eq!([&first.broken, &second.broken], [&None, &None]);
    }
}

fn preimage(at: usize) -> id::PaymentPreimage {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&at.to_be_bytes());
    id::PaymentPreimage(bytes)
}

fn offer(preimage: &id::PaymentPreimage, onion: &OnionPacket) -> Offer {
    Offer {
        amount: AMOUNT,
        payment_hash: id::PaymentHash(sha256::Hash::hash(&preimage.0).to_byte_array()),
        cltv_expiry: EXPIRY,
        onion: Box::new(*onion),
        path_key: None,
    }
}

fn offered(event: &Event) -> Option<ContractId> {
    if let Event::Offered(id) = event { Some(*id) } else { None }
}

fn over(event: &Event) -> Option<ContractId> {
    if let Event::Over { id, .. } = event { Some(*id) } else { None }
}
