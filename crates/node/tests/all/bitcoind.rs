//! A bitcoind that answers nonsense, too much, too late, or nobody.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    time::Duration,
};

use apart::{Place as Folder, WAIT};
use node::{
    io::bitcoind::{ANSWER_BYTES_MAX, Bitcoind, DoorKey, Place, Rpc, WAITING_MAX, answer},
    services::treasury::{Answer, Ask, AskId, From, SourceFault},
};
use serde_json::{Value, json};

use bitcoin::{Block, BlockHash, FeeRate, OutPoint, consensus::encode::serialize_hex};
use chain::{Attempt, Height, Package, PublishAnswer, Reason, Target, Text};

use crate::blocks::{genesis, mine, outpoint, pays, script};

/// A server that does this with each request, as long as the test runs.
fn server(speak: impl Fn(&mut TcpStream, Value) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some(request) = request(&stream) else { continue };
            speak(&mut stream, request);
        }
    });
    at
}

fn request(stream: &TcpStream) -> Option<Value> {
    let mut from = BufReader::new(stream);
    let mut len = 0;
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; len];
    from.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// A server whose every answer has this status and this body.
fn says(status: &'static str, body: impl Fn(&Value) -> Vec<u8> + Send + 'static) -> SocketAddr {
    server(move |stream, request| {
        let body = body(&request);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // It may have heard enough.
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).ok();
    })
}

/// A server that answers each question by itself with this result, alone or in a batch.
fn results(result: impl Fn(&str) -> Value + Send + 'static) -> SocketAddr {
    says("200 OK", move |request| {
        let one = |request: &Value| {
            let result = result(request["method"].as_str().expect("a method"));
            json!({ "result": result, "error": null, "id": request["id"] })
        };
        let several = request.as_array().map(|several| several.iter().map(one).collect());
        let answer = several.unwrap_or_else(|| one(request));
        serde_json::to_vec(&answer).expect("plain values")
    })
}

fn rpc(at: SocketAddr) -> Rpc {
    Rpc::new(place(at), Duration::from_secs(20), Duration::from_secs(60))
}

fn impatient(at: SocketAddr) -> String {
    let rpc = Rpc::new(place(at), Duration::from_millis(300), Duration::from_secs(60));
    answer(&rpc, &Ask::Tip).expect_err("it cannot be right").to_string()
}

fn place(at: SocketAddr) -> Place {
    let key = DoorKey::User { name: "a".to_owned(), password: "b".to_owned() };
    Place { url: format!("http://{at}"), key }
}

fn fault(at: SocketAddr, ask: &Ask) -> String {
    answer(&rpc(at), ask).expect_err("it cannot be right").to_string()
}

#[test]
fn whatever_it_answers_is_said_in_words() {
    type Row = (&'static str, Vec<u8>, &'static str);
    let rows: [Row; 12] = [
        ("200 OK", b"".to_vec(), "no answer to getblockchaininfo: HTTP status 200"),
        ("200 OK", b"<html>hello</html>".to_vec(), "no answer to getblockchaininfo"),
        ("200 OK", vec![0xff; 1_000], "no answer to getblockchaininfo"),
        ("200 OK", b"{}".to_vec(), "no answer to getblockchaininfo"),
        ("200 OK", b"[]".to_vec(), "no answer to getblockchaininfo"),
        ("200 OK", br#"{"result":{},"error":null,"id":null}"#.to_vec(), "answers another question"),
        ("200 OK", b"[".repeat(100_000), "no answer to getblockchaininfo"),
        ("401 Unauthorized", Vec::new(), "does not let us in: HTTP status 401"),
        ("403 Forbidden", Vec::new(), "does not let us in: HTTP status 403"),
        ("503 Service Unavailable", b"Work queue depth exceeded".to_vec(), "HTTP status 503"),
        (
            "307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/",
            Vec::new(),
            "cannot be reached",
        ),
        ("200 OK", vec![b' '; ANSWER_BYTES_MAX + 1], "answers with more than 9437184 bytes"),
    ];
    for (status, body, want) in rows {
        let at = says(status, move |_| body.clone());
        let fault = fault(at, &Ask::Tip);
        assert!(fault.contains(want), "{want}: {fault}");
        assert!(fault.len() < 400, "{fault}");
    }
}

#[test]
fn one_that_is_slow_or_gone_is_not_waited_for() {
    let silent = server(|_, _| std::thread::sleep(Duration::from_secs(3)));
    assert!(impatient(silent).contains("cannot be reached"));
    let drips = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").ok();
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(impatient(drips).contains("cannot be reached"));
    // A hundred million bytes, without saying how many there will be.
    let floods = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        for _ in 0..1_600 {
            if stream.write_all(&[b' '; 65_536]).is_err() {
                return;
            }
        }
    });
    let flooded = fault(floods, &Ask::Tip);
    assert_eq!(flooded, "answers with more than 9437184 bytes");
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|gone| gone.local_addr()).expect("one");
    assert!(impatient(nobody).contains("cannot be reached"));
}

#[test]
fn a_refusal_carries_its_number_and_words() {
    let at = says("500 Internal Server Error", |request| {
        let why = format!("Loading block index\u{1b}[2J{}", "x".repeat(10_000));
        let error = json!({ "code": -28, "message": why });
        serde_json::to_vec(&json!({ "result": null, "error": error, "id": request["id"] }))
            .expect("plain values")
    });
    let Err(SourceFault::Refused { code: -28, why, .. }) = answer(&rpc(at), &Ask::Tip) else {
        panic!("it is refused")
    };
    assert!(why.starts_with("Loading block index[2Jxx") && why.len() == 200, "{why}");
}

/// What a source on regtest says of itself.
fn info(blocks: usize, hash: BlockHash) -> Value {
    json!({ "chain": "regtest", "blocks": blocks, "headers": blocks, "bestblockhash": hash })
}

#[test]
fn values_of_another_kind_are_no_answers() {
    let hash = genesis().block_hash();
    let block = Ask::Block { hash };
    let headers = Ask::Headers { locator: vec![hash] };
    let fees = Ask::Rates { targets: vec![Target(2)] };
    let rows: [(&Ask, Value, &str); 9] = [
        (&Ask::Tip, json!({ "chain": "regtest" }), "missing field"),
        (&Ask::Tip, json!(7), "no answer to getblockchaininfo"),
        (&block, json!("00"), "no answer to getblock"),
        (&block, json!("zz"), "no answer to getblock"),
        (&block, json!(null), "no answer to getblock"),
        (&headers, json!({ "confirmations": -1, "height": 0 }), "it knows none of our blocks"),
        (&headers, json!(7), "no answer to getblockheader"),
        (&fees, json!({ "feerate": 1e300 }), "is no fee rate"),
        (&fees, json!({ "feerate": -0.1 }), "is no fee rate"),
    ];
    for (ask, value, want) in rows {
        let is_headers = *ask == headers;
        let at = results(move |method| match method {
            "getblockchaininfo" if is_headers => info(1, hash),
            _ => value.clone(),
        });
        let fault = fault(at, ask);
        assert!(fault.contains(want), "{want}: {fault}");
    }
}

/// A server that answers this method with an error, and all others with a result.
fn refuses(method: &'static str, code: i32, why: &'static str) -> SocketAddr {
    says("500 Internal Server Error", move |request| {
        let error = json!({ "code": code, "message": why });
        let answer = match request["method"] == method {
            true => json!({ "result": null, "error": error, "id": request["id"] }),
            false => json!({ "result": "txid", "error": null, "id": request["id"] }),
        };
        serde_json::to_vec(&answer).expect("plain values")
    })
}

#[test]
fn what_becomes_of_a_transaction_is_told_apart() {
    let parent = Arc::new(pays(&[outpoint(1)], &[script(1)]));
    let spent = OutPoint { txid: parent.compute_txid(), vout: 0 };
    let child = Arc::new(pays(&[spent], &[script(2)]));
    let ask = |package| Ask::Publish { attempt: Attempt(1), package };
    let one = ask(Package::single(Arc::clone(&parent)).expect("a package"));
    let two = ask(Package::pair(parent, child).expect("a package"));
    let send = "sendrawtransaction";
    let said = |at, ask| match answer(&rpc(at), ask) {
        Ok(Answer::Published(answer)) => answer,
        other => panic!("{other:?}"),
    };
    let missing = || PublishAnswer::Refused(Reason::InputsMissing);
    assert_eq!(said(results(|_| json!("txid")), &one), PublishAnswer::Accepted);
    assert_eq!(said(refuses(send, -27, "words"), &one), PublishAnswer::Confirmed);
    assert_eq!(said(refuses(send, -25, "bad-txns-inputs-missingorspent"), &one), missing());
    assert_eq!(said(refuses(send, -26, "txn-already-in-mempool"), &one), PublishAnswer::Known);
    let fault = answer(&rpc(refuses(send, -28, "still loading")), &one);
    assert!(matches!(fault, Err(SourceFault::Refused { code: -28, .. })));
    // A number that we do not know is a number for not taking it.
    let broken = PublishAnswer::Refused(Reason::Invalid { text: Text::new("bad-txns-vin-empty") });
    assert_eq!(said(refuses(send, -22, "bad-txns-vin-empty"), &one), broken);
    let unknown = |text| PublishAnswer::Refused(Reason::Unknown { text: Text::new(text) });
    assert_eq!(said(refuses(send, -1, "something new"), &one), unknown("something new"));
    // Together, or one by one with an old one.
    let together = |msg: &'static str, error: Value| {
        let one = json!({ "wtxid": { "txid": "txid", "error": error } });
        results(move |_| json!({ "package_msg": msg, "tx-results": one }))
    };
    assert_eq!(said(together("success", json!(null)), &two), PublishAnswer::Accepted);
    let why = "bad-txns-inputs-missingorspent";
    assert_eq!(said(together("transaction failed", json!(why)), &two), missing());
    assert_eq!(said(refuses("submitpackage", -32601, "unknown"), &two), PublishAnswer::Accepted);
}

#[test]
fn fee_rates_are_read_as_they_are_written() {
    let say = |method: &str| match method {
        "estimatesmartfee" => json!({ "feerate": 0.000_123_45, "blocks": 2 }),
        _ => json!({ "mempoolminfee": 1e-5, "minrelaytxfee": 0.000_02 }),
    };
    let ask = Ask::Rates { targets: vec![Target(2), Target(6)] };
    let Ok(Answer::Rates(rates)) = answer(&rpc(results(say)), &ask) else { panic!("rates") };
    let per_kwu: Vec<u64> = rates.estimates.values().map(|rate| rate.to_sat_per_kwu()).collect();
    assert_eq!(per_kwu, [3_087, 3_087], "12,345 sat for 1,000 vbytes, rounded up");
    assert_eq!(rates.mempool_min.map(FeeRate::to_sat_per_kwu), Some(500));
}

#[test]
fn a_refused_estimate_is_one_target_less() {
    let at = says("200 OK", |request| {
        let one = |request: &Value| {
            let id = &request["id"];
            let refused = json!({ "code": -8, "message": "Invalid conf_target" });
            match (request["method"].as_str(), &request["params"][0]) {
                (Some("estimatesmartfee"), target) if *target == 1 => {
                    json!({ "result": null, "error": refused, "id": id })
                }
                (Some("estimatesmartfee"), _) => {
                    json!({ "result": { "feerate": 0.00002 }, "error": null, "id": id })
                }
                _ => json!({ "result": null, "error": refused, "id": id }),
            }
        };
        let several = request.as_array().map(|several| several.iter().map(one).collect());
        serde_json::to_vec(&several.unwrap_or_else(|| one(request))).expect("plain values")
    });
    let ask = Ask::Rates { targets: vec![Target(1), Target(6)] };
    let Ok(Answer::Rates(rates)) = answer(&rpc(at), &ask) else { panic!("rates") };
    let targets: Vec<Target> = rates.estimates.into_keys().collect();
    assert_eq!((targets, rates.mempool_min), (vec![Target(6)], None));
}

/// One of two chains of blocks, which takes the other one after so many answers.
fn flips(chains: [Vec<Block>; 2], after: usize) -> SocketAddr {
    let all = chains.concat();
    let one = move |request: &Value, chain: &[Block]| {
        let of = |hash: &Value| all.iter().find(|block| json!(block.block_hash()) == *hash);
        let [first, second] = [0, 1].map(|at| request["params"][at].clone());
        let place = |block: &Block| chain.iter().position(|it| it == block);
        let best = chain.len() - 1;
        let result = match (request["method"].as_str(), of(&first)) {
            (Some("getblockchaininfo"), _) => info(best, chain[best].block_hash()),
            (Some("getblockhash"), _) => {
                let height = first.as_u64().map_or(usize::MAX, |height| height as usize);
                json!(chain.get(height).map(Block::block_hash))
            }
            (Some("getblockheader"), Some(block)) if second == true => match place(block) {
                Some(at) => json!({ "confirmations": 1, "height": at }),
                None => json!({ "confirmations": -1, "height": 1 }),
            },
            (Some("getblockheader"), Some(block)) => json!(serialize_hex(&block.header)),
            _ => json!(null),
        };
        json!({ "result": result, "error": null, "id": request["id"] })
    };
    let answers = AtomicUsize::new(0);
    says("200 OK", move |request| {
        let at = answers.fetch_add(1, Ordering::Relaxed);
        let chain = &chains[usize::from(at >= after)];
        let several = request.as_array();
        let several = several.map(|several| several.iter().map(|it| one(it, chain)).collect());
        serde_json::to_vec(&several.unwrap_or_else(|| one(request, chain))).expect("plain values")
    })
}

fn behind(parent: &Block, salts: std::ops::Range<u64>) -> Vec<Block> {
    let mut blocks = vec![parent.clone()];
    for salt in salts {
        let last = blocks.last().expect("the first one").block_hash();
        blocks.push(mine(last, salt, vec![]));
    }
    blocks
}

#[test]
fn a_reorg_between_two_questions_is_no_lie() {
    let (ours, theirs) = (behind(&genesis(), 1..4), behind(&genesis(), 11..16));
    let locator: Vec<_> = ours[..3].iter().rev().map(Block::block_hash).collect();
    let ask = Ask::Headers { locator: locator.clone() };
    let read = |chains, after| match answer(&rpc(flips(chains, after)), &ask) {
        Ok(Answer::Headers(headers)) => headers,
        other => panic!("{other:?}"),
    };
    let want = |blocks: &[Block]| blocks.iter().map(|block| block.header).collect::<Vec<_>>();
    // Whenever it happens: what comes is behind a block of ours, and of one chain.
    for after in 0..12 {
        let headers = read([ours.clone(), theirs.clone()], after);
        let is_ours = headers == want(&ours[3..]);
        let is_theirs = !headers.is_empty() && want(&theirs[1..]).starts_with(&headers);
        assert!(is_ours || is_theirs, "{after}: {headers:?}");
    }
    // One that lies is at rest all the time, and whoever asked is told what it says.
    let mut mixed = ours[..3].to_vec();
    mixed.extend_from_slice(&theirs[3..]);
    assert_eq!(read([mixed.clone(), mixed], 0), want(&theirs[3..]));
}

#[test]
fn a_header_is_the_one_that_was_asked_for() {
    let blocks = behind(&genesis(), 1..3);
    let other = serialize_hex(&blocks[2].header);
    let hash = blocks[1].block_hash();
    let at = results(move |method| match method {
        "getblockcount" => json!(1),
        "getblockhash" => json!(hash),
        _ => json!(other),
    });
    let fault = fault(at, &Ask::HeaderAt { at: From::At(Height(1)) });
    assert!(fault.contains(&format!("header {} for {hash}", blocks[2].block_hash())), "{fault}");
}

#[test]
fn one_question_has_its_time_however_many_answers_it_needs() {
    let hash = genesis().block_hash();
    let at = results(move |method| {
        std::thread::sleep(Duration::from_millis(60));
        match method {
            "getblockchaininfo" => info(1, hash),
            _ => json!({ "confirmations": -1, "height": 0 }),
        }
    });
    let rpc = Rpc::new(place(at), Duration::from_secs(20), Duration::from_millis(300));
    let locator = (0..200).map(|salt| mine(hash, salt, vec![]).block_hash()).collect();
    let fault = answer(&rpc, &Ask::Headers { locator }).expect_err("it takes too long");
    assert!(fault.to_string().contains("cannot be reached"), "{fault}");
}

/// Until it has said which question it is at, it waits.
#[test]
fn questions_that_nobody_waits_for_are_not_asked() {
    let (go, wait) = channel::<()>();
    let (tell, asked) = channel();
    let silent = server(move |_, request| {
        tell.send(request["method"].clone()).ok();
        wait.recv_timeout(WAIT).ok();
    });
    let hub = bus::Hub::new().expect("a hub");
    let mut source = Bitcoind::start(place(silent), hub.waker());
    source.ask(AskId(1), Ask::Tip);
    asked.recv_timeout(WAIT).expect("the first is asked");
    let many = WAITING_MAX as u64 + 9;
    for id in 2..=many {
        source.ask(AskId(id), Ask::Tip);
    }
    // No more wait than there is room for.
    let unasked: Vec<_> = std::iter::from_fn(|| source.told()).collect();
    assert_eq!(unasked.len(), 8, "{unasked:?}");
    let full = format!("{WAITING_MAX} questions wait already");
    assert!(unasked.iter().all(|(_, it)| format!("{it:?}").contains(&full)), "{unasked:?}");
    source.drop_before(AskId(WAITING_MAX as u64 + 1));
    drop(go);
    asked.recv_timeout(WAIT).expect("the last is asked");
    let told = |source: &mut Bitcoind| {
        let mut rounds = 0..3_000;
        while rounds.next().is_some() {
            if let Some((id, _)) = source.told() {
                return id;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no answer");
    };
    assert_eq!(told(&mut source), AskId(1));
    assert_eq!(told(&mut source), AskId(WAITING_MAX as u64 + 1));
    assert!(asked.try_recv().is_err(), "nothing else was asked");
}

#[test]
fn a_cookie_that_is_none_is_named() {
    let folder = Folder::new();
    let cookie = |name: &str| {
        let key = DoorKey::Cookie(folder.at(name));
        let place = Place { url: "http://127.0.0.1:1".to_owned(), key };
        let rpc = Rpc::new(place, Duration::from_millis(500), Duration::from_secs(60));
        answer(&rpc, &Ask::Tip).expect_err("nobody is there").to_string()
    };
    assert!(cookie("none").contains("cannot be read"), "{}", cookie("none"));
    std::fs::write(folder.at("long"), vec![b'x'; 5_000]).expect("a file");
    assert!(cookie("long").contains("5000 bytes, at most 1024"));
    std::fs::write(folder.at("right"), "__cookie__:abc\n").expect("a file");
    assert!(cookie("right").contains("cannot be reached"));
}
