//! Who makes the vectors: the lexical embedder, or a BERT model.

use crate::lexical;

/// The choice made at start.
#[derive(Debug)]
pub(crate) enum Embedder {
    Lexical,
}

impl Embedder {
    /// One vector a text, in order; each of length 1 and with the dimensions of the spec.
    pub(crate) fn embed(&self, texts: &[String], _pooling: &str) -> Result<Vec<Vec<f32>>, String> {
        match self {
            Self::Lexical => Ok(texts.iter().map(|text| lexical::embed(text)).collect()),
        }
    }

    /// What it is, for whoever starts it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Lexical => "docent-local/lexical, words only: NOT bge-base, it does not know what words mean \
                 (--model gives it a real model)"
                .to_owned(),
        }
    }

    /// What it is, for whoever reads a log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Lexical => "docent-local/lexical".to_owned(),
        }
    }
}
