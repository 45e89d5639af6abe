//! A client of bitcoind's RPC that knows nothing of us.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

/// An error's code and words.
pub type Refused = (i64, String);

/// What came back over HTTP.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: String,
}

/// One connection, kept alive.
pub struct Client {
    pub address: String,
    pub authorization: String,
    stream: Option<BufReader<TcpStream>>,
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let digits = bits.as_bytes().chunks(6).map(|six| {
        let six = format!("{:0<6}", String::from_utf8_lossy(six));
        DIGITS[usize::from_str_radix(&six, 2).expect("bits")] as char
    });
    let text: String = digits.collect();
    let padded = text.len().next_multiple_of(4);
    format!("{text:=<padded$}")
}

impl Client {
    /// Of `http://user:password@host:port`.
    pub fn new(url: &str) -> Self {
        let rest = url.trim_start_matches("http://").trim_end_matches('/');
        let (words, address) = rest.rsplit_once('@').expect("user:password@host:port");
        let authorization = format!("Basic {}", base64(words.as_bytes()));
        Self { address: address.to_owned(), authorization, stream: None }
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.address).expect("a server");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        BufReader::new(stream)
    }

    /// Sends whole bytes, and reads a response.
    pub fn raw(&mut self, request: &[u8]) -> Response {
        let mut stream = self.stream.take().unwrap_or_else(|| self.connect());
        stream.get_mut().write_all(request).expect("sent");
        let (response, open) = read(&mut stream).expect("a response");
        self.stream = open.then_some(stream);
        response
    }

    pub fn post(&mut self, body: &str) -> Response {
        let (authorization, length) = (&self.authorization, body.len());
        let head = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        self.raw((head + body).as_bytes())
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Result<Value, Refused> {
        let body = json!({ "id": "test", "method": method, "params": params }).to_string();
        let response = self.post(&body);
        let mut answer: Value = serde_json::from_str(&response.body).expect("JSON");
        assert_eq!(answer["id"], "test");
        if answer["error"].is_null() {
            assert_eq!(response.status, 200);
            return Ok(answer["result"].take());
        }
        assert!(answer["result"].is_null() && response.status != 200, "{answer}");
        let error = &answer["error"];
        let message = error["message"].as_str().expect("a message").to_owned();
        Err((error["code"].as_i64().expect("a code"), message))
    }

    /// What must work.
    pub fn get(&mut self, method: &str, params: Value) -> Value {
        self.ask(method, params.clone())
            .unwrap_or_else(|(code, message)| panic!("{method} {params}: {code} {message}"))
    }

    /// What must not work.
    pub fn refused(&mut self, method: &str, params: Value) -> Refused {
        match self.ask(method, params.clone()) {
            Err(refused) => refused,
            Ok(value) => panic!("{method} {params}: {value}"),
        }
    }
}

/// A response, and whether the server goes on. Nothing, if it is gone.
pub fn read(stream: &mut impl BufRead) -> Option<(Response, bool)> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut open) = (0, true);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':')?;
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", value) => length = value.parse().ok()?,
            ("connection", value) => open = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((Response { status, body: String::from_utf8(body).ok()? }, open))
}
