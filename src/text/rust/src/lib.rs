//! The Hugging Face `tokenizers` library and chat templates behind the C
//! header `text/ffi.h`, which states who owns what. No panic crosses it.

mod ffi;
mod python_text;
mod template;
mod tokenizer_config;
mod tokens;
