//! JSON as bitcoind writes it: fields in their order, amounts with eight digits behind the point.

use bitcoin::Amount;
use serde_json::Value;

/// Something to be written.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Coins(Amount),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
    /// As it came.
    Same(Value),
}

impl Json {
    pub(super) fn text(value: impl ToString) -> Self {
        Self::Text(value.to_string())
    }

    /// A number; those of a chain are far below the largest.
    pub(super) fn int(value: impl TryInto<i64>) -> Self {
        Self::Int(value.try_into().unwrap_or(i64::MAX))
    }

    pub(super) fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }

    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Float(value) => out.push_str(&Value::from(*value).to_string()),
            Self::Coins(value) => {
                let (whole, rest) = (value.to_sat() / 100_000_000, value.to_sat() % 100_000_000);
                out.push_str(&format!("{whole}.{rest:08}"));
            }
            Self::Text(value) => out.push_str(&Value::from(value.as_str()).to_string()),
            Self::List(items) => write_all(out, ('[', ']'), items, |out, item| item.write(out)),
            Self::Map(fields) => write_all(out, ('{', '}'), fields, |out, (name, value)| {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                value.write(out);
            }),
            Self::Same(value) => out.push_str(&value.to_string()),
        }
    }
}

fn write_all<T>(
    out: &mut String,
    ends: (char, char),
    items: &[T],
    write: impl Fn(&mut String, &T),
) {
    out.push(ends.0);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(ends.1);
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Amount> for Json {
    fn from(value: Amount) -> Self {
        Self::Coins(value)
    }
}

/// Fields, in their order.
#[derive(Debug, Default)]
pub(super) struct Map(Vec<(String, Json)>);

impl Map {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn int(self, name: &str, value: impl TryInto<i64>) -> Self {
        self.with(name, Json::int(value))
    }

    pub(super) fn text(self, name: &str, value: impl ToString) -> Self {
        self.with(name, Json::text(value))
    }
}

impl From<Map> for Json {
    fn from(map: Map) -> Self {
        Self::Map(map.0)
    }
}
