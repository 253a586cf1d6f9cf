//! A file to questions: YAML, which people write, JSON lines, which programs write, or TREC topics with
//! qrels. All mistakes of a file are told at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Serialize as _;
use sha2::{Digest as _, Sha256};
use yaml_serde::Value;

use super::finding::{Finding, Severity};
use super::{Question, trec};

/// The questions of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QuestionSet {
    /// Where the documentation is published that they are about, when the file says so.
    pub base_url: Option<String>,
    /// As they stand there, drafts included.
    pub questions: Vec<Question>,
    /// Line of each, from 1; none when the file is written in a way that hides it.
    pub lines: Vec<Option<usize>>,
    /// The first 16 hexadecimal digits of the SHA-256 over the questions that are asked, as JSON. Drafts
    /// and comments do not change it.
    pub hash: String,
}

/// Why a file of questions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QuestionsError {
    /// The file itself.
    #[error("cannot read the questions {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it: everything that is wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Finding>),
}

/// More is no file of questions.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// An id made from a question has no more characters.
const MAX_SLUG: usize = 60;

/// Reads a file by its ending: `.yaml`, `.yml` or `.jsonl`.
///
/// # Errors
/// [`QuestionsError`], with all faults of the file.
pub fn read(path: &Path) -> Result<QuestionSet, QuestionsError> {
    read_judged(path, None)
}

/// Reads a file of questions, or of TREC topics when there are qrels to go with it.
///
/// # Errors
/// [`QuestionsError`], with all faults of both files.
pub fn read_judged(path: &Path, qrels: Option<&Path>) -> Result<QuestionSet, QuestionsError> {
    if let Some(qrels) = qrels {
        return trec::read(path, Some(qrels));
    }
    let mut file = Lines::new(path);
    let text = text_of(path)?;
    let read = match path.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => yaml(&text, &mut file),
        Some("jsonl" | "ndjson") => json_lines(&text, &mut file),
        _ => {
            file.fault(None, "has none of the endings .yaml, .yml and .jsonl; topics of TREC are read with --qrels");
            Read::default()
        }
    };
    finished(read, file)
}

impl QuestionSet {
    /// Those that are asked: all but drafts.
    pub fn askable(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| !question.draft)
    }
}

/// What a parser made of a file.
#[derive(Default)]
pub(super) struct Read {
    pub(super) base_url: Option<String>,
    pub(super) questions: Vec<(Option<usize>, Question)>,
}

/// Collects the faults of one file.
pub(super) struct Lines {
    name: String,
    pub(super) faults: Vec<Finding>,
}

impl Lines {
    pub(super) fn new(path: &Path) -> Self {
        Self { name: path.display().to_string(), faults: Vec::new() }
    }

    pub(super) fn fault(&mut self, line: Option<usize>, message: impl Into<String>) {
        self.about(line, None, message);
    }

    fn about(&mut self, line: Option<usize>, question: Option<String>, message: impl Into<String>) {
        let (file, message) = (self.name.clone(), message.into());
        self.faults.push(Finding { file, line, severity: Severity::Fault, question, message });
    }
}

/// The text of a file, without byte order mark.
pub(super) fn text_of(path: &Path) -> Result<String, QuestionsError> {
    let failed = |source| QuestionsError::File { path: path.display().to_string(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        let reason = format!("it has more than {} MB, and so is no file of questions", MAX_BYTES >> 20);
        return Err(failed(std::io::Error::other(reason)));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Gives every question an id, and refuses what cannot be used.
pub(super) fn finished(read: Read, mut file: Lines) -> Result<QuestionSet, QuestionsError> {
    let (lines, mut questions): (Vec<_>, Vec<_>) = read.questions.into_iter().unzip();
    identify(&mut questions, &lines, &mut file);
    for (question, line) in questions.iter().zip(&lines) {
        if question.question.trim().is_empty() {
            file.about(*line, Some(question.id.clone()), "the question is empty; write one, or delete the entry");
        }
    }
    if questions.is_empty() && file.faults.is_empty() {
        file.fault(None, "holds no question");
    }
    if !file.faults.is_empty() {
        file.faults.sort();
        return Err(QuestionsError::Faults(file.faults));
    }
    let hash = hash(&questions);
    Ok(QuestionSet { base_url: read.base_url, questions, lines, hash })
}

/// Ids that stand in the file are kept; the others are made from the question, each unlike all others.
fn identify(questions: &mut [Question], lines: &[Option<usize>], file: &mut Lines) {
    let mut taken: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for (question, line) in questions.iter().zip(lines).filter(|(question, _)| !question.id.is_empty()) {
        let id = &question.id;
        if id.contains(|c: char| c.is_whitespace() || c.is_control()) {
            file.about(*line, Some(id.clone()), "the id has blanks, which separate the fields of TREC files: use -");
        }
        if let Some(first) = taken.get(id) {
            let place = first.map(|line| format!(" of line {line}")).unwrap_or_default();
            let message = format!("is also the id of the question{place}; give each its own, or none");
            file.about(*line, Some(id.clone()), message);
        } else {
            taken.insert(id.clone(), *line);
        }
    }
    for (question, line) in questions.iter_mut().zip(lines).filter(|(question, _)| question.id.is_empty()) {
        let slug = slug(&question.question);
        let mut ids = std::iter::once(slug.clone()).chain((2..).map(|count: u64| format!("{slug}-{count}")));
        question.id = ids.find(|id| !taken.contains_key(id)).unwrap_or_default();
        taken.insert(question.id.clone(), *line);
    }
}

/// `How do I change the port?` is `how-do-i-change-the-port`.
pub(super) fn slug(question: &str) -> String {
    let mut slug = String::new();
    for word in question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word: String = word.chars().flat_map(char::to_lowercase).take(MAX_SLUG).collect();
        if slug.chars().count() + word.chars().count() > MAX_SLUG {
            break;
        }
        slug = if slug.is_empty() { word } else { format!("{slug}-{word}") };
    }
    if slug.is_empty() { "question".to_owned() } else { slug }
}

fn hash(questions: &[Question]) -> String {
    let asked: Vec<_> = questions.iter().filter(|question| !question.draft).collect();
    let digest = Sha256::digest(serde_json::to_vec(&asked).unwrap_or_default());
    let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{first:016x}")
}

fn json_lines(text: &str, file: &mut Lines) -> Read {
    let mut read = Read::default();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        match serde_json::from_str(text) {
            Ok(question) => read.questions.push((Some(line), question)),
            Err(error) => {
                // It says "at line 1", of its own text.
                let reason = error.to_string();
                let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
                let message = format!("column {}: {reason}; each line is one question as JSON", error.column());
                file.fault(Some(line), message);
            }
        }
    }
    read
}

/// A list of questions, or `base_url` and `questions`.
fn yaml(text: &str, file: &mut Lines) -> Read {
    let mut read = Read::default();
    let value: Value = match yaml_serde::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            file.fault(error.location().map(|place| place.line()), error.to_string());
            return read;
        }
    };
    let Some(items) = listed(value, &mut read, file) else { return read };
    let places = places(text, items.len());
    for (number, item) in items.into_iter().enumerate() {
        let place = places.get(number);
        match yaml_serde::from_value::<Question>(item) {
            Ok(question) => read.questions.push((place.map(|place| place.first), question)),
            Err(error) => wrong_item(&error, number, text, place, file),
        }
    }
    read
}

fn listed(value: Value, read: &mut Read, file: &mut Lines) -> Option<Vec<Value>> {
    const FORM: &str = "the file is a list of questions, or has base_url and questions";
    let mut whole = match value {
        Value::Sequence(items) => return Some(items),
        Value::Mapping(whole) => whole,
        Value::Null => return Some(Vec::new()),
        _ => {
            file.fault(None, FORM);
            return None;
        }
    };
    match whole.remove("base_url") {
        Some(Value::String(base)) => read.base_url = Some(base),
        Some(_) => file.fault(None, "base_url is no text; write the address of the documentation"),
        None => {}
    }
    let items = whole.remove("questions");
    for (key, _) in whole {
        let mut name = Vec::new();
        let _ = key.serialize(&mut yaml_serde::Serializer::new(&mut name));
        file.fault(None, format!("{} is no field of it; {FORM}", String::from_utf8_lossy(&name).trim()));
    }
    if let Some(Value::Sequence(items)) = items {
        return Some(items);
    }
    file.fault(None, FORM);
    None
}

/// Says where in a question it goes wrong, by reading its lines once more for themselves.
fn wrong_item(error: &yaml_serde::Error, number: usize, text: &str, place: Option<&Place>, file: &mut Lines) {
    let Some(place) = place else {
        return file.fault(None, format!("question {}: {error}", number + 1));
    };
    let own = text.get(place.bytes.clone()).unwrap_or_default();
    let again = yaml_serde::from_str::<Vec<Question>>(own).err();
    let within = again.as_ref().and_then(yaml_serde::Error::location).map_or(0, |place| place.line().saturating_sub(1));
    file.fault(Some(place.first + within), format!("question {}: {error}", number + 1));
}

/// Where a question stands in the file.
struct Place {
    first: usize,
    bytes: Range<usize>,
}

/// The places of the items of the list, by their dashes: what is inside of an item is indented further,
/// text over several lines included. Nothing when the list is written in brackets.
fn places(text: &str, count: usize) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let mut indent = None;
    let mut at = 0;
    for (line, whole) in (1..).zip(text.split_inclusive('\n')) {
        let bare = whole.trim_start_matches(' ');
        let is_item = bare.strip_prefix('-').is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\n', '\r']));
        if is_item && *indent.get_or_insert(whole.len() - bare.len()) == whole.len() - bare.len() {
            if let Some(last) = places.last_mut() {
                last.bytes.end = at;
            }
            places.push(Place { first: line, bytes: at..text.len() });
        }
        at += whole.len();
    }
    if places.len() == count { places } else { Vec::new() }
}
