//! What a signer knows of the chain, in a file of its own.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use signer::View;
use wire::Network;

/// The file, in the signer's folder.
pub const VIEW_FILE: &str = "signer-view";

/// Why a view cannot be read.
#[derive(Debug)]
pub enum ViewFileFault {
    /// The system says no.
    Io {
        /// Which file.
        path: PathBuf,
        /// Its reason.
        fault: io::Error,
    },
    /// It is none of ours.
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The view of a folder, if it has one.
pub fn read(dir: &Path, network: Network) -> Result<Option<View>, ViewFileFault> {
    let path = dir.join(VIEW_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(ViewFileFault::Io { path, fault }),
    };
    let wrong = |fault: signer::ViewFault| ViewFileFault::File { path, why: fault.to_string() };
    View::decode(&bytes, network).map(Some).map_err(wrong)
}

/// Writes a view: complete, or the one before stays.
pub fn write(dir: &Path, view: &View) -> io::Result<()> {
    let unfinished = dir.join("signer-view.unfinished");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(&view.encode())?;
    file.sync_all()?;
    fs::rename(&unfinished, dir.join(VIEW_FILE))?;
    File::open(dir)?.sync_all()
}

impl fmt::Display for ViewFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, fault } => write!(f, "{}: {fault}", path.display()),
            Self::File { path, why } => {
                write!(f, "{}: {why}; without it the signer begins anew", path.display())
            }
        }
    }
}

impl std::error::Error for ViewFileFault {}
