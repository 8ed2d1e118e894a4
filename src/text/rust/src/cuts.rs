//! Where a text may be cut so that the ids of the parts, end to end, are the
//! ids of the whole. Words come again and again; parts can be remembered.
//!
//! A cut lies before a space that stands between two printing ASCII characters.
//! That no token reaches across it is known of two kinds of tokenizers, and of
//! no other; all else is encoded whole.
//!
//! * Byte-level BPE. The expressions of `PATTERNS` take a space in at the
//!   start of a match only, unless the match is white space alone, and look
//!   ahead in white space alone. So a match ends before the cut and another
//!   begins there, whatever stands on the other side; Digits cuts further. NFC
//!   composes nothing with a space, nor with what stands before one.
//! * SentencePiece BPE ("▁" for a space, one put first). Without a token that
//!   has "▁" behind another character no merge crosses the cut, and merges on
//!   one side do not see the other. The part behind the cut is encoded without
//!   its space: the tokenizer puts it there again.
//!
//! Added tokens are found before all that: they hold no space, ask for none
//! beside them, and no cut is made next to a character that begins or ends one.

use serde_json::Value;
use tokenizers::{ModelWrapper, Tokenizer};

/// Of Split pre-tokenizers: Llama 3, Qwen 2 to 3.
const PATTERNS: [&str; 2] = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// What becomes of the space of a cut.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Space {
    Kept,
    Dropped,
}

/// The rule for one tokenizer.
pub struct Cuts {
    space: Space,
    beside: [bool; 128], // characters that may stand beside the space
}

impl Cuts {
    /// None where nothing is known of the tokenizer.
    pub fn of(tokenizer: &Tokenizer) -> Option<Cuts> {
        let ModelWrapper::BPE(model) = tokenizer.get_model() else {
            return None;
        };
        if model.dropout.is_some_and(|p| p > 0.0) {
            return None;
        }
        let normalizer =
            serde_json::to_value(tokenizer.get_normalizer()).ok()?;
        let pre_tokenizer =
            serde_json::to_value(tokenizer.get_pre_tokenizer()).ok()?;
        let space = if is_byte_level(&normalizer, &pre_tokenizer) {
            Space::Kept
        } else if is_sentence_piece(&normalizer, &pre_tokenizer)
            && !model.ignore_merges
            && empty(&model.continuing_subword_prefix)
            && empty(&model.end_of_word_suffix)
            && begins_words_only(tokenizer)
        {
            Space::Dropped
        } else {
            return None;
        };
        Some(Cuts { space, beside: beside(tokenizer, space)? })
    }

    /// The parts of `text`, as they are to be encoded.
    pub fn parts<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let mut begin = 0;
        std::iter::from_fn(move || {
            if begin >= text.len() {
                return None;
            }
            let end = self.next_cut(text.as_bytes(), begin);
            let skipped =
                usize::from(begin > 0 && self.space == Space::Dropped);
            let part = &text[begin + skipped..end];
            begin = end;
            Some(part)
        })
    }

    /// The part of `text` behind its last cut, as it is to be encoded.
    pub fn last_part<'a>(&self, text: &'a str) -> &'a str {
        let bytes = text.as_bytes();
        let last = (1..bytes.len().saturating_sub(1))
            .rev()
            .find(|&i| self.is_cut(bytes, i));
        match last {
            None => text,
            Some(i) => &text[i + usize::from(self.space == Space::Dropped)..],
        }
    }

    fn next_cut(&self, bytes: &[u8], begin: usize) -> usize {
        (begin + 1..bytes.len().saturating_sub(1))
            .find(|&i| self.is_cut(bytes, i))
            .unwrap_or(bytes.len())
    }

    fn is_cut(&self, bytes: &[u8], i: usize) -> bool {
        let may = |b: u8| b.is_ascii() && self.beside[usize::from(b)];
        bytes[i] == b' ' && may(bytes[i - 1]) && may(bytes[i + 1])
    }
}

fn empty(text: &Option<String>) -> bool {
    text.as_ref().is_none_or(String::is_empty)
}

fn is_byte_level(normalizer: &Value, pre_tokenizer: &Value) -> bool {
    let normal = normalizer.is_null() || normalizer["type"] == "NFC";
    let steps = match pre_tokenizer["pretokenizers"].as_array() {
        Some(steps) => steps.as_slice(),
        None => std::slice::from_ref(pre_tokenizer),
    };
    let splits = |step: &Value| match step["type"].as_str() {
        Some("ByteLevel") => step["use_regex"] == true,
        Some("Split") => true,
        _ => false,
    };
    normal && steps.iter().all(is_local) && steps.iter().any(splits)
}

/// A step of pre-tokenization that never joins what a cut parts.
fn is_local(step: &Value) -> bool {
    match step["type"].as_str() {
        Some("ByteLevel") => step["add_prefix_space"] == false,
        Some("Digits") => true,
        Some("Split") => {
            let pattern = step["pattern"]["Regex"].as_str();
            pattern.is_some_and(|p| PATTERNS.contains(&p))
                && step["behavior"] == "Isolated"
                && step["invert"] == false
        }
        _ => false,
    }
}

fn is_sentence_piece(normalizer: &Value, pre_tokenizer: &Value) -> bool {
    let steps = &normalizer["normalizers"];
    pre_tokenizer.is_null()
        && steps.as_array().is_some_and(|steps| steps.len() == 2)
        && steps[0]["type"] == "Prepend"
        && steps[0]["prepend"] == "▁"
        && steps[1]["type"] == "Replace"
        && steps[1]["pattern"]["String"] == " "
        && steps[1]["content"] == "▁"
}

/// Is "▁" a token, and does it stand only at the start of others?
fn begins_words_only(tokenizer: &Tokenizer) -> bool {
    let inside = |token: &String| token.trim_start_matches('▁').contains('▁');
    tokenizer.token_to_id("▁").is_some()
        && !tokenizer.get_vocab(false).keys().any(inside)
}

/// None where an added token reaches for spaces.
fn beside(tokenizer: &Tokenizer, space: Space) -> Option<[bool; 128]> {
    let mut beside = [false; 128];
    for b in b'!'..=b'~' {
        beside[usize::from(b)] = true;
    }
    for token in tokenizer.get_added_tokens_decoder().values() {
        let normalized = token.normalized && space == Space::Dropped;
        if token.lstrip || token.rstrip || token.single_word || normalized {
            return None;
        }
        if token.content.contains([' ', '▁']) {
            return None;
        }
        for b in [token.content.bytes().next(), token.content.bytes().last()]
            .into_iter()
            .flatten()
            .filter(u8::is_ascii)
        {
            beside[usize::from(b)] = false;
        }
    }
    Some(beside)
}
