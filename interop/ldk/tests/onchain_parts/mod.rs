//! A channel with LDK, contracts in it, and what both say of them.

mod closing;
mod forced;
mod revoked;
mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::hashes::{Hash as _, sha256};
use channel::{ContractId, End, Event, Known, Offer};
use interop_ldk::channel::{BOTH, CAPACITY, Deal, Happened, PUSHED, Who, World, policy};
use lightning::types::payment::{PaymentHash, PaymentPreimage};
use tx::Form;
use wire::amount::Msat;
use wire::id;
use wire::list::Blob;

const FORMS: [Form; 2] = [Form::Anchors, Form::StaticRemoteKey];

/// One HTLC.
#[derive(Clone, Debug)]
struct Contract {
    by: Who,
    amount: Msat,
    hash: PaymentHash,
    id: ContractId,
    preimage: PaymentPreimage,
}

/// A channel that can be used, and its HTLCs.
struct Scene {
    world: World,
    number: u64,
    /// LDK's names for what it could claim.
    claimable: BTreeMap<PaymentHash, PaymentPreimage>,
    /// How contracts have ended, as we say: paid or not.
    over: BTreeMap<ContractId, bool>,
    shown: BTreeSet<ContractId>,
    /// How they have ended as LDK says.
    sent: BTreeSet<PaymentHash>,
    failed: BTreeSet<PaymentHash>,
    claimed: BTreeSet<PaymentHash>,
    is_done: bool,
    /// What LDK offers and we have heard of.
    offered: BTreeSet<ContractId>,
}

impl Scene {
    fn new(form: Form, opener: Who) -> Self {
        let mut world = World::new(form, policy());
        world.fill_wallets();
        world.propose(opener == Who::Us, (CAPACITY, PUSHED));
        world.settle();
        world.fund();
        world.mine_many(7);
        assert!(world.is_up(), "{:?}", world.chain.refused());
        Self {
            world,
            number: 0,
            claimable: BTreeMap::new(),
            over: BTreeMap::new(),
            shown: BTreeSet::new(),
            sent: BTreeSet::new(),
            failed: BTreeSet::new(),
            claimed: BTreeSet::new(),
            is_done: false,
            offered: BTreeSet::new(),
        }
    }

    /// One side offers, and both have it in every commitment.
    fn offer(&mut self, by: Who, amount: Msat) -> Contract {
        self.number += 1;
        let contract = match by {
            Who::Us => {
                let (hash, secret) = self.world.theirs.invoice();
                let (onion, cltv_expiry) = self.world.theirs.onion(amount, (hash, secret));
                let payment_hash = id::PaymentHash(hash.0);
                let offer = Offer { amount, payment_hash, cltv_expiry, onion, path_key: None };
                let id = self.world.ours.offer(offer).unwrap_or_else(|no| panic!("{no}"));
                self.rest();
                let preimage = self.claimable[&hash];
                Contract { by, amount, hash, id, preimage }
            }
            Who::Ldk => {
                let mut preimage = [7; 32];
                preimage[..8].copy_from_slice(&self.number.to_be_bytes());
                let hash = PaymentHash(sha256::Hash::hash(&preimage).to_byte_array());
                assert!(self.world.theirs.pay(amount, hash), "it has means");
                self.rest();
                let contracts = self.world.ours.channel().contracts();
                let is_it = |it: &Known| it.htlc().is_some_and(|it| it.payment_hash.0 == hash.0);
                let known = contracts.iter().find(|(_, it)| is_it(it));
                let id = *known.expect("it has come").0;
                Contract { by, amount, hash, id, preimage: PaymentPreimage(preimage) }
            }
        };
        self.world.note(format!("{contract:?}"));
        contract
    }

    /// Whoever is paid takes it.
    fn take(&mut self, it: &Contract) {
        match it.by {
            Who::Us => self.world.theirs.claim(it.preimage),
            Who::Ldk => {
                let end = End::Fulfilled(id::PaymentPreimage(it.preimage.0));
                self.world.ours.end(it.id.id, end).unwrap_or_else(|no| panic!("{no}"));
            }
        }
    }

    /// Whoever is paid gives it back.
    fn give_back(&mut self, it: &Contract) {
        match it.by {
            Who::Us => self.world.theirs.fail(it.hash),
            Who::Ldk => {
                let end = End::Failed(Blob(vec![1; 256]));
                self.world.ours.end(it.id.id, end).unwrap_or_else(|no| panic!("{no}"));
            }
        }
    }

    /// Everything that is under way arrives, and both say what they have to say.
    fn rest(&mut self) {
        self.world.settle();
        self.listen();
    }

    fn close(&mut self, by: Who) {
        match by {
            Who::Us => self.world.ours.close().unwrap_or_else(|no| panic!("{no}")),
            Who::Ldk => self.world.theirs.close(),
        }
    }

    fn reconnect(&mut self, crash: bool) {
        self.world.disconnect(crash);
        self.world.connect();
    }

    fn finish(&mut self) {
        self.world.finish();
        self.listen();
    }

    /// Second stages of whoever has published a commitment, in blocks.
    fn stages(&self, deal: &Deal) -> usize {
        deal.stages(&self.world)
    }

    fn deal(&self) -> Deal {
        Deal::of(&self.world)
    }

    fn listen(&mut self) {
        while let Some(event) = self.world.ours.told.pop_front() {
            match event {
                Event::Over { id, end } => {
                    let is_paid = matches!(end, End::Fulfilled(_));
                    let before = self.over.insert(id, is_paid);
                    assert!(before.is_none_or(|it| it == is_paid), "{id:?} ends twice");
                    self.world.ours.heard(id);
                }
                Event::Fulfilled(id, _) => _ = self.shown.insert(id),
                Event::Done => self.is_done = true,
                Event::Refused { why } | Event::TakenBack { why, .. } => {
                    panic!("our signer refuses: {why}")
                }
                Event::NeedsCoins => panic!("there are coins enough"),
                Event::Opened(..) | Event::Asked(_) => panic!("LDK has nothing but HTLCs"),
                Event::Offered(id) => _ = self.offered.insert(id),
                Event::Up | Event::Usable | Event::Closing | Event::Failing(_) => {}
            }
        }
        while let Some(event) = self.world.theirs.told.pop_front() {
            match event {
                Happened::Claimable(hash, preimage) => _ = self.claimable.insert(hash, preimage),
                Happened::Claimed(hash) => _ = self.claimed.insert(hash),
                Happened::Sent(hash) => _ = self.sent.insert(hash),
                Happened::Failed(hash) => _ = self.failed.insert(hash),
                Happened::Ready | Happened::Closed(_) => {}
            }
        }
    }

    /// Both know that it has ended so.
    fn assert_over(&self, it: &Contract, is_paid: bool) {
        assert_eq!(self.over.get(&it.id), Some(&is_paid), "we of {it:?}");
        let (paid, back) = match it.by {
            Who::Us => (&self.claimed, None),
            Who::Ldk => (&self.sent, Some(&self.failed)),
        };
        assert_eq!(paid.contains(&it.hash), is_paid, "LDK of {it:?}");
        if let Some(back) = back {
            assert_eq!(back.contains(&it.hash), !is_paid, "LDK of {it:?}");
        }
        assert!(!is_paid || it.by == Who::Ldk || self.shown.contains(&it.id), "{it:?}");
    }
}
