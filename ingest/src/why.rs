//! `docent why`: how an answer came about, and what visitors asked and did not get.
//!
//! The bot keeps a trace of each answer in D1 for some days. Here they are read; `show` prints them
//! for a person, and `advice` says what to look at next.

mod advice;
mod show;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use docent_core::trace::{self, Trace};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::cloudflare::{ApiError, Cloudflare, Statement};
use crate::settings::Connection;

/// Traces of one answer of D1: of the largest that are kept, about 25 MB.
const AT_ONCE: usize = 100;
/// Pages that a name may stand for.
const MAX_PAGES: usize = 5;

const BY_ID: &str = "SELECT record, rating, reasons, comment FROM trace LEFT JOIN feedback USING (message_id) \
                     WHERE id = ?1";
/// Looks at every row: nobody but an operator asks, and no index is written for it with each answer.
const BY_MESSAGE: &str = "SELECT record, rating, reasons, comment FROM trace LEFT JOIN feedback USING (message_id) \
                          WHERE message_id = ?1 LIMIT 1";
const LAST: &str = "SELECT record, rating, reasons, comment FROM trace LEFT JOIN feedback USING (message_id) \
                    WHERE id < ?1 ORDER BY id DESC LIMIT CAST(?2 AS INTEGER)";
const LAST_UNANSWERED: &str = "SELECT record, rating, reasons, comment FROM trace LEFT JOIN feedback USING (message_id) \
     WHERE id < ?1 AND (refused_by IS NOT NULL OR error IS NOT NULL OR rating = 'down') \
     ORDER BY id DESC LIMIT CAST(?2 AS INTEGER)";
const OLDEST: &str = "SELECT id FROM trace ORDER BY id LIMIT 1";
const TEXTS: &str = "SELECT id, text FROM chunk WHERE id IN (SELECT value FROM json_each(?1))";
/// A page by its path or address or a part of them, those first that were in the generation, and of
/// these the one that is named most exactly.
const PAGES: &str = "SELECT path, url, json_array_length(chunks) AS chunks, \
                     born <= CAST(?2 AS INTEGER) AND (died IS NULL OR died > CAST(?2 AS INTEGER)) AS searched \
                     FROM document WHERE instr(path, ?1) > 0 OR instr(url, ?1) > 0 \
                     ORDER BY searched DESC, length(path), path, born DESC LIMIT CAST(?3 AS INTEGER)";

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// Traces are kept in D1 and nowhere else.
    #[error(
        "no D1 database is bound as CONTENT, and traces are kept there: add [[d1_databases]] to the deployment file, \
         or name the database with --d1-id"
    )]
    NoDatabase,
    /// The tables are those of an earlier version.
    #[error(
        "the database has no table for traces yet ({0}): run `npx wrangler d1 migrations apply CONTENT --remote`; \
         traces are kept from then on"
    )]
    NoTable(String),
    /// Nothing that an answer could have.
    #[error(
        "{0:?} is no id of an answer: give its `trace_id` or `message_id`, 32 hexadecimal digits, which the header \
         x-docent-trace-id, the start of a stream and the Worker's log have; `docent why --last 20` lists them"
    )]
    NoId(String),
    /// It is older than everything that is kept.
    #[error("the answer {id} is of {asked}, and traces are kept since {since}: TRACE_DAYS says for how long")]
    Expired {
        /// Trace id.
        id: String,
        /// When it was asked.
        asked: String,
        /// Time of the oldest trace.
        since: String,
    },
    /// It is not there.
    #[error(
        "there is no trace of {0}: it is another bot's, or older than TRACE_DAYS, or was not an answer, or could not \
         be kept (then the Worker's log says why, under this id)"
    )]
    Unknown(String),
    /// There is none at all.
    #[error(
        "no traces are kept: nobody has asked since the table was made, TRACE_DAYS is 0, or they could not be kept \
         (then the Worker's log says why)"
    )]
    None,
    /// Written by another version.
    #[error("the trace cannot be read: {0}; use the version of docent that the bot has")]
    Unreadable(String),
    /// A call failed.
    #[error(transparent)]
    Api(ApiError),
}

impl From<ApiError> for WhyError {
    fn from(error: ApiError) -> Self {
        let missing = error.message.contains("no such table") || error.message.contains("no such column");
        if missing { Self::NoTable(error.message) } else { Self::Api(error) }
    }
}

/// What a visitor thought of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opinion {
    /// `up` or `down`.
    pub rating: String,
    /// Why, in a few words each.
    pub reasons: Vec<String>,
    /// Why, in the visitor's own words.
    pub comment: String,
}

/// A trace that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The trace.
    pub trace: Trace,
    /// What the visitor thought of the answer, if that was said.
    pub opinion: Option<Opinion>,
    /// As it is kept.
    record: Value,
}

/// As it is kept, with the rating as `feedback`.
impl Serialize for Stored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = self.record.clone();
        if let (Some(fields), Some(opinion)) = (record.as_object_mut(), &self.opinion) {
            fields.insert("feedback".to_owned(), json!(opinion));
        }
        record.serialize(serializer)
    }
}

#[derive(Deserialize)]
struct Row {
    record: String,
    rating: Option<String>,
    reasons: Option<String>,
    comment: Option<String>,
}

impl Row {
    fn read(self) -> Result<Stored, WhyError> {
        let unreadable = |error: serde_json::Error| WhyError::Unreadable(error.to_string());
        let record: Value = serde_json::from_str(&self.record).map_err(unreadable)?;
        let trace = Trace::deserialize(&record).map_err(unreadable)?;
        let opinion = self.rating.map(|rating| Opinion {
            rating,
            reasons: serde_json::from_str(&self.reasons.unwrap_or_default()).unwrap_or_default(),
            comment: self.comment.unwrap_or_default(),
        });
        Ok(Stored { trace, opinion, record })
    }
}

/// How an answer came about.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The trace.
    #[serde(flatten)]
    pub stored: Stored,
    /// Texts of the passages that were offered, by id of their chunk, if they were wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<BTreeMap<String, String>>,
    /// The page that should have answered, as it was named, and what the index has by that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<(String, Vec<Page>)>,
}

/// A page of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Path of its document.
    pub path: String,
    /// Address without anchor.
    pub url: String,
    /// How many chunks it has.
    pub chunks: usize,
    /// 1 when it was in the generation that was searched, else 0.
    pub searched: u8,
}

/// The latest questions, the last one first.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Recent(pub Vec<Stored>);

/// How the answer of this trace id or message id came about. With `texts`, also what the passages
/// said; with `page`, whether the index had a page of that path or address, or of one that has it in it.
///
/// # Errors
/// There is no such trace, or it cannot be read; in words for the operator.
pub fn explain(connection: &Connection, id: &str, texts: bool, page: Option<&str>) -> Result<Explained, WhyError> {
    let cloud = open(connection)?;
    let id = id.trim().to_ascii_lowercase();
    if trace::time_of(&id).is_none() {
        return Err(WhyError::NoId(id));
    }
    let find = |sql| -> Result<Option<Row>, WhyError> { Ok(rows(&cloud, Statement::new(sql, [&id]))?.pop()) };
    let Some(row) = find(BY_ID)?.map_or_else(|| find(BY_MESSAGE), |row| Ok(Some(row)))? else {
        return Err(missing(&cloud, id)?);
    };
    let stored = row.read()?;
    let offered = stored.trace.candidates.iter().filter(|candidate| candidate.n.is_some());
    let ids: Vec<&str> = offered.map(|candidate| candidate.id.as_str()).collect();
    let texts = texts.then(|| texts_of(&cloud, &ids)).transpose()?;
    let expected = page.map(|page| Ok::<_, WhyError>((page.to_owned(), pages(&cloud, page, stored.trace.generation)?)));
    Ok(Explained { stored, texts, expected: expected.transpose()? })
}

/// The latest `last` questions; of those, only what was refused, failed or was rated down, if
/// `unanswered`.
///
/// # Errors
/// There are no traces, or they cannot be read; in words for the operator.
pub fn recent(connection: &Connection, last: usize, unanswered: bool) -> Result<Recent, WhyError> {
    let cloud = open(connection)?;
    let sql = if unanswered { LAST_UNANSWERED } else { LAST };
    let mut found: Vec<Stored> = Vec::new();
    loop {
        // No id is beyond this one.
        let before = found.last().map_or("g", |last| last.trace.trace_id.as_str());
        let wanted = AT_ONCE.min(last - found.len());
        let more: Vec<Row> = rows(&cloud, Statement::new(sql, [&before, &wanted]))?;
        let count = more.len();
        found.extend(more.into_iter().map(Row::read).collect::<Result<Vec<_>, _>>()?);
        if count < wanted || found.len() >= last {
            break;
        }
    }
    if found.is_empty() && oldest(&cloud)?.is_none() {
        return Err(WhyError::None);
    }
    Ok(Recent(found))
}

fn open(connection: &Connection) -> Result<Cloudflare, WhyError> {
    if connection.database.is_none() {
        return Err(WhyError::NoDatabase);
    }
    Ok(Cloudflare::new(connection))
}

fn rows<T: serde::de::DeserializeOwned>(cloud: &Cloudflare, statement: Statement) -> Result<Vec<T>, WhyError> {
    Ok(cloud.sql(&[statement])?.pop().unwrap_or_default())
}

fn oldest(cloud: &Cloudflare) -> Result<Option<String>, WhyError> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    Ok(rows::<Id>(cloud, Statement::new(OLDEST, []))?.pop().map(|row| row.id))
}

/// What there is to say of an id that has no trace.
fn missing(cloud: &Cloudflare, id: String) -> Result<WhyError, WhyError> {
    let Some(oldest) = oldest(cloud)? else { return Ok(WhyError::None) };
    let (asked, since) = (trace::time_of(&id).unwrap_or_default(), trace::time_of(&oldest).unwrap_or_default());
    // An id that is not of ours, as one of a message, has any time at all.
    let plausible = asked > since.saturating_sub(Duration::from_hours(366 * 24).as_millis().try_into().unwrap_or(0));
    Ok(if asked < since && plausible {
        WhyError::Expired { id, asked: time(asked), since: time(since) }
    } else {
        WhyError::Unknown(id)
    })
}

fn texts_of(cloud: &Cloudflare, ids: &[&str]) -> Result<BTreeMap<String, String>, WhyError> {
    #[derive(Deserialize)]
    struct Chunk {
        id: String,
        text: String,
    }
    let rows: Vec<Chunk> = rows(cloud, Statement::new(TEXTS, [&json!(ids)]))?;
    Ok(rows.into_iter().map(|chunk| (chunk.id, chunk.text)).collect())
}

fn pages(cloud: &Cloudflare, named: &str, generation: u64) -> Result<Vec<Page>, WhyError> {
    let page = named.split(['#', '?']).next().unwrap_or_default();
    let found: Vec<Page> = rows(cloud, Statement::new(PAGES, [&page, &generation, &MAX_PAGES]))?;
    // A name that is exactly one page's is not a part of another's.
    let exactly = |found: &Page| found.path == page || found.url == page;
    Ok(match found.iter().find(|page| exactly(page)) {
        Some(one) => vec![one.clone()],
        None => found,
    })
}

/// A time for people, UTC.
fn time(ms: u64) -> String {
    let text = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(ms)).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}
