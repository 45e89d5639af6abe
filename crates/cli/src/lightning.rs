//! The verbs of channels, and what they print.

use std::{io::IsTerminal as _, thread, time::Duration};

use node::api;

use crate::{
    Failure,
    arguments::{Open, Verb},
    show,
    talk::Client,
};

/// Between two looks at a channel.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Does what a verb of channels says.
#[allow(clippy::wildcard_enum_match_arm, reason = "`main` gives the verbs of channels only")]
pub fn talk(verb: &Verb, client: &Client, json: bool) -> Result<(), Failure> {
    match verb {
        Verb::Open(open) => opened(open, client, json)?,
        Verb::Channels => {
            channels(&client.get::<Vec<api::Channel>>("/v1/channels")?, json);
        }
        Verb::Channel { id } => channel(&client.get(&path(id, ""))?, json),
        Verb::Fee { id, rate } => {
            channel(&client.post(&path(id, "/fee"), &api::SetFee { sat_per_kvb: *rate })?, json);
        }
        Verb::Close { id, force, unheard, wait } => {
            let close = api::CloseChannel { force: *force, unheard: *unheard };
            let mut line: api::Channel = client.post(&path(id, "/close"), &close)?;
            if *wait {
                line = wait_for(line, client, |line| line.state == "closed")?;
            }
            channel(&line, json);
        }
        Verb::Pay { node, amount, name } => {
            let pay = api::Pay { node: node.clone(), amount_msat: *amount, name: name.clone() };
            let paid: api::Payment = client.post("/v1/payments", &pay)?;
            if let Some(why) = paid.why {
                return Err(Failure::new("payment_failed", format!("nothing was paid: {why}")));
            }
            payment(&paid, json);
        }
        Verb::Payments => payments(&client.get::<Vec<api::Payment>>("/v1/payments")?, json),
        _ => unreachable!("these are no verbs of channels"),
    }
    Ok(())
}

fn opened(open: &Open, client: &Client, json: bool) -> Result<(), Failure> {
    let (node, address) = match open.to.split_once('@') {
        Some((node, address)) => (node, Some(address)),
        None => (open.to.as_str(), None),
    };
    if let Some(address) = address {
        let connect = api::Connect { node: node.to_owned(), address: address.to_owned() };
        let _: api::Peer = client.post("/v1/peers", &connect)?;
    }
    let body = api::OpenChannel {
        node: node.to_owned(),
        amount_sat: open.amount,
        push_msat: open.push,
        announce: open.announce,
        sat_per_kvb: open.feerate,
    };
    let mut line: api::Channel = client.post("/v1/channels", &body)?;
    if open.wait {
        line = wait_for(line, client, |line| {
            line.state != "funding" && line.state != "awaiting_peer"
        })?;
    }
    channel(&line, json);
    Ok(())
}

/// Looks until it is so. It goes on by itself if nobody looks.
fn wait_for(
    mut line: api::Channel,
    client: &Client,
    is_so: impl Fn(&api::Channel) -> bool,
) -> Result<api::Channel, Failure> {
    let mut said = String::new();
    while !is_so(&line) {
        let words = state(&line);
        if words != said && std::io::stderr().is_terminal() {
            eprintln!("{words}");
            said = words;
        }
        thread::sleep(LOOK_EVERY);
        line = client.get(&path(&line.id, ""))?;
    }
    Ok(line)
}

fn path(id: &str, more: &str) -> String {
    // What is no hex is refused by the node; it must only not be another path.
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("/v1/channels/{id}{more}")
}

/// How far a channel is, in words.
pub fn state(line: &api::Channel) -> String {
    let words = match line.state.as_str() {
        "funding" => {
            let (have, want) = (line.confirmations, line.confirmations_min);
            format!("{have} of {want} confirmations")
        }
        "awaiting_peer" => "deep enough for us, not yet for the peer".to_owned(),
        other => other.to_owned(),
    };
    let away = if line.connected || line.state == "closed" { "" } else { ", the peer is away" };
    let why = line.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("{words}{away}{why}")
}

fn channel(line: &api::Channel, as_json: bool) {
    if as_json {
        return show::json(line);
    }
    println!("channel    {}", line.id);
    println!("node       {}", line.node);
    println!("state      {}", state(line));
    println!("ours       {}", msat(line.local_msat));
    println!("theirs     {}", msat(line.remote_msat));
    println!("capacity   {} sat", line.capacity_sat);
    println!("under way  {} payments", line.htlcs);
    println!("funding    {}", line.funding);
    let names = [
        ("place    ", &line.short_channel_id),
        ("alias    ", &line.alias),
        ("peer says", &line.peer_alias),
    ];
    for (what, name) in names {
        name.iter().for_each(|name| println!("{what}  {name}"));
    }
    println!("fee rate   {} sat/vB", per_vb(line.sat_per_kvb));
    if let Some(txid) = &line.closing_txid {
        println!("closed by  {txid}");
    }
}

fn channels(lines: &[api::Channel], as_json: bool) {
    if as_json {
        return show::json(&lines);
    }
    if lines.is_empty() {
        return println!("no channels");
    }
    for line in lines {
        let (ours, theirs) = (msat(line.local_msat), msat(line.remote_msat));
        println!("{}  {}", &line.id, state(line));
        println!("  with {}", line.node);
        println!("  ours {ours}, theirs {theirs}, of {} sat", line.capacity_sat);
    }
}

fn payment(line: &api::Payment, as_json: bool) {
    if as_json {
        return show::json(line);
    }
    println!("{}", payment_line(line));
    if let Some(preimage) = &line.preimage {
        println!("preimage  {preimage}");
    }
}

fn payments(lines: &[api::Payment], as_json: bool) {
    if as_json {
        return show::json(&lines);
    }
    if lines.is_empty() {
        return println!("no payments");
    }
    lines.iter().for_each(|line| println!("{}", payment_line(line)));
}

/// A payment, in words.
pub fn payment_line(line: &api::Payment) -> String {
    let way = if line.incoming { "from" } else { "to" };
    let name = line.name.as_ref().map_or(String::new(), |name| format!(" '{name}'"));
    let why = line.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("{}{name} {way} {}  {}{why}", msat(line.amount_msat), line.node, line.state)
}

fn msat(msat: u64) -> String {
    match msat % 1_000 {
        0 => format!("{} sat", msat / 1_000),
        rest => format!("{}.{rest:03} sat", msat / 1_000),
    }
}

fn per_vb(sat_per_kvb: u64) -> String {
    format!("{}.{:03}", sat_per_kvb / 1_000, sat_per_kvb % 1_000)
}
