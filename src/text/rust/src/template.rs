//! A chat template, compiled once and rendered as transformers renders it:
//! trimmed blocks, `raise_exception`, `strftime_now`, Python's `tojson`, loop
//! controls, and the `generation` block as plain text.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use chrono::DateTime;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{context, Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::python_text::{json_of, str_of, JsonStyle};

const NAME: &str = "chat_template";

pub struct Limits {
    pub fuel: u64,
    pub output_bytes: usize,
}

pub struct Template {
    environment: Environment<'static>,
    output_bytes: usize,
}

impl Template {
    pub fn compile(source: &str, limits: Limits) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(limits.fuel));
        environment.set_unknown_method_callback(unknown_method_callback);
        environment
            .set_formatter(|out, _, value| Ok(out.write_str(&str_of(value)?)?));
        environment.add_function("raise_exception", raise_exception);
        environment.add_filter("tojson", to_json);
        environment.add_filter("string", |value: &Value| str_of(value));
        environment.add_test("iterable", is_iterable);
        // Jinja2 reads every line end as a plain newline.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let source = plain_generation_blocks(&source).into_owned();
        environment
            .add_template_owned(NAME, source)
            .map_err(|e| describe(&e))?;
        Ok(Template { environment, output_bytes: limits.output_bytes })
    }

    /// `variables` is a JSON object; `local_seconds` is the wall clock for
    /// `strftime_now`, in seconds since 1970 of local time.
    pub fn render(
        &self,
        variables: &str,
        local_seconds: i64,
    ) -> Result<String, String> {
        let variables: serde_json::Value =
            serde_json::from_str(variables).map_err(|e| e.to_string())?;
        let now = move |format: &str| strftime(format, local_seconds);
        let context = context! {
            strftime_now => Value::from_function(now),
            ..Value::from_serialize(&variables)
        };
        let mut output = BoundedOutput::new(self.output_bytes);
        let template =
            self.environment.get_template(NAME).map_err(|e| describe(&e))?;
        match template.render_captured_to(context, &mut output) {
            Ok(_) => String::from_utf8(output.bytes).map_err(|e| e.to_string()),
            Err(_) if output.overflowed => Err(format!(
                "output is longer than the limit of {} bytes",
                output.limit
            )),
            Err(error) => Err(describe(&error)),
        }
    }
}

/// The error with its causes, on one line.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let _ = write!(text, ": {next}");
        cause = next.source();
    }
    text
}

/// transformers marks the tokens of `{% generation %}` blocks for masks of its
/// own; the text is that of the block. `if true` keeps the whitespace rules.
fn plain_generation_blocks(source: &str) -> Cow<'_, str> {
    if !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        out.push_str(&rest[..start + 2]);
        rest = &rest[start + 2..];
        let Some(end) = rest.find("%}") else { break };
        let tag = &rest[..end];
        match tag.trim_matches(|c: char| c.is_whitespace() || "+-".contains(c))
        {
            "generation" => {
                out.push_str(&tag.replace("generation", " if true "))
            }
            "endgeneration" => {
                out.push_str(&tag.replace("endgeneration", " endif "));
            }
            _ => out.push_str(tag),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

fn strftime(format: &str, local_seconds: i64) -> Result<String, Error> {
    let invalid =
        || Error::new(ErrorKind::InvalidOperation, "invalid date format");
    let time =
        DateTime::from_timestamp(local_seconds, 0).ok_or_else(invalid)?;
    let mut text = String::new();
    write!(text, "{}", time.naive_utc().format(format))
        .map_err(|_| invalid())?;
    Ok(text)
}

/// `json.dumps` with transformers' defaults: no escapes beyond ASCII, none for
/// HTML, order kept.
fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    let sort_keys: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        _ if indent.is_some() => (",".into(), ": ".into()),
        _ => (", ".into(), ": ".into()),
    };
    let style = JsonStyle {
        indent,
        item_separator: item,
        key_separator: key,
        ensure_ascii: ensure_ascii.unwrap_or(false),
        sort_keys: sort_keys.unwrap_or(false),
    };
    json_of(value, &style)
}

/// As in Python, a string is iterable and None is not.
fn is_iterable(_: &State, value: &Value) -> bool {
    match value.kind() {
        ValueKind::String => true,
        ValueKind::None => false,
        _ => value.try_iter().is_ok(),
    }
}

/// Refuses to grow past a limit, so that a template cannot fill the memory.
struct BoundedOutput {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl BoundedOutput {
    fn new(limit: usize) -> Self {
        BoundedOutput { bytes: Vec::new(), limit, overflowed: false }
    }
}

impl io::Write for BoundedOutput {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if part.len() > self.limit - self.bytes.len() {
            self.overflowed = true;
            return Err(io::Error::other("output limit"));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
