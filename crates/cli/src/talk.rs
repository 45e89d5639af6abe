//! The verbs that talk to a running node.

use std::{fs, path::Path, time::Duration};

use node::{
    api,
    io::http::{ADDRESS_FILE, TOKEN_FILE, Token},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Failure, run, show};

/// A node answers every request within 40 s.
const ANSWER_MAX: Duration = Duration::from_secs(45);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Talks to the node of a folder.
pub struct Client {
    agent: ureq::Agent,
    address: String,
    token: Token,
}

impl Client {
    /// Finds the node.
    pub fn of(dir: &Path) -> Result<Self, Failure> {
        let Ok(address) = fs::read_to_string(dir.join(ADDRESS_FILE)) else {
            let dir = dir.display();
            let text = format!("no node runs in {dir}; start one with `leyden --dir {dir} up`");
            return Err(Failure::new("not_running", text));
        };
        let token = Token::read(&dir.join(TOKEN_FILE)).map_err(|fault| Failure::of(&fault))?;
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Ok(Self { agent: config.build().into(), address: address.trim().to_owned(), token })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.reveal())
    }

    /// Gets something.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.get(self.url(path)).header("Authorization", self.bearer());
        self.done(request.config().timeout_global(Some(ANSWER_MAX)).build().call())
    }

    /// Removes something.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.delete(self.url(path)).header("Authorization", self.bearer());
        self.done(request.config().timeout_global(Some(ANSWER_MAX)).build().call())
    }

    /// Sends something.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).expect("plain values");
        let request = self
            .agent
            .post(self.url(path))
            .header("Authorization", self.bearer())
            .header("Content-Type", "application/json");
        self.done(request.config().timeout_global(Some(ANSWER_MAX)).build().send(&body[..]))
    }

    fn done<T: DeserializeOwned>(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let mut answer = answer.map_err(|fault| self.unreachable(&fault))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|fault| self.unreachable(&fault))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|fault| {
                Failure::new("confused", format!("the node's answer cannot be read: {fault}"))
            });
        }
        match serde_json::from_slice::<api::Refused>(&body) {
            Ok(refused) => Err(Failure::new(&refused.code, refused.error)),
            Err(_) => Err(Failure::new("confused", format!("the node has answered {status}"))),
        }
    }

    fn unreachable(&self, fault: &ureq::Error) -> Failure {
        let text = format!("the node at {} does not answer: {fault}", self.address);
        Failure::new("not_running", text)
    }

    /// Shows what happens, until the node ends.
    pub fn events(&self, json: bool) -> Result<(), Failure> {
        let request = self.agent.get(self.url("/v1/events")).header("Authorization", self.bearer());
        let answer = request.call().map_err(|fault| self.unreachable(&fault))?;
        let body = answer.into_body().into_reader();
        let read = run::each_event(body, |data| show::event(data, json));
        // The node has ended, and with it the stream.
        read.or(Ok(()))
    }
}
