//! The paths of channels and payments.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use bitcoin::FeeRate;
use chain::Target;
use tokio::sync::oneshot;
use wire::{
    Hex,
    amount::{FeeratePerKw, Msat, Sat},
};

use super::{
    Desk,
    routes::{Answer, Given, No, confused, node},
    wallet,
};
use crate::{
    api,
    services::{
        channels::{ChannelLine, Command, Event, Open, PaymentLine, Progress, Refusal, Reply},
        treasury::PaymentName,
    },
};

/// In how many blocks a funding is to be confirmed, if nobody says.
const BLOCKS: u16 = 6;

/// Which channels there are, and were.
#[utoipa::path(get, path = "/v1/channels",
    responses((status = 200, body = [api::Channel]), (status = "4XX", body = api::Refused)))]
pub(super) async fn list(State(desk): State<Arc<Desk>>) -> Answer<Vec<api::Channel>> {
    let reply = call(&desk, Command::Channels).await?;
    let Reply::Channels(lines) = reply else { return Err(confused()) };
    Ok(Json(lines.iter().map(channel).collect()))
}

/// Opens a channel. Answered when its funding is on its way.
#[utoipa::path(post, path = "/v1/channels", request_body = api::OpenChannel,
    responses((status = 200, body = api::Channel), (status = "4XX", body = api::Refused)))]
pub(super) async fn open(
    State(desk): State<Arc<Desk>>,
    Given(open): Given<api::OpenChannel>,
) -> Answer<api::Channel> {
    let fee_rate: FeeRate = match open.sat_per_kvb {
        Some(rate) => wallet::rate_of(rate),
        None => wallet::estimate(&desk, Target(BLOCKS)).await?,
    };
    let open = Open {
        node: node(&open.node)?,
        amount: Sat(open.amount_sat),
        pushed: Msat(open.push_msat),
        announce: open.announce,
        fee_rate,
    };
    let reply = call(&desk, Command::Open(open)).await?;
    let Reply::Opened(opened) = reply else { return Err(confused()) };
    Ok(Json(channel(&opened.channel)))
}

/// How a channel is. Its id may be cut, as long as it is the only one that begins so.
#[utoipa::path(get, path = "/v1/channels/{id}", params(("id" = String, Path)),
    responses((status = 200, body = api::Channel), (status = "4XX", body = api::Refused)))]
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer<api::Channel> {
    one(call(&desk, Command::Channel { id: id?.0 }).await?)
}

/// Sets what the commitments of a channel pay, until estimates are far from that.
#[utoipa::path(post, path = "/v1/channels/{id}/fee", params(("id" = String, Path)),
    request_body = api::SetFee,
    responses((status = 200, body = api::Channel), (status = "4XX", body = api::Refused)))]
pub(super) async fn fee(
    State(desk): State<Arc<Desk>>,
    id: Result<Path<String>, PathRejection>,
    Given(fee): Given<api::SetFee>,
) -> Answer<api::Channel> {
    let rate = u32::try_from(fee.sat_per_kvb.div_ceil(4)).unwrap_or(u32::MAX);
    let command = Command::Fee { id: id?.0, rate: FeeratePerKw(rate) };
    one(call(&desk, command).await?)
}

/// Closes a channel: together with the peer, as soon as it is there, or without it.
#[utoipa::path(post, path = "/v1/channels/{id}/close", params(("id" = String, Path)),
    request_body = api::CloseChannel,
    responses((status = 200, body = api::Channel), (status = "4XX", body = api::Refused)))]
pub(super) async fn close(
    State(desk): State<Arc<Desk>>,
    id: Result<Path<String>, PathRejection>,
    Given(close): Given<api::CloseChannel>,
) -> Answer<api::Channel> {
    let api::CloseChannel { force, unheard } = close;
    one(call(&desk, Command::Close { id: id?.0, force, unheard }).await?)
}

/// Pays a peer over a channel. One that takes long is answered as pending, and goes on.
#[utoipa::path(post, path = "/v1/payments", request_body = api::Pay,
    responses((status = 200, body = api::Payment), (status = "4XX", body = api::Refused)))]
pub(super) async fn pay(
    State(desk): State<Arc<Desk>>,
    Given(pay): Given<api::Pay>,
) -> Answer<api::Payment> {
    let name = pay.name.map(|name| PaymentName::new(&name)).transpose();
    let name = name.map_err(|fault| No::malformed(fault.to_string()))?;
    let command = Command::Pay { node: node(&pay.node)?, amount: Msat(pay.amount_msat), name };
    let reply = call(&desk, command).await?;
    let Reply::Payment(line) = reply else { return Err(confused()) };
    Ok(Json(payment(&line)))
}

/// Which payments there were, in both directions.
#[utoipa::path(get, path = "/v1/payments",
    responses((status = 200, body = [api::Payment]), (status = "4XX", body = api::Refused)))]
pub(super) async fn payments(State(desk): State<Arc<Desk>>) -> Answer<Vec<api::Payment>> {
    let reply = call(&desk, Command::Payments).await?;
    let Reply::Payments(lines) = reply else { return Err(confused()) };
    Ok(Json(lines.iter().map(payment).collect()))
}

async fn call(desk: &Desk, command: Command) -> Result<Reply, No> {
    let Some(bell) = &desk.channels else {
        let text = "this node follows no chain, and has no channels: see `leyden up --help`";
        return Err(No::new(StatusCode::CONFLICT, "no_chain", text));
    };
    let (told, reply) = oneshot::channel();
    let answer = Box::new(move |reply| {
        // Who asked may have hung up.
        drop(told.send(reply));
    });
    bell.call(command, answer)?;
    let stopped =
        |_| No::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the node is stopping");
    Ok(reply.await.map_err(stopped)??)
}

fn one(reply: Reply) -> Answer<api::Channel> {
    let Reply::Channel(line) = reply else { return Err(confused()) };
    Ok(Json(channel(&line)))
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match &refusal {
            Refusal::NotConnected { .. } => (StatusCode::NOT_FOUND, "not_connected"),
            Refusal::NoChain => (StatusCode::SERVICE_UNAVAILABLE, "no_chain"),
            Refusal::NoRandomness => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Refusal::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "full"),
            Refusal::NotOpened { .. } => (StatusCode::CONFLICT, "not_opened"),
            Refusal::UnknownChannel { .. } => (StatusCode::NOT_FOUND, "unknown_channel"),
            Refusal::ManyChannels { .. } => (StatusCode::CONFLICT, "many_channels"),
            Refusal::BadId { .. } => (StatusCode::BAD_REQUEST, "malformed"),
            Refusal::Channel(_) => (StatusCode::CONFLICT, "refused"),
            Refusal::NoChannel { .. } => (StatusCode::CONFLICT, "no_channel"),
            Refusal::Unheard { .. } => (StatusCode::CONFLICT, "unheard"),
            Refusal::NameTaken { .. } => (StatusCode::CONFLICT, "name_taken"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

/// An event, as it is told.
pub(super) fn event(event: &Event) -> api::Event {
    match event {
        Event::Channel(line) => api::Event::Channel { channel: Box::new(channel(line)) },
        Event::Payment(line) => api::Event::Payment { payment: Box::new(payment(line)) },
        Event::Refused { channel_id, why } => {
            api::Event::ChannelRefused { id: Hex(&channel_id.0).to_string(), why: why.clone() }
        }
    }
}

fn channel(line: &ChannelLine) -> api::Channel {
    api::Channel {
        id: Hex(&line.channel_id.0).to_string(),
        node: line.node.to_string(),
        state: line.stage.word().to_owned(),
        why: line.why.clone(),
        connected: line.connected,
        opener: line.opener,
        announce: line.announce,
        funding: line.funding.to_string(),
        short_channel_id: line.place.map(|it| it.to_string()),
        alias: line.alias.map(|it| it.to_string()),
        peer_alias: line.remote_alias.map(|it| it.to_string()),
        capacity_sat: line.capacity.0,
        local_msat: line.local.0,
        remote_msat: line.remote.0,
        htlcs: line.htlcs,
        sat_per_kvb: u64::from(line.feerate.0) * 4,
        confirmations: line.depth,
        confirmations_min: line.depth_min,
        closing_txid: line.closing.map(|txid| txid.to_string()),
        created: line.created.0,
    }
}

fn payment(line: &PaymentLine) -> api::Payment {
    let (state, why) = match &line.progress {
        Progress::Pending => ("pending", None),
        Progress::Paid(_) => ("paid", None),
        Progress::Failed(why) => ("failed", Some(why.clone())),
    };
    api::Payment {
        id: line.id.0,
        node: line.node.to_string(),
        incoming: line.incoming,
        amount_msat: line.amount.0,
        hash: Hex(&line.hash.0).to_string(),
        name: line.name.clone(),
        state: state.to_owned(),
        why,
        preimage: line.preimage.map(|preimage| Hex(&preimage.0).to_string()),
        created: line.created.0,
    }
}
