//! Folders for a while.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::{dice, fault::Fault};

const PREFIX: &str = "leyden-devnet-";
/// Whoever holds this lock lives.
const LOCK: &str = "lock";
/// Where files are memory. On a disk the kernel waits for its block files, of which nobody has any
/// use: a fresh world takes half as long again.
const MEMORY: &str = "/dev/shm";
/// Less than this is left for others: a world takes 18 MB, and containers often have 64 in all.
const MEMORY_FREE_BYTES_MIN: u64 = 1 << 30;

/// A folder of our own, removed in the end.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// A fresh one. Those of processes that were killed are removed on the way.
    pub(crate) fn fresh() -> Result<Self, Fault> {
        let number = dice::number()?;
        let base =
            if has_room(Path::new(MEMORY)) { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
        sweep(&base);
        let path = base.join(format!("{PREFIX}{number:016x}"));
        let lock = create(&path).map_err(|error| Fault::disk(&path, &error))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    let lock = File::create_new(path.join(LOCK))?;
    lock.lock()?;
    Ok(lock)
}

#[cfg(target_os = "linux")]
fn has_room(path: &Path) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) >= MEMORY_FREE_BYTES_MIN)
}

#[cfg(not(target_os = "linux"))]
const fn has_room(_: &Path) -> bool {
    false
}

/// Removes what the dead have left. One that is just being made has no lock yet, or one that is
/// not held yet: such a young one is left alone.
fn sweep(base: &Path) {
    const YOUNG_SECONDS: u64 = 60;
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        let old = || age().is_some_and(|age| age.as_secs() >= YOUNG_SECONDS);
        if ours && old() && is_free(&entry.path().join(LOCK)) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn is_free(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|file| file.try_lock().is_ok())
}
