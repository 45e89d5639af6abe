//! The seed at rest: what libsodium wrote is read, what is written is what libsodium writes, and
//! everything else is refused.

use signer::{
    Cost, CostFault, FILE_BYTES, MEMORY_KIB_MAX, MEMORY_KIB_MIN, PASSES_MAX, PASSES_MIN,
    PASSPHRASE_BYTES_MAX, Passphrase, PassphraseFault, SealedSeed, SeedFileFault,
};
use wire::Network;

use crate::parties::{file_key, parsed, passphrase, seed, words_of};
use crate::vectors::{
    COST_DEAR, FILE_12, FILE_16_AND_MORE, FILE_17, FILE_24, FILE_DEAR, NONCE, OZONE_12, PASSPHRASE,
    PASSPHRASE_DEAR, SALT, VOID_24, array, bytes,
};

const REGTEST: Network = Network::Regtest;

fn parse_fault(bytes: &[u8]) -> Option<SeedFileFault> {
    SealedSeed::parse(bytes, REGTEST).err()
}

fn overwritten(places: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = bytes(FILE_24);
    for (at, new) in places {
        bytes[*at..*at + new.len()].copy_from_slice(new);
    }
    bytes
}

#[test]
fn files_of_libsodium_are_opened() {
    for (file, words) in [(FILE_24, VOID_24), (FILE_12, OZONE_12)] {
        let seed = parsed(file, REGTEST).open(file_key()).ok().unwrap();
        assert_eq!(words_of(&seed), words);
    }
    let dear = parsed(FILE_DEAR, Network::Bitcoin);
    assert_eq!((dear.cost().memory_kib(), dear.cost().passes()), COST_DEAR);
    let key = dear.stretch(&passphrase(PASSPHRASE_DEAR)).ok().unwrap();
    assert_eq!(words_of(&dear.open(&key).ok().unwrap()), VOID_24);
}

#[test]
fn what_is_sealed_is_what_libsodium_seals() {
    for (words, want) in [(VOID_24, FILE_24), (OZONE_12, FILE_12)] {
        let sealed = SealedSeed::seal(
            &seed(words),
            REGTEST,
            Cost::STANDARD,
            &passphrase(PASSPHRASE),
            array(SALT),
            array(NONCE),
        );
        assert_eq!(sealed.ok().unwrap().bytes().to_vec(), bytes(want));
    }
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let file = parsed(FILE_24, REGTEST);
    let key = file.stretch(&passphrase("correct horse battery stapler")).ok().unwrap();
    assert_eq!(file.open(&key).err(), Some(SeedFileFault::WrongPassphraseOrDamaged));
    // The key of another salt is as wrong.
    let other = overwritten(&[(22, &[0xff])]);
    let other = SealedSeed::parse(&other, REGTEST).ok().unwrap();
    let key = other.stretch(&passphrase(PASSPHRASE)).ok().unwrap();
    assert_eq!(file.open(&key).err(), Some(SeedFileFault::WrongPassphraseOrDamaged));
}

/// Even with the key of the file as it was: so no byte can change, whatever a change does to the
/// key.
#[test]
fn a_file_with_any_bit_flipped_is_refused() {
    let good = bytes(FILE_24);
    let mut opened = 0;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match SealedSeed::parse(&bytes, REGTEST) {
            Ok(file) => {
                opened += 1;
                let want = SeedFileFault::WrongPassphraseOrDamaged;
                assert_eq!(file.open(file_key()).err(), Some(want), "bit {bit}");
            }
            Err(_) => assert!(bit / 8 < 22, "bit {bit} is of no field that `parse` reads"),
        }
    }
    // Salt, nonce, content, tag; and what stays in range of memory and passes.
    assert!(opened > 8 * (FILE_BYTES - 22), "{opened}");
    assert!(SealedSeed::parse(&good, REGTEST).ok().unwrap().open(file_key()).is_ok());
}

#[test]
fn a_file_of_any_other_length_is_refused() {
    let good = bytes(FILE_24);
    for got in 0..good.len() {
        let want = SeedFileFault::Length { got, want: FILE_BYTES };
        assert_eq!(parse_fault(&good[..got]), Some(want));
    }
    for more in [1, 2, 100, 1_000_000] {
        let bytes = [good.clone(), vec![0; more]].concat();
        let want = SeedFileFault::Length { got: FILE_BYTES + more, want: FILE_BYTES };
        assert_eq!(parse_fault(&bytes), Some(want));
    }
}

#[test]
fn a_file_that_is_not_ours_is_refused() {
    let foreign = |got: &[u8; 8]| SeedFileFault::Foreign { got: *got };
    let version = |got| SeedFileFault::Version { got, want: 1 };
    let cost = |what, got, min, max| SeedFileFault::Cost(CostFault { what, got, min, max });
    let memory = |got| cost("memory in KiB", got, 65_536, 1_048_576);
    let passes = |got| cost("passes", got, 3, 16);
    let lanes = |got| cost("lanes", got, 1, 1);
    let network = |got| SeedFileFault::Network { got, want: REGTEST };
    let cases = [
        ("text", b"hello, world".to_vec(), foreign(b"hello, w")),
        ("short text", b"hi".to_vec(), foreign(b"hi\0\0\0\0\0\0")),
        ("almost", b"leydsees".to_vec(), foreign(b"leydsees")),
        ("zeros", vec![0; FILE_BYTES], foreign(&[0; 8])),
        ("SQLite", b"SQLite format 3\0".to_vec(), foreign(b"SQLite f")),
        ("version 0", overwritten(&[(8, &[0])]), version(0)),
        ("version 2", overwritten(&[(8, &[2])]), version(2)),
        ("version 2, longer", [overwritten(&[(8, &[2])]), vec![0; 50]].concat(), version(2)),
        ("version 2, shorter", overwritten(&[(8, &[2])])[..20].to_vec(), version(2)),
        ("mainnet", overwritten(&[(9, &[0])]), network(Network::Bitcoin)),
        ("testnet", overwritten(&[(9, &[1])]), network(Network::Testnet)),
        ("signet", overwritten(&[(9, &[2])]), network(Network::Signet)),
        ("testnet4", overwritten(&[(9, &[4])]), network(Network::Testnet4)),
        ("no network", overwritten(&[(9, &[5])]), SeedFileFault::UnknownNetwork { got: 5 }),
        ("no network", overwritten(&[(9, &[255])]), SeedFileFault::UnknownNetwork { got: 255 }),
        ("no memory", overwritten(&[(10, &[0, 0, 0, 0])]), memory(0)),
        ("1 KiB too little", overwritten(&[(10, &[0, 0, 255, 255])]), memory(65_535)),
        ("1 KiB too much", overwritten(&[(10, &[0, 16, 0, 1])]), memory(1_048_577)),
        ("4 TiB", overwritten(&[(10, &[255; 4])]), memory(u32::MAX)),
        ("no pass", overwritten(&[(14, &[0, 0, 0, 0])]), passes(0)),
        ("two passes", overwritten(&[(14, &[0, 0, 0, 2])]), passes(2)),
        ("17 passes", overwritten(&[(14, &[0, 0, 0, 17])]), passes(17)),
        ("all passes", overwritten(&[(14, &[255; 4])]), passes(u32::MAX)),
        ("no lane", overwritten(&[(18, &[0, 0, 0, 0])]), lanes(0)),
        ("two lanes", overwritten(&[(18, &[0, 0, 0, 2])]), lanes(2)),
        ("all lanes", overwritten(&[(18, &[255; 4])]), lanes(u32::MAX)),
    ];
    for (name, bytes, want) in cases {
        assert_eq!(parse_fault(&bytes), Some(want), "{name}");
    }
}

#[test]
fn a_refusal_and_a_ceiling_allocate_nothing() {
    for bytes in [overwritten(&[(10, &[255; 4])]), overwritten(&[(10, &[0, 16, 0, 0])])] {
        let usage = counting::measure(|| drop(SealedSeed::parse(&bytes, REGTEST)));
        assert_eq!(usage.allocations, 0);
    }
}

#[test]
fn what_is_sealed_must_be_a_seed() {
    for (file, length) in [(FILE_17, 17), (FILE_16_AND_MORE, 16)] {
        let fault = parsed(file, REGTEST).open(file_key()).err();
        assert_eq!(fault, Some(SeedFileFault::Content { length }));
    }
}

#[test]
fn costs_have_a_floor_and_a_ceiling() {
    let memory =
        |got| CostFault { what: "memory in KiB", got, min: MEMORY_KIB_MIN, max: MEMORY_KIB_MAX };
    let passes = |got| CostFault { what: "passes", got, min: PASSES_MIN, max: PASSES_MAX };
    let cases = [
        (65_535, 3, Err(memory(65_535))),
        (65_536, 2, Err(passes(2))),
        (0, 0, Err(memory(0))),
        (1_048_577, 3, Err(memory(1_048_577))),
        (65_536, 17, Err(passes(17))),
        (65_536, 3, Ok(())),
        (1_048_576, 16, Ok(())),
    ];
    for (kib, count, want) in cases {
        assert_eq!(Cost::new(kib, count).map(|_| ()), want, "{kib} {count}");
    }
    assert_eq!(Cost::new(65_536, 3), Ok(Cost::STANDARD));
}

#[test]
fn passphrases_have_a_length() {
    let max = PASSPHRASE_BYTES_MAX;
    let cases = [
        (0, Err(PassphraseFault::Empty)),
        (1, Ok(())),
        (max, Ok(())),
        (max + 1, Err(PassphraseFault::TooLong { got: max + 1, max })),
    ];
    for (len, want) in cases {
        let mut bytes = vec![b'x'; len];
        assert_eq!(Passphrase::take(&mut bytes).map(|_| ()), want);
        assert_eq!(bytes, vec![0; len], "the caller's passphrase is gone");
    }
}

#[test]
fn salt_and_nonce_must_be_drawn() {
    for (salt, nonce, field) in [([0; 16], [1; 24], "salt"), ([1; 16], [0; 24], "nonce")] {
        let sealed = SealedSeed::seal(
            &seed(VOID_24),
            REGTEST,
            Cost::STANDARD,
            &passphrase(PASSPHRASE),
            salt,
            nonce,
        );
        assert_eq!(sealed.err(), Some(SeedFileFault::NotDrawn { field }));
    }
}

/// The number of every network that exists, in a file whose key is not needed to see it.
#[test]
fn every_network_has_its_number() {
    for (number, network) in [
        (0, Network::Bitcoin),
        (1, Network::Testnet),
        (2, Network::Signet),
        (3, Network::Regtest),
        (4, Network::Testnet4),
    ] {
        let bytes = overwritten(&[(9, &[number])]);
        assert!(SealedSeed::parse(&bytes, network).is_ok(), "{network}");
    }
}
