//! The other tests see each planted bug.

use std::process::Command;

/// Each plant, and a test that is there to see it.
const PLANTS: [(&str, &str); 3] = [
    ("edge-before-barrier", "clerk::nothing_leaves_before_its_cause_is_durable"),
    ("acknowledge-before-save", "clerk::a_message_is_acknowledged_when_it_is_durable"),
    ("two-owners-after-crash", "clerk::each_start_is_another_owner"),
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
