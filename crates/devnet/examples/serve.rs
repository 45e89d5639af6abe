//! Serves a devnet until its input ends: `cargo run -p leyden-devnet --example serve`.

use std::{error::Error, io::Read};

use devnet::{
    Clock, Devnet,
    rpc::{Access, Server},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut devnet = Devnet::in_memory()?;
    devnet.set_clock(Clock::Wall);
    let access = Access::Password { user: "u".to_owned(), password: "p".to_owned() };
    let port = std::env::args().nth(1).map_or(Ok(18_443), |port| port.parse())?;
    let server = Server::start(devnet.shared(), port, access)?;
    println!("http://u:p@{}", server.address());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
