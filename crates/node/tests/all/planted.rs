//! The other tests see each planted bug.

use crate::plants::are_seen;

/// Each plant, and a test that is there to see it.
const PLANTS: [(&str, &str); 3] = [
    ("edge-before-barrier", "clerk::nothing_leaves_before_its_cause_is_durable"),
    ("acknowledge-before-save", "clerk::a_message_is_acknowledged_when_it_is_durable"),
    ("two-owners-after-crash", "clerk::each_start_is_another_owner"),
];

#[test]
fn every_planted_bug_is_seen() {
    are_seen(&PLANTS);
}
