//! Outputs that are not spent.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, TxOut};

/// An output that is not spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// What it is.
    pub output: TxOut,
    /// The height of its block; of one that is not in a block yet, the next height.
    pub height: u32,
    /// Whether a coinbase made it.
    pub coinbase: bool,
}

/// Who knows coins, and the times of the chain.
pub trait View {
    /// A coin that can be spent.
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin>;
    /// The median time of the block at a height and the ten before it.
    fn time_before(&self, height: u32) -> u32;
}

/// What a block would change.
#[derive(Debug)]
pub(super) struct Overlay<'a, V> {
    base: &'a V,
    made: BTreeMap<OutPoint, Coin>,
    spent: BTreeSet<OutPoint>,
    /// What has been spent of the base, in order.
    pub(super) undo: Vec<(OutPoint, Coin)>,
}

impl<'a, V: View> Overlay<'a, V> {
    pub(super) const fn new(base: &'a V) -> Self {
        Self { base, made: BTreeMap::new(), spent: BTreeSet::new(), undo: Vec::new() }
    }

    /// Takes a transaction in whose inputs are all here.
    pub(super) fn apply(&mut self, tx: &Transaction, height: u32) {
        let coinbase = tx.is_coinbase();
        if !coinbase {
            for input in &tx.input {
                let outpoint = input.previous_output;
                if self.made.remove(&outpoint).is_none()
                    && let Some(coin) = self.base.coin(&outpoint)
                {
                    self.undo.push((outpoint, coin.clone()));
                    self.spent.insert(outpoint);
                }
            }
        }
        self.made.extend(outputs(tx, height, coinbase));
    }

    pub(super) fn into_change(self) -> (BTreeMap<OutPoint, Coin>, Vec<(OutPoint, Coin)>) {
        (self.made, self.undo)
    }
}

impl<V: View> View for Overlay<'_, V> {
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        if self.spent.contains(outpoint) {
            return None;
        }
        self.made.get(outpoint).or_else(|| self.base.coin(outpoint))
    }

    fn time_before(&self, height: u32) -> u32 {
        self.base.time_before(height)
    }
}

/// The coins that a transaction makes. What nobody can ever spend is none.
pub(crate) fn outputs(
    tx: &Transaction,
    height: u32,
    coinbase: bool,
) -> impl Iterator<Item = (OutPoint, Coin)> {
    let txid = tx.compute_txid();
    (0..).zip(&tx.output).filter(|(_, output)| !is_unspendable(output)).map(
        move |(vout, output)| {
            (OutPoint { txid, vout }, Coin { output: output.clone(), height, coinbase })
        },
    )
}

/// Core forgets these at once: they cannot be spent.
pub(crate) fn is_unspendable(output: &TxOut) -> bool {
    const SCRIPT_BYTES_MAX: usize = 10_000;
    output.script_pubkey.is_op_return() || output.script_pubkey.len() > SCRIPT_BYTES_MAX
}
