//! Clients that are slow, wrong, too many or too loud.

use std::{
    fs,
    io::{BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    thread,
    time::Duration,
};

use devnet::{
    Devnet, Fault, Shared, lock,
    rpc::{Access, CLIENTS_MAX, Server},
};
use place::Place;
use serde_json::json;
use wire::dice::Dice;

use crate::client::{Client, read};

fn shared() -> Shared {
    Devnet::in_memory().expect("a devnet").shared()
}

fn server(devnet: &Shared) -> (Server, String) {
    let access = Access::Password { user: "u".to_owned(), password: "p:with:colons".to_owned() };
    let server = Server::start(devnet.clone(), 0, access).expect("a server");
    let url = format!("http://u:p:with:colons@{}", server.address());
    (server, url)
}

fn raw(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("a server");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

/// The status that some bytes are answered with.
fn status(server: &Server, bytes: &[u8]) -> Option<u16> {
    let mut stream = raw(server);
    // The server may hang up before it has heard all.
    stream.write_all(bytes).ok();
    read(&mut BufReader::new(stream)).map(|(response, _)| response.status)
}

#[test]
fn one_connection_serves_many_questions() {
    let devnet = shared();
    let (server, url) = server(&devnet);
    let mut client = Client::new(&url);
    for _ in 0..100 {
        assert_eq!(client.get("getblockcount", json!([])), 0);
    }
    // Two at once, the second one's bytes behind the first one's.
    let body = r#"{"method":"getblockcount","id":1}"#;
    let authorization = &client.authorization;
    let one = format!(
        "POST / HTTP/1.1\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = BufReader::new(raw(&server));
    stream.get_mut().write_all(one.repeat(2).as_bytes()).expect("sent");
    for _ in 0..2 {
        let (response, open) = read(&mut stream).expect("a response");
        assert_eq!((response.status, open), (200, true));
    }
    // Byte by byte, with a body that waits for its permission.
    let slow = one.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
    let mut stream = raw(&server);
    for byte in slow.as_bytes().chunks(7) {
        stream.write_all(byte).expect("sent");
    }
    let mut all = String::new();
    stream.read_to_string(&mut all).expect("closed in the end");
    assert!(all.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{all}");
}

#[test]
fn the_cookie_is_the_password() {
    let (devnet, place) = (shared(), Place::new());
    let path = place.at(".cookie");
    fs::write(&path, "an old one, which everybody may read").expect("a file");
    let server = Server::start(devnet, 0, Access::Cookie(path.clone())).expect("a server");
    let words = fs::read_to_string(&path).expect("a cookie");
    let (user, password) = words.split_once(':').expect("two words");
    assert_eq!((user, password.len()), ("__cookie__", 64));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let mut client = Client::new(&format!("http://{words}@{}", server.address()));
    assert_eq!(client.get("getblockcount", json!([])), 0);
    drop(server);
    assert!(!path.exists());
}

#[test]
fn only_this_machine() {
    let access = Access::Password { user: "u".to_owned(), password: "p".to_owned() };
    let server = Server::start_at(shared(), Ipv4Addr::UNSPECIFIED, 0, access);
    assert!(matches!(server, Err(Fault::Address { .. })));
}

#[test]
fn what_is_no_request() {
    let devnet = shared();
    let (server, url) = server(&devnet);
    let authorization = Client::new(&url).authorization;
    let head = |lines: &str| {
        format!("POST / HTTP/1.1\r\nAuthorization: {authorization}\r\n{lines}\r\n\r\n")
    };
    let rows: [(&str, u16); 14] = [
        ("GET / HTTP/1.1\r\n\r\n", 405),
        ("POST /wallet/x HTTP/1.1\r\n\r\n", 404),
        ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 401),
        ("POST / HTTP/1.1\r\nAuthorization: Basic dTpw\r\n\r\n", 401),
        ("POST / HTTP/1.1\r\nAuthorization: Bearer dTpw\r\n\r\n", 401),
        ("POST / HTTP/1.1\r\nAuthorization:\r\n\r\n", 401),
        ("POST / HTTP/9\r\n\r\n", 400),
        ("POST\r\n\r\n", 400),
        ("\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (&head("Content-Length: -1"), 400),
        (&head("Content-Length: 1\r\nContent-Length: 2"), 400),
        (&head("Transfer-Encoding: chunked"), 411),
        // A hundred megabytes are refused before the first of them is read.
        (&head("Content-Length: 104857600"), 413),
    ];
    for (bytes, want) in rows {
        assert_eq!(status(&server, bytes.as_bytes()), Some(want), "{bytes}");
    }
    let long = format!("POST / HTTP/1.1\r\nX: {}", "x".repeat(20_000));
    assert!(matches!(status(&server, long.as_bytes()), Some(431) | None));
    let deep = "[".repeat(100_000);
    let body = head(&format!("Content-Length: {}", deep.len())) + &deep;
    assert_eq!(status(&server, body.as_bytes()), Some(500));
    let loud = vec![0xff; 1 << 20];
    assert!(matches!(status(&server, &loud), Some(400 | 431) | None));
    assert_eq!(Client::new(&url).get("getblockcount", json!([])), 0, "and it goes on");
}

#[test]
fn noise_is_answered_or_hung_up_on() {
    let devnet = shared();
    let (server, url) = server(&devnet);
    let mut client = Client::new(&url);
    let mut dice = Dice::new(3);
    let methods: Vec<&str> = devnet::rpc::methods().collect();
    let value = |dice: &mut Dice| match dice.below(9) {
        0 => json!(null),
        1 => json!(dice.one_in(2)),
        2 => json!(dice.number()),
        3 => json!(-(dice.below(1_000) as i64)),
        4 => json!(0.5),
        5 => json!("ab".repeat(dice.below(40))),
        6 => json!("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
        7 => json!([["00"], "x", 1]),
        _ => json!([{ "txid": "x", "vout": 1 }]),
    };
    for _ in 0..1_500 {
        let method = methods[dice.below(methods.len())];
        let params: Vec<_> = (0..dice.below(4)).map(|_| value(&mut dice)).collect();
        // No thousands of blocks by chance.
        if method != "generatetoaddress" {
            client.ask(method, json!(params)).ok();
        }
    }
    for _ in 0..50 {
        let bytes = dice.bytes(300);
        let mut stream = raw(&server);
        stream.write_all(&bytes).ok();
    }
    assert!(client.ask("getblockcount", json!([])).is_ok());
}

#[test]
fn too_many_clients() {
    let devnet = shared();
    let (server, url) = server(&devnet);
    let silent: Vec<TcpStream> = (0..CLIENTS_MAX).map(|_| raw(&server)).collect();
    // Those in front have to be admitted first.
    let mut last = None;
    for _ in 0..200 {
        last = status(&server, b"GET / HTTP/1.1\r\n\r\n");
        if last == Some(503) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(last, Some(503));
    drop(silent);
    let mut served = false;
    for _ in 0..500 {
        served |= status(&server, b"GET / HTTP/1.1\r\n\r\n") == Some(405);
        if served {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(served, "the places of those who left are free");
    assert_eq!(Client::new(&url).get("getblockcount", json!([])), 0);
}

#[test]
fn it_stops_with_clients_on_the_line() {
    let devnet = shared();
    let (server, url) = server(&devnet);
    let mut client = Client::new(&url);
    client.get("getblockcount", json!([]));
    let mut silent = raw(&server);
    let address = server.address();
    drop(server);
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0, "hung up");
    assert!(TcpStream::connect(address).is_err());
    // The devnet is still there.
    lock(&devnet).mine(None).expect("a block");
}
