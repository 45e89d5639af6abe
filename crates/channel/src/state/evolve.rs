//! How changes change a channel: the same way when it runs and when it is restored.

use bitcoin::Transaction;
use tx::Side;
use wire::Message;
use wire::key::Point;

use super::{Channel, Failing, Known, Negotiating, Outcome, Shutdown, State, Why};
use crate::change::Change;
use crate::contract::Said;
use crate::onchain::{Ended, EndedBy};

impl Channel {
    /// Takes in what was just decided. The changes are saved before any effect leaves the process.
    pub fn take(&mut self, outcome: &Outcome) {
        self.link = outcome.link.clone();
        for change in &outcome.changes {
            self.evolve(change);
            self.link.at_rest = None;
        }
    }

    /// Takes a change in: one that was just decided, or one that was saved.
    pub fn evolve(&mut self, change: &Change) {
        let peer = self.setup.side.other();
        match change {
            Change::Added { by, add } => self.evolve_added(*by, add),
            Change::Ended { id, end } => {
                let paid = end.secret().is_some();
                assert!(self.ledger.remove(*id, paid), "it was judged before");
                self.known_mut(*id).end = Some(end.clone());
            }
            Change::Rate(rate) => self.ledger.set_rate(*rate),
            Change::Signed => self.evolve_signed(),
            Change::Received { signature, stages } => {
                self.ledger.sign(peer);
                self.local.received = Some((*signature, stages.clone()));
            }
            Change::Advanced { next } => self.evolve_advanced(*next),
            Change::Revoked { secret, next } => {
                let number = self.remote.unrevoked;
                self.remote.secrets.insert(number, secret).expect("the signer has looked at it");
                self.remote.unrevoked.0 += 1;
                self.remote.points.1 = Some(*next);
                self.remote.before = None;
                self.evolve_revoked(peer);
            }
            Change::Lost => self.evolve_lost(),
            Change::Heard(id) => {
                self.over.remove(id);
            }
            Change::Deep { alias } => {
                (self.ready.local, self.ready.local_alias) = (true, *alias);
                self.evolve_ready();
            }
            Change::Ready { point, alias } => {
                if !self.ready.remote {
                    self.remote.points.1 = Some(*point);
                }
                self.ready.remote = true;
                self.ready.remote_alias = alias.or(self.ready.remote_alias);
                self.evolve_ready();
            }
            Change::Shutdown => self.evolve_shutdown(|it| it.local = true),
            Change::ShutdownHeard { script } => {
                self.evolve_shutdown(|it| it.remote = Some(script.clone()));
            }
            Change::Closed(transaction) => self.evolve_closed(transaction),
            Change::Rejected => self.local.received = None,
            Change::Learned { id, secret } => {
                self.known_mut(*id).secret = Some(secret.clone());
            }
            Change::InBlock { height, position, transaction } => {
                self.seen.take(self.funding(), (*height, *position), transaction);
                self.evolve_seen();
            }
            Change::BlockGone { height } => {
                self.seen.forget(*height);
                self.evolve_seen();
            }
            Change::Resolved { id, end } => {
                self.contracts.remove(id);
                self.over.insert(*id, end.clone());
            }
            Change::Done => self.state = State::Done,
            Change::Waits { since } => self.waits_since = Some(*since),
            Change::Failing(why) => self.evolve_failing(why),
            Change::Sum(sum) => self.evolve_sum(sum),
        }
        self.evolve_empty();
    }

    fn evolve_added(&mut self, by: Side, add: &Message) {
        let said = self.resolvers.read(add).expect("it was judged before");
        let Some((_, Said::Add { amount, contract, .. })) = said else {
            panic!("{} adds no contract that is known here", add.name());
        };
        let id = self.ledger.add(by, amount, contract).expect("it was judged before");
        let known = Known { add: Box::new(add.clone()), end: None, secret: None };
        self.contracts.insert(id, known);
    }

    fn evolve_signed(&mut self) {
        let next = self.remote.points.1.take().expect("the peer has given up one");
        self.ledger.sign(self.setup.side);
        self.remote.number.0 += 1;
        self.remote.before = Some(std::mem::replace(&mut self.remote.points.0, next));
        self.revoked_last = false;
    }

    fn evolve_advanced(&mut self, next: Point) {
        let received = self.local.received.take().expect("the peer has signed it");
        (self.local.signature, self.local.stages) = received;
        self.local.number.0 += 1;
        self.local.given_up = [Some(self.local.points[0]), self.local.given_up[0]];
        self.local.points = [self.local.points[1], next];
        self.revoked_last = true;
        self.evolve_revoked(self.setup.side);
    }

    fn evolve_revoked(&mut self, by: Side) {
        for gone in self.ledger.revoke(by) {
            // One that is not there any more was ended on the chain.
            if let Some(end) = self.contracts.remove(&gone.id).and_then(|known| known.end) {
                self.over.insert(gone.id, end);
            }
        }
    }

    fn evolve_lost(&mut self) {
        self.ledger.forget_unsigned(self.setup.side.other());
        self.link = self.link.lost();
        // An end that the peer had not signed is forgotten, but not its preimage: that is true.
        let entries = self.ledger.entries();
        self.contracts.retain(|id, _| entries.contains_key(id));
    }

    fn evolve_ready(&mut self) {
        if self.ready.local && self.ready.remote && self.state == State::Funding {
            self.state = State::Normal;
        }
    }

    fn evolve_shutdown(&mut self, change: impl FnOnce(&mut Shutdown)) {
        match &mut self.state {
            State::Funding | State::Normal => {
                let mut shutdown = Shutdown::default();
                change(&mut shutdown);
                self.state = State::Shutdown(shutdown);
            }
            State::Shutdown(shutdown) => change(shutdown),
            State::Negotiating(negotiating) => {
                // After a reconnection it may want its money elsewhere.
                let mut shutdown = Shutdown { local: true, remote: None };
                change(&mut shutdown);
                if let Some(script) = shutdown.remote {
                    negotiating.remote = script;
                }
            }
            State::Failing(_) | State::Done => {}
        }
    }

    fn evolve_closed(&mut self, transaction: &Transaction) {
        if let State::Negotiating(negotiating) = &mut self.state {
            negotiating.closed = Some(Box::new(transaction.clone()));
        }
    }

    /// Both want to close and nothing is under way any more: the last step follows from that.
    fn evolve_empty(&mut self) {
        if let State::Shutdown(Shutdown { remote: Some(remote), .. }) = &self.state
            && self.is_empty()
        {
            let remote = remote.clone();
            self.state = State::Negotiating(Negotiating { remote, closed: None });
            self.waits_since = None;
        }
    }

    /// What has spent the funding follows from what is in blocks. What a revoked commitment says
    /// is kept as long as it is that one.
    fn evolve_seen(&mut self) {
        let before = self.ended.take();
        self.ended = self.look_at_end();
        let Some(ended) = &mut self.ended else { return };
        let is_same = |it: &Ended| it.transaction == ended.transaction;
        if let Some(before) = before.filter(|it| is_same(it) && ended.says.is_none()) {
            (ended.by, ended.says) = (before.by, before.says);
        }
        let is_close = ended.by == EndedBy::Both && matches!(self.state, State::Negotiating(_));
        if !is_close {
            self.evolve_failing(&Why::Spent);
        }
    }

    fn evolve_failing(&mut self, why: &Why) {
        let is_behind = matches!(why, Why::Behind(_));
        match &mut self.state {
            State::Done => {}
            State::Failing(failing) => failing.is_behind |= is_behind,
            State::Funding | State::Normal | State::Shutdown(_) | State::Negotiating(_) => {
                self.state = State::Failing(Failing { why: why.clone(), is_behind });
                // Nothing is said of it any more, whatever the signer still answers.
                self.link = self.link.over();
            }
        }
    }
}
