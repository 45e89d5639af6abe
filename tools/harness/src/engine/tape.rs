//! Bytes as choices. Where they end there are zeros.

pub(super) struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { usize::from(self.byte()) % bound }
    }

    pub(super) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }

    /// A number near `near`, or anywhere: limits are where mistakes are.
    pub(super) fn number(&mut self, near: u64) -> u64 {
        match self.byte() % 8 {
            0..=2 => near,
            3 => near.wrapping_add(1),
            4 => near.wrapping_sub(1),
            5 => u64::from(u16::from_be_bytes(self.array())) << 12,
            6 => u64::from(self.byte()),
            _ => u64::from_be_bytes(self.array()),
        }
    }
}
