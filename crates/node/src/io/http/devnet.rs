//! The paths of a devnet in this process.

use std::{sync::Arc, time::Instant};

use axum::{Json, extract::State, http::StatusCode};
use bitcoin::Amount;

use super::{
    ANSWER_MAX, Desk,
    chain::{address, block},
    routes::{Answer, Given, No},
};
use crate::{
    api,
    io::devnet::{DevnetFault, Embedded, MinedBlock},
};

/// Blocks that are mined for one request, or replaced.
pub const BLOCKS_MAX: u32 = 1_000;

/// Mines blocks, and says what the kernel thinks of them.
#[utoipa::path(post, path = "/v1/devnet/mine", request_body = api::Mine,
    responses((status = 200, body = api::Mined), (status = "4XX", body = api::Refused)))]
pub(super) async fn mine(
    State(desk): State<Arc<Desk>>,
    Given(mine): Given<api::Mine>,
) -> Answer<api::Mined> {
    few(mine.blocks)?;
    let to = mine.to.map(|to| address(&to, desk.network)).transpose()?;
    let to = to.map(|to| to.script_pubkey());
    mined(work(&desk, move |devnet, by| devnet.mine(by, mine.blocks, to.as_ref())).await?)
}

/// Pays test money to an address. It waits for a block.
#[utoipa::path(post, path = "/v1/devnet/fund", request_body = api::Fund,
    responses((status = 200, body = api::Funded), (status = "4XX", body = api::Refused)))]
pub(super) async fn fund(
    State(desk): State<Arc<Desk>>,
    Given(fund): Given<api::Fund>,
) -> Answer<api::Funded> {
    let to = address(&fund.to, desk.network)?.script_pubkey();
    let amount = Amount::from_sat(fund.amount_sat);
    let outpoint = work(&desk, move |devnet, by| devnet.fund(by, &to, amount)).await?;
    Ok(Json(api::Funded { outpoint: outpoint.to_string() }))
}

/// Replaces the newest blocks by as many, and one more. What was in them waits again.
#[utoipa::path(post, path = "/v1/devnet/reorg", request_body = api::Reorg,
    responses((status = 200, body = api::Mined), (status = "4XX", body = api::Refused)))]
pub(super) async fn reorg(
    State(desk): State<Arc<Desk>>,
    Given(reorg): Given<api::Reorg>,
) -> Answer<api::Mined> {
    few(reorg.depth)?;
    mined(work(&desk, move |devnet, by| devnet.reorg(by, reorg.depth)).await?)
}

fn few(blocks: u32) -> Result<(), No> {
    match blocks <= BLOCKS_MAX {
        true => Ok(()),
        false => Err(No::malformed(format!("{blocks} blocks, at most {BLOCKS_MAX} at once"))),
    }
}

fn mined(mined: Vec<MinedBlock>) -> Answer<api::Mined> {
    let line = |one: MinedBlock| api::MinedBlock { block: block(one.block), verdict: one.verdict };
    Ok(Json(api::Mined { blocks: mined.into_iter().map(line).collect() }))
}

/// Mining takes its time: not in the thread that answers everybody.
async fn work<T: Send + 'static>(
    desk: &Desk,
    work: impl FnOnce(&Embedded, Instant) -> Result<T, DevnetFault> + Send + 'static,
) -> Result<T, No> {
    let Some(devnet) = desk.devnet.clone() else {
        let text = "this process has no devnet; start it with the role devnet";
        return Err(No::new(StatusCode::NOT_FOUND, "no_devnet", text));
    };
    // Whoever waits for longer is told that there is no answer.
    let by = Instant::now() + ANSWER_MAX;
    let done = tokio::task::spawn_blocking(move || work(&devnet, by)).await;
    let done = done.map_err(|fault| {
        No::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", format!("the devnet: {fault}"))
    })?;
    done.map_err(|fault| {
        let (status, code) = match fault {
            DevnetFault::TooLate { .. } => (StatusCode::GATEWAY_TIMEOUT, "timed_out"),
            DevnetFault::Elsewhere { .. } | DevnetFault::Refused { .. } | DevnetFault::Absent => {
                (StatusCode::CONFLICT, "devnet")
            }
        };
        No::new(status, code, fault.to_string())
    })
}
