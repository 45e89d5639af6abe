//! What the rules speak about. A change of the house's shape is a change of this file.

use crate::finding::Exception;

/// The crates under `crates/`, from the ground up. A crate imports only from floors below its own.
pub const FLOORS: &[&[&str]] = &[
    &["wire"],
    &["noise", "sphinx", "tx", "chain"],
    &["signer"],
    &["peer", "channel", "graph", "wallet"],
    &["reserve", "pay"],
    &["node"],
    &["cli", "sim"],
];

/// Crates beside the floors: what they import, and the lowest floor (from 0) that imports them.
pub const BESIDE: &[Beside] = &[
    Beside { name: "bus", imports: &["wire"], imported_from: 5 },
    Beside {
        name: "client",
        imports: &["wire", "noise", "sphinx", "tx", "signer", "chain", "peer"],
        imported_from: 6,
    },
    Beside { name: "devnet", imports: &[], imported_from: 5 },
];

/// A crate that stands on no floor.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// The crate's folder under `crates/`.
    pub name: &'static str,
    /// All that it may import.
    pub imports: &'static [&'static str],
    /// Crates on this floor and above may import it.
    pub imported_from: usize,
}

/// Of a core on this floor (from 0) or above, another core imports only the module `api`.
pub const API_ONLY_FROM: usize = 3;

/// Crates that run whole cores, and therefore import more of them than `api`.
pub const JOINERS: &[&str] = &["node", "cli", "sim", "client"];

/// Crates that may touch the outside world. All others under `crates/` are cores.
pub const SHELLS: &[(&str, &str)] = &[
    ("bus", "its transports are sockets"),
    ("cli", "arguments, terminal, exit codes"),
    ("client", "a phone's or browser's sockets and dice"),
    ("devnet", "Bitcoin Core's kernel has files and threads, and its RPC a socket"),
    ("graph", "LDK's graph reads the clock and locks; the simulator replaces it with a table"),
    ("node", "owns sockets, disk, clock and dice for every core"),
];

/// What a file of this name in a core's `src` may use although cores may not, and why.
pub const CORE_PERMISSIONS: &[(&str, &str, &str)] = &[(
    "planted.rs",
    "std::env",
    "compiled only with the feature `planted`; the variable chooses the bug that a test must catch",
)];

/// Limits on source text.
pub mod limits {
    /// Lines of a Rust file.
    pub const FILE_LINES_MAX: usize = 700;
    /// Lines of a function, from `fn` to its closing brace.
    pub const FUNCTION_LINES_MAX: usize = 70;
    /// Characters of a line of Rust.
    pub const COLUMNS_MAX: usize = 100;
    /// Lines of ARCHITECTURE.md: it is read at one sitting.
    pub const MAP_LINES_MAX: usize = 400;
}

/// Who may break a rule, by name. One that covers nothing any more fails the test.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "purity",
        subject: "crates/wallet/Cargo.toml",
        reason: "bdk asks for a trait of rand_core, without which nobody can hand it anything",
    },
    Exception {
        rule: "purity",
        subject: "crates/wallet/src/draw.rs",
        reason: "it gives bdk numbers that follow from bytes which were handed in",
    },
];
