//! Which services a process runs, and how they find each other.

use std::{
    fmt, io,
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use bitcoin::Amount;
use bus::{Grant, Hub, ListenFault, Waker};
use chain::{FeeTerms, Height};
use peer::Terms;
use signer::{Checkpoint, NodeIndex, Policy, Seed, Signer};
use wire::{Network, features::Features, id::ChainHash};

use crate::{
    io::{
        bitcoind::{Bitcoind, Place},
        channels::{self as channels_service, ChannelsBell, ChannelsFault, Ear, News, Reach},
        channels_file::ChannelsFile,
        devnet::{DevnetFault, Embedded},
        folder_lock::FolderLock,
        journal_file::JournalFault,
        office::{self, Bell, Office, OfficeFault, ToChannels},
        reach::At,
        signer::{self as signer_service, SignerFiles},
        sockets::{self, SignerAt, Sockets, TakeOverFault},
        stop::Stop,
        treasury::{Before, Service, TreasuryBell, TreasuryFault},
        view_file::ViewFile,
    },
    services::{channels, post::Event, treasury},
    store::{Log, Store, StoreFault},
};

/// The services of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It has the keys.
    pub signer: bool,
    /// It has the sockets.
    pub sockets: bool,
    /// It has everything else: the store, and the API.
    pub node: bool,
    /// It has a chain of its own, for itself and for others on this machine.
    pub devnet: bool,
}

impl Roles {
    /// Nothing.
    pub const NONE: Self = Self { signer: false, sockets: false, node: false, devnet: false };
    /// A node in one process, whose chain is elsewhere.
    pub const ALL: Self = Self { signer: true, sockets: true, node: true, devnet: false };
}

/// Who is meant to use a path on which a service listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkName {
    /// The node: it asks the signer for signatures under messages, and the sockets for everything.
    Node,
    /// The sockets: they ask the signer for handshakes.
    Sockets,
    /// A client that has the keys of connections, and lets the sockets carry them.
    Client,
    /// The next process with this one's sockets.
    Handover,
}

/// What a process is to be.
pub struct Plan {
    /// Where it keeps its files.
    pub dir: PathBuf,
    /// The network of its node.
    pub network: Network,
    /// Its services.
    pub roles: Roles,
    /// Where peers can call.
    pub listen: Vec<SocketAddr>,
    /// Where other services can connect.
    pub links: Vec<(LinkName, PathBuf)>,
    /// Where the signer is, if it is not here.
    pub signer: Option<PathBuf>,
    /// Where the sockets are, if they are not here.
    pub sockets: Option<PathBuf>,
    /// The process whose sockets are to be taken over.
    pub take_over: Option<PathBuf>,
    /// The keys, if the signer is here.
    pub seed: Option<Seed>,
    /// What the signer agrees to.
    pub policy: Policy,
    /// Where its own view of the chain begins.
    pub checkpoint: Checkpoint,
    /// The chain, if the node is here and is to follow one.
    pub chain: Option<ChainPlan>,
    /// The devnet, if it is here.
    pub devnet: Option<DevnetPlan>,
    /// The database that keeps what the node remembers, if it is not a file of its folder.
    pub store: Option<String>,
    /// Pages to which that file may grow, if it has such a limit.
    pub store_pages_max: Option<u32>,
}

/// How a node is to follow the chain.
pub struct ChainPlan {
    /// Where blocks come from, if not from the devnet of this process.
    pub source: Option<Place>,
    /// A signet's own challenge, in hex.
    pub challenge: Option<String>,
    /// Where a new chain begins, if it matters.
    pub birthday: Option<Height>,
    /// What spends of the wallet have to leave, for future channels.
    pub reserve: Amount,
    /// Hears what happens there.
    pub tell: Box<dyn Fn(treasury::Event) + Send>,
    /// Hears what happens to channels.
    pub tell_channels: Box<dyn Fn(channels::Event) + Send>,
}

/// How a devnet is to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevnetPlan {
    /// Where it speaks JSON-RPC.
    pub rpc: SocketAddr,
    /// It mines a block each time so much has passed.
    pub every: Option<Duration>,
}

/// Why a process cannot be what it is to be, or cannot go on.
#[derive(Debug)]
pub enum RunFault {
    /// The plan contradicts itself.
    Plan(&'static str),
    /// The system says no.
    Io {
        /// To what.
        what: String,
        /// Its reason.
        fault: io::Error,
    },
    /// Nobody can listen there.
    Listen(ListenFault),
    /// The sockets could not be taken over.
    TakeOver(TakeOverFault),
    /// The store cannot be used.
    Store(StoreFault),
    /// The office cannot go on.
    Office(OfficeFault),
    /// The treasury cannot go on.
    Treasury(TreasuryFault),
    /// The channels cannot go on.
    Channels(ChannelsFault),
    /// There is no devnet.
    Devnet(DevnetFault),
    /// What the signer has saved cannot be read.
    Journal(JournalFault),
}

/// A running process.
pub struct Running {
    /// Where peers can call.
    pub listening: Vec<SocketAddr>,
    /// Calls the node, if it is here.
    pub bell: Option<Bell>,
    /// Calls its treasury, if it follows a chain.
    pub treasury: Option<TreasuryBell>,
    /// Calls its channels, likewise.
    pub channels: Option<ChannelsBell>,
    /// The devnet, if it is here.
    pub devnet: Option<Embedded>,
    stop: Stop,
    wakers: Vec<Waker>,
    services: usize,
    ended: Receiver<Result<(), RunFault>>,
}

impl Plan {
    /// A whole node in one process, which nobody can call yet.
    pub fn whole(dir: PathBuf, network: Network, seed: Seed) -> Self {
        Self {
            dir,
            network,
            roles: Roles::ALL,
            listen: Vec::new(),
            links: Vec::new(),
            signer: None,
            sockets: None,
            take_over: None,
            seed: Some(seed),
            policy: Policy::default(),
            checkpoint: Checkpoint::built_in(network),
            chain: None,
            devnet: None,
            store: None,
            store_pages_max: None,
        }
    }

    /// Refuses a plan that contradicts itself.
    pub fn judge(&self) -> Result<(), RunFault> {
        let Roles { signer, sockets, node, devnet } = self.roles;
        let has_source = self.chain.as_ref().is_none_or(|chain| chain.source.is_some());
        let needs_signer = sockets || node;
        let flaw = if !(signer || sockets || node || devnet) {
            "no role: name at least one of signer, sockets, node, devnet"
        } else if devnet && self.network != Network::Regtest {
            "a devnet is of the network regtest"
        } else if devnet != self.devnet.is_some() {
            "the role devnet needs its plan, and only that role does"
        } else if !has_source && !devnet {
            "there is no devnet in this process: say where blocks come from"
        } else if signer && self.seed.is_none() {
            "the role signer needs the seed"
        } else if signer && self.signer.is_some() {
            "the signer is in this process: --signer points at another one"
        } else if needs_signer && !signer && self.signer.is_none() {
            "the signer is not in this process: say where with --signer unix:PATH"
        } else if node && !sockets && self.sockets.is_none() {
            "the sockets are not in this process: say where with --sockets unix:PATH"
        } else if sockets && self.sockets.is_some() {
            "the sockets are in this process: --sockets points at another one"
        } else if !sockets && !self.listen.is_empty() {
            "only the role sockets listens for peers"
        } else if !sockets && self.take_over.is_some() {
            "only the role sockets takes over sockets"
        } else if self.take_over.is_some() && (signer || node || devnet) {
            "sockets are taken over by a process that has no other role"
        } else if self.chain.is_some() && !node {
            "only the role node follows a chain"
        } else {
            return Ok(());
        };
        Err(RunFault::Plan(flaw))
    }
}

/// What a holder of sockets offers to peers.
pub fn terms(network: Network) -> Terms {
    Terms {
        features: features(),
        networks: vec![ChainHash::of(network)],
        routed: channels::ROUTED.to_vec(),
        custom: true,
    }
}

/// The features in our `init`.
pub fn features() -> Features {
    channels::features()
}

/// Starts the services of a process, each in a thread. `tell` hears what the node has to tell.
pub fn start(mut plan: Plan, tell: Box<dyn Fn(Event) + Send>) -> Result<Running, RunFault> {
    plan.judge()?;
    let (ends, ended) = channel();
    let mut running = Running {
        listening: Vec::new(),
        bell: None,
        treasury: None,
        channels: None,
        devnet: None,
        stop: Stop::default(),
        wakers: Vec::new(),
        services: 0,
        ended,
    };
    let store = if plan.roles.node { Some(open_store(&plan)?) } else { None };
    if let Some(plan_of_devnet) = plan.devnet {
        running.start_devnet(&plan.dir, plan_of_devnet, &ends)?;
    }
    let mut pairs = Pairs::default();
    if plan.roles.signer {
        running.start_signer(&mut plan, &mut pairs, &ends)?;
    }
    if plan.roles.sockets {
        running.start_sockets(&plan, &mut pairs, &ends)?;
    }
    if let Some(store) = store {
        let chain = plan.chain.take();
        running.start_node(&plan, pairs, store, chain, tell, &ends)?;
    }
    Ok(running)
}

/// The ends of the pairs between services of one process.
#[derive(Default)]
struct Pairs {
    sockets_to_signer: Option<UnixStream>,
    node_to_signer: Option<UnixStream>,
    treasury_to_signer: Option<UnixStream>,
    channels_to_signer: Option<UnixStream>,
    node_to_sockets: Option<UnixStream>,
}

impl Running {
    fn start_signer(
        &mut self,
        plan: &mut Plan,
        pairs: &mut Pairs,
        ends: &Sender<Result<(), RunFault>>,
    ) -> Result<(), RunFault> {
        let mut hub = hub()?;
        if plan.roles.sockets {
            pairs.sockets_to_signer = Some(pair(&mut hub, signer_service::for_sockets())?);
        }
        if plan.roles.node {
            pairs.node_to_signer = Some(pair(&mut hub, signer_service::for_node())?);
        }
        if plan.chain.is_some() {
            pairs.treasury_to_signer = Some(pair(&mut hub, signer_service::for_node())?);
            pairs.channels_to_signer = Some(pair(&mut hub, signer_service::for_node())?);
        }
        for (name, path) in &plan.links {
            let grant = match name {
                LinkName::Sockets => signer_service::for_sockets(),
                LinkName::Node if !plan.roles.sockets => signer_service::for_node(),
                LinkName::Node | LinkName::Client | LinkName::Handover => continue,
            };
            hub.listen(path, grant).map_err(RunFault::Listen)?;
        }
        let seed = plan.seed.take().ok_or(RunFault::Plan("the role signer needs the seed"))?;
        let key = seed.node_key(plan.network, NodeIndex::FIRST);
        let channel_keys = seed.channel_keys(plan.network, NodeIndex::FIRST);
        let lock = FolderLock::take(&plan.dir).map_err(RunFault::Journal)?;
        let (channels_file, channels) =
            ChannelsFile::open(&plan.dir, plan.network, channel_keys).map_err(RunFault::Journal)?;
        let (view_file, view) =
            ViewFile::open(&plan.dir, plan.network, &plan.checkpoint).map_err(RunFault::Journal)?;
        let signer = Signer::new(key, seed.wallet_key(plan.network), channels);
        let files = SignerFiles { view: view_file, channels: channels_file };
        let signer = signer.with_policy(plan.policy.clone()).with_view(view);
        self.wakers.push(hub.waker());
        let stop = self.stop.clone();
        self.spawn("signer", ends, move || {
            let ended = signer_service::run(hub, signer, files, &stop);
            drop(lock);
            ended.map_err(|fault| io_fault("the signer", fault))
        })
    }

    fn start_sockets(
        &mut self,
        plan: &Plan,
        pairs: &mut Pairs,
        ends: &Sender<Result<(), RunFault>>,
    ) -> Result<(), RunFault> {
        let signer = match (pairs.sockets_to_signer.take(), &plan.signer) {
            (Some(end), _) => SignerAt::Pair(end),
            (None, Some(path)) => SignerAt::Path(path.clone()),
            (None, None) => return Err(RunFault::Plan("the sockets need a signer")),
        };
        let terms = terms(plan.network);
        let mut sockets = match &plan.take_over {
            Some(path) => {
                sockets::take_over(path, terms, signer, grant_named).map_err(RunFault::TakeOver)?
            }
            None => self.fresh_sockets(plan, pairs, terms, signer)?,
        };
        self.listening = sockets.listening().map_err(|fault| io_fault("listening", fault))?;
        self.wakers.push(sockets.waker());
        let stop = self.stop.clone();
        self.spawn("sockets", ends, move || {
            sockets.run(&stop).map_err(|fault| io_fault("the sockets", fault))
        })
    }

    fn fresh_sockets(
        &self,
        plan: &Plan,
        pairs: &mut Pairs,
        terms: Terms,
        signer: SignerAt,
    ) -> Result<Sockets, RunFault> {
        let mut hub = hub()?;
        if plan.roles.node {
            pairs.node_to_sockets = Some(pair(&mut hub, sockets::for_node())?);
        }
        let mut door = None;
        for (name, path) in &plan.links {
            match name {
                LinkName::Node => {
                    hub.listen(path, sockets::for_node()).map_err(RunFault::Listen)?;
                }
                LinkName::Client => {
                    hub.listen(path, sockets::for_client()).map_err(RunFault::Listen)?;
                }
                LinkName::Handover => door = Some(path),
                LinkName::Sockets => {}
            }
        }
        let mut sockets =
            Sockets::new(hub, terms, signer).map_err(|fault| io_fault("the sockets", fault))?;
        for address in &plan.listen {
            let what = || format!("cannot listen at {address}");
            sockets.listen(*address).map_err(|fault| RunFault::Io { what: what(), fault })?;
        }
        if let Some(path) = door {
            let what = || format!("cannot wait for a successor at {}", path.display());
            let allowed = sockets.allow_take_over(path);
            allowed.map_err(|fault| RunFault::Io { what: what(), fault })?;
        }
        Ok(sockets)
    }

    fn start_node(
        &mut self,
        plan: &Plan,
        pairs: Pairs,
        mut store: Store,
        chain: Option<ChainPlan>,
        tell: Box<dyn Fn(Event) + Send>,
        ends: &Sender<Result<(), RunFault>>,
    ) -> Result<(), RunFault> {
        let at = |pair: Option<UnixStream>, path: &Option<PathBuf>| match (pair, path) {
            (Some(end), _) => Ok(At::Pair(end)),
            (None, Some(path)) => Ok(At::Path(path.clone())),
            (None, None) => Err(RunFault::Plan("the node needs a signer and sockets")),
        };
        let sockets = at(pairs.node_to_sockets, &plan.sockets)?;
        let signer = at(pairs.node_to_signer, &plan.signer)?;
        let hub = hub()?;
        self.wakers.push(hub.waker());
        let saved = store.restore(office::POST).map_err(RunFault::Store)?;
        let mut of_treasury = Before::of(&mut store).map_err(RunFault::Store)?;
        let of_channels = store.restore(channels_service::CHANNELS).map_err(RunFault::Store)?;
        let of_channels = channels_service::restore(&of_channels).map_err(RunFault::Channels)?;
        of_treasury.owed = of_channels.state.owed_fundings();
        let log = Log::start(store);
        let (mut office, bell) = Office::open(hub, saved, &log, features(), sockets, signer, tell)
            .map_err(RunFault::Office)?;
        self.bell = Some(bell);
        if let Some(chain) = chain {
            let signers = [
                at(pairs.treasury_to_signer, &plan.signer)?,
                at(pairs.channels_to_signer, &plan.signer)?,
            ];
            let saved = (of_treasury, of_channels);
            self.start_chain(plan.network, (chain, saved), &mut office, (&log, signers), ends)?;
        }
        let stop = self.stop.clone();
        self.spawn("node", ends, move || office.run(&stop).map_err(RunFault::Office))
    }

    /// What follows the chain: the treasury, and the channels above it.
    fn start_chain(
        &mut self,
        network: Network,
        (mut chain, (before, of_channels)): (ChainPlan, (Before, channels_service::Before)),
        office: &mut Office,
        (log, [for_treasury, for_channels]): (&Log, [At; 2]),
        ends: &Sender<Result<(), RunFault>>,
    ) -> Result<(), RunFault> {
        let hub = hub()?;
        self.wakers.push(hub.waker());
        let tell = std::mem::replace(&mut chain.tell_channels, Box::new(|_| ()));
        let (ear, news) = Ear::new(hub.waker());
        let (wishes, wanted) = channel();
        let of_post = ear.clone();
        let pass = Box::new(move |passed| of_post.tell(News::Post(passed)));
        office.serve_channels(ToChannels { pass, wishes: wanted });
        let treasury =
            self.start_treasury(network, chain, before, (log, for_treasury), &ear, ends)?;
        let reach = Reach { signer: for_channels, treasury, wishes, office: office.waker() };
        let terms = channels::Terms::of(network);
        let opened =
            channels_service::Service::open(hub, of_channels, log, terms, (ear, news), reach, tell);
        let (service, bell) = opened.map_err(RunFault::Channels)?;
        self.channels = Some(bell);
        let stop = self.stop.clone();
        self.spawn("channels", ends, move || service.run(&stop).map_err(RunFault::Channels))
    }

    /// It works by itself; its thread only waits for the end.
    fn start_devnet(
        &mut self,
        dir: &Path,
        plan: DevnetPlan,
        ends: &Sender<Result<(), RunFault>>,
    ) -> Result<(), RunFault> {
        let devnet = Embedded::start(dir, plan.rpc, plan.every).map_err(RunFault::Devnet)?;
        self.devnet = Some(devnet.clone());
        let mut hub = hub()?;
        self.wakers.push(hub.waker());
        let stop = self.stop.clone();
        self.spawn("devnet", ends, move || {
            let _served = devnet;
            let mut inputs = Vec::new();
            while !stop.is_set() {
                hub.poll(None, &mut inputs).map_err(|fault| io_fault("the devnet", fault))?;
                inputs.clear();
            }
            Ok(())
        })
    }

    fn start_treasury(
        &mut self,
        network: Network,
        plan: ChainPlan,
        before: Before,
        (log, signer): (&Log, At),
        ear: &Ear,
        ends: &Sender<Result<(), RunFault>>,
    ) -> Result<TreasuryBell, RunFault> {
        let hub = hub()?;
        self.wakers.push(hub.waker());
        let terms = treasury::Terms {
            network,
            challenge: plan.challenge,
            birthday: plan.birthday,
            fees: FeeTerms::default(),
            reserve: plan.reserve,
        };
        let place = plan.source.or_else(|| self.devnet.as_ref().map(Embedded::place));
        let place = place.ok_or(RunFault::Plan("there is no source of blocks"))?;
        let source = Bitcoind::start(place, hub.waker());
        let (mut service, bell) = Service::open(hub, before, log, terms, source, signer, plan.tell)
            .map_err(RunFault::Treasury)?;
        let ear = ear.clone();
        service.followed_by(Box::new(move |it| ear.tell(News::Chain(Box::new(it)))));
        self.treasury = Some(bell.clone());
        let stop = self.stop.clone();
        self.spawn("treasury", ends, move || service.run(&stop).map_err(RunFault::Treasury))?;
        Ok(bell)
    }

    fn spawn(
        &mut self,
        name: &str,
        ends: &Sender<Result<(), RunFault>>,
        work: impl FnOnce() -> Result<(), RunFault> + Send + 'static,
    ) -> Result<(), RunFault> {
        let ends = ends.clone();
        let builder = thread::Builder::new().name(name.to_owned());
        let spawned = builder.spawn(move || {
            // Whoever waited may be gone; then nobody wants to know.
            ends.send(work()).ok();
        });
        spawned.map_err(|fault| io_fault("a thread", fault))?;
        self.services += 1;
        Ok(())
    }

    /// Tells all services to stop.
    pub fn stop(&self) {
        self.stop.set(&self.wakers);
    }

    /// Something that stops all services, for a signal handler or an API.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + Clone + 'static {
        let (stop, wakers) = (self.stop.clone(), self.wakers.clone());
        move || stop.set(&wakers)
    }

    /// Waits until all services have ended. When one ends, the others are told to.
    pub fn wait(self) -> Result<(), RunFault> {
        let mut verdict = Ok(());
        for _ in 0..self.services {
            let Ok(ended) = self.ended.recv() else { break };
            self.stop.set(&self.wakers);
            if verdict.is_ok() {
                verdict = ended;
            }
        }
        verdict
    }
}

/// What the links of a name may ask of sockets that were taken over.
fn grant_named(name: &str) -> Option<Grant> {
    [sockets::for_node(), sockets::for_client()].into_iter().find(|grant| grant.name() == name)
}

fn hub() -> Result<Hub, RunFault> {
    Hub::new().map_err(|fault| io_fault("a loop", fault))
}

/// One end for the hub, the other for whoever asks it.
fn pair(hub: &mut Hub, grant: Grant) -> Result<UnixStream, RunFault> {
    let (ours, theirs) = UnixStream::pair().map_err(|fault| io_fault("a pair", fault))?;
    hub.adopt(ours, grant).map_err(|fault| io_fault("a pair", fault))?;
    Ok(theirs)
}

fn io_fault(what: &str, fault: io::Error) -> RunFault {
    RunFault::Io { what: what.to_owned(), fault }
}

impl fmt::Display for RunFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(flaw) => f.write_str(flaw),
            Self::Io { what, fault } => write!(f, "{what}: {fault}"),
            Self::Listen(fault) => fault.fmt(f),
            Self::TakeOver(fault) => fault.fmt(f),
            Self::Store(fault) => fault.fmt(f),
            Self::Office(fault) => fault.fmt(f),
            Self::Treasury(fault) => fault.fmt(f),
            Self::Channels(fault) => fault.fmt(f),
            Self::Devnet(fault) => fault.fmt(f),
            Self::Journal(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for RunFault {}

/// What the node remembers. Whoever has remembered something in its folder does not begin anew
/// elsewhere: it would not know its own channels.
fn open_store(plan: &Plan) -> Result<Store, RunFault> {
    let path = plan.dir.join("log.sqlite");
    match &plan.store {
        None => Store::open(&path, plan.store_pages_max).map_err(RunFault::Store),
        Some(_) if path.exists() => {
            Err(RunFault::Plan("the node has its store in its folder already, log.sqlite"))
        }
        #[cfg(feature = "postgres")]
        Some(address) => Store::connect(address).map_err(RunFault::Store),
        #[cfg(not(feature = "postgres"))]
        Some(_) => Err(RunFault::Plan("this build knows no database")),
    }
}
