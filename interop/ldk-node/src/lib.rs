//! A node of LDK as it is, with our devnet for a bitcoind, and how a test waits for it.

use std::{
    fs,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use devnet::{
    Shared, lock,
    rpc::{Access, Server},
};
use ldk_node::{
    Builder, Event, Node,
    bitcoin::{Amount, Network},
    lightning::ln::msgs::SocketAddress,
};
use place::Place;

/// Who is not there after this long does not come any more.
const WAIT_MAX: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// A port that was free may be somebody else's when the node takes it.
const STARTS_MAX: usize = 5;

/// A node with its folder, and a bitcoind's RPC of its own.
pub struct Party {
    /// The node.
    pub node: Node,
    name: &'static str,
    _server: Server,
    place: Place,
}

/// Looks again and again until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {WAIT_MAX:?}");
        thread::sleep(LOOK);
    }
}

impl Party {
    /// Starts a node.
    pub fn start(devnet: &Shared, name: &'static str) -> Self {
        let access = Access::Password { user: name.to_owned(), password: "word".to_owned() };
        let server = Server::start(devnet.clone(), 0, access).expect("a server");
        for _ in 0..STARTS_MAX {
            let place = Place::new();
            let node = build(&server, &place, name);
            if node.start().is_ok() {
                return Self { node, name, _server: server, place };
            }
        }
        panic!("{name} did not start in {STARTS_MAX} attempts");
    }

    /// Where others reach it.
    pub fn address(&self) -> SocketAddress {
        let addresses = self.node.listening_addresses().expect("it listens");
        addresses.first().expect("on one address").clone()
    }

    /// Has it see the newest block.
    pub fn follow(&self, devnet: &Shared) {
        let tip = lock(devnet).tip();
        until("the newest block is seen", || {
            self.node.sync_wallets().expect("the devnet answers");
            let best = self.node.status().current_best_block;
            ((best.height, best.block_hash) == (tip.height, tip.hash)).then_some(())
        });
    }

    /// What its wallet can spend on chain.
    pub fn spendable(&self) -> Amount {
        Amount::from_sat(self.node.list_balances().spendable_onchain_balance_sats)
    }

    /// Stops it. It has had no trouble with the chain, by its own log.
    pub fn stop(self) {
        self.node.stop().expect("it runs");
        let log = fs::read_to_string(self.place.at("ldk_node.log")).expect("its log");
        let trouble = log.lines().filter(|line| line.contains(" ERROR [ldk_node::chain"));
        assert_eq!(trouble.collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(log.contains(" INFO  [ldk_node::chain"), "it speaks of the chain otherwise");
    }

    /// What happens next.
    pub fn event(&self) -> Event {
        let event = until(self.name, || self.node.next_event());
        self.node.event_handled().expect("it is written down");
        event
    }
}

fn build(server: &Server, place: &Place, name: &'static str) -> Node {
    // Gone as soon as it is known: the node wants the port for itself.
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = SocketAddress::from(free.expect("a free port"));
    let at = server.address();
    let mut builder = Builder::new();
    builder.set_network(Network::Regtest);
    builder.set_storage_dir_path(place.path().to_str().expect("text").to_owned());
    let (host, user, password) = (at.ip().to_string(), name.to_owned(), "word".to_owned());
    builder.set_chain_source_bitcoind_rpc(host, at.port(), user, password);
    builder.set_listening_addresses(vec![address]).expect("one address");
    builder.set_node_alias(name.to_owned()).expect("a short name");
    builder.build().expect("a node")
}
