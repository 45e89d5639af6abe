//! The devnet of a node's own process.

use std::time::{Duration, Instant};

use apart::Place;
use bitcoin::Amount;
use node::io::devnet::{DevnetFault, Embedded};

use crate::blocks::script;

/// Whoever has been told that there is no answer does not find it done later.
#[test]
fn what_is_past_its_time_is_not_done() {
    let place = Place::new();
    let at = "127.0.0.1:0".parse().expect("an address");
    let devnet = Embedded::start(place.path(), at, None).expect("a devnet");
    let past = Instant::now();
    let too_late = |fault| matches!(fault, Err(DevnetFault::TooLate { .. }));
    assert!(too_late(devnet.mine(past, 3, None).map(|_| ())));
    assert!(too_late(devnet.reorg(past, 1).map(|_| ())));
    assert!(too_late(devnet.fund(past, &script(1), Amount::ONE_BTC).map(|_| ())));
    let soon = past + Duration::from_secs(600);
    let mined = devnet.mine(soon, 1, None).expect("it is in time");
    assert_eq!(mined[0].block.height.0, 1, "nothing else was mined");
}
