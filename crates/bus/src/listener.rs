//! Where others connect: a path in the file system, for the same user only.

use std::{
    fmt, fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{net::sockopt::socket_peercred, process::geteuid};

use crate::grant::Grant;

/// Bytes of a path that a socket can have.
const PATH_BYTES_MAX: usize = 107;

/// A listening path, and what whoever connects there may ask.
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    grant: Grant,
    /// The path is ours to remove.
    owned: bool,
}

/// Why nobody can listen there.
#[derive(Debug)]
pub enum ListenFault {
    /// The path is too long for a socket.
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        got: usize,
        /// The most they may be.
        max: usize,
    },
    /// Somebody listens there.
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something else is there.
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system says no.
    Io {
        /// The path.
        path: PathBuf,
        /// Its reason.
        fault: io::Error,
    },
}

impl Listener {
    /// Listens at a path. A socket that somebody left there is replaced.
    pub fn bind(path: &Path, grant: Grant) -> Result<Self, ListenFault> {
        let io = |fault| ListenFault::Io { path: path.to_owned(), fault };
        let got = path.as_os_str().len();
        if got > PATH_BYTES_MAX {
            let (path, max) = (path.to_owned(), PATH_BYTES_MAX);
            return Err(ListenFault::PathTooLong { path, got, max });
        }
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(ListenFault::NotASocket { path: path.to_owned() });
            }
            if UnixStream::connect(path).is_ok() {
                return Err(ListenFault::InUse { path: path.to_owned() });
            }
            fs::remove_file(path).map_err(io)?;
        }
        let socket = UnixListener::bind(path).map_err(io)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        socket.set_nonblocking(true).map_err(io)?;
        Ok(Self { socket, path: path.to_owned(), grant, owned: true })
    }

    /// Goes on with another process's listening socket. The path is the other's until
    /// [`Listener::own`].
    pub fn adopt(socket: OwnedFd, path: &Path, grant: Grant) -> Self {
        Self { socket: socket.into(), path: path.to_owned(), grant, owned: false }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What whoever connects may ask.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Another process goes on with it: the path stays.
    pub const fn disown(&mut self) {
        self.owned = false;
    }

    /// No other process goes on with it: the path is ours to remove.
    pub const fn own(&mut self) {
        self.owned = true;
    }

    /// The next one who has connected, if it is the same user.
    pub(crate) fn accept(&self) -> io::Result<Option<UnixStream>> {
        let (stream, _) = self.socket.accept()?;
        let same = socket_peercred(&stream).is_ok_and(|peer| peer.uid == geteuid());
        stream.set_nonblocking(true)?;
        Ok(same.then_some(stream))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.owned {
            // Somebody may have removed it before; then there is nothing to do.
            fs::remove_file(&self.path).ok();
        }
    }
}

impl fmt::Display for ListenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathTooLong { path, got, max } => {
                write!(f, "{} has {got} bytes, a socket's path at most {max}", path.display())
            }
            Self::InUse { path } => write!(f, "somebody listens at {}", path.display()),
            Self::NotASocket { path } => write!(f, "{} is no socket", path.display()),
            Self::Io { path, fault } => write!(f, "cannot listen at {}: {fault}", path.display()),
        }
    }
}

impl std::error::Error for ListenFault {}
