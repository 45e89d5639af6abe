//! A sum and the changes behind it, in one file. What is new is appended, and on the disk before it
//! is answered; now and then the sum is written anew, beside the file.
//!
//! A file may have room: zeros behind its changes, into which the next ones are written. Then a
//! disk has nothing to do for a change but to write it; a file that grows is entered in the file
//! system's own journal each time, behind all that others write.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use tracing::warn;

/// Changes that are shorter than this together are never worth their sum.
const CHANGES_BYTES_MIN: u64 = 1 << 20;
/// Room is made for so many bytes at once.
pub const ROOM_BYTES: u64 = 1 << 18;

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
    /// There is nothing but zeros behind them: room for more.
    pub has_room: bool,
}

/// A file with a sum and its changes.
pub struct JournalFile {
    dir: PathBuf,
    name: &'static str,
    makes_room: bool,
    /// Nothing before something is saved there.
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Bytes of the sum, and of the sum with all changes.
    sum_bytes: u64,
    bytes: u64,
    /// Bytes of the file, with its room.
    len: u64,
    /// Something was not written to the end: it is cut off first.
    is_torn: bool,
}

impl JournalFile {
    /// A file that begins with the next change, whatever is there.
    pub fn new(dir: &Path, name: &'static str) -> Self {
        Self { dir: dir.to_owned(), name, makes_room: false, open: None }
    }

    /// The same, with room. Whoever reads it takes zeros for the end.
    pub fn with_room(mut self) -> Self {
        self.makes_room = true;
        self
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
        let torn = if whole.has_room { 0 } else { len - whole.bytes };
        if torn > 0 {
            warn!(name, torn, "what the signer was saving when it ended is left out");
        }
        let file = OpenOptions::new().write(true).open(&path);
        let file = file.map_err(|fault| JournalFault::Io { path, fault })?;
        let (sum_bytes, bytes) = (whole.sum_bytes as u64, whole.bytes as u64);
        let open = Open { file, sum_bytes, bytes, len: len as u64, is_torn: torn > 0 };
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
        let makes_room = self.makes_room;
        match &mut self.open {
            Some(open) => open.append(change, makes_room),
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
        let file = OpenOptions::new().write(true).open(&path)?;
        let bytes = sum.len() as u64;
        Ok(Open { file, sum_bytes: bytes, bytes, len: bytes, is_torn: false })
    }
}

impl Open {
    fn append(&mut self, change: &[u8], makes_room: bool) -> io::Result<()> {
        if self.is_torn {
            self.cut()?;
        }
        let end = self.bytes + change.len() as u64;
        if makes_room && end > self.len {
            self.make_room(end)?;
        }
        let written = self.file.write_all_at(change, self.bytes);
        let written = written.and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => (self.bytes, self.len) = (end, self.len.max(end)),
            // A part may be there: it must not stand before the next one.
            Err(_) => self.is_torn = self.cut().is_err(),
        }
        written
    }

    /// Zeros, up to here and further. They must be on the disk: blocks that are only promised to a
    /// file are entered in it when they are written, which is what room is to save.
    fn make_room(&mut self, end: u64) -> io::Result<()> {
        let zeros = vec![0; (end - self.len + ROOM_BYTES) as usize];
        let made = self.file.write_all_at(&zeros, self.len).and_then(|()| self.file.sync_data());
        match made {
            Ok(()) => self.len += zeros.len() as u64,
            Err(_) => self.is_torn = self.cut().is_err(),
        }
        made
    }

    /// Nothing stays behind what is saved.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.bytes)?;
        (self.len, self.is_torn) = (self.bytes, false);
        Ok(())
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
