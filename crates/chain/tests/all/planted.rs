//! The other tests see each planted bug.

use crate::plants::are_seen;

/// Each plant, and a test that is there to see it.
const PLANTS: [(&str, &str); 3] = [
    ("watch-misses-what-is-kept", "model::users_hear_what_there_is_through_reorgs_and_restarts"),
    ("reorg-leaves-it-confirmed", "publish::from_the_first_try_to_the_deep"),
    ("believes-the-source", "publish::from_the_first_try_to_the_deep"),
];

#[test]
fn every_planted_bug_is_seen() {
    are_seen(&PLANTS);
}
