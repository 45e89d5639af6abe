//! One socket to a peer, and what it has not taken yet.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use bus::{Hub, Interest, Key};
use rustix::{
    io::{Errno, read, write},
    net::{
        AddressFamily, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
        sockopt::{
            set_socket_keepalive, set_socket_reuseaddr, set_tcp_keepcnt, set_tcp_keepidle,
            set_tcp_keepintvl, set_tcp_nodelay, socket_error,
        },
    },
};

/// Calls that the system keeps for us while we are busy.
const BACKLOG: i32 = 4_096;

/// A silent peer is asked by the system after this time,
const KEEP_IDLE: Duration = Duration::from_secs(90);
/// so often,
const KEEP_COUNT: u32 = 4;
/// and in this rhythm.
const KEEP_INTERVAL: Duration = Duration::from_secs(15);

/// A socket and its bytes on the way out.
pub(super) struct Socket {
    fd: OwnedFd,
    unsent: Vec<u8>,
    interest: Interest,
    /// The call is on its way.
    pub(super) connecting: bool,
    /// To be closed once everything is written.
    pub(super) closing: bool,
}

impl Socket {
    pub(super) fn new(fd: OwnedFd, unsent: Vec<u8>, connecting: bool) -> Self {
        Self { fd, unsent, interest: Interest::default(), connecting, closing: false }
    }

    /// Calls an address; the socket becomes writable when it is answered.
    pub(super) fn connect(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(family, SocketType::STREAM, flags, None)?;
        prepare(&fd)?;
        match connect(&fd, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self::new(fd, Vec::new(), true)),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Whether the call was answered.
    pub(super) fn outcome(&self) -> io::Result<()> {
        Ok(socket_error(&self.fd)??)
    }

    pub(super) const fn unsent(&self) -> &Vec<u8> {
        &self.unsent
    }

    /// Puts bytes behind those that wait.
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        if self.unsent.is_empty() {
            self.unsent = bytes;
        } else {
            self.unsent.extend_from_slice(&bytes);
        }
    }

    /// Writes what the socket takes, and says how much that was.
    pub(super) fn flush(&mut self) -> io::Result<usize> {
        let mut written = 0;
        while written < self.unsent.len() {
            match write(&self.fd, &self.unsent[written..]) {
                Ok(some) => written += some,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(fault) => return Err(fault.into()),
            }
        }
        if written == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..written);
        }
        Ok(written)
    }

    /// Reads once. Nothing means that there is nothing at present, 0 that it is over.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match read(&self.fd, &mut *buffer) {
                Ok(got) => return Ok(Some(got)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// Waits for what is needed at present.
    pub(super) fn watch(&mut self, hub: &Hub, key: Key, wants_bytes: bool) -> io::Result<()> {
        let write = self.connecting || !self.unsent.is_empty();
        let interest = Interest { read: wants_bytes && !self.closing, write };
        if interest != self.interest {
            hub.rewatch(&self.fd, key, interest)?;
            self.interest = interest;
        }
        Ok(())
    }

    /// Is new to the hub.
    pub(super) fn enter(&self, hub: &Hub, key: Key) -> io::Result<()> {
        hub.watch(&self.fd, key, self.interest)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What we say ourselves is not held back; and a peer that has vanished is noticed even where we
/// have no keys to ping it: while a client has them.
fn prepare(fd: &OwnedFd) -> io::Result<()> {
    set_tcp_nodelay(fd, true)?;
    set_tcp_keepidle(fd, KEEP_IDLE)?;
    set_tcp_keepintvl(fd, KEEP_INTERVAL)?;
    set_tcp_keepcnt(fd, KEEP_COUNT)?;
    Ok(set_socket_keepalive(fd, true)?)
}

/// Listens for peers.
pub(super) fn listen_at(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, SocketType::STREAM, flags, None)?;
    set_socket_reuseaddr(&fd, true)?;
    bind(&fd, &address)?;
    listen(&fd, BACKLOG)?;
    Ok(fd)
}

/// Where a listening socket can be reached.
pub(super) fn address_of(fd: impl AsFd) -> io::Result<SocketAddr> {
    Ok(rustix::net::getsockname(fd)?.try_into()?)
}

/// Takes the next peer that has connected, and its address.
pub(super) fn accept_from(listener: impl AsFd) -> io::Result<(OwnedFd, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = accept_with(listener, flags)?;
    prepare(&fd)?;
    let address = rustix::net::getpeername(&fd)?.ok_or(Errno::NOTCONN)?.try_into()?;
    Ok((fd, address))
}
