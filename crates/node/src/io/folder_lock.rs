//! One signer has a folder: two that remember the same would each sign something else.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::journal_file::JournalFault;

/// The file, in the signer's folder. It is empty.
pub const LOCK_FILE: &str = "signer-lock";

/// A folder that is ours until this is dropped, or the process ends in whatever way.
#[must_use]
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "it is held")] File);

impl FolderLock {
    /// Takes a folder; refuses one that another signer has.
    pub fn take(dir: &Path) -> Result<Self, JournalFault> {
        let path = dir.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = match options.open(&path) {
            Ok(file) => file,
            Err(fault) => return Err(JournalFault::Io { path, fault }),
        };
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(JournalFault::InUse { path }),
            Err(TryLockError::Error(fault)) => Err(JournalFault::Io { path, fault }),
        }
    }
}
