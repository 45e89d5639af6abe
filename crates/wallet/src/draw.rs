//! Chance that was handed in, in the form in which bdk asks for it.

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use rand_core::RngCore;

/// Numbers that follow from what was drawn.
pub(crate) struct Draw {
    seed: [u8; 32],
    count: u64,
}

impl Draw {
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }
}

impl RngCore for Draw {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        let mut engine = sha256::Hash::engine();
        engine.input(&self.seed);
        engine.input(&self.count.to_be_bytes());
        self.count += 1;
        let hash = sha256::Hash::from_engine(engine).to_byte_array();
        let (number, _) = hash.split_first_chunk().expect("32 bytes are more than 8");
        u64::from_be_bytes(*number)
    }

    fn fill_bytes(&mut self, to: &mut [u8]) {
        for piece in to.chunks_mut(8) {
            piece.copy_from_slice(&self.next_u64().to_be_bytes()[..piece.len()]);
        }
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(to);
        Ok(())
    }
}
