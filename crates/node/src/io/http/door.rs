//! Who may come in: whoever has the token, and is on this machine.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{ANSWER_MAX, Desk, routes::No};

pub(super) async fn guard(
    State(desk): State<Arc<Desk>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    // A page of the web that has a name pointing here sends that name.
    if !is_local(request.headers()) {
        let text = "the Host of this request is not this machine";
        return No::new(StatusCode::FORBIDDEN, "forbidden", text).into_response();
    }
    let open = request.uri().path() == "/openapi.json";
    if !open && !has_token(request.headers(), &desk) {
        let text = "the token is missing or wrong; it is in the file api-token";
        return No::new(StatusCode::UNAUTHORIZED, "unauthorized", text).into_response();
    }
    match tokio::time::timeout(ANSWER_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let text = format!("no answer within {} s", ANSWER_MAX.as_secs());
            No::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", text).into_response()
        }
    }
}

fn has_token(headers: &HeaderMap, desk: &Desk) -> bool {
    let value = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    value.and_then(|value| value.strip_prefix(b"Bearer ")).is_some_and(|got| desk.token.is(got))
}

fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}
