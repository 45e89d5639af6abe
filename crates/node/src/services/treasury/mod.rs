//! What a node knows of the chain, and has there: it follows a source of blocks, keeps what people
//! watch, publishes, and has the wallet.
//!
//! Poll shape around a state that is the sum of its changes, like the post office:
//! [`Treasury::poll`] gives steps, in order, and what follows a [`Step::Save`] leaves only when
//! that is durable.

mod answers;
mod calls;
mod change;
mod forget;
mod lightning;
mod names;
mod people;
mod purse;
mod source;
mod view;

use std::{collections::VecDeque, fmt};

use bitcoin::{Amount, BlockHash, Txid, bip32::Fingerprint, block::Header};
use chain::{
    BlockRef, Chain, FeeTerms, Fees, FirstFault, Headers, Height, PUBLISHER, PublishChange,
    PublishEvent, PublishState, Publisher, RatesFault, User, WatchAsk,
};
use wallet::Wallet;
use wire::{Network, id::ChainHash, tick::Tick};

pub use calls::{CallId, Command, Refusal, Reply, SignersView as ViewLine, Status, WatchLine};
pub use change::{Change, HITS_ALL_MAX, HITS_MAX, Hit, State, Watched};
pub use forget::FORGET_BLOCKS;
pub use lightning::{ChannelsWant, Followed, Following as FollowedFrom};
pub use names::{NAME_BLOCKS, NAME_BYTES_MAX, NAMES_MAX, NameFault, Named, Ordered, PaymentName};
pub use purse::{SIGN_MAX, SavedWallet, Sent, SignId, TAKE_MAX};
pub use source::{
    ANSWER_MAX, ASKS_MAX, Answer, Ask, AskId, From, Health, LAG_MAX, NO_BLOCK_MAX, NO_BLOCK_MIN,
    NetworkName, NoBlock, PUBLIC_SIGNET, RETRY_MAX, RETRY_MIN, SourceFault, TIP_EVERY, Tip,
    WARMING_UP,
};

use purse::{Purse, WALLET};
use source::Source;
use view::SignersView;

/// People, as a user of the chain.
const PEOPLE: User = User(1);
/// Channels, as a user of the chain and of the publisher.
const CHANNELS: User = User(3);
/// A chain begins so far below the tip, where it does not begin with the first block of all.
pub const BIRTH_BLOCKS: u32 = chain::REORG_BLOCKS_MAX;

/// What the shell is to do next.
#[derive(Debug)]
pub enum Step {
    /// Give this to the log.
    Save(Save),
    /// Do this once all that was given to the log before is durable.
    Do(Effect),
}

/// What is saved. Each kind is restored by itself.
#[derive(Debug)]
pub enum Save {
    /// A change of the chain, or of what people watch.
    Own(Change),
    /// A change of what is published.
    Publisher(PublishChange),
    /// The wallet begins with this.
    WalletBegun(Vec<u8>),
    /// A change of the wallet.
    Wallet(Vec<u8>),
}

/// What was saved.
#[derive(Debug, Default)]
pub struct Saved {
    /// The chain, and what people watch.
    pub own: State,
    /// What is published.
    pub publisher: PublishState,
    /// The wallet.
    pub wallet: SavedWallet,
    /// Funding transactions of channels that are saved, and in no block.
    pub owed: Vec<bitcoin::Transaction>,
}

/// What leaves the treasury.
#[derive(Debug)]
pub enum Effect {
    /// Ask the source.
    AskSource(AskId, Ask),
    /// Ask the signer.
    AskSigner(SignId, signer::Ask),
    /// Tell whoever asked.
    Reply {
        /// Which call.
        call: CallId,
        /// How it went.
        reply: Box<Result<Reply, Refusal>>,
    },
    /// Tell whoever listens.
    Tell(Event),
    /// Tell the channels, which hear of the chain from their own block on.
    Follow(Box<Followed>),
    /// This cannot go on.
    Fail(Failure),
}

/// What listeners are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The source is different from before.
    Source(Health),
    /// What became of something that the wallet has published.
    Publication {
        /// The transaction.
        txid: Txid,
        /// What became of it.
        event: PublishEvent,
    },
    /// A transaction of the wallet was given up. Its coins are free.
    Forgotten {
        /// Which.
        txid: Txid,
    },
    /// There is more or less money than before.
    Balance(wallet::Balance),
    /// The signer does not believe our headers.
    ViewRefused {
        /// Why.
        why: String,
    },
    /// The source does not have a block that is needed.
    NoBlock(NoBlock),
    /// No header of ours is behind the signer's newest block: what is between is read for it.
    ViewUnconnected {
        /// The signer's newest block.
        tip: BlockRef,
        /// Our first one.
        first: BlockRef,
    },
    /// The source has answered with fee rates that cannot be.
    Rates(RatesFault),
    /// The chain has one block more.
    Block(BlockRef),
    /// The newest block is in the chain no more.
    BlockGone(BlockRef),
    /// Something that is watched was found.
    Found {
        /// In which block.
        block: BlockRef,
        /// What was watched.
        watch: chain::Watch,
        /// What was found.
        hit: Hit,
    },
    /// It is not in the chain any more.
    FoundGone {
        /// In which block it was.
        block: BlockRef,
        /// What was watched.
        watch: chain::Watch,
        /// What had been found.
        hit: Hit,
    },
}

/// Why a node must stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The state belongs to another network.
    OtherNetwork {
        /// The node's.
        got: Network,
        /// Names the state's.
        want: ChainHash,
    },
    /// What was saved of the chain cannot be its beginning.
    First(FirstFault),
    /// The chain cannot be followed.
    Chain(chain::Fault),
    /// The signer has another seed than the wallet.
    OtherSeed {
        /// The signer's.
        got: Fingerprint,
        /// The wallet's.
        want: Fingerprint,
    },
    /// What was saved of the wallet, or what it hears, cannot be.
    Wallet {
        /// In its words.
        why: String,
    },
}

/// How a treasury is to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The node's network.
    pub network: Network,
    /// A signet's own challenge, in hex.
    pub challenge: Option<String>,
    /// Where a new chain begins, if it matters.
    pub birthday: Option<Height>,
    /// What may be paid.
    pub fees: FeeTerms,
    /// What future channels will need, and spends have to leave.
    pub reserve: Amount,
}

/// The chain, its users, and its source.
pub struct Treasury {
    terms: Terms,
    state: State,
    /// Nothing before the source has said where it begins.
    chain: Option<Following>,
    /// Until there is a chain.
    published: PublishState,
    fees: Fees,
    purse: Purse,
    view: SignersView,
    source: Source,
    now: Tick,
    failed: bool,
    /// The wallet has not changed since it was weighed.
    is_weighed: bool,
    steps: VecDeque<Step>,
}

/// A chain and those who follow it.
struct Following {
    born: ChainHash,
    chain: Chain,
    publisher: Publisher,
    /// Nothing before the signer has said whose money it is.
    wallet: Option<Wallet>,
}

impl Treasury {
    /// Goes on from what was saved.
    pub fn open(saved: Saved, terms: Terms, now: Tick) -> Self {
        let name = NetworkName::of(terms.network, terms.challenge.clone());
        let Saved { own: mut state, publisher: published, wallet, owed } = saved;
        let saved = state.chain.take();
        let mut treasury = Self {
            fees: Fees::new(terms.fees, now),
            terms,
            state,
            chain: None,
            published,
            purse: Purse::new(wallet, owed),
            view: SignersView::default(),
            source: Source::new(name),
            now,
            failed: false,
            is_weighed: false,
            steps: VecDeque::new(),
        };
        match saved {
            Some((want, _)) if want != ChainHash::of(treasury.terms.network) => {
                let got = treasury.terms.network;
                treasury.fail(Failure::OtherNetwork { got, want });
            }
            Some((born, headers)) => match headers.judge_first() {
                Ok(_) => treasury.begin(born, headers),
                Err(fault) => treasury.fail(Failure::First(fault)),
            },
            None if treasury.begins_with_genesis() => {
                let block = bitcoin::constants::genesis_block(treasury.terms.network);
                treasury.born_with(Height(0), block.header);
            }
            None => {}
        }
        treasury
    }

    fn begins_with_genesis(&self) -> bool {
        self.terms.network == Network::Regtest && self.terms.birthday.is_none()
    }

    fn born_with(&mut self, height: Height, header: Header) {
        let network = ChainHash::of(self.terms.network);
        self.steps.push_back(Step::Save(Save::Own(Change::Born { network, height, header })));
        self.begin(network, Headers::new(self.terms.network, height, header));
    }

    fn begin(&mut self, born: ChainHash, headers: Headers) {
        let mut chain = Chain::new(headers);
        let published = std::mem::take(&mut self.published);
        let attached = self
            .attach_people(&mut chain)
            .and_then(|()| chain.attach(PUBLISHER, published.cursor))
            .map_err(Failure::Chain)
            .and_then(|tip| Ok((tip, self.begin_wallet(&mut chain)?)));
        match attached {
            Ok((tip, wallet)) => {
                let publisher = Publisher::new(published, tip, self.now);
                let mut following = Following { born, chain, publisher, wallet };
                self.publish_again(&mut following);
                self.chain = Some(following);
                self.hear();
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Whether it cannot go on. Nothing of it is to be saved from then on.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// A snapshot: the bytes of the fewest changes that make the state.
    pub fn snapshot(&self) -> Vec<u8> {
        let headers = self.chain.as_ref().map(|it| (it.born, it.chain.headers()));
        let changes = self.state.changes(headers);
        crate::services::saved::join(changes.iter().map(Change::encode))
    }

    /// The same, of what is published.
    pub fn publisher_snapshot(&self) -> Vec<u8> {
        self.chain.as_ref().map_or(&self.published, |it| it.publisher.state()).encode()
    }

    /// The same, of the wallet, if it has begun.
    pub fn wallet_snapshot(&self) -> Option<Vec<u8>> {
        self.chain.as_ref()?.wallet.as_ref().map(Wallet::snapshot)
    }

    /// Our newest block, once there is one.
    pub fn tip(&self) -> Option<BlockRef> {
        self.chain.as_ref().map(|it| it.chain.headers().tip())
    }

    /// How the source is.
    pub const fn health(&self) -> &Health {
        &self.source.health
    }

    /// What is saved of people, or about to be.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// When to call [`Treasury::wake`] at the latest.
    pub fn wake_at(&self) -> Tick {
        let mut at = self.source.wake_at();
        at = self.patience().map_or(at, |until| at.min(until));
        at = self.view.account_at.map_or(at, |again| at.min(again));
        if self.source.is_up() {
            at = at.min(self.fees.wake_at());
            let publisher = self.chain.as_ref().and_then(|it| it.publisher.wake_at());
            at = publisher.map_or(at, |wake| at.min(wake));
        }
        at
    }

    /// Time has passed.
    pub fn wake(&mut self, now: Tick) {
        self.now = now;
        self.lose_patience();
        self.ask_account_again();
        if self.source.is_overdue(now) {
            let why = format!("no answer after {} s", ANSWER_MAX.0 / 1_000);
            self.lose(Health::Down { why }, now);
        }
        if !self.failed
            && let Some((id, ask)) = self.source.tip_due(now)
        {
            self.act(Effect::AskSource(id, ask));
        }
        if self.source.is_up() {
            self.fees.handle_wake(now);
            if let Some(following) = &mut self.chain {
                following.publisher.handle_wake(now);
                while let Some(block) = self.source.block_due(now) {
                    following.chain.ask_again(block);
                }
            }
            self.hear();
            self.ask_more(now);
        }
    }

    /// Saves and passes on what the chain and those who follow it have to say.
    fn hear(&mut self) {
        let Some(mut following) = self.chain.take() else { return };
        loop {
            self.save_all(&mut following);
            if following.watch_for_publisher() | following.watch_for_wallet() {
                continue;
            }
            if let Some((user, event)) = following.chain.event() {
                self.pass_on(&mut following, user, event);
            } else if let Some((key, event)) = following.publisher.event() {
                self.publication(&mut following, key, event);
            } else {
                break;
            }
        }
        self.chain = Some(following);
        // It is another balance only if something was saved.
        if !std::mem::replace(&mut self.is_weighed, true) {
            self.weigh();
        }
        self.feed_view();
    }

    fn save_all(&mut self, following: &mut Following) {
        while let Some(change) = following.chain.change() {
            self.steps.push_back(Step::Save(Save::Own(Change::Headers(change))));
        }
        while let Some(change) = following.publisher.change() {
            self.steps.push_back(Step::Save(Save::Publisher(change)));
        }
        while let Some(change) = following.wallet.as_mut().and_then(Wallet::change) {
            self.steps.push_back(Step::Save(Save::Wallet(change)));
            self.is_weighed = false;
        }
    }

    fn pass_on(&mut self, following: &mut Following, user: User, event: chain::Event) {
        match user {
            PUBLISHER => following.publisher.handle_event(&event, self.now),
            WALLET => {
                let Some(wallet) = &mut following.wallet else { return };
                let before = wallet.progress();
                let is_gone = matches!(event, chain::Event::Disconnected { .. });
                let heard = wallet.hear(event);
                if wallet.progress().is_none()
                    && let Some(progress) = before
                {
                    self.purse.rescanned = Some(wallet::Progress { done: progress.of, ..progress });
                }
                if let Err(refusal) = heard {
                    self.fail(Failure::Wallet { why: refusal.to_string() });
                }
                // What was buried, or given up and mined nevertheless, nobody publishes.
                if is_gone {
                    self.publish_again(following);
                }
            }
            CHANNELS => self.channels_hear(event),
            _ => self.people_hear(event),
        }
    }

    fn save(&mut self, change: Change) {
        self.state.evolve(&change, self.terms.network);
        self.steps.push_back(Step::Save(Save::Own(change)));
    }

    fn act(&mut self, effect: Effect) {
        self.steps.push_back(Step::Do(effect));
    }

    fn tell(&mut self, event: Event) {
        self.act(Effect::Tell(event));
    }

    fn reply(&mut self, call: CallId, reply: Result<Reply, Refusal>) {
        self.act(Effect::Reply { call, reply: Box::new(reply) });
    }

    fn fail(&mut self, failure: Failure) {
        self.failed = true;
        self.act(Effect::Fail(failure));
    }
}

impl Following {
    /// Whether the publisher has watched, or stopped watching, something.
    fn watch_for_publisher(&mut self) -> bool {
        let mut any = false;
        while let Some(ask) = self.publisher.watch() {
            any = true;
            match ask {
                WatchAsk::Watch { watch, from } => {
                    let first = Height(self.chain.headers().first().height.0.saturating_add(1));
                    let from = from.max(first);
                    // It keeps to a limit of its own, which is far below the chain's.
                    self.chain.watch(PUBLISHER, watch, from).ok();
                }
                WatchAsk::Unwatch { watch } => self.chain.unwatch(PUBLISHER, &watch),
            }
        }
        any
    }
}

impl Ask {
    /// The question's name, for faults and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tip => "tip",
            Self::HeaderAt { .. } => "header",
            Self::Headers { .. } => "headers",
            Self::Block { .. } => "block",
            Self::Publish { .. } => "publish",
            Self::Rates { .. } => "fee rates",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherNetwork { got, want } => {
                let want = BlockHash::from_raw_hash(bitcoin::hashes::Hash::from_byte_array(want.0));
                write!(f, "the network is {got}, this folder belongs to the chain of {want}")
            }
            Self::First(fault) => write!(f, "the saved chain cannot be: {fault}"),
            Self::Chain(fault) => fault.fmt(f),
            Self::OtherSeed { got, want } => {
                write!(f, "the signer has the seed {got}, this folder's wallet is of {want}")
            }
            Self::Wallet { why } => write!(f, "the wallet cannot go on: {why}"),
        }
    }
}

impl std::error::Error for Failure {}
