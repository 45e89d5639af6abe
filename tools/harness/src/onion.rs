//! A target for what `sphinx` reads: packets, payloads, failures.

use std::sync::LazyLock;

use sphinx::{
    AssociatedData, Failure, FinalPayload, ForwardPayload, ONION_BYTES, Origin, ReturnKeys, Sealed,
    SharedSecret,
};
use wire::id::{OnionPacket, PaymentHash};
use wire::list::Blob;

/// The same bytes as each of them: a payload, a failure, what comes back, a packet.
pub fn onion(data: &[u8]) {
    if let Ok(payload) = FinalPayload::parse(data) {
        let written = payload.encode();
        assert!(written.len() <= data.len());
        assert_eq!(FinalPayload::parse(&written), Ok(payload));
    }
    if let Ok(payload) = ForwardPayload::parse(data) {
        let written = payload.encode();
        assert!(written.len() <= data.len());
        assert_eq!(ForwardPayload::parse(&written), Ok(payload));
    }
    if let Ok(failure) = Failure::decode(data)
        && let Ok(written) = failure.encode()
    {
        assert!(written.len() <= data.len());
        assert_eq!(Failure::decode(&written), Ok(failure));
    }
    static ORIGIN: LazyLock<Origin> = LazyLock::new(|| {
        let keys = (1..=3).map(|byte| ReturnKeys::take(&mut [byte; 64])).collect();
        Origin::new(keys).unwrap_or_else(|fault| panic!("{fault}"))
    });
    assert!(ORIGIN.read(&Blob(data.to_vec())).is_err(), "an HMAC was guessed");
    packet(data);
}

/// As many bytes as a packet has; zeros stand for what is missing.
fn packet(data: &[u8]) {
    let mut packet = OnionPacket([0; ONION_BYTES]);
    let bytes = data.len().min(ONION_BYTES);
    packet.0[..bytes].copy_from_slice(&data[..bytes]);
    let bound_to = AssociatedData::Payment(PaymentHash([0x42; 32]));
    if let Ok(sealed) = Sealed::parse(&packet) {
        let shared = SharedSecret::take(&mut [7; 32]);
        assert!(sealed.peel(&bound_to, &shared).is_err(), "an HMAC was guessed");
    }
}
