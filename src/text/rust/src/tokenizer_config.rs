//! What of a tokenizer_config.json matters here. Read on this side because its
//! `model_max_length` is often an integer beyond 64 bits.

use serde_json::{json, Map, Value};

const TOKENS: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// `{"special_tokens":{"bos_token":"<s>",...},"chat_template":"..."}`; names
/// that the file lacks, or sets to null, are left out.
pub fn read(config: &str) -> Result<String, String> {
    let config: Value =
        serde_json::from_str(config).map_err(|e| e.to_string())?;
    let config = config.as_object().ok_or("not a JSON object")?;
    let mut tokens = Map::new();
    for name in TOKENS {
        if let Some(token) = config.get(name).and_then(token_text) {
            tokens.insert(name.into(), token.into());
        }
    }
    if let Some(Value::Array(more)) = config.get("additional_special_tokens") {
        let more: Vec<&str> = more.iter().filter_map(token_text).collect();
        tokens.insert("additional_special_tokens".into(), json!(more));
    }
    let mut out = Map::new();
    out.insert("special_tokens".into(), tokens.into());
    if let Some(source) = config.get("chat_template").and_then(template_text) {
        out.insert("chat_template".into(), source.into());
    }
    Ok(Value::Object(out).to_string())
}

/// A token is written as its text, or as an object with its `content`.
fn token_text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

/// A template is written as its text, or as a list of named ones.
fn template_text(template: &Value) -> Option<&str> {
    let named =
        |t: &&Value| t.get("name").and_then(Value::as_str) == Some("default");
    template.as_str().or_else(|| {
        template.as_array()?.iter().find(named)?.get("template")?.as_str()
    })
}
