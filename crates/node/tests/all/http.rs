//! The API, as whoever is on this machine may call it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    sync::mpsc::channel,
    time::Duration,
};

use apart::{Place, WAIT};
use node::{
    io::{
        bell::{self, CALLS_MAX, Unheard},
        http::{self, BODY_BYTES_MAX, Desk, Token},
    },
    roles,
};

use crate::party::{Party, plan};

struct Api {
    at: SocketAddr,
    token: String,
    running: roles::Running,
    stopped: std::sync::mpsc::Receiver<()>,
    _place: Place,
}

impl Api {
    fn start(seed: u8) -> Self {
        let place = Place::new();
        let (events, tellers) = http::events(wire::Network::Regtest);
        let tell = tellers.post;
        let running = roles::start(plan(place.path(), seed), tell).expect("it starts");
        let token = Token::of(place.path()).expect("a token");
        let text = token.reveal().to_owned();
        let (told, stopped) = channel();
        let desk = Desk {
            bell: running.bell.clone().expect("a node"),
            treasury: None,
            channels: None,
            devnet: None,
            token,
            events,
            network: wire::Network::Regtest,
            stop: Box::new(move || told.send(()).expect("the test waits")),
        };
        let at = http::serve("127.0.0.1:0".parse().expect("an address"), desk).expect("a port");
        Self { at, token: text, running, stopped, _place: place }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).expect("it listens");
        stream.set_read_timeout(Some(WAIT)).expect("a socket");
        stream
    }

    /// Sends these bytes, and gives what comes until the end.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // It may hang up before it has read everything.
        stream.write_all(request).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let answer = self.raw(
            format!(
                "{method} {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: \
                 close\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status, body.unwrap_or_default())
    }

    /// As its owner asks.
    fn owner(&self) -> String {
        let Self { token, .. } = self;
        format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n{JSON}")
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn only_the_owner_on_this_machine_comes_in() {
    let api = Api::start(71);
    let Api { token, .. } = &api;
    let forged = format!("{}{}", &token[..63], if token.ends_with('0') { '1' } else { '0' });
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let rows = [
        (format!("Host: localhost\r\n{}", bearer(token)), 200),
        (format!("Host: 127.0.0.1:{}\r\n{}", api.at.port(), bearer(token)), 200),
        (format!("Host: [::1]\r\n{}", bearer(token)), 200),
        ("Host: localhost\r\n".to_owned(), 401),
        (format!("Host: localhost\r\n{}", bearer(&forged)), 401),
        (format!("Host: localhost\r\n{}", bearer(&token[..63])), 401),
        (format!("Host: localhost\r\n{}", bearer("")), 401),
        (format!("Host: localhost\r\nAuthorization: Basic {token}\r\n"), 401),
        (format!("Host: node.example.com\r\n{}", bearer(token)), 403),
        (format!("Host: 127.0.0.1.example.com\r\n{}", bearer(token)), 403),
        (format!("Host: localhost:80:80@x\r\n{}", bearer(token)), 403),
    ];
    for (headers, want) in rows {
        let (status, body) = api.ask("GET", "/v1/info", &headers, "");
        assert_eq!(status, want, "{headers}{body}");
        assert!(!body.contains(&**token));
    }
    api.running.stop();
}

#[test]
fn what_cannot_be_read_is_refused_and_the_next_is_answered() {
    let api = Api::start(72);
    let owner = api.owner();
    let id = "02".repeat(33);
    let long = format!("{{\"message\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    let unsignable = format!("{{\"message\":\"{}\"}}", "x".repeat(70_000));
    let rows = [
        ("GET", "/v1/nothing", "", 404, "not_found"),
        ("DELETE", "/v1/info", "", 405, "wrong_method"),
        ("POST", "/v1/sign", "", 400, "malformed"),
        ("POST", "/v1/sign", "{", 400, "malformed"),
        ("POST", "/v1/sign", "[]", 400, "malformed"),
        ("POST", "/v1/sign", "{\"message\":5}", 400, "malformed"),
        ("POST", "/v1/sign", &long, 413, "too_large"),
        ("POST", "/v1/sign", &unsignable, 413, "70000 bytes, at most 65535"),
        ("POST", "/v1/peers", "{\"node\":\"zz\",\"address\":\"127.0.0.1:1\"}", 400, "no node id"),
        (
            "POST",
            "/v1/peers",
            &format!("{{\"node\":\"{id}\",\"address\":\"x\"}}"),
            400,
            "HOST:PORT",
        ),
        ("POST", &format!("/v1/peers/{id}/ping"), "", 404, "not_connected"),
        ("DELETE", &format!("/v1/peers/{id}"), "", 404, "not_connected"),
        ("POST", "/v1/peers/%ff%fe/ping", "", 400, "malformed"),
        ("POST", "/v1/verify", "{\"message\":\"x\",\"signature\":\"!!\"}", 400, "malformed"),
    ];
    for (method, path, body, want, text) in rows {
        let (status, answer) = api.ask(method, path, &owner, body);
        let shown: String = body.chars().take(80).collect();
        assert_eq!(status, want, "{method} {path} {shown}: {answer}");
        assert!(answer.contains(text), "{method} {path} {shown}: {answer}");
    }
    // Not HTTP at all, and a head that has no end.
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"hello\r\n\r\n", &[b'a'; 100_000]] {
        let answer = api.raw(&[bytes, b"\r\n\r\n"].concat());
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    let endless = format!("GET /v1/info HTTP/1.1\r\n{owner}X: {}\r\n\r\n", "y".repeat(200_000));
    assert!(!api.raw(endless.as_bytes()).contains(" 200 "));
    assert_eq!(api.ask("GET", "/v1/info", &owner, "").0, 200);
    api.running.stop();
}

#[test]
fn silent_callers_do_not_keep_others_out() {
    let api = Api::start(73);
    let silent: Vec<_> = (0..200).map(|_| api.connect()).collect();
    let mut dribbling = api.connect();
    dribbling.write_all(b"GET /v1/in").expect("it reads");
    assert_eq!(api.ask("GET", "/v1/info", &api.owner(), "").0, 200);
    drop(silent);
    api.running.stop();
}

#[test]
fn events_come_as_they_happen() {
    let (api, other) = (Api::start(74), Party::start(75));
    let mut stream = api.connect();
    let ask = format!("GET /v1/events HTTP/1.1\r\n{}\r\n", api.owner());
    stream.write_all(ask.as_bytes()).expect("it reads");
    let mut seen = String::new();
    let mut until = |wanted: &str| {
        let mut piece = [0; 4_096];
        while !seen.contains(wanted) {
            let got = stream.read(&mut piece).expect("events come");
            assert!(got > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..got]));
        }
    };
    until("text/event-stream");
    let body = format!("{{\"node\":\"{}\",\"address\":\"{}\"}}", other.id(), other.address());
    let (status, answer) = api.ask("POST", "/v1/peers", &api.owner(), &body);
    assert_eq!(status, 200, "{answer}");
    until("peer_connected");
    other.until_connected();
    let us = other.peers()[0];
    let bytes = vec![0x81, 1, 0xab];
    other.call(node::services::post::Command::Message { node: us, bytes }).expect("connected");
    until("\"payload\":\"ab\"");
    api.running.stop();
}

/// The document describes what there is: every path and method of it, and each needs the token.
#[test]
fn the_document_is_of_this_api() {
    let api = Api::start(76);
    let (status, body) = api.ask("GET", "/openapi.json", "Host: localhost\r\n", "");
    assert_eq!(status, 200);
    let document: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut count = 0;
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys() {
            count += 1;
            let real = path.replace("{node}", &"02".repeat(33));
            let (status, _) = api.ask(&method.to_uppercase(), &real, "Host: localhost\r\n", "");
            let want = if path == "/openapi.json" { 200 } else { 401 };
            assert_eq!(status, want, "{method} {path}");
            if path != "/v1/events" {
                let (status, answer) = api.ask(&method.to_uppercase(), &real, &api.owner(), "");
                assert!(!answer.contains("no such path"), "{method} {path}: {answer}");
                assert_ne!(status, 405, "{method} {path}");
            }
        }
    }
    assert_eq!(count, 33, "{paths:?}");
    api.stopped.recv_timeout(Duration::from_secs(10)).expect("stop was among them");
    api.running.stop();
}

#[test]
fn a_token_that_others_can_read_is_refused() {
    let place = Place::new();
    let made = Token::of(place.path()).expect("a fresh one");
    let path = place.at(http::TOKEN_FILE);
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Token::of(place.path()).expect("the same");
    assert_eq!(again.reveal(), made.reveal());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
    let fault = Token::of(place.path()).err().expect("refused").to_string();
    assert!(fault.contains("chmod 600"), "{fault}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    std::fs::write(&path, "nothing").expect("ours");
    assert!(Token::of(place.path()).is_err());
}

#[test]
fn the_api_is_for_this_machine_only() {
    let api = Api::start(77);
    let desk = Desk {
        bell: api.running.bell.clone().expect("a node"),
        treasury: None,
        channels: None,
        devnet: None,
        token: Token::of(api._place.path()).expect("a token"),
        events: http::events(wire::Network::Regtest).0,
        network: wire::Network::Regtest,
        stop: Box::new(|| {}),
    };
    let refused = http::serve("0.0.0.0:0".parse().expect("an address"), desk).err();
    assert!(refused.expect("refused").to_string().contains("this machine only"));
    api.running.stop();
}

/// Too many calls and no service at all are two different things.
#[test]
fn a_node_that_has_ended_is_not_busy() {
    let hub = bus::Hub::new().expect("a hub");
    let (bell, calls) = bell::bell::<u8, u8>(hub.waker());
    let call = || bell.call(7, Box::new(|_| {}));
    for _ in 0..CALLS_MAX {
        assert_eq!(call(), Ok(()));
    }
    assert_eq!(call(), Err(Unheard::Full { max: CALLS_MAX }));
    drop(calls);
    assert_eq!(call(), Err(Unheard::Ended));

    let api = Api::start(78);
    api.running.stop();
    let end = std::time::Instant::now() + WAIT;
    loop {
        let (status, body) = api.ask("GET", "/v1/info", &api.owner(), "");
        if status == 503 {
            assert!(body.contains("the node is stopping"), "{body}");
            return;
        }
        assert_eq!(status, 200, "{body}");
        assert!(std::time::Instant::now() < end, "it goes on");
    }
}
