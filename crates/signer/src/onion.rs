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
use wire::id::{FailureCode, OnionHash, OnionPacket};

use crate::derive::NodeKey;
use crate::secret::burning;

/// What came of an onion, as it leaves the signer.
pub enum Peel {
    /// Our layer is off.
    Layer {
        /// What is under it.
        layer: Layer,
        /// Fails the HTLC.
        keys: ReturnKeys,
    },
    /// It is for us, and what is under our layer cannot be.
    BadPayload {
        /// What to answer.
        failure: Failure,
        /// Fails the HTLC.
        keys: ReturnKeys,
    },
    /// Nothing in it can be believed: it is answered with `update_fail_malformed_htlc`.
    Bad {
        /// Why.
        code: FailureCode,
        /// Names the onion.
        sha256_of_onion: OnionHash,
    },
}

impl From<Result<Peeled, BadOnion>> for Peel {
    fn from(peeled: Result<Peeled, BadOnion>) -> Self {
        match peeled {
            Ok(Peeled { layer: Ok(layer), return_keys: keys }) => Self::Layer { layer, keys },
            Ok(Peeled { layer: Err(bad), return_keys: keys }) => {
                Self::BadPayload { failure: bad.failure(), keys }
            }
            Err(bad) => Self::Bad { code: bad.code(), sha256_of_onion: bad.sha256_of_onion },
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
