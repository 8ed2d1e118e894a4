//! The functions of `text/ffi.h`. Each catches panics, and turns its error
//! into text for the caller to free.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::slice;
use std::sync::Once;

use crate::template::{Limits, Template};
use crate::tokenizer_config;
use crate::tokens::Tokens;

const OK: i32 = 0;
const INVALID: i32 = 1;
const PANIC: i32 = 2;

/// Bytes that the caller keeps.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TextView {
    data: *const u8,
    size: usize,
}

/// Bytes that the caller frees with `varalign_text_free`.
#[repr(C)]
pub struct OwnedText {
    data: *mut u8,
    size: usize,
}

/// Ids that the caller frees with `varalign_ids_free`.
#[repr(C)]
pub struct OwnedIds {
    data: *mut u32,
    size: usize,
}

impl TextView {
    unsafe fn bytes(&self) -> &[u8] {
        if self.size == 0 {
            return &[];
        }
        slice::from_raw_parts(self.data, self.size)
    }

    unsafe fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(self.bytes()).map_err(|e| {
            format!("text is not valid UTF-8 at byte {}", e.valid_up_to())
        })
    }
}

impl OwnedText {
    fn from(text: String) -> Self {
        let bytes = text.into_bytes().into_boxed_slice();
        let size = bytes.len();
        OwnedText { data: Box::into_raw(bytes).cast(), size }
    }
}

impl OwnedIds {
    fn from(ids: Vec<u32>) -> Self {
        let ids = ids.into_boxed_slice();
        let size = ids.len();
        OwnedIds { data: Box::into_raw(ids).cast(), size }
    }
}

/// A panic is told to the caller, and printed by nobody else.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

unsafe fn guard(
    error: *mut OwnedText,
    body: impl FnOnce() -> Result<(), String>,
) -> i32 {
    silence_panics();
    let (code, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return OK,
        Ok(Err(message)) => (INVALID, message),
        Err(payload) => (PANIC, panic_text(&*payload)),
    };
    *error = OwnedText::from(message);
    code
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panic in the text library: {}", text.unwrap_or("no message"))
}

/// # Safety
/// As `text/ffi.h` says; so for every function below.
#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_new(
    json: TextView,
    max_entries: usize,
    out: *mut *mut Tokens,
    error: *mut OwnedText,
) -> i32 {
    let code = guard(error, || {
        let tokens = Tokens::parse(json.text()?, max_entries)?;
        tokens.check_added_ids()?;
        *out = Box::into_raw(Box::new(tokens));
        Ok(())
    });
    // The tokenizers crate panics on some files that it should refuse.
    if code == PANIC {
        INVALID
    } else {
        code
    }
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_free(tokens: *mut Tokens) {
    if !tokens.is_null() {
        drop(Box::from_raw(tokens));
    }
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_vocabulary_size(
    tokens: *const Tokens,
) -> u32 {
    (*tokens).vocabulary_size()
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_special_texts(
    tokens: *const Tokens,
    out: *mut OwnedText,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        let texts = serde_json::json!((*tokens).special_texts());
        *out = OwnedText::from(texts.to_string());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_id(
    tokens: *const Tokens,
    token: TextView,
    out: *mut u32,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        *out = (*tokens).id_of(token.text()?).ok_or("no such token")?;
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_encode(
    tokens: *const Tokens,
    text: TextView,
    add_special_tokens: i32,
    out: *mut OwnedIds,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        let ids = (*tokens).encode(text.text()?, add_special_tokens != 0)?;
        *out = OwnedIds::from(ids);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_encode_behind(
    tokens: *const Tokens,
    before: TextView,
    text: TextView,
    out: *mut OwnedIds,
    stable: *mut i32,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        let ids = (*tokens).encode_behind(before.text()?, text.text()?)?;
        *stable = i32::from(ids.is_some());
        *out = OwnedIds::from(ids.unwrap_or_default());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokens_decode(
    tokens: *const Tokens,
    ids: *const u32,
    num_ids: usize,
    skip_special_tokens: i32,
    out: *mut OwnedText,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        let ids = match num_ids {
            0 => &[],
            _ => slice::from_raw_parts(ids, num_ids),
        };
        let text = (*tokens).decode(ids, skip_special_tokens != 0)?;
        *out = OwnedText::from(text);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_tokenizer_config_read(
    config: TextView,
    out: *mut OwnedText,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        *out = OwnedText::from(tokenizer_config::read(config.text()?)?);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_template_new(
    source: TextView,
    fuel: u64,
    output_bytes: usize,
    out: *mut *mut Template,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        let limits = Limits { fuel, output_bytes };
        let template = Template::compile(source.text()?, limits)?;
        *out = Box::into_raw(Box::new(template));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_template_free(template: *mut Template) {
    if !template.is_null() {
        drop(Box::from_raw(template));
    }
}

#[no_mangle]
pub unsafe extern "C" fn varalign_template_render(
    template: *const Template,
    variables: TextView,
    local_seconds: i64,
    out: *mut OwnedText,
    error: *mut OwnedText,
) -> i32 {
    guard(error, || {
        let text = (*template).render(variables.text()?, local_seconds)?;
        *out = OwnedText::from(text);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn varalign_text_free(text: OwnedText) {
    if !text.data.is_null() {
        let bytes = slice::from_raw_parts_mut(text.data, text.size);
        drop(Box::from_raw(bytes));
    }
}

#[no_mangle]
pub unsafe extern "C" fn varalign_ids_free(ids: OwnedIds) {
    if !ids.data.is_null() {
        let slice = slice::from_raw_parts_mut(ids.data, ids.size);
        drop(Box::from_raw(slice));
    }
}
