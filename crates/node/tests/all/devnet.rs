//! The devnet of a node's own process.

use std::{
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use apart::{Place, WAIT};
use bitcoin::Amount;
use node::{
    io::devnet::{DevnetFault, Embedded},
    roles::{self, ChainPlan, DevnetPlan, Plan, Running},
    services::treasury::{Command, Reply},
};

use crate::{blocks::script, party::plan};

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

fn node_with(place: &Place, store_pages_max: Option<u32>) -> Running {
    let chain = ChainPlan {
        source: None,
        challenge: None,
        birthday: None,
        reserve: Amount::ZERO,
        tell: Box::new(|_| {}),
        tell_channels: Box::new(|_| ()),
    };
    let rpc = "127.0.0.1:0".parse().expect("an address");
    let devnet = Some(DevnetPlan { rpc, every: None });
    let mut plan = Plan { chain: Some(chain), devnet, store_pages_max, ..plan(place.path(), 91) };
    plan.roles.devnet = true;
    roles::start(plan, Box::new(|_| {})).expect("it starts")
}

/// The height that the node has saved, once it answers.
fn height(running: &Running) -> Option<u32> {
    let (told, reply) = channel();
    let bell = running.treasury.as_ref().expect("it follows a chain");
    let answer = Box::new(move |reply| {
        told.send(reply).ok();
    });
    bell.call(Command::Status, answer).ok()?;
    let Ok(Ok(Reply::Status(status))) = reply.recv_timeout(WAIT) else { return None };
    status.tip.map(|tip| tip.height.0)
}

#[test]
fn a_treasury_with_a_full_disk_stops_and_goes_on_later() {
    let place = Place::new();
    let running = node_with(&place, Some(40));
    let devnet = running.devnet.clone().expect("it has one");
    let begin = Instant::now();
    let ended = thread::spawn(move || running.wait());
    let mut mined = 0;
    while !ended.is_finished() {
        assert!(begin.elapsed() < WAIT, "it goes on with a full disk");
        if mined < 3_000 {
            mined += devnet.mine(begin + WAIT, 50, None).expect("it mines").len();
        }
        thread::sleep(Duration::from_millis(20));
    }
    let fault = ended.join().expect("no panic").expect_err("it cannot go on").to_string();
    assert!(fault.contains("no room left"), "{fault}");
    drop(devnet);
    let running = node_with(&place, None);
    while height(&running) != Some(mined as u32) {
        assert!(begin.elapsed() < 2 * WAIT, "it does not go on: {:?}", height(&running));
        thread::sleep(Duration::from_millis(20));
    }
    running.stop();
    running.wait().expect("it ends well");
}
