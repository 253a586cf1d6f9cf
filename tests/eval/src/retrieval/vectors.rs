//! Vectors of texts: made by the stand-in through the route that ingest uses, and kept on disk, since
//! a model takes its time for them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use docent_core::embedding::SPEC;
use docent_core::workers_ai::MAX_EMBED_TEXTS;
use docent_local::{Cloud, CloudConfig};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Most bytes of an answer: 100 vectors as JSON are about one megabyte.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// Texts of like length are embedded together, since a model fills short ones up to the longest; so
/// many are sorted at once.
const SORTED_AT_ONCE: usize = 2_000;

type Key = [u8; 32];

/// The embedder, with what it has embedded before.
#[derive(Debug)]
pub struct Vectors {
    cloud: Cloud,
    known: HashMap<Key, Vec<f32>>,
    file: Option<(PathBuf, File)>,
}

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// The stand-in does not start.
    #[error(transparent)]
    Start(#[from] docent_local::StartError),
    /// The kept vectors.
    #[error("cannot use the vectors kept in {}: {source}; --cache names another folder", .path.display())]
    Cache {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
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
    /// Starts the stand-in, with a BERT model or without, and reads what is kept in `cache`.
    ///
    /// # Errors
    /// [`VectorsError`]
    pub fn start(model: Option<&Path>, cache: Option<&Path>) -> Result<Self, VectorsError> {
        let model = model.map(Path::to_owned);
        let cloud = Cloud::start(CloudConfig { model, databases: Vec::new(), ..CloudConfig::default() })?;
        let mut vectors = Self { cloud, known: HashMap::new(), file: None };
        if let Some(folder) = cache {
            let (_, fingerprint) = vectors.cloud.embedder();
            let path = folder.join(format!("{fingerprint}.vectors"));
            vectors.open(&path).map_err(|source| VectorsError::Cache { path, source })?;
        }
        Ok(vectors)
    }

    /// What makes them, as the header of a run names it.
    pub fn embedder(&self) -> String {
        self.cloud.embedder().0
    }

    /// The file is a list of keys and vectors of one size. What is broken off at its end is written
    /// over.
    fn open(&mut self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        // Another process may be writing: its half-written end would be cut off here.
        file.lock()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let size = size_of::<Key>() + SPEC.dimensions * size_of::<f32>();
        let whole = bytes.chunks_exact(size);
        if !whole.remainder().is_empty() {
            file.set_len((bytes.len() - whole.remainder().len()) as u64)?;
            file.seek(SeekFrom::End(0))?;
        }
        for entry in whole {
            if let Some((key, numbers)) = entry.split_first_chunk::<32>() {
                let numbers = numbers.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok());
                self.known.insert(*key, numbers.map(f32::from_le_bytes).collect());
            }
        }
        self.file = Some((path.to_owned(), file));
        Ok(())
    }

    /// One vector a text, in order; `each` is told how many more are there.
    ///
    /// # Errors
    /// [`VectorsError`]
    pub fn embed(
        &mut self,
        texts: &[String],
        pooling: &str,
        each: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<f32>>, VectorsError> {
        let keys: Vec<Key> = texts.iter().map(|text| key(pooling, text)).collect();
        let mut missing: Vec<(&Key, &String)> =
            keys.iter().zip(texts).filter(|(key, _)| !self.known.contains_key(*key)).collect();
        missing.sort_by_key(|(key, _)| *key);
        missing.dedup_by_key(|(key, _)| *key);
        each(texts.len() - missing.len());
        for group in missing.chunks_mut(SORTED_AT_ONCE) {
            group.sort_by_key(|(_, text)| text.len());
            for batch in group.chunks(MAX_EMBED_TEXTS) {
                let vectors = self.call(batch, pooling)?;
                self.keep(batch, vectors)?;
                each(batch.len());
            }
        }
        Ok(keys.iter().map(|key| self.known.get(key).cloned().unwrap_or_default()).collect())
    }

    fn call(&self, batch: &[(&Key, &String)], pooling: &str) -> Result<Vec<Vec<f32>>, VectorsError> {
        let url = format!("{}/accounts/local/ai/run/{}", self.cloud.api_base(), SPEC.model);
        let texts: Vec<&String> = batch.iter().map(|(_, text)| *text).collect();
        let failed = |error: ureq::Error| VectorsError::Call(error.to_string());
        let request = ureq::post(&url).header("authorization", "Bearer local");
        let mut response = request.send_json(json!({ "text": texts, "pooling": pooling })).map_err(failed)?;
        let answer: Answer = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_json().map_err(failed)?;
        // The journal of the stand-in would keep every text of the run.
        self.cloud.clear_requests();
        let is_whole = |vector: &Vec<f32>| vector.len() == SPEC.dimensions;
        if answer.result.data.len() != batch.len() || !answer.result.data.iter().all(is_whole) {
            return Err(VectorsError::Call("the embedder gave other vectors than it was asked for".to_owned()));
        }
        Ok(answer.result.data)
    }

    fn keep(&mut self, batch: &[(&Key, &String)], vectors: Vec<Vec<f32>>) -> Result<(), VectorsError> {
        let mut bytes = Vec::new();
        for ((key, _), vector) in batch.iter().zip(vectors) {
            bytes.extend_from_slice(*key);
            bytes.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
            self.known.insert(**key, vector);
        }
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.write_all(&bytes).map_err(|source| VectorsError::Cache { path: path.clone(), source })
    }
}

/// The model is in the file's name.
fn key(pooling: &str, text: &str) -> Key {
    Sha256::new().chain_update(pooling).chain_update("\n").chain_update(text).finalize().into()
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
