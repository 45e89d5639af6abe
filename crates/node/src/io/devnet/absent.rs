//! No devnet: this program was built without one, so there is no value of it.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use bitcoin::{Amount, OutPoint, ScriptBuf};

use super::{DevnetFault, MinedBlock};
use crate::io::bitcoind::Place;

/// A devnet that nobody has.
#[derive(Clone)]
pub struct Embedded(Infallible);

impl Embedded {
    /// There is none.
    pub fn start(_: &Path, _: SocketAddr, _: Option<Duration>) -> Result<Self, DevnetFault> {
        Err(DevnetFault::Absent)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self.0 {}
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        match self.0 {}
    }

    /// Mines blocks.
    pub fn mine(
        &self,
        _: Instant,
        _: u32,
        _: Option<&ScriptBuf>,
    ) -> Result<Vec<MinedBlock>, DevnetFault> {
        match self.0 {}
    }

    /// Pays test money.
    pub fn fund(&self, _: Instant, _: &ScriptBuf, _: Amount) -> Result<OutPoint, DevnetFault> {
        match self.0 {}
    }

    /// Replaces the newest blocks.
    pub fn reorg(&self, _: Instant, _: u32) -> Result<Vec<MinedBlock>, DevnetFault> {
        match self.0 {}
    }
}
