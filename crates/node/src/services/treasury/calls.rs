//! What people and programs ask of a treasury.

use std::{collections::BTreeSet, fmt};

use bitcoin::{Address, Amount, FeeRate, Transaction, Txid};
use chain::{BlockRef, Height, Rate, Target, Watch};
use signer::Seconds;
use wallet::{DraftId, Order};
use wire::{
    lease::{LeaseEpoch, StaleLease},
    tick::{Millis, Tick},
};

use super::{
    Change, ChannelsWant, FORGET_BLOCKS, Health, Hit, NAME_BLOCKS, NoBlock, Ordered, PEOPLE,
    PaymentName, SIGN_MAX, Sent, Treasury,
};

/// Names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Watches of people.
pub const WATCHES_MAX: usize = 100_000;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// How is the chain?
    Status,
    /// Watch this, and tell what is found.
    Watch {
        /// What.
        watch: Watch,
        /// From this block on; from now on, if nothing is said.
        from: Option<Height>,
    },
    /// Do not watch it any more.
    Unwatch {
        /// What.
        watch: Watch,
    },
    /// What is watched, and what was found?
    Watches,
    /// What does a transaction pay to be confirmed within so many blocks?
    Rate {
        /// How many.
        target: Target,
    },
    /// An address for somebody to pay to.
    Address,
    /// How much is there?
    Balance,
    /// What is there, coin by coin?
    Coins,
    /// Pay somebody. The reply comes when a source has taken it, or cannot.
    Send {
        /// Whom, how much.
        order: Order,
        /// What one spend has to leave is spent, too.
        spend_reserve: bool,
        /// What people call the payment: by one name one is sent.
        name: Option<PaymentName>,
        /// Drawn with randomness.
        draw: [u8; 32],
    },
    /// Replace an unconfirmed spend of ours by one that pays more.
    Bump {
        /// Which.
        txid: Txid,
        /// What it is to pay.
        fee_rate: FeeRate,
        /// A person has seen the fee and wants it, although it is high.
        allow_high_fee: bool,
        /// What one spend has to leave is spent, too.
        spend_reserve: bool,
        /// Drawn with randomness.
        draw: [u8; 32],
    },
    /// Give up a pending transaction, and all that hangs on it.
    Forget {
        /// Which.
        txid: Txid,
        /// Although it may still be mined.
        force: bool,
    },
    /// Look for our money from this block on once more.
    Rescan {
        /// From the first one there is, if nothing is said.
        from: Option<Height>,
    },
    /// How far is that?
    Progress,
    /// What channels need.
    Channels {
        /// By which lease.
        lease: LeaseEpoch,
        /// What.
        want: ChannelsWant,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Status`].
    Status(Box<Status>),
    /// To [`Command::Watches`].
    Watches(Vec<WatchLine>),
    /// To [`Command::Rate`].
    Rate(Rate),
    /// To [`Command::Address`].
    Address(Address),
    /// To [`Command::Balance`].
    Balance(wallet::Balance),
    /// To [`Command::Coins`].
    Coins(Vec<wallet::Coin>),
    /// To [`Command::Send`] and [`Command::Bump`].
    Sent(Sent),
    /// To [`Command::Forget`]: all that is given up.
    Forgotten(Vec<Txid>),
    /// To [`Command::Progress`]: nothing if there has been no rescan.
    Progress(Option<wallet::Progress>),
    /// To [`ChannelsWant::Home`].
    Home(channel::Home),
    /// To [`ChannelsWant::Fund`].
    Funding {
        /// Names it.
        draft: DraftId,
        /// Without signatures.
        transaction: Box<Transaction>,
    },
    /// To [`ChannelsWant::SignFunding`]: signed, and known to nobody else.
    FundingSigned(Box<Transaction>),
    /// To [`ChannelsWant::Lend`]: nothing if there is not so much.
    Lent(Vec<channel::CoinOffer>),
    /// To [`ChannelsWant::Follow`].
    Following(super::FollowedFrom),
    /// It is done.
    Done,
}

/// How the chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How the source is.
    pub health: Health,
    /// The first block of ours.
    pub first: Option<BlockRef>,
    /// The newest block of ours.
    pub tip: Option<BlockRef>,
    /// The last block that people have heard of.
    pub heard: Option<BlockRef>,
    /// When the newest block says that it was made.
    pub tip_time: Option<u32>,
    /// Watches of people.
    pub watches: usize,
    /// How many of them are still searched for in blocks of the past.
    pub searching: usize,
    /// Transactions, and packages of them, that are being published.
    pub publications: usize,
    /// Whether the signer can be reached.
    pub signer: bool,
    /// How far the signer's own view of the chain is, if it has said so.
    pub signers_view: Option<SignersView>,
    /// Blocks that are needed, and that the source does not have.
    pub no_blocks: Vec<NoBlock>,
    /// What is paid, for some targets.
    pub rates: Vec<(Target, Rate)>,
}

/// How far the signer's own view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignersView {
    /// Its newest block.
    pub tip: BlockRef,
    /// When that says that it was made, in seconds since 1970.
    pub header_time: u32,
    /// How old that makes it by the signer's clock; nothing if the signer has none.
    pub age: Option<Seconds>,
    /// How long ago it came; nothing if that was before the signer started.
    pub received: Option<Millis>,
}

/// Something that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchLine {
    /// What.
    pub watch: Watch,
    /// Whether blocks of the past are still looked through.
    pub searching: bool,
    /// What was found.
    pub hits: BTreeSet<(BlockRef, Hit)>,
    /// How many more were found, and are not kept: the oldest.
    pub left_out: u64,
}

/// Why a command was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no chain yet.
    NoChain {
        /// How the source is.
        health: Health,
    },
    /// Blocks so old are not here.
    TooOld {
        /// What was asked for.
        got: Height,
        /// The first that can be searched.
        min: Height,
    },
    /// Too much is watched.
    Full {
        /// How much.
        have: usize,
        /// The most.
        max: usize,
    },
    /// A script is longer than any that can be spent.
    TooLong {
        /// Its bytes.
        got: usize,
        /// The most.
        max: usize,
    },
    /// That is not watched.
    NotWatched,
    /// The signer cannot be reached.
    NoSigner,
    /// The signer can be reached, and has not answered. Nothing is paid, even if it does so later.
    SlowSigner,
    /// The signer says no.
    Signer {
        /// Why.
        why: String,
    },
    /// The wallet says no.
    Wallet(Box<wallet::Refusal>),
    /// The only source that was told of it does not take it, and never will. It is given up.
    NotTaken {
        /// Why.
        why: String,
    },
    /// A payment of this name was sent, and it was another one.
    NameTaken {
        /// The name.
        name: PaymentName,
        /// What was sent.
        had: Box<Ordered>,
        /// What was asked for now.
        wants: Box<Ordered>,
    },
    /// The payment of this name is being signed.
    NameBusy {
        /// The name.
        name: PaymentName,
    },
    /// What was given up of the payment of this name may still be mined: another payment has its
    /// coins, and is not deep enough in the chain.
    NameHaunted {
        /// The name.
        name: PaymentName,
        /// What was given up.
        txid: Txid,
    },
    /// There are as many names as there may be.
    TooManyNames {
        /// How many there are.
        have: usize,
        /// How many there may be.
        max: usize,
    },
    /// A channel is funded by it, or by what hangs on it: what replaced it would be another
    /// transaction, and what both have signed would spend nothing.
    FundsChannel {
        /// What funds it.
        txid: Txid,
    },
    /// Another process has the channels.
    StaleLease(StaleLease),
    /// Whoever has the transaction could still have it mined.
    MayBeMined {
        /// The transaction.
        txid: Txid,
        /// What would be free again.
        frees: Amount,
        /// How many others hang on it.
        hang: usize,
        /// How deep in the chain something else is instead of it.
        blocks: u32,
        /// From where on that is enough.
        min: u32,
    },
}

impl Treasury {
    /// A call; its reply is an effect.
    pub fn call(&mut self, call: CallId, command: Command, now: Tick) {
        self.now = now;
        let reply = match command {
            Command::Status => Ok(Reply::Status(Box::new(self.status(now)))),
            Command::Watch { watch, from } => self.watch(watch, from).map(|()| Reply::Done),
            Command::Unwatch { watch } => self.unwatch(watch).map(|()| Reply::Done),
            Command::Watches => Ok(Reply::Watches(self.watch_lines())),
            Command::Rate { target } => Ok(Reply::Rate(self.fees.rate(target, now))),
            Command::Address => self.address(),
            Command::Balance => {
                let reserve = self.terms.reserve;
                self.wallet().map(|wallet| Reply::Balance(wallet.balance(reserve)))
            }
            Command::Coins => self.wallet().map(|wallet| Reply::Coins(wallet.coins())),
            Command::Send { mut order, spend_reserve, name, draw } => {
                order.reserve = self.reserve(spend_reserve);
                return self.send(call, &order, name, draw);
            }
            Command::Bump { txid, fee_rate, allow_high_fee, spend_reserve, draw } => {
                if let Err(refusal) = self.may_replace(txid) {
                    return self.reply(call, Err(refusal));
                }
                let reserve = self.reserve(spend_reserve);
                let bump = wallet::Bump { txid, fee_rate, allow_high_fee, reserve };
                return self.spend(call, None, |wallet| wallet.bump(&bump, draw));
            }
            Command::Forget { txid, force } => self.forget(txid, force),
            Command::Channels { lease, want } => {
                let Some(reply) = self.want(call, lease, want) else { return };
                reply
            }
            Command::Rescan { from } => self.rescan(from),
            Command::Progress => {
                let last = self.purse.rescanned;
                self.wallet().map(|wallet| Reply::Progress(wallet.progress().or(last)))
            }
        };
        self.hear();
        self.reply(call, reply);
        self.ask_more(now);
    }

    const fn reserve(&self, is_spent: bool) -> Amount {
        if is_spent { Amount::ZERO } else { self.terms.reserve }
    }

    fn status(&self, now: Tick) -> Status {
        let headers = self.chain.as_ref().map(|it| it.chain.headers());
        let watches = &self.state.watches;
        Status {
            health: self.source.health.clone(),
            first: headers.map(chain::Headers::first),
            tip: headers.map(chain::Headers::tip),
            heard: self.state.cursor,
            tip_time: headers.and_then(|headers| headers.iter().last()).map(|header| header.time),
            watches: watches.len(),
            searching: watches.values().filter(|watched| watched.from.is_some()).count(),
            publications: self
                .chain
                .as_ref()
                .map_or(0, |it| it.publisher.state().publications.len()),
            signer: self.purse.has_signer(),
            signers_view: self.view.status.map(|(status, at)| SignersView {
                tip: status.tip,
                header_time: status.header_time,
                age: status.age.map(|age| {
                    let more = u32::try_from(now.since(at).0 / 1_000).unwrap_or(u32::MAX);
                    Seconds(age.0.saturating_add(more))
                }),
                received: status.received.map(|ago| Millis(ago.0.saturating_add(now.since(at).0))),
            }),
            no_blocks: self.chain.as_ref().map_or_else(Vec::new, |it| {
                it.chain.missing().map(|block| self.source.why_no_block(block)).collect()
            }),
            rates: [2, 6, 144].map(|of| (Target(of), self.fees.rate(Target(of), now))).to_vec(),
        }
    }

    fn watch(&mut self, watch: Watch, from: Option<Height>) -> Result<(), Refusal> {
        let health = || self.source.health.clone();
        let no_chain = Refusal::NoChain { health: health() };
        let (have, max) = (self.state.watches.len(), WATCHES_MAX);
        if let Some(watched) = self.state.watches.get(&watch) {
            let is_searched = |from: Height| watched.from.is_some_and(|known| known <= from);
            let heard = self.state.cursor.map_or(Height(0), |cursor| cursor.height);
            // Only what is before has to be looked for.
            if from.is_none_or(|from| from > heard || is_searched(from)) {
                return Ok(());
            }
        } else if have >= max {
            return Err(Refusal::Full { have, max });
        }
        let chain = &mut self.chain.as_mut().ok_or(no_chain)?.chain;
        let cursor = self.state.cursor.unwrap_or(chain.headers().first()).height;
        let from = from.unwrap_or(Height(cursor.0.saturating_add(1)));
        chain.watch(PEOPLE, watch.clone(), from).map_err(|fault| match fault {
            chain::Fault::TooOld { got, min } => Refusal::TooOld { got, min },
            chain::Fault::Full { have, max } => Refusal::Full { have, max },
            chain::Fault::ScriptTooLong { got, max } => Refusal::TooLong { got, max },
            // People are attached, and nothing is replaced by watching.
            chain::Fault::TooDeep { .. }
            | chain::Fault::UnknownCursor { .. }
            | chain::Fault::TooManyUsers { .. }
            | chain::Fault::UnknownUser { .. } => Refusal::Full { have, max },
        })?;
        self.save(Change::Watched { watch, from });
        Ok(())
    }

    fn unwatch(&mut self, watch: Watch) -> Result<(), Refusal> {
        if !self.state.watches.contains_key(&watch) {
            return Err(Refusal::NotWatched);
        }
        if let Some(following) = &mut self.chain {
            following.chain.unwatch(PEOPLE, &watch);
        }
        self.save(Change::Unwatched { watch });
        Ok(())
    }

    fn address(&mut self) -> Result<Reply, Refusal> {
        let address = self.wallet()?.address();
        address.map(Reply::Address).map_err(|refusal| Refusal::Wallet(Box::new(refusal)))
    }

    fn rescan(&mut self, from: Option<Height>) -> Result<Reply, Refusal> {
        let first = self.chain.as_ref().map(|it| it.chain.headers().first().height.0);
        let min = Height(first.unwrap_or(0).saturating_add(1));
        let from = from.unwrap_or(min);
        if from < min {
            return Err(Refusal::TooOld { got: from, min });
        }
        let begun = self.wallet()?.rescan(from);
        begun.map(|()| Reply::Done).map_err(|refusal| Refusal::Wallet(Box::new(refusal)))
    }

    fn watch_lines(&self) -> Vec<WatchLine> {
        let lines = self.state.watches.iter().map(|(watch, watched)| WatchLine {
            watch: watch.clone(),
            searching: watched.from.is_some(),
            hits: watched.hits.clone(),
            left_out: watched.left_out,
        });
        lines.collect()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoChain { health } => write!(f, "no chain yet; the source: {health}"),
            Self::TooOld { got, min } => {
                write!(f, "block {got} is not here; the first that can be searched is {min}")
            }
            Self::Full { have, max } => write!(f, "{have} are watched, at most {max}"),
            Self::TooLong { got, max } => {
                write!(f, "a script of {got} bytes to watch, at most {max}")
            }
            Self::NotWatched => f.write_str("that is not watched"),
            Self::NoSigner => f.write_str("the signer cannot be reached"),
            Self::SlowSigner => {
                let seconds = SIGN_MAX.0 / 1_000;
                write!(f, "the signer has not answered within {seconds} s; nothing is paid")
            }
            Self::Signer { why } => f.write_str(why),
            Self::Wallet(refusal) => refusal.fmt(f),
            Self::NotTaken { why } => write!(
                f,
                "the transaction is given up, and the next payment makes it impossible: {why}"
            ),
            Self::NameTaken { name, had, wants } => {
                write!(f, "by the name '{name}' {had} was sent, and not {wants}")
            }
            Self::NameBusy { name } => {
                write!(f, "the payment '{name}' is being signed; ask again by the same name")
            }
            Self::NameHaunted { name, txid } => write!(
                f,
                "of the payment '{name}' {txid} was given up, and may still be mined before what \
                 spends the same is {FORGET_BLOCKS} blocks deep; ask again then"
            ),
            Self::TooManyNames { have, max } => write!(
                f,
                "{have} names of payments, at most {max}; each is kept for {NAME_BLOCKS} blocks"
            ),
            Self::FundsChannel { txid } => write!(
                f,
                "a channel is funded by {txid}: another transaction, though it paid the same, \
                 would fund nothing. Spend what comes back from it to make it faster"
            ),
            Self::StaleLease(stale) => write!(f, "somebody else has the channels: {stale}"),
            Self::MayBeMined { txid, frees, hang, blocks, min } => write!(
                f,
                "{txid} may still be mined: another one is instead of it in {blocks} blocks, at \
                 least {min}; by force {frees} are free, {hang} others go with it, and the next \
                 payment makes it impossible"
            ),
        }
    }
}
