//! Search as readers get it: docent's ingest fills an index, its Worker is asked, and what its answers
//! and their traces name is the ranking.

use std::collections::BTreeSet;
use std::path::Path;

use crate::bot::Bot;
use crate::collection::Collection;
use crate::local::{self, Local, Parts};
use crate::questions::Question;
use crate::records::{Found, Header, Record, Run};
use crate::run::asking::{Pace, Task, ask_all};
use crate::run::{LOCAL, bar};

use super::RetrievalError;

/// Questions at a time.
const CONCURRENCY: usize = 2;
/// How long one answer may take.
const TIMEOUT: std::time::Duration = std::time::Duration::from_mins(2);

/// Asks a bot over `collection` all of its questions. `docs` is the folder that it was read from, if it
/// was documentation; the pages of any other are written as Markdown first.
///
/// # Errors
/// [`RetrievalError`], also when a page did not get into the index or a question has no answer: a
/// table without them would be of another collection.
pub fn ask(
    collection: &Collection,
    docs: Option<&Path>,
    parts: &Parts,
    header: Header,
    top_k: usize,
) -> Result<Run, RetrievalError> {
    let written = tempfile::tempdir().map_err(|source| RetrievalError::Write { path: std::env::temp_dir(), source })?;
    let (docs, base_url) = if let Some(docs) = docs {
        (docs, collection.base_url.as_str())
    } else {
        write_pages(collection, written.path())?;
        (written.path(), local::BASE_URL)
    };
    let local = Local::start(parts, docs, base_url)?;
    if let Some(failure) = local.report.failed.first() {
        return Err(RetrievalError::Bot(format!("{} is not in the index: {}", failure.path, failure.reason)));
    }
    let bot = Bot::new(&local.url(), Some(local.trace_key.clone()), TIMEOUT);
    let health = bot.health().map_err(|error| RetrievalError::Bot(error.to_string()))?;
    let tasks = collection.questions.iter().map(|question| Task { question, repeat: 0 }).collect();
    let bar = bar(collection.questions.len(), 0);
    let mut records = Vec::new();
    let each = |record: Record| {
        // Else the stand-in keeps every request.
        local.cloud.clear_requests();
        bar.inc(1);
        if let Some(error) = record.error {
            return Err(RetrievalError::Bot(format!("{}: {}", record.question.id, error.message)));
        }
        records.push(record);
        Ok(())
    };
    let stopped = ask_all(&bot, base_url, tasks, &Pace::new(None), CONCURRENCY, each);
    bar.finish_and_clear();
    if let Some(reason) = stopped? {
        return Err(RetrievalError::Bot(reason));
    }
    let place = |question: &Question| collection.questions.iter().position(|other| other.id == question.id);
    records.sort_by_cached_key(|record| place(&record.question));
    // As of any search: the ranking, and neither answers nor times.
    let ranked = |Record { question, ranking: found, .. }| {
        let ranking = ranking(collection, found, top_k);
        Record { question, ranking, ..Record::default() }
    };
    let header = Header { bot: LOCAL.to_owned(), spec: health.spec, ..header };
    Ok(Run { header, records: records.into_iter().map(ranked).collect() })
}

/// Each page, or section, once, under the name that the collection has for it.
fn ranking(collection: &Collection, found: Vec<Found>, top_k: usize) -> Vec<Found> {
    let named = found.into_iter().filter_map(|found| {
        if collection.has_passages {
            return Some(Found { text: String::new(), ..found });
        }
        let page = &collection.pages.get(found.page.parse::<usize>().ok()?)?.name;
        Some(Found { page: page.clone(), passage: page.clone(), score: found.score, ..Found::default() })
    });
    let mut seen = BTreeSet::new();
    named.filter(|found| seen.insert(found.passage.clone())).take(top_k).collect()
}

/// A file for each page, called by its place: ids are no file names.
fn write_pages(collection: &Collection, folder: &Path) -> Result<(), RetrievalError> {
    for (at, page) in collection.pages.iter().enumerate() {
        let path = folder.join(format!("{at}.md"));
        // A JSON string is a YAML string.
        let title = serde_json::Value::from(page.document.title.as_str());
        let text = format!("---\ntitle: {title}\n---\n\n{}\n", page.document.body);
        std::fs::write(&path, text).map_err(|source| RetrievalError::Write { path, source })?;
    }
    Ok(())
}
