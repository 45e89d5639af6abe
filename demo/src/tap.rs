//! A wire-tap: it passes on what it hears, and writes it down.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// Everything that went over a wire, one list of bytes for each direction.
#[derive(Clone, Default)]
pub struct Tap {
    there: Arc<Mutex<Vec<u8>>>,
    back: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Sits between a caller and `target`. Tells where to call instead.
    pub fn start(target: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let at = listener.local_addr()?;
        let tap = Self::default();
        let (there, back) = (Arc::clone(&tap.there), Arc::clone(&tap.back));
        thread::spawn(move || {
            let (caller, _) = listener.accept()?;
            let called = TcpStream::connect(target)?;
            caller.set_nodelay(true)?;
            called.set_nodelay(true)?;
            let (caller2, called2) = (caller.try_clone()?, called.try_clone()?);
            thread::spawn(move || pass_on(called2, caller2, &back));
            pass_on(caller, called, &there)
        });
        Ok((tap, at))
    }

    /// What the caller said, from one byte to another.
    pub fn there(&self, from: usize, to: usize) -> Vec<u8> {
        self.there.lock().expect("no thread panics with it")[from..to].to_vec()
    }

    /// What the called one said, from one byte to another.
    pub fn back(&self, from: usize, to: usize) -> Vec<u8> {
        self.back.lock().expect("no thread panics with it")[from..to].to_vec()
    }

    /// All bytes of both directions.
    pub fn everything(&self) -> Vec<u8> {
        let there = self.there.lock().expect("no thread panics with it");
        let back = self.back.lock().expect("no thread panics with it");
        [there.as_slice(), back.as_slice()].concat()
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, log: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut piece = [0; 16_384];
    loop {
        let got = from.read(&mut piece)?;
        if got == 0 {
            return to.shutdown(Shutdown::Write);
        }
        // Written down first: who receives a byte can count on finding it here.
        log.lock().expect("no thread panics with it").extend_from_slice(&piece[..got]);
        to.write_all(&piece[..got])?;
    }
}
