//! The seed: 24 (or 12) words of BIP 39, of which everything else is made.

use std::fmt::{Debug, Display};
use std::sync::OnceLock;

use bip39::{Error, Language, Mnemonic};
use static_assertions::assert_not_impl_any;
use zeroize::Zeroize;

use crate::fault::{SeedFault, WordsFault};
use crate::secret::{Secret, burning};

assert_not_impl_any!(Seed: Clone, Copy, Debug, Display);
assert_not_impl_any!(Words: Clone, Copy, Debug, Display);

/// Bytes of chance in a seed of 24 words.
pub const ENTROPY_BYTES: usize = 32;
/// Bytes of chance in a seed of 12 words.
pub const SHORT_ENTROPY_BYTES: usize = 16;

/// What BIP 39 makes of the words.
pub(crate) const BIP39_SEED_BYTES: usize = 64;

/// All keys of an installation, as the chance that its owner writes down. Wiped when dropped.
pub struct Seed {
    entropy: Secret<ENTROPY_BYTES>,
    length: Length,
    /// Made once, when the first key is wanted: it is slow on purpose.
    stretched: OnceLock<Secret<BIP39_SEED_BYTES>>,
}

/// How much of the entropy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Words12,
    Words24,
}

/// A seed as its owner writes it down. Wiped when dropped.
pub struct Words(Box<Mnemonic>);

impl Seed {
    /// A new seed of 24 words. `entropy` is drawn with strong randomness; it is zeros afterwards,
    /// whatever the outcome. Zeros are refused: that is what a buffer used twice holds.
    pub fn take(entropy: &mut [u8; ENTROPY_BYTES]) -> Result<Seed, SeedFault> {
        let seed = Seed::copied(entropy, Length::Words24);
        entropy.zeroize();
        match seed.entropy.bytes().iter().fold(0, |all, byte| all | byte) {
            0 => Err(SeedFault::Zeros { bytes: ENTROPY_BYTES }),
            _ => Ok(seed),
        }
    }

    /// A seed that its owner has written down: 12 or 24 English words in lower case, with any white
    /// space between them. The caller wipes `text`.
    pub fn from_words(text: &str) -> Result<Seed, WordsFault> {
        let got = text.split_whitespace().count();
        if got != 12 && got != 24 {
            return Err(WordsFault::Count { got });
        }
        burning(|| {
            let words = Mnemonic::parse_in_normalized(Language::English, text);
            let words = words.map_err(|error| match error {
                Error::BadWordCount(got) => WordsFault::Count { got },
                Error::UnknownWord(at) => WordsFault::Unknown { word: at + 1, of: got },
                Error::InvalidChecksum => WordsFault::Checksum,
                Error::BadEntropyBitCount(_) | Error::AmbiguousLanguages(_) => {
                    unreachable!("words were given, and their language")
                }
            })?;
            let (mut entropy, bytes) = words.to_entropy_array();
            let length = Length::of(bytes).expect("12 words are 16 bytes, 24 words are 32");
            let seed = Seed::copied(&entropy[..bytes], length);
            entropy.zeroize();
            Ok(seed)
        })
    }

    /// The words, to be written down.
    pub fn words(&self) -> Words {
        burning(|| {
            let words = Mnemonic::from_entropy_in(Language::English, self.entropy());
            Words(Box::new(words.expect("16 or 32 bytes are 12 or 24 words")))
        })
    }

    pub(crate) fn copied(entropy: &[u8], length: Length) -> Seed {
        let mut seed = Seed { entropy: Secret::zeros(), length, stretched: OnceLock::new() };
        seed.entropy.as_mut()[..length.bytes()].copy_from_slice(entropy);
        seed
    }

    pub(crate) fn entropy(&self) -> &[u8] {
        &self.entropy.bytes()[..self.length.bytes()]
    }

    /// What BIP 32 starts from. BIP 39: "If a passphrase is not present, an empty string "" is used
    /// instead."
    pub(crate) fn bip39_seed(&self) -> &Secret<BIP39_SEED_BYTES> {
        self.stretched.get_or_init(|| {
            let mut out = Secret::zeros();
            let mut seed = self.words().0.to_seed_normalized("");
            out.as_mut().copy_from_slice(&seed);
            seed.zeroize();
            out
        })
    }
}

impl Length {
    pub(crate) const fn of(bytes: usize) -> Option<Length> {
        match bytes {
            SHORT_ENTROPY_BYTES => Some(Length::Words12),
            ENTROPY_BYTES => Some(Length::Words24),
            _ => None,
        }
    }

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Length::Words12 => SHORT_ENTROPY_BYTES,
            Length::Words24 => ENTROPY_BYTES,
        }
    }
}

impl Words {
    /// Word after word.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.words()
    }
}
