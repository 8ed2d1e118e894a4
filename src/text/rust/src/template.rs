//! A chat template, compiled once and rendered as transformers renders it:
//! trimmed blocks, `raise_exception`, `strftime_now`, Python's `tojson`, loop
//! controls, and the `generation` block as plain text.

use std::fmt::Write as _;
use std::io;

use chrono::DateTime;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{context, Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::python_text::{json_of, str_of, JsonStyle};
use crate::tags;

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
        environment.add_function(tags::LOOPED, looped);
        environment.add_filter("tojson", to_json);
        environment.add_filter("indent", indent);
        environment.add_filter("int", int);
        environment.add_filter("float", float);
        environment.add_filter("escape", escape);
        environment.add_filter("e", escape);
        environment.add_filter("string", |value: &Value| str_of(value));
        environment.add_test("iterable", is_iterable);
        // Jinja2 reads every line end as a plain newline.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        environment
            .add_template_owned(NAME, tags::rewrite(&source))
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

/// What a loop goes over. As in Python, None is nothing to go over.
fn looped(items: Value) -> Result<Value, Error> {
    match items.kind() {
        ValueKind::None => {
            Err(Error::new(ErrorKind::InvalidOperation, "None is not iterable"))
        }
        _ => Ok(items),
    }
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

/// Jinja2's `indent(width=4, first=False, blank=False)`: unlike minijinja's it
/// keeps a line end at the end.
fn indent(
    text: String,
    width: Option<Value>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, Error> {
    let width = width.or(options.get("width")?);
    let first = first.or(options.get("first")?).unwrap_or(false);
    let blank = blank.or(options.get("blank")?).unwrap_or(false);
    options.assert_all_used()?;
    let margin = match width {
        None => " ".repeat(4),
        Some(width) => match width.as_str() {
            Some(margin) => margin.to_owned(),
            None => " ".repeat(usize::try_from(width)?.min(1 << 10)),
        },
    };
    let mut out = String::new();
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i == 0 && first) || (i > 0 && (blank || !line.is_empty())) {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// Jinja2's `int(default=0)`: of what is no number, the default.
fn int(value: &Value, default: Option<i64>) -> Value {
    float_of(value).map_or(default.unwrap_or(0), |x| x.trunc() as i64).into()
}

/// Jinja2's `float(default=0.0)`.
fn float(value: &Value, default: Option<f64>) -> Value {
    float_of(value).or(default).unwrap_or(0.0).into()
}

fn float_of(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => f64::try_from(value.clone()).ok(),
    }
}

/// With the entities that Python's markupsafe writes.
fn escape(value: &Value) -> Result<Value, Error> {
    if value.is_safe() {
        return Ok(value.clone());
    }
    let mut out = String::new();
    for c in str_of(value)?.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    Ok(Value::from_safe_string(out))
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
