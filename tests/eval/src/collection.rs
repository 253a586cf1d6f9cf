//! Pages with questions and what answers them: a collection in the form of BEIR, or a folder of
//! documentation with a file of questions.
//!
//! BEIR's form is a folder with `corpus.jsonl` (or `corpus.jsonl.gz`), `queries.jsonl` and
//! `qrels.tsv` (or `qrels/test.tsv`). An id of a document there is the name of a page here, as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use docent_core::anchors::Anchors;
use docent_core::document::Document;
use docent_core::document::layout::Layout;
use docent_core::document::site::Site;
use docent_ingest::source::{self, Location, Outcome, Source};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::pages;
use crate::questions::{Grades, Question};

/// Where pages are said to be published when nobody says where.
pub const DEFAULT_BASE_URL: &str = "https://docs.example/";

/// What can be searched, and what should be found.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Name of its folder.
    pub name: String,
    /// Address that names of pages are relative to; empty when they are ids.
    pub base_url: String,
    /// In the order of the corpus.
    pub pages: Vec<CorpusPage>,
    /// Those of which something is known that answers them.
    pub questions: Vec<Question>,
    /// Whether sections of pages are told apart.
    pub has_passages: bool,
}

/// A page to be searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusPage {
    /// What rankings call it.
    pub name: String,
    /// What the chunker is given.
    pub document: Document,
}

/// Why a collection cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CollectionError {
    /// A file of it.
    #[error("cannot read {}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in its files: everything that is wrong.
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
}

#[derive(Deserialize)]
struct CorpusLine {
    #[serde(alias = "_id")]
    id: Id,
    #[serde(default)]
    url: String,
    #[serde(default)]
    title: String,
    text: String,
}

#[derive(Deserialize)]
struct QueryLine {
    #[serde(alias = "_id")]
    id: Id,
    text: String,
}

/// Some collections number their documents.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an id is text or a number")]
enum Id {
    Text(String),
    Number(u64),
}

impl Id {
    /// Blanks separate the fields of TREC files.
    fn name(self) -> String {
        match self {
            Self::Text(text) => text.replace(char::is_whitespace, "%20"),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Collection {
    /// Reads a folder in BEIR's form. Questions of which nothing is judged relevant are left out.
    ///
    /// # Errors
    /// [`CollectionError`], with all faults of its files.
    pub fn read(folder: &Path) -> Result<Self, CollectionError> {
        let mut faults = Vec::new();
        let corpus: Vec<CorpusLine> = json_lines(&first_of(folder, &["corpus.jsonl", "corpus.jsonl.gz"]), &mut faults)?;
        let queries: Vec<QueryLine> = json_lines(&folder.join("queries.jsonl"), &mut faults)?;
        let mut judged = qrels(&first_of(folder, &["qrels.tsv", "qrels/test.tsv"]), &mut faults)?;
        let corpus: Vec<CorpusPage> = corpus.into_iter().map(corpus_page).collect();
        let mut known = BTreeSet::new();
        for page in &corpus {
            if !known.insert(&page.name) {
                faults.push(format!("{}: two documents have the id {}", folder.display(), page.name));
            }
        }
        let mut questions = Vec::new();
        for QueryLine { id, text } in queries {
            let id = id.name();
            let pages = judged.remove(&id).unwrap_or_default();
            for missing in pages.keys().filter(|page| !known.contains(*page)) {
                faults.push(format!("{}: qrels of {id} name {missing}, which the corpus has not", folder.display()));
            }
            if pages.values().any(|grade| *grade > 0) {
                questions.push(Question { id, question: text, pages: Grades(pages), ..Question::default() });
            }
        }
        if questions.is_empty() {
            faults.push(format!("{}: nothing is judged relevant to any of its questions", folder.display()));
        }
        if !faults.is_empty() {
            return Err(CollectionError::Faults(faults));
        }
        let name = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = name.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name, base_url: String::new(), pages: corpus, questions, has_passages: false })
    }

    /// Reads documentation as `docent ingest` does. `questions` are those that name pages or passages;
    /// `base_url` is where the pages are published.
    ///
    /// # Errors
    /// [`CollectionError`], when a page cannot be read.
    pub fn of_docs(folder: &Path, base_url: Option<&str>, questions: Vec<Question>) -> Result<Self, CollectionError> {
        let layout = source::detect(folder).map_or_else(Layout::default, |found| found.layout);
        let base_url = base_url.map(str::to_owned).or_else(|| layout.base.clone());
        let base_url = base_url.unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());
        let site = Site::of(&base_url, layout).map_err(|error| CollectionError::Faults(vec![error.to_string()]))?;
        let location = Location::Path(folder.to_owned());
        let source = Source { location, site, exclude: Vec::new(), prefix: String::new() };
        let (mut found, mut faults) = (Vec::new(), Vec::new());
        source::read(&[source], &mut |outcome| match outcome {
            Outcome::Document(document) => {
                found.push(CorpusPage { name: pages::name(&base_url, &document.url).0, document });
            }
            Outcome::Skipped(_) => {}
            Outcome::Failed(failure, _) => faults.push(format!("{}: {}", failure.path, failure.reason)),
        });
        let is_judged = |question: &Question| !question.pages.is_empty() || !question.passages.is_empty();
        let questions: Vec<Question> =
            questions.into_iter().filter(|it| !it.refuse && is_judged(it)).map(|it| it.named(&base_url)).collect();
        if found.is_empty() && faults.is_empty() {
            faults.push(format!("{} holds no documentation", folder.display()));
        }
        if questions.is_empty() {
            faults.push("none of the questions names a page or passage that answers it".to_owned());
        }
        if !faults.is_empty() {
            return Err(CollectionError::Faults(faults));
        }
        let name = folder.file_name().map_or_else(|| "docs".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, base_url, pages: found, questions, has_passages: true })
    }

    /// Changes when a page does.
    pub fn corpus_hash(&self) -> String {
        let mut hasher = Sha256::new();
        for CorpusPage { name, document: Document { url, title, body, .. } } in &self.pages {
            for field in [name, url, title, body] {
                hasher.update(field.len().to_le_bytes());
                hasher.update(field);
            }
        }
        short_hex(&hasher.finalize())
    }

    /// Changes when a question, or what answers it, does.
    pub fn questions_hash(&self) -> String {
        short_hex(&Sha256::digest(serde_json::to_vec(&self.questions).unwrap_or_default()))
    }
}

/// The first 16 hexadecimal digits.
fn short_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().take(8).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn corpus_page(CorpusLine { id, url, title, text }: CorpusLine) -> CorpusPage {
    let name = id.name();
    let document =
        Document { path: name.clone(), url, title, anchors: Anchors::GitHub, body: text, ..Document::default() };
    CorpusPage { name, document }
}

/// The first of these files that is there, or else the first of all, so that its lack is told.
fn first_of(folder: &Path, names: &[&str]) -> PathBuf {
    let found = names.iter().map(|name| folder.join(name)).find(|path| path.exists());
    found.unwrap_or_else(|| folder.join(names.first().unwrap_or(&"")))
}

fn json_lines<T: for<'a> Deserialize<'a>>(path: &Path, faults: &mut Vec<String>) -> Result<Vec<T>, CollectionError> {
    let mut read = Vec::new();
    for (line, text) in (1..).zip(text(path)?.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        match serde_json::from_str(text) {
            Ok(value) => read.push(value),
            Err(error) => faults.push(format!("{}, line {line}: {error}", path.display())),
        }
    }
    Ok(read)
}

/// Lines of query, document and grade, TREC's `0` in between or not, and BEIR's headline or not.
fn qrels(path: &Path, faults: &mut Vec<String>) -> Result<BTreeMap<String, BTreeMap<String, u32>>, CollectionError> {
    let mut judged: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    for (line, text) in (1..).zip(text(path)?.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let fields: Vec<&str> =
            if text.contains('\t') { text.split('\t').collect() } else { text.split(' ').collect() };
        let ([query, _, page, grade] | [query, page, grade]) = *fields.as_slice() else {
            faults.push(format!("{}, line {line}: not query, 0, document and grade", path.display()));
            continue;
        };
        match grade.trim().parse::<i64>() {
            Ok(grade) => {
                // A negative grade says what 0 says, only louder.
                let grade = u32::try_from(grade.max(0)).unwrap_or(u32::MAX);
                let id = |id: &str| id.replace(char::is_whitespace, "%20");
                judged.entry(id(query)).or_default().insert(id(page), grade);
            }
            Err(_) if line == 1 => {}
            Err(_) => faults.push(format!("{}, line {line}: the grade {grade} is no number", path.display())),
        }
    }
    Ok(judged)
}

fn text(path: &Path) -> Result<String, CollectionError> {
    let fault = |source| CollectionError::File { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(fault)?;
    let mut text = String::new();
    let is_packed = path.extension().is_some_and(|ending| ending == "gz");
    let mut reader: Box<dyn std::io::Read> =
        if is_packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
    reader.read_to_string(&mut text).map_err(fault)?;
    Ok(text)
}
