//! What an RPC answers when it cannot do what was asked: bitcoind's codes and words.

use crate::{fault::Fault, mempool::Refusal};

/// bitcoind's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Misc = -1,
    Type = -3,
    InvalidAddressOrKey = -5,
    InvalidParameter = -8,
    Database = -20,
    Deserialization = -22,
    Verify = -25,
    VerifyRejected = -26,
    AlreadyInUtxoSet = -27,
    InvalidRequest = -32_600,
    MethodNotFound = -32_601,
    Internal = -32_603,
    Parse = -32_700,
}

/// An answer that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RpcFault {
    pub(super) code: Code,
    pub(super) message: String,
}

impl RpcFault {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, message)
    }

    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidAddressOrKey, message)
    }
}

impl From<Fault> for RpcFault {
    fn from(fault: Fault) -> Self {
        let code = match &fault {
            Fault::UnknownBlock { .. } => return Self::unknown("Block not found"),
            Fault::Refused(_) | Fault::Disagree(_) => Code::Internal,
            Fault::Policy(refusal) => return Self::from_refusal(refusal),
            Fault::FirstBlock | Fault::TooDeep { .. } | Fault::TooMany { .. } => {
                Code::InvalidParameter
            }
            Fault::Kernel(_)
            | Fault::Path
            | Fault::Dice
            | Fault::Thread(_)
            | Fault::Address { .. }
            | Fault::Disk { .. }
            | Fault::Journal { .. } => Code::Database,
            Fault::Poor { .. } => Code::Misc,
        };
        Self::new(code, fault.to_string())
    }
}

impl RpcFault {
    /// What `sendrawtransaction` answers.
    pub(super) fn from_refusal(refusal: &Refusal) -> Self {
        if is_missing_inputs(refusal) {
            return Self::new(Code::Verify, refusal.word());
        }
        if *refusal == Refusal::Confirmed {
            let message = "Transaction outputs already in utxo set";
            return Self::new(Code::AlreadyInUtxoSet, message);
        }
        Self::new(Code::VerifyRejected, refusal.to_string())
    }
}

/// bitcoind has two words for this one.
pub(super) const fn is_missing_inputs(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Consensus(crate::ledger::TxFault::MissingInput { .. }))
}
