//! The transport once more, written down naively after BOLT 8: another cipher library, HKDF by
//! hand, allocation everywhere, rotation when the next record needs it and not before.

use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use noise::TransportState;
use ring::digest::{SHA256, digest};

#[derive(Clone)]
pub struct Model {
    send: Direction,
    receive: Direction,
}

#[derive(Clone)]
struct Direction {
    k: Vec<u8>,
    ck: Vec<u8>,
    n: u64,
}

impl Model {
    /// Reads the documented layout, of a connection between two messages.
    pub fn import(state: TransportState) -> Model {
        let exported = state.export();
        let bytes = exported.as_bytes();
        let direction = |at: usize| Direction {
            k: bytes[at..at + 32].to_vec(),
            ck: bytes[at + 32..at + 64].to_vec(),
            n: u64::from(bytes[at + 64]) * 256 + u64::from(bytes[at + 65]),
        };
        assert_eq!(bytes[133..], [0, 0], "nothing is pending");
        Model { send: direction(1), receive: direction(67) }
    }

    /// Writes the documented layout, with the rotations done that are due.
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = vec![1];
        for mut direction in [self.send.clone(), self.receive.clone()] {
            direction.rotate_when_due();
            out.extend(direction.k);
            out.extend(direction.ck);
            out.extend(u16::try_from(direction.n).unwrap().to_be_bytes());
        }
        out.extend([0, 0]);
        out
    }

    pub fn encrypt(&mut self, message: &[u8]) -> Vec<u8> {
        let length = u16::try_from(message.len()).unwrap();
        let mut out = self.seal(&length.to_be_bytes());
        out.extend(self.seal(message));
        out
    }

    pub fn decrypt(&mut self, wire: &[u8]) -> Vec<u8> {
        let length = self.receive.open(&wire[..18]);
        let message = self.receive.open(&wire[18..]);
        assert_eq!(length, u16::try_from(message.len()).unwrap().to_be_bytes());
        message
    }

    /// One record, whatever it says.
    pub fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let (cipher, nonce) = self.send.next();
        cipher.encrypt(&nonce, plaintext).unwrap()
    }
}

impl Direction {
    fn open(&mut self, sealed: &[u8]) -> Vec<u8> {
        let (cipher, nonce) = self.next();
        cipher.decrypt(&nonce, sealed).unwrap()
    }

    fn next(&mut self) -> (ChaCha20Poly1305, Nonce) {
        self.rotate_when_due();
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.n.to_le_bytes());
        self.n += 1;
        let key = Key::try_from(self.k.as_slice()).unwrap();
        (ChaCha20Poly1305::new(&key), Nonce::from(nonce))
    }

    fn rotate_when_due(&mut self) {
        if self.n == 1000 {
            let (ck, k) = hkdf(&self.ck, &self.k);
            *self = Direction { k, ck, n: 0 };
        }
    }
}

/// RFC 5869 without info: two keys of 32 bytes.
pub fn hkdf(salt: &[u8], ikm: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let prk = hmac(salt, ikm);
    let first = hmac(&prk, &[1]);
    let second = hmac(&prk, &[first.as_slice(), &[2]].concat());
    (first, second)
}

/// RFC 2104, for keys of at most 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = digest(&SHA256, &[&pad(0x36), message].concat());
    digest(&SHA256, &[&pad(0x5c), inner.as_ref()].concat()).as_ref().to_vec()
}
