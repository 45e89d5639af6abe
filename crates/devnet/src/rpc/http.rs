//! As much of HTTP/1.1 as clients of bitcoind speak, with a bound on everything.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8_192;
/// Bytes of a body: a block of the heaviest kind in hex, and some room.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Bytes of a body that is read even of those who may not ask.
const SHORT_BODY_BYTES_MAX: usize = 65_536;
/// How long a head, or a body, may take once it has begun.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a client may be silent between requests.
const IDLE_TIME_MAX: Duration = Duration::from_secs(300);
/// Read at once.
const PIECE_BYTES: usize = 16_384;

/// What a client wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) authorization: Option<String>,
    pub(super) keep_alive: bool,
    body_bytes: usize,
    continues: bool,
}

impl Request {
    /// Whether its body is so short that it costs nothing to read it.
    pub(super) const fn has_short_body(&self) -> bool {
        self.body_bytes <= SHORT_BODY_BYTES_MAX
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum NoRequest {
    /// The client is gone, or silent, or slow.
    Gone,
    /// It speaks in a way that is answered with this status.
    Refused(u16),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// One client's bytes.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(REQUEST_TIME_MAX))?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// Reads until there is a whole head.
    pub(super) fn head(&mut self) -> Result<Request, NoRequest> {
        let mut until = Instant::now() + IDLE_TIME_MAX;
        let mut begun = false;
        loop {
            if let Some(end) = find(&self.read, b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                let head = std::mem::replace(&mut self.read, rest);
                return parse(&head[..end]).map_err(NoRequest::Refused);
            }
            if self.read.len() > HEAD_BYTES_MAX {
                return Err(NoRequest::Refused(431));
            }
            if !begun && !self.read.is_empty() {
                begun = true;
                until = Instant::now() + REQUEST_TIME_MAX;
            }
            self.more(until)?;
        }
    }

    /// Reads the body of a request.
    pub(super) fn body(&mut self, request: &Request) -> Result<Vec<u8>, NoRequest> {
        if request.body_bytes > BODY_BYTES_MAX {
            return Err(NoRequest::Refused(413));
        }
        if request.continues {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let until = Instant::now() + REQUEST_TIME_MAX;
        while self.read.len() < request.body_bytes {
            self.more(until)?;
        }
        let rest = self.read.split_off(request.body_bytes);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    fn more(&mut self, until: Instant) -> Result<(), NoRequest> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NoRequest::Gone);
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut piece = [0; PIECE_BYTES];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(NoRequest::Gone),
            Ok(count) => {
                self.read.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(NoRequest::Gone),
        }
    }

    pub(super) fn reply(
        &mut self,
        status: u16,
        body: Option<&str>,
        keep_alive: bool,
    ) -> io::Result<()> {
        let mut out = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        if status == 401 {
            out.push_str("WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n");
        }
        if !keep_alive {
            out.push_str("Connection: close\r\n");
        }
        if status != 204 {
            let length = body.map_or(0, str::len);
            out.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        out.push_str("\r\n");
        out.push_str(body.unwrap_or_default());
        self.stream.write_all(out.as_bytes())
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A head, or the status with which it is refused.
fn parse(head: &[u8]) -> Result<Request, u16> {
    let head = std::str::from_utf8(head).map_err(|_| 400_u16)?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path, version) = (first.next(), first.next(), first.next());
    let (Some(method), Some(path), Some(version)) = (method, path, version) else {
        return Err(400);
    };
    let newer = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(400),
    };
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        authorization: None,
        keep_alive: newer,
        body_bytes: 0,
        continues: false,
    };
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(400_u16)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "connection" if value.eq_ignore_ascii_case("close") => request.keep_alive = false,
            "connection" if value.eq_ignore_ascii_case("keep-alive") => request.keep_alive = true,
            "content-length" => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let bytes = value.parse().ok().filter(|_| digits).ok_or(400_u16)?;
                // Two lengths are how one request is smuggled in another.
                if length.replace(bytes).is_some_and(|other| other != bytes) {
                    return Err(400);
                }
            }
            "transfer-encoding" => return Err(411),
            "expect" => request.continues = value.eq_ignore_ascii_case("100-continue"),
            _ => {}
        }
    }
    request.body_bytes = length.unwrap_or(0);
    Ok(request)
}
