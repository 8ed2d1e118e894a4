//! Rewrites the block tags of a template where minijinja differs from what
//! transformers gives to Jinja2. Lines stay where they are, so that errors
//! name the line of the author's file.

use std::ops::Range;

/// The function that stands around what a `for` loop goes over.
pub const LOOPED: &str = "__looped";

/// `{% generation %}` marks tokens for masks of transformers' own; its text is
/// that of the block, and `if true` keeps the whitespace rules. A `for` loop
/// over None is an error in Python.
pub fn rewrite(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 64);
    let mut written = 0;
    for tag in block_tags(source) {
        let body = &source[tag.clone()];
        let replaced = match word(body) {
            "generation" => body.replacen("generation", " if true ", 1),
            "endgeneration" => body.replacen("endgeneration", " endif ", 1),
            "for" => with_looped(body),
            _ => continue,
        };
        out.push_str(&source[written..tag.start]);
        out.push_str(&replaced);
        written = tag.end;
    }
    out.push_str(&source[written..]);
    out
}

/// The first word of a tag's body.
fn word(body: &str) -> &str {
    let body = body.trim_start_matches(['-', '+']).trim_start();
    let end = body
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(body.len());
    &body[..end]
}

/// `for x in items if x` -> `for x in __looped(items) if x`.
fn with_looped(body: &str) -> String {
    let Some(start) = top_level_word(body, 0, &["in"]).map(|r| r.end) else {
        return body.to_owned();
    };
    let end = top_level_word(body, start, &["if", "recursive"])
        .map_or(body.trim_end_matches(['-', '+']).len(), |r| r.start);
    format!(
        "{} {LOOPED}({}) {}",
        &body[..start],
        &body[start..end],
        &body[end..]
    )
}

/// The next of `words` outside of brackets and quotes.
fn top_level_word(
    body: &str,
    from: usize,
    words: &[&str],
) -> Option<Range<usize>> {
    let bytes = body.as_bytes();
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    let mut depth = 0usize;
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' | b'"' => at = after_quotes(bytes, at),
            b'(' | b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b if is_name(b) => {
                let start = at;
                while at < bytes.len() && is_name(bytes[at]) {
                    at += 1;
                }
                let whole = start == 0 || bytes[start - 1] != b'.';
                if depth == 0 && whole && words.contains(&&body[start..at]) {
                    return Some(start..at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// Past the quoted text that begins at `at`.
fn after_quotes(bytes: &[u8], at: usize) -> usize {
    let quote = bytes[at];
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != quote {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// The bodies of all `{% ... %}`, outside of comments and raw blocks.
fn block_tags(source: &str) -> Vec<Range<usize>> {
    let bytes = source.as_bytes();
    let mut tags = Vec::new();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"{#" => at = after(source, at + 2, "#}"),
            b"{{" => at = end_of_code(bytes, at + 2, b"}}") + 2,
            b"{%" => {
                let body = at + 2..end_of_code(bytes, at + 2, b"%}");
                at = body.end + 2;
                if word(&source[body.clone()]) == "raw" {
                    at = after(source, at, "endraw");
                } else {
                    tags.push(body);
                }
            }
            _ => at += 1,
        }
    }
    tags
}

fn after(source: &str, from: usize, mark: &str) -> usize {
    let rest = source.get(from..).unwrap_or_default();
    rest.find(mark).map_or(source.len(), |i| from + i + mark.len())
}

/// Where code ends that began at `from`: at `mark` outside of quotes and
/// braces, or at the end of the source.
fn end_of_code(bytes: &[u8], from: usize, mark: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            _ if depth == 0 && bytes[at..].starts_with(mark) => return at,
            b'\'' | b'"' => {
                at = after_quotes(bytes, at);
                continue;
            }
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}
