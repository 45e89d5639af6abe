//! JSON-RPC to a bitcoind: one request or a batch of them, with a limit on everything.

use std::{
    fmt, fs, io,
    path::PathBuf,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonrpc::{Client, Request, Response, client::Transport};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::services::treasury::SourceFault;

/// Bytes of an answer: the largest block in hex, and what is around it.
pub const ANSWER_BYTES_MAX: usize = 9 << 20;
/// An answer must be complete after this time.
pub const ANSWER_MAX: Duration = Duration::from_secs(15);
/// All answers that one question of ours needs must be complete after this time: before the
/// treasury believes that there will be none.
pub const QUESTION_MAX: Duration = Duration::from_secs(45);
/// Bytes of a file with a cookie.
const COOKIE_BYTES_MAX: u64 = 1_024;
/// Characters of somebody else's words that are repeated.
const WORDS_MAX: usize = 200;

/// Where a bitcoind is, and how it lets us in.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// `http://HOST:PORT`.
    pub url: String,
    /// What opens its door.
    pub key: DoorKey,
}

/// What opens the door of a bitcoind.
#[derive(Clone, PartialEq, Eq)]
pub enum DoorKey {
    /// A file that it writes anew at each start.
    Cookie(PathBuf),
    /// A user's name and password.
    User {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
}

/// Asks a bitcoind, for one question of ours.
pub struct Rpc(Client);

struct Http {
    place: Place,
    patience: Duration,
    until: Instant,
}

impl Rpc {
    /// Asks the one at this place. Each of its answers must be complete after `patience`, and all
    /// of them `in_all` after now.
    pub fn new(place: Place, patience: Duration, in_all: Duration) -> Self {
        Self(Client::with_transport(Http { place, patience, until: Instant::now() + in_all }))
    }

    /// One question.
    pub fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        arguments: &impl Serialize,
    ) -> Result<T, SourceFault> {
        let arguments = raw(method, arguments)?;
        let request = self.0.build_request(method, Some(&arguments));
        let id = request.id.clone();
        let response = self.0.send_request(request).map_err(|fault| of(method, fault))?;
        if response.id != id {
            return Err(nonsense(method, "it answers another question"));
        }
        read(method, &response)
    }

    /// Several questions of a kind; each answer by itself.
    pub fn ask_all<T: DeserializeOwned>(
        &self,
        method: &'static str,
        arguments: &[impl Serialize],
    ) -> Result<Vec<Result<T, SourceFault>>, SourceFault> {
        if arguments.is_empty() {
            return Ok(Vec::new());
        }
        let raw: Vec<_> =
            arguments.iter().map(|each| raw(method, each)).collect::<Result<_, _>>()?;
        let requests: Vec<Request<'_>> =
            raw.iter().map(|each| self.0.build_request(method, Some(each))).collect();
        let responses = self.0.send_batch(&requests).map_err(|fault| of(method, fault))?;
        let answers = responses.into_iter().map(|response| match response {
            Some(response) => read(method, &response),
            None => Err(nonsense(method, "one of several questions has no answer")),
        });
        Ok(answers.collect())
    }
}

fn raw(method: &'static str, arguments: &impl Serialize) -> Result<Box<RawValue>, SourceFault> {
    jsonrpc::try_arg(arguments).map_err(|fault| nonsense(method, &fault.to_string()))
}

fn read<T: DeserializeOwned>(method: &'static str, response: &Response) -> Result<T, SourceFault> {
    response.result().map_err(|fault| of(method, fault))
}

fn of(method: &'static str, fault: jsonrpc::Error) -> SourceFault {
    if let jsonrpc::Error::Rpc(fault) = fault {
        return SourceFault::Refused { method, code: fault.code, why: shortened(&fault.message) };
    }
    let jsonrpc::Error::Transport(fault) = fault else {
        return nonsense(method, &fault.to_string());
    };
    match fault.downcast::<SourceFault>().map(|fault| *fault) {
        // The transport does not know what was asked.
        Ok(SourceFault::Nonsense { why, .. }) => SourceFault::Nonsense { method, why },
        Ok(fault) => fault,
        Err(fault) => SourceFault::Unreachable { why: shortened(&fault.to_string()) },
    }
}

pub(super) fn nonsense(method: &'static str, why: &str) -> SourceFault {
    SourceFault::Nonsense { method, why: shortened(why) }
}

/// What others say may be long, and may not be for a terminal.
fn shortened(words: &str) -> String {
    words.chars().filter(|each| !each.is_control()).take(WORDS_MAX).collect()
}

impl Http {
    fn send<T: DeserializeOwned>(&self, body: &impl Serialize) -> Result<T, SourceFault> {
        let body = serde_json::to_vec(body).map_err(|fault| nonsense("", &fault.to_string()))?;
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(SourceFault::Unreachable { why: "its answers take too long".to_owned() });
        }
        let request = bitreq::post(&self.place.url)
            .with_timeout(self.patience.min(left))
            .with_max_redirects(0)
            .with_max_headers_size(16 << 10)
            .with_max_status_line_length(1 << 10)
            .with_max_body_size(ANSWER_BYTES_MAX)
            .with_header("Content-Type", "application/json")
            .with_header("Authorization", self.place.authorization()?.as_str())
            .with_body(body);
        let response = request.send().map_err(|fault| {
            if matches!(fault, bitreq::Error::BodyOverflow) {
                return SourceFault::TooLong { max: ANSWER_BYTES_MAX };
            }
            SourceFault::Unreachable { why: shortened(&fault.to_string()) }
        })?;
        let status = response.status_code;
        if matches!(status, 401 | 403) {
            let why = format!("HTTP status {status}; look at user and password, or the cookie");
            return Err(SourceFault::Denied { why });
        }
        // A refusal comes with status 500 and is JSON nevertheless.
        serde_json::from_slice(response.as_bytes())
            .map_err(|fault| nonsense("", &format!("HTTP status {status}, {fault}")))
    }
}

impl Place {
    fn authorization(&self) -> Result<Zeroizing<String>, SourceFault> {
        let open = match &self.key {
            DoorKey::Cookie(path) => {
                let why = |fault: io::Error| SourceFault::Denied {
                    why: format!("its cookie {} cannot be read: {fault}", path.display()),
                };
                let size = fs::metadata(path).map_err(why)?.len();
                if size > COOKIE_BYTES_MAX {
                    let text = format!("{size} bytes, at most {COOKIE_BYTES_MAX}");
                    return Err(why(io::Error::other(text)));
                }
                Zeroizing::new(fs::read_to_string(path).map_err(why)?.trim().to_owned())
            }
            DoorKey::User { name, password } => Zeroizing::new(format!("{name}:{password}")),
        };
        Ok(Zeroizing::new(format!("Basic {}", STANDARD.encode(open.as_bytes()))))
    }
}

impl Transport for Http {
    fn send_request(&self, request: Request<'_>) -> Result<Response, jsonrpc::Error> {
        self.send(&request).map_err(|fault| jsonrpc::Error::Transport(Box::new(fault)))
    }

    fn send_batch(&self, requests: &[Request<'_>]) -> Result<Vec<Response>, jsonrpc::Error> {
        self.send(&requests).map_err(|fault| jsonrpc::Error::Transport(Box::new(fault)))
    }

    fn fmt_target(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place.url)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("url", &self.url).finish_non_exhaustive()
    }
}
