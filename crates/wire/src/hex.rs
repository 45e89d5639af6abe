//! Bytes as people read them.

use core::fmt;

/// Shows bytes as lower-case hex, cut after [`HEX_BYTES_MAX`] with the number of the rest.
pub struct Hex<'a>(pub &'a [u8]);

/// More bytes than this are summed up: logs carry ids, not payloads.
pub const HEX_BYTES_MAX: usize = 66;

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(HEX_BYTES_MAX)];
        shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        match self.0.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "…+{more}"),
        }
    }
}

impl fmt::Debug for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
