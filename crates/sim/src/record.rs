//! What a treasury gives to its disk.

/// Whose record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Core {
    Treasury,
    Publisher,
    Wallet,
}

/// One thing that a treasury saves: a change, or the sum of all.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Change(Core, Vec<u8>),
    Snapshot(Core, Vec<u8>),
}
