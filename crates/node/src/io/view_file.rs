//! What a signer knows of the chain, in a file of its own. What is new is appended, and on the disk
//! before it is answered; now and then all of it is written anew, beside the file.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use signer::{Checkpoint, View, ViewChange};
use tracing::{info, warn};
use wire::Network;

/// The file, in the signer's folder.
pub const VIEW_FILE: &str = "signer-view";
/// Changes that are shorter than this together are never worth their sum.
const CHANGES_BYTES_MIN: u64 = 1 << 20;

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

/// The file, and how much of it is right.
pub struct ViewFile {
    dir: PathBuf,
    /// Nothing before something is saved there.
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Bytes of the sum, and of the sum with all changes.
    sum_bytes: u64,
    bytes: u64,
    /// Something was not written to the end: it is cut off first.
    is_torn: bool,
}

impl ViewFile {
    /// The file of a folder, and the view that it has; or one that begins with `checkpoint`.
    pub fn open(
        dir: &Path,
        network: Network,
        checkpoint: &Checkpoint,
    ) -> Result<(Self, View), ViewFileFault> {
        let path = dir.join(VIEW_FILE);
        let fresh = || (Self { dir: dir.to_owned(), open: None }, View::new(network, checkpoint));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(fresh()),
            Err(fault) => return Err(ViewFileFault::Io { path, fault }),
        };
        let wrong = |why: signer::ViewFault| {
            let why = why.to_string();
            ViewFileFault::File { path: path.clone(), why }
        };
        let restored = View::decode(&bytes, network).map_err(wrong)?;
        let view = restored.view;
        if !view.goes_on_from(checkpoint).map_err(wrong)? {
            let (had, begin) = (view.tip(), checkpoint.block());
            info!(%had, %begin, "the signer's view of the chain begins anew with its checkpoint");
            return Ok(fresh());
        }
        let torn = bytes.len() - restored.bytes;
        if torn > 0 {
            warn!(torn, "what the signer was saving when it ended is left out");
        }
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|fault| ViewFileFault::Io { path, fault })?;
        let (sum_bytes, bytes) = (restored.sum_bytes as u64, restored.bytes as u64);
        let open = Open { file, sum_bytes, bytes, is_torn: torn > 0 };
        Ok((Self { dir: dir.to_owned(), open: Some(open) }, view))
    }

    /// Saves a change of a view, to which it has not come yet. If it fails nothing was saved.
    pub fn save(&mut self, view: &View, change: &ViewChange) -> io::Result<()> {
        let is_long =
            |open: &Open| open.bytes - open.sum_bytes > open.sum_bytes.max(CHANGES_BYTES_MIN);
        match &self.open {
            None => self.open = Some(self.write_sum(view)?),
            Some(open) if is_long(open) => match self.write_sum(view) {
                Ok(open) => self.open = Some(open),
                // The longer file is as right.
                Err(fault) => warn!(%fault, "the signer's view is not shortened"),
            },
            Some(_) => {}
        }
        match &mut self.open {
            Some(open) => open.append(&change.encode()),
            None => Ok(()),
        }
    }

    /// Writes all of it beside the file, and then in its place.
    fn write_sum(&self, view: &View) -> io::Result<Open> {
        let unfinished = self.dir.join("signer-view.unfinished");
        let sum = view.encode();
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(&sum)?;
        file.sync_all()?;
        let path = self.dir.join(VIEW_FILE);
        fs::rename(&unfinished, &path)?;
        File::open(&self.dir)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(&path)?;
        let bytes = sum.len() as u64;
        Ok(Open { file, sum_bytes: bytes, bytes, is_torn: false })
    }
}

impl Open {
    fn append(&mut self, change: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.bytes)?;
            self.is_torn = false;
        }
        let written = self.file.write_all(change).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.bytes += change.len() as u64,
            // A part may be there: it must not stand before the next one.
            Err(_) => self.is_torn = self.file.set_len(self.bytes).is_err(),
        }
        written
    }
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
