//! Rows of BOLT 4: `onion-test.json`, `onion-error-test.json`, and the trace of a failure in the
//! text.

use secp256k1::SecretKey;
use sphinx::{AssociatedData, Hop, Hops, Onion, SessionKey};
use wire::{id::PaymentHash, key::Point};

/// The session key of both.
pub const SESSION: [u8; 32] = [0x41; 32];

/// What the onion is bound to.
pub const DATA: AssociatedData = AssociatedData::Payment(PaymentHash([0x42; 32]));

/// Private keys of the hops: bytes that are all the same.
pub const NODES: [u8; 5] = [0x41, 0x42, 0x43, 0x44, 0x45];

/// Their public keys.
pub const PUBLIC: [&str; 5] = [
    "02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619",
    "0324653eac434488002cc06bbfb7f10fe18991e35f9fe4302dbea6d2353dc0ab1c",
    "027f31ebc5462c1fdce1b737ecff52d37d75dea43ce11c74d25aa297165faa2007",
    "032c0b7cf95324a07d05398b240174dc0c2be444d96b159aa6c7f7b1e668680991",
    "02edabbd16b41c8371b92ef2f04c1185b4f03b6dcd52ba9b78d9d7c89c8f221145",
];

/// What they are told, without the lengths.
pub const PAYLOADS: [&str; 5] = [
    "02023a98040205dc06080000000000000001",
    "020236b00402057806080000000000000002fd02013c0102030405060708090a0b0c0d0e0f01020304050607\
     08090a0b0c0d0e0f0102030405060708090a0b0c0d0e0f0102030405060708090a0b0c0d0e0f",
    "020230d4040204e206080000000000000003",
    "02022710040203e806080000000000000004",
    "02022710040203e8082224a33562c54507a9334e79f0dc4f17d407e6d7c61f0e2f3d0d38599502f617042710\
     fd012de02a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a\
     2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a\
     2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a\
     2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a\
     2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a\
     2a2a2a2a2a2a2a2a",
];

/// The packet for the first hop.
pub const ONION: &str = "\
     0002eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619f7f3416a5aa36dc7eeb3\
     ec6d421e9615471ab870a33ac07fa5d5a51df0a8823aabe3fea3f90d387529d4f72837f9e687230371ccd8d2\
     63072206dbed0234f6505e21e282abd8c0e4f5b9ff8042800bbab065036eadd0149b37f27dde664725a49866\
     e052e809d2b0198ab9610faa656bbf4ec516763a59f8f42c171b179166ba38958d4f51b39b3e98706e2d14a2\
     dafd6a5df808093abfca5aeaaca16eded5db7d21fb0294dd1a163edf0fb445d5c8d7d688d6dd9c541762bf5a\
     5123bf9939d957fe648416e88f1b0928bfa034982b22548e1a4d922690eecf546275afb233acf43239746807\
     79f1a964cfe687456035cc0fba8a5428430b390f0057b6d1fe9a8875bfa89693eeb838ce59f09d207a503ee6\
     f6299c92d6361bc335fcbf9b5cd44747aadce2ce6069cfdc3d671daef9f8ae590cf93d957c9e873e9a1bc62d\
     9640dc8fc39c14902d49a1c80239b6c5b7fd91d05878cbf5ffc7db2569f47c43d6c0d27c438abff276e87364\
     deb8858a37e5a62c446af95d8b786eaf0b5fcf78d98b41496794f8dcaac4eef34b2acfb94c7e8c32a9e9866a\
     8fa0b6f2a06f00a1ccde569f97eec05c803ba7500acc96691d8898d73d8e6a47b8f43c3d5de74458d20eda61\
     474c426359677001fbd75a74d7d5db6cb4feb83122f133206203e4e2d293f838bf8c8b3a29acb321315100b8\
     7e80e0edb272ee80fda944e3fb6084ed4d7f7c7d21c69d9da43d31a90b70693f9b0cc3eac74c11ab8ff65590\
     5688916cfa4ef0bd04135f2e50b7c689a21d04e8e981e74c6058188b9b1f9dfc3eec6838e9ffbcf22ce738d8\
     a177c19318dffef090cee67e12de1a3e2a39f61247547ba5257489cbc11d7d91ed34617fcc42f7a9da2e3cf3\
     1a94a210a1018143173913c38f60e62b24bf0d7518f38b5bab3e6a1f8aeb35e31d6442c8abb5178efc892d2e\
     787d79c6ad9e2fc271792983fa9955ac4d1d84a36c024071bc6e431b625519d556af38185601f70e29035ea6\
     a09c8b676c9d88cf7e05e0f17098b584c4168735940263f940033a220f40be4c85344128b14beb9e75696db3\
     7014107801a59b13e89cd9d2258c169d523be6d31552c44c82ff4bb18ec9f099f3bf0e5b1bb2ba9a87d7e26f\
     98d294927b600b5529c47e04d98956677cbcee8fa2b60f49776d8b8c367465b7c626da53700684fb6c918ead\
     0eab8360e4f60edd25b4f43816a75ecf70f909301825b512469f8389d79402311d8aecb7b3ef8599e79485a4\
     388d87744d899f7c47ee644361e17040a7958c8911be6f463ab6a9b2afacd688ec55ef517b38f1339efc5448\
     7232798bb25522ff4572ff68567fe830f92f7b8113efce3e98c3fffbaedce4fd8b50e41da97c0c08e423a726\
     89cc68e68f752a5e3a9003e64e35c957ca2e1c48bb6f64b05f56b70b575ad2f278d57850a7ad568c24a4d32a\
     3d74b29f03dc125488bc7c637da582357f40b0a52d16b3b40bb2c2315d03360bc24209e20972c200566bcf3b\
     be5c5b0aedd83132a8a4d5b4242ba370b6d67d9b67eb01052d132c7866b9cb502e44796d9d356e4e3cb47cc5\
     27322cd24976fe7c9257a2864151a38e568ef7a79f10d6ef27cc04ce382347a2488b1f404fdbf407fe1ca1c9\
     d0d5649e34800e25e18951c98cae9f43555eef65fee1ea8f15828807366c3b612cd5753bf9fb8fced08855f7\
     42cddd6f765f74254f03186683d646e6f09ac2805586c7cf11998357cafc5df3f285329366f475130c928b2d\
     ceba4aa383758e7a9d20705c4bb9db619e2992f608a1ba65db254bb389468741d0502e2588aeb54390ac600c\
     19af5c8e61383fc1bebe0029e4474051e4ef908828db9cca13277ef65db3fd47ccc2179126aaefb627719f42\
     1e20";

/// What each hop shares with the origin.
pub const SHARED: [&str; 5] = [
    "53eb63ea8a3fec3b3cd433b85cd62a4b145e1dda09391b348c4e1cd36a03ea66",
    "a6519e98832a0b179f62123b3567c106db99ee37bef036e783263602f3488fae",
    "3a6b412548762f0dbccce5c7ae7bb8147d1caf9b5471c34120b30bc9c04891cc",
    "21e13c2d7cfe7e18836df50872466117a295783ab8aab0e7ecc8c725503ad02d",
    "b5756b9b542727dbafc6765a49488b023a725d631af688fc031217e90770c328",
];

/// `um` of the last hop.
pub const UM: &str = "4da7f2923edce6c2d85987d1d9fa6d88023e6c3a9c3d20f07d3b10b61a78d646";

/// `ammag` of each hop.
pub const AMMAG: [&str; 5] = [
    "3761ba4d3e726d8abb16cba5950ee976b84937b61b7ad09e741724d7dee12eb5",
    "59ee5867c5c151daa31e36ee42530f429c433836286e63744f2020b980302564",
    "1bf08df8628d452141d56adfd1b25c1530d7921c23cecfc749ac03a9b694b0d3",
    "cd9ac0e09064f039fa43a31dea05f5fe5f6443d40a98be4071af4a9d704be5ad",
    "2f36bb8822e1f0d04c27b7d8bb7d7dd586e032a3218b8d414afbba6f169a4d68",
];

/// The failure `temporary_node_failure` of the last hop, as it reaches the origin.
pub const REASON: &str = "\
     9c5add3963fc7f6ed7f148623c84134b5647e1306419dbe2174e523fa9e2fbed3a06a19f899145610741c83a\
     d40b7712aefaddec8c6baf7325d92ea4ca4d1df8bce517f7e54554608bf2bd8071a4f52a7a2f7ffbb1413eda\
     d81eeea5785aa9d990f2865dc23b4bc3c301a94eec4eabebca66be5cf638f693ec256aec514620cc28ee4a94\
     bd9565bc4d4962b9d3641d4278fb319ed2b84de5b665f307a2db0f7fbb757366067d88c50f7e829138fde4f7\
     8d39b5b5802f1b92a8a820865af5cc79f9f30bc3f461c66af95d13e5e1f0381c184572a91dee1c849048a647\
     a1158cf884064deddbf1b0b88dfe2f791428d0ba0f6fb2f04e14081f69165ae66d9297c118f0907705c9c495\
     4a199bae0bb96fad763d690e7daa6cfda59ba7f2c8d11448b604d12d";

/// The trace: what the last hop puts before its failure.
pub const TRACED_HMAC: &str = "fda7e11974f78ca6cc456f2d17ae54463664696e93842548245dd2a2c513a626";

/// The trace: the failure without its last 300 bytes, which are 128 each: 320 in all, and behind
/// them 704 bytes of padding.
pub const TRACED_MESSAGE: &str = "400f0000000000000064000c3500fd84d1fd012c";

/// The trace: SHA-256 of the `reason` that each hop sends, the last hop first.
pub const TRACED: [&str; 5] = [
    "af9de55ab5c9355f9a438f96035a3d45be936b06d2383419457430db3d80db3b",
    "929b5202b7cddf44137ab09c9c9cce0b58d9d4d48d85d020a0dc1784527e56d3",
    "d7023647b46913b9c2ddc4f60178b1ced9e87cdb07fb16d25f0778f1d1d11efb",
    "325918ac1a2c14568c50ad5493b60cec6b05b66278121f48a47a0de6cf675f2e",
    "0709ced8da7a15dae982a2c0edfe44fefa1a2aab5db8e207f63890455799ec07",
];

pub fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "half a byte");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

pub fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

/// The private key of a hop.
pub fn node(hop: usize) -> SecretKey {
    SecretKey::from_slice(&[NODES[hop]; 32]).unwrap()
}

/// The onion of the rows, made by us.
pub fn onion() -> Onion {
    let hops = PUBLIC.iter().zip(PAYLOADS).map(|(node, payload)| Hop {
        node: Point::parse(&array(node)).unwrap(),
        payload: bytes(payload),
    });
    let session = SessionKey::take(&mut { SESSION }).unwrap();
    Hops::new(hops.collect()).unwrap().wrap(session, &DATA)
}
