//! The state of a live transport at rest: what one owner hands to the next.

use std::fmt::{Debug, Display};

use static_assertions::assert_not_impl_any;

use crate::fault::{Fault, Flaw, Stored};
use crate::secret::{Secret, SecretBytes};
use crate::symmetric::Symmetric;
use crate::transport::{BodyLen, MESSAGE_BYTES_MIN, NONCE_MAX};

assert_not_impl_any!(Chain: Clone, Copy, Debug, Display);
assert_not_impl_any!(Rest: Clone, Copy, Debug, Display);
assert_not_impl_any!(TransportState: Clone, Copy, Debug, Display);

/// The layout that [`TransportState::export`] writes.
pub const STATE_VERSION: u8 = 1;
/// Bytes of an exported [`TransportState`].
pub const STATE_BYTES: usize = 1 + 2 * CHAIN_BYTES + 2;

const CHAIN_BYTES: usize = 32 + 32 + 2;

/// Both directions of a transport in canonical form: every rotation that is due has been done, so
/// two implementations that agree on the bytes sent and received agree on these bytes too. It never
/// contradicts itself. Wiped when dropped.
pub struct TransportState(Box<Rest>);

/// A transport at rest.
pub(crate) struct Rest {
    pub(crate) send: Chain,
    pub(crate) receive: Chain,
    /// The header of the next message has been read, its body has not.
    pub(crate) pending: Option<BodyLen>,
}

/// One direction: `k`, `ck` and `n` of BOLT 8.
pub(crate) struct Chain {
    pub(crate) k: Secret,
    pub(crate) ck: Secret,
    pub(crate) n: u16,
}

impl TransportState {
    pub(crate) fn new(rest: Rest) -> TransportState {
        TransportState(Box::new(rest))
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.0
    }

    pub(crate) fn of_initiator(handshake: Symmetric) -> TransportState {
        let (ck, initiator, responder) = handshake.finish();
        TransportState::fresh(ck, initiator, responder)
    }

    pub(crate) fn of_responder(handshake: Symmetric) -> TransportState {
        let (ck, initiator, responder) = handshake.finish();
        TransportState::fresh(ck, responder, initiator)
    }

    fn fresh(ck: Secret, sk: Secret, rk: Secret) -> TransportState {
        // BOLT 8: "`rn = 0, sn = 0`" and "`rck = sck = ck`"
        let send = Chain { k: sk, ck: ck.duplicate(), n: 0 };
        let receive = Chain { k: rk, ck, n: 0 };
        TransportState::new(Rest { send, receive, pending: None })
    }

    /// Gives the state away: from here on it has one owner, and it is not we.
    ///
    /// | bytes | content |
    /// |---|---|
    /// | 0 | [`STATE_VERSION`] |
    /// | 1..33, 33..65 | `sk`, `sck` |
    /// | 65..67 | `sn`, big-endian, even, 0 to 998 |
    /// | 67..99, 99..131 | `rk`, `rck` |
    /// | 131..133 | `rn`, big-endian, 0 to 999; odd if a header has been read and not its body |
    /// | 133..135 | that body's length without its tag, big-endian; 0 if `rn` is even |
    pub fn export(self) -> SecretBytes<STATE_BYTES> {
        let mut out = SecretBytes::zeros();
        let (version, rest) = out.as_mut().split_at_mut(1);
        let (send, rest) = rest.split_at_mut(CHAIN_BYTES);
        let (receive, pending) = rest.split_at_mut(CHAIN_BYTES);
        version[0] = STATE_VERSION;
        self.0.send.write(send);
        self.0.receive.write(receive);
        pending.copy_from_slice(&self.0.pending.map_or(0, BodyLen::get).to_be_bytes());
        out
    }

    /// Reads what [`TransportState::export`] wrote; refuses what it never writes.
    pub fn import(bytes: &[u8]) -> Result<TransportState, Fault> {
        TransportState::read(bytes)
            .map_err(|flaw| Fault::Stored { stored: Stored::TransportState, flaw })
    }

    fn read(bytes: &[u8]) -> Result<TransportState, Flaw> {
        let bytes: &[u8; STATE_BYTES] =
            bytes.try_into().map_err(|_| Flaw::Length { got: bytes.len(), want: STATE_BYTES })?;
        let [version, rest @ ..] = bytes;
        if *version != STATE_VERSION {
            return Err(Flaw::Version { got: *version, want: STATE_VERSION });
        }
        let (send, rest) = rest.split_at(CHAIN_BYTES);
        let (receive, pending) = rest.split_at(CHAIN_BYTES);
        let send = Chain::read(send, ["sk", "sck", "sn"])?;
        let receive = Chain::read(receive, ["rk", "rck", "rn"])?;
        check_apart(&send, &receive)?;
        if send.n % 2 == 1 {
            return Err(Flaw::OddSend { sn: send.n });
        }
        let pending = u16::from_be_bytes(*pending.first_chunk().expect("two bytes are left"));
        let pending = read_pending(receive.n, pending)?;
        Ok(TransportState::new(Rest { send, receive, pending }))
    }
}

impl Chain {
    pub(crate) fn duplicate(&self) -> Chain {
        Chain { k: self.k.duplicate(), ck: self.ck.duplicate(), n: self.n }
    }

    fn write(&self, out: &mut [u8]) {
        let (k, rest) = out.split_at_mut(32);
        let (ck, n) = rest.split_at_mut(32);
        k.copy_from_slice(self.k.bytes());
        ck.copy_from_slice(self.ck.bytes());
        n.copy_from_slice(&self.n.to_be_bytes());
    }

    fn read(bytes: &[u8], [k_name, ck_name, n_name]: [&'static str; 3]) -> Result<Chain, Flaw> {
        let (k, rest) = bytes.split_first_chunk().expect("a chain has 66 bytes");
        let (ck, n) = rest.split_first_chunk().expect("a chain has 34 bytes after `k`");
        let n = u16::from_be_bytes(*n.first_chunk().expect("a chain has 2 bytes after `ck`"));
        let chain = Chain { k: Secret::from_bytes(k), ck: Secret::from_bytes(ck), n };
        for (field, value) in [(k_name, &chain.k), (ck_name, &chain.ck)] {
            if value.is_zeros() {
                return Err(Flaw::Zeros { field });
            }
        }
        if n > NONCE_MAX {
            return Err(Flaw::Nonce { field: n_name, got: n, max: NONCE_MAX });
        }
        Ok(chain)
    }
}

/// HKDF derives all of them apart; only the two chaining keys are equal until one has rotated.
fn check_apart(send: &Chain, receive: &Chain) -> Result<(), Flaw> {
    let (sk, sck, rk, rck) = (&send.k, &send.ck, &receive.k, &receive.ck);
    let pairs = [
        ("sk", sk, "rk", rk),
        ("sk", sk, "sck", sck),
        ("sk", sk, "rck", rck),
        ("rk", rk, "sck", sck),
        ("rk", rk, "rck", rck),
    ];
    for (one, one_value, other, other_value) in pairs {
        if one_value.equals(other_value) {
            return Err(Flaw::Equal { one, other });
        }
    }
    Ok(())
}

fn read_pending(rn: u16, pending: u16) -> Result<Option<BodyLen>, Flaw> {
    match (rn % 2 == 1, pending) {
        (false, 0) => Ok(None),
        (false, pending) => Err(Flaw::StrayPending { rn, pending }),
        (true, pending) if usize::from(pending) < MESSAGE_BYTES_MIN => {
            Err(Flaw::NoPending { rn, pending })
        }
        (true, pending) => Ok(Some(BodyLen::new(pending))),
    }
}
