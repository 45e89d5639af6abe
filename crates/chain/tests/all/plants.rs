//! Runs a test of this binary once more with a bug planted, to see that it notices.

use std::process::Command;

/// Each plant, and a test that is there to see it.
pub fn are_seen(plants: &[(&str, &str)]) {
    for (plant, test) in plants {
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
