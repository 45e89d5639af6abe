//! A node made of LDK's peer handler, which answers every note with an echo.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bitcoin::secp256k1::PublicKey;
use lightning::{
    io,
    ln::{
        msgs::{DecodeError, Init, LightningError},
        peer_handler::{
            CustomMessageHandler, ErroringMessageHandler, IgnoringMessageHandler, MessageHandler,
            PeerManager,
        },
        wire::{CustomMessageReader, Type},
    },
    sign::{KeysManager, NodeSigner as _, Recipient},
    types::features::{InitFeatures, NodeFeatures},
    util::{
        logger::{Level, Logger, Record},
        ser::{LengthLimitedRead, Writeable, Writer},
    },
};
use lightning_net_tokio::SocketDescriptor;
use tokio::{net::TcpListener, runtime::Runtime};
use wire::custom;

/// What an LDK node puts before a note that it sends back.
pub const ECHO: &[u8] = b"echo of ";

/// LDK's pings come with its timer, which it wants called every ten seconds; here it hurries.
const TICK_MS: u64 = 700;

type Manager = PeerManager<
    SocketDescriptor,
    Arc<ErroringMessageHandler>,
    Arc<IgnoringMessageHandler>,
    Arc<IgnoringMessageHandler>,
    Arc<Quiet>,
    Arc<Notes>,
    Arc<KeysManager>,
    Arc<IgnoringMessageHandler>,
>;

/// An LDK node with a runtime of its own. Everything of it ends when it is dropped.
pub struct Node {
    id: PublicKey,
    manager: Arc<Manager>,
    notes: Arc<Notes>,
    runtime: Runtime,
}

/// A custom message: bytes.
#[derive(Debug)]
pub struct Note(Vec<u8>);

/// What happened on the node's connections.
#[derive(Default)]
pub struct Notes {
    state: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    received: usize,
    unsent: Vec<(PublicKey, Note)>,
    inits: Vec<(PublicKey, Init)>,
    disconnected: usize,
}

struct Quiet;

impl Node {
    /// A node with this seed.
    pub fn start(seed: u8) -> Self {
        let keys = Arc::new(KeysManager::new(&[seed; 32], 1, 1, true));
        let id = keys.get_node_id(Recipient::Node).expect("the node's own id");
        let notes = Arc::new(Notes::default());
        let ignoring = Arc::new(IgnoringMessageHandler {});
        let handlers = MessageHandler {
            chan_handler: Arc::new(ErroringMessageHandler::new()),
            route_handler: Arc::clone(&ignoring),
            onion_message_handler: Arc::clone(&ignoring),
            custom_message_handler: Arc::clone(&notes),
            send_only_message_handler: ignoring,
        };
        let manager = Arc::new(Manager::new(handlers, 1, &[seed; 32], Arc::new(Quiet), keys));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let ticking = Arc::clone(&manager);
        runtime.spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
            loop {
                tick.tick().await;
                ticking.timer_tick_occurred();
                ticking.process_events();
            }
        });
        Self { id, manager, notes, runtime }
    }

    /// The node's id.
    pub const fn id(&self) -> PublicKey {
        self.id
    }

    /// Accepts connections from now on; tells where.
    pub fn listen(&self) -> SocketAddr {
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let at = listener.local_addr().expect("it is bound");
        let manager = Arc::clone(&self.manager);
        self.runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.into_std().expect("just accepted");
                tokio::spawn(lightning_net_tokio::setup_inbound(Arc::clone(&manager), stream));
            }
        });
        at
    }

    /// Connects to a node.
    pub fn dial(&self, remote: PublicKey, at: SocketAddr) {
        let manager = Arc::clone(&self.manager);
        self.runtime.spawn(async move {
            let connected = lightning_net_tokio::connect_outbound(manager, remote, at).await;
            connected.expect("the port is open").await;
        });
    }

    /// Notes that came in.
    pub fn received(&self) -> usize {
        self.notes.state.lock().expect("no test panics with it").received
    }

    /// What a peer offered, once LDK has agreed to it.
    pub fn init_of(&self, peer: PublicKey) -> Option<Init> {
        let seen = self.notes.state.lock().expect("no test panics with it");
        seen.inits.iter().find(|(node, _)| *node == peer).map(|(_, init)| init.clone())
    }

    /// Connections that ended.
    pub fn disconnected(&self) -> usize {
        self.notes.state.lock().expect("no test panics with it").disconnected
    }
}

impl Type for Note {
    fn type_id(&self) -> u16 {
        custom::NOTE.first
    }
}

impl Writeable for Note {
    fn write<W: Writer>(&self, to: &mut W) -> Result<(), io::Error> {
        to.write_all(&self.0)
    }
}

impl CustomMessageReader for Notes {
    type CustomMessage = Note;

    fn read<R: LengthLimitedRead>(
        &self,
        message_type: u16,
        from: &mut R,
    ) -> Result<Option<Note>, DecodeError> {
        if !custom::NOTE.holds(message_type) {
            return Ok(None);
        }
        let left = usize::try_from(from.remaining_bytes()).expect("a message is short");
        let mut bytes = vec![0; left];
        io::Read::read_exact(from, &mut bytes)?;
        Ok(Some(Note(bytes)))
    }
}

impl CustomMessageHandler for Notes {
    fn handle_custom_message(&self, note: Note, from: PublicKey) -> Result<(), LightningError> {
        let mut seen = self.state.lock().expect("no test panics with it");
        seen.received += 1;
        let echo = Note([ECHO, &note.0].concat());
        seen.unsent.push((from, echo));
        Ok(())
    }

    fn get_and_clear_pending_msg(&self) -> Vec<(PublicKey, Note)> {
        std::mem::take(&mut self.state.lock().expect("no test panics with it").unsent)
    }

    fn peer_disconnected(&self, _: PublicKey) {
        self.state.lock().expect("no test panics with it").disconnected += 1;
    }

    fn peer_connected(&self, peer: PublicKey, init: &Init, _: bool) -> Result<(), ()> {
        let mut seen = self.state.lock().expect("no test panics with it");
        seen.inits.push((peer, init.clone()));
        Ok(())
    }

    fn provided_node_features(&self) -> NodeFeatures {
        NodeFeatures::empty()
    }

    fn provided_init_features(&self, _: PublicKey) -> InitFeatures {
        InitFeatures::empty()
    }
}

impl Logger for Quiet {
    fn log(&self, record: Record<'_>) {
        if record.level >= Level::Warn {
            println!("LDK: {}", record.args);
        }
    }
}
