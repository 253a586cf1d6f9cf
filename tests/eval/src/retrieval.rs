//! How well search alone finds the page that answers: by words, by vectors and by both, over any
//! collection, with docent's own chunker, embedding text, full-text tables and fusion; and by the bot as
//! it runs, from the ingest to the Worker.
//!
//! What is ranked is pages, or sections of pages where questions name them; each has the score of its
//! best chunk. Every run is written as a file that can be compared, gated and reported like any other.

pub mod index;
pub mod through;
pub mod vectors;
pub mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use clap::{Args, ValueEnum};
use docent_core::embedding::SPEC;
use docent_core::settings::SETTINGS;
use serde::Serialize;

use crate::collection::{Collection, CollectionError};
use crate::local::{LocalError, Parts};
use crate::measures::{self, Measure};
use crate::questions::{self, QuestionsError};
use crate::records::{Header, Kind, RUN_VERSION, Run};
use crate::scores::{self, Estimate, ScoreOptions};

use index::{DEPTH, Index, Listed, Ranking};
use vectors::{Vectors, VectorsError};

/// What bge's authors put before a question when they want to (the model card of bge-base-en-v1.5).
pub const BGE_INSTRUCTION: &str = "Represent this sentence for searching relevant passages: ";

/// What finds pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum System {
    /// Words and names, by BM25, in the full-text tables that ingest fills.
    Bm25,
    /// Vectors, by exact cosine.
    Dense,
    /// Both, as the bot fuses them.
    Hybrid,
    /// The bot itself on this machine: its ingest, its Worker, its answers' sources and traces.
    Bot,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bm25 => "bm25",
            Self::Dense => "dense",
            Self::Hybrid => "hybrid",
            Self::Bot => "bot",
        })
    }
}

/// What chunks and their vectors are made by, where it can be other than the bot's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Args)]
pub struct Settings {
    /// Most tokens of a chunk. What the embedder does not see is cut off, as ever.
    #[arg(long, value_name = "N", default_value_t = SPEC.chunk_tokens, value_parser = at_least_32)]
    pub chunk_tokens: usize,
    /// Search texts without the title and the headings above them.
    #[arg(long)]
    pub no_headings: bool,
    /// How the token vectors of a question become one; passages always have the bot's own way.
    #[arg(long, value_name = "POOLING", default_value = SPEC.pooling, value_parser = ["cls", "mean"])]
    pub query_pooling: String,
    /// Put before a question when it is embedded.
    #[arg(long, value_name = "TEXT", default_value = SPEC.query_instruction)]
    pub prefix: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            chunk_tokens: SPEC.chunk_tokens,
            no_headings: false,
            query_pooling: SPEC.pooling.to_owned(),
            prefix: SPEC.query_instruction.to_owned(),
        }
    }
}

fn at_least_32(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number >= 32).ok_or_else(|| "a whole number of at least 32".to_owned())
}

impl Settings {
    /// Those that are other than the bot's own, by name.
    pub fn changed(&self) -> BTreeMap<String, String> {
        let own = Self::default();
        let all = [
            ("chunk-tokens", self.chunk_tokens.to_string(), own.chunk_tokens.to_string()),
            ("headings", on_off(!self.no_headings), on_off(!own.no_headings)),
            ("query-pooling", self.query_pooling.clone(), own.query_pooling),
            ("prefix", self.prefix.clone(), own.prefix),
        ];
        all.into_iter().filter(|(_, is, own)| is != own).map(|(name, is, _)| (name.to_owned(), is)).collect()
    }
}

fn on_off(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

/// Weights of the two systems in the fusion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of vectors.
    pub dense: f64,
    /// Of words.
    pub bm25: f64,
}

impl Default for Weights {
    fn default() -> Self {
        let words = default_words_weight();
        Self { dense: 1.0 - words, bm25: words }
    }
}

impl Weights {
    /// Share of words, as the bot's setting has it.
    pub(crate) fn words(self) -> f64 {
        let all = self.dense + self.bm25;
        if all > 0.0 { self.bm25 / all } else { 0.0 }
    }

    /// Sets that of one of the two.
    pub(crate) fn set(&mut self, system: System, weight: f64) {
        match system {
            System::Bm25 => self.bm25 = weight,
            System::Dense | System::Hybrid | System::Bot => self.dense = weight,
        }
    }
}

/// The bot's own, where its operator says nothing else.
fn default_words_weight() -> f64 {
    let setting = SETTINGS.iter().find(|setting| setting.name == "WORDS_WEIGHT");
    setting.and_then(|setting| setting.default.parse().ok()).unwrap_or_default()
}

/// What is asked of a ranking unless the command line says otherwise.
const MEASURES: &str = "nDCG@10,R@5,RR,AP,Success@1";

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum RetrievalError {
    /// What was to be searched.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// The embedder.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The full-text index.
    #[error("the full-text index failed: {0}")]
    Words(#[from] rusqlite::Error),
    /// Questions about the documentation.
    #[error(transparent)]
    Questions(#[from] QuestionsError),
    /// How it was called.
    #[error("{0}")]
    Usage(String),
    /// The bot does not start.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The bot cannot be measured.
    #[error("the bot: {0}")]
    Bot(String),
    /// A run or a page that cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What is to be searched, as the command line names it.
#[derive(Debug, Clone, Args)]
pub struct Corpora {
    /// Folders in BEIR's form: corpus.jsonl or corpus.jsonl.gz, queries.jsonl, qrels.tsv.
    #[arg(value_name = "COLLECTION")]
    pub collections: Vec<PathBuf>,
    /// Documentation to search, with --questions.
    #[arg(long, value_name = "FOLDER", requires = "questions")]
    pub docs: Option<PathBuf>,
    /// Questions about it.
    #[arg(long, value_name = "FILE", requires = "docs")]
    pub questions: Option<PathBuf>,
    /// Where it is published; names of pages are relative to it.
    #[arg(long, value_name = "URL", env = "DOCENT_BASE_URL", requires = "docs")]
    pub base_url: Option<String>,
    /// Folder of a BERT model that makes the vectors, or `download`; the lexical embedder when absent.
    #[arg(long, value_name = "FOLDER")]
    pub model: Option<PathBuf>,
    /// Folder that keeps vectors, for the next time.
    #[arg(long, value_name = "FOLDER")]
    pub cache: Option<PathBuf>,
}

impl Corpora {
    /// Reads one after the other.
    ///
    /// # Errors
    /// [`RetrievalError`], also when nothing is named.
    pub fn read(&self) -> Result<Vec<Collection>, RetrievalError> {
        let mut collections = Vec::new();
        if let (Some(docs), Some(questions)) = (&self.docs, &self.questions) {
            let set = questions::read(questions)?;
            let base_url = self.base_url.as_deref().or(set.base_url.as_deref());
            collections.push(Collection::of_docs(docs, base_url, set.askable().cloned().collect())?);
        }
        for folder in &self.collections {
            collections.push(Collection::read(folder)?);
        }
        if collections.is_empty() {
            let usage = "name a collection (a folder with corpus.jsonl, queries.jsonl and qrels.tsv), or --docs and --questions";
            return Err(RetrievalError::Usage(usage.to_owned()));
        }
        Ok(collections)
    }

    /// Starts the embedder.
    ///
    /// # Errors
    /// [`VectorsError`]
    pub fn vectors(&self) -> Result<Vectors, VectorsError> {
        Vectors::start(self.model.as_deref(), self.cache.as_deref())
    }
}

/// The command.
#[derive(Debug, Args)]
pub struct Retrieval {
    #[command(flatten)]
    corpora: Corpora,
    /// What searches.
    #[arg(long, value_name = "SYSTEM", value_delimiter = ',', default_value = "bm25,dense,hybrid")]
    system: Vec<System>,
    /// Weight of a system in the fusion, against that of the other: dense=1, bm25=0.5.
    #[arg(long = "weight", value_name = "SYSTEM=WEIGHT", value_parser = weight)]
    weights: Vec<(System, f64)>,
    /// How many pages are ranked at most.
    #[arg(long, value_name = "N", default_value_t = DEPTH, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100))]
    top_k: usize,
    #[command(flatten)]
    settings: Settings,
    /// Folder that a run file for each collection and system is written to.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// What to measure; see the table of measures.
    #[arg(long, value_name = "MEASURE", value_delimiter = ',', value_parser = measures::parse, default_value = MEASURES)]
    measures: Vec<Measure>,
    /// Print the numbers as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads `dense=2`.
pub(crate) fn weight(text: &str) -> Result<(System, f64), String> {
    let (name, weight) = text.split_once('=').ok_or("written as dense=1")?;
    let system = System::from_str(name, false).ok().filter(|system| matches!(system, System::Dense | System::Bm25));
    let weight = weight.parse().ok().filter(|weight: &f64| weight.is_finite() && *weight >= 0.0);
    Ok((system.ok_or("only dense and bm25 are fused")?, weight.ok_or("a weight is a number of at least 0")?))
}

/// What was measured over one collection.
#[derive(Debug, Serialize)]
struct Measured {
    collection: String,
    pages: usize,
    chunks: usize,
    questions: usize,
    embedder: String,
    systems: Vec<SystemScores>,
}

#[derive(Debug, Serialize)]
struct SystemScores {
    system: String,
    run: Option<PathBuf>,
    measures: Vec<(String, Estimate)>,
}

impl Retrieval {
    /// Searches everything that was named, and prints a table for each collection.
    ///
    /// # Errors
    /// [`RetrievalError`]
    pub fn run(&self) -> Result<ExitCode, RetrievalError> {
        let vectors = self.corpora.vectors()?;
        if self.system.contains(&System::Bot) && self.settings != Settings::default() {
            let usage = "the bot cuts and embeds in its own way: leave the system bot out, or what changes that";
            return Err(RetrievalError::Usage(usage.to_owned()));
        }
        let mut all = Vec::new();
        for collection in self.corpora.read()? {
            let measured = self.measure(&collection, &vectors)?;
            if !self.json {
                crate::output::show(&measured);
            }
            all.push(measured);
        }
        if self.json {
            crate::output::show(format_args!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default()));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn measure(&self, collection: &Collection, vectors: &Vectors) -> Result<Measured, RetrievalError> {
        let weights = self.weights();
        let options = ScoreOptions { measures: self.measures.clone(), ..ScoreOptions::default() };
        let index = stage(&collection.name, "cut into chunks", || Ok(Index::new(collection, &self.settings)))?;
        let offline: Vec<System> = self.system.iter().copied().filter(|system| *system != System::Bot).collect();
        let lists = Lists::search(&index, collection, &self.settings, &offline, vectors)?;
        let mut systems = Vec::new();
        for system in &self.system {
            let header = self.header(collection, &index, *system, &vectors.embedder());
            let run = if *system == System::Bot {
                let docs = self.corpora.docs.as_deref().filter(|_| collection.has_passages);
                let ask = || through::ask(collection, docs, &self.parts(vectors), header, self.top_k);
                stage(&collection.name, "asked of the bot", ask)?
            } else {
                index.run(collection, &lists.of(*system, &index, weights), header, self.top_k)
            };
            let file = self.out.as_deref().map(|out| written(out, &run)).transpose()?;
            let scored = stage(&run.header.label, "judged", || Ok(scores::score(&run, &options)))?;
            systems.push(SystemScores { system: system.to_string(), run: file, measures: scored.all });
        }
        Ok(Measured {
            collection: collection.name.clone(),
            pages: collection.pages.len(),
            chunks: index.chunks(),
            questions: collection.questions.len(),
            embedder: vectors.embedder(),
            systems,
        })
    }

    /// Of the bot: vectors that are known are not made again.
    fn parts(&self, vectors: &Vectors) -> Parts {
        let words = self.weights().words();
        let var = if self.weights.is_empty() { None } else { Some(("WORDS_WEIGHT".to_owned(), words.to_string())) };
        Parts {
            var: var.into_iter().collect(),
            model: self.corpora.model.clone(),
            cache: vectors.cache().map(Path::to_owned),
            ..Parts::default()
        }
    }

    fn weights(&self) -> Weights {
        let mut weights = Weights::default();
        for (system, weight) in &self.weights {
            weights.set(*system, *weight);
        }
        weights
    }

    fn header(&self, collection: &Collection, index: &Index, system: System, embedder: &str) -> Header {
        let mut header = header(collection, index, &self.settings, system, embedder);
        if matches!(system, System::Hybrid | System::Bot) {
            let weights = self.weights.iter().map(|(system, weight)| (format!("weight-{system}"), weight.to_string()));
            header.settings.extend(weights);
        }
        if self.top_k != DEPTH {
            header.settings.insert("top-k".to_owned(), self.top_k.to_string());
        }
        header
    }
}

/// What a run of a search says about itself.
pub fn header(collection: &Collection, index: &Index, settings: &Settings, system: System, embedder: &str) -> Header {
    Header {
        docent_eval_run: RUN_VERSION,
        label: format!("{} {system}", collection.name),
        kind: Kind::Retrieval,
        bot: format!("search by {system}"),
        base_url: collection.base_url.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        spec: index.spec.clone(),
        corpus: Some(collection.corpus_hash()),
        embedder: if system == System::Bm25 { String::new() } else { embedder.to_owned() },
        questions: collection.questions_hash(),
        repeats: 1,
        settings: settings.changed(),
        started_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        ..Header::default()
    }
}

/// What the questions of a collection find, by the systems that are needed.
#[derive(Debug, Default)]
pub struct Lists {
    bm25: Vec<Listed>,
    dense: Vec<Listed>,
}

impl Lists {
    /// Searches by those that `systems` are made of.
    ///
    /// # Errors
    /// [`RetrievalError`]
    pub fn search(
        index: &Index,
        collection: &Collection,
        settings: &Settings,
        systems: &[System],
        vectors: &Vectors,
    ) -> Result<Self, RetrievalError> {
        let needs = |other: System| systems.iter().any(|system| *system != other);
        let mut lists = Self::default();
        if needs(System::Dense) {
            lists.bm25 = stage(&collection.name, "searched by words", || index.by_words(collection, settings))?;
        }
        if needs(System::Bm25) {
            let search = || index.by_vectors(collection, settings, vectors);
            lists.dense = stage(&collection.name, "searched by vectors", search)?;
        }
        Ok(lists)
    }

    /// The rankings of one system.
    pub fn of(&self, system: System, index: &Index, weights: Weights) -> Vec<Ranking> {
        match system {
            System::Bm25 => self.bm25.iter().map(|listed| listed.units.clone()).collect(),
            System::Dense => self.dense.iter().map(|listed| listed.units.clone()).collect(),
            System::Hybrid | System::Bot => {
                self.dense.iter().zip(&self.bm25).map(|(dense, bm25)| index.fused(dense, bm25, weights)).collect()
            }
        }
    }
}

/// Does something that may take long, and says so when it is done.
fn stage<T>(name: &str, what: &str, work: impl FnOnce() -> Result<T, RetrievalError>) -> Result<T, RetrievalError> {
    let started = Instant::now();
    let done = work()?;
    // For somebody who waits; a file or another program does not.
    if std::io::stderr().is_terminal() {
        eprintln!("{name}: {what} in {:.1} s", started.elapsed().as_secs_f64());
    }
    Ok(done)
}

/// Writes a run; its file is named after it.
fn written(folder: &Path, run: &Run) -> Result<PathBuf, RetrievalError> {
    let plain = |c: char| if c.is_alphanumeric() || c == '-' { c } else { '-' };
    let name: String = run.header.label.chars().map(plain).collect();
    let path = folder.join(format!("{name}.jsonl"));
    let write = || {
        std::fs::create_dir_all(folder)?;
        run.write(&path)
    };
    write().map_err(|source| RetrievalError::Write { path: path.clone(), source })?;
    Ok(path)
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, pages, chunks, questions, embedder, .. } = self;
        writeln!(f, "{collection}: {pages} pages, {chunks} chunks, {questions} questions; vectors by {embedder}")?;
        let columns = self.systems.first().map(|first| &first.measures).into_iter().flatten();
        write!(f, "{:<8}", "")?;
        for (name, _) in columns {
            write!(f, "{name:<22}")?;
        }
        writeln!(f)?;
        for SystemScores { system, measures, .. } in &self.systems {
            write!(f, "{system:<8}")?;
            for (_, Estimate { value, low, high, .. }) in measures {
                write!(f, "{:<22}", format!("{value:.3} [{low:.3}, {high:.3}]"))?;
            }
            writeln!(f)?;
        }
        writeln!(f)
    }
}
