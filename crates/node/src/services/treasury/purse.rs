//! The wallet: coins are spent when people ask for it and a signer agrees.
//!
//! A spend is drafted, signed elsewhere, saved as published, published. If the signer goes away or
//! says no, or the node stops before that, its coins are free again and nothing has happened.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, Txid, hashes::Hash as _};
use chain::{Chain, Cure, Height, Key, Package, PublicationId, PublishEvent, Wanted};
use wallet::{Draft, DraftId, Order, Wallet, Wish};
use wire::tick::{Millis, Tick};

use super::{
    CallId, Change, Effect, Event, Failure, Following, Ordered, PaymentName, Refusal, Reply, Save,
    Step, Treasury,
};

/// The wallet, as a user of the chain and of the publisher.
pub(super) const WALLET: chain::User = chain::User(2);

/// A signer that has not signed a spend by then is not waited for: nothing is paid. Together with
/// [`TAKE_MAX`] it is less than the API lets a call last, so that nobody pays twice.
pub const SIGN_MAX: Millis = Millis(25_000);
/// Whoever pays is told so by then at the latest, whether a source has answered or not.
pub const TAKE_MAX: Millis = Millis(10_000);

/// Names a question to the signer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignId(pub u64);

/// What was saved of the wallet.
#[derive(Debug, Default)]
pub struct SavedWallet {
    /// All of it, once it has begun.
    pub snapshot: Option<Vec<u8>>,
    /// Its changes since then.
    pub changes: Vec<Vec<u8>>,
}

/// A spend that was published, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The transaction.
    pub txid: Txid,
    /// What it costs.
    pub fee: Amount,
    /// Why no source has it yet, if that is so.
    pub waits: Option<String>,
}

/// What is going on with the wallet.
#[derive(Default)]
pub(super) struct Purse {
    saved: SavedWallet,
    owed: Vec<bitcoin::Transaction>,
    /// Fundings of channels: whatever a source says, they stay.
    pub(super) fundings: BTreeSet<Txid>,
    /// Fundings that nobody has signed yet.
    pub(super) unsigned: BTreeMap<DraftId, Draft>,
    signer: bool,
    asked: SignId,
    pub(super) signing: BTreeMap<SignId, Waiting>,
    /// Spends that wait for a source, each until then at most.
    pub(super) sending: BTreeMap<Key, (Tick, CallId, Sent)>,
    balance: wallet::Balance,
    /// The last rescan that is through.
    pub(super) rescanned: Option<wallet::Progress>,
}

/// What the signer was asked for.
pub(super) enum Waiting {
    /// Whose money it is.
    Account,
    /// How far its own view is.
    View,
    /// Signatures.
    Spend(Box<Signing>),
    /// Signatures for the funding of a channel.
    Funding(Box<super::lightning::Funding>),
}

/// A spend that the signer has to look at.
pub(super) struct Signing {
    until: Tick,
    call: CallId,
    draft: Draft,
    /// What people call it, and what they want.
    pub(super) name: Option<(PaymentName, Ordered)>,
}

impl Purse {
    pub(super) fn new(saved: SavedWallet, owed: Vec<bitcoin::Transaction>) -> Self {
        Self { saved, owed, ..Self::default() }
    }

    pub(super) const fn has_signer(&self) -> bool {
        self.signer
    }
}

impl Treasury {
    /// The wallet, as it was saved or as a new one, as soon as its account is known.
    pub(super) fn begin_wallet(&mut self, chain: &mut Chain) -> Result<Option<Wallet>, Failure> {
        let Some(account) = self.state.account else { return Ok(None) };
        let network = self.terms.network;
        let SavedWallet { snapshot, changes } = std::mem::take(&mut self.purse.saved);
        let mut wallet = match snapshot {
            Some(snapshot) => {
                Wallet::restore(account, network, &snapshot, changes.iter().map(Vec::as_slice))
                    .map_err(|fault| Failure::Wallet { why: fault.to_string() })?
            }
            None => {
                // What its words had before is found again, as far back as there are blocks.
                let wallet = Wallet::create(account, network, chain.headers().first());
                self.steps.push_back(Step::Save(Save::WalletBegun(wallet.snapshot())));
                wallet
            }
        };
        chain.attach(WALLET, Some(wallet.cursor())).map_err(Failure::Chain)?;
        // Whoever drafted these is not there any more.
        for draft in wallet.drafts().collect::<Vec<_>>() {
            wallet.give_up(draft).map_err(|why| Failure::Wallet { why: why.to_string() })?;
        }
        // The process may have ended between a channel and its funding. One whose coins are spent
        // otherwise is said so by the channel, which waits for it.
        for funding in std::mem::take(&mut self.purse.owed) {
            self.purse.fundings.insert(funding.compute_txid());
            wallet.published(funding).ok();
        }
        Ok(Some(wallet))
    }

    /// The link to the signer is up.
    pub fn signer_came(&mut self) {
        self.purse.signer = true;
        self.ask_signer(signer::Ask::WalletAccount, Waiting::Account);
        self.look_at_view();
    }

    /// The link to the signer is down.
    pub fn signer_went(&mut self) {
        self.purse.signer = false;
        self.view.forget();
        for waiting in std::mem::take(&mut self.purse.signing).into_values() {
            match waiting {
                Waiting::Spend(signing) => {
                    self.give_up(&signing.draft);
                    self.reply(signing.call, Err(Refusal::NoSigner));
                }
                Waiting::Funding(funding) => self.not_funded(&funding, Refusal::NoSigner),
                Waiting::Account | Waiting::View => {}
            }
        }
        self.hear();
    }

    /// The signer has answered; nothing, if it has not understood or may not be asked that.
    pub fn signer_answered(&mut self, id: SignId, answer: Option<signer::Answer>) {
        let Some(waiting) = self.purse.signing.remove(&id) else { return };
        match (waiting, answer) {
            (Waiting::Account, Some(signer::Answer::WalletAccount { account })) => {
                self.has_account(account);
            }
            (Waiting::Account, _) => self.account_refused(),
            (Waiting::View, answer) => self.view_answered(answer),
            (Waiting::Funding(funding), answer) => self.fund_signed(*funding, answer),
            (Waiting::Spend(signing), Some(signer::Answer::SpendSigned { signatures })) => {
                match signing.draft.finish(&signatures) {
                    Ok(transaction) => self.publish(*signing, transaction),
                    Err(fault) => {
                        let Signing { call, draft, .. } = *signing;
                        self.give_up(&draft);
                        self.reply(call, Err(Refusal::Signer { why: fault.to_string() }));
                    }
                }
            }
            (Waiting::Spend(signing), answer) => {
                let Signing { call, draft, .. } = *signing;
                let why = match answer {
                    Some(signer::Answer::Refused(refusal)) => refusal.to_string(),
                    _ => "the signer does not do this for us".to_owned(),
                };
                self.give_up(&draft);
                self.reply(call, Err(Refusal::Signer { why }));
            }
        }
        self.hear();
        self.ask_more(self.now);
    }

    fn has_account(&mut self, got: signer::Account) {
        match self.state.account {
            None => {
                self.save(Change::Account { account: got });
                if let Some(mut following) = self.chain.take() {
                    match self.begin_wallet(&mut following.chain) {
                        Ok(wallet) => following.wallet = wallet,
                        Err(failure) => self.fail(failure),
                    }
                    self.chain = Some(following);
                }
            }
            Some(want) if want != got => {
                let (got, want) = (got.fingerprint, want.fingerprint);
                self.fail(Failure::OtherSeed { got, want });
            }
            Some(_) => {}
        }
    }

    pub(super) fn ask_signer(&mut self, ask: signer::Ask, of: Waiting) {
        self.purse.asked = SignId(self.purse.asked.0 + 1);
        self.purse.signing.insert(self.purse.asked, of);
        self.act(Effect::AskSigner(self.purse.asked, ask));
    }

    /// The wallet, or why there is none.
    pub(super) fn wallet(&mut self) -> Result<&mut Wallet, Refusal> {
        let health = self.source.health.clone();
        let has_account = self.state.account.is_some();
        let wallet = self.chain.as_mut().map(|following| following.wallet.as_mut());
        match wallet {
            None => Err(Refusal::NoChain { health }),
            Some(None) if has_account => Err(Refusal::NoChain { health }),
            Some(None) => Err(Refusal::NoSigner),
            Some(Some(wallet)) => Ok(wallet),
        }
    }

    pub(super) fn send(
        &mut self,
        call: CallId,
        order: &Order,
        name: Option<PaymentName>,
        draw: [u8; 32],
    ) {
        let name = name.map(|name| (name, Ordered::of(order)));
        let before = match &name {
            Some((name, wants)) => match self.sent_before(name, wants) {
                Ok(None) => self.room_for_names().map(|()| None),
                before => before,
            },
            None => Ok(None),
        };
        match before {
            Ok(None) => self.spend(call, name, |wallet| wallet.send(order, draw)),
            Ok(Some(reply)) => self.reply(call, Ok(reply)),
            Err(refusal) => self.reply(call, Err(refusal)),
        }
    }

    /// Drafts something and asks the signer for it. The reply comes when it is published.
    pub(super) fn spend(
        &mut self,
        call: CallId,
        name: Option<(PaymentName, Ordered)>,
        draft: impl FnOnce(&mut Wallet) -> Result<Draft, wallet::Refusal>,
    ) {
        if !self.purse.signer {
            return self.reply(call, Err(Refusal::NoSigner));
        }
        let drafted = self
            .wallet()
            .and_then(|wallet| draft(wallet).map_err(|refusal| Refusal::Wallet(Box::new(refusal))));
        // That its coins are kept is saved before anybody hears of it.
        self.hear();
        match drafted {
            Ok(draft) => {
                let (ask, until) = (draft.ask(), self.now + SIGN_MAX);
                let signing = Box::new(Signing { until, call, draft, name });
                self.ask_signer(ask, Waiting::Spend(signing));
            }
            Err(refusal) => self.reply(call, Err(refusal)),
        }
    }

    pub(super) fn give_up(&mut self, draft: &Draft) {
        if let Ok(wallet) = self.wallet() {
            // One that is not known any more was given up before.
            wallet.give_up(draft.id()).ok();
        }
    }

    fn publish(&mut self, signing: Signing, transaction: bitcoin::Transaction) {
        let Signing { call, draft, name, .. } = signing;
        let (txid, fee) = (draft.txid(), draft.fee());
        let now = self.now;
        let package = Package::single(transaction.clone().into());
        let recorded = self.wallet().and_then(|wallet| {
            wallet.published(transaction).map_err(|refusal| Refusal::Wallet(Box::new(refusal)))
        });
        let package = match (recorded, package) {
            (Ok(()), Ok(package)) => package,
            (Err(refusal), _) => {
                self.give_up(&draft);
                return self.reply(call, Err(refusal));
            }
            (Ok(()), Err(fault)) => {
                let why = fault.to_string();
                self.never_was(txid);
                return self.reply(call, Err(Refusal::NotTaken { why }));
            }
        };
        // The wallet's change is saved behind this: a name without its transaction is free.
        match (name, draft.replaces()) {
            (Some((name, ordered)), _) => self.name(name, ordered, txid, fee),
            (None, Some(replaced)) => self.rename(replaced, txid, fee),
            (None, None) => {}
        }
        let key = key(&txid);
        let Some(following) = &mut self.chain else { return };
        let from = Height(following.chain.headers().tip().height.0.saturating_add(1));
        let published = following.publisher.publish(Wanted { key, package, from }, now);
        if let Err(fault) = published {
            self.never_was(txid);
            return self.reply(call, Err(Refusal::NotTaken { why: fault.to_string() }));
        }
        self.hear();
        let waits = (!self.source.is_up()).then(|| self.source.health.to_string());
        let sent = Sent { txid, fee, waits };
        match sent.waits {
            Some(_) => self.reply(call, Ok(Reply::Sent(sent))),
            None => {
                self.purse.sending.insert(key, (self.now + TAKE_MAX, call, sent));
            }
        }
    }

    /// A transaction that nobody was told of.
    fn never_was(&mut self, txid: Txid) {
        if let Ok(wallet) = self.wallet() {
            // One that is in a block by now is not forgotten, nor is one that never was.
            wallet.forget(txid).ok();
        }
    }

    /// Until when somebody waits for a signer or for a source.
    pub(super) fn patience(&self) -> Option<Tick> {
        let signing = self.purse.signing.values().filter_map(|waiting| match waiting {
            Waiting::Spend(signing) => Some(signing.until),
            Waiting::Funding(funding) => Some(funding.until),
            Waiting::Account | Waiting::View => None,
        });
        signing.chain(self.purse.sending.values().map(|(until, ..)| *until)).min()
    }

    /// Answers those who have waited for long enough. A signature that comes now is not used.
    pub(super) fn lose_patience(&mut self) {
        let now = self.now;
        let is_late = |waiting: &Waiting| match waiting {
            Waiting::Spend(it) => it.until <= now,
            Waiting::Funding(it) => it.until <= now,
            Waiting::Account | Waiting::View => false,
        };
        let late: Vec<_> = self.purse.signing.extract_if(.., |_, it| is_late(it)).collect();
        for (_, waiting) in late {
            match waiting {
                Waiting::Spend(signing) => {
                    self.give_up(&signing.draft);
                    self.hear();
                    self.reply(signing.call, Err(Refusal::SlowSigner));
                }
                Waiting::Funding(funding) => self.not_funded(&funding, Refusal::SlowSigner),
                Waiting::Account | Waiting::View => {}
            }
        }
        let late: Vec<_> = self.purse.sending.extract_if(.., |_, it| it.0 <= now).collect();
        for (_, (_, call, sent)) in late {
            let waits = Some("no answer yet".to_owned());
            self.reply(call, Ok(Reply::Sent(Sent { waits, ..sent })));
        }
    }

    /// Everything that should be on its way is published; what is already changes nothing. What the
    /// wallet does not know is not: the process ended while it was being saved, and nobody was told
    /// of it, or while it was being given up.
    pub(super) fn publish_again(&self, following: &mut Following) {
        let Some(wallet) = &following.wallet else { return };
        let publications = following.publisher.state().publications.iter();
        let unknown = publications.filter(|(key, publication)| {
            let last = publication.package.transactions().last();
            let is_known = last.is_some_and(|it| wallet.is_known(it.compute_txid()));
            key.user == WALLET && !is_known
        });
        for key in unknown.map(|(key, _)| *key).collect::<Vec<_>>() {
            following.publisher.forget(key, self.now);
        }
        let from = Height(following.chain.headers().tip().height.0.saturating_add(1));
        for transaction in wallet.to_rebroadcast() {
            let key = key(&transaction.compute_txid());
            if following.publisher.state().publications.contains_key(&key) {
                continue;
            }
            if let Ok(package) = Package::single(transaction) {
                // As many as there can be were published already.
                following.publisher.publish(Wanted { key, package, from }, self.now).ok();
            }
        }
    }

    /// What became of something that the wallet has published.
    pub(super) fn publication(&mut self, following: &mut Following, key: Key, event: PublishEvent) {
        let state = following.publisher.state();
        let known = state.publications.get(&key).and_then(|publication| {
            publication.package.transactions().last().map(|it| it.compute_txid())
        });
        let txid = match &event {
            // By now it is forgotten.
            PublishEvent::Deep { transaction } => *transaction,
            PublishEvent::Accepted
            | PublishEvent::Refused { .. }
            | PublishEvent::Confirmed { .. }
            | PublishEvent::Unconfirmed { .. }
            | PublishEvent::Replaced { .. }
            | PublishEvent::Restored { .. } => {
                let Some(txid) = known else { return };
                txid
            }
        };
        let refused = if let PublishEvent::Refused { reason, cure } = &event {
            Some((reason.to_string(), *cure))
        } else {
            None
        };
        self.tell(Event::Publication { txid, event });
        if let Some((why, Cure::GiveUp)) = &refused
            && key.user == WALLET
            && !self.purse.fundings.contains(&txid)
            && following.is_at_home(txid)
        {
            // One that is in a block by now is not forgotten.
            self.drop_spend(following, txid, why).ok();
        }
        let waits = refused.map(|(why, cure)| match cure {
            Cure::GiveUp => format!("{why}; it is kept, for somebody may have it"),
            Cure::Wait | Cure::RaiseFee | Cure::Look => why,
        });
        if let Some((_, call, sent)) = self.purse.sending.remove(&key) {
            self.reply(call, Ok(Reply::Sent(Sent { waits, ..sent })));
        }
    }

    /// Tells of a balance that is not as it was.
    pub(super) fn weigh(&mut self) {
        let reserve = self.terms.reserve;
        let Ok(wallet) = self.wallet() else { return };
        let balance = wallet.balance(reserve);
        if balance != self.purse.balance {
            self.purse.balance = balance;
            self.tell(Event::Balance(balance));
        }
    }

    /// Whoever waits for the source to take something is not left waiting when that is gone.
    pub(super) fn stop_waiting(&mut self) {
        let waits = Some(self.source.health.to_string());
        for (_, call, sent) in std::mem::take(&mut self.purse.sending).into_values() {
            let sent = Sent { waits: waits.clone(), ..sent };
            self.reply(call, Ok(Reply::Sent(sent)));
        }
    }
}

impl Following {
    /// Whether the wallet has watched, or stopped watching, something.
    pub(super) fn watch_for_wallet(&mut self) -> bool {
        let Some(wallet) = &mut self.wallet else { return false };
        let mut any = false;
        while let Some(wish) = wallet.wish() {
            any = true;
            match wish {
                Wish::Watch { watch, from } => {
                    let first = Height(self.chain.headers().first().height.0.saturating_add(1));
                    // It keeps to a limit of its own, which is far below the chain's.
                    self.chain.watch(WALLET, watch, from.max(first)).ok();
                }
                Wish::Unwatch { watch } => self.chain.unwatch(WALLET, &watch),
            }
        }
        any
    }
}

/// A transaction's own name for the publisher. That two have the same first half of their ids is as
/// likely as guessing a key; the second would be refused.
pub(super) fn key(txid: &Txid) -> Key {
    let half = txid.to_byte_array();
    let half = half.first_chunk().copied().map_or(0, u64::from_be_bytes);
    Key { user: WALLET, id: PublicationId(half) }
}
