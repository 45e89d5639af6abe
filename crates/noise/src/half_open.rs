//! A responder between act two and act three. Act three needs the ephemeral key only, so the same
//! four values let the socket side finish alone and the key holder check who connected.

use std::fmt::{Debug, Display};

use secp256k1::PublicKey;
use static_assertions::assert_not_impl_any;

use crate::act::{Act, Act3, parse_point};
use crate::cipher::Cipher;
use crate::fault::{Fault, Flaw, Sealed, Stored};
use crate::secret::{Scalar, Secret, SecretBytes};
use crate::state::TransportState;
use crate::symmetric::Symmetric;

assert_not_impl_any!(AfterAct2: Clone, Copy, Debug, Display);
assert_not_impl_any!(HalfOpen: Clone, Copy, Debug, Display);
assert_not_impl_any!(Verifier: Clone, Copy, Debug, Display);

/// The layout that [`HalfOpen::export`] writes.
pub const HALF_OPEN_VERSION: u8 = 1;
/// Bytes of an exported [`HalfOpen`].
pub const HALF_OPEN_BYTES: usize = 1 + 4 * 32;

/// What the socket side needs to finish with act three. Wiped when dropped.
///
/// Whoever holds it can also *make* an act three in the name of any node: all that act three proves
/// is knowledge of `ECDH(s, e)`, and `e` is in here. So it goes only to a socket side that is
/// trusted to say who connected.
pub struct HalfOpen(Box<AfterAct2>);

/// The key holder's own copy of a [`HalfOpen`], to check who sent act three. Wiped when dropped.
///
/// It catches a mistake of the socket side, or a lie of whoever is between. It cannot catch a lie
/// of whoever had the [`HalfOpen`], see there.
pub struct Verifier(Box<AfterAct2>);

impl HalfOpen {
    pub(crate) fn new(symmetric: Symmetric, temp_k2: Secret, e: Scalar) -> HalfOpen {
        HalfOpen(Box::new(AfterAct2 { symmetric, temp_k2, e }))
    }

    pub(crate) fn verifier(&self) -> Verifier {
        let AfterAct2 { symmetric, temp_k2, e } = &*self.0;
        let (symmetric, temp_k2) = (symmetric.duplicate(), temp_k2.duplicate());
        Verifier(Box::new(AfterAct2 { symmetric, temp_k2, e: e.duplicate() }))
    }

    /// Checks act three: who connected, and the keys of the transport.
    pub fn finish(self, act3: &Act3) -> Result<(PublicKey, TransportState), Fault> {
        let (remote, symmetric) = self.0.open(act3)?;
        Ok((remote, TransportState::of_responder(symmetric)))
    }

    /// Gives the value away, for a link to another machine.
    ///
    /// | bytes | content |
    /// |---|---|
    /// | 0 | [`HALF_OPEN_VERSION`] |
    /// | 1..33 | `ck` |
    /// | 33..65 | `h` |
    /// | 65..97 | `temp_k2` |
    /// | 97..129 | `e`, the private ephemeral key |
    pub fn export(self) -> SecretBytes<HALF_OPEN_BYTES> {
        let AfterAct2 { symmetric, temp_k2, e } = &*self.0;
        let mut out = SecretBytes::zeros();
        let (version, fields) = out.as_mut().split_at_mut(1);
        version[0] = HALF_OPEN_VERSION;
        let values = [symmetric.ck().bytes(), symmetric.h().bytes(), temp_k2.bytes(), e.bytes()];
        for (field, value) in fields.chunks_exact_mut(32).zip(values) {
            field.copy_from_slice(value);
        }
        out
    }

    /// Reads what [`HalfOpen::export`] wrote; refuses what it never writes.
    pub fn import(bytes: &[u8]) -> Result<HalfOpen, Fault> {
        let stored = Stored::HalfOpen;
        let refuse = |flaw| Fault::Stored { stored, flaw };
        let bytes: &[u8; HALF_OPEN_BYTES] = bytes
            .try_into()
            .map_err(|_| refuse(Flaw::Length { got: bytes.len(), want: HALF_OPEN_BYTES }))?;
        let [version, fields @ ..] = bytes;
        if *version != HALF_OPEN_VERSION {
            return Err(refuse(Flaw::Version { got: *version, want: HALF_OPEN_VERSION }));
        }
        let (fields, _) = fields.as_chunks::<32>();
        let [ck, h, temp_k2, e] = fields else { unreachable!("128 bytes are four times 32") };
        let [ck, h, temp_k2] = [ck, h, temp_k2].map(Secret::from_bytes);
        for (field, value) in [("ck", &ck), ("h", &h), ("temp_k2", &temp_k2)] {
            if value.is_zeros() {
                return Err(refuse(Flaw::Zeros { field }));
            }
        }
        if ck.equals(&temp_k2) {
            return Err(refuse(Flaw::Equal { one: "ck", other: "temp_k2" }));
        }
        Ok(HalfOpen::new(Symmetric::from_parts(ck, h), temp_k2, Scalar::read(e, stored)?))
    }
}

impl Verifier {
    /// Checks act three with our own eyes: who connected.
    pub fn verify(self, act3: &Act3) -> Result<PublicKey, Fault> {
        self.0.open(act3).map(|(remote, _)| remote)
    }
}

struct AfterAct2 {
    symmetric: Symmetric,
    temp_k2: Secret,
    e: Scalar,
}

impl AfterAct2 {
    fn open(&self, act3: &Act3) -> Result<(PublicKey, Symmetric), Fault> {
        let mut symmetric = self.symmetric.duplicate();
        let (c, t) = act3.split();
        // BOLT 8: "`rs = decryptWithAD(temp_k2, 1, h, c)`"
        let (rs, rs_tag) = c.split_first_chunk().expect("49 bytes hold a key of 33");
        let (mut rs, rs_tag) = (*rs, rs_tag.first_chunk().expect("and its tag of 16"));
        Cipher::new(&self.temp_k2)
            .open(1, symmetric.h().bytes(), &mut rs, rs_tag)
            .map_err(|_| Fault::Mac { sealed: Sealed::ActThreeKey })?;
        let rs = parse_point(Act::Three, &rs)?;
        symmetric.mix_hash(c);
        let temp_k3 = symmetric.mix_key(&self.e.ecdh(&rs));
        // BOLT 8: "If the MAC check in this operation fails, then the responder MUST
        // terminate the connection without any further messages."
        Cipher::new(&temp_k3)
            .open(0, symmetric.h().bytes(), &mut [], t)
            .map_err(|_| Fault::Mac { sealed: Sealed::ActThreeEnd })?;
        Ok((rs, symmetric))
    }
}
