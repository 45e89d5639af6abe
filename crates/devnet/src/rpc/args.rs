//! What a method is asked with.

use std::str::FromStr;

use bitcoin::{
    Address, Amount, Block, BlockHash, Network, ScriptBuf, Transaction, Txid,
    consensus::deserialize, hex::FromHex,
};
use serde_json::Value;

use super::fault::{Code, RpcFault};

/// What a parameter must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    List,
    /// Whatever the method makes of it.
    Any,
}

/// A parameter of a method. Names by which it is known are divided by `|`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

pub(super) const fn must(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: true }
}

pub(super) const fn may(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, required: false }
}

/// What came, by position, checked against what the method takes.
#[derive(Debug)]
pub(super) struct Args<'a> {
    params: &'static [Param],
    values: Vec<Option<&'a Value>>,
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::List => "array",
            Self::Any => "any",
        }
    }
}

impl<'a> Args<'a> {
    pub(super) fn new(
        method: &str,
        params: &'static [Param],
        given: Option<&'a Value>,
    ) -> Result<Self, RpcFault> {
        let mut values: Vec<Option<&Value>> = match given {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => values.iter().map(Some).collect(),
            Some(Value::Object(fields)) => {
                let mut values = vec![None; params.len()];
                for (name, value) in fields {
                    let at = params.iter().position(|p| p.name.split('|').any(|n| n == name));
                    let unknown = || RpcFault::parameter(format!("Unknown named parameter {name}"));
                    values[at.ok_or_else(unknown)?] = Some(value);
                }
                values
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                let message = "Params must be an array or object";
                return Err(RpcFault::new(Code::InvalidRequest, message));
            }
        };
        for value in &mut values {
            *value = value.filter(|value| !value.is_null());
        }
        if values.len() > params.len() {
            return Err(usage(method, params));
        }
        values.resize(params.len(), None);
        let missing = params.iter().zip(&values).any(|(p, value)| p.required && value.is_none());
        if missing {
            return Err(usage(method, params));
        }
        let args = Self { params, values };
        args.check_kinds()?;
        Ok(args)
    }

    fn check_kinds(&self) -> Result<(), RpcFault> {
        let mut wrong = Vec::new();
        for (at, (param, value)) in self.params.iter().zip(&self.values).enumerate() {
            let Some(value) = value else { continue };
            let (want, got) = (param.kind.name(), kind_of(value));
            if param.kind != Kind::Any && want != got {
                let name = param.name.split('|').next().unwrap_or_default();
                wrong.push(format!(
                    "    \"Position {} ({name})\": \
                     \"JSON value of type {got} is not of expected type {want}\"",
                    at + 1
                ));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let message = format!("Wrong type passed:\n{{\n{}\n}}", wrong.join(",\n"));
        Err(RpcFault::new(Code::Type, message))
    }

    pub(super) fn value(&self, at: usize) -> Option<&'a Value> {
        self.values.get(at).copied().flatten()
    }

    pub(super) fn text(&self, at: usize) -> Option<&'a str> {
        self.value(at).and_then(Value::as_str)
    }

    pub(super) fn bool(&self, at: usize, or: bool) -> bool {
        self.value(at).and_then(Value::as_bool).unwrap_or(or)
    }

    pub(super) fn int(&self, at: usize) -> Result<Option<i64>, RpcFault> {
        let Some(value) = self.value(at) else { return Ok(None) };
        match value.as_i64() {
            Some(int) => Ok(Some(int)),
            None => Err(RpcFault::new(Code::Type, "JSON integer out of range")),
        }
    }

    /// How much is told: a number, or whether.
    pub(super) fn verbosity(&self, at: usize, or: i64) -> Result<i64, RpcFault> {
        match self.value(at) {
            Some(Value::Bool(verbose)) => Ok(i64::from(*verbose)),
            Some(Value::Number(_)) => Ok(self.int(at)?.unwrap_or(or)),
            Some(other @ (Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_))) => {
                let got = kind_of(other);
                let message = format!("JSON value of type {got} is not of expected type number");
                Err(RpcFault::new(Code::Type, message))
            }
            None => Ok(or),
        }
    }

    /// Coins: a number, or one as text.
    pub(super) fn coins(&self, at: usize, or: Amount) -> Result<Amount, RpcFault> {
        let invalid = || RpcFault::new(Code::Type, "Invalid amount");
        let Some(value) = self.value(at) else { return Ok(or) };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => {
                // As digits: 1e-5 is how some clients write it.
                let float = number.as_f64().ok_or_else(invalid)?;
                if float < 0.0 {
                    return Err(RpcFault::new(Code::Type, "Amount out of range"));
                }
                format!("{float:.8}")
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                let message = "Amount is not a number or string";
                return Err(RpcFault::new(Code::Type, message));
            }
        };
        Amount::from_str_in(&text, bitcoin::Denomination::Bitcoin).map_err(|_| invalid())
    }

    pub(super) fn block_hash(&self, at: usize) -> Result<BlockHash, RpcFault> {
        self.hash(at)
    }

    pub(super) fn txid(&self, at: usize) -> Result<Txid, RpcFault> {
        self.hash(at)
    }

    fn hash<T: FromStr>(&self, at: usize) -> Result<T, RpcFault> {
        let name = self.params[at].name.split('|').next().unwrap_or_default();
        let text = self.text(at).unwrap_or_default();
        if text.len() != 64 {
            let got = text.len();
            let message = format!("{name} must be of length 64 (not {got}, for '{text}')");
            return Err(RpcFault::parameter(message));
        }
        text.parse().map_err(|_| {
            RpcFault::parameter(format!("{name} must be hexadecimal string (not '{text}')"))
        })
    }

    pub(super) fn script(&self, at: usize) -> Result<ScriptBuf, RpcFault> {
        let address = self.text(at).unwrap_or_default().parse::<Address<_>>().ok();
        let ours = address.and_then(|address| address.require_network(Network::Regtest).ok());
        let invalid = || RpcFault::unknown("Error: Invalid address");
        Ok(ours.ok_or_else(invalid)?.script_pubkey())
    }

    pub(super) fn block(&self, at: usize) -> Result<Block, RpcFault> {
        let bytes = Vec::from_hex(self.text(at).unwrap_or_default()).ok();
        let block = bytes.and_then(|bytes| deserialize(&bytes).ok());
        block.ok_or_else(|| RpcFault::new(Code::Deserialization, "Block decode failed"))
    }

    pub(super) fn transaction(&self, at: usize) -> Result<Transaction, RpcFault> {
        const MESSAGE: &str = "TX decode failed. Make sure the tx has at least one input.";
        let tx = decode(self.text(at).unwrap_or_default());
        tx.ok_or_else(|| RpcFault::new(Code::Deserialization, MESSAGE))
    }

    pub(super) fn transactions(&self, at: usize) -> Result<Vec<Transaction>, RpcFault> {
        const MAX: usize = crate::mempool::PACKAGE_TXS_MAX;
        let none = Vec::new();
        let items = self.value(at).and_then(Value::as_array).unwrap_or(&none);
        if !(1..=MAX).contains(&items.len()) {
            let message = format!("Array must contain between 1 and {MAX} transactions.");
            return Err(RpcFault::parameter(message));
        }
        let one = |item: &Value| {
            let text = item.as_str().unwrap_or_default();
            let message =
                || format!("TX decode failed: {text} Make sure the tx has at least one input.");
            decode(text).ok_or_else(|| RpcFault::new(Code::Deserialization, message()))
        };
        items.iter().map(one).collect()
    }
}

fn decode(text: &str) -> Option<Transaction> {
    let bytes = Vec::from_hex(text).ok()?;
    deserialize(&bytes).ok()
}

/// What bitcoind would answer with its help.
fn usage(method: &str, params: &[Param]) -> RpcFault {
    let mut message = method.to_owned();
    for param in params {
        let name = param.name.split('|').next().unwrap_or_default();
        let (open, close) = if param.required { ("", "") } else { ("( ", " )") };
        message.push_str(&format!(" {open}{name}{close}"));
    }
    RpcFault::new(Code::Misc, message)
}
