//! The devnet that is there.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bitcoin::{Amount, OutPoint, ScriptBuf};
use chain::{BlockRef, Height};
use devnet::{
    Devnet, Fault, Mined, Miner, Shared, lock,
    rpc::{Access, Server},
};

use super::{COOKIE_FILE, DEVNET_FOLDER, DevnetFault, MinedBlock};
use crate::io::bitcoind::{DoorKey, Place};

/// A devnet that is served. It ends when the last of its handles is dropped.
#[derive(Clone)]
pub struct Embedded(Arc<Parts>);

struct Parts {
    devnet: Shared,
    server: Server,
    cookie: PathBuf,
    _miner: Option<Miner>,
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
        let devnet = Arc::new(Mutex::new(Devnet::open(&folder)?));
        let cookie = folder.join(COOKIE_FILE);
        let access = Access::Cookie(cookie.clone());
        let server = Server::start_at(Arc::clone(&devnet), ip, rpc.port(), access)?;
        let miner = every.map(|every| Miner::every(Arc::clone(&devnet), every, None));
        Ok(Self(Arc::new(Parts { devnet, server, cookie, _miner: miner.transpose()? })))
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

    /// Mines blocks, whose reward goes to a script if one is given. What cannot begin by then is
    /// not done at all, here and below.
    pub fn mine(
        &self,
        by: Instant,
        blocks: u32,
        to: Option<&ScriptBuf>,
    ) -> Result<Vec<MinedBlock>, DevnetFault> {
        let mined = self.turn(by)?.mine_many(blocks, to.map(ScriptBuf::as_script))?;
        Ok(mined.into_iter().map(MinedBlock::from).collect())
    }

    /// Pays test money; it waits for a block.
    pub fn fund(
        &self,
        by: Instant,
        to: &ScriptBuf,
        amount: Amount,
    ) -> Result<OutPoint, DevnetFault> {
        Ok(self.turn(by)?.fund(to, amount)?)
    }

    /// Replaces the newest blocks by as many, and one more.
    pub fn reorg(&self, by: Instant, depth: u32) -> Result<Vec<MinedBlock>, DevnetFault> {
        let mined = self.turn(by)?.reorg(depth, Vec::new())?;
        Ok(mined.into_iter().map(MinedBlock::from).collect())
    }

    /// The devnet by itself, if its turn comes in time.
    fn turn(&self, by: Instant) -> Result<MutexGuard<'_, Devnet>, DevnetFault> {
        let devnet = lock(&self.0.devnet);
        match Instant::now().checked_duration_since(by) {
            Some(late) => Err(DevnetFault::TooLate { late }),
            None => Ok(devnet),
        }
    }
}

impl From<Mined> for MinedBlock {
    fn from(mined: Mined) -> Self {
        let devnet::ledger::BlockRef { height, hash } = mined.block;
        Self {
            block: BlockRef { height: Height(height), hash },
            verdict: mined.verdict.to_string(),
        }
    }
}

impl From<Fault> for DevnetFault {
    fn from(fault: Fault) -> Self {
        Self::Refused { why: fault.to_string() }
    }
}
