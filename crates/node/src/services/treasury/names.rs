//! Names that people give to payments: whoever asks twice by one name pays once.
//!
//! A name is saved before its transaction is, and both before that is published. It counts as long
//! as the wallet knows a transaction of it: one that was given up, or never was, leaves it free.

use std::fmt;

use bitcoin::{Amount, ScriptBuf, Txid};
use chain::Height;
use wallet::{Order, Recipient, Standing, Wanted};

use super::{Change, FORGET_BLOCKS, Refusal, Reply, Sent, Treasury, purse::Waiting};

/// Bytes of a payment's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Names that are kept.
pub const NAMES_MAX: usize = 10_000;
/// A name is kept for so many blocks, a month, and as long as its payment is in none.
pub const NAME_BLOCKS: u32 = 30 * 144;
/// Transactions that are kept for a name: the payment, and what has replaced it. The oldest go.
const SENT_MAX: usize = 16;

/// What somebody calls a payment: printable characters of ASCII, at least one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PaymentName(Box<str>);

/// Why something is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// Too short or too long.
    Length {
        /// Bytes it has.
        got: usize,
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A character that is not printable, or not ASCII.
    Character {
        /// Where, from 0.
        at: usize,
        /// Of how many bytes.
        of: usize,
    },
}

/// What somebody has paid, or wants to: what makes two orders the same. Rates and fees change from
/// day to day, and do not belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Who is paid.
    pub to: ScriptBuf,
    /// How much; nothing if it is all there is.
    pub amount: Option<Amount>,
}

/// A payment that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What was wanted.
    pub ordered: Ordered,
    /// Our newest block when it was sent.
    pub at: Height,
    /// The transaction and its fee, and those that have replaced it.
    pub sent: Vec<(Txid, Amount)>,
}

impl PaymentName {
    /// Reads a name.
    pub fn new(text: &str) -> Result<Self, NameFault> {
        let (got, min, max) = (text.len(), 1, NAME_BYTES_MAX);
        if !(min..=max).contains(&got) {
            return Err(NameFault::Length { got, min, max });
        }
        match text.bytes().position(|byte| !(b' '..=b'~').contains(&byte)) {
            Some(at) => Err(NameFault::Character { at, of: got }),
            None => Ok(Self(text.into())),
        }
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ordered {
    pub(super) fn of(order: &Order) -> Self {
        let to = match &order.to {
            Recipient::Script(script) => script.clone(),
            // Another network's is refused when it is drafted.
            Recipient::Address(address) => address.assume_checked_ref().script_pubkey(),
        };
        let amount = match order.amount {
            Wanted::Exactly(amount) => Some(amount),
            Wanted::All => None,
        };
        Self { to, amount }
    }
}

impl Treasury {
    /// What was sent by this name, if something was; a refusal, if it was something else, or is
    /// just being signed.
    pub(super) fn sent_before(
        &mut self,
        name: &PaymentName,
        wants: &Ordered,
    ) -> Result<Option<Reply>, Refusal> {
        let same = |had: &Ordered| match had == wants {
            true => Ok(()),
            false => Err(Refusal::NameTaken {
                name: name.clone(),
                had: Box::new(had.clone()),
                wants: Box::new(wants.clone()),
            }),
        };
        for waiting in self.purse.signing.values() {
            let Waiting::Spend(signing) = waiting else { continue };
            if let Some((other, had)) = &signing.name
                && other == name
            {
                same(had)?;
                return Err(Refusal::NameBusy { name: name.clone() });
            }
        }
        let Some(named) = self.state.names.get(name).cloned() else { return Ok(None) };
        let Some(sent) = self.sent_as(&named)? else {
            // What was given up of it could be paid beside what would be paid now.
            let wallet = self.wallet()?;
            let mut given_up = named.sent.iter().map(|(txid, _)| *txid);
            return match given_up.find(|txid| wallet.is_haunting(*txid, FORGET_BLOCKS)) {
                Some(txid) => Err(Refusal::NameHaunted { name: name.clone(), txid }),
                None => Ok(None),
            };
        };
        same(&named.ordered)?;
        Ok(Some(Reply::Sent(sent)))
    }

    /// How the payment stands: the one of its transactions that is in a block, or counts, or was
    /// the last one. Nothing if none of them is known any more.
    fn sent_as(&mut self, named: &Named) -> Result<Option<Sent>, Refusal> {
        let wallet = self.wallet()?;
        let known = named.sent.iter().rev().filter_map(|(txid, fee)| {
            let standing = wallet.standing(*txid)?;
            let rank = match standing {
                Standing::Confirmed(_) => 0,
                Standing::Pending => 1,
                Standing::Replaced { .. } => 2,
            };
            Some((rank, *txid, *fee, standing))
        });
        let Some((_, txid, fee, standing)) = known.min_by_key(|(rank, ..)| *rank) else {
            return Ok(None);
        };
        let waits = match standing {
            Standing::Confirmed(_) => None,
            Standing::Pending if self.was_taken(&txid) => None,
            Standing::Pending => Some("no source has taken it yet".to_owned()),
            Standing::Replaced { by, .. } => Some(format!("{by} counts instead")),
        };
        Ok(Some(Sent { txid, fee, waits }))
    }

    /// Whether one more name can be kept; whoever is refused has paid nothing.
    pub(super) fn room_for_names(&mut self) -> Result<(), Refusal> {
        let (have, max) = (self.state.names.len(), NAMES_MAX);
        if have < max {
            return Ok(());
        }
        let tip = self.tip().map_or(Height(0), |tip| tip.height);
        let is_old = |named: &Named| named.at.0.saturating_add(NAME_BLOCKS) <= tip.0;
        let old = self.state.names.iter().filter(|(_, named)| is_old(named));
        let old: Vec<_> = old.map(|(name, named)| (name.clone(), named.clone())).collect();
        for (name, named) in old {
            let wallet = self.wallet()?;
            if !named.sent.iter().any(|(txid, _)| wallet.is_pending(*txid)) {
                self.save(Change::Unnamed { name });
            }
        }
        match self.state.names.len() < max {
            true => Ok(()),
            false => Err(Refusal::TooManyNames { have, max }),
        }
    }

    /// A payment has this name from now on. To be saved before its transaction.
    pub(super) fn name(&mut self, name: PaymentName, ordered: Ordered, txid: Txid, fee: Amount) {
        let at = self.tip().map_or(Height(0), |tip| tip.height);
        // What was given up of it is remembered.
        let mut sent = self.state.names.get(&name).map_or(Vec::new(), |had| had.sent.clone());
        if sent.len() >= SENT_MAX {
            sent.remove(0);
        }
        sent.push((txid, fee));
        self.save(Change::Named { name, named: Named { ordered, at, sent } });
    }

    /// What has replaced a payment has its name, too.
    pub(super) fn rename(&mut self, replaced: Txid, txid: Txid, fee: Amount) {
        let is_it = |(_, named): &(&PaymentName, &Named)| {
            named.sent.iter().any(|(sent, _)| *sent == replaced)
        };
        let Some((name, named)) = self.state.names.iter().find(is_it) else { return };
        let (name, mut named) = (name.clone(), named.clone());
        if named.sent.len() >= SENT_MAX {
            named.sent.remove(0);
        }
        named.sent.push((txid, fee));
        self.save(Change::Named { name, named });
    }
}

impl fmt::Display for PaymentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { got, min, max } => {
                write!(f, "a name of {got} bytes, at least {min} and at most {max}")
            }
            Self::Character { at, of } => {
                write!(f, "byte {at} of {of} of the name is no printable character of ASCII")
            }
        }
    }
}

impl std::error::Error for NameFault {}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amount {
            Some(amount) => write!(f, "{amount}")?,
            None => f.write_str("everything")?,
        }
        write!(f, " to script:{:x}", self.to)
    }
}
