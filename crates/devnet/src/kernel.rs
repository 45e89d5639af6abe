//! Bitcoin Core's kernel, and what it says about a block.

use std::{
    cell::RefCell,
    fmt, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Once, PoisonError},
};

use bitcoin::{Block, BlockHash, consensus::serialize, hashes::Hash};
use bitcoinkernel::{
    self as kernel, BlockValidationResult, BlockValidationStateRef, ChainType, ChainstateManager,
    Context, ContextBuilder, ProcessBlockResult, ValidationMode, prelude::*,
};

use crate::{fault::Fault, folder::Folder};

/// What the kernel says about a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is valid, and in the active chain.
    Connected,
    /// Nothing is wrong by itself. Its chain has less work than another one, so nobody has looked
    /// at what it spends.
    Stored,
    /// The same; and its chain would have been the heaviest, but a block before it turned out to
    /// break a rule.
    Cut(Reason),
    /// It was here already.
    Known,
    /// It breaks a rule.
    Refused(Reason),
}

/// Why the kernel refuses a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What sort of a rule it breaks.
    pub kind: Kind,
    /// The rule, in Core's own word: `bad-cb-amount`.
    pub word: String,
    /// All that Core said.
    pub words: String,
}

/// Sorts of rules that a block can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel gives none.
    Unset,
    /// A rule of consensus.
    Consensus,
    /// It was refused before.
    RefusedBefore,
    /// Its header.
    Header,
    /// Its contents are not its header's.
    Mutated,
    /// Nobody knows the block before it.
    ParentUnknown,
    /// The block before it was refused.
    ParentRefused,
    /// It is from the future.
    Future,
    /// Its chain has too little work.
    LittleWork,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => write!(f, "connected"),
            Self::Stored => write!(f, "stored"),
            Self::Cut(reason) => write!(f, "behind a block that breaks a rule: {}", reason.words),
            Self::Known => write!(f, "known"),
            Self::Refused(reason) => write!(f, "refused: {}", reason.words),
        }
    }
}

impl From<BlockValidationResult> for Kind {
    fn from(result: BlockValidationResult) -> Self {
        match result {
            BlockValidationResult::Unset => Self::Unset,
            BlockValidationResult::Consensus => Self::Consensus,
            BlockValidationResult::CachedInvalid => Self::RefusedBefore,
            BlockValidationResult::InvalidHeader => Self::Header,
            BlockValidationResult::Mutated => Self::Mutated,
            BlockValidationResult::MissingPrev => Self::ParentUnknown,
            BlockValidationResult::InvalidPrev => Self::ParentRefused,
            BlockValidationResult::TimeFuture => Self::Future,
            BlockValidationResult::HeaderLowWork => Self::LittleWork,
        }
    }
}

/// What the callbacks have seen since the last block was handed in. They run inside of
/// `process_block`, and nobody holds this lock while calling that.
type Seen = Arc<Mutex<Vec<(BlockHash, ValidationMode, BlockValidationResult)>>>;

/// A chainstate of its own. Fields are dropped in this order: the kernel insists on it.
pub struct Kernel {
    chain: ChainstateManager,
    _context: Context,
    seen: Seen,
    at: PathBuf,
    /// Its files, if they go with it.
    _folder: Option<Folder>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({:?})", self.tip())
    }
}

impl Kernel {
    /// One with its databases in memory. It writes its blocks to files nevertheless: they are in
    /// a folder that is removed in the end.
    pub fn in_memory() -> Result<Self, Fault> {
        let folder = Folder::fresh()?;
        let at = folder.path().to_owned();
        Self::build(&at, Some(folder))
    }

    /// One on disk.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        fs::create_dir_all(folder).map_err(|error| Fault::disk(folder, &error))?;
        Self::build(folder, None)
    }

    fn build(at: &Path, folder: Option<Folder>) -> Result<Self, Fault> {
        listen();
        let seen = Seen::default();
        let sink = Arc::clone(&seen);
        let checked = move |block: kernel::Block, state: BlockValidationStateRef<'_>| {
            let hash = BlockHash::from_byte_array(block.hash().to_bytes());
            let mut seen = sink.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push((hash, state.mode(), state.result()));
        };
        let context = ContextBuilder::new()
            .chain_type(ChainType::Regtest)
            .with_block_checked_validation(checked)
            .build()
            .map_err(Fault::kernel)?;
        let path = |name: &str| at.join(name).to_str().map(str::to_owned).ok_or(Fault::Path);
        let in_memory = folder.is_some();
        let chain = ChainstateManager::builder(&context, &path("chain")?, &path("blocks")?)
            .map_err(Fault::kernel)?
            .block_tree_db_in_memory(in_memory)
            .chainstate_db_in_memory(in_memory)
            .worker_threads(1)
            .build()
            .map_err(Fault::kernel)?;
        chain.import_blocks().map_err(Fault::kernel)?;
        Ok(Self { chain, _context: context, seen, at: at.to_owned(), _folder: folder })
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.at
    }

    /// The newest block of the active chain.
    pub fn tip(&self) -> BlockHash {
        hash_of(&self.chain.active_chain().tip())
    }

    /// How many blocks are before it.
    pub fn height(&self) -> u32 {
        u32::try_from(self.chain.active_chain().height()).unwrap_or(0)
    }

    /// Hands a block in.
    pub fn process(&self, block: &Block) -> Verdict {
        let hash = block.block_hash();
        let theirs = match kernel::Block::new(&serialize(block)) {
            Ok(theirs) => theirs,
            Err(error) => return Verdict::Refused(Reason::of(Kind::Mutated, error.to_string())),
        };
        self.seen().clear();
        let (result, words) = captured(|| self.chain.process_block(&theirs));
        let checked = self.seen().iter().rev().find(|(seen, ..)| *seen == hash).copied();
        match (result, checked) {
            (_, Some((_, ValidationMode::Invalid | ValidationMode::InternalError, kind))) => {
                Verdict::Refused(Reason::of(kind.into(), words))
            }
            (ProcessBlockResult::Rejected, None | Some((_, ValidationMode::Valid, _))) => {
                Verdict::Refused(Reason::of(Kind::Unset, words))
            }
            (ProcessBlockResult::Duplicate, _) => Verdict::Known,
            (ProcessBlockResult::NewBlock, _) if self.is_active(&hash) => Verdict::Connected,
            (ProcessBlockResult::NewBlock, _) => match self.bad_before() {
                Some(kind) => Verdict::Cut(Reason::of(kind, words)),
                None => Verdict::Stored,
            },
        }
    }

    /// Whether a block that was stored earlier has just turned out to break a rule.
    fn bad_before(&self) -> Option<Kind> {
        let seen = self.seen();
        let bad = seen.iter().find(|(_, mode, _)| *mode != ValidationMode::Valid);
        bad.map(|(_, _, kind)| (*kind).into())
    }

    fn seen(
        &self,
    ) -> std::sync::MutexGuard<'_, Vec<(BlockHash, ValidationMode, BlockValidationResult)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_active(&self, hash: &BlockHash) -> bool {
        let theirs = kernel::BlockHash::from(hash.to_byte_array());
        let entry = self.chain.get_block_tree_entry(&theirs);
        entry.is_some_and(|entry| self.chain.active_chain().contains(&entry))
    }
}

fn hash_of(entry: &kernel::BlockTreeEntry<'_>) -> BlockHash {
    BlockHash::from_byte_array(entry.block_hash().to_bytes())
}

impl Reason {
    /// Finds Core's word in what it said: its last error has the state of the block in brackets or
    /// in the end, `word, what is wrong`.
    fn of(kind: Kind, words: String) -> Self {
        let error = words.lines().rev().find_map(|line| Some(line.split_once("[error] ")?.1));
        let state = error.map(|error| {
            let rest = error.split_once("FAILED (").or_else(|| error.split_once("failed, "));
            rest.or_else(|| error.split_once(": ")).map_or(error, |(_, state)| state)
        });
        let word = state.and_then(|state| state.split([',', ' ', '(', ')']).next());
        let word = word.unwrap_or_else(|| kind.word()).to_owned();
        Self { kind, word, words }
    }
}

impl Kind {
    /// A word for when Core said none.
    const fn word(self) -> &'static str {
        match self {
            Self::Unset | Self::Consensus => "invalid",
            Self::RefusedBefore => "duplicate-invalid",
            Self::Header => "invalid-header",
            Self::Mutated => "mutated",
            Self::ParentUnknown => "prev-blk-not-found",
            Self::ParentRefused => "bad-prevblk",
            Self::Future => "time-too-new",
            Self::LittleWork => "too-little-chainwork",
        }
    }
}

thread_local! {
    /// What Core says to this thread, while somebody listens.
    static WORDS: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Core's log is one for the whole process. It speaks in the thread that asked, so each hears
/// what is meant for it.
struct Ear;

impl kernel::Log for Ear {
    fn log(&self, message: &str) {
        WORDS.with_borrow_mut(|words| {
            if let Some(words) = words {
                words.push_str(message);
            }
        });
    }
}

fn listen() {
    static ONCE: Once = Once::new();
    // It stays for as long as the process: the kernel has no way to log to nobody and then again.
    ONCE.call_once(|| {
        if let Ok(logger) = kernel::Logger::new(Ear) {
            std::mem::forget(logger);
        }
    });
}

/// What Core said meanwhile.
fn captured<T>(act: impl FnOnce() -> T) -> (T, String) {
    WORDS.set(Some(String::new()));
    let result = act();
    (result, WORDS.take().unwrap_or_default())
}
