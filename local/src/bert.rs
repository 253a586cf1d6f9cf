//! Vectors by a BERT model from a folder, as `sentence-transformers` models are published:
//! `model.safetensors`, `config.json`, and perhaps `vocab.txt` and `1_Pooling/config.json`.
//!
//! bge-base itself gives the vectors that Workers AI gives. A smaller model is filled up with zeros
//! to 768 numbers, which changes no cosine.

use std::fmt;
use std::path::Path;

use candle_core::{DType, Device, IndexOp as _, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use docent_core::embedding::SPEC;
use docent_core::tokens;
use serde::Deserialize;

/// Size of the vocabulary that bge uses and docent counts tokens with.
const VOCABULARY: usize = 30_522;
/// Ids of `[CLS]`, `[SEP]` and `[PAD]` in it.
const CLS: u32 = 101;
const SEP: u32 = 102;
const PAD: u32 = 0;
/// Texts computed at once: more need more memory and are hardly faster on a laptop.
const BATCH: usize = 4;

/// How token vectors become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    /// The vector of `[CLS]`.
    Cls,
    /// The mean of all.
    Mean,
}

/// A loaded model.
pub(crate) struct Bert {
    name: String,
    model: BertModel,
    bytes: usize,
    dimensions: usize,
    max_tokens: usize,
    /// What the model was trained with; it overrules what a call asks for.
    pooling: Option<Pooling>,
}

impl fmt::Debug for Bert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bert").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct PoolingFile {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

impl Bert {
    /// Loads a model folder.
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| format!("cannot read the model file {}: {error}", path.display()))
        };
        let config: Config = serde_json::from_slice(&read("config.json")?).map_err(|error| {
            format!("{}/config.json is no configuration of a BERT model: {error}", folder.display())
        })?;
        if config.hidden_size > SPEC.dimensions {
            let (got, most) = (config.hidden_size, SPEC.dimensions);
            return Err(format!("the model in {} has {got} dimensions; docent has room for {most}", folder.display()));
        }
        check_vocabulary(folder, config.vocab_size)?;
        let file = read("model.safetensors")?;
        let bytes = file.len();
        let weights = VarBuilder::from_buffered_safetensors(file, DType::F32, &Device::Cpu);
        let model = weights.and_then(|weights| BertModel::load(weights, &config));
        let model = model.map_err(|error| format!("cannot load the model in {}: {error}", folder.display()))?;
        let name = folder.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy()).into_owned();
        let max_tokens = config.max_position_embeddings.min(SPEC.max_tokens);
        Ok(Self { name, bytes, model, dimensions: config.hidden_size, max_tokens, pooling: pooling(folder) })
    }

    /// What it is, and which pooling it uses.
    pub(crate) fn describe(&self) -> String {
        let pooling = match self.pooling {
            Some(Pooling::Cls) => "cls, as its folder says",
            Some(Pooling::Mean) => "mean, as its folder says",
            None => "as each call asks",
        };
        format!("{} (BERT, {} dimensions, pooling {pooling})", self.name, self.dimensions)
    }

    /// Name, size and pooling: enough to tell the models of one laptop apart.
    pub(crate) fn fingerprint(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = self.name.chars().map(plain).collect();
        let pooling = self.pooling.map_or("asked", |pooling| if pooling == Pooling::Cls { "cls" } else { "mean" });
        format!("bert-{name}-{}-{pooling}", self.bytes)
    }

    /// One vector a text, in order.
    pub(crate) fn embed(&self, texts: &[String], asked: &str) -> Result<Vec<Vec<f32>>, String> {
        let asked = if asked == "cls" { Pooling::Cls } else { Pooling::Mean };
        let pooling = self.pooling.unwrap_or(asked);
        let mut inputs: Vec<(usize, Vec<u32>)> = texts.iter().map(|text| self.tokens(text)).enumerate().collect();
        // Texts of like length together, since the shorter ones are filled up.
        inputs.sort_by_key(|(_, ids)| ids.len());
        let mut vectors = vec![Vec::new(); texts.len()];
        for batch in inputs.chunks(BATCH) {
            let computed = self.compute(batch, pooling).map_err(|error| format!("the model failed: {error}"))?;
            for ((at, _), vector) in batch.iter().zip(computed) {
                if let Some(slot) = vectors.get_mut(*at) {
                    *slot = vector;
                }
            }
        }
        Ok(vectors)
    }

    /// Vocabulary ids with the special ones, cut to what the model takes.
    fn tokens(&self, text: &str) -> Vec<u32> {
        let inner = self.max_tokens - tokens::SPECIAL_TOKENS;
        let ids = tokens::ids(text);
        std::iter::once(CLS).chain(ids.into_iter().take(inner)).chain([SEP]).collect()
    }

    fn compute(&self, batch: &[(usize, Vec<u32>)], pooling: Pooling) -> candle_core::Result<Vec<Vec<f32>>> {
        let width = batch.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
        let filled = |fill: fn(u32) -> u32| -> Vec<u32> {
            batch
                .iter()
                .flat_map(|(_, ids)| ids.iter().map(|id| fill(*id)).chain(std::iter::repeat_n(PAD, width - ids.len())))
                .collect()
        };
        let shape = (batch.len(), width);
        let ids = Tensor::from_vec(filled(|id| id), shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(filled(|_| 1), shape, &Device::Cpu)?;
        let hidden = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let pooled = match pooling {
            Pooling::Cls => hidden.i((.., 0))?,
            Pooling::Mean => {
                let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
                hidden.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?
            }
        };
        let norms = pooled.sqr()?.sum_keepdim(1)?.sqrt()?;
        let mut vectors = pooled.broadcast_div(&norms)?.to_vec2::<f32>()?;
        for vector in &mut vectors {
            vector.resize(SPEC.dimensions, 0.0);
        }
        Ok(vectors)
    }
}

fn pooling(folder: &Path) -> Option<Pooling> {
    let text = std::fs::read(folder.join("1_Pooling").join("config.json")).ok()?;
    let file: PoolingFile = serde_json::from_slice(&text).ok()?;
    match (file.pooling_mode_cls_token, file.pooling_mode_mean_tokens) {
        (true, _) => Some(Pooling::Cls),
        (false, true) => Some(Pooling::Mean),
        (false, false) => None,
    }
}

/// Another vocabulary would give every word another meaning, and no error.
fn check_vocabulary(folder: &Path, size: usize) -> Result<(), String> {
    let other = || {
        let folder = folder.display();
        format!("the model in {folder} has another vocabulary than BERT base uncased, which docent counts tokens with")
    };
    if size != VOCABULARY {
        return Err(other());
    }
    let Ok(vocabulary) = std::fs::read_to_string(folder.join("vocab.txt")) else { return Ok(()) };
    let words = (0_u32..).zip(vocabulary.lines()).filter(|(_, word)| word.bytes().all(|b| b.is_ascii_lowercase()));
    let same = words.step_by(100).all(|(id, word)| word.is_empty() || tokens::ids(word) == [id]);
    if same { Ok(()) } else { Err(other()) }
}
