//! The ids of short texts, remembered. Bounded: a full shard takes nothing
//! more, which suits words, whose most frequent come first.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::RwLock;

const SHARDS: usize = 32;
const ENTRIES: usize = 4096; // a shard
const BYTES: usize = 48; // of a text

type Shard = RwLock<HashMap<Box<str>, Box<[u32]>>>;

/// Any number of threads.
pub struct PartCache {
    hasher: RandomState,
    shards: Vec<Shard>,
}

impl PartCache {
    pub fn new() -> Self {
        PartCache {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

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
        let shard = self.shard(part);
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

    fn shard(&self, part: &str) -> &Shard {
        let hash = self.hasher.hash_one(part) as usize;
        &self.shards[hash % SHARDS]
    }
}
