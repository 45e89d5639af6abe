//! Repeatable chance, for whoever is handed it.

/// A small generator of repeatable numbers: the same seed, the same throws, on every machine.
///
/// It makes test messages and simulated worlds. It is no source of secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    pub const fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.throw()) * bound as u128;
        usize::try_from(wide >> 64).expect("below `bound`, which is a usize")
    }

    /// True once in `n` throws.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Fills the slice.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.throw().to_be_bytes()[..piece.len()]);
        }
    }

    /// `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Fewer than `bound` bytes, short ones more often.
    pub fn bytes(&mut self, bound: usize) -> Vec<u8> {
        let longest = self.below(bound) + 1;
        let mut bytes = vec![0; self.below(longest)];
        self.fill(&mut bytes);
        bytes
    }

    /// A number whose magnitude is spread evenly: small ones, large ones and the edges between.
    pub fn number(&mut self) -> u64 {
        let bits = self.below(65);
        if bits == 0 { 0 } else { self.throw() >> (64 - bits) }
    }
}
