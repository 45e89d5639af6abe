//! Ten thousand blocks of a devnet, followed by a whole node: over JSON-RPC, with a wallet, saved.
//! Then the wallet looks through all of them once more.

use std::{
    sync::{Arc, Mutex, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use apart::{Place, seed};
use bitcoin::Amount;
use devnet::{
    Devnet, lock,
    rpc::{Access, Server},
};
use node::{
    io::bitcoind::{self, DoorKey},
    roles::{self, ChainPlan, Plan, Running},
    services::treasury::{Command, Refusal, Reply},
};
use paired::Target;
use wire::Network;

/// Blocks of the chain.
const BLOCKS: u32 = 10_000;
/// One of so many pays to somebody.
const PAYMENT_EVERY: u32 = 50;
/// Nothing here takes as long as this.
const WAIT: Duration = Duration::from_secs(300);

fn main() {
    let devnet = Arc::new(Mutex::new(Devnet::in_memory().expect("a world")));
    let access = Access::Password { user: "a".to_owned(), password: "b".to_owned() };
    let server = Server::start(Arc::clone(&devnet), 0, access).expect("a port");
    let begin = Instant::now();
    {
        let mut devnet = lock(&devnet);
        let script = bitcoin::ScriptBuf::from_bytes([&[0x51, 0x20][..], &[2; 32]].concat());
        for block in (0..BLOCKS).step_by(PAYMENT_EVERY as usize) {
            devnet.mine_many(PAYMENT_EVERY, None).expect("it is valid");
            if block > 200 {
                devnet.fund(&script, Amount::from_sat(10_000)).expect("it is rich");
            }
        }
    }
    report("mined", begin);
    let place = Place::new();
    let running = start(&place, &server);
    let begin = Instant::now();
    until(|| {
        matches!(ask(&running, Command::Status), Ok(Reply::Status(status))
        if status.tip.is_some_and(|tip| tip.height.0 == BLOCKS)
            && status.heard.is_some_and(|heard| heard.height.0 == BLOCKS))
    });
    report("followed", begin);
    until(|| ask(&running, Command::Balance).is_ok());
    let begin = Instant::now();
    assert_eq!(ask(&running, Command::Rescan { from: None }), Ok(Reply::Done));
    until(|| {
        matches!(ask(&running, Command::Progress), Ok(Reply::Progress(Some(progress)))
        if progress.done == progress.of)
    });
    report("rescanned", begin);
    running.stop();
    running.wait().expect("it ends well");
}

fn start(place: &Place, server: &Server) -> Running {
    let key = DoorKey::User { name: "a".to_owned(), password: "b".to_owned() };
    let source = bitcoind::Place { url: format!("http://{}", server.address()), key };
    let chain = ChainPlan {
        source: Some(source),
        challenge: None,
        birthday: None,
        reserve: Amount::ZERO,
        tell: Box::new(|_| {}),
        tell_channels: Box::new(|_| ()),
    };
    let plan = Plan::whole(place.path().to_owned(), Network::Regtest, seed(7));
    roles::start(Plan { chain: Some(chain), ..plan }, Box::new(|_| {})).expect("it starts")
}

fn ask(running: &Running, command: Command) -> Result<Reply, Refusal> {
    let (told, reply) = channel();
    let bell = running.treasury.as_ref().expect("it follows a chain");
    let answer = Box::new(move |reply| told.send(reply).expect("it is waited for"));
    bell.call(command, answer).expect("there is room");
    reply.recv_timeout(WAIT).expect("an answer")
}

fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + WAIT;
    while !is_so() {
        assert!(Instant::now() < end, "not in time");
        thread::sleep(Duration::from_millis(2));
    }
}

fn report(figure: &str, begin: Instant) {
    let (blocks, seconds) = (f64::from(BLOCKS), begin.elapsed().as_secs_f64());
    let unit = "blocks/s";
    paired::report("rescan", figure, blocks / seconds, unit, Target::Report, blocks, seconds);
}
