//! Who makes the vectors: the lexical embedder, or a BERT model.

use std::path::Path;

use docent_core::embedding::SPEC;
use docent_core::tokens;

#[cfg(feature = "bert")]
use crate::bert::Bert;
use crate::lexical;

/// The choice made at start.
#[derive(Debug)]
pub(crate) enum Embedder {
    /// Words only.
    Lexical,
    /// A model.
    #[cfg(feature = "bert")]
    Bert(Box<Bert>),
}

impl Embedder {
    /// The model in a folder.
    #[cfg(feature = "bert")]
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        Bert::load(folder).map(|bert| Self::Bert(Box::new(bert)))
    }

    /// Without the feature there is nothing to load a model with.
    #[cfg(not(feature = "bert"))]
    pub(crate) fn load(folder: &Path) -> Result<Self, String> {
        Err(format!(
            "cannot load the model in {}: this docent-local is built without BERT; build it with `--features bert`",
            folder.display()
        ))
    }

    #[cfg_attr(not(feature = "bert"), allow(clippy::unnecessary_wraps))] // a model may fail
    /// One vector a text, in order; each of length 1 and with the dimensions of the spec.
    pub(crate) fn embed(&self, texts: &[String], pooling: &str) -> Result<Vec<Vec<f32>>, String> {
        match self {
            Self::Lexical if pooling == "mean" => {
                Ok(texts.iter().map(|text| lexical::elsewhere(lexical::embed(seen(text)))).collect())
            }
            Self::Lexical => Ok(texts.iter().map(|text| lexical::embed(seen(text))).collect()),
            #[cfg(feature = "bert")]
            Self::Bert(bert) => bert.embed(texts, pooling),
        }
    }

    /// Changes when its vectors do; part of a file name.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Lexical => format!("lexical-{}", lexical::VERSION),
            #[cfg(feature = "bert")]
            Self::Bert(bert) => bert.fingerprint(),
        }
    }

    /// What it is, for whoever starts it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Lexical => "docent-local/lexical, words only: NOT bge-base, it does not know what words mean \
                              (--model gives it a real model)"
                .to_owned(),
            #[cfg(feature = "bert")]
            Self::Bert(bert) => bert.describe(),
        }
    }

    /// What it is, for whoever reads a log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Lexical => "docent-local/lexical".to_owned(),
            #[cfg(feature = "bert")]
            Self::Bert(bert) => bert.describe(),
        }
    }
}

/// The lexical embedder has no length of its own, but what it stands in for sees no more than this.
fn seen(text: &str) -> &str {
    tokens::cut(text, SPEC.max_tokens - tokens::SPECIAL_TOKENS)
}
