//! The other tests see each planted bug; and without one they pass in this build too.

use std::process::Command;

const PLANTS: [&str; 2] = ["lazy-rotation-on-export", "one-chaining-key"];

#[test]
fn without_a_plant_everything_passes() {
    let (passed, failed) = run(None);
    assert!(passed && failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_planted_bug_is_seen() {
    for plant in PLANTS {
        let (passed, failed) = run(Some(plant));
        println!("plant {plant} is seen by {failed:#?}");
        assert!(!passed && !failed.is_empty(), "no test sees {plant}");
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
