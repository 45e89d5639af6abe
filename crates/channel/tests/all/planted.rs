//! The other tests see each planted bug; and without one they pass in this build too.
//!
//! Two bugs are not the core's but those of whoever runs it, and planted there (`halves.rs`): a
//! message that is sent, and a signer that is asked, before what it follows from is saved.

use std::process::Command;

/// Each plant, and a test that is there to see it.
const PLANTS: [(&str, &str); 7] = [
    ("send-before-save", "live::channels_agree_whatever_waits_is_lost_or_crashes"),
    ("ask-before-intent", "live::channels_agree_whatever_waits_is_lost_or_crashes"),
    ("no-revocation-check", "refused::signatures_and_secrets_that_are_none_fail_the_channel"),
    ("expiry-off-by-one", "onchain::an_offer_that_nobody_ends_goes_to_the_chain_and_comes_back"),
    ("equal-hash", "onchain::contracts_with_one_hash_end_each_for_itself"),
    ("lost-on-reconnect", "live::channels_agree_whatever_waits_is_lost_or_crashes"),
    ("watch-not-reissued", "onchain::second_stages_of_a_revoked_commitment_are_taken_back"),
];

#[test]
fn every_planted_bug_is_seen() {
    for (plant, test) in PLANTS {
        assert!(passes(test, None), "{test} fails without a plant");
        assert!(!passes(test, Some(plant)), "{test} does not see {plant}");
    }
}

fn passes(test: &str, plant: Option<&str>) -> bool {
    let mut tests = Command::new(std::env::current_exe().expect("this test runs"));
    tests.args(["--exact", test]).env_remove("LEYDEN_PLANT");
    if let Some(plant) = plant {
        tests.env("LEYDEN_PLANT", plant);
    }
    let output = tests.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("running 1 test"), "there is no test {test}");
    output.status.success()
}
