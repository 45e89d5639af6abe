//! The paths of the wallet.

use std::sync::Arc;

use axum::{Json, extract::State};
use bitcoin::{Amount, FeeRate, Txid};
use chain::{Cure, Height, PublishEvent, Target};
use wallet::{Order, Recipient, Wanted};

use super::{
    Desk,
    chain::{self as paths, call},
    routes::{Answer, Given, No, confused},
};
use crate::{
    api,
    io::clock,
    services::treasury::{self, Command, PaymentName, Reply},
};

/// In how many blocks a payment is to be confirmed, if nobody says.
const BLOCKS: u16 = 6;

/// How much there is.
#[utoipa::path(get, path = "/v1/wallet",
    responses((status = 200, body = api::Balance), (status = "4XX", body = api::Refused)))]
pub(super) async fn show(State(desk): State<Arc<Desk>>) -> Answer<api::Balance> {
    let reply = call(&desk, Command::Balance).await?;
    let Reply::Balance(all) = reply else { return Err(confused()) };
    Ok(Json(balance(&all)))
}

/// An address that nobody has paid to.
#[utoipa::path(post, path = "/v1/wallet/address",
    responses((status = 200, body = api::Address), (status = "4XX", body = api::Refused)))]
pub(super) async fn address(State(desk): State<Arc<Desk>>) -> Answer<api::Address> {
    let reply = call(&desk, Command::Address).await?;
    let Reply::Address(address) = reply else { return Err(confused()) };
    Ok(Json(api::Address { address: address.to_string() }))
}

/// What there is, coin by coin.
#[utoipa::path(get, path = "/v1/wallet/coins",
    responses((status = 200, body = [api::Coin]), (status = "4XX", body = api::Refused)))]
pub(super) async fn coins(State(desk): State<Arc<Desk>>) -> Answer<Vec<api::Coin>> {
    let reply = call(&desk, Command::Coins).await?;
    let Reply::Coins(coins) = reply else { return Err(confused()) };
    let coin = |coin: &wallet::Coin| api::Coin {
        outpoint: coin.outpoint.to_string(),
        amount_sat: coin.amount.to_sat(),
        height: coin.height.map(|height| height.0),
        confirmations: coin.confirmations,
        immature: coin.is_immature,
        locked_by: coin.lock.map(|lock| lock.holder.to_string()),
    };
    Ok(Json(coins.iter().map(coin).collect()))
}

/// Pays somebody.
#[utoipa::path(post, path = "/v1/wallet/send", request_body = api::Send,
    responses((status = 200, body = api::Sent), (status = "4XX", body = api::Refused)))]
pub(super) async fn send(
    State(desk): State<Arc<Desk>>,
    Given(send): Given<api::Send>,
) -> Answer<api::Sent> {
    // Of which network it is, the wallet judges.
    let to = send
        .to
        .parse()
        .map_err(|fault| No::malformed(format!("'{}' is no address: {fault}", send.to)))?;
    let amount = match (send.amount_sat, send.all) {
        (Some(sat), false) => Wanted::Exactly(Amount::from_sat(sat)),
        (None, true) => Wanted::All,
        (Some(_), true) => return Err(No::malformed("an amount or all, not both")),
        (None, false) => return Err(No::malformed("how much? amount_sat, or all")),
    };
    let fee_rate = match (send.sat_per_kvb, send.blocks) {
        (Some(rate), None) => rate_of(rate),
        (None, blocks) => estimate(&desk, Target(blocks.unwrap_or(BLOCKS))).await?,
        (Some(_), Some(_)) => return Err(No::malformed("sat_per_kvb or blocks, not both")),
    };
    let order = Order {
        allow_high_fee: send.allow_high_fee,
        ..Order::new(Recipient::Address(to), amount, fee_rate)
    };
    let name = send.name.map(|name| PaymentName::new(&name)).transpose();
    let name = name.map_err(|fault| No::malformed(fault.to_string()))?;
    let (spend_reserve, draw) = (send.spend_reserve, clock::drawn());
    sent(call(&desk, Command::Send { order, spend_reserve, name, draw }).await?)
}

/// Replaces a spend by one that pays more.
#[utoipa::path(post, path = "/v1/wallet/bump", request_body = api::Bump,
    responses((status = 200, body = api::Sent), (status = "4XX", body = api::Refused)))]
pub(super) async fn bump(
    State(desk): State<Arc<Desk>>,
    Given(bump): Given<api::Bump>,
) -> Answer<api::Sent> {
    let bump = Command::Bump {
        txid: txid(&bump.txid)?,
        fee_rate: rate_of(bump.sat_per_kvb),
        allow_high_fee: bump.allow_high_fee,
        spend_reserve: bump.spend_reserve,
        draw: clock::drawn(),
    };
    sent(call(&desk, bump).await?)
}

/// Gives up a pending transaction, and all that hangs on it.
#[utoipa::path(post, path = "/v1/wallet/forget", request_body = api::Forget,
    responses((status = 200, body = api::Forgotten), (status = "4XX", body = api::Refused)))]
pub(super) async fn forget(
    State(desk): State<Arc<Desk>>,
    Given(forget): Given<api::Forget>,
) -> Answer<api::Forgotten> {
    let (txid, force) = (txid(&forget.txid)?, forget.force);
    let reply = call(&desk, Command::Forget { txid, force }).await?;
    let Reply::Forgotten(gone) = reply else { return Err(confused()) };
    Ok(Json(api::Forgotten { txids: gone.iter().map(Txid::to_string).collect() }))
}

/// Looks for our money once more, as far back as there are blocks.
#[utoipa::path(post, path = "/v1/wallet/rescan", request_body = api::Rescan,
    responses((status = 200, body = api::Done), (status = "4XX", body = api::Refused)))]
pub(super) async fn rescan(
    State(desk): State<Arc<Desk>>,
    Given(rescan): Given<api::Rescan>,
) -> Answer<api::Done> {
    call(&desk, Command::Rescan { from: rescan.from.map(Height) }).await?;
    Ok(Json(api::Done {}))
}

/// How far that is.
#[utoipa::path(get, path = "/v1/wallet/rescan",
    responses((status = 200, body = api::Progress), (status = "4XX", body = api::Refused)))]
pub(super) async fn progress(State(desk): State<Arc<Desk>>) -> Answer<api::Progress> {
    let reply = call(&desk, Command::Progress).await?;
    let Reply::Progress(progress) = reply else { return Err(confused()) };
    let wallet::Progress { done, of, found } =
        progress.unwrap_or(wallet::Progress { done: 0, of: 0, found: 0 });
    Ok(Json(api::Progress { finished: done >= of, done, of, found }))
}

fn txid(text: &str) -> Result<Txid, No> {
    let no = |fault| No::malformed(format!("'{text}' is no transaction: {fault}"));
    text.parse().map_err(no)
}

/// A rate that is never less than what was said.
pub(super) fn rate_of(sat_per_kvb: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(sat_per_kvb.div_ceil(4))
}

pub(super) async fn estimate(desk: &Desk, target: Target) -> Result<FeeRate, No> {
    let reply = call(desk, Command::Rate { target }).await?;
    let Reply::Rate(rate) = reply else { return Err(confused()) };
    Ok(rate.rate)
}

fn sent(reply: Reply) -> Answer<api::Sent> {
    let Reply::Sent(treasury::Sent { txid, fee, waits }) = reply else { return Err(confused()) };
    Ok(Json(api::Sent { txid: txid.to_string(), fee_sat: fee.to_sat(), waits }))
}

pub(super) fn balance(balance: &wallet::Balance) -> api::Balance {
    api::Balance {
        confirmed_sat: balance.confirmed.to_sat(),
        pending_sat: balance.pending.to_sat(),
        immature_sat: balance.immature.to_sat(),
        locked_sat: balance.locked.to_sat(),
        reserve_sat: balance.reserve.to_sat(),
        spendable_sat: balance.spendable.to_sat(),
    }
}

pub(super) fn publication(event: &PublishEvent) -> api::Publication {
    match event {
        PublishEvent::Accepted => api::Publication::Accepted,
        PublishEvent::Refused { reason, cure } => {
            let cure = match cure {
                Cure::Wait => "wait",
                Cure::RaiseFee => "raise_fee",
                Cure::GiveUp => "give_up",
                Cure::Look => "look",
            };
            api::Publication::Refused { why: reason.to_string(), cure: cure.to_owned() }
        }
        PublishEvent::Confirmed { block, .. } => {
            api::Publication::Confirmed { block: paths::block(*block) }
        }
        PublishEvent::Unconfirmed { block, .. } => {
            api::Publication::Unconfirmed { block: paths::block(*block) }
        }
        PublishEvent::Replaced { by, .. } => api::Publication::Replaced { by: by.to_string() },
        PublishEvent::Restored { .. } => api::Publication::Restored,
        PublishEvent::Deep { .. } => api::Publication::Deep,
    }
}
