//! Questions and answers around the methods: JSON-RPC 1 and 2, alone and in batches.

use serde_json::Value;

use super::{
    fault::{Code, RpcFault},
    json::{Json, Map},
    table,
};
use crate::{Shared, lock};

/// Questions in a batch.
const BATCH_MAX: usize = 10_000;

/// What goes back: a status of HTTP, and a body if there is one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<String>,
}

/// One question, as far as it could be read.
struct Question<'a> {
    id: Option<&'a Value>,
    /// Version 2 asks for other answers.
    second: bool,
}

/// Answers a body.
pub(super) fn answer(shared: &Shared, body: &[u8]) -> Reply {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return refuse(&RpcFault::new(Code::Parse, "Parse error"));
    };
    match &value {
        Value::Array(batch) if batch.len() > BATCH_MAX => {
            let message = format!("{} questions at once, at most {BATCH_MAX}", batch.len());
            refuse(&RpcFault::new(Code::InvalidRequest, message))
        }
        Value::Array(batch) => answer_batch(shared, batch),
        Value::Object(_) => answer_one(shared, &value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            refuse(&RpcFault::new(Code::Parse, "Top-level object parse error"))
        }
    }
}

fn refuse(fault: &RpcFault) -> Reply {
    let question = Question { id: None, second: false };
    question.reply(Err(fault.clone()))
}

fn answer_batch(shared: &Shared, batch: &[Value]) -> Reply {
    let mut answers = Vec::new();
    for value in batch {
        let (question, result) = run(shared, value);
        if !question.is_notice() {
            answers.push(question.envelope(result));
        }
    }
    // Notices alone are answered with nothing.
    if answers.is_empty() && !batch.is_empty() {
        return Reply { status: 204, body: None };
    }
    Reply { status: 200, body: Some(line(&Json::List(answers))) }
}

fn answer_one(shared: &Shared, value: &Value) -> Reply {
    let (question, result) = run(shared, value);
    if question.is_notice() {
        return Reply { status: 204, body: None };
    }
    question.reply(result)
}

fn run<'a>(shared: &Shared, value: &'a Value) -> (Question<'a>, Result<Json, RpcFault>) {
    let invalid = |message: &str| Err(RpcFault::new(Code::InvalidRequest, message));
    let mut question = Question { id: None, second: false };
    let Some(fields) = value.as_object() else {
        return (question, invalid("Invalid Request object"));
    };
    question.id = fields.get("id");
    match fields.get("jsonrpc") {
        None | Some(Value::Null) => {}
        Some(Value::String(version)) if version == "1.0" || version == "1.1" => {}
        Some(Value::String(version)) if version == "2.0" => question.second = true,
        Some(Value::String(_)) => return (question, invalid("JSON-RPC version not supported")),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return (question, invalid("jsonrpc field must be a string"));
        }
    }
    let method = match fields.get("method") {
        Some(Value::String(method)) => method,
        None | Some(Value::Null) => return (question, invalid("Missing method")),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return (question, invalid("Method must be a string"));
        }
    };
    let result = table::call(&mut lock(shared), method, fields.get("params"));
    (question, result)
}

impl Question<'_> {
    /// Version 2 wants no answer to what has no id.
    const fn is_notice(&self) -> bool {
        self.second && self.id.is_none()
    }

    fn reply(&self, result: Result<Json, RpcFault>) -> Reply {
        let status = match &result {
            Ok(_) => 200,
            Err(_) if self.second => 200,
            Err(fault) if fault.code == Code::InvalidRequest => 400,
            Err(fault) if fault.code == Code::MethodNotFound => 404,
            Err(_) => 500,
        };
        Reply { status, body: Some(line(&self.envelope(result))) }
    }

    fn envelope(&self, result: Result<Json, RpcFault>) -> Json {
        let id = self.id.map_or(Json::Null, |id| Json::Same(id.clone()));
        let error = |fault: RpcFault| {
            Map::new().int("code", fault.code as i32).with("message", fault.message)
        };
        let map = match (result, self.second) {
            (Ok(result), true) => Map::new().with("jsonrpc", "2.0").with("result", result),
            (Err(fault), true) => Map::new().with("jsonrpc", "2.0").with("error", error(fault)),
            (Ok(result), false) => Map::new().with("result", result).with("error", Json::Null),
            (Err(fault), false) => {
                Map::new().with("result", Json::Null).with("error", error(fault))
            }
        };
        map.with("id", id).into()
    }
}

fn line(json: &Json) -> String {
    let mut out = String::new();
    json.write(&mut out);
    out.push('\n');
    out
}
