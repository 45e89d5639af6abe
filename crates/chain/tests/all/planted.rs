//! The other tests see each planted bug.

use std::process::Command;

/// Each plant, and a test that is there to see it.
const PLANTS: [(&str, &str); 3] = [
    ("watch-misses-what-is-kept", "model::users_hear_what_there_is_through_reorgs_and_restarts"),
    ("reorg-leaves-it-confirmed", "publish::from_the_first_try_to_the_deep"),
    ("believes-the-source", "publish::from_the_first_try_to_the_deep"),
];

#[test]
fn every_planted_bug_is_seen() {
    for (plant, test) in PLANTS {
        assert!(passes(test, None), "{test} fails without a plant");
        assert!(!passes(test, Some(plant)), "{test} does not see {plant}");
    }
}

fn passes(test: &str, plant: Option<&str>) -> bool {
    let mut tests = Command::new(std::env::current_exe().expect("we run"));
    tests.args(["--exact", test]).env_remove("LEYDEN_PLANTED");
    if let Some(plant) = plant {
        tests.env("LEYDEN_PLANTED", plant);
    }
    tests.output().expect("it runs").status.success()
}
