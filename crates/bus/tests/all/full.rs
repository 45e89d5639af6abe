//! A path at which more connect than can be let in.

use std::{
    fs::File,
    os::unix::net::UnixStream,
    process::Command,
    time::{Duration, Instant},
};

use bus::{Caller, Hub, Input, LINKS_PER_LISTENER_MAX};
use place::Place;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::links::{anything, until};

const CHILD: &str = "LEYDEN_BUS_FULL_CHILD";

#[test]
fn a_crowd_at_one_path_does_not_lock_out_another() {
    let place = Place::new();
    let mut hub = Hub::new().expect("a hub");
    let (crowded, quiet) = (place.at("crowded"), place.at("quiet"));
    hub.listen(&crowded, anything()).expect("a fresh path");
    hub.listen(&quiet, anything()).expect("a fresh path");
    let mut crowd = Vec::new();
    for _ in 0..LINKS_PER_LISTENER_MAX {
        crowd.push(UnixStream::connect(&crowded).expect("it listens"));
        until(&mut hub, |input| matches!(input, Input::LinkUp { .. }));
    }
    let late = UnixStream::connect(&crowded).expect("it listens");
    let mut other = Caller::connect(&quiet).expect("it listens");
    other.send(1, b"").expect("it is up");
    let asked = until(&mut hub, |input| matches!(input, Input::Frame { .. }));
    let Input::Frame { link, frame } = asked else { panic!("{asked:?}") };
    hub.answer(link, frame.id, 1, b"").expect("asked");
    hub.flush();
    assert!(other.next(Duration::from_secs(5)).is_ok(), "the quiet path is open");
    assert_eq!(hub.links().len(), LINKS_PER_LISTENER_MAX + 1, "one was one too many");
    drop(late);
    crowd.pop();
    until(&mut hub, |input| matches!(input, Input::LinkDown { .. }));
    crowd.push(UnixStream::connect(&crowded).expect("it listens"));
    until(&mut hub, |input| matches!(input, Input::LinkUp { .. }));
}

/// The limit is one of the process, so it is tried in one of its own.
#[test]
fn without_descriptors_a_hub_waits_and_does_not_spin() {
    if std::env::var_os(CHILD).is_some() {
        return without_descriptors();
    }
    let mut again = Command::new(std::env::current_exe().expect("we run"));
    again.args(["--exact", "full::without_descriptors_a_hub_waits_and_does_not_spin"]);
    let out = again.env(CHILD, "1").output().expect("this program can be started");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

fn without_descriptors() {
    let place = Place::new();
    let mut hub = Hub::new().expect("a hub");
    hub.listen(&place.at("bus.sock"), anything()).expect("a fresh path");
    let waiting = UnixStream::connect(place.at("bus.sock")).expect("it listens");
    let limit = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(64), maximum: limit.maximum };
    setrlimit(Resource::Nofile, few).expect("less is always allowed");
    let files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let (mut inputs, mut rounds, begin) = (Vec::new(), 0, Instant::now());
    while begin.elapsed() < Duration::from_millis(500) {
        hub.poll(Some(Duration::from_millis(500)), &mut inputs).expect("a hub waits");
        rounds += 1;
    }
    assert!(inputs.is_empty(), "{inputs:?}");
    assert!(rounds < 10, "{rounds} rounds in half a second, and nothing to do");
    drop(files);
    until(&mut hub, |input| matches!(input, Input::LinkUp { .. }));
    drop(waiting);
}
