//! The source of blocks: honest, away, behind, or lying.

use bitcoin::{Block, BlockHash, CompactTarget, Txid, Witness, block::Header, hashes::Hash as _};
use chain::{Cure, FeeTerms, Height, Package, PublishAnswer, RATE_MAX, Rates, Target};
use node::services::treasury::{Answer, Ask, From, NetworkName, SourceFault, Tip};
use wire::{dice::Dice, tick::Tick};

use super::nodes::Nodes;

/// Each kind of refusal, in Bitcoin Core's words.
const REFUSALS: [&str; 13] = [
    "mempool min fee not met, 110 < 141",
    "insufficient fee, rejecting replacement",
    "too many potential replacements, rejecting replacement",
    "replacement-adds-unconfirmed",
    "bad-txns-inputs-missingorspent",
    "non-final",
    "non-BIP68-final",
    "bad-txns-premature-spend-of-coinbase",
    "dust",
    "mandatory-script-verify-flag-failed (it does not like it)",
    "too-long-mempool-chain",
    "max-fee-exceeded",
    "something that nobody has heard of",
];

/// What is wrong with the next headers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HeadersLie {
    Unconnected,
    Workless,
    Easy,
}

/// What is wrong with the next block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BlockLie {
    Other,
    Changed,
    Witness,
}

/// How the source is, and until when.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) silent: Tick,
    pub(crate) down: Tick,
    pub(crate) lags: (Tick, u32),
    pub(crate) elsewhere: Tick,
    pub(crate) refuses: Tick,
    pub(crate) takes_nothing: Tick,
    pub(crate) tip_lie: bool,
    pub(crate) headers_lie: Option<HeadersLie>,
    pub(crate) block_lie: Option<BlockLie>,
    pub(crate) rates_lie: bool,
    /// So many answers come twice.
    pub(crate) twice: u32,
    pub(crate) late: bool,
}

/// What was refused for ever.
pub(crate) type Given = (Result<Answer, SourceFault>, Vec<Txid>);

impl Source {
    /// Nothing, if it is silent.
    pub(crate) fn answer(
        &mut self,
        ask: &Ask,
        nodes: &mut Nodes,
        now: Tick,
        dice: &mut Dice,
    ) -> Option<Given> {
        if self.silent > now {
            return None;
        }
        if self.down > now {
            let why = "connection refused".to_owned();
            return Some((Err(SourceFault::Unreachable { why }), Vec::new()));
        }
        let lag = if self.lags.0 > now { self.lags.1 } else { 0 };
        let view = nodes.height().saturating_sub(lag);
        let answer = match ask {
            Ask::Tip => Answer::Tip(self.tip(view, nodes, now, dice)),
            Ask::HeaderAt { at } => {
                let height = match at {
                    From::Below(depth) => view.saturating_sub(*depth),
                    From::At(height) => height.0.min(view),
                };
                Answer::HeaderAt { height: Height(height), header: nodes.header(height) }
            }
            Ask::Headers { locator } => Answer::Headers(self.headers(locator, view, nodes, dice)),
            Ask::Block { hash } => Answer::Block(Box::new(self.block(*hash, nodes))),
            Ask::Publish { package, .. } => {
                let answer = self.publish(package, nodes, now, dice);
                let is_final = match &answer {
                    PublishAnswer::Refused(reason) => reason.cure() == Cure::GiveUp,
                    PublishAnswer::Accepted | PublishAnswer::Known | PublishAnswer::Confirmed => {
                        false
                    }
                };
                let txids = package.transactions().iter().map(|it| it.compute_txid());
                let refused = txids.filter(|_| is_final).collect();
                return Some((Ok(Answer::Published(answer)), refused));
            }
            Ask::Rates { .. } => Answer::Rates(self.rates(dice)),
        };
        Some((Ok(answer), Vec::new()))
    }

    fn tip(&mut self, view: u32, nodes: &Nodes, now: Tick, dice: &mut Dice) -> Tip {
        let name = if self.elsewhere > now { "main" } else { "regtest" };
        let hash = match std::mem::take(&mut self.tip_lie) {
            true => BlockHash::from_byte_array(dice.array()),
            false => nodes.header(view).block_hash(),
        };
        Tip {
            network: NetworkName { name: name.to_owned(), challenge: None },
            hash,
            blocks: Height(view),
            headers: Height(nodes.height()),
        }
    }

    fn headers(
        &mut self,
        locator: &[BlockHash],
        view: u32,
        nodes: &Nodes,
        dice: &mut Dice,
    ) -> Vec<Header> {
        let mut headers = nodes.headers(view, locator);
        let Some(lie) = self.headers_lie.take() else { return headers };
        let mut false_one = nodes.header(view);
        false_one.prev_blockhash = false_one.block_hash();
        false_one.time += 1;
        match lie {
            HeadersLie::Unconnected => {
                false_one.prev_blockhash = BlockHash::from_byte_array(dice.array());
                while false_one.validate_pow(false_one.target()).is_err() {
                    false_one.nonce += 1;
                }
                headers = vec![false_one];
            }
            HeadersLie::Workless => {
                while false_one.validate_pow(false_one.target()).is_ok() {
                    false_one.nonce += 1;
                }
                headers.push(false_one);
            }
            HeadersLie::Easy => {
                false_one.bits = CompactTarget::from_consensus(0x2100_ffff);
                headers.push(false_one);
            }
        }
        headers
    }

    fn block(&mut self, hash: BlockHash, nodes: &Nodes) -> Block {
        let mut block = nodes.block(&hash).clone();
        match self.block_lie.take() {
            None => {}
            Some(BlockLie::Other) => block = nodes.block(&nodes.header(0).block_hash()).clone(),
            Some(BlockLie::Changed) => {
                if let Some(last) = block.txdata.last_mut() {
                    last.output[0].value = bitcoin::Amount::from_sat(1);
                }
            }
            Some(BlockLie::Witness) => {
                if let Some(last) = block.txdata.last_mut() {
                    last.input[0].witness = Witness::from_slice(&[[1; 32]]);
                }
            }
        }
        block
    }

    fn publish(
        &self,
        package: &Package,
        nodes: &mut Nodes,
        now: Tick,
        dice: &mut Dice,
    ) -> PublishAnswer {
        if self.refuses > now {
            return PublishAnswer::parse(REFUSALS[dice.below(REFUSALS.len())]);
        }
        if self.takes_nothing > now {
            return match dice.below(3) {
                0 => PublishAnswer::Known,
                1 => PublishAnswer::Confirmed,
                _ => PublishAnswer::Accepted,
            };
        }
        let each = package.transactions().iter().map(|it| nodes.publish(it));
        let each: Vec<PublishAnswer> = each.collect();
        PublishAnswer::of_all(each).unwrap_or(PublishAnswer::Known)
    }

    fn rates(&mut self, dice: &mut Dice) -> Rates {
        let rate = bitcoin::FeeRate::from_sat_per_kwu;
        let lie = match (std::mem::take(&mut self.rates_lie), dice.one_in(2)) {
            (false, _) => rate(1_000),
            (true, false) => rate(0),
            (true, true) => rate(RATE_MAX.to_sat_per_kwu() + 1),
        };
        let estimates = [(Target(2), rate(2_000)), (Target(6), lie)].into();
        Rates { estimates, mempool_min: Some(rate(250)) }
    }
}

/// What the owner of the node allows.
pub(crate) fn fee_terms() -> FeeTerms {
    FeeTerms::default()
}
