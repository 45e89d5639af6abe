//! What channels need of the chain and of the wallet: blocks from their own cursor, funding
//! transactions that nobody has yet, places for what comes back, publications.

use std::sync::Arc;

use bitcoin::{Amount, FeeRate, ScriptBuf, Sequence, Transaction, Txid, hashes::Hash as _};
use chain::{BlockRef, Event as Heard, Height, Key, Package, PublicationId, Target, Wanted, Watch};
use channel::CoinOffer;
use signer::SpendInput;
use wallet::{Coin, Draft, DraftId, Order, Recipient, Wanted::Exactly};
use wire::{amount::FeeratePerKw, lease::LeaseEpoch, tick::Tick};

use super::{
    CHANNELS, CallId, Change, Effect, Refusal, Reply, Treasury,
    purse::{SIGN_MAX, Waiting, key},
};

/// For what has to be in the next blocks.
const URGENT: Target = Target(2);
/// For what has time.
const CALM: Target = Target(12);

/// So long a channel keeps a coin that it borrows.
const LEND_BLOCKS: u32 = 144;
/// The most coins that are lent at a time.
const LEND_COINS_MAX: usize = 10;

/// What channels need. All of it is theirs who has the lease in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelsWant {
    /// The channels are mine from here on, by the lease that I show.
    Lease,
    /// A place for what a channel will return.
    Home,
    /// Draft a transaction that funds a channel. Its coins are kept; nobody has signed it.
    Fund {
        /// Who is paid.
        script: ScriptBuf,
        /// How much.
        amount: Amount,
        /// What it pays.
        fee_rate: FeeRate,
        /// Drawn with randomness.
        draw: [u8; 32],
    },
    /// Have that one signed, now that the peer has signed what spends it.
    SignFunding {
        /// Which.
        draft: DraftId,
    },
    /// That one is not needed: its coins are free.
    Unfund {
        /// Which.
        draft: DraftId,
    },
    /// That one is published, from now on until it is deep in the chain.
    PublishFunding {
        /// Which.
        draft: DraftId,
        /// The transaction.
        transaction: Box<Transaction>,
    },
    /// Publish these together, from now on until they are deep in the chain. Once more changes
    /// nothing.
    Publish {
        /// What spends of another comes behind it.
        transactions: Vec<Transaction>,
    },
    /// Lend coins of the wallet to a channel, for a day.
    Lend {
        /// At least so much together.
        value: Amount,
    },
    /// Channels hear of the chain from behind this block on, or from now on.
    Follow {
        /// Their last block.
        cursor: Option<BlockRef>,
        /// What they watch, and from where on.
        watches: Vec<(Watch, Height)>,
    },
    /// They watch this, too.
    FollowWatch {
        /// What.
        watch: Watch,
        /// From which block on.
        from: Height,
    },
    /// Not any more.
    FollowUnwatch {
        /// What.
        watch: Watch,
    },
}

/// What channels hear of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// What has happened.
    pub event: Heard,
    /// For what has to be in the next blocks.
    pub urgent: FeeratePerKw,
    /// For what has time.
    pub calm: FeeratePerKw,
}

/// From where on they hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Following {
    /// Their block: what comes is behind it.
    pub at: BlockRef,
    /// For what has to be in the next blocks.
    pub urgent: FeeratePerKw,
    /// For what has time.
    pub calm: FeeratePerKw,
}

/// A funding transaction that the signer looks at.
pub(super) struct Funding {
    pub(super) until: Tick,
    call: CallId,
    draft: Draft,
}

impl Treasury {
    /// Does what channels need, if it is they; nothing if the reply comes later.
    pub(super) fn want(
        &mut self,
        call: CallId,
        lease: LeaseEpoch,
        want: ChannelsWant,
    ) -> Option<Result<Reply, Refusal>> {
        let have = self.state.lease;
        let judged = match want {
            ChannelsWant::Lease => have.judge_claim(lease),
            ChannelsWant::Home
            | ChannelsWant::Fund { .. }
            | ChannelsWant::SignFunding { .. }
            | ChannelsWant::Unfund { .. }
            | ChannelsWant::PublishFunding { .. }
            | ChannelsWant::Publish { .. }
            | ChannelsWant::Lend { .. }
            | ChannelsWant::Follow { .. }
            | ChannelsWant::FollowWatch { .. }
            | ChannelsWant::FollowUnwatch { .. } => have.judge(lease),
        };
        if let Err(stale) = judged {
            return Some(Err(Refusal::StaleLease(stale)));
        }
        Some(match want {
            ChannelsWant::Lease => {
                self.save(Change::Leased { epoch: lease });
                Ok(Reply::Done)
            }
            ChannelsWant::Home => self.home(),
            ChannelsWant::Fund { script, amount, fee_rate, draw } => {
                let order = Order {
                    reserve: self.terms.reserve,
                    is_fixed: true,
                    ..Order::new(Recipient::Script(script), Exactly(amount), fee_rate)
                };
                self.fund(&order, draw)
            }
            ChannelsWant::SignFunding { draft } => {
                self.sign_funding(call, draft);
                return None;
            }
            ChannelsWant::Unfund { draft } => self.unfund(draft),
            ChannelsWant::PublishFunding { draft, transaction } => {
                self.publish_funding(draft, *transaction)
            }
            ChannelsWant::Publish { transactions } => self.publish_for_channels(transactions),
            ChannelsWant::Lend { value } => self.lend(value),
            ChannelsWant::Follow { cursor, watches } => self.follow(cursor, watches),
            ChannelsWant::FollowWatch { watch, from } => self.follow_watch(watch, from),
            ChannelsWant::FollowUnwatch { watch } => self.follow_unwatch(&watch),
        })
    }

    fn rates(&self) -> [FeeratePerKw; 2] {
        [URGENT, CALM].map(|target| {
            let rate: FeeRate = self.fees.rate(target, self.now).rate;
            FeeratePerKw(u32::try_from(rate.to_sat_per_kwu()).unwrap_or(u32::MAX))
        })
    }

    pub(super) fn channels_hear(&mut self, event: Heard) {
        let [urgent, calm] = self.rates();
        self.act(Effect::Follow(Box::new(Followed { event, urgent, calm })));
    }

    /// Attaches channels at their block, with all that they watch, before the chain goes on.
    pub(super) fn follow(
        &mut self,
        cursor: Option<BlockRef>,
        watches: Vec<(Watch, Height)>,
    ) -> Result<Reply, Refusal> {
        let [urgent, calm] = self.rates();
        let no_chain = Refusal::NoChain { health: self.source.health.clone() };
        let following = self.chain.as_mut().ok_or(no_chain.clone())?;
        let first = following.chain.headers().first();
        let at = following.chain.attach(CHANNELS, cursor).map_err(|_| no_chain)?;
        for (watch, from) in watches {
            let from = from.max(Height(first.height.0.saturating_add(1)));
            // They keep to a limit of their own, which is far below the chain's.
            following.chain.watch(CHANNELS, watch, from).ok();
        }
        Ok(Reply::Following(Following { at, urgent, calm }))
    }

    pub(super) fn follow_watch(&mut self, watch: Watch, from: Height) -> Result<Reply, Refusal> {
        let no_chain = Refusal::NoChain { health: self.source.health.clone() };
        let following = self.chain.as_mut().ok_or(no_chain)?;
        let first = following.chain.headers().first().height.0.saturating_add(1);
        following.chain.watch(CHANNELS, watch, from.max(Height(first))).ok();
        Ok(Reply::Done)
    }

    pub(super) fn follow_unwatch(&mut self, watch: &Watch) -> Result<Reply, Refusal> {
        if let Some(following) = &mut self.chain {
            following.chain.unwatch(CHANNELS, watch);
        }
        Ok(Reply::Done)
    }

    pub(super) fn home(&mut self) -> Result<Reply, Refusal> {
        let home = self.wallet()?.home().map_err(|refusal| Refusal::Wallet(Box::new(refusal)));
        home.map(|(place, script)| Reply::Home(channel::Home { place, script }))
    }

    /// Drafts a funding transaction.
    pub(super) fn fund(&mut self, order: &Order, draw: [u8; 32]) -> Result<Reply, Refusal> {
        if !self.purse.has_signer() {
            return Err(Refusal::NoSigner);
        }
        let wrong = |refusal| Refusal::Wallet(Box::new(refusal));
        let drafted = self.wallet()?.send(order, draw).map_err(wrong)?;
        // That its coins are kept is saved before anybody hears of it.
        self.hear();
        let (draft, transaction) = (drafted.id(), Box::new(drafted.transaction()));
        self.purse.unsigned.insert(draft, drafted);
        Ok(Reply::Funding { draft, transaction })
    }

    /// The peer has signed what spends it: our signer looks at both.
    pub(super) fn sign_funding(&mut self, call: CallId, draft: DraftId) {
        let Some(draft) = self.purse.unsigned.remove(&draft) else {
            let refusal = wallet::Refusal::UnknownDraft { draft };
            return self.reply(call, Err(Refusal::Wallet(Box::new(refusal))));
        };
        let (ask, until) = (draft.ask(), self.now + SIGN_MAX);
        let funding = Funding { until, call, draft };
        if !self.purse.has_signer() {
            return self.not_funded(&funding, Refusal::NoSigner);
        }
        self.ask_signer(ask, Waiting::Funding(Box::new(funding)));
    }

    pub(super) fn fund_signed(&mut self, funding: Funding, answer: Option<signer::Answer>) {
        let why = match answer {
            Some(signer::Answer::SpendSigned { signatures }) => {
                match funding.draft.finish(&signatures) {
                    Ok(transaction) => {
                        let reply = Reply::FundingSigned(Box::new(transaction));
                        return self.reply(funding.call, Ok(reply));
                    }
                    Err(fault) => fault.to_string(),
                }
            }
            Some(signer::Answer::Refused(refusal)) => refusal.to_string(),
            _ => "the signer does not do this for us".to_owned(),
        };
        self.not_funded(&funding, Refusal::Signer { why });
    }

    pub(super) fn not_funded(&mut self, funding: &Funding, refusal: Refusal) {
        self.give_up(&funding.draft);
        self.hear();
        self.reply(funding.call, Err(refusal));
    }

    pub(super) fn unfund(&mut self, draft: DraftId) -> Result<Reply, Refusal> {
        self.purse.unsigned.remove(&draft);
        // One that is not known any more was given up before.
        self.wallet()?.give_up(draft).ok();
        Ok(Reply::Done)
    }

    /// From here on the wallet publishes it, whatever happens to this process.
    pub(super) fn publish_funding(
        &mut self,
        draft: DraftId,
        transaction: Transaction,
    ) -> Result<Reply, Refusal> {
        let txid = transaction.compute_txid();
        let wrong = |refusal| Refusal::Wallet(Box::new(refusal));
        let package = Package::single(transaction.clone().into());
        let package = package.map_err(|fault| Refusal::NotTaken { why: fault.to_string() })?;
        let wallet = self.wallet()?;
        if let Err(refusal) = wallet.published(transaction) {
            wallet.give_up(draft).ok();
            return Err(wrong(refusal));
        }
        self.purse.fundings.insert(txid);
        self.publish_as(key(&txid), package)
    }

    /// Whether no channel is lost if another transaction takes the place of this one.
    pub(super) fn may_replace(&mut self, txid: Txid) -> Result<(), Refusal> {
        let gone = self.wallet()?.hanging_on(txid);
        match gone.intersection(&self.purse.fundings).next() {
            Some(txid) => Err(Refusal::FundsChannel { txid: *txid }),
            None => Ok(()),
        }
    }

    pub(super) fn publish_for_channels(
        &mut self,
        transactions: Vec<Transaction>,
    ) -> Result<Reply, Refusal> {
        // By the one that pays for all: another one of them is another publication.
        let last = transactions.last().map(Transaction::compute_txid);
        let half = last.map(|txid| txid.to_byte_array());
        let half = half.and_then(|it| it.first_chunk().copied()).map_or(0, u64::from_be_bytes);
        let package = Package::new(transactions.into_iter().map(Arc::new).collect());
        let package = package.map_err(|fault| Refusal::NotTaken { why: fault.to_string() })?;
        self.publish_as(Key { user: CHANNELS, id: PublicationId(half) }, package)
    }

    /// Keeps confirmed coins for a channel, the smallest that suffice.
    pub(super) fn lend(&mut self, value: Amount) -> Result<Reply, Refusal> {
        let tip = self.tip().map_or(0, |tip| tip.height.0);
        let until = Some(Height(tip.saturating_add(LEND_BLOCKS)));
        let wallet = self.wallet()?;
        let mut free: Vec<Coin> = wallet.coins();
        free.retain(|coin| coin.is_free() && coin.height.is_some());
        free.sort_by_key(|coin| (coin.amount, coin.outpoint));
        let (mut lent, mut sum) = (Vec::new(), Amount::ZERO);
        let single = free.iter().find(|coin| coin.amount >= value).copied();
        for coin in single.map_or(free, |coin| vec![coin]) {
            if sum >= value || lent.len() >= LEND_COINS_MAX {
                break;
            }
            sum = sum.checked_add(coin.amount).unwrap_or(Amount::MAX_MONEY);
            lent.push(coin);
        }
        if sum < value {
            return Ok(Reply::Lent(Vec::new()));
        }
        let account = *wallet.account();
        for coin in &lent {
            let locked = wallet.lock(coin.outpoint, CHANNELS.0, until);
            locked.map_err(|refusal| Refusal::Wallet(Box::new(refusal)))?;
        }
        let offer = |coin: &Coin| CoinOffer {
            input: SpendInput {
                outpoint: coin.outpoint,
                amount: coin.amount,
                place: coin.place,
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            },
            script: account.script(coin.place),
        };
        Ok(Reply::Lent(lent.iter().map(offer).collect()))
    }

    fn publish_as(&mut self, key: Key, package: Package) -> Result<Reply, Refusal> {
        let no_chain = Refusal::NoChain { health: self.source.health.clone() };
        let following = self.chain.as_mut().ok_or(no_chain)?;
        if following.publisher.state().publications.contains_key(&key) {
            return Ok(Reply::Done);
        }
        let from = Height(following.chain.headers().tip().height.0.saturating_add(1));
        let published = following.publisher.publish(Wanted { key, package, from }, self.now);
        published.map_err(|fault| Refusal::NotTaken { why: fault.to_string() })?;
        Ok(Reply::Done)
    }
}
