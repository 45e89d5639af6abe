//! What is printed. One value of JSON, or words for people.

use std::{net::SocketAddr, path::Path};

use node::api;
use serde::Serialize;
use serde_json::json;

/// Prints one line of JSON.
pub fn json(value: &impl Serialize) {
    println!("{}", serde_json::to_string(value).expect("plain values"));
}

/// A new seed.
pub fn created(node: &str, dir: &Path, words: &[&str], as_json: bool) {
    if as_json {
        return json(&json!({ "node": node, "dir": dir, "words": words }));
    }
    println!("node    {node}");
    println!("folder  {}", dir.display());
    if !words.is_empty() {
        println!();
        println!("These words are the node. Write them down; they are not shown again.");
        println!();
        for (row, four) in words.chunks(4).enumerate() {
            let cell = |(at, word): (usize, &&str)| format!("{:>2} {word:<10}", row * 4 + at + 1);
            let line: Vec<String> = four.iter().enumerate().map(cell).collect();
            println!("  {}", line.join("  ").trim_end());
        }
    }
}

/// A process that is ready.
pub fn up(api: Option<&str>, listening: &[SocketAddr], devnet: Option<SocketAddr>, as_json: bool) {
    if as_json {
        return json(&json!({ "api": api, "listening": listening, "devnet": devnet }));
    }
    if let Some(address) = devnet {
        println!("the devnet speaks JSON-RPC at {address}");
    }
    for address in listening {
        println!("peers can call {address}");
    }
    if let Some(api) = api {
        println!("the API is at http://{api}");
    }
    println!("ready");
}

/// How a node is.
pub fn info(info: &api::Info, as_json: bool) {
    if as_json {
        return json(info);
    }
    let yes = |there| if there { "reachable" } else { "away" };
    println!("node       {}", info.node.as_deref().unwrap_or("not known yet: its signer is away"));
    println!("network    {}", info.network);
    println!("version    {}", info.version);
    println!(
        "listening  {}",
        if info.listening.is_empty() { "-".into() } else { info.listening.join(", ") }
    );
    println!("peers      {}", info.peers);
    println!("signer     {}", yes(info.signer));
    println!("sockets    {}", yes(info.sockets));
}

/// One peer.
pub fn peer(peer: &api::Peer, as_json: bool) {
    if as_json {
        return json(peer);
    }
    println!("connected to {} at {}", peer.node, peer.address);
}

/// All peers.
pub fn peers(peers: &[api::Peer], as_json: bool) {
    if as_json {
        return json(&peers);
    }
    if peers.is_empty() {
        return println!("nobody is connected");
    }
    println!("{:<66}  {:<21}  {:<5}  since", "node", "address", "who");
    for peer in peers {
        let who = if peer.outbound { "we" } else { "they" };
        let since = peer.connected_ms / 1_000;
        println!("{:<66}  {:<21}  {who:<5}  {since} s", peer.node, peer.address);
    }
}

/// How the chain is.
pub fn chain(status: &api::ChainStatus, as_json: bool) {
    if as_json {
        return json(status);
    }
    let block = |block: &Option<api::Block>| match block {
        Some(block) => format!("{} {}", block.height, block.hash),
        None => "-".to_owned(),
    };
    println!("network    {}", status.network);
    println!("source     {}", status.source.text);
    status.missing.iter().for_each(|missing| println!("           {missing}"));
    println!("first      {}", block(&status.first));
    println!("tip        {}", block(&status.tip));
    if let Some(signer) = &status.signer {
        let age = signer.age_s.map_or(String::new(), |seconds| format!(", {seconds} s old"));
        println!("signer     {}{age}", block(&Some(signer.tip.clone())));
    }
    println!("watches    {}, {} of them still searched for", status.watches, status.searching);
    for rate in &status.rates {
        let (whole, rest) = (rate.sat_per_kvb / 1_000, rate.sat_per_kvb % 1_000);
        println!("fee rate   {whole}.{rest:03} sat/vB for {} blocks ({})", rate.blocks, rate.from);
    }
}

/// What is watched.
pub fn watches(lines: &[api::WatchLine], as_json: bool) {
    if as_json {
        return json(&lines);
    }
    if lines.is_empty() {
        return println!("nothing is watched");
    }
    for line in lines {
        println!("{}{}", line.what, if line.searching { " (still searching)" } else { "" });
        if line.left_out > 0 {
            println!("  {} older ones", line.left_out);
        }
        line.found.iter().for_each(|found| println!("  {}", place(found)));
    }
}

/// Where something was found.
fn place(found: &api::Found) -> String {
    let part = match (found.input, found.output) {
        (Some(input), _) => format!("spent by input {input} of"),
        (None, Some(output)) => format!("paid by output {output} of"),
        (None, None) => "in".to_owned(),
    };
    format!("{part} {} at {}", found.txid, found.block.height)
}

/// How much there is.
pub fn balance(balance: &api::Balance, as_json: bool) {
    if as_json {
        return json(balance);
    }
    let rows = [
        ("spendable", balance.spendable_sat),
        ("confirmed", balance.confirmed_sat),
        ("pending", balance.pending_sat),
        ("immature", balance.immature_sat),
        ("locked", balance.locked_sat),
        ("reserve", balance.reserve_sat),
    ];
    for (name, sat) in rows {
        println!("{name:<10} {sat:>15} sat");
    }
}

/// What there is, coin by coin.
pub fn coins(coins: &[api::Coin], as_json: bool) {
    if as_json {
        return json(&coins);
    }
    if coins.is_empty() {
        return println!("no coins");
    }
    for coin in coins {
        let state = match (coin.height, &coin.locked_by) {
            (_, Some(who)) => format!("kept for {who}"),
            (None, None) => "pending".to_owned(),
            (Some(_), None) if coin.immature => format!("{} blocks, immature", coin.confirmations),
            (Some(_), None) => format!("{} blocks", coin.confirmations),
        };
        println!("{:>15} sat  {}  {state}", coin.amount_sat, coin.outpoint);
    }
}

/// Blocks that were mined.
pub fn mined(mined: &api::Mined, as_json: bool) {
    if as_json {
        return json(mined);
    }
    for api::MinedBlock { block, verdict } in &mined.blocks {
        println!("block {} {}: {verdict}", block.height, block.hash);
    }
}

/// A payment that is on its way.
pub fn sent(sent: &api::Sent, as_json: bool) {
    if as_json {
        return json(sent);
    }
    println!("transaction  {}", sent.txid);
    println!("fee          {} sat", sent.fee_sat);
    if let Some(why) = &sent.waits {
        println!("waits        {why}; it is published again and again");
    }
}

/// What became of a payment.
fn publication(publication: &api::Publication) -> String {
    match publication {
        api::Publication::Accepted => "published".to_owned(),
        api::Publication::Refused { why, .. } => format!("not taken: {why}"),
        api::Publication::Confirmed { block } => format!("in block {}", block.height),
        api::Publication::Unconfirmed { block } => {
            format!("not in block {} any more", block.height)
        }
        api::Publication::Replaced { by } => format!("replaced by {by}"),
        api::Publication::Restored => "published again: what replaced it is gone".to_owned(),
        api::Publication::Deep => "buried".to_owned(),
        api::Publication::Forgotten => "given up".to_owned(),
    }
}

/// Something that is done.
pub fn done(words: &str, value: &impl Serialize, as_json: bool) {
    if as_json {
        return json(value);
    }
    println!("{words}");
}

/// Something that has happened.
pub fn event(data: &str, as_json: bool) {
    let Ok(event) = serde_json::from_str::<api::Event>(data) else { return };
    if as_json {
        return json(&event);
    }
    match event {
        api::Event::PeerConnected { peer } => {
            println!("connected     {} at {}", peer.node, peer.address);
        }
        api::Event::PeerDisconnected { node, why, .. } => println!("disconnected  {node}: {why}"),
        api::Event::Message { node, message_type, payload, .. } => {
            println!("message       {node} type {message_type}: {payload}");
        }
        api::Event::Complaint { node, fails, text } => {
            println!("{:<12}  {node}: {text}", if fails { "error" } else { "warning" });
        }
        api::Event::Signer { reachable } => println!("signer        {}", there(reachable)),
        api::Event::Sockets { reachable } => println!("sockets       {}", there(reachable)),
        api::Event::Source { source } => println!("source        {}", source.text),
        api::Event::BlockConnected { block } => {
            println!("block         {} {}", block.height, block.hash);
        }
        api::Event::BlockDisconnected { block } => {
            println!("block gone    {} {}", block.height, block.hash);
        }
        api::Event::Found { what, found } => println!("found         {what}: {}", place(&found)),
        api::Event::FoundGone { what, found } => {
            println!("found gone    {what}: {}", place(&found));
        }
        api::Event::Publication { txid, publication: of } => {
            println!("payment       {txid}: {}", publication(&of));
        }
        api::Event::Balance { balance } => {
            let (confirmed, pending) = (balance.confirmed_sat, balance.pending_sat);
            println!("balance       {confirmed} sat, {pending} sat pending");
        }
        api::Event::Channel { channel } => {
            println!("channel       {} {}", channel.id, crate::lightning::state(&channel));
        }
        api::Event::ChannelRefused { id, why } => println!("not signed    {id}: {why}"),
        api::Event::Payment { payment } => {
            println!("payment       {}", crate::lightning::payment_line(&payment));
        }
        api::Event::Missed { events } => println!("missed        {events} events"),
    }
}

const fn there(reachable: bool) -> &'static str {
    if reachable { "reachable" } else { "away" }
}
