//! The four things a key holder does in handshakes. There is no fifth, and no bare ECDH.
//!
//! | | initiator | responder |
//! |---|---|---|
//! | first | [`dial`]: act 1 | [`respond`] to act 1: act 2 and a [`HalfOpen`] |
//! | then | [`Dial::finish`] on act 2: act 3 and the keys | [`Verifier::verify`] act 3: who it is |
//!
//! What remembers a handshake between its two steps is used up by the second.

use std::fmt::{Debug, Display};

use secp256k1::PublicKey;
use static_assertions::assert_not_impl_any;

use crate::act::{Act, Act1, Act2, Act3, POINT_BYTES, SEALED_POINT_BYTES, parse_point};
use crate::cipher::Cipher;
use crate::fault::{Fault, Sealed};
use crate::half_open::{HalfOpen, Verifier};
use crate::secret::{EphemeralKey, IdentityKey, Scalar};
use crate::state::TransportState;
use crate::symmetric::Symmetric;

assert_not_impl_any!(AfterAct1: Clone, Copy, Debug, Display);
assert_not_impl_any!(Dial: Clone, Copy, Debug, Display);

/// An initiator that has sent act one and waits for act two. Wiped when dropped.
pub struct Dial(Box<AfterAct1>);

struct AfterAct1 {
    symmetric: Symmetric,
    e: Scalar,
}

/// Starts a handshake with the node `remote`.
pub fn dial(remote: &PublicKey, ephemeral: EphemeralKey) -> (Dial, Act1) {
    let e = ephemeral.into_scalar();
    let e_pub = e.public().serialize();
    let mut symmetric = Symmetric::start(remote);
    // BOLT 8: "The newly generated ephemeral key is accumulated into the running
    // handshake digest."
    symmetric.mix_hash(&e_pub);
    let temp_k1 = symmetric.mix_key(&e.ecdh(remote));
    // BOLT 8: "`c = encryptWithAD(temp_k1, 0, h, zero)`"
    let c = Cipher::new(&temp_k1).seal(0, symmetric.h().bytes(), &mut []);
    symmetric.mix_hash(&c);
    (Dial(Box::new(AfterAct1 { symmetric, e })), Act1::new(&e_pub, &c))
}

impl Dial {
    /// Checks act two, shows ourselves as `key` in act three, and hands over the keys of the
    /// transport. A `Dial` answers once, whatever the outcome.
    pub fn finish(self, act2: &Act2, key: &IdentityKey) -> Result<(Act3, TransportState), Fault> {
        let mut symmetric = self.0.symmetric.duplicate();
        let (re_bytes, c) = act2.split();
        let re = parse_point(Act::Two, re_bytes)?;
        symmetric.mix_hash(re_bytes);
        let temp_k2 = Cipher::new(&symmetric.mix_key(&self.0.e.ecdh(&re)));
        // BOLT 8: "If the MAC check in this operation fails, then the initiator MUST
        // terminate the connection without any further messages."
        temp_k2
            .open(0, symmetric.h().bytes(), &mut [], c)
            .map_err(|_| Fault::Mac { sealed: Sealed::ActTwo })?;
        symmetric.mix_hash(c);

        let mut sealed_s = [0; SEALED_POINT_BYTES];
        let (s, s_tag) = sealed_s.split_at_mut(POINT_BYTES);
        s.copy_from_slice(&key.public().serialize());
        // BOLT 8: "`c = encryptWithAD(temp_k2, 1, h, s.pub.serializeCompressed())`"
        s_tag.copy_from_slice(&temp_k2.seal(1, symmetric.h().bytes(), s));
        symmetric.mix_hash(&sealed_s);
        let temp_k3 = symmetric.mix_key(&key.ecdh(&re));
        // BOLT 8: "`t = encryptWithAD(temp_k3, 0, h, zero)`"
        let t = Cipher::new(&temp_k3).seal(0, symmetric.h().bytes(), &mut []);
        Ok((Act3::new(&sealed_s, &t), TransportState::of_initiator(symmetric)))
    }
}

/// Answers act one as `key`. The [`HalfOpen`] goes to the socket side, which finishes alone with
/// act three; the [`Verifier`] stays here and tells later who sent it. A key holder that does not
/// trust the socket side to say who connected keeps the [`HalfOpen`] and finishes itself.
pub fn respond(
    act1: &Act1,
    key: &IdentityKey,
    ephemeral: EphemeralKey,
) -> Result<(Act2, HalfOpen, Verifier), Fault> {
    let e = ephemeral.into_scalar();
    let e_public = e.public();
    if e_public == key.public() {
        return Err(Fault::IdentityAsEphemeral);
    }
    let (re_bytes, c) = act1.split();
    let re = parse_point(Act::One, re_bytes)?;
    let mut symmetric = Symmetric::start(&key.public());
    symmetric.mix_hash(re_bytes);
    let temp_k1 = symmetric.mix_key(&key.ecdh(&re));
    // BOLT 8: "If the MAC check in this operation fails, then the initiator does _not_
    // know the responder's static public key. If this is the case, then the
    // responder MUST terminate the connection without any further messages."
    Cipher::new(&temp_k1)
        .open(0, symmetric.h().bytes(), &mut [], c)
        .map_err(|_| Fault::Mac { sealed: Sealed::ActOne })?;
    symmetric.mix_hash(c);

    let e_pub = e_public.serialize();
    symmetric.mix_hash(&e_pub);
    let temp_k2 = symmetric.mix_key(&e.ecdh(&re));
    // BOLT 8: "`c = encryptWithAD(temp_k2, 0, h, zero)`"
    let c = Cipher::new(&temp_k2).seal(0, symmetric.h().bytes(), &mut []);
    symmetric.mix_hash(&c);
    let half_open = HalfOpen::new(symmetric, temp_k2, e);
    let verifier = half_open.verifier();
    Ok((Act2::new(&e_pub, &c), half_open, verifier))
}
