//! Bugs on purpose, one at a time, chosen by `LEYDEN_PLANTED`: a test has to notice each of them.

fn chosen(bug: &str) -> bool {
    std::env::var("LEYDEN_PLANTED").is_ok_and(|name| name == bug)
}

/// A message is acknowledged before it is saved.
pub(crate) fn acknowledge_before_save() -> bool {
    chosen("acknowledge-before-save")
}
