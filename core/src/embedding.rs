//! The one definition of how text becomes a vector, and what the index says about itself.
//!
//! A query embedded otherwise than the documents were does not fail: it silently finds the wrong
//! pages. So everything that shapes a vector stands in [`SPEC`], its [`Spec::fingerprint`] is
//! stored with the index, and the Worker refuses an index that carries another one.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Everything that decides where a text lands in vector space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Workers AI model id.
    pub model: &'static str,
    /// Components per vector.
    pub dimensions: usize,
    /// Vectorize distance metric.
    pub metric: &'static str,
    /// Sent on every call. Vectors of `mean` and of `cls` are not comparable, and the service's own
    /// default is `mean`, so leaving it out would mix the two.
    pub pooling: &'static str,
    /// Put before a question, never before a passage. bge v1.5 works without one.
    pub query_instruction: &'static str,
    /// Raised whenever the same document would be cut into other chunks, or a chunk's text to embed
    /// be composed in another way.
    pub chunker: u32,
    /// Most tokens of one input, `[CLS]` and `[SEP]` included; what lies beyond is cut off unseen.
    pub max_tokens: usize,
    /// Tokens that a chunk aims at, the special ones included. Only code and tables that would have to
    /// be cut may have more, up to `max_tokens`.
    pub chunk_tokens: usize,
}

/// The spec in force. Source of model, dimensions, tokens and pooling: the `bge-base-en-v1.5` page
/// of Cloudflare's model catalogue, which recommends `cls`. Chunks of 256 tokens: with 512, the page
/// that answers was found less often on each of the documentation sets that it was tried on (nDCG@10
/// of vectors alone, all-MiniLM-L6-v2: .73 for .71 and .68 for .61), since more subjects share a vector.
pub const SPEC: Spec = Spec {
    model: "@cf/baai/bge-base-en-v1.5",
    dimensions: 768,
    metric: "cosine",
    pooling: "cls",
    query_instruction: "",
    chunker: 2,
    max_tokens: 512,
    chunk_tokens: 256,
};

impl Spec {
    /// 16 hex characters that change when, and only when, a field of the spec does.
    pub fn fingerprint(&self) -> String {
        let Self { model, dimensions, metric, pooling, query_instruction, chunker, max_tokens, chunk_tokens } = self;
        let canonical = format!(
            "model={model}\ndimensions={dimensions}\nmetric={metric}\npooling={pooling}\n\
             query_instruction={query_instruction}\nchunker={chunker}\nmax_tokens={max_tokens}\n\
             chunk_tokens={chunk_tokens}\n"
        );
        let mut hex = hex(&Sha256::digest(canonical.as_bytes()));
        hex.truncate(16);
        hex
    }
}

/// [`Spec::fingerprint`] of [`SPEC`], computed once: every question asks for it.
pub static FINGERPRINT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| SPEC.fingerprint());

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// KV key under which ingest leaves the [`IndexRecord`], in the namespace bound as `SESSIONS`.
pub const INDEX_KEY: &str = "index";

/// What the live index says about itself. Stored as JSON under [`INDEX_KEY`]: a promise to
/// Workers already deployed, so `v` is raised when a reader of the old form would be misled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRecord {
    /// Version of this record's form; 1.
    pub v: u32,
    /// [`Spec::fingerprint`] of the vectors.
    pub spec: String,
    /// Counts completed ingests that changed something, from 1.
    pub generation: u64,
    /// Documents in the index.
    pub documents: usize,
    /// Chunks in the index; 0 makes the Worker answer `not_ready`.
    pub chunks: usize,
    /// Vectors of this or an earlier generation that are not part of it: how many the
    /// [`crate::generation::Retired`] list names. 0: there is no list.
    #[serde(default)]
    pub retired: usize,
    /// When the generation became visible to queries, milliseconds since 1970.
    pub updated_at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_pinned_and_every_field_moves_it() {
        // A changed value here means: every index out there must be embedded again.
        assert_eq!(SPEC.fingerprint(), "8488045251fd9735");
        let others = [
            Spec { model: "@cf/baai/bge-small-en-v1.5", ..SPEC },
            Spec { dimensions: 384, ..SPEC },
            Spec { metric: "euclidean", ..SPEC },
            Spec { pooling: "mean", ..SPEC },
            Spec { query_instruction: "query: ", ..SPEC },
            Spec { chunker: 0, ..SPEC },
            Spec { max_tokens: 256, ..SPEC },
            Spec { chunk_tokens: 512, ..SPEC },
        ];
        for other in others {
            assert_ne!(other.fingerprint(), SPEC.fingerprint(), "{other:?}");
        }
    }
}
