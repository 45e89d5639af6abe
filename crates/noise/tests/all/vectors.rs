//! BOLT 8, appendix A: the values, as our own table.

use noise::{Act, Fault, Sealed};

use crate::parties::Opened;

pub const INITIATOR_KEY: [u8; 32] = [0x11; 32];
pub const INITIATOR_EPHEMERAL: [u8; 32] = [0x12; 32];
pub const RESPONDER_KEY: [u8; 32] = [0x21; 32];
pub const RESPONDER_EPHEMERAL: [u8; 32] = [0x22; 32];
pub const INITIATOR_ID: &str = "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa";
pub const RESPONDER_ID: &str = "028d7500dd4c12685d1f568b4c2b5048e8534b873319f3a8daa612b469132ec7f7";

pub const ACT1: &str = "00036360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f7\
    0df6086551151f58b8afe6c195782c6a";
pub const ACT2: &str = "0002466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27\
    6e2470b93aac583c9ef6eafca3f730ae";
pub const ACT3: &str = "00b9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa2235536\
    1aa02e55a8fc28fef5bd6d71ad0c38228dc68b1c466263b47fdf31e560e139ba";

/// `ck`, `h` and `temp_k2` after act two, `ck` after act three, `sk` and `rk` of the initiator.
pub const CK_ACT2: &str = "e89d31033a1b6bf68c07d22e08ea4d7884646c4b60a9528598ccb4ee2c8f56ba";
pub const H_ACT2: &str = "90578e247e98674e661013da3c5c1ca6a8c8f48c90b485c0dfa1494e23d56d72";
pub const TEMP_K2: &str = "908b166535c01a935cf1e130a5fe895ab4e6f3ef8855d87e9b7581c4ab663ddc";
pub const CK: &str = "919219dbb2920afa8db80f9a51787a840bcf111ed8d588caf9ab4be716e42b01";
pub const SK: &str = "969ab31b4d288cedf6218839b27a3e2140827047f2c0f01bf5c04435d43511a9";
pub const RK: &str = "bb9020b8965f4df047e07f955f3c4b88418984aadc5cdb35096b9ea8fa5c3442";

/// What an initiator is sent, and what comes of it.
pub struct InitiatorCase {
    pub name: &'static str,
    pub act2: &'static str,
    pub want: Result<(), Fault>,
}

pub const INITIATOR: [InitiatorCase; 5] = [
    InitiatorCase { name: "successful handshake", act2: ACT2, want: Ok(()) },
    InitiatorCase {
        name: "act2 short read test",
        act2: "0002466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27\
            6e2470b93aac583c9ef6eafca3f730",
        want: Err(Fault::Cut { act: Act::Two, got: 49, want: 50 }),
    },
    InitiatorCase {
        name: "act2 bad version test",
        act2: "0102466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27\
            6e2470b93aac583c9ef6eafca3f730ae",
        want: Err(Fault::Version { act: Act::Two, got: 1, want: 0 }),
    },
    InitiatorCase {
        name: "act2 bad key serialization test",
        act2: "0004466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27\
            6e2470b93aac583c9ef6eafca3f730ae",
        want: Err(Fault::Point { act: Act::Two, prefix: 4 }),
    },
    InitiatorCase {
        name: "act2 bad MAC test",
        act2: "0002466d7fcae563e5cb09a0d1870bb580344804617879a14949cf22285f1bae3f27\
            6e2470b93aac583c9ef6eafca3f730af",
        want: Err(Fault::Mac { sealed: Sealed::ActTwo }),
    },
];

/// What a responder is sent, and what comes of it. An empty act three is never sent.
pub struct ResponderCase {
    pub name: &'static str,
    pub act1: &'static str,
    pub act3: &'static str,
    pub want: Result<(), Fault>,
}

pub const RESPONDER: [ResponderCase; 10] = [
    ResponderCase { name: "successful handshake", act1: ACT1, act3: ACT3, want: Ok(()) },
    ResponderCase {
        name: "act1 short read test",
        act1: "00036360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f7\
            0df6086551151f58b8afe6c195782c",
        act3: "",
        want: Err(Fault::Cut { act: Act::One, got: 49, want: 50 }),
    },
    ResponderCase {
        name: "act1 bad version test",
        act1: "01036360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f7\
            0df6086551151f58b8afe6c195782c6a",
        act3: "",
        want: Err(Fault::Version { act: Act::One, got: 1, want: 0 }),
    },
    ResponderCase {
        name: "act1 bad key serialization test",
        act1: "00046360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f7\
            0df6086551151f58b8afe6c195782c6a",
        act3: "",
        want: Err(Fault::Point { act: Act::One, prefix: 4 }),
    },
    ResponderCase {
        name: "act1 bad MAC test",
        act1: "00036360e856310ce5d294e8be33fc807077dc56ac80d95d9cd4ddbd21325eff73f7\
            0df6086551151f58b8afe6c195782c6b",
        act3: "",
        want: Err(Fault::Mac { sealed: Sealed::ActOne }),
    },
    ResponderCase {
        name: "act3 bad version test",
        act1: ACT1,
        act3: "01b9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa2235536\
            1aa02e55a8fc28fef5bd6d71ad0c38228dc68b1c466263b47fdf31e560e139ba",
        want: Err(Fault::Version { act: Act::Three, got: 1, want: 0 }),
    },
    ResponderCase {
        name: "act3 short read test",
        act1: ACT1,
        act3: "00b9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa2235536\
            1aa02e55a8fc28fef5bd6d71ad0c38228dc68b1c466263b47fdf31e560e139",
        want: Err(Fault::Cut { act: Act::Three, got: 65, want: 66 }),
    },
    ResponderCase {
        name: "act3 bad MAC for ciphertext test",
        act1: ACT1,
        act3: "00c9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa2235536\
            1aa02e55a8fc28fef5bd6d71ad0c38228dc68b1c466263b47fdf31e560e139ba",
        want: Err(Fault::Mac { sealed: Sealed::ActThreeKey }),
    },
    ResponderCase {
        name: "act3 bad rs test",
        act1: ACT1,
        act3: "00bfe3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa2235536\
            ad09a8ee351870c2bb7f78b754a26c6cef79a98d25139c856d7efd252c2ae73c",
        // BOLT 8's comment shows 04 from another ciphertext; this one decrypts to a prefix of 05.
        want: Err(Fault::Point { act: Act::Three, prefix: 5 }),
    },
    ResponderCase {
        name: "act3 bad MAC test",
        act1: ACT1,
        act3: "00b9e3a702e93e3a9948c2ed6e5fd7590a6e1c3a0344cfc9d5b57357049aa2235536\
            1aa02e55a8fc28fef5bd6d71ad0c38228dc68b1c466263b47fdf31e560e139bb",
        want: Err(Fault::Mac { sealed: Sealed::ActThreeEnd }),
    },
];

/// What the initiator's n-th "hello" looks like on the wire.
pub const HELLO: [(usize, &str); 6] = [
    (0, "cf2b30ddf0cf3f80e7c35a6e6730b59fe802473180f396d88a8fb0db8cbcf25d2f214cf9ea1d95"),
    (1, "72887022101f0b6753e0c7de21657d35a4cb2a1f5cde2650528bbc8f837d0f0d7ad833b1a256a1"),
    (500, "178cb9d7387190fa34db9c2d50027d21793c9bc2d40b1e14dcf30ebeeeb220f48364f7a4c68bf8"),
    (501, "1b186c57d44eb6de4c057c49940d79bb838a145cb528d6e8fd26dbe50a60ca2c104b56b60e45bd"),
    (1000, "4a2f3cc3b5e78ddb83dcb426d9863d9d9a723b0337c89dd0b005d89f8d3c05c52b76b29b740f09"),
    (1001, "2ecd8c8a5629d0d02ab457a0fdd0f7b90a192cd46be5ecb6ca570bfc5e268338b1a16cf4ef2d36"),
];

/// What a successful initiator has in the end, act one and three sent.
pub fn opened_initiator() -> Opened {
    Opened {
        sent: [bytes(ACT1), bytes(ACT3)].concat(),
        remote: bytes(RESPONDER_ID),
        state: state(SK, RK),
    }
}

/// What a successful responder has in the end, act two sent.
pub fn opened_responder() -> Opened {
    Opened { sent: bytes(ACT2), remote: bytes(INITIATOR_ID), state: state(RK, SK) }
}

/// A transport right after the handshake, in the documented layout.
pub fn state(sk: &str, rk: &str) -> Vec<u8> {
    bytes(&format!("01{sk}{CK}0000{rk}{CK}00000000"))
}

pub fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

pub fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}
