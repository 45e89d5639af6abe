//! Numbers that others have computed.

use noise::PublicKey;

pub fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

pub fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|c| (c as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

pub fn point(hex: &str) -> PublicKey {
    PublicKey::from_slice(&array::<33>(hex)).unwrap()
}

pub const ABANDON_12: &str = "abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon abandon about";
pub const ABANDON_24: &str = "abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
    abandon abandon abandon abandon art";
pub const OZONE_12: &str =
    "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic";
pub const HAMSTER_24: &str = "hamster diagram private dutch cause delay private meat slide \
    toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay \
    length";
pub const VOID_24: &str = "void come effort suffer camp survey warrior heavy shoot primary clutch \
    crush open amazing screen patrol group space point ten exist slush involve unfold";

/// Entropy and words, of BIP 39's own vectors.
pub const WORDS: &[(&str, &str)] = &[
    ("00000000000000000000000000000000", ABANDON_12),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank yellow",
    ),
    (
        "80808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
    ),
    ("ffffffffffffffffffffffffffffffff", "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"),
    ("9e885d952ad362caeb4efe34a8e91bd2", OZONE_12),
    ("0000000000000000000000000000000000000000000000000000000000000000", ABANDON_24),
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage \
         worth useful legal winner thank year wave sausage worth title",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo \
         zoo vote",
    ),
    ("68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c", HAMSTER_24),
    ("f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f", VOID_24),
];

/// Words and the seed made of them with the passphrase `TREZOR`, of BIP 39's own vectors.
pub const TREZOR: &[(&str, &str)] = &[
    (
        ABANDON_12,
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c9\
         2f2cf141630c7a3c4ab7c81b2f001698e7463b04",
    ),
    (
        VOID_24,
        "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0e35524a518034ddc1192e1da\
         cd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998",
    ),
];

/// Seed, hardened path, extended key: of BIP 32's own vectors 1, 3 and 4.
pub const BIP32: &[(&str, &[u32], &str)] = &[
    (
        "000102030405060708090a0b0c0d0e0f",
        &[],
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNN\
         U3TGtRBeJgk33yuGBxrMPHi",
    ),
    (
        "000102030405060708090a0b0c0d0e0f",
        &[0],
        "xprv9uHRZZhk6KAJC1avXpDAp4MDc3sQKNxDiPvvkX8Br5ngLNv1TxvUxt4cV1rGL5hj6KCesnDYUhd7oWgT11eZ\
         G7XnxHrnYeSvkzY7d2bhkJ7",
    ),
    (
        "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f863b8d5a\
         b5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be",
        &[0],
        "xprv9uPDJpEQgRQfDcW7BkF7eTya6RPxXeJCqCJGHuCJ4GiRVLzkTXBAJMu2qaMWPrS7AANYqdq6vcBcBUdJCVVF\
         ceUvJFjaPdGZ2y9WACViL4L",
    ),
    (
        "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678",
        &[],
        "xprv9s21ZrQH143K48vGoLGRPxgo2JNkJ3J3fqkirQC2zVdk5Dgd5w14S7fRDyHH4dWNHUgkvsvNDCkvAwcSHNAQ\
         whwgNMgZhLtQC63zxwhQmRv",
    ),
    (
        "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678",
        &[0],
        "xprv9vB7xEWwNp9kh1wQRfCCQMnZUEG21LpbR9NPCNN1dwhiZkjjeGRnaALmPXCX7SgjFTiCTT6bXes17boXtjq3\
         xLpcDjzEuGLQBM5ohqkao9G",
    ),
    (
        "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678",
        &[0, 1],
        "xprv9xJocDuwtYCMNAo3Zw76WENQeAS6WGXQ55RCy7tDJ8oALr4FWkuVoHJeHVAcAqiZLE7Je3vZJHxspZdFHfnB\
         EjHqU5hG1Jaj32dVoS6XLT1",
    ),
];

/// Words, coin, index and node id: frozen. Computed by Python's `hashlib`, `hmac` and 40 lines of
/// curve arithmetic, which shares nothing with the crates that we use.
pub const NODES: &[(&str, u32, u32, &str)] = &[
    (ABANDON_12, 0, 0, "025556051b018c55c1560bbc9ad1d6ca89829e37fd4f1b7c61e22956fdc190843f"),
    (ABANDON_12, 1, 0, "03d109254b90c06a9947e2033ebbdf2e4e91ede654e79317d48a8993401e5dab16"),
    (ABANDON_24, 0, 0, "03ad2b8807a12cb726734edbc16ff593bda6b83341a8bf6543793a449ed8048542"),
    (ABANDON_24, 1, 1, "03fcf70b82cf1a0d59917f21c200eef39744633fd576a3637e98d16365e00cf589"),
    (OZONE_12, 0, 1, "02005ca12dac1df7ea78856778f31c995a6fe901b0862d1c448faf11fa52b85be2"),
    (
        OZONE_12,
        1,
        0x7fff_ffff,
        "02438bc8ce7228885ba2447ab02755b95a0f779c9976a7ade957581556d050b011",
    ),
    (VOID_24, 0, 0, "03740186aa5cbe524251e57e85c3bd58e5c3c58fb3d41265495f87f947c7d251d2"),
    (VOID_24, 0, 1, "02cac2c443e706fc6d834a9193d5318f0400cc9956d66130029dabaaf4da1bf6fd"),
    (VOID_24, 0, 0x7fff_ffff, "0235e0aa627c3a292ea47152c87f893f485b1d28970b94a43492ab02681497f9cf"),
    (VOID_24, 1, 0, "0368d23b1cce56e538147a82942f763bfbbbedf2bfa34f1c6173649a1eefcd1e10"),
];

/// Who made it, message, signature, node id. From the tests of Core Lightning, where users of LND
/// left three, and of LDK.
pub const SIGNED: &[(&str, &str, &str, &str)] = &[
    (
        "LND: @bitconner",
        "is this compatible?",
        "rbgfioj114mh48d8egqx8o9qxqw4fmhe8jbeeabdioxnjk8z3t1ma1hu1fiswpakgucwwzwo6ofycffbsqusqdim\
         ugbh41n1g698hr9t",
        "02b80cabdf82638aac86948e4c06e82064f547768dcef977677b9ea931ea75bab5",
    ),
    (
        "LND: @duck1123",
        "hi",
        "rnrphcjswusbacjnmmmrynh9pqip7sy5cx695h6mfu64iac6qmcmsd8xnsyczwmpqp9shqkth3h4jmkgyqu5z47j\
         fn1q7gpxtaqpx4xg",
        "02de60d194e1ca5947b59fe8e2efd6aadeabfb67f2e89e13ae1a799c1e08e4a43b",
    ),
    (
        "LND: @jochemin",
        "hi",
        "ry8bbsopmduhxy3dr5d9ekfeabdpimfx95kagdem7914wtca79jwamtbw4rxh69hg7n6x9ty8cqk33knbxaqftgx\
         sfsaeprxkn1k48p3",
        "022b8ece90ee891cbcdac0c1cc6af46b73c47212d8defbce80265ac81a6b794931",
    ),
    (
        "LDK",
        "test message",
        "d9tibmnic9t5y41hg7hkakdcra94akas9ku3rmmj4ag9mritc8ok4p5qzefs78c9pqfhpuftqqzhydbdwfg7u6w6\
         wdxcqpqn4sj4e73e",
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    ),
];

pub const KEY_ONE: &str = "0000000000000000000000000000000000000000000000000000000000000001";
pub const KEY_ELEVENS: &str = "1111111111111111111111111111111111111111111111111111111111111111";
pub const KEY_RANDOM: &str = "e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734";

/// Key, message and signature, as LND's library makes it (btcec's `SignCompact`).
pub const BTCEC: &[(&str, &str, &str)] = &[
    (
        KEY_ONE,
        "",
        "20cf2dbee488a97471ef6338860e208bcb85cbdca19d5906b298fd1be065791a8e21718d0060bc7733e4b53a\
         d1f427c103d09c4619a6d42e5774c73aa0b59a3c15",
    ),
    (
        KEY_ONE,
        "hi",
        "1fdb6b10757ffec34c53240f903ccc46f019abb736642c30db4438c83b32ff16732f22e75f23e057b2d8fc49\
         3018dc1ea5b9ba021d64ba5827ed78750ee6a41759",
    ),
    (
        KEY_ELEVENS,
        "is this compatible?",
        "20fbc70ebd8cfb7ffe2f1add2976e5773deabc638cfad25edf23acfa0690ccfdca5ee248dbb0f7d23c6d2475\
         91a059145d8dcbed50edf9d31c2be327e73a168447",
    ),
    (
        KEY_ELEVENS,
        "Lightning Signed Message: nested",
        "1f188dc454274091bdb6eb07b62c4bb16189797e7dcb354872933d62ba5c1a883a2190e29fa33fdb387389d5\
         f6a608abb61d2dace9421098749b964eefb7cb40a6",
    ),
    (
        KEY_RANDOM,
        "hi",
        "206b2ed7945aa1f56a5e47469ff77079a66072363b6298adbbd02a25478cd3781f43bdf8231599a6916592b4\
         fcdece25f053b265fce86d394083f2af1a64d800f0",
    ),
    (
        KEY_RANDOM,
        "Lightning Signed Message: nested",
        "1f0297812c62d87eaa036ca6bd1b9b0f7fccca387f3bc58080a1036c8682dccc1f7bfb3c4a76efc3f982123a\
         5f881e4ce1b764cfc29670af342f6eefd29781f854",
    ),
];

pub const PASSPHRASE: &str = "correct horse battery staple";
pub const SALT: &str = "101112131415161718191a1b1c1d1e1f";
pub const NONCE: &str = "404142434445464748494a4b4c4d4e4f5051525354555657";
/// [`VOID_24`] on regtest under [`PASSPHRASE`] at the standard cost, sealed by libsodium 1.0.
pub const FILE_24: &str = "6c65796473656564010300010000000000030000000110111213141516171819\
    1a1b1c1d1e1f404142434445464748494a4b4c4d4e4f5051525354555657bedf091f797c055acafab4a1850bf890\
    19c40e30894d261af5be2d2f83ea6a20c72b20123849bcfb9d99563fe5ab8a79d2";
/// [`OZONE_12`] in the same way.
pub const FILE_12: &str = "6c65796473656564010300010000000000030000000110111213141516171819\
    1a1b1c1d1e1f404142434445464748494a4b4c4d4e4f50515253545556578eb40483f6ba8435b56c290c77364539\
    d14dbc3f39282f7c0fb4b040f717f2bd481433e8ce75fd7a00c7f4cbde7c73e036";
/// In the same way, 17 bytes of entropy.
pub const FILE_17: &str = "6c65796473656564010300010000000000030000000110111213141516171819\
    1a1b1c1d1e1f404142434445464748494a4b4c4d4e4f50515253545556578fb40483f6ba8435b56c290c77364539\
    d14dbc3f39282f7c0fb4b040f717f2bd48ef0ec205a4dbef93fd8b67f12c471c93";
/// In the same way, 16 bytes of entropy and a one behind them.
pub const FILE_16_AND_MORE: &str = "6c6579647365656401030001000000000003000000011011121314151617\
    18191a1b1c1d1e1f404142434445464748494a4b4c4d4e4f50515253545556578eb40483f6ba8435b56c290c7736\
    4539d14dbc3f39282f7c0fb4b040f717f2bd49984a7e9697499bdf0eb498ab2d4f8f08";
/// [`VOID_24`] on mainnet under another passphrase at another cost, sealed by libsodium 1.0.
pub const FILE_DEAR: &str = "6c6579647365656401000001000800000004000000011011121314151617\
    18191a1b1c1d1e1f404142434445464748494a4b4c4d4e4f5051525354555657eae035f21dbbbb2c31639aa5019c\
    3b3eb62f8073de4dfb9a7d5fc2d53b04f7273712deb4d13ffe107d9203028dc2e7a6e4";
pub const PASSPHRASE_DEAR: &str = "pässword ✓";
pub const COST_DEAR: (u32, u32) = (65_544, 4);
