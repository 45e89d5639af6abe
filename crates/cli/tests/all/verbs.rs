use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::process::{Place, Service, json, run, until};

/// A node in three processes.
struct Suite {
    place: Place,
    signer: Option<Service>,
    sockets: Option<Service>,
    node: Option<Service>,
}

impl Suite {
    fn up() -> Self {
        let place = Place::new();
        let (dir, passphrase) = (place.at("node"), place.at("passphrase"));
        json(&["--dir", &dir, "init", "--passphrase-file", &passphrase]).expect("a new seed");
        let mut suite = Self { place, signer: None, sockets: None, node: None };
        suite.start_signer();
        suite.start_sockets(&[]);
        suite.start_node();
        suite.until("its signer and sockets are reachable", |info| {
            info["signer"] == true && info["sockets"] == true && info["node"].is_string()
        });
        suite
    }

    fn dir(&self) -> String {
        self.place.at("node")
    }

    fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.place.at(name))
    }

    fn service(&self, words: &[&str]) -> Service {
        Service::up(&self.dir(), &self.place.at("passphrase"), words)
    }

    fn start_signer(&mut self) {
        let (node, sockets) = (self.unix("s-node"), format!("sockets@{}", self.unix("s-sockets")));
        let words = ["--roles", "signer", "--listen", &node, "--listen", &sockets];
        self.signer = Some(self.service(&words));
    }

    fn start_sockets(&mut self, more: &[&str]) {
        let signer = self.unix("s-sockets");
        let start = ["--roles", "sockets", "--signer", &signer];
        let (node, door) = (self.unix("k-node"), format!("handover@{}", self.unix("door")));
        let listens = ["--listen", "127.0.0.1:0", "--listen", &node, "--listen", &door];
        let listens: &[&str] = if more.is_empty() { &listens } else { &[] };
        let words: Vec<_> = start.iter().chain(listens).chain(more).copied().collect();
        self.sockets = Some(self.service(&words));
    }

    fn start_node(&mut self) {
        let (signer, sockets) = (self.unix("s-node"), self.unix("k-node"));
        let roles = ["--roles", "node", "--signer", &signer, "--sockets", &sockets];
        let words: Vec<_> = roles.iter().chain(&["--api", "127.0.0.1:0"]).copied().collect();
        self.node = Some(self.service(&words));
    }

    fn ask(&self, words: &[&str]) -> Result<Value, Value> {
        let dir = self.dir();
        json(&["--dir", &dir].iter().chain(words).copied().collect::<Vec<_>>())
    }

    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        until(what, || self.ask(&["info"]).is_ok_and(|info| is_so(&info)));
    }

    fn id(&self) -> String {
        self.ask(&["info"]).expect("it runs")["node"].as_str().expect("known").to_owned()
    }
}

/// A node in one process.
fn neighbour(place: &Place) -> (Service, String, String) {
    let (dir, passphrase) = (place.at("neighbour"), place.at("passphrase"));
    let made = json(&["--dir", &dir, "init", "--passphrase-file", &passphrase]);
    let id = made.expect("a new seed")["node"].as_str().expect("its id").to_owned();
    let words = ["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"];
    (Service::up(&dir, &passphrase, &words), dir, id)
}

#[test]
fn three_processes_are_one_node_and_survive_each_others_end() {
    let mut suite = Suite::up();
    let (neighbour, dir, id) = neighbour(&suite.place);
    let sockets = suite.sockets.as_ref().expect("they run").ready["listening"].clone();
    suite.until("it knows where peers can call", |info| info["listening"] == sockets);
    let at = format!("{id}@{}", neighbour.listening());
    let peer = suite.ask(&["connect", &at]).expect("it listens");
    assert_eq!((&peer["node"], &peer["outbound"]), (&id.clone().into(), &true.into()));
    assert!(suite.ask(&["ping", &id]).expect("connected")["after_ms"].is_u64());
    let signed = suite.ask(&["sign", "hello"]).expect("the signer is there");
    let signature = signed["signature"].as_str().expect("text");
    // Made by LDK with the key 11…11: `interop/ldk/tests/messages.rs`.
    let of_ldk = concat!(
        "rddkbfyfx9f748gcysrw8bm6tssysjcti6mrge9wswozwntrk36w",
        "ah6deap8894oww8w79m1mqmcs3koxtoqzprdmqfypfdjofdcxo3s"
    );
    let verified = json(&["--dir", &dir, "verify", "signed by LDK", of_ldk]).expect("it is one");
    let node = "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa";
    assert_eq!(verified["node"], node);
    let verified = json(&["--dir", &dir, "verify", "hello", signature]).expect("it is one");
    assert_eq!(verified["node"], suite.id());

    // Without its signer: the connection lives on, signing and dialing do not.
    suite.signer.as_mut().expect("it runs").kill();
    suite.until("the signer is away", |info| info["signer"] == false);
    assert!(suite.ask(&["ping", &id]).is_ok(), "a connection needs no signer");
    suite.ask(&["message", &id, "33281", "00"]).expect("nor does a message");
    assert_eq!(suite.ask(&["sign", "hello"]).expect_err("nobody signs")["code"], "unavailable");
    suite.start_signer();
    suite.until("the signer is back", |info| info["signer"] == true);
    suite.ask(&["sign", "hello"]).expect("it signs again");

    // Without its node: the connection lives on, and what the peer says is kept.
    let connection = peer["connection"].clone();
    suite.node.as_mut().expect("it runs").kill();
    let us = suite_id(&dir);
    for number in 0..5 {
        let payload = format!("{number:02x}");
        json(&["--dir", &dir, "message", &us, "33027", &payload]).expect("still connected");
    }
    suite.start_node();
    suite.until("the node sees its peer again", |info| info["peers"] == 1);
    let peers = suite.ask(&["peers"]).expect("it runs");
    assert_eq!(peers[0]["connection"], connection, "the same connection");

    // Other sockets take over: the connection lives on.
    let door = suite.unix("door");
    let mut old = suite.sockets.take().expect("it runs");
    suite.start_sockets(&["--take-over", &door]);
    assert!(old.ended(), "the old process has ended by itself");
    suite.until("the sockets are reachable", |info| info["sockets"] == true && info["peers"] == 1);
    assert!(suite.ask(&["ping", &id]).is_ok());
    assert_eq!(suite.ask(&["peers"]).expect("it runs")[0]["connection"], connection);

    // Without its sockets there is no connection; with new ones, it is made again.
    suite.sockets.as_mut().expect("it runs").kill();
    suite.until("the sockets are away", |info| info["sockets"] == false);
    assert_eq!(suite.ask(&["ping", &id]).expect_err("no sockets")["code"], "unavailable");
    suite.start_sockets(&[]);
    suite.until("the peer is called again", |info| info["peers"] == 1);

    suite.ask(&["stop"]).expect("it runs");
    assert!(suite.node.as_mut().expect("it ran").ended());
}

/// The id of the only peer.
fn suite_id(dir: &str) -> String {
    let peers = json(&["--dir", dir, "peers"]).expect("it runs");
    peers[0]["node"].as_str().expect("one peer").to_owned()
}

#[test]
fn files_are_for_their_owner() {
    let place = Place::new();
    let (_service, dir, _) = neighbour(&place);
    let mode = |name: &str| {
        let path = std::path::Path::new(&dir).join(name);
        std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    };
    for name in ["seed", "api-token", "log.sqlite"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(mode("."), 0o700);
}

#[test]
fn what_is_wrong_is_said_with_a_cure() {
    let place = Place::new();
    let (dir, passphrase) = (place.at("one"), place.at("passphrase"));
    let init = ["--dir", &dir, "init", "--passphrase-file", &passphrase];
    json(&init).expect("a new seed");
    let seed = place.path().join("one/seed");
    let whole = std::fs::read(&seed).expect("it is there");
    let other = place.at("other");
    std::fs::write(&other, "wrong\n").expect("a file");
    let file = place.at("passphrase");
    let below = format!("{file}/below");
    let up = |dir: &str, passphrase: &str, more: &[&str]| {
        let words = [
            "--dir",
            dir,
            "up",
            "--log",
            "error",
            "--passphrase-file",
            passphrase,
            "--api",
            "127.0.0.1:0",
        ];
        let words: Vec<_> = words.iter().chain(more).copied().collect();
        json(&words).expect_err("refused")["error"].as_str().expect("words").to_owned()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").to_string();
    let rows = [
        (json(&init).expect_err("twice")["error"].to_string(), "it is never written over"),
        (up(&dir, &other, &[]), "passphrase"),
        (up(&place.at("none"), &passphrase, &[]), "make one with `leyden init`"),
        (up(&below, &passphrase, &[]), "a part of this path is a file"),
        (up(&dir, &passphrase, &["--network", "signet"]), "network"),
        (up(&dir, &passphrase, &["--listen", &port]), &format!("cannot listen at {port}")),
        (up(&dir, &passphrase, &["--roles", "node"]), "--signer unix:PATH"),
        (up(&dir, &passphrase, &["--signer", "unix:/x"]), "points at another one"),
        (up(&dir, &place.at("nofile"), &[]), "nofile"),
    ];
    for (said, want) in rows {
        assert!(said.contains(want), "'{said}' does not say '{want}'");
    }
    for (name, bytes) in
        [("cut", &whole[..50]), ("foreign", b"-----BEGIN PRIVATE KEY-----".as_slice())]
    {
        std::fs::write(&seed, bytes).expect("a file");
        assert!(up(&dir, &passphrase, &[]).contains("seed"), "{name}");
    }
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    std::fs::write(&seed, damaged).expect("a file");
    assert!(
        up(&dir, &passphrase, &[]).contains("passphrase"),
        "damage and a wrong passphrase look the same"
    );
}

#[test]
fn usage_is_told_by_the_exit_code() {
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
    assert_eq!(run(&["--dir", "/nowhere", "info"]).status.code(), Some(1));
    assert_eq!(run(&["--network", "mars", "info"]).status.code(), Some(2));
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(script.status.success() && script.stdout.len() > 1_000, "{shell}");
    }
}
