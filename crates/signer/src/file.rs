//! The seed at rest: bytes in, bytes out, 111 of them. Files are the shell's.
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `leydseed` |
//! | 8 | version of this layout, 1 |
//! | 9 | network: 0 mainnet, 1 testnet, 2 signet, 3 regtest, 4 testnet4 |
//! | 10..14 | Argon2id: memory in KiB, 65,536 to 1,048,576, big-endian like all numbers here |
//! | 14..18 | Argon2id: passes, 3 to 16 |
//! | 18..22 | Argon2id: lanes, 1 |
//! | 22..38 | Argon2id: salt |
//! | 38..62 | nonce |
//! | 62..95 | sealed: 16 or 32 as one byte, as many bytes of entropy, zeros up to 33 bytes |
//! | 95..111 | tag |
//!
//! The key is `Argon2id(passphrase, salt)` of version 0x13 without secret and associated data, 32
//! bytes; the cipher is XChaCha20-Poly1305 with bytes 0..62 as associated data. libsodium opens it
//! with `crypto_pwhash` and `crypto_aead_xchacha20poly1305_ietf_decrypt`, without a line of ours.

use std::fmt::{Debug, Display};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use bitcoin::Network;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use static_assertions::assert_not_impl_any;
use wire::Broke;
use wire::reader::Reader;
use zeroize::Zeroize;

use crate::fault::{CostFault, PassphraseFault, SeedFileFault};
use crate::secret::{Secret, burning};
use crate::seed::{ENTROPY_BYTES, Length, Seed};

assert_not_impl_any!(FileKey: Clone, Copy, Debug, Display);
assert_not_impl_any!(Passphrase: Clone, Copy, Debug, Display);

/// First bytes of every seed file.
pub const FILE_MAGIC: &[u8; 8] = b"leydseed";
/// The layout that [`SealedSeed::seal`] writes.
pub const FILE_VERSION: u8 = 1;
/// Bytes of a seed file.
pub const FILE_BYTES: usize = HEADER_BYTES + SEALED_BYTES + TAG_BYTES;
/// Bytes of the salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of the nonce.
pub const NONCE_BYTES: usize = 24;

/// The least memory that a guess at the passphrase must cost.
pub const MEMORY_KIB_MIN: u32 = 64 * 1024;
/// The most memory that a file may make us allocate.
pub const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// The fewest passes over that memory.
pub const PASSES_MIN: u32 = 3;
/// The most passes that a file may make us do.
pub const PASSES_MAX: u32 = 16;
/// The only number of lanes.
pub const LANES: u32 = 1;
/// The longest passphrase.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

const HEADER_BYTES: usize = 62;
const SEALED_BYTES: usize = 1 + ENTROPY_BYTES;
const TAG_BYTES: usize = 16;

/// The number of each network in the file.
const NETWORKS: [(u8, Network); 5] = [
    (0, Network::Bitcoin),
    (1, Network::Testnet),
    (2, Network::Signet),
    (3, Network::Regtest),
    (4, Network::Testnet4),
];

/// What one guess at the passphrase costs. One below the floor or above the ceiling does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl Cost {
    /// The floor, and the choice of RFC 9106 where memory is short: a phone bears it.
    pub const STANDARD: Cost = Cost { memory_kib: MEMORY_KIB_MIN, passes: PASSES_MIN };

    /// The only door.
    pub const fn new(memory_kib: u32, passes: u32) -> Result<Cost, CostFault> {
        if memory_kib < MEMORY_KIB_MIN || memory_kib > MEMORY_KIB_MAX {
            return Err(CostFault {
                what: "memory in KiB",
                got: memory_kib,
                min: MEMORY_KIB_MIN,
                max: MEMORY_KIB_MAX,
            });
        }
        if passes < PASSES_MIN || passes > PASSES_MAX {
            return Err(CostFault {
                what: "passes",
                got: passes,
                min: PASSES_MIN,
                max: PASSES_MAX,
            });
        }
        Ok(Cost { memory_kib, passes })
    }

    /// Memory in KiB.
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over it.
    pub const fn passes(self) -> u32 {
        self.passes
    }
}

/// What its owner knows. Wiped when dropped.
pub struct Passphrase(Box<[u8]>);

impl Passphrase {
    /// Takes the passphrase out of `bytes`, which are zeros afterwards, whatever the outcome. They
    /// count as they are: the shell has taken a line's end off, and nothing is normalised.
    pub fn take(bytes: &mut [u8]) -> Result<Passphrase, PassphraseFault> {
        let taken = match bytes.len() {
            0 => Err(PassphraseFault::Empty),
            got if got > PASSPHRASE_BYTES_MAX => {
                Err(PassphraseFault::TooLong { got, max: PASSPHRASE_BYTES_MAX })
            }
            _ => Ok(Passphrase(Box::from(&*bytes))),
        };
        bytes.zeroize();
        taken
    }
}

impl Drop for Passphrase {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What opens one file: a passphrase, stretched. Wiped when dropped.
pub struct FileKey(Secret<32>);

/// A seed file that is what it says, as far as can be told without its passphrase.
pub struct SealedSeed {
    bytes: [u8; FILE_BYTES],
    cost: Cost,
}

impl SealedSeed {
    /// Reads a file. Whatever is wrong with it is found here, at no cost, except for damage to what
    /// the tag covers.
    pub fn parse(bytes: &[u8], network: Network) -> Result<SealedSeed, SeedFileFault> {
        let length = SeedFileFault::Length { got: bytes.len(), want: FILE_BYTES };
        let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(if FILE_MAGIC.starts_with(bytes) { length } else { foreign(bytes) });
        };
        if magic != FILE_MAGIC {
            return Err(foreign(magic));
        }
        // Before the length, since another version may have another.
        if let Some(&got) = rest.first().filter(|got| **got != FILE_VERSION) {
            return Err(SeedFileFault::Version { got, want: FILE_VERSION });
        }
        let bytes: &[u8; FILE_BYTES] = bytes.try_into().map_err(|_| length)?;
        let cost = read_header(&rest[1..], network)?;
        Ok(SealedSeed { bytes: *bytes, cost })
    }

    /// Seals a seed. `salt` and `nonce` are drawn with strong randomness, for each file anew. Takes
    /// as long and as much memory as `cost` says.
    pub fn seal(
        seed: &Seed,
        network: Network,
        cost: Cost,
        passphrase: &Passphrase,
        salt: [u8; SALT_BYTES],
        nonce: [u8; NONCE_BYTES],
    ) -> Result<SealedSeed, SeedFileFault> {
        for (field, drawn) in [("salt", &salt[..]), ("nonce", &nonce[..])] {
            if drawn.iter().all(|byte| *byte == 0) {
                return Err(SeedFileFault::NotDrawn { field });
            }
        }
        let (number, _) = NETWORKS
            .into_iter()
            .find(|(_, listed)| *listed == network)
            .expect("every network of `bitcoin` is listed");
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(FILE_MAGIC);
        header.extend_from_slice(&[FILE_VERSION, number]);
        for number in [cost.memory_kib, cost.passes, LANES] {
            header.extend_from_slice(&number.to_be_bytes());
        }
        header.extend_from_slice(&salt);
        header.extend_from_slice(&nonce);
        let mut sealed = SealedSeed { bytes: [0; FILE_BYTES], cost };
        sealed.bytes[..HEADER_BYTES].copy_from_slice(&header);
        let key = sealed.stretch(passphrase)?;
        sealed.fill(seed, &key);
        Ok(sealed)
    }

    /// The bytes to write.
    pub fn bytes(&self) -> &[u8; FILE_BYTES] {
        &self.bytes
    }

    /// What [`SealedSeed::stretch`] will cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Makes the key of this file of a passphrase: the slow step, so that a shell can do it aside.
    pub fn stretch(&self, passphrase: &Passphrase) -> Result<FileKey, SeedFileFault> {
        let (memory_kib, passes) = (self.cost.memory_kib, self.cost.passes);
        let params = Params::new(memory_kib, passes, LANES, Some(32)).expect("a cost fits Argon2");
        let mut memory = Vec::new();
        memory
            .try_reserve_exact(params.block_count())
            .map_err(|_| SeedFileFault::Memory { kib: memory_kib })?;
        memory.resize(params.block_count(), Block::new());
        let mut key = FileKey(Secret::zeros());
        burning(|| {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                .hash_password_into_with_memory(
                    &passphrase.0,
                    &self.bytes[22..38],
                    key.0.as_mut(),
                    &mut memory,
                )
                .expect("passphrase, salt, memory and key have lengths that Argon2 knows");
        });
        memory.iter_mut().for_each(Block::zeroize);
        Ok(key)
    }

    /// The seed, if `key` is of this file.
    pub fn open(&self, key: &FileKey) -> Result<Seed, SeedFileFault> {
        let (header, rest) = self.bytes.split_at(HEADER_BYTES);
        let (sealed, tag) = rest.split_at(SEALED_BYTES);
        let mut content = Secret::<SEALED_BYTES>::zeros();
        content.as_mut().copy_from_slice(sealed);
        let tag = Tag::try_from(tag).expect("16 bytes are left");
        burning(|| {
            cipher(key)
                .decrypt_inout_detached(
                    &nonce(header),
                    header,
                    InOutBuf::from(&mut content.as_mut()[..]),
                    &tag,
                )
                .map_err(|_| SeedFileFault::WrongPassphraseOrDamaged)
        })?;
        let [length, entropy @ ..] = content.bytes();
        let (got, padding) = (usize::from(*length), SeedFileFault::Content { length: *length });
        let length = Length::of(got).ok_or(padding)?;
        let (entropy, zeros) = entropy.split_at(length.bytes());
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(padding);
        }
        Ok(Seed::copied(entropy, length))
    }

    fn fill(&mut self, seed: &Seed, key: &FileKey) {
        let (header, rest) = self.bytes.split_at_mut(HEADER_BYTES);
        let (sealed, tag) = rest.split_at_mut(SEALED_BYTES);
        let mut content = Secret::<SEALED_BYTES>::zeros();
        let entropy = seed.entropy();
        content.as_mut()[0] = u8::try_from(entropy.len()).expect("16 or 32");
        content.as_mut()[1..=entropy.len()].copy_from_slice(entropy);
        let made = burning(|| {
            cipher(key)
                .encrypt_inout_detached(
                    &nonce(header),
                    header,
                    InOutBuf::from(&mut content.as_mut()[..]),
                )
                .expect("33 bytes are not too long")
        });
        sealed.copy_from_slice(content.bytes());
        tag.copy_from_slice(&made);
    }
}

/// What follows the version, whose length has been checked.
fn read_header(after: &[u8], network: Network) -> Result<Cost, SeedFileFault> {
    let mut from = Reader::new(after);
    let mut header = || -> Result<(u8, [u32; 3]), Broke> {
        let [number] = *from.array()?;
        let mut next = || from.array().map(|bytes| u32::from_be_bytes(*bytes));
        Ok((number, [next()?, next()?, next()?]))
    };
    let (number, [memory_kib, passes, lanes]) = header().expect("the file has its length");
    let (_, got) = NETWORKS
        .into_iter()
        .find(|(listed, _)| *listed == number)
        .ok_or(SeedFileFault::UnknownNetwork { got: number })?;
    if got != network {
        return Err(SeedFileFault::Network { got, want: network });
    }
    if lanes != LANES {
        let fault = CostFault { what: "lanes", got: lanes, min: LANES, max: LANES };
        return Err(SeedFileFault::Cost(fault));
    }
    Cost::new(memory_kib, passes).map_err(SeedFileFault::Cost)
}

fn foreign(start: &[u8]) -> SeedFileFault {
    let mut got = [0; 8];
    got[..start.len()].copy_from_slice(start);
    SeedFileFault::Foreign { got }
}

fn cipher(key: &FileKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(<&Key>::from(key.0.bytes()))
}

fn nonce(header: &[u8]) -> XNonce {
    XNonce::try_from(&header[HEADER_BYTES - NONCE_BYTES..]).expect("a header ends in 24 bytes")
}
