//! Secrets are gone from memory once dropped: from the heap, and from the stack that was used.

use std::cell::RefCell;
use std::hint::black_box;
use std::mem::size_of;

use signer::{
    Answer, Cost, FILE_BYTES, FileKey, Frame, NodeIndex, NodeKey, Passphrase, SealedSeed, Seed,
    Signer, WalletKey, Words,
};
use wire::Network;
use wire::tick::Tick;

use crate::memory::{Needle, found_in_freed_blocks, found_on_dead_stack};
use crate::parties::{
    LINK, alice, bob, bob_id, ephemeral, file_key, handshake, node_key, parsed, passphrase, seed,
    step,
};
use crate::vectors::{FILE_24, NONCE, OZONE_12, PASSPHRASE, SALT, VOID_24, array, bytes};

/// Secrets on the way from [`VOID_24`] to its node on mainnet, computed by Python.
const SECRETS: &[&str] = &[
    // The entropy.
    "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
    // BIP 39's seed.
    "b873212f885ccffbf4692afcb84bc2e55886de2dfa07d90f5c3c239abc31c0a6\
     ce047e30fd8bf6a281e71389aa82d73df74c7bbfb3b06b4639a5cee775cccd3c",
    // Keys and chain codes from the master to the node.
    "b21fcb414b4414e9bcf7ae647a79a4d29280f6b71cba204cb4dd3d6c6568d0fc",
    "bbb5f26acee2e3713d43cf4e702f2b1ff8672afa9e0d5ac846196689e1d893d2",
    "4d15bdc42cd3843c5d2c25e2a740b90b601a4e83a77865c78b6782afaefbcc47",
    "8f47b7d1bf0444c642e8ab1769518a2e10d87534f4abdaee8a5d1f491f7680ae",
    "cfa7d3ef44152377b0661055a2318b2d51247791bf6471282edfd6763d85a22d",
    "bf039380c1515a6ecbaab85f038f5dcb45795ff5cefd82bf325692ffb7b67ba2",
    "b8c54c64834700aad3ade5bad95ebf7fa57e836ddeb3006d900aefbacae596d4",
    "fbacc2d8193d0559a4f7a698db79671e4bcdd66cfdf0ee6bf8a7ac1ca5c288f1",
    "45d47e900555cf403aa90d2ae5bb8d0e78e7140fcbaaa91271f6909d166933cb",
    "3089c3a22c44f1aa9f98776ebd0b886be074c252b2dda11e09cfe07f97be8b93",
    // The key of the file, and `horse battery` of its passphrase.
    "1a563099620be88a73c7bd53da0b313e98060493b58ba22254a065c3d7db26c3",
    "686f7273652062617474657279",
    // Keys from the master to the first output of the money, and the chain codes that no public key
    // has with it; the last one also as it is for an even key, and tweaked.
    "e74b3d007ced8c1ac8c8861c732d8a2852ae517a94997ccc2c14f1390d5428b0",
    "a6b7e07fa7c1b646b6262798f9cb721238c97d1ecfc32b6279c81526dd9124ee",
    "e2bbcf572409005103b6ac129c05e87bd613376228b94a73cb4f0d44d52d0d89",
    "bc1a516563564c03e28e16113de3c97530c3357cd2cd8fffdd0526739924e729",
    "425a9c702264e46a16307c649f7e6f9263b832ecdbf718aeebda7b8006516980",
    "acb659184e2ebbf29efcc773e61d71c1ed358afca66adc8bcd6171b450c87ff3",
    "8a1818c65adef86fd07620c8128fcc7a474b02f5fd0d29bd634c5910cfe7de3a",
    "75e7e739a52107902f89df37ed7033847363d9f0b23b767e5c86057c004e6307",
    "a719da5934b05ebb41ddec26bf55f88d465805a4d3a52c13fb9ddb2dd08ffb6f",
    // The ephemeral key of `parties::step`, and one of this file.
    "7777777777777777",
    "5151515151515151",
];

/// The word numbers of [`VOID_24`], as `bip39` keeps them.
fn word_numbers() -> Vec<u8> {
    let entropy = bytes(SECRETS[0]);
    let bit = |at: usize| u16::from(entropy[at / 8] >> (7 - at % 8) & 1);
    let number = |word: usize| (0..11).fold(0, |all, at| all << 1 | bit(word * 11 + at));
    (0..23).flat_map(|word| number(word).to_ne_bytes()).collect()
}

/// All pieces of eight bytes, from either end: curve arithmetic keeps numbers backwards.
fn needles() -> &'static [Needle] {
    let mut all: Vec<Needle> = Vec::new();
    let secrets = SECRETS.iter().map(|hex| bytes(hex)).chain([word_numbers()]);
    for secret in secrets {
        let backwards = secret.iter().rev().copied().collect();
        for secret in [secret, backwards] {
            all.extend(secret.windows(8).step_by(8).map(|piece| Needle::try_from(piece).unwrap()));
        }
    }
    Vec::leak(all)
}

fn derive() -> NodeKey {
    seed(VOID_24).node_key(Network::Bitcoin, NodeIndex::FIRST)
}

/// Has the money of [`VOID_24`] on mainnet; what it pays begins with the first output.
fn payer() -> Signer {
    let channels = crate::parties::channels(VOID_24);
    Signer::new(derive(), seed(VOID_24).wallet_key(Network::Bitcoin), channels)
}

fn seal() -> SealedSeed {
    SealedSeed::seal(
        &seed(VOID_24),
        Network::Regtest,
        Cost::STANDARD,
        &passphrase(PASSPHRASE),
        array(SALT),
        array(NONCE),
    )
    .ok()
    .unwrap()
}

#[test]
fn the_test_itself_sees_what_is_left() {
    let needles = needles();
    let entropy: [u8; 32] = array(SECRETS[0]);
    let heap = found_in_freed_blocks(needles, || drop(black_box(Box::new(entropy))));
    assert_eq!(heap, 4);
    let stack = || assert_eq!(black_box([entropy; 64]).len(), 64);
    assert!(found_on_dead_stack(needles, stack) >= 4);
    let large = vec![1u64; 1 << 18];
    assert_eq!(found_in_freed_blocks(needles, || drop(black_box(large))), 1 << 18);
    // And a library on its own leaves its secrets on the stack.
    let careless = || {
        use bitcoin::bip32::{ChildNumber, Xpriv};
        let master = Xpriv::new_master(Network::Bitcoin, &bytes(SECRETS[1])).unwrap();
        let step = ChildNumber::from_hardened_idx(9735).unwrap();
        black_box(master.derive_priv(secp256k1::SECP256K1, &[step]).unwrap());
    };
    assert!(found_on_dead_stack(needles, careless) > 8);
}

#[test]
fn no_freed_block_holds_a_secret() {
    let needles = needles();
    // Made beforehand, so that their making is not looked at here.
    let entropy: [u8; 32] = array(SECRETS[0]);
    file_key();
    let spend = crate::spends::plain();
    let works: [(&str, &dyn Fn()); 7] = [
        ("money", &|| drop(black_box(crate::spends::ask(&mut payer(), &spend)))),
        ("words", &|| assert_eq!(seed(VOID_24).words().iter().count(), 24)),
        ("entropy", &|| drop(Seed::take(&mut { entropy }))),
        ("derivation", &|| drop(derive())),
        ("signature", &|| drop(black_box(derive().sign_message(b"hi").to_string()))),
        ("file", &|| drop(seal().stretch(&passphrase(PASSPHRASE)))),
        ("open", &|| drop(parsed(FILE_24, Network::Regtest).open(file_key()))),
    ];
    for (name, work) in works {
        assert_eq!(found_in_freed_blocks(needles, work), 0, "{name}");
    }
}

#[test]
fn no_dead_stack_holds_a_secret() {
    let needles = needles();
    let void = seed(VOID_24);
    let key = derive();
    let file = parsed(FILE_24, Network::Regtest);
    file_key();
    let (spend, payer) = (crate::spends::plain(), RefCell::new(payer()));
    let pay = || drop(black_box(crate::spends::ask(&mut payer.borrow_mut(), &spend)));
    let works: [(&str, &dyn Fn()); 9] = [
        ("account", &|| drop(black_box(void.wallet_key(Network::Bitcoin)))),
        ("money", &pay),
        ("from words", &|| drop(black_box(Seed::from_words(VOID_24)))),
        ("to words", &|| drop(black_box(void.words()))),
        ("derivation", &|| drop(black_box(void.node_key(Network::Bitcoin, NodeIndex::FIRST)))),
        ("signature", &|| assert_ne!(key.sign_message(b"hi").bytes(), &[0; 65])),
        ("seal", &|| assert_ne!(seal().bytes(), &[0; FILE_BYTES])),
        ("stretch", &|| drop(black_box(file.stretch(&passphrase(PASSPHRASE))))),
        ("open", &|| drop(black_box(file.open(file_key())))),
    ];
    for (name, work) in works {
        assert_eq!(found_on_dead_stack(needles, work), 0, "{name}");
    }
}

type End<'a> = &'a dyn Fn(&mut Signer);

#[test]
fn handshakes_that_end_are_wiped() {
    let needles = needles();
    let dial = || handshake(1, noise::Ask::Dial { remote: bob_id() });
    let begun = || -> Signer {
        let mut alice = alice();
        drop(alice.answer(LINK, dial(), Tick(0), || ephemeral(0x51)));
        alice
    };
    let forget = signer::Ask::Forget { connection: signer::ConnectionId(1) };
    let ends: [(&str, End); 3] = [
        ("expired", &|signer| signer.expire(Tick(10_000))),
        ("unlinked", &|signer| signer.unlink(LINK)),
        ("forgotten", &|signer| {
            drop(signer.answer(LINK, forget.clone(), Tick(1), || panic!("drawn")));
        }),
    ];
    for (name, end) in ends {
        let mut signer = begun();
        assert_eq!(signer.handshakes(), 1);
        assert_eq!(found_in_freed_blocks(needles, || end(&mut signer)), 0, "{name}");
        assert_eq!(signer.handshakes(), 0, "{name}");
    }
    let signer = begun();
    assert_eq!(found_in_freed_blocks(needles, || drop(signer)), 0, "dropped");
}

#[test]
fn answers_on_their_way_are_wiped() {
    let (mut alice, mut bob) = (alice(), bob());
    let dial = noise::Ask::Dial { remote: bob_id() };
    let noise::Answer::Dialed { act1 } = step(&mut alice, 1, dial, 0) else { panic!("no act 1") };
    let respond = || handshake(1, noise::Ask::Respond { act1 });
    // The `HalfOpen` holds the ephemeral key as it was drawn.
    let needles = needles();
    let found = found_in_freed_blocks(needles, || {
        let frame = bob.answer(LINK, respond(), Tick(0), || ephemeral(0x51)).encode();
        let mut carried = frame.bytes().to_vec();
        assert!(carried.windows(8).any(|piece| piece == [0x51; 8]));
        assert!(Answer::decode(&mut carried).is_ok());
        let mut cut = frame.bytes()[..frame.bytes().len() - 1].to_vec();
        assert!(Answer::decode(&mut cut).is_err());
    });
    assert_eq!(found, 0);
}

#[test]
fn no_step_leaves_its_keys_on_the_stack() {
    let (mut alice, mut bob) = (alice(), bob());
    let dial = noise::Ask::Dial { remote: bob_id() };
    let noise::Answer::Dialed { act1 } = step(&mut alice, 1, dial, 0) else { panic!("no act 1") };
    let needles = needles();
    let mut frame = None;
    let found = found_on_dead_stack(needles, || {
        let respond = handshake(1, noise::Ask::Respond { act1 });
        frame = Some(bob.answer(LINK, respond, Tick(0), || ephemeral(0x51)).encode());
    });
    assert_eq!(found, 0, "asked");
    let mut carried = frame.unwrap().bytes().to_vec();
    assert!(carried.windows(8).any(|piece| piece == [0x51; 8]));
    let mut answer = None;
    let found = found_on_dead_stack(needles, || answer = Some(Answer::decode(&mut carried)));
    assert_eq!(found, 0, "carried");
    assert!(answer.unwrap().is_ok());
}

#[test]
fn what_is_taken_is_not_left_with_the_caller() {
    let mut scalar = array::<32>(SECRETS[10]);
    let key = NodeKey::take(&mut scalar).ok().unwrap();
    assert_eq!((scalar, key.id()), ([0; 32], derive().id()));
    let mut none = [0xff; 32];
    assert!(NodeKey::take(&mut none).is_err());
    assert_eq!(none, [0; 32]);
    let id = node_key(OZONE_12).id();
    assert_eq!(id, bob_id());
}

#[test]
fn what_travels_is_a_pointer_so_that_a_move_leaves_nothing_behind() {
    let pointer = size_of::<usize>();
    let seed = "how much of it counts, and what it was stretched to: a pointer, if it is there";
    assert_eq!(size_of::<Seed>(), 4 * pointer, "{seed}");
    assert_eq!(size_of::<Words>(), pointer);
    assert_eq!(size_of::<FileKey>(), pointer);
    assert_eq!(size_of::<Passphrase>(), 2 * pointer, "and its length");
    assert_eq!(size_of::<Frame>(), 3 * pointer, "a vector that does not grow");
    let identity = size_of::<noise::IdentityKey>();
    assert_eq!(size_of::<NodeKey>(), identity + pointer);
    let public = size_of::<Network>() + size_of::<signer::Account>();
    assert!(size_of::<WalletKey>() <= public + 2 * pointer, "and a pointer");
}
