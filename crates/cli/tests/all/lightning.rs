//! Two nodes that open a channel, pay each other over it and close it, whatever is killed.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::process::{Place, Service, json, run, until};

/// A node with a devnet, and one in three processes.
struct Town {
    place: Place,
    alice: Option<Service>,
    bob: Option<Service>,
    bobs_signer: Option<Service>,
    bobs_sockets: Option<Service>,
}

impl Town {
    fn up() -> Self {
        let place = Place::new();
        for name in ["alice", "bob"] {
            let (dir, passphrase) = (place.at(name), place.at("passphrase"));
            json(&["--dir", &dir, "init", "--passphrase-file", &passphrase]).expect("a new seed");
        }
        let mut town =
            Self { place, alice: None, bob: None, bobs_signer: None, bobs_sockets: None };
        town.start_alice();
        town.start_signer();
        town.start_sockets();
        town.start_bob();
        for name in ["alice", "bob"] {
            until("there is a wallet", || town.ask(name, &["wallet", "balance"]).is_ok());
        }
        town
    }

    fn service(&self, name: &str, words: &[&str]) -> Service {
        Service::up(&self.place.at(name), &self.place.at("passphrase"), words)
    }

    fn start_alice(&mut self) {
        let words = ["--roles", "all,devnet", "--devnet-rpc", "127.0.0.1:0", "--api"];
        let words: Vec<_> =
            words.iter().chain(&["127.0.0.1:0", "--listen", "127.0.0.1:0"]).copied().collect();
        self.alice = Some(self.service("alice", &words));
    }

    fn start_signer(&mut self) {
        let (node, sockets) = (self.unix("s-node"), format!("sockets@{}", self.unix("s-sockets")));
        let words = ["--roles", "signer", "--listen", &node, "--listen", &sockets];
        let words: Vec<_> = words.iter().chain(&["--day-limit", "20000"]).copied().collect();
        self.bobs_signer = Some(self.service("bob", &words));
    }

    fn start_sockets(&mut self) {
        let (node, signer) = (self.unix("k-node"), self.unix("s-sockets"));
        let words = ["--roles", "sockets", "--signer", &signer, "--listen", &node];
        let words: Vec<_> = words.iter().chain(&["--listen", "127.0.0.1:0"]).copied().collect();
        self.bobs_sockets = Some(self.service("bob", &words));
    }

    fn start_bob(&mut self) {
        self.bob = Some(self.start_node("bob"));
    }

    /// A node on what this folder remembers, with Bob's signer and sockets.
    fn start_node(&self, name: &str) -> Service {
        let devnet = &self.alice.as_ref().expect("she is up").ready["devnet"];
        let url = format!("http://{}", devnet.as_str().expect("an address"));
        let cookie = self.place.at("alice/devnet/.cookie");
        let (signer, sockets) = (self.unix("s-node"), self.unix("k-node"));
        let words = ["--roles", "node", "--signer", &signer, "--sockets", &sockets];
        let chain = ["--bitcoind", &url, "--bitcoind-cookie", &cookie, "--api", "127.0.0.1:0"];
        let words: Vec<_> = words.iter().chain(&chain).copied().collect();
        self.service(name, &words)
    }

    /// Where Bob listens.
    fn bob_at(&self) -> String {
        let sockets = self.bobs_sockets.as_ref().expect("they are up");
        format!("{}@{}", self.id("bob"), sockets.listening())
    }

    fn unix(&self, name: &str) -> String {
        format!("unix:{}", self.place.at(name))
    }

    fn ask(&self, name: &str, words: &[&str]) -> Result<Value, Value> {
        let dir = self.place.at(name);
        json(&["--dir", &dir].iter().chain(words).copied().collect::<Vec<_>>())
    }

    fn must(&self, name: &str, words: &[&str]) -> Value {
        self.ask(name, words).unwrap_or_else(|refused| panic!("{name} {words:?}: {refused}"))
    }

    fn id(&self, name: &str) -> String {
        self.must(name, &["info"])["node"].as_str().expect("known").to_owned()
    }

    /// Money from nowhere.
    fn gift(&self, name: &str, amount: &str) {
        let address = self.must(name, &["wallet", "address"]);
        let address = address["address"].as_str().expect("text").to_owned();
        self.must("alice", &["devnet", "fund", &address, amount]);
    }

    fn mine(&self, blocks: &str) {
        let mined = self.must("alice", &["devnet", "mine", blocks]);
        let tip = mined["blocks"].as_array().and_then(|all| all.last()).expect("a block").clone();
        for name in ["alice", "bob"] {
            until("the block has come", || {
                self.ask(name, &["chain", "status"])
                    .is_ok_and(|status| status["heard"] == tip["block"])
            });
        }
    }

    fn channel(&self, name: &str) -> Value {
        self.must(name, &["channels"])[0].clone()
    }

    fn until_channel(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        for name in ["alice", "bob"] {
            until(&format!("{name}: {what}"), || is_so(&self.channel(name)));
        }
    }

    fn is_open(&self) {
        self.until_channel("open", |it| it["state"] == "open" && it["connected"] == true);
    }

    fn confirmed(&self, name: &str) -> u64 {
        self.must(name, &["wallet", "balance"])["confirmed_sat"].as_u64().expect("a number")
    }

    /// Alice gets money, and puts some of it into a channel with Bob.
    fn opens(&self) -> Value {
        self.gift("alice", "1_000_000sat");
        self.mine("1");
        self.must("alice", &["open", &self.bob_at(), "0.004btc", "--push", "100_000sat"])
    }

    fn pay(&self, from: &str, to: &str, amount: &str) {
        let paid = self.must(from, &["pay", &self.id(to), amount]);
        assert_eq!(paid["state"], "paid", "{paid}");
        assert!(paid["preimage"].is_string(), "{paid}");
    }
}

#[test]
fn a_channel_survives_kills_and_gives_the_money_back() {
    let mut town = Town::up();
    let opened = town.opens();
    assert_eq!((&opened["state"], &opened["local_msat"]), (&"funding".into(), &300_000_000.into()));
    // The process that has made it ends before a block has its funding.
    town.bob = None;
    town.start_bob();
    town.mine("3");
    town.is_open();
    let [ours, theirs] = ["alice", "bob"].map(|name| town.channel(name));
    assert_eq!((&ours["alias"], &theirs["alias"]), (&theirs["peer_alias"], &ours["peer_alias"]));
    assert!(ours["alias"].is_string() && ours["short_channel_id"].is_null(), "{ours}");
    for number in 0..10 {
        town.pay("alice", "bob", "2_500sat");
        town.pay("bob", "alice", "1_000_001msat");
        if number == 3 {
            town.bob.as_mut().expect("he is up").kill();
            town.start_bob();
            town.is_open();
        }
        if number == 6 {
            town.bobs_signer.as_mut().expect("it is up").kill();
            town.start_signer();
            until("the signer is back", || town.must("bob", &["info"])["signer"] == true);
        }
    }
    let local = 300_000_000 - 10 * 2_500_000 + 10 * 1_000_001_u64;
    town.until_channel("nothing is under way", |it| it["htlcs"] == 0);
    assert_eq!(town.channel("alice")["local_msat"], local);
    assert_eq!(town.channel("bob")["local_msat"], 400_000_000 - local);
    for name in ["alice", "bob"] {
        let payments = town.must(name, &["payments"]);
        let payments = payments.as_array().expect("a list");
        assert_eq!(payments.len(), 20);
        assert!(payments.iter().all(|it| it["state"] == "paid"));
        assert_eq!(payments.iter().filter(|it| it["incoming"] == true).count(), 10);
    }
    // Bob's signer remembers what it has let go before it was killed. The channel goes on.
    let said = town.ask("bob", &["pay", &town.id("alice"), "15_000sat"]);
    let (said, left) = (format!("{said:?}"), "9999990 msat of 20000000 msat are left");
    assert!(said.contains("more than may leave today") && said.contains(left), "{said}");
    until("both are connected again", || town.channel("bob")["connected"] == true);
    town.is_open();
    let id = town.channel("alice")["id"].as_str().expect("text").to_owned();
    town.must("bob", &["close", &id[..10]]);
    town.until_channel("closing", |it| it["state"] == "closing");
    // Both sign it first; the block behind that has it.
    until("it is closed in a block", || {
        town.mine("1");
        town.channel("alice")["closing_txid"].is_string()
    });
    town.until_channel("spent", |it| it["closing_txid"].is_string());
    town.mine("6");
    town.until_channel("closed", |it| it["state"] == "closed");
    let (alice, bob) = (town.confirmed("alice"), town.confirmed("bob"));
    assert!((882_000..=885_000).contains(&alice), "{alice}");
    assert!((114_000..=115_000).contains(&bob), "{bob}");
}

/// A signal to a process.
fn signal(service: &Service, name: &str) {
    let id = service.child.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().expect("there is such a tool");
    assert!(sent.success());
}

/// What the node of a folder remembers, while no process has it.
fn copy_log(from: &str, to: &str) {
    fs::create_dir(to).expect("a folder");
    for each in fs::read_dir(from).expect("a folder").map(|each| each.expect("a file")) {
        if each.file_type().expect("it has one").is_file() {
            let name = each.file_name();
            fs::copy(each.path(), Path::new(to).join(name)).expect("there is room");
        }
    }
}

/// Two processes with the same channels: the one that comes later has them, and the older one,
/// which has slept meanwhile, ends when it wants to use them.
#[test]
fn whoever_sleeps_while_another_takes_over_ends() {
    let mut town = Town::up();
    town.opens();
    town.mine("3");
    town.is_open();
    town.pay("bob", "alice", "1_000sat");
    town.until_channel("nothing is under way", |it| it["htlcs"] == 0);
    town.bob.as_mut().expect("he is up").kill();
    copy_log(&town.place.at("bob"), &town.place.at("twin"));
    town.start_bob();
    town.is_open();
    signal(town.bob.as_ref().expect("he is up"), "-STOP");
    let twin = town.start_node("twin");
    let is_open = || town.channel("twin")["connected"] == true;
    until("the twin has the channel", || town.ask("twin", &["channels"]).is_ok() && is_open());
    town.pay("twin", "alice", "2_000sat");
    signal(town.bob.as_ref().expect("he sleeps"), "-CONT");
    let alice = town.id("alice");
    let dir = town.place.at("bob");
    // Nobody answers, or nothing is paid: he ends.
    run(&["--dir", &dir, "pay", &alice, "3_000sat"]);
    let old = town.bob.as_mut().expect("he is awake");
    until("the older one has ended", || old.child.try_wait().expect("it is ours").is_some());
    town.pay("twin", "alice", "4_000sat");
    town.pay("alice", "twin", "5_000sat");
    let local = town.channel("twin")["local_msat"].as_u64();
    assert_eq!(local, Some(100_000_000 - 1_000_000 - 2_000_000 - 4_000_000 + 5_000_000));
    drop(twin);
}

#[test]
fn nonsense_is_refused_with_its_numbers() {
    let town = Town::up();
    let (alice, bob) = (town.id("alice"), town.id("bob"));
    let twice = format!("{bob}@@");
    let rows: [(&[&str], &str); 12] = [
        (&["open", &bob, "100000sat"], "no connection to"),
        (&["open", "nobody", "100000sat"], "'nobody' is no node id"),
        (&["open", &twice, "100000sat"], "cannot be reached"),
        (&["open", &format!("{bob}@127.0.0.1:1"), "100000sat"], "Connection refused"),
        (&["pay", &bob, "1000sat"], "there is no channel with"),
        (&["pay", &alice, "1000sat"], "there is no channel with"),
        (&["pay", &bob, "1000sat", "--name", "é"], "byte 0 of 2"),
        (&["channel", "abcdef"], "there is no channel 'abcdef'"),
        (&["channel", "abc"], "at least 4 digits"),
        (&["channel", "../wallet"], "'wallet' is no channel"),
        (&["fee", "abcdef", "2"], "there is no channel 'abcdef'"),
        (&["close", "abcdef", "--force"], "there is no channel 'abcdef'"),
    ];
    for (words, text) in rows {
        let refused = town.ask("alice", words).expect_err(text);
        let error = refused["error"].as_str().expect("text");
        assert!(error.contains(text), "{words:?}: {error}");
    }
    town.must("alice", &["connect", &town.bob_at()]);
    let rows: [(&[&str], &str); 4] = [
        (&["open", &bob, "100000sat"], "0 BTC can be spent, 0.00100000 BTC and a fee"),
        (&["open", &bob, "1000sat"], "funding_satoshis is 1000, and must be within 20000"),
        (&["open", &bob, "20btc"], "funding_satoshis is 2000000000"),
        (&["open", &bob, "100000sat", "--push", "100001sat"], "push_msat is 100001000"),
    ];
    for (words, text) in rows {
        let refused = town.ask("alice", words).expect_err(text);
        let error = refused["error"].as_str().expect("text");
        assert!(error.contains(text), "{words:?}: {error}");
    }
    let usage: [&[&str]; 6] = [
        &["open", &bob],
        &["open", &bob, "100000"],
        &["open", &bob, "1sat", "--private", "--announce"],
        &["pay", &bob, "-1sat"],
        &["fee", "abcdef", "fast"],
        &["close"],
    ];
    for words in usage {
        let dir = town.place.at("alice");
        let words: Vec<_> = ["--dir", &dir].iter().chain(words).copied().collect();
        assert_eq!(run(&words).status.code(), Some(2), "{words:?}");
    }
}
