//! Vectors of texts, made by the stand-in through the route that ingest uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use docent_core::embedding::SPEC;
use docent_core::workers_ai::MAX_EMBED_TEXTS;
use docent_local::{Cloud, CloudConfig};
use serde::Deserialize;
use serde_json::json;

/// Most bytes of an answer: 100 vectors as JSON are about one megabyte.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// Texts of like length are embedded together, since a model fills short ones up to the longest; so
/// many are sorted at once.
const SORTED_AT_ONCE: usize = 2_000;

/// The embedder.
#[derive(Debug)]
pub struct Vectors {
    cloud: Cloud,
    cache: Option<PathBuf>,
    /// Of a model without a cache: a sweep asks for the same vectors again and again.
    _until_the_end: Option<tempfile::TempDir>,
}

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// The stand-in does not start.
    #[error(transparent)]
    Start(#[from] docent_local::StartError),
    /// A folder to keep them in for as long as this runs.
    #[error("cannot make a folder for vectors: {0}")]
    Folder(#[from] std::io::Error),
    /// The embedding call.
    #[error("cannot embed: {0}")]
    Call(String),
}

#[derive(Deserialize)]
struct Answer {
    result: Embedded,
}

#[derive(Deserialize)]
struct Embedded {
    data: Vec<Vec<f32>>,
}

impl Vectors {
    /// Starts the stand-in, with a BERT model or without; `cache` keeps vectors for the next time.
    ///
    /// # Errors
    /// [`VectorsError`]
    pub fn start(model: Option<&Path>, cache: Option<&Path>) -> Result<Self, VectorsError> {
        let own = (model.is_some() && cache.is_none()).then(tempfile::tempdir).transpose()?;
        let cache = cache.or(own.as_ref().map(tempfile::TempDir::path)).map(Path::to_owned);
        let (model, vectors) = (model.map(Path::to_owned), cache.clone());
        let config = CloudConfig { model, vectors, databases: Vec::new(), ..CloudConfig::default() };
        Ok(Self { cloud: Cloud::start(config)?, cache, _until_the_end: own })
    }

    /// Folder that keeps them.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// What makes them, as the header of a run names it.
    pub fn embedder(&self) -> String {
        self.cloud.embedder().0
    }

    /// One vector a text, in order; `each` is told how many more are there.
    ///
    /// # Errors
    /// [`VectorsError`]
    pub fn embed(
        &self,
        texts: &[String],
        pooling: &str,
        each: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<f32>>, VectorsError> {
        let mut distinct: Vec<&str> = texts.iter().map(String::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        each(texts.len() - distinct.len());
        let mut vectors = BTreeMap::new();
        for group in distinct.chunks_mut(SORTED_AT_ONCE) {
            group.sort_by_key(|text| text.len());
            for batch in group.chunks(MAX_EMBED_TEXTS) {
                vectors.extend(batch.iter().copied().zip(self.call(batch, pooling)?));
                each(batch.len());
            }
        }
        Ok(texts.iter().map(|text| vectors.get(text.as_str()).cloned().unwrap_or_default()).collect())
    }

    fn call(&self, batch: &[&str], pooling: &str) -> Result<Vec<Vec<f32>>, VectorsError> {
        let url = format!("{}/accounts/local/ai/run/{}", self.cloud.api_base(), SPEC.model);
        let failed = |error: ureq::Error| VectorsError::Call(error.to_string());
        let request = ureq::post(&url).header("authorization", "Bearer local");
        let mut response = request.send_json(json!({ "text": batch, "pooling": pooling })).map_err(failed)?;
        let answer: Answer = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_json().map_err(failed)?;
        // The journal of the stand-in would keep every text of the run.
        self.cloud.clear_requests();
        let is_whole = |vector: &Vec<f32>| vector.len() == SPEC.dimensions;
        if answer.result.data.len() != batch.len() || !answer.result.data.iter().all(is_whole) {
            return Err(VectorsError::Call("the embedder gave other vectors than it was asked for".to_owned()));
        }
        Ok(answer.result.data)
    }
}

/// Cosine of two vectors of length 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    // Eight sums side by side, which the compiler makes one instruction of.
    let mut sums = [0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
