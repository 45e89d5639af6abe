//! Each planted bug is found within a hundred worlds.

use std::process::Command;

const SEEDS_MAX: u64 = 100;

/// Each plant, and the words of the rule that it breaks.
const PLANTS: [(&str, &[&str]); 3] = [
    ("edge-before-barrier", &["is durable", "which is not", "not durable"]),
    ("two-owners-after-crash", &["two owners"]),
    ("acknowledge-before-save", &["is not durable"]),
];

#[test]
fn planted_bugs_are_found_within_a_hundred_worlds() {
    for (plant, words) in PLANTS {
        let told = search(Some(plant));
        println!("{plant}: {told}");
        assert!(words.iter().any(|word| told.contains(word)), "{plant}: {told}");
    }
}

#[test]
fn planted_builds_without_a_plant_find_nothing() {
    assert_eq!(search(None), "nothing");
}

/// Run by the others in a process of its own: the plant is chosen by its environment.
#[test]
fn searched_planted() {
    if std::env::var_os("LEYDEN_SEARCH").is_none() {
        return;
    }
    let worlds = (0..SEEDS_MAX).filter_map(|seed| sim::run(seed, false).broken);
    let found = worlds.map(|broken| broken.to_string()).next();
    println!("FOUND {}", found.unwrap_or_else(|| "nothing".to_owned()));
}

fn search(plant: Option<&str>) -> String {
    let mut tests = Command::new(std::env::current_exe().expect("we run"));
    tests.args(["--exact", "planted::searched_planted", "--nocapture"]);
    tests.env("LEYDEN_SEARCH", "1").env_remove("LEYDEN_PLANTED");
    if let Some(plant) = plant {
        tests.env("LEYDEN_PLANTED", plant);
    }
    let output = tests.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| Some(line.split_once("FOUND ")?.1.to_owned()));
    found.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Each plant that a world of blocks finds, and the words of the rule that it breaks.
const BLOCK_PLANTS: [(&str, &str); 2] =
    [("edge-before-barrier", "not durable"), ("watch-misses-what-is-kept", "was not found")];
const BLOCK_SEEDS_MAX: u64 = 40;

#[test]
fn planted_bugs_are_found_in_worlds_of_blocks() {
    for (plant, words) in BLOCK_PLANTS {
        let worlds = search_blocks(plant);
        println!("{plant}: {worlds}");
        assert!(worlds.contains(words), "{plant}: {worlds}");
    }
}

/// As `searched_planted`, for worlds of blocks.
#[test]
fn searched_planted_blocks() {
    if std::env::var_os("LEYDEN_SEARCH").is_none() {
        return;
    }
    let mut worlds = (0..BLOCK_SEEDS_MAX).filter_map(|seed| sim::blocks::run(seed, false).broken);
    let found = worlds.next().map(|broken| broken.to_string());
    println!("FOUND {}", found.unwrap_or_else(|| "nothing".to_owned()));
}

fn search_blocks(plant: &str) -> String {
    let mut tests = Command::new(std::env::current_exe().expect("we run"));
    tests.args(["--exact", "planted::searched_planted_blocks", "--nocapture"]);
    tests.env("LEYDEN_SEARCH", "1").env("LEYDEN_PLANTED", plant);
    let output = tests.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| Some(line.split_once("FOUND ")?.1.to_owned()));
    found.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Each plant that a town finds, by the variable that chooses it, and the words of the rule that it
/// breaks.
const TOWN_PLANTS: [(&str, &str, &[&str]); 4] = [
    ("LEYDEN_PLANTED", "edge-before-barrier", &["not durable"]),
    ("LEYDEN_PLANTED", "payment-not-saved", &["tells"]),
    ("LEYDEN_PLANT", "lost-on-reconnect", &["warns", "does not come to rest", "without need"]),
    ("LEYDEN_PLANT", "watch-not-reissued", &["does not come to rest"]),
];
const TOWN_SEEDS_MAX: u64 = 40;

#[test]
fn planted_bugs_are_found_in_towns() {
    for (variable, plant, words) in TOWN_PLANTS {
        let told = search_towns(Some((variable, plant)));
        println!("{plant}: {told}");
        assert!(words.iter().any(|word| told.contains(word)), "{plant}: {told}");
    }
}

/// As `searched_planted`, for towns.
#[test]
fn searched_planted_towns() {
    if std::env::var_os("LEYDEN_SEARCH").is_none() {
        return;
    }
    let mut worlds = (0..TOWN_SEEDS_MAX).filter_map(|seed| sim::town::run(seed, false).broken);
    let found = worlds.next().map(|broken| broken.to_string());
    println!("FOUND {}", found.unwrap_or_else(|| "nothing".to_owned()));
}

fn search_towns(plant: Option<(&str, &str)>) -> String {
    let mut tests = Command::new(std::env::current_exe().expect("we run"));
    tests.args(["--exact", "planted::searched_planted_towns", "--nocapture"]);
    tests.env("LEYDEN_SEARCH", "1").env_remove("LEYDEN_PLANTED").env_remove("LEYDEN_PLANT");
    tests.envs(plant);
    let output = tests.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| Some(line.split_once("FOUND ")?.1.to_owned()));
    found.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}
