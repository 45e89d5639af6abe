//! A devnet in this process: a chain of one's own, for whoever speaks bitcoind's JSON-RPC.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use bitcoin::{Amount, OutPoint, ScriptBuf};
use devnet::{
    Devnet, Fault, Mined, Miner, Shared, lock,
    rpc::{Access, Server},
};

use super::bitcoind::{DoorKey, Place};

/// The folder of a devnet, in the node's.
pub const DEVNET_FOLDER: &str = "devnet";
/// The file with its cookie, in that one. bitcoind's has the same name.
pub const COOKIE_FILE: &str = ".cookie";

/// A devnet that is served. It ends when the last of its handles is dropped.
#[derive(Clone)]
pub struct Embedded(Arc<Parts>);

struct Parts {
    devnet: Shared,
    server: Server,
    cookie: std::path::PathBuf,
    _miner: Option<Miner>,
}

/// Why there is no devnet, or not what was asked of it.
#[derive(Debug)]
pub enum DevnetFault {
    /// It can only listen on this machine.
    Elsewhere {
        /// Where it should.
        at: SocketAddr,
    },
    /// In its own words.
    Devnet(Fault),
}

impl Embedded {
    /// Opens the devnet of a node's folder, or makes one. It speaks JSON-RPC at `rpc`, and mines a
    /// block each `every`, if that is given.
    pub fn start(
        dir: &Path,
        rpc: SocketAddr,
        every: Option<Duration>,
    ) -> Result<Self, DevnetFault> {
        let IpAddr::V4(ip) = rpc.ip() else { return Err(DevnetFault::Elsewhere { at: rpc }) };
        if !ip.is_loopback() {
            return Err(DevnetFault::Elsewhere { at: rpc });
        }
        let folder = dir.join(DEVNET_FOLDER);
        let devnet = Arc::new(Mutex::new(Devnet::open(&folder).map_err(DevnetFault::Devnet)?));
        let cookie = folder.join(COOKIE_FILE);
        let access = Access::Cookie(cookie.clone());
        let server = Server::start_at(Arc::clone(&devnet), ip, rpc.port(), access);
        let server = server.map_err(DevnetFault::Devnet)?;
        let miner = every.map(|every| Miner::every(Arc::clone(&devnet), every, None));
        let miner = miner.transpose().map_err(DevnetFault::Devnet)?;
        Ok(Self(Arc::new(Parts { devnet, server, cookie, _miner: miner })))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.server.address()
    }

    /// Where it is, for whoever takes it for a bitcoind.
    pub fn place(&self) -> Place {
        let url = format!("http://{}", self.address());
        Place { url, key: DoorKey::Cookie(self.0.cookie.clone()) }
    }

    /// Mines blocks, whose reward goes to a script if one is given.
    pub fn mine(&self, blocks: u32, to: Option<&ScriptBuf>) -> Result<Vec<Mined>, DevnetFault> {
        let mut devnet = lock(&self.0.devnet);
        let mined = devnet.mine_many(blocks, to.map(ScriptBuf::as_script));
        mined.map_err(DevnetFault::Devnet)
    }

    /// Pays test money; it waits for a block.
    pub fn fund(&self, to: &ScriptBuf, amount: Amount) -> Result<OutPoint, DevnetFault> {
        lock(&self.0.devnet).fund(to, amount).map_err(DevnetFault::Devnet)
    }

    /// Replaces the newest blocks by as many, and one more.
    pub fn reorg(&self, depth: u32) -> Result<Vec<Mined>, DevnetFault> {
        lock(&self.0.devnet).reorg(depth, Vec::new()).map_err(DevnetFault::Devnet)
    }
}

impl fmt::Display for DevnetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere { at } => {
                write!(f, "a devnet listens at 127.0.0.0/8, for this machine only, not at {at}")
            }
            Self::Devnet(fault) => write!(f, "the devnet: {fault}"),
        }
    }
}

impl std::error::Error for DevnetFault {}
