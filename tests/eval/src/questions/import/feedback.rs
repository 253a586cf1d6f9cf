//! What visitors thought of answers. An answer that helped tells which pages answer its question: those
//! that it cites. One that did not helps to find what is missing: a question without pages, with the
//! reasons that were given.

use std::collections::{BTreeMap, BTreeSet};

use docent_ingest::cloudflare::{ApiError, Cloudflare, Statement};
use docent_ingest::settings::Connection;
use serde::Deserialize;

use super::{Imported, cleaned, json_lines, judged};
use crate::questions::{Question, lint};

/// Rows of one answer of D1: with answers of 4 KB each, about 2 MB.
const ROWS_AT_ONCE: usize = 500;
const ROWS: &str = "SELECT message_id, at, rating, reasons, comment, question, turns, answer, sources, refused \
                    FROM feedback WHERE (at, message_id) > (CAST(?1 AS INTEGER), ?2) \
                    ORDER BY at, message_id LIMIT CAST(?3 AS INTEGER)";
/// Characters of a comment that are shown.
const COMMENT: usize = 300;

/// A row of the table `feedback`. Lists are JSON in text there, and may be plain JSON in a file.
#[derive(Deserialize)]
pub(super) struct Row {
    message_id: String,
    at: u64,
    rating: String,
    #[serde(default)]
    reasons: List<String>,
    #[serde(default)]
    comment: Option<String>,
    question: String,
    #[serde(default)]
    turns: List<String>,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    sources: List<Source>,
    #[serde(default)]
    refused: Flag,
}

#[derive(Clone, Deserialize)]
pub(super) struct Source {
    pub(super) n: u32,
    pub(super) url: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a list, or one as JSON in text")]
enum List<T> {
    Values(Vec<T>),
    Json(String),
    Null(()),
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::Null(())
    }
}

impl<T: Clone + serde::de::DeserializeOwned> List<T> {
    fn values(&self) -> Vec<T> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_default(),
            Self::Null(()) => Vec::new(),
        }
    }
}

/// `SQLite` has no booleans.
#[derive(Deserialize)]
#[serde(untagged, expecting = "0, 1, true or false")]
enum Flag {
    Bool(bool),
    Number(f64),
}

impl Default for Flag {
    fn default() -> Self {
        Self::Bool(false)
    }
}

impl Flag {
    fn is_set(&self) -> bool {
        match self {
            Self::Bool(value) => *value,
            Self::Number(value) => *value > 0.5,
        }
    }
}

/// All rows of the database, oldest first.
pub(super) fn rows(connection: &Connection) -> Result<Vec<Row>, String> {
    if connection.database.is_none() {
        return Err("no D1 database is bound as CONTENT, and feedback is kept there".to_owned());
    }
    let cloud = Cloudflare::new(connection);
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map_or((0, String::new()), |last| (last.at, last.message_id.clone()));
        let statement = Statement::new(ROWS, [&after.0, &after.1, &ROWS_AT_ONCE]);
        let more = cloud.sql::<Row>(&[statement]).map_err(explained)?.pop().unwrap_or_default();
        let count = more.len();
        rows.extend(more);
        if count < ROWS_AT_ONCE {
            return Ok(rows);
        }
    }
}

fn explained(error: ApiError) -> String {
    if error.message.contains("no such table") {
        return "the database has no table feedback yet: run `npx wrangler d1 migrations apply CONTENT --remote`"
            .to_owned();
    }
    error.to_string()
}

/// Rows that somebody took out of the database.
pub(super) fn parsed(text: &str) -> Result<Vec<Row>, String> {
    json_lines(text, "a row of the table feedback")
}

/// What was said about one question.
#[derive(Default)]
struct Said {
    question: Question,
    up: usize,
    down: usize,
    /// Answers that helped although they said that the documentation has no answer.
    refused: usize,
    reasons: BTreeMap<String, usize>,
    comments: Vec<String>,
}

pub(super) fn import(rows: &[Row], imported: &mut Imported) {
    let mut order = Vec::new();
    let mut all: BTreeMap<String, Said> = BTreeMap::new();
    for row in rows {
        let asked = Question {
            question: cleaned(&row.question),
            turns: row.turns.values().iter().map(|turn| cleaned(turn)).collect(),
            ..Question::default()
        };
        let asks = lint::same(&asked);
        let said = all.entry(asks.clone()).or_insert_with(|| {
            order.push(asks);
            Said { question: asked, ..Said::default() }
        });
        said.add(row);
    }
    order.iter().filter_map(|asks| all.remove(asks)).for_each(|said| imported.add(said.question()));
}

impl Said {
    fn add(&mut self, row: &Row) {
        let helped = row.rating == "up";
        *(if helped { &mut self.up } else { &mut self.down }) += 1;
        for reason in row.reasons.values() {
            *self.reasons.entry(cleaned(&reason)).or_default() += 1;
        }
        let comment: String = row.comment.as_deref().map(cleaned).unwrap_or_default().chars().take(COMMENT).collect();
        if !comment.is_empty() && !self.comments.contains(&comment) {
            self.comments.push(comment);
        }
        if helped && row.refused.is_set() {
            self.refused += 1;
        } else if helped {
            let cited = cited(row.answer.as_deref().unwrap_or_default(), &row.sources.values());
            judged(&mut self.question, pages_too(cited));
        }
    }

    fn question(mut self) -> Question {
        let counts = [("up", self.up), ("down", self.down)]
            .into_iter()
            .chain(self.reasons.iter().map(|(name, count)| (name.as_str(), *count)));
        let counts: Vec<String> =
            counts.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();

        self.question.refuse = self.refused > 0 && self.question.pages.is_empty() && self.down == 0;
        self.question.tags = vec!["feedback".to_owned()];
        let comments = self.comments.iter().map(|comment| format!("{comment:?}"));
        let said: Vec<String> = std::iter::once(counts.join(", ")).chain(comments).collect();
        self.question.source = Some(format!("feedback: {}", said.join("; ")));
        self.question.draft = true;
        self.question
    }
}

/// Addresses of the sources that an answer cites.
pub(super) fn cited(answer: &str, sources: &[Source]) -> Vec<String> {
    let inside = answer.split('[').skip(1).filter_map(|rest| rest.split_once(']'));
    let cited: BTreeSet<u32> =
        inside.flat_map(|(numbers, _)| numbers.split(',')).filter_map(|n| n.trim().parse().ok()).collect();
    sources.iter().filter(|source| cited.contains(&source.n)).map(|source| source.url.clone()).collect()
}

/// A passage that answers stands on a page that answers.
pub(super) fn pages_too(addresses: Vec<String>) -> BTreeSet<String> {
    let pages = addresses.iter().filter_map(|address| address.split('#').next()).map(str::to_owned);
    pages.collect::<Vec<_>>().into_iter().chain(addresses).collect()
}
