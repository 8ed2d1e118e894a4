//! The ids of short texts, remembered. Bounded: a full shard takes nothing
//! more, which suits words, whose most frequent come first.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::RwLock;

const SHARDS: usize = 32;
const ENTRIES: usize = 4096; // a shard
const BYTES: usize = 48; // of a text

/// Eight bytes at a time. The table is small and bounded, so that texts made to
/// collide cost little.
#[derive(Default)]
struct WordHasher(u64);

impl WordHasher {
    fn mix(&mut self, word: u64) {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(ODD);
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
}

fn shard_of(part: &str) -> usize {
    let mut hasher = WordHasher::default();
    hasher.write(part.as_bytes());
    // Other bits than the tables use.
    (hasher.finish() >> 40) as usize % SHARDS
}

type Table = HashMap<Box<str>, Box<[u32]>, BuildHasherDefault<WordHasher>>;

/// Any number of threads.
#[derive(Default)]
pub struct PartCache {
    shards: [RwLock<Table>; SHARDS],
}

impl PartCache {
    /// Appends the ids of `part` to `ids`; asks `encode` where it is not known.
    pub fn append(
        &self,
        part: &str,
        ids: &mut Vec<u32>,
        encode: impl FnOnce(&str) -> Result<Vec<u32>, String>,
    ) -> Result<(), String> {
        if part.len() > BYTES {
            ids.extend(encode(part)?);
            return Ok(());
        }
        let shard = &self.shards[shard_of(part)];
        // A poisoned lock has lost no entry: inserting is all that is done.
        if let Some(known) =
            shard.read().unwrap_or_else(|e| e.into_inner()).get(part)
        {
            ids.extend_from_slice(known);
            return Ok(());
        }
        let new = encode(part)?;
        ids.extend_from_slice(&new);
        let mut entries = shard.write().unwrap_or_else(|e| e.into_inner());
        if entries.len() < ENTRIES {
            entries.insert(part.into(), new.into());
        }
        Ok(())
    }
}
