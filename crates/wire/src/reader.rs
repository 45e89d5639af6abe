//! A cursor over bytes that somebody else wrote.

use crate::fault::Broke;

/// What is left of a message or of one TLV record. Copying it is free; reading never panics.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of these bytes.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// How many bytes are left.
    #[inline]
    pub const fn len(&self) -> usize {
        self.left.len()
    }

    /// Whether everything was read.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Broke> {
        let (head, rest) =
            self.left.split_first_chunk().ok_or(Broke::Short { need: N, have: self.left.len() })?;
        self.left = rest;
        Ok(head)
    }

    /// The next `need` bytes.
    #[inline]
    pub fn take(&mut self, need: usize) -> Result<&'a [u8], Broke> {
        let (head, rest) =
            self.left.split_at_checked(need).ok_or(Broke::Short { need, have: self.left.len() })?;
        self.left = rest;
        Ok(head)
    }

    /// Everything that is left.
    #[inline]
    pub const fn rest(&mut self) -> &'a [u8] {
        let all = self.left;
        self.left = &[];
        all
    }

    /// The bytes after a length of two bytes.
    #[inline]
    pub fn prefixed(&mut self) -> Result<&'a [u8], Broke> {
        let len = u16::from_be_bytes(*self.array()?);
        self.take(usize::from(len))
    }

    /// All that is left, as a whole number of pieces of `N` bytes.
    pub fn whole<const N: usize>(&mut self) -> Result<&'a [[u8; N]], Broke> {
        let (pieces, odd) = self.left.as_chunks::<N>();
        if !odd.is_empty() {
            return Err(Broke::NotWhole { bytes: self.left.len(), unit: N });
        }
        self.left = &[];
        Ok(pieces)
    }

    /// Refuses bytes that nobody asked for.
    #[inline]
    pub const fn end(self) -> Result<(), Broke> {
        match self.left.len() {
            0 => Ok(()),
            bytes => Err(Broke::Trailing { bytes }),
        }
    }
}
