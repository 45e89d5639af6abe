//! The one binary, `leyden`: it runs a node, or some of its services, or talks to one.

mod arguments;
mod config;
mod lightning;
mod money;
mod policy;
mod run;
mod show;
mod talk;
mod verbs;

use std::{io, process::ExitCode};

use arguments::{Arguments, Up, Verb};
use clap::{CommandFactory as _, Parser as _};
use node::api;
use talk::Client;

/// Why a command has failed.
pub struct Failure {
    code: String,
    error: String,
}

impl Failure {
    /// With a word for programs, and words for people.
    pub fn new(code: &str, error: impl Into<String>) -> Self {
        Self { code: code.to_owned(), error: error.into() }
    }

    /// Of a fault that says it all.
    pub fn of(fault: &dyn std::error::Error) -> Self {
        Self::new("refused", fault.to_string())
    }

    /// Wrong usage.
    fn usage(error: String) -> Self {
        Self::new("usage", error)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match command(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if json {
                let refused = api::Refused { code: failure.code.clone(), error: failure.error };
                eprintln!("{}", serde_json::to_string(&refused).expect("plain values"));
            } else {
                eprintln!("leyden: {}", failure.error);
            }
            ExitCode::from(if failure.code == "usage" { 2 } else { 1 })
        }
    }
}

fn command(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    let verb = &arguments.verb;
    if let Verb::Completions { shell } = verb {
        let mut command = Arguments::command();
        clap_complete::generate(*shell, &mut command, "leyden", &mut io::stdout());
        return Ok(());
    }
    let mut others = Up::default();
    if let Verb::Init { passphrase_file, .. } = verb {
        others.passphrase_file.clone_from(passphrase_file);
    }
    let up = if let Verb::Up(up) = verb { &**up } else { &others };
    let config = config::read(arguments, up, std::env::vars()).map_err(Failure::usage)?;
    if let Verb::Init { words_file, .. } = verb {
        return run::init(&config, words_file.as_deref(), json);
    }
    if let Verb::Up(_) = verb {
        return run::up(&config, json);
    }
    talk(verb, &Client::of(&config.dir)?, json)
}

fn talk(verb: &Verb, client: &Client, json: bool) -> Result<(), Failure> {
    match verb {
        Verb::Info => show::info(&client.get("/v1/info")?, json),
        Verb::Peers => show::peers(&client.get::<Vec<api::Peer>>("/v1/peers")?, json),
        Verb::Connect { to } => {
            let Some((node, address)) = to.split_once('@') else {
                return Err(Failure::usage(format!("connect takes NODE@HOST:PORT, not '{to}'")));
            };
            let connect = api::Connect { node: node.to_owned(), address: address.to_owned() };
            show::peer(&client.post("/v1/peers", &connect)?, json);
        }
        Verb::Disconnect { node } => {
            let done: api::Done = client.delete(&format!("/v1/peers/{node}"))?;
            show::done(&format!("disconnected from {node}"), &done, json);
        }
        Verb::Ping { node } => {
            let path = format!("/v1/peers/{node}/ping");
            let pong: api::Pong = client.post(&path, &api::Done {})?;
            show::done(&format!("pong after {} ms", pong.after_ms), &pong, json);
        }
        Verb::Message { node, message_type, payload } => {
            let path = format!("/v1/peers/{node}/messages");
            let (message_type, payload) = (*message_type, payload.clone());
            let done: api::Done =
                client.post(&path, &api::SendMessage { message_type, payload })?;
            show::done("sent", &done, json);
        }
        Verb::Sign { text } => {
            let signed: api::Signed =
                client.post("/v1/sign", &api::Sign { message: text.clone() })?;
            show::done(&signed.signature, &signed, json);
        }
        Verb::Verify { text, signature } => {
            let (message, signature) = (text.clone(), signature.clone());
            let verified: api::Verified =
                client.post("/v1/verify", &api::Verify { message, signature })?;
            show::done(&format!("signed by {}", verified.node), &verified, json);
        }
        Verb::Open(_)
        | Verb::Channels
        | Verb::Channel { .. }
        | Verb::Fee { .. }
        | Verb::Close { .. }
        | Verb::Pay { .. }
        | Verb::Payments => lightning::talk(verb, client, json)?,
        Verb::Chain(verb) => verbs::chain(verb, client, json)?,
        Verb::Wallet(verb) => verbs::wallet(verb, client, json)?,
        Verb::Devnet(verb) => verbs::devnet(verb, client, json)?,
        Verb::Events => client.events(json)?,
        Verb::Stop => {
            let done: api::Done = client.post("/v1/stop", &api::Done {})?;
            show::done("stopping", &done, json);
        }
        Verb::Init { .. } | Verb::Up(_) | Verb::Completions { .. } => {
            unreachable!("done by `command`")
        }
    }
    Ok(())
}
