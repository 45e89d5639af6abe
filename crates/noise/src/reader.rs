//! Messages out of a byte stream that arrives in pieces of any size.

use crate::fault::{Fault, Part};
use crate::transport::{HEADER_BYTES, Transport};

/// Collects the records of a stream and decrypts each in place, in one buffer that is used again
/// and again. The buffer grows to the longest message seen, 65551 bytes at most.
#[derive(Default)]
pub struct Reader {
    /// The record that is arriving, or the message handed out last.
    buffer: Vec<u8>,
    delivered: bool,
}

impl Reader {
    /// A reader between two messages.
    pub fn new() -> Reader {
        Reader::default()
    }

    /// Takes from the front of `input` what the next message needs. Returns the message, or nothing
    /// once `input` is used up; call again until then.
    pub fn read<'a>(
        &'a mut self,
        transport: &mut Transport,
        input: &mut &[u8],
    ) -> Result<Option<&'a mut [u8]>, Fault> {
        self.forget_delivered();
        while let Some(part) = self.fill(transport, input)? {
            match part {
                Part::Header => {
                    let header = self.buffer.first_chunk::<HEADER_BYTES>();
                    transport.decrypt_header(header.expect("`fill` waits for all 18 bytes"))?;
                    self.buffer.clear();
                }
                Part::Body => {
                    self.delivered = true;
                    return transport.decrypt_body(&mut self.buffer).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The ciphertext that has arrived and is not decrypted yet. It goes with the state of the
    /// transport to the next owner, who reads it first.
    pub fn unread(&self) -> &[u8] {
        if self.delivered { &[] } else { &self.buffer }
    }

    /// Gives the buffer's memory back, for a connection that has gone quiet. Nothing is lost.
    pub fn shrink(&mut self) {
        self.forget_delivered();
        self.buffer.shrink_to_fit();
    }

    /// The connection has ended: a fault if that was inside a message.
    pub fn end(&self, transport: &Transport) -> Result<(), Fault> {
        let (part, want) = transport.due()?;
        let got = self.unread().len();
        match (part, got) {
            (Part::Header, 0) => Ok(()),
            (Part::Header | Part::Body, got) => Err(Fault::CutMessage { part, got, want }),
        }
    }

    fn forget_delivered(&mut self) {
        if self.delivered {
            self.buffer.clear();
            self.delivered = false;
        }
    }

    /// Fills the buffer with the record that is due, and says which one once it is complete.
    fn fill(&mut self, transport: &Transport, input: &mut &[u8]) -> Result<Option<Part>, Fault> {
        let (part, want) = transport.due()?;
        let got = self.buffer.len();
        // Only a transport that was not the one read before can want less than there is.
        let missing = want.checked_sub(got).ok_or(Fault::RecordBytes { part, got, want })?;
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.buffer.reserve_exact(missing);
        self.buffer.extend_from_slice(taken);
        *input = rest;
        Ok((taken.len() == missing).then_some(part))
    }
}
