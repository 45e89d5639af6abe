//! The API over HTTP, on this machine only.

mod chain;
mod channels;
mod devnet;
mod door;
mod events;
mod routes;
mod wallet;

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, broadcast},
};
use tracing::{debug, warn};
use wire::Hex;

use super::{
    channels::ChannelsBell, clock, devnet::Embedded, office::Bell, treasury::TreasuryBell,
};
use crate::api;

pub use events::{Tell, Tellers, events};
pub use routes::document;

/// The file with the token, in the node's folder.
pub const TOKEN_FILE: &str = "api-token";
/// The file with the address, as long as the node runs.
pub const ADDRESS_FILE: &str = "api-address";

/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Connections at a time.
pub const CONNECTIONS_MAX: usize = 256;
/// A request's head must be complete after this time.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// A request must be answered after this time.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// Tells whoever listens.
pub type Events = broadcast::Sender<Arc<api::Event>>;

/// What all requests share.
pub struct Desk {
    /// Calls the node.
    pub bell: Bell,
    /// Calls its treasury, if it follows a chain.
    pub treasury: Option<TreasuryBell>,
    /// Calls its channels, likewise.
    pub channels: Option<ChannelsBell>,
    /// The devnet of this process.
    pub devnet: Option<Embedded>,
    /// Whoever has it may call.
    pub token: Token,
    /// Tells what happens.
    pub events: Events,
    /// The node's network.
    pub network: wire::Network,
    /// Stops the node.
    pub stop: Box<dyn Fn() + Send + Sync>,
}

/// 32 bytes in hex. Compared without telling how much of it was right; never printed.
pub struct Token(String);

impl Token {
    /// Reads the token of a folder, or makes one.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let path = dir.join(TOKEN_FILE);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                let token = Hex(&clock::drawn::<32>()).to_string();
                file.write_all(token.as_bytes())?;
                Ok(Self(token))
            }
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Self::read(&path),
            Err(fault) => Err(fault),
        }
    }

    /// Reads a token that nobody else can read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            let text = format!(
                "{} can be read by others (mode {:o}); chmod 600 it, or remove it",
                path.display(),
                mode & 0o777
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let token = text.trim();
        if token.len() != 64 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let text = format!("{} holds no token; remove it", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self(token.to_owned()))
    }

    /// For the one who calls.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn is(&self, got: &[u8]) -> bool {
        let want = self.0.as_bytes();
        let differ = want.iter().zip(got).fold(0, |sum, (a, b)| sum | (a ^ b));
        want.len() == got.len() && differ == 0
    }
}

/// Serves the API in a thread of its own, until the process ends. Says where.
pub fn serve(address: SocketAddr, desk: Desk) -> io::Result<SocketAddr> {
    if !address.ip().is_loopback() {
        let text = format!("the API listens on this machine only, {} is elsewhere", address.ip());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("api".to_owned()).spawn(move || {
        if let Err(fault) = runtime.block_on(accept_all(listener, desk)) {
            warn!(%fault, "the API has ended");
        }
    })?;
    Ok(bound)
}

async fn accept_all(listener: std::net::TcpListener, desk: Desk) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let router = routes::router(Arc::new(desk));
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // More than may be connected wait in the system's queue.
        let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(fault) => {
                debug!(%fault, "not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(64 << 10);
            if let Err(fault) = http.serve_connection(TokioIo::new(stream), service).await {
                debug!(%fault, "a connection to the API has failed");
            }
            drop(permit);
        });
    }
}
