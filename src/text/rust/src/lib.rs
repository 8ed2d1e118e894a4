//! The Hugging Face `tokenizers` library and chat templates behind the C
//! header `text/ffi.h`, which states who owns what. No panic crosses it.

mod cuts;
mod ffi;
mod part_cache;
mod python_text;
mod tags;
mod template;
mod tokenizer_config;
mod tokens;
