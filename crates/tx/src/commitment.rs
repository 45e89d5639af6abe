//! Commitments: the transaction that each side could publish.

use std::sync::Arc;

use bitcoin::sighash::SighashCache;
use bitcoin::{
    Amount, EcdsaSighashType, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute,
    hashes::Hash as _, transaction,
};
use wire::amount::{FeeratePerKw, Msat, Sat};
use wire::id::CommitmentNumber;
use wire::key::Point;

use crate::{
    ANCHOR_SAT, CommitmentKeys, Contract, ContractKeys, Direction, Form, Place, Side, Stage, Terms,
    script,
};

/// What a commitment means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Who can publish it.
    pub owner: Side,
    /// Counted up from 0.
    pub number: CommitmentNumber,
    /// `per_commitment_point` of the owner.
    pub point: Point,
    /// What the opener pays for it.
    pub feerate: FeeratePerKw,
    /// What the opener has beside contracts, before fees.
    pub to_opener: Msat,
    /// What the acceptor has beside contracts.
    pub to_acceptor: Msat,
    /// The contracts under way.
    pub contracts: Vec<Placed>,
}

/// A contract in a commitment.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Who pays.
    pub offered_by: Side,
    /// How much.
    pub amount: Msat,
    /// Under which terms.
    pub contract: Arc<dyn Contract>,
}

/// A commitment, not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The transaction.
    pub transaction: Transaction,
    /// What its outputs are, in their order.
    pub outputs: Vec<Output>,
    /// The keys in them.
    pub keys: CommitmentKeys,
    /// Those in contracts, if there are any that are not trimmed.
    pub contract_keys: Option<ContractKeys>,
    /// What the opener could not pay of the fee.
    pub unpaid: Sat,
}

/// What stands behind an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it is for.
    pub purpose: Purpose,
    /// How much.
    pub value: Sat,
    /// The witness script, if there is one.
    pub script: Option<ScriptBuf>,
}

/// What an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The owner's money, after its delay.
    ToLocal,
    /// The other's money.
    ToRemote,
    /// The anchor of this side.
    Anchor(Side),
    /// A contract.
    Contract {
        /// Which of [`Meaning::contracts`].
        index: usize,
        /// Its second stage, if the owner needs one.
        stage: Option<Stage>,
    },
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        let Self { offered_by, amount, contract } = self;
        *offered_by == other.offered_by && *amount == other.amount && **contract == *other.contract
    }
}

impl Eq for Placed {}

impl Placed {
    /// The way its money goes, as the owner of a commitment sees it.
    pub fn direction(&self, owner: Side) -> Direction {
        match self.offered_by == owner {
            true => Direction::Offered,
            false => Direction::Received,
        }
    }

    /// Whether it has no output in the commitment of `owner`: what is left after the second stage
    /// would be dust.
    pub fn is_trimmed(&self, terms: &Terms, owner: Side, rate: FeeratePerKw) -> bool {
        let stage = self.contract.stage(terms.form, self.direction(owner));
        let fee = stage.map_or(Sat(0), |it| terms.form.second_stage_fee(rate, it.weight));
        let least = terms.party(owner).dust_limit.0.saturating_add(fee.0);
        self.amount.floor_to_sat().0 < least
    }
}

impl Meaning {
    /// Builds the commitment.
    pub fn build(&self, terms: &Terms) -> Commitment {
        self.build_with(terms, CommitmentKeys::new(terms, self.owner, &self.point))
    }

    /// The same, with keys that were derived before.
    pub fn build_with(&self, terms: &Terms, keys: CommitmentKeys) -> Commitment {
        let is_trimmed = |it: &Placed| it.is_trimmed(terms, self.owner, self.feerate);
        let has_contracts = !self.contracts.iter().all(is_trimmed);
        let contract_keys =
            has_contracts.then(|| keys.of_contracts(terms, self.owner, &self.point));
        let mut rows = self.contract_rows(terms, contract_keys.as_ref());
        let fee = terms.form.fee(self.feerate, rows.len());
        let costs = Sat(fee.0 + terms.form.anchors().0);
        let opener = self.to_opener.floor_to_sat();
        let unpaid = Sat(costs.0.saturating_sub(opener.0));
        let (opener, acceptor) =
            (Sat(opener.0.saturating_sub(costs.0)), self.to_acceptor.floor_to_sat());
        let (local, remote) = match self.owner {
            Side::Opener => (opener, acceptor),
            Side::Acceptor => (acceptor, opener),
        };
        self.balance_rows(terms, &keys, [local, remote], has_contracts, &mut rows);
        rows.sort_by(|a, b| a.key().cmp(&b.key()));
        Commitment {
            transaction: self.transaction(terms, &rows),
            outputs: outputs(rows),
            keys,
            contract_keys,
            unpaid,
        }
    }

    fn contract_rows(&self, terms: &Terms, keys: Option<&ContractKeys>) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.contracts.len() + 4);
        let Some(keys) = keys else { return rows };
        let row = |(index, placed): (usize, &Placed)| {
            let direction = placed.direction(self.owner);
            if placed.is_trimmed(terms, self.owner, self.feerate) {
                return None;
            }
            let script = placed.contract.script(&Place { form: terms.form, direction, keys });
            let stage = placed.contract.stage(terms.form, direction);
            Some(Row {
                pays_to: script.to_p2wsh(),
                order: placed.contract.order(),
                output: Output {
                    purpose: Purpose::Contract { index, stage },
                    value: placed.amount.floor_to_sat(),
                    script: Some(script),
                },
            })
        };
        rows.extend(self.contracts.iter().enumerate().filter_map(row));
        rows
    }

    fn balance_rows(
        &self,
        terms: &Terms,
        keys: &CommitmentKeys,
        [local, remote]: [Sat; 2],
        has_contracts: bool,
        rows: &mut Vec<Row>,
    ) {
        let owner = terms.party(self.owner);
        let [has_local, has_remote] = [local, remote].map(|it| it >= owner.dust_limit);
        if has_local {
            let script = script::revocable(keys, owner.delay);
            rows.push(Row::new(Purpose::ToLocal, local, script.to_p2wsh(), Some(script)));
        }
        if has_remote {
            let (pays_to, script) = script::to_remote(terms.form, &keys.other_payment);
            rows.push(Row::new(Purpose::ToRemote, remote, pays_to, script));
        }
        if terms.form == Form::StaticRemoteKey {
            return;
        }
        for (side, has) in [(self.owner, has_local), (self.owner.other(), has_remote)] {
            if has || has_contracts {
                let script = script::anchor(&terms.party(side).funding_key);
                let pays_to = script.to_p2wsh();
                rows.push(Row::new(Purpose::Anchor(side), ANCHOR_SAT, pays_to, Some(script)));
            }
        }
    }

    fn transaction(&self, terms: &Terms, rows: &[Row]) -> Transaction {
        let obscured = terms.obscured(self.number);
        let low = |bits: u64| u32::try_from(bits & 0xff_ffff).expect("24 bits fit");
        let input = TxIn {
            previous_output: terms.funding.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence(0x80 << 24 | low(obscured >> 24)),
            witness: Witness::new(),
        };
        let output = |row: &Row| TxOut {
            value: Amount::from_sat(row.output.value.0),
            script_pubkey: row.pays_to.clone(),
        };
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::from_consensus(0x20 << 24 | low(obscured)),
            input: vec![input],
            output: rows.iter().map(output).collect(),
        }
    }
}

impl Commitment {
    /// The digest that both sides sign.
    pub fn digest(&self, terms: &Terms) -> [u8; 32] {
        let value = Amount::from_sat(terms.funding.value.0);
        SighashCache::new(&self.transaction)
            .p2wsh_signature_hash(0, &script::funding(terms), value, EcdsaSighashType::All)
            .expect("it has an input 0")
            .to_byte_array()
    }
}

/// An output on its way to its place.
struct Row {
    pays_to: ScriptBuf,
    order: u32,
    output: Output,
}

impl Row {
    fn new(purpose: Purpose, value: Sat, pays_to: ScriptBuf, script: Option<ScriptBuf>) -> Self {
        Self { pays_to, order: 0, output: Output { purpose, value, script } }
    }

    /// BIP 69, then `cltv_expiry`.
    fn key(&self) -> (Sat, &ScriptBuf, u32) {
        (self.output.value, &self.pays_to, self.order)
    }
}

fn outputs(rows: Vec<Row>) -> Vec<Output> {
    rows.into_iter().map(|row| row.output).collect()
}
