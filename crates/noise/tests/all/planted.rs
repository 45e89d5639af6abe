//! The other tests see each planted bug; and without one they pass in this build too.

use std::process::Command;

/// Each plant, and the tests that are there to see it.
const PLANTS: [(&str, [&str; 2]); 2] = [
    (
        "lazy-rotation-on-export",
        [
            "rotation::no_state_ever_shows_a_due_rotation",
            "handover::moving_at_a_position_changes_no_byte",
        ],
    ),
    (
        "one-chaining-key",
        [
            "rotation::directions_rotate_independently",
            "rotation::random_traffic_agrees_with_the_model",
        ],
    ),
];

#[test]
fn without_a_plant_everything_passes() {
    let (passed, failed) = run(None);
    assert!(passed && failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_planted_bug_is_seen() {
    for (plant, tests) in PLANTS {
        let (passed, failed) = run(Some(plant));
        println!("plant {plant} is seen by {failed:#?}");
        assert!(!passed, "no test sees {plant}");
        for test in tests {
            assert!(failed.iter().any(|name| name == test), "{test} does not see {plant}");
        }
    }
}

/// Runs all other tests of this binary; which failed?
fn run(plant: Option<&str>) -> (bool, Vec<String>) {
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--skip", "planted::"]).env_remove("LEYDEN_PLANT");
    if let Some(plant) = plant {
        tests.env("LEYDEN_PLANT", plant);
    }
    let output = tests.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let failed = text
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .map(String::from)
        .collect();
    (output.status.success(), failed)
}
