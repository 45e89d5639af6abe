//! The other tests see each planted bug; and without one they pass in this build too.

use std::process::Command;

/// Each plant, and tests that are there to see it.
const PLANTS: [(&str, &[&str]); 6] = [
    ("wrong-hmac-key", &["vectors::we_make_the_onion", "vectors::each_hop_finds_its_payload"]),
    (
        "no-associated-data",
        &[
            "vectors::we_make_the_onion",
            "laws::only_the_hop_itself_can_peel_and_only_for_its_payment",
        ],
    ),
    (
        "wrong-filler",
        &[
            "vectors::we_make_the_onion",
            "laws::every_hop_finds_its_own_payload_and_the_last_one_the_end",
        ],
    ),
    (
        "next-is-final",
        &[
            "vectors::each_hop_finds_its_payload",
            "laws::every_hop_finds_its_own_payload_and_the_last_one_the_end",
        ],
    ),
    ("even-record", &["payloads::a_final_payload_that_is_none_is_refused_where_it_breaks"]),
    (
        "first-hop-blamed",
        &[
            "vectors::a_failure_comes_back_as_in_the_row",
            "failures::the_origin_reads_who_failed_and_why",
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
