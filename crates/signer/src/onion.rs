//! Onions, peeled by whoever has the node's key.
//!
//! A node shares secrets in handshakes and in onions, and both times it is the same function of its
//! key and of a point. So nobody is told a shared secret, and nobody has a point multiplied: who
//! asks gives a whole packet, and the secret is used here to see whether that was made for this
//! node. Only who has made the packet, and so knows the secret already, can make it fit. With the
//! first key of somebody's handshake in it, it does not, and the answer is the same as for any
//! packet that was damaged.
//!
//! What is answered even then is not the secret, but what one hop needs: the bytes that were put
//! there for it, the packet for the next hop, and two keys that follow from the secret by HMACs and
//! serve failures only.

use sphinx::{AssociatedData, BadOnion, Failure, Layer, Peeled, ReturnKeys, Sealed, SharedSecret};
use static_assertions::assert_not_impl_any;
use wire::id::OnionPacket;

use crate::derive::NodeKey;
use crate::secret::burning;

assert_not_impl_any!(Peel: Clone, Copy, core::fmt::Debug, core::fmt::Display);

/// What came of an onion, as it leaves the signer.
pub enum Peel {
    /// Our layer is off.
    Layer {
        /// What is under it, not read yet.
        layer: Layer,
        /// Fails the HTLC, and passes on the failures of others.
        keys: ReturnKeys,
    },
    /// It was made for us, and what is under our layer cannot be read.
    BadPayload {
        /// What to answer to whoever made it.
        failure: Failure,
        /// Fails the HTLC with it.
        keys: ReturnKeys,
    },
    /// Nothing in it can be believed: it is answered with `update_fail_malformed_htlc`.
    Bad(BadOnion),
}

impl From<Result<Peeled, BadOnion>> for Peel {
    fn from(peeled: Result<Peeled, BadOnion>) -> Self {
        match peeled {
            Ok(Peeled { layer: Ok(layer), return_keys: keys }) => Self::Layer { layer, keys },
            Ok(Peeled { layer: Err(bad), return_keys: keys }) => {
                Self::BadPayload { failure: bad.failure(), keys }
            }
            Err(bad) => Self::Bad(bad),
        }
    }
}

impl NodeKey {
    /// Takes this node's layer off. It remembers nothing: the same packet gets the same answer.
    pub fn peel(&self, packet: &OnionPacket, data: &AssociatedData) -> Result<Peeled, BadOnion> {
        let sealed = Sealed::parse(packet)?;
        burning(|| {
            // Behind a blinded path another point stands here: this one times what follows from the
            // path key and our own.
            let shared = self.with_key(|key| SharedSecret::between(key, sealed.ephemeral()));
            sealed.peel(data, &shared)
        })
    }
}
