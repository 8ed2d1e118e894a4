//! Values as Python prints them: `str()`, `repr()` and `json.dumps`. Templates
//! are written against Python, and models were trained on what it printed.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// Python's `str(value)`.
pub fn str_of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.to_string()),
        ValueKind::Undefined => Ok(String::new()),
        _ => repr_of(value),
    }
}

fn repr_of(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "None".into(),
        ValueKind::Undefined => "Undefined".into(),
        ValueKind::Bool => {
            if value.is_true() { "True" } else { "False" }.into()
        }
        ValueKind::Number => number(value),
        ValueKind::String => repr_of_text(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            format!("[{}]", join(value, repr_of)?)
        }
        ValueKind::Map => {
            let mut parts = Vec::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                parts.push(format!("{}: {}", repr_of(&key)?, repr_of(&item)?));
            }
            format!("{{{}}}", parts.join(", "))
        }
        _ => value.to_string(),
    })
}

fn join(
    values: &Value,
    one: fn(&Value) -> Result<String, Error>,
) -> Result<String, Error> {
    let parts: Result<Vec<String>, Error> =
        values.try_iter()?.map(|v| one(&v)).collect();
    Ok(parts?.join(", "))
}

fn repr_of_text(text: &str) -> String {
    let double = text.contains('\'') && !text.contains('"');
    let quote = if double { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

// The shortest digits that read back, in Python's choice of notation.
fn float(x: f64) -> String {
    if !x.is_finite() {
        let name = if x.is_nan() { "NaN" } else { "Infinity" };
        return format!("{}{name}", if x < 0.0 { "-" } else { "" });
    }
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{x:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let value: i32 = exponent.parse().unwrap_or(0);
        let sign = if value < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", value.abs());
    }
    format!("{x:?}")
}

/// How `json.dumps` is asked to write.
pub struct JsonStyle {
    pub indent: Option<usize>,
    pub item_separator: String,
    pub key_separator: String,
    pub ensure_ascii: bool,
    pub sort_keys: bool,
}

/// Python's `json.dumps(value, ...)`.
pub fn json_of(value: &Value, style: &JsonStyle) -> Result<String, Error> {
    let mut out = String::new();
    write_json(value, style, 0, &mut out)?;
    Ok(out)
}

fn write_json(
    value: &Value,
    style: &JsonStyle,
    depth: usize,
    out: &mut String,
) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => {
            out.push_str(if value.is_true() { "true" } else { "false" });
        }
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String => {
            write_json_text(value.as_str().unwrap_or_default(), style, out);
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            write_block(
                ('[', ']'),
                items.len(),
                style,
                depth,
                out,
                |i, out| write_json(&items[i], style, depth + 1, out),
            )?;
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sort_keys {
                keys.sort();
            }
            write_block(
                ('{', '}'),
                keys.len(),
                style,
                depth,
                out,
                |i, out| {
                    write_json_text(&json_key(&keys[i]), style, out);
                    out.push_str(&style.key_separator);
                    write_json(
                        &value.get_item(&keys[i])?,
                        style,
                        depth + 1,
                        out,
                    )
                },
            )?;
        }
        kind => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("not serializable as JSON: {kind}"),
            ));
        }
    }
    Ok(())
}

fn json_key(key: &Value) -> String {
    match key.kind() {
        ValueKind::None => "null".into(),
        ValueKind::Bool => key.is_true().to_string(),
        ValueKind::Number => number(key),
        _ => key.to_string(),
    }
}

fn write_block(
    brackets: (char, char),
    count: usize,
    style: &JsonStyle,
    depth: usize,
    out: &mut String,
    mut write_item: impl FnMut(usize, &mut String) -> Result<(), Error>,
) -> Result<(), Error> {
    let new_line = |levels: usize, out: &mut String| {
        if let Some(indent) = style.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * levels));
        }
    };
    out.push(brackets.0);
    for i in 0..count {
        if i > 0 {
            out.push_str(&style.item_separator);
        }
        new_line(depth + 1, out);
        write_item(i, out)?;
    }
    if count > 0 {
        new_line(depth, out);
    }
    out.push(brackets.1);
    Ok(())
}

fn write_json_text(text: &str, style: &JsonStyle, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c if style.ensure_ascii && !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
