//! The paths of the chain.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use bitcoin::{Address, OutPoint, ScriptBuf};
use chain::{BlockRef, FeeSource, FoundIn, Height, Rate, Target, Watch};
use tokio::sync::oneshot;
use wire::{Hex, Network};

use super::{
    Desk,
    routes::{Answer, Given, No, confused, unhex},
    wallet,
};
use crate::{
    api,
    services::treasury::{Command, Event, Health, Hit, Refusal, Reply},
};

/// How the chain is.
#[utoipa::path(get, path = "/v1/chain",
    responses((status = 200, body = api::ChainStatus), (status = "4XX", body = api::Refused)))]
pub(super) async fn status(State(desk): State<Arc<Desk>>) -> Answer<api::ChainStatus> {
    let reply = call(&desk, Command::Status).await?;
    let Reply::Status(status) = reply else { return Err(confused()) };
    Ok(Json(api::ChainStatus {
        network: desk.network.to_string(),
        source: source(&status.health),
        first: status.first.map(block),
        tip: status.tip.map(block),
        heard: status.heard.map(block),
        tip_time: status.tip_time,
        watches: status.watches,
        searching: status.searching,
        publications: status.publications,
        signer: status.signers_view.map(|view| api::SignersView {
            tip: block(view.tip),
            tip_time: view.header_time,
            age_s: view.age.map(|age| age.0),
            received_ms: view.received.map(|ago| ago.0),
        }),
        missing: status.no_blocks.iter().map(ToString::to_string).collect(),
        rates: status.rates.iter().map(rate).collect(),
    }))
}

/// What is watched, and what was found.
#[utoipa::path(get, path = "/v1/chain/watches",
    responses((status = 200, body = [api::WatchLine]), (status = "4XX", body = api::Refused)))]
pub(super) async fn watches(State(desk): State<Arc<Desk>>) -> Answer<Vec<api::WatchLine>> {
    let reply = call(&desk, Command::Watches).await?;
    let Reply::Watches(lines) = reply else { return Err(confused()) };
    let line = |line: crate::services::treasury::WatchLine| api::WatchLine {
        what: name(&line.watch, desk.network),
        searching: line.searching,
        found: line.hits.iter().map(|(at, hit)| found(*at, hit)).collect(),
        left_out: line.left_out,
    };
    Ok(Json(lines.into_iter().map(line).collect()))
}

/// Watches something from now on, until it is told not to.
#[utoipa::path(post, path = "/v1/chain/watches", request_body = api::WatchThis,
    responses((status = 200, body = api::Done), (status = "4XX", body = api::Refused)))]
pub(super) async fn watch(
    State(desk): State<Arc<Desk>>,
    Given(this): Given<api::WatchThis>,
) -> Answer<api::Done> {
    let watch = read(&this.what, desk.network)?;
    call(&desk, Command::Watch { watch, from: this.from.map(Height) }).await?;
    Ok(Json(api::Done {}))
}

/// Does not watch it any more.
#[utoipa::path(delete, path = "/v1/chain/watches/{what}", params(("what" = String, Path)),
    responses((status = 200, body = api::Done), (status = "4XX", body = api::Refused)))]
pub(super) async fn unwatch(
    State(desk): State<Arc<Desk>>,
    what: Result<Path<String>, PathRejection>,
) -> Answer<api::Done> {
    let watch = read(&what?, desk.network)?;
    call(&desk, Command::Unwatch { watch }).await?;
    Ok(Json(api::Done {}))
}

/// Asks the treasury.
pub(super) async fn call(desk: &Desk, command: Command) -> Result<Reply, No> {
    let Some(bell) = &desk.treasury else {
        let text = "this node follows no chain; give it one with --bitcoind or the role devnet";
        return Err(No::new(StatusCode::NOT_FOUND, "no_chain", text));
    };
    let unavailable =
        |text: &str| No::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text.to_owned());
    let (told, reply) = oneshot::channel();
    let answer = Box::new(move |reply| {
        // Who asked may have hung up.
        drop(told.send(reply));
    });
    bell.call(command, answer)?;
    Ok(reply.await.map_err(|_| unavailable("the node is stopping"))??)
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match &refusal {
            Refusal::NoChain { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_chain"),
            Refusal::TooOld { .. } => (StatusCode::CONFLICT, "too_old"),
            Refusal::Full { .. } => (StatusCode::CONFLICT, "full"),
            Refusal::TooLong { .. } => (StatusCode::BAD_REQUEST, "too_long"),
            Refusal::NotWatched => (StatusCode::NOT_FOUND, "not_watched"),
            Refusal::NoSigner | Refusal::SlowSigner | Refusal::StaleLease(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            Refusal::Signer { .. } => (StatusCode::FORBIDDEN, "denied"),
            Refusal::Wallet(_) => (StatusCode::CONFLICT, "wallet"),
            Refusal::NotTaken { .. } => (StatusCode::CONFLICT, "not_taken"),
            Refusal::NameTaken { .. } => (StatusCode::CONFLICT, "name_taken"),
            Refusal::NameBusy { .. } => (StatusCode::CONFLICT, "name_busy"),
            Refusal::NameHaunted { .. } => (StatusCode::CONFLICT, "name_haunted"),
            Refusal::TooManyNames { .. } => (StatusCode::CONFLICT, "too_many_names"),
            Refusal::FundsChannel { .. } => (StatusCode::CONFLICT, "funds_channel"),
            Refusal::MayBeMined { .. } => (StatusCode::CONFLICT, "may_be_mined"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

/// An event, for whoever listens.
pub(super) fn event(event: &Event, network: Network) -> api::Event {
    match event {
        Event::Source(health) => api::Event::Source { source: source(health) },
        Event::Publication { txid, event } => api::Event::Publication {
            txid: txid.to_string(),
            publication: wallet::publication(event),
        },
        Event::Forgotten { txid } => api::Event::Publication {
            txid: txid.to_string(),
            publication: api::Publication::Forgotten,
        },
        Event::ViewRefused { why } => api::Event::Source {
            source: api::Source {
                state: "lying".to_owned(),
                text: format!("the signer does not believe it: {why}"),
            },
        },
        Event::NoBlock(no_block) => api::Event::Source {
            source: api::Source { state: "up".to_owned(), text: no_block.to_string() },
        },
        Event::ViewUnconnected { tip, first } => api::Event::Source {
            source: api::Source {
                state: "up".to_owned(),
                text: format!("the signer's view ends with {tip}, our chain begins with {first}"),
            },
        },
        Event::Balance(balance) => api::Event::Balance { balance: wallet::balance(balance) },
        Event::Rates(fault) => api::Event::Source {
            source: api::Source { state: "up".to_owned(), text: fault.to_string() },
        },
        Event::Block(at) => api::Event::BlockConnected { block: block(*at) },
        Event::BlockGone(at) => api::Event::BlockDisconnected { block: block(*at) },
        Event::Found { block, watch, hit } => {
            api::Event::Found { what: name(watch, network), found: found(*block, hit) }
        }
        Event::FoundGone { block, watch, hit } => {
            api::Event::FoundGone { what: name(watch, network), found: found(*block, hit) }
        }
    }
}

fn rate((target, rate): &(Target, Rate)) -> api::Rate {
    let from = match rate.source {
        FeeSource::Estimated => "estimated".to_owned(),
        FeeSource::Stale { age } => format!("estimated {} min ago", age.0 / 60_000),
        FeeSource::Fallback => "nobody knows: the fallback".to_owned(),
    };
    let sat_per_kvb = rate.rate.to_sat_per_kwu() * 4;
    api::Rate { blocks: target.0, sat_per_kvb, from }
}

fn source(health: &Health) -> api::Source {
    let state = match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Behind { .. } => "behind",
        Health::Stale { .. } => "stale",
        Health::Down { .. } => "down",
        Health::OtherNetwork { .. } => "other_network",
        Health::Lying { .. } => "lying",
    };
    api::Source { state: state.to_owned(), text: health.to_string() }
}

pub(super) fn block(block: BlockRef) -> api::Block {
    api::Block { height: block.height.0, hash: block.hash.to_string() }
}

fn found(at: BlockRef, hit: &Hit) -> api::Found {
    let (input, output) = match hit.part {
        FoundIn::Input(number) => (Some(number), None),
        FoundIn::Output(number) => (None, Some(number)),
    };
    api::Found { block: block(at), txid: hit.txid.to_string(), input, output }
}

/// What is watched, as people write it.
fn name(watch: &Watch, network: Network) -> String {
    match watch {
        Watch::Spend(outpoint) => outpoint.to_string(),
        Watch::Pay(script) => match Address::from_script(script, network) {
            Ok(address) => address.to_string(),
            Err(_) => format!("script:{}", Hex(script.as_bytes())),
        },
    }
}

fn read(what: &str, network: Network) -> Result<Watch, No> {
    if let Some(hex) = what.strip_prefix("script:") {
        let bytes = unhex(hex).ok_or_else(|| No::malformed("the script is no hex"))?;
        return Ok(Watch::Pay(ScriptBuf::from_bytes(bytes)));
    }
    if what.contains(':') {
        let outpoint: OutPoint = what.parse().map_err(|fault| {
            No::malformed(format!("'{what}' is no output such as TXID:NUMBER: {fault}"))
        })?;
        return Ok(Watch::Spend(outpoint));
    }
    address(what, network).map(|address| Watch::Pay(address.script_pubkey()))
}

/// An address of this network.
pub(super) fn address(text: &str, network: Network) -> Result<Address, No> {
    let address: Address<_> =
        text.parse().map_err(|fault| No::malformed(format!("'{text}' is no address: {fault}")))?;
    address.require_network(network).map_err(|_| {
        No::malformed(format!("{text} is an address of another network than {network}"))
    })
}
