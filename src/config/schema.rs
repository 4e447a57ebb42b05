//! The JSON Schema of `sentry.yaml`, made from the tables that also drive reading. Committed as
//! `templates/sentry.schema.json`; a test compares.

use serde_json::{Map, Value as Json, json};

use super::keys::{Kind, Note, Table};
use super::problem::Problems;
use super::scalar;
use super::tables::ROOT;
use super::yaml::{self, Node, Value};

/// The schema as pretty JSON with a line end. Editors complete and check against it.
pub fn schema() -> String {
    let mut root = table(&ROOT);
    root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    root.insert("title".to_owned(), json!("sentry.yaml"));
    let mut text = serde_json::to_string_pretty(&Json::Object(root)).unwrap_or_default();
    text.push('\n');
    text
}

fn table(table: &'static Table) -> Map<String, Json> {
    let mut properties = Map::new();
    for key in table.keys {
        let mut schema = or_null(kind(&key.kind));
        let doc = match key.note {
            Note::NoEffect(instead) => format!("{} No effect in this version: {instead}.", key.doc),
            Note::Differs(_) | Note::None => key.doc.to_owned(),
        };
        schema.insert("description".to_owned(), json!(doc));
        if matches!(key.note, Note::NoEffect(_)) {
            schema.insert("deprecated".to_owned(), json!(true));
        }
        if let Some(default) =
            (!key.default.is_empty()).then(|| yaml::read(key.default, &mut Problems::default())).flatten()
        {
            schema.insert("default".to_owned(), json_of(&default));
        }
        if let Some(alias) = key.alias {
            let mut schema = schema.clone();
            schema.insert("description".to_owned(), json!(format!("Another name of `{}`. {doc}", key.name)));
            properties.insert(alias.to_owned(), Json::Object(schema));
        }
        properties.insert(key.name.to_owned(), Json::Object(schema));
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(["object", "null"]));
    out.insert("additionalProperties".to_owned(), json!(false));
    out.insert("properties".to_owned(), Json::Object(properties));
    out
}

/// A key without a value is a key that is not given.
fn or_null(mut schema: Map<String, Json>) -> Map<String, Json> {
    if let Some(Json::String(name)) = schema.get("type") {
        let types = json!([name, "null"]);
        schema.insert("type".to_owned(), types);
    }
    if let Some(Json::Array(words)) = schema.get_mut("enum") {
        words.push(Json::Null);
    }
    if let Some(Json::Array(choices)) = schema.get_mut("anyOf") {
        choices.push(json!({"type": "null"}));
    }
    schema
}

fn kind(of: &'static Kind) -> Map<String, Json> {
    let schema = match of {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Whole { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Number { min, max } => json!({"type": "number", "minimum": min, "maximum": max}),
        Kind::Seconds { min } => json!({"anyOf": [
            {"type": "number", "minimum": min},
            {"type": "string", "pattern": "^\\s*([0-9.]+\\s*(ms|s|sec|m|min|h|d|w)\\s*)+$"},
        ]}),
        Kind::Bytes => json!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": "^\\s*[0-9.]+\\s*([kKmMgGtT]?[bB]|[kKmMgGtT]([iI][bB])?)$"},
        ]}),
        Kind::Text | Kind::Path | Kind::Glob => json!({"type": "string"}),
        Kind::Name => json!({"type": "string", "minLength": 1, "maxLength": 100}),
        // No `format: regex`: editors check that against ECMA-262, which refuses `(?i)`.
        Kind::Regex => json!({"type": "string", "minLength": 1}),
        Kind::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Kind::Word(words) => json!({"type": "string", "enum": words}),
        Kind::Command => json!({"anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
        ]}),
        Kind::List(item) => json!({"type": ["array", "null"], "items": kind(item)}),
        Kind::Map(value) => json!({"type": ["object", "null"], "additionalProperties": kind(value)}),
        Kind::Section(of) => Json::Object(table(of)),
        Kind::OneOf(kinds) => json!({"anyOf": kinds.iter().map(kind).collect::<Vec<_>>()}),
        Kind::Any => json!({}),
    };
    match schema {
        Json::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn json_of(node: &Node) -> Json {
    match &node.value {
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.value))).collect())
        }
        Value::Scalar { text, .. } => {
            if node.is_null() {
                Json::Null
            } else if let Some(truth) = scalar::boolean(node) {
                json!(truth)
            } else if let Some(number) = scalar::whole(node).and_then(|number| i64::try_from(number).ok()) {
                json!(number)
            } else if let Some(number) = scalar::number(node) {
                json!(number)
            } else {
                json!(text)
            }
        }
    }
}
