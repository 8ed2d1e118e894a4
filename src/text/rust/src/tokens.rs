//! A tokenizer.json, loaded.

use tokenizers::Tokenizer;

use crate::cuts::Cuts;
use crate::part_cache::PartCache;

pub struct Tokens {
    tokenizer: Tokenizer,
    vocabulary_size: u32,
    cuts: Option<Cuts>,
    parts: PartCache,
}

impl Tokens {
    pub fn parse(json: &str, max_entries: usize) -> Result<Self, String> {
        let mut tokenizer: Tokenizer =
            json.parse().map_err(|e: tokenizers::Error| e.to_string())?;
        // A saved file may carry the truncation and padding of its last use;
        // like transformers, encode whole texts.
        tokenizer.with_truncation(None).map_err(|e| e.to_string())?;
        tokenizer.with_padding(None);
        let vocabulary = tokenizer.get_vocab(true);
        if vocabulary.len() > max_entries {
            return Err(format!(
                "more entries than the limit of {max_entries}: {}",
                vocabulary.len()
            ));
        }
        let largest = vocabulary.values().max();
        let vocabulary_size = largest.map_or(0, |id| id.saturating_add(1));
        let cuts = Cuts::of(&tokenizer);
        let parts = PartCache::default();
        Ok(Tokens { tokenizer, vocabulary_size, cuts, parts })
    }

    pub fn encode(
        &self,
        text: &str,
        add_special_tokens: bool,
    ) -> Result<Vec<u32>, String> {
        let Some(cuts) = self.cuts.as_ref().filter(|_| !add_special_tokens)
        else {
            return self.encode_whole(text, add_special_tokens);
        };
        let mut ids = Vec::with_capacity(text.len() / 3);
        for part in cuts.parts(text) {
            self.parts
                .append(part, &mut ids, |p| self.encode_whole(p, false))?;
        }
        Ok(ids)
    }

    /// The ids that `text` adds to those of `before`; None where the ids of
    /// `before` alone do not begin those of both together. No special tokens.
    pub fn encode_behind(
        &self,
        before: &str,
        text: &str,
    ) -> Result<Option<Vec<u32>>, String> {
        // What lies before a cut has the same ids in both.
        let tail = match &self.cuts {
            Some(cuts) => cuts.last_part(before),
            None => before,
        };
        let alone = self.encode(tail, false)?;
        let mut both = self.encode(&[tail, text].concat(), false)?;
        if !both.starts_with(&alone) {
            return Ok(None);
        }
        both.drain(..alone.len());
        Ok(Some(both))
    }

    fn encode_whole(
        &self,
        text: &str,
        add_special_tokens: bool,
    ) -> Result<Vec<u32>, String> {
        let encoding = self
            .tokenizer
            .encode_fast(text, add_special_tokens)
            .map_err(|e| e.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    pub fn decode(
        &self,
        ids: &[u32],
        skip_special_tokens: bool,
    ) -> Result<String, String> {
        self.tokenizer
            .decode(ids, skip_special_tokens)
            .map_err(|e| e.to_string())
    }

    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// Texts of the tokens that no message may hold.
    pub fn special_texts(&self) -> Vec<String> {
        let added = self.tokenizer.get_added_tokens_decoder();
        let mut texts: Vec<String> = added
            .into_values()
            .filter(|token| token.special)
            .map(|token| token.content)
            .collect();
        texts.sort();
        texts
    }

    pub fn vocabulary_size(&self) -> u32 {
        self.vocabulary_size
    }

    /// The post-processor adds ids that the file states beside the vocabulary:
    /// the encoding of no text has them all.
    pub fn check_added_ids(&self) -> Result<(), String> {
        let ids = self.encode("", true)?;
        match ids.iter().find(|id| **id >= self.vocabulary_size) {
            None => Ok(()),
            Some(id) => Err(format!(
                "post_processor adds an id outside the vocabulary: {id}"
            )),
        }
    }
}
