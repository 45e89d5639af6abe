//! A bitcoind that answers nonsense, too much, too late, or nobody.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use apart::Place as Folder;
use node::{
    io::bitcoind::{ANSWER_BYTES_MAX, DoorKey, Place, Rpc, answer},
    services::treasury::{Answer, Ask, SourceFault},
};
use serde_json::{Value, json};

use bitcoin::{FeeRate, OutPoint};
use chain::{Attempt, Package, PublishAnswer, Reason, Target};

use crate::blocks::{genesis, outpoint, pays, script};

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
    Rpc::new(place(at), Duration::from_secs(20))
}

fn impatient(at: SocketAddr) -> String {
    let rpc = Rpc::new(place(at), Duration::from_millis(300));
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
        (&headers, json!("00"), "no answer to getblockheader"),
        (&fees, json!({ "feerate": 1e300 }), "is no fee rate"),
        (&fees, json!({ "feerate": -0.1 }), "is no fee rate"),
    ];
    for (ask, value, want) in rows {
        let at = results(move |_| value.clone());
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
fn a_cookie_that_is_none_is_named() {
    let folder = Folder::new();
    let cookie = |name: &str| {
        let key = DoorKey::Cookie(folder.at(name));
        let place = Place { url: "http://127.0.0.1:1".to_owned(), key };
        let rpc = Rpc::new(place, Duration::from_millis(500));
        answer(&rpc, &Ask::Tip).expect_err("nobody is there").to_string()
    };
    assert!(cookie("none").contains("cannot be read"), "{}", cookie("none"));
    std::fs::write(folder.at("long"), vec![b'x'; 5_000]).expect("a file");
    assert!(cookie("long").contains("5000 bytes, at most 1024"));
    std::fs::write(folder.at("right"), "__cookie__:abc\n").expect("a file");
    assert!(cookie("right").contains("cannot be reached"));
}
