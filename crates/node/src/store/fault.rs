//! Why a store cannot be used.

use std::{fmt, io, path::PathBuf};

/// Why a store cannot be used. What was durable before still is.
#[derive(Debug)]
pub enum StoreFault {
    /// The path cannot be opened.
    Unusable {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        fault: io::Error,
    },
    /// Another process has it open.
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// It is not a file of ours.
    Foreign {
        /// The path.
        path: PathBuf,
        /// Its application id.
        got: i64,
        /// Ours.
        want: i64,
    },
    /// A newer version has made it.
    Newer {
        /// The path.
        path: PathBuf,
        /// The version of its tables.
        got: i64,
        /// The newest that we know.
        max: i64,
    },
    /// It is damaged.
    Damaged {
        /// The path.
        path: PathBuf,
        /// In the words of the database.
        why: String,
    },
    /// There is no room left.
    Full {
        /// The path.
        path: PathBuf,
    },
    /// Another process has taken it: what this one knows may be old.
    Fenced {
        /// The store.
        path: PathBuf,
        /// The epoch of whoever has it now.
        got: i64,
        /// Ours.
        have: i64,
    },
    /// Something else.
    Failed {
        /// The path.
        path: PathBuf,
        /// In the words of the database.
        why: String,
    },
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { path, fault } => write!(f, "cannot open {}: {fault}", path.display()),
            Self::InUse { path } => {
                write!(f, "{} is in use by another process; stop that one first", path.display())
            }
            Self::Foreign { path, got, want } => write!(
                f,
                "{} is a database of another program ({got:#x}, ours is {want:#x})",
                path.display()
            ),
            Self::Newer { path, got, max } => write!(
                f,
                "{} has layout {got}, this version knows {max}; use the newer leyden",
                path.display()
            ),
            Self::Damaged { path, why } => write!(f, "{} is damaged: {why}", path.display()),
            Self::Full { path } => {
                write!(f, "no room left for {}; make some and start again", path.display())
            }
            Self::Fenced { path, got, have } => write!(
                f,
                "{} was taken by another process (epoch {got}, ours is {have}); stop one of them",
                path.display()
            ),
            Self::Failed { path, why } => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for StoreFault {}
