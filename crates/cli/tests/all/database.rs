//! A node whose memory is a database, found again by the next process.

use database::Database;

use crate::process::{Place, Service, json, run};

fn words(store: &str) -> Vec<String> {
    let all = ["--roles", "all", "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--store"];
    all.iter().map(|word| (*word).to_owned()).chain([store.to_owned()]).collect()
}

fn up(dir: &str, passphrase: &str, store: &str) -> Service {
    let words = words(store);
    Service::up(dir, passphrase, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_node_keeps_what_it_remembers_in_a_database() {
    let place = Place::new();
    let server = place.path().join("server");
    std::fs::create_dir(&server).expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path(), open).expect("it is ours");
    let _server = Database::start(&server);
    let host = server.display().to_string().replace('/', "%2F");
    let store = format!("postgres://leyden@{host}/postgres");
    let (dir, passphrase) = (place.at("node"), place.at("passphrase"));
    json(&["--dir", &dir, "init", "--passphrase-file", &passphrase]).expect("a new seed");
    let mut first = up(&dir, &passphrase, &store);
    first.kill();
    let mut second = up(&dir, &passphrase, &store);
    assert!(!std::path::Path::new(&dir).join("log.sqlite").exists(), "it is elsewhere");
    second.kill();
    // A folder that has a store of its own is not begun anew elsewhere.
    let words = words(&store);
    let plain = place.at("plain");
    json(&["--dir", &plain, "init", "--passphrase-file", &passphrase]).expect("a new seed");
    Service::up(&plain, &passphrase, &["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"]).kill();
    let mut all = vec!["--dir", &plain, "up", "--passphrase-file", &passphrase];
    all.extend(words.iter().map(String::as_str));
    let said = String::from_utf8_lossy(&run(&all).stderr).into_owned();
    assert!(said.contains("log.sqlite"), "{said}");
}

#[test]
fn a_store_that_is_none_is_named_and_its_password_is_not() {
    let place = Place::new();
    let (dir, passphrase) = (place.at("node"), place.at("passphrase"));
    json(&["--dir", &dir, "init", "--passphrase-file", &passphrase]).expect("a new seed");
    for (store, want) in [
        ("", "--store takes"),
        ("nonsense", "--store takes"),
        ("postgres://", "invalid configuration"),
        ("postgres://me:secret@127.0.0.1:1/x", "refused"),
        ("postgres://me:secret@127.0.0.1:port/x", "invalid connection string"),
    ] {
        let words = words(store);
        let mut all = vec!["--dir", &dir, "up", "--passphrase-file", &passphrase];
        all.extend(words.iter().map(String::as_str));
        let output = run(&all);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(want), "{store}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
