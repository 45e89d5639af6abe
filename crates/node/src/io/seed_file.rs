//! The seed on the disk: sealed, in a file that only its owner reads, and never written over.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use signer::{Cost, Passphrase, SealedSeed, Seed, SeedFileFault};
use wire::Network;

use super::clock;

/// The file in the node's folder.
pub const SEED_FILE: &str = "seed";
/// A file that is longer is none of ours.
const READ_BYTES_MAX: u64 = 4_096;

/// Why there is no seed.
#[derive(Debug)]
pub enum SeedFault {
    /// The folder cannot be made or used.
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        fault: io::Error,
    },
    /// There is one already.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is none.
    None {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        fault: io::Error,
    },
    /// The file is not what it should be, or the passphrase is another.
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: SeedFileFault,
    },
}

/// Makes the folder of a node, for its owner alone.
pub fn make_folder(dir: &Path) -> Result<(), SeedFault> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|fault| SeedFault::Folder { path: dir.to_owned(), fault })
}

/// Draws a seed that nobody else has.
pub fn draw() -> Seed {
    loop {
        if let Ok(seed) = Seed::take(&mut clock::drawn()) {
            return seed;
        }
    }
}

/// Writes a seed to a folder that has none: complete, or not at all.
pub fn create(
    dir: &Path,
    seed: &Seed,
    network: Network,
    passphrase: &Passphrase,
) -> Result<(), SeedFault> {
    make_folder(dir)?;
    let path = dir.join(SEED_FILE);
    if fs::symlink_metadata(&path).is_ok() {
        return Err(SeedFault::Exists { path });
    }
    let (salt, nonce) = (clock::drawn(), clock::drawn());
    let sealed = SealedSeed::seal(seed, network, Cost::STANDARD, passphrase, salt, nonce)
        .map_err(|fault| SeedFault::File { path: path.clone(), fault })?;
    write_new(dir, &path, sealed.bytes()).map_err(|fault| {
        let path = path.clone();
        if fault.kind() == io::ErrorKind::AlreadyExists {
            return SeedFault::Exists { path };
        }
        SeedFault::Io { path, fault }
    })
}

fn write_new(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = dir.join("seed.unfinished");
    match fs::remove_file(&unfinished) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // A link fails where a rename would write over what is there.
    fs::hard_link(&unfinished, path)?;
    fs::remove_file(&unfinished)?;
    File::open(dir)?.sync_all()
}

/// Opens the seed of a folder.
pub fn open(dir: &Path, network: Network, passphrase: &Passphrase) -> Result<Seed, SeedFault> {
    let path = dir.join(SEED_FILE);
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(READ_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            return Err(SeedFault::None { path });
        }
        Err(fault) => return Err(SeedFault::Io { path, fault }),
    }
    let wrong = |fault| SeedFault::File { path: path.clone(), fault };
    let sealed = SealedSeed::parse(&bytes, network).map_err(wrong)?;
    let key = sealed.stretch(passphrase).map_err(wrong)?;
    sealed.open(&key).map_err(wrong)
}

impl fmt::Display for SeedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { path, fault } => {
                write!(f, "{} cannot be the node's folder: {fault}", path.display())
            }
            Self::Exists { path } => {
                write!(f, "there is a seed at {}; it is never written over", path.display())
            }
            Self::None { path } => {
                write!(f, "there is no seed at {}; make one with `leyden init`", path.display())
            }
            Self::Io { path, fault } => write!(f, "{}: {fault}", path.display()),
            Self::File { path, fault } => write!(f, "{}: {fault}", path.display()),
        }
    }
}

impl std::error::Error for SeedFault {}
