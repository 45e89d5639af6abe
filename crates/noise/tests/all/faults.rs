//! Faults say who, what, and the numbers.

use noise::{Act, Culprit, Fault, Flaw, Sealed, Stored};

#[test]
fn a_fault_reads_as_a_sentence_with_its_numbers() {
    for (fault, culprit, want) in [
        (
            Fault::Version { act: Act::Two, got: 7, want: 0 },
            Culprit::Peer,
            "peer: act two has version 7, not 0",
        ),
        (
            Fault::Cut { act: Act::Three, got: 65, want: 66 },
            Culprit::Peer,
            "peer: the connection ended after 65 of the 66 bytes of act three",
        ),
        (
            Fault::Mac { sealed: Sealed::Body { rn: 999 } },
            Culprit::Peer,
            "peer: the tag of the body with nonce 999 does not fit",
        ),
        (
            Fault::TooLong { got: 65_536, max: 65_535 },
            Culprit::Caller,
            "caller: a message of 65536 bytes, 65535 at most",
        ),
        (
            Fault::Unasked { state: "dialing", answer: "verified" },
            Culprit::KeyHolder,
            "key holder: `verified` was not asked for by a core in state `dialing`",
        ),
        (
            Fault::Stored {
                stored: Stored::TransportState,
                flaw: Flaw::Nonce { field: "sn", got: 1_000, max: 999 },
            },
            Culprit::Stored,
            "stored: transport state: `sn` is 1000, 999 at most",
        ),
    ] {
        assert_eq!(fault.culprit(), culprit);
        assert_eq!(fault.to_string(), want);
    }
}
