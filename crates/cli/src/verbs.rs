//! The verbs of the chain and of the wallet.

use std::{io::IsTerminal as _, thread, time::Duration};

use node::api;

use crate::{
    Failure,
    arguments::{ChainVerb, DevnetVerb, Pay, WalletVerb},
    show,
    talk::Client,
};

/// Between two looks at a rescan.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub fn chain(verb: &ChainVerb, client: &Client, json: bool) -> Result<(), Failure> {
    match verb {
        ChainVerb::Status => show::chain(&client.get("/v1/chain")?, json),
        ChainVerb::Watch { what: None, .. } => {
            show::watches(&client.get::<Vec<api::WatchLine>>("/v1/chain/watches")?, json);
        }
        ChainVerb::Watch { what: Some(what), from } => {
            let this = api::WatchThis { what: what.clone(), from: *from };
            let done: api::Done = client.post("/v1/chain/watches", &this)?;
            show::done(&format!("watching {what}"), &done, json);
        }
        ChainVerb::Unwatch { what } => {
            let done: api::Done = client.delete(&format!("/v1/chain/watches/{what}"))?;
            show::done(&format!("not watching {what} any more"), &done, json);
        }
    }
    Ok(())
}

pub fn wallet(verb: &WalletVerb, client: &Client, json: bool) -> Result<(), Failure> {
    match verb {
        WalletVerb::Address => {
            let address: api::Address = client.post("/v1/wallet/address", &api::Done {})?;
            show::done(&address.address, &address, json);
        }
        WalletVerb::Balance => show::balance(&client.get("/v1/wallet")?, json),
        WalletVerb::Coins => {
            show::coins(&client.get::<Vec<api::Coin>>("/v1/wallet/coins")?, json);
        }
        WalletVerb::Send(pay) => show::sent(&client.post("/v1/wallet/send", &send(pay))?, json),
        WalletVerb::Bump { txid, rate, allow_high_fee, spend_reserve } => {
            let bump = api::Bump {
                txid: txid.clone(),
                sat_per_kvb: *rate,
                allow_high_fee: *allow_high_fee,
                spend_reserve: *spend_reserve,
            };
            show::sent(&client.post("/v1/wallet/bump", &bump)?, json);
        }
        WalletVerb::Forget { txid, force } => {
            let forget = api::Forget { txid: txid.clone(), force: *force };
            let gone: api::Forgotten = client.post("/v1/wallet/forget", &forget)?;
            show::done(&format!("given up: {}", gone.txids.join(", ")), &gone, json);
        }
        WalletVerb::Rescan { from } => {
            let _: api::Done = client.post("/v1/wallet/rescan", &api::Rescan { from: *from })?;
            rescan(client, json)?;
        }
    }
    Ok(())
}

pub fn devnet(verb: &DevnetVerb, client: &Client, json: bool) -> Result<(), Failure> {
    match verb {
        DevnetVerb::Mine { blocks, to } => {
            let mine = api::Mine { blocks: *blocks, to: to.clone() };
            show::mined(&client.post("/v1/devnet/mine", &mine)?, json);
        }
        DevnetVerb::Fund { to, amount } => {
            let fund = api::Fund { to: to.clone(), amount_sat: *amount };
            let funded: api::Funded = client.post("/v1/devnet/fund", &fund)?;
            show::done(&format!("paid by {}", funded.outpoint), &funded, json);
        }
        DevnetVerb::Reorg { depth } => {
            show::mined(&client.post("/v1/devnet/reorg", &api::Reorg { depth: *depth })?, json);
        }
    }
    Ok(())
}

fn send(pay: &Pay) -> api::Send {
    api::Send {
        to: pay.to.clone(),
        amount_sat: pay.amount,
        all: pay.all,
        sat_per_kvb: pay.rate,
        blocks: pay.blocks,
        allow_high_fee: pay.allow_high_fee,
        spend_reserve: pay.spend_reserve,
        name: pay.name.clone(),
    }
}

/// Shows how far a rescan is, until it is through. It goes on by itself if nobody looks.
fn rescan(client: &Client, json: bool) -> Result<(), Failure> {
    loop {
        let progress: api::Progress = client.get("/v1/wallet/rescan")?;
        let api::Progress { finished, done, of, found } = progress;
        if finished {
            let words = format!("{of} addresses and coins looked for, {found} new transactions");
            show::done(&words, &progress, json);
            return Ok(());
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r{done} of {of}, {found} new transactions ");
        }
        thread::sleep(LOOK_EVERY);
    }
}
