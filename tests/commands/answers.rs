//! The field names of every `--json` answer, against `answers.json`: scripts rely on them.

use std::path::Path;

use serde_json::{Value, json};

use super::desk::Desk;
use crate::support::program::finish;

/// The names and kinds of a value: a list has the shape of its first item.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(items) => items.first().map(shape).into_iter().collect(),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "bool".into(),
        Value::Null => Value::Null,
    }
}

#[tokio::test]
async fn answers_keep_their_field_names() {
    let desk = Desk::open("answers").await;
    let id = desk.put("scanner", &["boss@example.com"], "scan", b"x").await.to_string();
    let other = desk.put("scanner", &["boss@example.com"], "scan", b"x").await.to_string();
    let file = desk.folder.path().join("copy.db").display().to_string();
    let mut answers = serde_json::Map::new();
    for (name, arguments) in [
        ("queue hold", &["queue", "hold", &id, "0123456789abcdef", "--reason", "ask Anna"][..]),
        ("queue list", &["queue", "list", "--newest", "--limit", "1"]),
        ("queue show", &["queue", "show", &id]),
        ("queue release", &["queue", "release", &id]),
        ("queue retry", &["queue", "retry", &other]),
        ("queue drop", &["queue", "drop", &other]),
        ("a refusal", &["queue", "show", "0123456789abcdef"]),
        ("history", &["history"]),
        ("history --commands", &["history", "--commands"]),
        ("account list", &["account", "list"]),
        ("account pause", &["account", "pause", "office"]),
        ("account resume", &["account", "resume", "office"]),
        ("backup", &["backup", &file]),
    ] {
        let ran = finish(desk.command(&[arguments, &["--json"]].concat())).await;
        let value: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{name}: {error}: {ran:?}"));
        answers.insert(name.to_owned(), shape(&value));
    }
    let kept = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands/answers.json"));
    let kept: Value = kept.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let new = json!(answers);
    assert!(
        kept == new,
        "scripts rely on these names; if the change is meant, write this into tests/commands/answers.json:\n{new:#}"
    );
}
