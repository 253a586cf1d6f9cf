//! Generations: how readers see the old index or the new one, and never a mix of both.
//!
//! A chunk carries the generation that wrote its vector, and is never changed. While a new
//! generation is staged, its vectors lie beside those of the live one; readers filter by the
//! generation that is live. What a generation no longer holds stays in the index for a while, so
//! that going back is instant; readers leave out what the [`Retired`] list of their generation
//! names.

/// Where the live generation stands in D1: the columns are the fields of
/// [`crate::embedding::IndexRecord`] but `v`. No row before the first ingest.
pub const LIVE_SQL: &str = "SELECT spec, number AS generation, documents, chunks, retired, since AS updated_at \
                            FROM live JOIN generation ON number = generation";

/// KV key of the [`Retired`] list of a generation. It is written before the generation goes live,
/// and never changed.
pub fn retired_key(generation: u64) -> String {
    format!("retired:{generation}")
}

/// Vectors that a generation's filter lets through and that are not part of the generation.
///
/// Stored as the first eight bytes of each id, ascending, without anything between: ten thousand
/// take 80 kB. That another chunk begins alike has a chance of 1 to 10¹³ at a million chunks, and
/// would hide that chunk from this generation only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retired(Vec<u64>);

impl Retired {
    /// Of these ids; what is no chunk id is left out.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let mut prefixes: Vec<u64> = ids.into_iter().filter_map(prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        Self(prefixes)
    }

    /// Reads what [`Retired::to_bytes`] wrote; an incomplete number at the end is left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.as_chunks::<8>().0.iter().map(|eight| u64::from_be_bytes(*eight)).collect())
    }

    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|prefix| prefix.to_be_bytes()).collect()
    }

    /// Whether this vector is to be left out.
    pub fn contains(&self, id: &str) -> bool {
        prefix(id).is_some_and(|prefix| self.0.binary_search(&prefix).is_ok())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The first 16 of the 32 hexadecimal characters of a chunk id.
fn prefix(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(..16)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_list_knows_what_went_in_and_nothing_else() {
        let ids: Vec<String> =
            (0..100_u64).map(|n| format!("{:016x}{n:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let (inside, outside) = ids.split_at(60);
        let retired = Retired::new(inside.iter().map(String::as_str).chain(["no id", ""]));
        let read = Retired::from_bytes(&retired.to_bytes());
        assert_eq!((read.len(), &read), (60, &retired));
        assert!(inside.iter().all(|id| read.contains(id)) && !outside.iter().any(|id| read.contains(id)));
        assert_eq!(retired_key(7), "retired:7");
    }
}
