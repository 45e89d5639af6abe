//! A sum and the changes behind it, in one file. What is new is appended, and on the disk before it
//! is answered; now and then the sum is written anew, beside the file.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use tracing::warn;

/// Changes that are shorter than this together are never worth their sum.
const CHANGES_BYTES_MIN: u64 = 1 << 20;

/// Why what a signer has saved cannot be read.
#[derive(Debug)]
pub enum JournalFault {
    /// The system says no.
    Io {
        /// Which file.
        path: PathBuf,
        /// Its reason.
        fault: io::Error,
    },
    /// Another signer has the folder.
    InUse {
        /// By this file.
        path: PathBuf,
    },
    /// It is none of ours.
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What becomes of the signer without it.
        without: &'static str,
    },
}

/// How much of a file is right.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    /// Bytes of the sum.
    pub sum_bytes: usize,
    /// Bytes of the sum and of all changes. What is behind them is cut off.
    pub bytes: usize,
}

/// A file with a sum and its changes.
pub struct JournalFile {
    dir: PathBuf,
    name: &'static str,
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

impl JournalFile {
    /// A file that begins with the next change, whatever is there.
    pub fn new(dir: &Path, name: &'static str) -> Self {
        Self { dir: dir.to_owned(), name, open: None }
    }

    /// The bytes of a file, if it is there.
    pub fn read(dir: &Path, name: &'static str) -> Result<Option<Vec<u8>>, JournalFault> {
        let path = dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(JournalFault::Io { path, fault }),
        }
    }

    /// A file whose `len` bytes were read, so much of it is whole.
    pub fn go_on(
        dir: &Path,
        name: &'static str,
        len: usize,
        whole: Whole,
    ) -> Result<Self, JournalFault> {
        let path = dir.join(name);
        let torn = len - whole.bytes;
        if torn > 0 {
            warn!(name, torn, "what the signer was saving when it ended is left out");
        }
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|fault| JournalFault::Io { path, fault })?;
        let (sum_bytes, bytes) = (whole.sum_bytes as u64, whole.bytes as u64);
        let open = Open { file, sum_bytes, bytes, is_torn: torn > 0 };
        Ok(Self { open: Some(open), ..Self::new(dir, name) })
    }

    /// Saves a change. `sum` makes the sum of all before it. If it fails nothing was saved.
    pub fn save(&mut self, sum: impl FnOnce() -> Vec<u8>, change: &[u8]) -> io::Result<()> {
        let is_long =
            |open: &Open| open.bytes - open.sum_bytes > open.sum_bytes.max(CHANGES_BYTES_MIN);
        match &self.open {
            None => self.open = Some(self.write_sum(&sum())?),
            Some(open) if is_long(open) => match self.write_sum(&sum()) {
                Ok(open) => self.open = Some(open),
                // The longer file is as right.
                Err(fault) => warn!(self.name, %fault, "the signer's journal is not shortened"),
            },
            Some(_) => {}
        }
        match &mut self.open {
            Some(open) => open.append(change),
            None => Ok(()),
        }
    }

    /// Writes all of it beside the file, and then in its place.
    fn write_sum(&self, sum: &[u8]) -> io::Result<Open> {
        let unfinished = self.dir.join(format!("{}.unfinished", self.name));
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(sum)?;
        file.sync_all()?;
        let path = self.dir.join(self.name);
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

impl fmt::Display for JournalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, fault } => write!(f, "{}: {fault}", path.display()),
            Self::InUse { path } => {
                write!(f, "{}: another signer has this folder", path.display())
            }
            Self::File { path, why, without } => {
                write!(f, "{}: {why}; {without}", path.display())
            }
        }
    }
}

impl std::error::Error for JournalFault {}
