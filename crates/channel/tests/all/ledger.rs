//! Two ledgers whose messages cross, are late and are lost: each signature is for the commitment
//! that the other side expects, and in the end both agree with a plain sum.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use channel::{As, ContractId, Ledger};
use tx::{Contract, Htlc, Side};
use wire::amount::{BlockHeight, FeeratePerKw, Msat, Sat};
use wire::dice::Dice;
use wire::id::PaymentHash;

const CAPACITY: Sat = Sat(1_000_000);
const SIDES: [Side; 2] = [Side::Opener, Side::Acceptor];

/// What of a commitment is signed.
type Signed = (Msat, Msat, FeeratePerKw, Vec<(ContractId, Msat)>);

#[derive(Clone, Debug)]
enum Word {
    Add(u64),
    Remove(ContractId, bool),
    Fee(FeeratePerKw),
    Commit(Signed),
    Revoke,
}

struct End {
    me: Side,
    ledger: Ledger,
    inbox: VecDeque<Word>,
    /// `commitment_signed` sent and received, `revoke_and_ack` sent and received.
    commits: [u64; 2],
    revokes: [u64; 2],
    revoked_last: bool,
    /// Of its own commitments and its peer's: the newest signed one, and the newest that nothing
    /// older can be published beside.
    newest: [Signed; 2],
    settled: [Signed; 2],
}

fn contract() -> Arc<dyn Contract> {
    Arc::new(Htlc { payment_hash: PaymentHash([7; 32]), cltv_expiry: BlockHeight(500) })
}

fn signed(ledger: &Ledger, owner: Side, which: As) -> Signed {
    let view = ledger.view(owner, which);
    let contracts = view.contracts.iter().map(|(id, placed)| (*id, placed.amount));
    (view.to_opener, view.to_acceptor, view.feerate, contracts.collect())
}

impl End {
    fn new(me: Side) -> Self {
        let ledger = Ledger::new(CAPACITY, Msat(300_000_000), FeeratePerKw(253));
        let ledger = ledger.expect("there is so much");
        let first = [me, me.other()].map(|owner| signed(&ledger, owner, As::Signed));
        Self {
            me,
            ledger,
            newest: first.clone(),
            settled: first,
            inbox: VecDeque::new(),
            commits: [0; 2],
            revokes: [0; 2],
            revoked_last: false,
        }
    }

    fn removable(&self) -> Vec<ContractId> {
        let mut ledger = self.ledger.clone();
        let ids = self.ledger.entries().keys().copied();
        ids.filter(|id| id.offered_by != self.me && ledger.remove(*id, true)).collect()
    }

    /// What it would have to expect on the chain is what was signed.
    fn check(&self) {
        for (at, owner) in [self.me, self.me.other()].into_iter().enumerate() {
            assert_eq!(signed(&self.ledger, owner, As::Signed), self.newest[at]);
            assert_eq!(signed(&self.ledger, owner, As::Settled), self.settled[at]);
        }
    }

    /// Does something of its own accord.
    fn act(&mut self, dice: &mut Dice, to: &mut VecDeque<Word>, truth: &mut Truth) {
        match dice.below(6) {
            0 | 1 => {
                let amount = 1 + dice.below(90_000_000) as u64;
                if let Some(id) = self.ledger.add(self.me, Msat(amount), contract()) {
                    truth.insert(id, (amount, None));
                    to.push_back(Word::Add(amount));
                }
            }
            2 => {
                let ids = self.removable();
                if let Some(id) = ids.get(dice.below(ids.len())) {
                    let paid = dice.one_in(2);
                    assert!(self.ledger.remove(*id, paid));
                    truth.get_mut(id).expect("it was added").1 = Some(paid);
                    to.push_back(Word::Remove(*id, paid));
                }
            }
            3 if self.me == Side::Opener => {
                let rate = FeeratePerKw(253 + dice.below(1_000) as u32);
                self.ledger.set_rate(rate);
                to.push_back(Word::Fee(rate));
            }
            _ => self.commit(to),
        }
    }

    fn commit(&mut self, to: &mut VecDeque<Word>) {
        let waits = self.commits[0] > self.revokes[1];
        if waits || !self.ledger.has_unsigned(self.me) {
            return;
        }
        let draft = signed(&self.ledger, self.me.other(), As::Draft);
        self.ledger.sign(self.me);
        self.newest[1] = draft.clone();
        self.commits[0] += 1;
        self.revoked_last = false;
        to.push_back(Word::Commit(draft));
    }

    /// Its signer answers, some time after the signature that it was shown.
    fn revoke(&mut self, to: &mut VecDeque<Word>) {
        if self.revokes[0] < self.commits[1] {
            self.ledger.revoke(self.me);
            self.settled[0] = self.newest[0].clone();
            self.revokes[0] += 1;
            self.revoked_last = true;
            to.push_back(Word::Revoke);
        }
    }

    fn hear(&mut self, word: Word) {
        let peer = self.me.other();
        match word {
            Word::Add(amount) => {
                self.ledger.add(peer, Msat(amount), contract()).expect("the sender had it");
            }
            Word::Remove(id, paid) => assert!(self.ledger.remove(id, paid)),
            Word::Fee(rate) => self.ledger.set_rate(rate),
            Word::Commit(got) => {
                assert_eq!(self.revokes[0], self.commits[1], "one signature, one revocation");
                self.ledger.sign(peer);
                self.commits[1] += 1;
                self.newest[0] = got;
            }
            Word::Revoke => {
                self.ledger.revoke(peer);
                self.settled[1] = self.newest[1].clone();
                self.revokes[1] += 1;
            }
        }
    }

    /// What is said again after a reconnection, as `channel_reestablish` has it.
    fn say_again(&self, peer: &End, to: &mut VecDeque<Word>) {
        let commit_lost = self.commits[0] > peer.commits[1];
        let revoke_lost = self.revokes[0] > peer.revokes[1];
        if revoke_lost && !self.revoked_last {
            to.push_back(Word::Revoke);
        }
        if commit_lost {
            self.updates(channel::Step::Committed, to);
            to.push_back(Word::Commit(signed(&self.ledger, peer.me, As::Signed)));
        }
        if revoke_lost && self.revoked_last {
            to.push_back(Word::Revoke);
        }
        self.updates(channel::Step::Proposed, to);
    }

    fn updates(&self, at: channel::Step, to: &mut VecDeque<Word>) {
        // An offer may spend what an end gives back.
        for (id, entry) in self.ledger.entries() {
            let removed = entry.removed.filter(|it| it.step == at);
            if let Some(removal) = removed.filter(|_| id.offered_by != self.me) {
                to.push_back(Word::Remove(*id, removal.paid));
            }
        }
        for (id, entry) in self.ledger.entries() {
            if id.offered_by == self.me && entry.added == at {
                to.push_back(Word::Add(entry.amount.0));
            }
        }
        if self.me == Side::Opener {
            to.extend(self.ledger.rates_at(at).map(Word::Fee));
        }
    }
}

/// Amount and end of each contract.
type Truth = BTreeMap<ContractId, (u64, Option<bool>)>;

fn pair(ends: &mut [End; 2], at: usize) -> (&mut End, &mut End) {
    let [first, second] = ends;
    if at == 0 { (first, second) } else { (second, first) }
}

fn reconnect(ends: &mut [End; 2]) {
    for end in &mut *ends {
        end.inbox.clear();
        let peer = end.me.other();
        end.ledger.forget_unsigned(peer);
    }
    let mut said = [VecDeque::new(), VecDeque::new()];
    ends[0].say_again(&ends[1], &mut said[1]);
    ends[1].say_again(&ends[0], &mut said[0]);
    for (end, said) in ends.iter_mut().zip(said) {
        end.inbox = said;
    }
}

fn settle(ends: &mut [End; 2]) {
    for _ in 0..40 {
        for at in [0, 1] {
            let (end, peer) = pair(ends, at);
            while let Some(word) = end.inbox.pop_front() {
                end.hear(word);
                end.revoke(&mut peer.inbox);
            }
            end.revoke(&mut peer.inbox);
            end.commit(&mut peer.inbox);
        }
    }
    assert!(ends.iter().all(|end| end.inbox.is_empty() && !end.ledger.has_unsigned(end.me)));
}

fn balances(truth: &Truth) -> [u64; 2] {
    let mut have = [CAPACITY.0 as i64 * 1_000 - 300_000_000, 300_000_000];
    for (id, (amount, end)) in truth {
        let payer = SIDES.iter().position(|side| *side == id.offered_by).expect("two sides");
        let amount = *amount as i64;
        have[payer] -= amount;
        match end {
            Some(true) => have[1 - payer] += amount,
            Some(false) => have[payer] += amount,
            None => {}
        }
    }
    have.map(|it| it.try_into().expect("all that was spent was there"))
}

fn world(seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let mut ends = SIDES.map(End::new);
    let mut truth = Truth::new();
    let reconnects = seed % 2 == 1;
    for _ in 0..120 {
        let (end, peer) = pair(&mut ends, dice.below(2));
        match dice.below(8) {
            0..=2 => end.act(&mut dice, &mut peer.inbox, &mut truth),
            3..=5 => {
                if let Some(word) = end.inbox.pop_front() {
                    end.hear(word);
                }
            }
            6 => end.revoke(&mut peer.inbox),
            _ if reconnects && dice.one_in(6) => reconnect(&mut ends),
            _ => {}
        }
        ends.iter().for_each(End::check);
    }
    settle(&mut ends);
    for owner in SIDES {
        let views = [As::Draft, As::Signed, As::Settled];
        let all: Vec<_> = views
            .iter()
            .flat_map(|which| ends.iter().map(|end| signed(&end.ledger, owner, *which)))
            .collect();
        assert!(all.iter().all(|it| *it == all[0]), "seed {seed}: {all:?}");
    }
    let have = [ends[0].ledger.free(Side::Opener), ends[0].ledger.free(Side::Acceptor)];
    assert_eq!(have.map(|it| it.0), balances(&truth), "seed {seed}");
    truth.len()
}

#[test]
fn both_sides_mean_the_same_commitment_whatever_crosses() {
    let contracts: usize = (0..3_000).map(world).sum();
    assert!(contracts > 20_000, "only {contracts} contracts: the worlds are too tame");
}

#[test]
fn what_is_not_there_is_not_given() {
    let rate = FeeratePerKw(253);
    assert!(Ledger::new(Sat(10), Msat(10_001), rate).is_none());
    assert!(Ledger::new(Sat(u64::MAX), Msat(0), rate).is_none());
    let mut ledger = Ledger::new(Sat(10), Msat(4_000), rate).expect("10 sat");
    assert!(ledger.add(Side::Acceptor, Msat(4_001), contract()).is_none());
    let id = ledger.add(Side::Acceptor, Msat(4_000), contract()).expect("4 sat");
    assert_eq!(ledger.free(Side::Acceptor), Msat(0));
    // It can end only when every commitment has it.
    for _ in 0..2 {
        assert!(!ledger.remove(id, true));
        ledger.sign(Side::Acceptor);
        assert!(!ledger.remove(id, true));
        ledger.revoke(Side::Opener);
        assert!(!ledger.remove(id, true));
        ledger.sign(Side::Opener);
    }
    assert!(!ledger.remove(id, true));
    ledger.revoke(Side::Acceptor);
    assert!(ledger.remove(id, true) && !ledger.remove(id, false));
}
