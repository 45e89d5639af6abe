//! What a signer knows of the chain, in a file of its own.

use std::{io, path::Path};

use signer::{Checkpoint, View};
use tracing::info;
use wire::Network;

use super::journal_file::{JournalFault, JournalFile, Whole};

/// The file, in the signer's folder.
pub const VIEW_FILE: &str = "signer-view";

/// The file of a view.
pub struct ViewFile(JournalFile);

impl ViewFile {
    /// The file of a folder, and the view that it has; or one that begins with `checkpoint`.
    pub fn open(
        dir: &Path,
        network: Network,
        checkpoint: &Checkpoint,
    ) -> Result<(Self, View), JournalFault> {
        let fresh = || (Self(JournalFile::new(dir, VIEW_FILE)), View::new(network, checkpoint));
        let Some(bytes) = JournalFile::read(dir, VIEW_FILE)? else { return Ok(fresh()) };
        let wrong = |why: signer::ViewFault| JournalFault::File {
            path: dir.join(VIEW_FILE),
            why: why.to_string(),
            without: "without it the signer begins anew",
        };
        let restored = View::decode(&bytes, network).map_err(wrong)?;
        let len = bytes.len();
        let view = restored.view;
        if !view.goes_on_from(checkpoint).map_err(wrong)? {
            let (had, begin) = (view.tip(), checkpoint.block());
            info!(%had, %begin, "the signer's view of the chain begins anew with its checkpoint");
            return Ok(fresh());
        }
        let (sum_bytes, bytes) = (restored.sum_bytes, restored.bytes);
        let whole = Whole { sum_bytes, bytes, has_room: false };
        let file = JournalFile::go_on(dir, VIEW_FILE, len, whole)?;
        Ok((Self(file), view))
    }

    /// Saves a change of a view, to which it has not come yet. If it fails nothing was saved.
    pub fn save(&mut self, view: &View, change: &[u8]) -> io::Result<()> {
        self.0.save(|| view.encode(), change)
    }
}
