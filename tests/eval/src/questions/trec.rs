//! Questions in TREC's form: topics, which are the questions, and qrels, which say what answers them.
//!
//! Topics are lines of JSON with `id` and `text`, lines of `id` and text with a tab between, or the
//! classic `<top>` blocks of which `<num>` and `<title>` are read. Qrels are lines of `query 0 doc grade`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::read::{Lines, QuestionSet, QuestionsError, Read, finished, text_of};
use super::{Grades, Question};

/// A question with the line that it stands on.
type Topic = (Option<usize>, Question);

/// Reads topics, and what is judged about them. A document with an anchor is a passage, any other one a
/// page.
///
/// # Errors
/// [`QuestionsError`], with all faults of both files.
pub fn read(topics: &Path, qrels: Option<&Path>) -> Result<QuestionSet, QuestionsError> {
    let mut file = Lines::new(topics);
    let mut questions = self::topics(&text_of(topics)?, &mut file);
    if let Some(path) = qrels {
        let mut faults = Lines::new(path);
        let judged = judgements(&text_of(path)?, &mut faults);
        if !questions.is_empty() && !questions.iter().any(|(_, question)| judged.contains_key(&question.id)) {
            faults.fault(None, format!("judges none of the questions of {}", topics.display()));
        }
        file.faults.append(&mut faults.faults);
        judge(&mut questions, judged);
    }
    finished(Read { base_url: None, questions }, file)
}

fn judge(questions: &mut [Topic], mut judged: BTreeMap<String, Grades>) {
    for (_, question) in questions {
        let Some(Grades(grades)) = judged.remove(&question.id) else { continue };
        let (passages, pages) = grades.into_iter().partition(|(name, _)| name.contains('#'));
        (question.passages, question.pages) = (Grades(passages), Grades(pages));
    }
}

fn topics(text: &str, file: &mut Lines) -> Vec<Topic> {
    match text.trim_start().chars().next() {
        Some('<') => blocks(text, file),
        Some('{') => json_lines(text, file),
        _ => tabbed(text, file),
    }
}

/// A topic as JSON. Other fields are of no concern.
#[derive(Deserialize)]
struct JsonTopic {
    id: Id,
    text: String,
    /// Collections with questions that have no answer say so.
    #[serde(default = "yes")]
    answerable: bool,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "an id is text or a number")]
enum Id {
    Text(String),
    Number(u64),
}

fn yes() -> bool {
    true
}

fn json_lines(text: &str, file: &mut Lines) -> Vec<Topic> {
    let mut topics = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        match serde_json::from_str::<JsonTopic>(text) {
            Ok(JsonTopic { id, text, answerable }) => {
                let id = match id {
                    Id::Text(id) => id,
                    Id::Number(id) => id.to_string(),
                };
                topics.push((Some(line), Question { id, question: text, refuse: !answerable, ..Question::default() }));
            }
            Err(error) => file.fault(Some(line), format!("{error}; a topic is {{\"id\": …, \"text\": …}}")),
        }
    }
    topics
}

fn tabbed(text: &str, file: &mut Lines) -> Vec<Topic> {
    let mut topics = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        match text.split_once('\t') {
            Some((id, question)) => topics.push(topic(line, id, question)),
            None => file.fault(Some(line), "has no tab between the id and the question"),
        }
    }
    topics
}

fn topic(line: usize, id: &str, question: &str) -> Topic {
    let (id, question) = (id.trim().to_owned(), question.split_whitespace().collect::<Vec<_>>().join(" "));
    (Some(line), Question { id, question, ..Question::default() })
}

/// `<top> <num> Number: 301 <title> … <desc> … </top>`: end tags of fields may be there or not.
fn blocks(text: &str, file: &mut Lines) -> Vec<Topic> {
    let mut topics = Vec::new();
    let mut line = 1;
    for (number, block) in text.split("<top>").enumerate() {
        if number > 0 {
            match (field(block, "<num>"), field(block, "<title>")) {
                (Some(id), Some(title)) => {
                    let id = id.trim().trim_start_matches("Number:").split_whitespace().next().unwrap_or_default();
                    topics.push(topic(line, id, title));
                }
                _ => file.fault(Some(line), "the <top> has no <num> or no <title>"),
            }
        }
        line += block.matches('\n').count();
    }
    topics
}

fn field<'a>(block: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = block.split_once(tag)?;
    rest.split('<').next()
}

/// What is judged, by id of the question.
fn judgements(text: &str, file: &mut Lines) -> BTreeMap<String, Grades> {
    let mut judged: BTreeMap<String, Grades> = BTreeMap::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [query, _, document, grade] = fields.as_slice() else {
            file.fault(Some(line), format!("has {} fields; a line is: query 0 document grade", fields.len()));
            continue;
        };
        match grade.parse::<i64>() {
            // Below 0 means harmful or spam in some collections: of no use, at any rate.
            Ok(grade) => {
                let grade = u32::try_from(grade.max(0)).unwrap_or(u32::MAX);
                judged.entry((*query).to_owned()).or_default().0.insert((*document).to_owned(), grade);
            }
            Err(_) => file.fault(Some(line), format!("the grade {grade:?} is no whole number")),
        }
    }
    judged
}
