//! What can be asked for, and how it is answered.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, FromRequest, Path, Request, State,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
    middleware,
    response::{
        IntoResponse, Response,
        sse::{KeepAlive, Sse},
    },
    routing::{delete, get, post},
};
use noise::PublicKey;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tokio_stream::{Stream, StreamExt as _, wrappers::BroadcastStream};
use utoipa::OpenApi;

use super::{BODY_BYTES_MAX, Desk, chain, channels, devnet, door, wallet};
use crate::{
    api,
    io::{bell::Unheard, clock},
    services::post::{Command, PeerLine, Refusal, Reply},
};

/// A name must be found after this time.
const LOOKUP_MAX: Duration = Duration::from_secs(10);

/// The document that describes this API.
pub fn document() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(
        info(title = "Leyden", description = "A node on this machine."),
        paths(
            info,
            peers,
            connect,
            disconnect,
            ping,
            message,
            sign,
            verify,
            events,
            stop,
            openapi,
            chain::status,
            chain::watches,
            chain::watch,
            chain::unwatch,
            wallet::show,
            wallet::address,
            wallet::coins,
            wallet::send,
            wallet::bump,
            wallet::forget,
            wallet::rescan,
            wallet::progress,
            channels::list,
            channels::open,
            channels::show,
            channels::fee,
            channels::close,
            channels::pay,
            channels::payments,
            devnet::mine,
            devnet::fund,
            devnet::reorg
        ),
        components(schemas(api::Event))
    )]
    struct Document;
    Document::openapi()
}

pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/info", get(info))
        .route("/v1/peers", get(peers).post(connect))
        .route("/v1/peers/{node}", delete(disconnect))
        .route("/v1/peers/{node}/ping", post(ping))
        .route("/v1/peers/{node}/messages", post(message))
        .route("/v1/sign", post(sign))
        .route("/v1/verify", post(verify))
        .route("/v1/events", get(events))
        .route("/v1/stop", post(stop))
        .route("/v1/chain", get(chain::status))
        .route("/v1/chain/watches", get(chain::watches).post(chain::watch))
        .route("/v1/chain/watches/{what}", delete(chain::unwatch))
        .route("/v1/devnet/mine", post(devnet::mine))
        .route("/v1/devnet/fund", post(devnet::fund))
        .route("/v1/devnet/reorg", post(devnet::reorg))
        .route("/v1/wallet", get(wallet::show))
        .route("/v1/wallet/address", post(wallet::address))
        .route("/v1/wallet/coins", get(wallet::coins))
        .route("/v1/wallet/send", post(wallet::send))
        .route("/v1/wallet/bump", post(wallet::bump))
        .route("/v1/wallet/forget", post(wallet::forget))
        .route("/v1/wallet/rescan", get(wallet::progress).post(wallet::rescan))
        .route("/v1/channels", get(channels::list).post(channels::open))
        .route("/v1/channels/{id}", get(channels::show))
        .route("/v1/channels/{id}/fee", post(channels::fee))
        .route("/v1/channels/{id}/close", post(channels::close))
        .route("/v1/payments", get(channels::payments).post(channels::pay))
        .route("/openapi.json", get(openapi))
        .fallback(async || No::new(StatusCode::NOT_FOUND, "not_found", "there is no such path"))
        .method_not_allowed_fallback(async || {
            let text = "this path does not take this method";
            No::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", text)
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), door::guard))
        .with_state(desk)
}

/// A refusal.
pub(super) struct No(StatusCode, api::Refused);

pub(super) type Answer<T> = Result<Json<T>, No>;

impl No {
    pub(super) fn new(status: StatusCode, code: &str, error: impl Into<String>) -> Self {
        Self(status, api::Refused { code: code.to_owned(), error: error.into() })
    }

    pub(super) fn malformed(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", error)
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match &refusal {
            Refusal::NotConnected { .. } => (StatusCode::NOT_FOUND, "not_connected"),
            Refusal::Ourselves => (StatusCode::CONFLICT, "ourselves"),
            Refusal::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Refusal::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Refusal::Busy { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Refusal::Denied { .. } => (StatusCode::FORBIDDEN, "denied"),
        };
        Self::new(status, code, refusal.to_string())
    }
}

impl From<Unheard> for No {
    fn from(unheard: Unheard) -> Self {
        let (status, code) = match unheard {
            Unheard::Full { .. } => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Unheard::Ended => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, code, unheard.to_string())
    }
}

impl From<JsonRejection> for No {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let text = format!("a body of at most {BODY_BYTES_MAX} bytes is read");
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text);
        }
        Self::malformed(rejection.body_text())
    }
}

impl From<PathRejection> for No {
    fn from(rejection: PathRejection) -> Self {
        Self::malformed(rejection.body_text())
    }
}

/// A body, whose flaws are answered like every other.
pub(super) struct Given<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Given<T> {
    type Rejection = No;

    async fn from_request(request: Request, state: &S) -> Result<Self, No> {
        let Json(given) = Json::from_request(request, state).await?;
        Ok(Self(given))
    }
}

async fn call(desk: &Desk, command: Command) -> Result<Reply, No> {
    let (told, reply) = oneshot::channel();
    let answer = Box::new(move |reply| {
        // Who asked may have hung up.
        drop(told.send(reply));
    });
    desk.bell.call(command, answer)?;
    let stopped =
        |_| No::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the node is stopping");
    Ok(reply.await.map_err(stopped)??)
}

pub(super) fn confused() -> No {
    No::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", "the node has answered something else")
}

/// Who this node is, and how it is.
#[utoipa::path(get, path = "/v1/info", responses((status = 200, body = api::Info)))]
async fn info(State(desk): State<Arc<Desk>>) -> Answer<api::Info> {
    let Reply::Info(info) = call(&desk, Command::Info).await? else { return Err(confused()) };
    Ok(Json(api::Info {
        node: info.node.map(|node| node.to_string()),
        network: desk.network.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listening: info.listening.iter().map(SocketAddr::to_string).collect(),
        peers: info.peers,
        signer: info.signer,
        sockets: info.sockets,
    }))
}

/// The connected peers.
#[utoipa::path(get, path = "/v1/peers", responses((status = 200, body = [api::Peer])))]
async fn peers(State(desk): State<Arc<Desk>>) -> Answer<Vec<api::Peer>> {
    let Reply::Peers(peers) = call(&desk, Command::Peers).await? else { return Err(confused()) };
    Ok(Json(peers.iter().map(peer).collect()))
}

/// Connects to a node, and stays connected.
#[utoipa::path(post, path = "/v1/peers", request_body = api::Connect,
    responses((status = 200, body = api::Peer), (status = "4XX", body = api::Refused),
        (status = "5XX", body = api::Refused)))]
async fn connect(
    State(desk): State<Arc<Desk>>,
    Given(connect): Given<api::Connect>,
) -> Answer<api::Peer> {
    let node = node(&connect.node)?;
    let address = look_up(&connect.address).await?;
    let reply = call(&desk, Command::Connect { node, address }).await?;
    let Reply::Peer(line) = reply else { return Err(confused()) };
    Ok(Json(peer(&line)))
}

/// Hangs up, and does not call again.
#[utoipa::path(delete, path = "/v1/peers/{node}", params(("node" = String, Path)),
    responses((status = 200, body = api::Done), (status = "4XX", body = api::Refused)))]
async fn disconnect(
    State(desk): State<Arc<Desk>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer<api::Done> {
    call(&desk, Command::Disconnect { node: node(&id?)? }).await?;
    Ok(Json(api::Done {}))
}

/// How long a peer takes to answer.
#[utoipa::path(post, path = "/v1/peers/{node}/ping", params(("node" = String, Path)),
    responses((status = 200, body = api::Pong), (status = "4XX", body = api::Refused)))]
async fn ping(
    State(desk): State<Arc<Desk>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer<api::Pong> {
    let reply = call(&desk, Command::Ping { node: node(&id?)? }).await?;
    let Reply::Pong { after } = reply else { return Err(confused()) };
    Ok(Json(api::Pong { after_ms: after.0 }))
}

/// Sends a custom message to a peer.
#[utoipa::path(post, path = "/v1/peers/{node}/messages", params(("node" = String, Path)),
    request_body = api::SendMessage,
    responses((status = 200, body = api::Done), (status = "4XX", body = api::Refused)))]
async fn message(
    State(desk): State<Arc<Desk>>,
    id: Result<Path<String>, PathRejection>,
    Given(message): Given<api::SendMessage>,
) -> Answer<api::Done> {
    let node = node(&id?)?;
    let number = message.message_type;
    if number < wire::custom::CUSTOM_MIN || number % 2 == 0 {
        let min = wire::custom::CUSTOM_MIN;
        let text = format!("type {number}: custom messages are odd and at least {min}");
        return Err(No::malformed(text));
    }
    let payload = unhex(&message.payload).ok_or_else(|| No::malformed("the payload is no hex"))?;
    let bytes = [&number.to_be_bytes()[..], &payload].concat();
    let (got, max) = (bytes.len(), wire::MESSAGE_BYTES_MAX);
    if got > max {
        return Err(No::malformed(format!("a message of {got} bytes, at most {max}")));
    }
    call(&desk, Command::Message { node, bytes }).await?;
    Ok(Json(api::Done {}))
}

/// Signs a text, so that other nodes can verify it.
#[utoipa::path(post, path = "/v1/sign", request_body = api::Sign,
    responses((status = 200, body = api::Signed), (status = "4XX", body = api::Refused)))]
async fn sign(State(desk): State<Arc<Desk>>, Given(sign): Given<api::Sign>) -> Answer<api::Signed> {
    let reply = call(&desk, Command::Sign { message: sign.message.into_bytes() }).await?;
    let Reply::Signed(signature) = reply else { return Err(confused()) };
    Ok(Json(api::Signed { signature: signature.to_string() }))
}

/// Tells whose signature it is.
#[utoipa::path(post, path = "/v1/verify", request_body = api::Verify,
    responses((status = 200, body = api::Verified), (status = "4XX", body = api::Refused)))]
async fn verify(Given(verify): Given<api::Verify>) -> Answer<api::Verified> {
    let malformed = |fault: signer::SignatureFault| No::malformed(fault.to_string());
    let signature: signer::MessageSignature = verify.signature.parse().map_err(malformed)?;
    let node = signature.recover(verify.message.as_bytes()).map_err(malformed)?;
    Ok(Json(api::Verified { node: node.to_string() }))
}

/// What happens, as server-sent events; each is one [`api::Event`].
#[utoipa::path(get, path = "/v1/events",
    responses((status = 200, body = api::Event, content_type = "text/event-stream")))]
async fn events(
    State(desk): State<Arc<Desk>>,
) -> Sse<impl Stream<Item = Result<axum::response::sse::Event, Infallible>>> {
    let events = BroadcastStream::new(desk.events.subscribe()).map(|event| {
        let event = match event {
            Ok(event) => event,
            Err(tokio_stream::wrappers::errors::BroadcastStreamRecvError::Lagged(events)) => {
                Arc::new(api::Event::Missed { events })
            }
        };
        let text = serde_json::to_string(&*event).expect("an event is made of plain values");
        Ok(axum::response::sse::Event::default().data(text))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Ends the node.
#[utoipa::path(post, path = "/v1/stop", responses((status = 200, body = api::Done)))]
async fn stop(State(desk): State<Arc<Desk>>) -> Answer<api::Done> {
    // The answer first: with the node goes this thread.
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        (desk.stop)();
    });
    Ok(Json(api::Done {}))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200)))]
async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

pub(super) fn peer(line: &PeerLine) -> api::Peer {
    api::Peer {
        node: line.node.to_string(),
        address: line.address.to_string(),
        outbound: line.outbound,
        connection: line.connection.0,
        features: line.features.iter().map(|feature| feature.name().to_owned()).collect(),
        connected_ms: clock::now().since(line.since).0,
    }
}

pub(super) fn node(id: &str) -> Result<PublicKey, No> {
    id.parse().map_err(|_| No::malformed(format!("'{id}' is no node id: 66 characters of hex")))
}

async fn look_up(address: &str) -> Result<SocketAddr, No> {
    let no = |why: String| No::malformed(format!("'{address}' cannot be reached: {why}"));
    let found = tokio::time::timeout(LOOKUP_MAX, tokio::net::lookup_host(address)).await;
    let mut found = found
        .map_err(|_| no("no answer in time".to_owned()))?
        .map_err(|fault| no(format!("{fault}; an address is HOST:PORT")))?;
    found.next().ok_or_else(|| no("the name has no address".to_owned()))
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}
