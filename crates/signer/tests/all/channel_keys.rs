//! What the keys of channels follow from, frozen: whoever changes it loses everybody's channels.
//! The numbers were computed by a program of its own, from BIP 39, BIP 32, RFC 2104 and BOLT 3.

use signer::{ChannelAnswer, ChannelAsk, ChannelOp, Channels, NodeIndex, PAYMENT_KEYS, ShownKeys};
use tx::Templates;
use wire::Network;
use wire::id::ChannelKey;
use wire::key::Point;

use crate::parties::seed;
use crate::vectors::{ABANDON_12, array};

/// The first node's: network, the channel's name, and its keys: funding, revocation, payment,
/// delayed payment, HTLC, and the points of its commitments 0 and 1.
const FROZEN: &[(Network, &str, [&str; 7])] = &[
    (
        Network::Bitcoin,
        "0707070707070707070707070707070707070707070707070707070707070707",
        [
            "03a1b3d899ea32b02bb9b6bf080eba8b31efe4f30287e5e38700cbdece83cda4cd",
            "03cdc940c9bcb9921fde420a153dfa510aacd7692d21a7b349b49b0fd4af714131",
            "03b7c3c55f011c01b537db860f7b4fec3892918ff84c241b38d1a5ab5d359a3d47",
            "0291b952eaed2e712ebac14e3e7b260f6971288c47dfecd07cb9fd24d740737c36",
            "02091dd70e849e31361038c0b4bba853e0b3046a349f132559b6bdd4ae66e2a6c2",
            "028f792c1ac118868428dbcab801e1df64331af84b6f1956f9b69fdd10f776ca81",
            "032c61c352b5b2ae4a9894fa7f938671e2f6ad488541a5ed5496554da775ac1a8f",
        ],
    ),
    (
        Network::Bitcoin,
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        [
            "02bd3155e79352df2d27d9f32a3b78bc737f52d4b8118f9a8ddc8dae53d59804cc",
            "03dd02713b745928fb253771b17bab838dbab026ad7fc5401b80c272fab688997d",
            "02f719cb535203ff364bfa0ead11ba487d5ff4ff966d2dce0fd8b74406ee4305e4",
            "02a2e382be596a96d9d80ea7461a80ef37548a306b3f6479e6097b5feacb9bc1e4",
            "023c1328c5088204f0ff13081cb61acbf44b615d422c93d365556f4544f8824f3c",
            "037f7e11cefd7f8aaee514fb157bbb1c32e5e46724e93812398cc86467fc324ea6",
            "0227532ca01c04b37fc949a09747da2a7af7624adb999de74a1242187a7e8b9fbd",
        ],
    ),
    (
        Network::Regtest,
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        [
            "03820ca48c7b23815badd0b511d8282f9cb2216e356391e4849a23c227a147cdb5",
            "02dc8b030c409018c7eac62952416ee6b289acf15609c4d5f99b46da27be7f7bb0",
            "03f830f917748d52e1dc2f3dddc77d0bb81962cb0523b2799341ce359d823144b0",
            "03625b1d59a93288af316ff4ef42dee84101ae097578e10b59a6c6c0b6caedc181",
            "036509ed6d29599777f89024d5fa1a1f993716f168cbccf6c069b04c8ed70596cd",
            "03da25decec4adc70812bac6b69e7755a5031dd2a13a0351bfbbf0804f4d50c2c8",
            "02f74fa3e86e1facf38912273dbfa7f40d2cf204877b912d24707baf8ba7423f5a",
        ],
    ),
];

fn shown(network: Network, channel: ChannelKey) -> ShownKeys {
    let keys = seed(ABANDON_12).channel_keys(network, NodeIndex::FIRST);
    let channels = Channels::new(keys, Templates::bolt3());
    match channels.decide(&ChannelAsk { channel, op: ChannelOp::Keys }) {
        Ok((None, ChannelAnswer::Keys(keys))) => *keys,
        Ok(_) | Err(_) => panic!("keys are shown, and nothing changes"),
    }
}

fn point(hex: &str) -> Point {
    Point::parse(&array(hex)).unwrap()
}

#[test]
fn the_keys_of_channels_are_frozen() {
    for (network, name, want) in FROZEN {
        let keys = shown(*network, ChannelKey(array(name)));
        let base = keys.basepoints;
        let got = [
            keys.funding_key,
            base.revocation,
            base.payment,
            base.delayed_payment,
            base.htlc,
            keys.points[0],
            keys.points[1],
        ];
        assert_eq!(got, want.map(point), "{name} on {network}");
    }
}

#[test]
fn whoever_has_only_the_words_finds_what_peers_have_paid_out() {
    let name = |number: u64| {
        let mut name = [3; 32];
        name[24..].copy_from_slice(&number.to_be_bytes());
        ChannelKey(name)
    };
    let payment = |number| shown(Network::Bitcoin, name(number)).basepoints.payment;
    // Whatever else the name says, the payment key is one of those.
    assert_eq!(payment(0), payment(PAYMENT_KEYS));
    assert_eq!(payment(335), point(FROZEN[1].2[2]));
    assert_ne!(payment(0), payment(1));
    let other = shown(Network::Bitcoin, name(PAYMENT_KEYS));
    assert_ne!(shown(Network::Bitcoin, name(0)).funding_key, other.funding_key);
}
