//! A node with a chain of its own: money comes, goes, and survives whatever happens to the process.

use serde_json::Value;

use crate::process::{Place, Service, json, until};

/// A node and a devnet in one process.
struct Node {
    place: Place,
    service: Option<Service>,
}

impl Node {
    fn up() -> Self {
        let place = Place::new();
        let (dir, passphrase) = (place.at("node"), place.at("passphrase"));
        json(&["--dir", &dir, "init", "--passphrase-file", &passphrase]).expect("a new seed");
        let mut node = Self { place, service: None };
        node.start();
        node
    }

    fn start(&mut self) {
        self.start_with(&[]);
    }

    fn start_with(&mut self, more: &[&str]) {
        let words =
            ["--roles", "all,devnet", "--devnet-rpc", "127.0.0.1:0", "--api", "127.0.0.1:0"];
        let (dir, passphrase) = (self.place.at("node"), self.place.at("passphrase"));
        let words: Vec<_> = words.iter().chain(more).copied().collect();
        self.service = Some(Service::up(&dir, &passphrase, &words));
        until("it has a wallet", || self.ask(&["wallet", "balance"]).is_ok());
    }

    /// Without a warning, and again.
    fn kill(&mut self) {
        drop(self.service.take());
        self.start();
    }

    fn ask(&self, words: &[&str]) -> Result<Value, Value> {
        let dir = self.place.at("node");
        json(&["--dir", &dir].iter().chain(words).copied().collect::<Vec<_>>())
    }

    fn must(&self, words: &[&str]) -> Value {
        self.ask(words).unwrap_or_else(|refused| panic!("{words:?}: {refused}"))
    }

    fn address(&self) -> String {
        self.must(&["wallet", "address"])["address"].as_str().expect("text").to_owned()
    }

    fn has(&self, confirmed: u64, pending: u64) {
        until(&format!("{confirmed} sat are confirmed and {pending} pending"), || {
            let balance = self.must(&["wallet", "balance"]);
            balance["confirmed_sat"] == confirmed && balance["pending_sat"] == pending
        });
    }
}

#[test]
fn money_survives_reorgs_and_kills() {
    let mut node = Node::up();
    let address = node.address();
    node.must(&["chain", "watch", &address]);
    node.must(&["devnet", "fund", &address, "1_000_000sat"]);
    let mined = node.must(&["devnet", "mine"]);
    assert_eq!(mined["blocks"][0]["verdict"], "connected");
    node.has(1_000_000, 0);
    node.kill();
    node.has(1_000_000, 0);
    node.must(&["devnet", "reorg", "1"]);
    node.has(0, 1_000_000);
    let found = |node: &Node| node.must(&["chain", "watch"])[0]["found"].as_array().map(Vec::len);
    until("what was found is taken back", || found(&node) == Some(0));
    node.kill();
    node.has(0, 1_000_000);
    node.must(&["devnet", "mine"]);
    node.has(1_000_000, 0);
    assert_eq!(found(&node), Some(1));
    // A payment to ourselves; it is replaced, and its process is killed before a block has it.
    let sent = node.must(&["wallet", "send", &node.address(), "0.001btc", "--rate", "1.5"]);
    let txid = sent["txid"].as_str().expect("text");
    let bumped = node.must(&["wallet", "bump", txid, "--rate", "5"]);
    let fee = bumped["fee_sat"].as_u64().expect("a number");
    assert!(fee > sent["fee_sat"].as_u64().expect("a number"));
    node.kill();
    node.must(&["devnet", "mine"]);
    node.has(1_000_000 - fee, 0);
    let status = node.must(&["chain", "status"]);
    assert_eq!(status["source"]["state"], "up");
    until("the signer has seen the newest block", || {
        let status = node.must(&["chain", "status"]);
        status["signer"]["tip"] == status["tip"]
    });
    // All of it, but what channels will need.
    let all =
        node.must(&["wallet", "send", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", "--all"]);
    assert!(all["waits"].is_null(), "{all}");
    node.must(&["devnet", "mine"]);
    node.has(25_000, 0);
    let rescan = node.must(&["wallet", "rescan"]);
    assert_eq!(rescan["finished"], true);
    assert_eq!(rescan["found"], 0, "nothing was missed: {rescan}");
}

#[test]
fn what_cannot_be_is_refused_with_its_numbers() {
    let node = Node::up();
    let ours = node.address();
    let to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let other = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
    let nobody = "00".repeat(32);
    let rows: [(&[&str], &str); 14] = [
        (&["wallet", "send", to, "1sat"], "0.00000001 BTC is dust, at least 0.00000294 BTC"),
        (&["wallet", "send", to, "0sat"], "nothing would be paid"),
        (&["wallet", "send", other, "1000sat"], "is no address of regtest"),
        (&["wallet", "send", "nonsense", "1000sat"], "'nonsense' is no address"),
        (&["wallet", "send", to, "1btc"], "1 BTC and a fee of"),
        (&["wallet", "send", to, "--all"], "of 0 BTC, 0.00025000 BTC stay for channels"),
        (&["wallet", "send", to, "1000sat", "--rate", "0"], "a fee of 0.00 sat/vB, at least 1.00"),
        (&["wallet", "send", to, "1000sat", "--rate", "10000"], "at most 1000.00 sat/vB"),
        (&["wallet", "bump", &nobody, "--rate", "2"], "there is no transaction 0000"),
        (&["chain", "watch", &ours, "--from", "0"], "the first that can be searched is 1"),
        (&["chain", "unwatch", &ours], "that is not watched"),
        (&["chain", "watch", "script:xyz"], "the script is no hex"),
        (&["devnet", "reorg", "9"], "9 blocks shall go, 0 are there"),
        (&["devnet", "mine", "1001"], "1001 blocks, at most 1000 at once"),
    ];
    let before = node.must(&["wallet", "balance"]);
    for (words, want) in rows {
        let refused = node.ask(words).expect_err(want);
        let text = refused["error"].as_str().expect("text");
        assert!(text.contains(want), "{words:?}: {text}");
    }
    assert_eq!(node.must(&["wallet", "balance"]), before);
    assert_eq!(node.must(&["chain", "watch"]), Value::Array(Vec::new()));
    let usage: [&[&str]; 4] = [
        &["wallet", "send", to, "-5sat"],
        &["wallet", "send", to, "1000"],
        &["wallet", "send", to, "21000001btc"],
        &["wallet", "send", to, "1sat", "--all"],
    ];
    for words in usage {
        let dir = node.place.at("node");
        let words: Vec<_> = ["--dir", &dir].iter().chain(words).copied().collect();
        assert_eq!(crate::process::run(&words).status.code(), Some(2), "{words:?}");
    }
}

/// The signer has a list of its own: whoever has the node cannot add to it.
#[test]
fn a_signer_with_a_list_lets_nobody_else_be_paid() {
    let (listed, other) = (
        "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202",
    );
    let mut node = Node::up();
    drop(node.service.take());
    node.start_with(&["--pay-only", listed]);
    let ours = node.address();
    node.must(&["devnet", "fund", &ours, "1000000sat"]);
    node.must(&["devnet", "mine"]);
    node.has(1_000_000, 0);
    let refused = node.ask(&["wallet", "send", other, "10000sat"]).expect_err("it is not listed");
    let text = refused["error"].as_str().expect("text");
    assert_eq!(refused["code"], "denied", "{text}");
    assert_eq!(node.must(&["wallet", "balance"])["locked_sat"], 0);
    node.must(&["wallet", "send", listed, "10000sat"]);
    node.must(&["devnet", "mine"]);
    node.must(&["wallet", "send", &ours, "10000sat"]);
}

/// By one name one payment is sent, whoever dies meanwhile; what may be mined is given up by force.
#[test]
fn a_payment_has_a_name_and_is_given_up_by_force_only() {
    let mut node = Node::up();
    node.must(&["devnet", "fund", &node.address(), "1_000_000sat"]);
    node.must(&["devnet", "mine"]);
    node.has(1_000_000, 0);
    let to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let pay = |amount, rate| ["wallet", "send", to, amount, "--rate", rate, "--name", "rent 11"];
    let sent = node.must(&pay("10000sat", "2"));
    assert_eq!(node.must(&pay("10000sat", "9"))["txid"], sent["txid"]);
    node.kill();
    assert_eq!(node.must(&pay("10000sat", "2"))["txid"], sent["txid"]);
    let refused = node.ask(&pay("10001sat", "2")).expect_err("another order");
    assert_eq!(refused["code"], "name_taken", "{refused}");
    let long = "x".repeat(65);
    let refused = node.ask(&["wallet", "send", to, "1000sat", "--name", &long]);
    let refused = refused.expect_err("too long").to_string();
    assert!(refused.contains("65 bytes, at least 1 and at most 64"), "{refused}");
    let txid = sent["txid"].as_str().expect("text");
    let refused = node.ask(&["wallet", "forget", txid]).expect_err("the devnet has it");
    assert_eq!(refused["code"], "may_be_mined", "{refused}");
    assert!(refused.to_string().contains("in 0 blocks, at least 6"), "{refused}");
    let gone = node.must(&["wallet", "forget", txid, "--force"]);
    assert_eq!(gone["txids"], serde_json::json!([txid]));
    node.has(1_000_000, 0);
    // Its name is free. The devnet has the old one still: the new one has to pay more than that.
    let again = node.must(&pay("10000sat", "20"));
    assert!(again["waits"].is_null() && again["txid"] != sent["txid"], "{again}");
    node.must(&["devnet", "mine"]);
    node.has(990_000 - again["fee_sat"].as_u64().expect("a number"), 0);
    let refused = node.ask(&["wallet", "forget", again["txid"].as_str().expect("text")]);
    assert!(refused.expect_err("it is in a block").to_string().contains("is in the block at"));
}

/// The node says that a person wants the fee; the signer's owner says whether that counts.
#[test]
fn high_fees_are_paid_by_a_signer_that_was_told_so() {
    let mut node = Node::up();
    node.must(&["devnet", "fund", &node.address(), "1_000_000sat"]);
    node.must(&["devnet", "mine"]);
    node.has(1_000_000, 0);
    let to = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let pay = ["wallet", "send", to, "500000sat", "--rate", "1500", "--allow-high-fee"];
    let refused = node.ask(&pay).expect_err("nobody has said so");
    assert_eq!(refused["code"], "denied", "{refused}");
    assert!(refused.to_string().contains("sat/vB, 1000 at most"), "{refused}");
    drop(node.service.take());
    node.start_with(&["--high-fees"]);
    node.has(1_000_000, 0);
    assert!(node.must(&pay)["fee_sat"].as_u64().expect("a number") > 150_000);
}

#[test]
fn a_node_without_a_chain_says_so() {
    let place = Place::new();
    let (dir, passphrase) = (place.at("node"), place.at("passphrase"));
    json(&["--dir", &dir, "init", "--passphrase-file", &passphrase]).expect("a new seed");
    let _service = Service::up(&dir, &passphrase, &["--api", "127.0.0.1:0"]);
    for words in [["chain", "status"], ["wallet", "balance"], ["devnet", "mine"]] {
        let refused = json(&["--dir", &dir, words[0], words[1]]).expect_err("there is none");
        let code = refused["code"].as_str().expect("text");
        assert_eq!(code, if words[0] == "devnet" { "no_devnet" } else { "no_chain" });
    }
}
