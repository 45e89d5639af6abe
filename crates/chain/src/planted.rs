//! Bugs on purpose, one at a time, chosen by `LEYDEN_PLANTED`: a test has to notice each of them.

fn chosen(bug: &str) -> bool {
    std::env::var("LEYDEN_PLANTED").is_ok_and(|name| name == bug)
}

/// What was looked through before something was watched is not looked through again.
pub(crate) fn watch_misses_what_is_kept() -> bool {
    chosen("watch-misses-what-is-kept")
}

/// What was found in blocks that are gone is still there for who publishes.
pub(crate) fn reorg_leaves_it_confirmed() -> bool {
    chosen("reorg-leaves-it-confirmed")
}

/// What a source says to have taken is not published again.
pub(crate) fn believes_the_source() -> bool {
    chosen("believes-the-source")
}
