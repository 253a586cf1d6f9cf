//! Vectorize v2: its limits, its wire types, and what docent stores beside each vector.
//!
//! Only JSON that goes over the wire is here; who sends it (a binding in the Worker, REST in
//! ingest) is theirs.

use serde::{Deserialize, Serialize};

/// Most matches a query may ask for together with metadata. Published limit; error 40025 beyond it
/// (accounts are seen with 50, the published number is safe on both).
pub const MAX_TOP_K_WITH_METADATA: usize = 20;
/// Most matches a query may ask for without values and metadata.
pub const MAX_TOP_K: usize = 100;
/// Longest vector id in bytes; error 40008.
pub const MAX_ID_BYTES: usize = 64;
/// Most metadata of one vector, bytes of compact JSON; one vector above it rejects its whole batch
/// (error 40016).
pub const MAX_METADATA_BYTES: usize = 10_240;
/// Most ids of one delete call; error 40007, seen live, not published.
pub const MAX_DELETE_IDS: usize = 100;
/// Most ids of one get call; error 40007, seen live, not published.
pub const MAX_GET_IDS: usize = 20;
/// Most vectors of one upsert over REST.
pub const MAX_UPSERT_VECTORS: usize = 5_000;
/// Most bytes of one upsert over REST.
pub const MAX_UPSERT_BYTES: usize = 100 * 1024 * 1024;
/// Most vectors of one page of the list call.
pub const MAX_LIST_COUNT: usize = 1_000;
/// Properties that filters use, with the type of each. They are indexed before the first upsert, because an index made
/// later does not cover the vectors that are there.
pub const METADATA_INDEXES: [(&str, &str); 4] =
    [("lang", "string"), ("version", "string"), ("product", "string"), ("gen", "number")];

/// Last digit of the id of a page's only chunk; of others it is `0`.
pub const ONLY_CHUNK: char = '1';
/// [`Metadata::ordinal`] where it is not known.
pub const NO_ORDINAL: u32 = u32::MAX;
/// Hexadecimal digits of a chunk's id that are its own; the page's follow.
const OWN_DIGITS: usize = 16;

/// The page that a chunk is of, as far as its id tells: something that all chunks of the page have and
/// no other chunk, and whether it is the page's only chunk. An id of another form is a page of its own.
pub fn page_of(id: &str) -> (&str, bool) {
    let digits = id.len() == 2 * OWN_DIGITS;
    match id.get(OWN_DIGITS..).filter(|_| digits) {
        Some(page) => (page, page.ends_with(ONLY_CHUNK)),
        None => (id, false),
    }
}

/// Stored beside every vector, and all that an answer needs of a chunk. A promise to Workers
/// already deployed: fields are added, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The chunk as Markdown, as its author wrote it, links made absolute.
    pub text: String,
    /// Page address without anchor.
    pub url: String,
    /// Page title.
    pub title: String,
    /// Heading trail below the title, joined by ` › `; empty before the first heading.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub heading: String,
    /// Fragment of the innermost heading, without `#`; empty before the first heading.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub anchor: String,
    /// Path of the document below the folder it was ingested from, with `/`.
    pub path: String,
    /// Place of the chunk in its document, from 0.
    pub ordinal: u32,
    /// BCP 47 language tag, if the document names one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lang: String,
    /// Product version, if the document names one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Product, if the document names one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Generation that wrote the vector.
    #[serde(rename = "gen", default)]
    pub generation: u64,
}

/// One line of an upsert body (NDJSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// At most [`MAX_ID_BYTES`] bytes.
    pub id: String,
    /// As many components as the index has dimensions.
    pub values: Vec<f32>,
    /// Partition of the index; docent uses none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// At most [`MAX_METADATA_BYTES`] bytes as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Answer of a query: best score first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Matches {
    /// Number of matches.
    #[serde(default)]
    pub count: usize,
    /// The matches.
    #[serde(default)]
    pub matches: Vec<Match>,
}

/// One match of a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// Vector id.
    pub id: String,
    /// Cosine, -1 to 1; approximate unless values are asked for.
    pub score: f64,
    /// Absent unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Exact filter on the indexed properties, as a visitor gives it; empty fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Language tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Product version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
}

/// Filter of a query: what the visitor wants, of what the live generation may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueryFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    #[serde(rename = "gen")]
    generation: AtMost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct AtMost {
    #[serde(rename = "$lte")]
    at_most: u64,
}

impl Filter {
    /// The same among vectors that this generation or an earlier one wrote.
    pub fn up_to(self, generation: u64) -> QueryFilter {
        let Self { lang, version, product } = self;
        QueryFilter { lang, version, product, generation: AtMost { at_most: generation } }
    }
}

/// Second argument of the binding's `query`, and (beside `vector`) the body of the REST query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryOptions {
    /// At most [`MAX_TOP_K_WITH_METADATA`] with metadata.
    pub top_k: usize,
    /// `"all"`, `"indexed"` or `"none"`; the boolean form is rejected by the server.
    pub return_metadata: &'static str,
    /// What may be found.
    pub filter: QueryFilter,
}

/// State of an index. Writes show up here after they became visible to queries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Components per vector.
    pub dimensions: usize,
    /// Lags behind; no proof of anything.
    pub vector_count: u64,
    /// ISO time of the last mutation applied.
    #[serde(default)]
    pub processed_up_to_datetime: Option<String>,
    /// Id of the last mutation applied.
    #[serde(default)]
    pub processed_up_to_mutation: Option<String>,
}

/// Answer of upsert and delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mutation {
    /// Opaque.
    pub mutation_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_asks_for_what_the_visitor_wants_of_a_generation() {
        let options = |filter: Filter| QueryOptions { top_k: 6, return_metadata: "all", filter: filter.up_to(7) };
        let german = Filter { lang: Some("de".to_owned()), ..Filter::default() };
        assert_eq!(
            [options(german), options(Filter::default())].map(|options| serde_json::to_value(options).unwrap()),
            [
                serde_json::json!({ "topK": 6, "returnMetadata": "all", "filter": { "lang": "de", "gen": { "$lte": 7 } } }),
                serde_json::json!({ "topK": 6, "returnMetadata": "all", "filter": { "gen": { "$lte": 7 } } }),
            ]
        );
    }
}
