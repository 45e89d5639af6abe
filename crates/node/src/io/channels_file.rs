//! What a signer remembers of its channels, in a file of its own: it must outlive all others.

use std::{io, path::Path};

use signer::{ChannelKeys, Channels};
use wire::Network;

use super::journal_file::{JournalFault, JournalFile, Whole};

/// The file, in the signer's folder.
pub const CHANNELS_FILE: &str = "signer-channels";

/// The file of a signer's channels.
pub struct ChannelsFile {
    file: JournalFile,
    network: Network,
}

impl ChannelsFile {
    /// The file of a folder, and what it has of the channels of these keys.
    pub fn open(
        dir: &Path,
        network: Network,
        keys: ChannelKeys,
    ) -> Result<(Self, Channels), JournalFault> {
        let mut channels = Channels::bolt3(keys);
        let Some(bytes) = JournalFile::read(dir, CHANNELS_FILE)? else {
            let file = JournalFile::new(dir, CHANNELS_FILE).with_room();
            return Ok((Self { file, network }, channels));
        };
        let restored = channels.restore(&bytes, network).map_err(|why| JournalFault::File {
            path: dir.join(CHANNELS_FILE),
            why: why.to_string(),
            without: "do not go on without it, nor with an older one: what was signed would be \
                      forgotten, and the money of channels could be taken",
        })?;
        let has_room = bytes[restored.bytes..].iter().all(|byte| *byte == 0);
        let whole = Whole { sum_bytes: restored.sum_bytes, bytes: restored.bytes, has_room };
        let file = JournalFile::go_on(dir, CHANNELS_FILE, bytes.len(), whole)?.with_room();
        Ok((Self { file, network }, channels))
    }

    /// Saves a change of channels, to which they have not come yet. If it fails nothing was saved.
    pub fn save(&mut self, channels: &Channels, change: &[u8]) -> io::Result<()> {
        self.file.save(|| channels.encode(self.network), change)
    }
}
