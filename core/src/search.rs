//! Search without a model: what a visitor types finds the sections that have it, while it is being
//! typed. Nothing is embedded and nothing is written, so an answer costs one call of the database.
//!
//! What is found is decided in [`crate::full_text`]. Here a request is read, and of each section that
//! was found the place is shown that has most of what was asked for.

use std::pin::pin;

use futures_util::future::{Either, select};
use serde::Serialize;

use crate::error::{ApiError, Code};
use crate::full_text::{self, END_OF_MARK, Hit, MARK};
use crate::generation::Store;
use crate::policy;
use crate::ports::{Content, Fault, Host, Lexical, log};
use crate::retrieve;
use crate::vectorize::Filter;

/// Longest text to search for, characters: an error message with its stack.
const MAX_CHARS: usize = 1_000;
/// Longest value of another parameter, bytes.
const MAX_FIELD_BYTES: usize = 1_024;
/// Most results.
const MAX_RESULTS: usize = 20;
/// Results where the request names no number: a list that is seen without scrolling.
const RESULTS: usize = 8;
/// How long the database is waited for, milliseconds. Whoever types has typed on by then.
const PATIENCE_MS: u64 = 5_000;

/// Longest snippet, characters.
const SNIPPET_CHARS: usize = 200;
/// Characters that a snippet shows before the first of its words that were found.
const LEAD_CHARS: usize = 40;
/// A word is cut where it is longer, characters: a text without blanks is one word.
const MAX_WORD_CHARS: usize = 40;
/// Places of a text that are compared. Of one that has a word more often, any will do.
const MAX_PLACES: usize = 50;

/// Seconds for which a browser may show a list again without asking: while a visitor types and takes
/// letters back.
pub const FRESH_SECONDS: u64 = 60;

/// What was found; no results when nothing was.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Results {
    /// Best first.
    pub results: Vec<Found>,
}

/// A section that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Its place, from 1.
    pub n: u32,
    /// Page title.
    pub title: String,
    /// Heading trail below the title; may be empty.
    pub heading: String,
    /// Address with anchor.
    pub url: String,
    /// The part of the section that has most of what was asked for, as plain text.
    pub snippet: String,
    /// Where in the snippet words were found: from and up to, in UTF-16 units as JavaScript counts.
    pub highlights: Vec<[usize; 2]>,
    /// BM25: comparable within one list alone.
    pub score: f64,
}

/// The query of a request, read.
#[derive(Debug, Default)]
struct Asked {
    text: Option<String>,
    limit: Option<usize>,
    filter: Filter,
    page: Option<String>,
}

/// Answers a search, given as the query of an address: `q=…&limit=8`.
///
/// # Errors
/// What the client is told: the query makes no sense, or the database is missing, empty or fails.
pub async fn search(ports: &(impl Lexical + Content + Host), query: &str, trace_id: &str) -> Result<Results, ApiError> {
    let Asked { text, limit, filter, page } = Asked::parse(query)?;
    let text = text.ok_or_else(|| unprocessable("say what to search for: q"))?;
    let typed = full_text::typed(&text);
    if typed == full_text::Typed::default() {
        return Ok(Results::default());
    }
    let search = full_text::Search { typed, filter, page, limit: limit.unwrap_or(RESULTS) };
    let found = match select(pin!(ports.sections(&search)), pin!(ports.sleep(PATIENCE_MS))).await {
        Either::Left((found, _)) => found,
        Either::Right(_) => Err(Fault::TimedOut { service: "D1", ms: PATIENCE_MS }),
    };
    let failed = |fault: Fault| {
        log(ports, trace_id, "search", &fault);
        tell(&fault, ports.now_ms())
    };
    let hits = found.map_err(failed)?;
    // That nothing was found may be because nothing is there.
    if hits.is_empty() && ports.record(Store::Database).await.map_err(failed)?.is_none() {
        return Err(ApiError::new(Code::NotReady, "nothing has been ingested yet: run `docent ingest`"));
    }
    Ok(Results { results: (1..).zip(hits).map(|(n, hit)| Found::of(n, hit)).collect() })
}

fn tell(fault: &Fault, now_ms: u64) -> ApiError {
    match fault {
        Fault::NoBinding("CONTENT") => ApiError::new(
            Code::NotReady,
            "this bot cannot search without a model: it has no CONTENT database; its operator binds one and ingests again",
        ),
        Fault::D1(message) if message.contains("no such table") => ApiError::new(
            Code::NotReady,
            "this bot's database lacks the tables to search in; \
             its operator runs `npx wrangler d1 migrations apply CONTENT --remote`",
        ),
        Fault::TimedOut { .. } => ApiError::new(Code::Upstream, "the search took too long; try again"),
        _ => policy::tell(fault, now_ms),
    }
}

fn unprocessable(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::Unprocessable, message)
}

impl Asked {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let most = if name == "q" { MAX_CHARS } else { MAX_FIELD_BYTES };
            if value.chars().count() > most {
                return Err(ApiError::new(Code::TooLarge, format!("{name} is longer than {most} characters")));
            }
            // A form sends its empty fields, too.
            let given = Some(value.trim()).filter(|value| !value.is_empty()).map(str::to_owned);
            match &*name {
                "q" => asked.text = Some(value.into_owned()),
                "limit" => asked.limit = given.map(|limit| parse_limit(&limit)).transpose()?,
                "lang" => asked.filter.lang = given,
                "version" => asked.filter.version = given,
                "product" => asked.filter.product = given,
                "page" => asked.page = given.map(|page| retrieve::without_anchor(&page).to_owned()),
                _ => {
                    let name: String = name.chars().take(MAX_WORD_CHARS).collect();
                    let text = format!("a search has no {name}; it has q, limit, lang, version, product and page");
                    return Err(ApiError::new(Code::BadRequest, text));
                }
            }
        }
        Ok(asked)
    }
}

fn parse_limit(limit: &str) -> Result<usize, ApiError> {
    let limit = limit.parse().ok().filter(|limit| (1..=MAX_RESULTS).contains(limit));
    limit.ok_or_else(|| unprocessable(format!("limit is a number from 1 to {MAX_RESULTS}")))
}

impl Found {
    fn of(n: u32, hit: Hit) -> Self {
        let (snippet, highlights) = snippet(&hit.text);
        Self {
            n,
            snippet,
            highlights,
            score: retrieve::rounded(hit.score),
            url: retrieve::address(hit.url, &hit.anchor),
            title: hit.title,
            heading: hit.heading,
        }
    }
}

/// A character of a text, and whether it is part of what was found.
type Marked = (char, bool);

/// The part of a marked text that has most of what was found, and where in it that is.
fn snippet(text: &str) -> (String, Vec<[usize; 2]>) {
    let mut text = marked(text);
    let (from, to) = window(&text);
    join(&mut text);
    let mut snippet = String::new();
    let mut highlights: Vec<[usize; 2]> = Vec::new();
    let mut units = 0;
    let mut inside = false;
    let cut = |at: bool| at.then_some(('…', false));
    let shown = text.get(from..to).unwrap_or_default().iter().copied();
    for (c, found) in cut(from > 0).into_iter().chain(shown).chain(cut(to < text.len())) {
        match highlights.last_mut() {
            Some([_, end]) if found && inside => *end = units + c.len_utf16(),
            _ if found => highlights.push([units, units + c.len_utf16()]),
            _ => {}
        }
        inside = found;
        snippet.push(c);
        units += c.len_utf16();
    }
    (snippet, highlights)
}

/// The text without its Markdown, on one line.
fn marked(text: &str) -> Vec<Marked> {
    let mut out: Vec<Marked> = Vec::new();
    for word in retrieve::plain_words(text) {
        if !out.is_empty() {
            out.push((' ', false));
        }
        // A mark ends with its word: the other one may have been in an address that is not shown.
        let mut found = false;
        for c in word.chars() {
            match c {
                MARK => found = true,
                END_OF_MARK => found = false,
                _ => out.push((c, found)),
            }
        }
    }
    out
}

/// What stands between two words that were found and belongs to both is found as well: `max_top_k` is
/// one name.
fn join(text: &mut [Marked]) {
    let joins = |three: &[Marked]| match three {
        [(_, true), (between, _), (_, true)] => !between.is_alphanumeric() && !between.is_whitespace(),
        _ => false,
    };
    let between: Vec<bool> = text.windows(3).map(joins).collect();
    for ((_, found), joins) in text.iter_mut().skip(1).zip(between) {
        *found |= joins;
    }
}

/// From where up to where a text is shown.
fn window(text: &[Marked]) -> (usize, usize) {
    if text.len() <= SNIPPET_CHARS {
        return (0, text.len());
    }
    let places = places(text);
    let starts = places.iter().map(|place| start(text, place.from));
    let mut best = (0, 0, 0);
    for from in std::iter::once(0).chain(starts) {
        let within = places.iter().filter(|place| place.from >= from && place.to <= from + SNIPPET_CHARS);
        // A name that was found whole tells more than one of its words.
        let (mut seen, mut letters, mut count) = (Vec::new(), 0, 0);
        for place in within {
            count += 1;
            if !seen.contains(&&place.word) {
                seen.push(&place.word);
                letters += place.to - place.from;
            }
        }
        if (letters, count) > (best.0, best.1) {
            best = (letters, count, from);
        }
    }
    let from = best.2;
    let most = (from + SNIPPET_CHARS).min(text.len());
    (from, if most < text.len() { end(text, most) } else { most })
}

/// Something that was found.
struct Place {
    from: usize,
    to: usize,
    word: String,
}

fn places(text: &[Marked]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (at, (c, _)) in text.iter().enumerate().filter(|(_, (_, found))| *found) {
        let full = places.len() == MAX_PLACES;
        match places.last_mut() {
            Some(place) if place.to == at => {
                place.to = at + 1;
                place.word.push(c.to_ascii_lowercase());
            }
            _ if full => break,
            _ => places.push(Place { from: at, to: at + 1, word: c.to_ascii_lowercase().into() }),
        }
    }
    places
}

/// Where to begin so that a place is seen with what comes before it: at a word, and not so late that
/// the text ends early.
fn start(text: &[Marked], place: usize) -> usize {
    let earliest = place.saturating_sub(LEAD_CHARS).min(text.len().saturating_sub(SNIPPET_CHARS));
    let ahead = text.iter().skip(earliest).take(place - earliest);
    match ahead.clone().position(|(c, _)| *c == ' ') {
        Some(blank) if earliest > 0 => earliest + blank + 1,
        _ => earliest,
    }
}

/// Where to end at the latest, before a word that would be cut.
fn end(text: &[Marked], most: usize) -> usize {
    let back = text.iter().take(most + 1).rev().take(MAX_WORD_CHARS);
    back.clone().position(|(c, _)| *c == ' ').map_or(most, |blank| most - blank)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is highlighted, as a client cuts it out.
    fn cut(snippet: &str, highlights: &[[usize; 2]]) -> Vec<String> {
        let units: Vec<u16> = snippet.encode_utf16().collect();
        highlights.iter().map(|[from, to]| String::from_utf16(&units[*from..*to]).unwrap()).collect()
    }

    fn mark(text: &str) -> String {
        text.replace('[', &MARK.to_string()).replace(']', &END_OF_MARK.to_string())
    }

    #[test]
    fn a_query_is_read_strictly() {
        let asked = Asked::parse("q=caf%C3%A9+%26+more&limit=3&lang=en&version=&page=https://d/x%23a").unwrap();
        assert_eq!((asked.text.as_deref(), asked.limit), (Some("café & more"), Some(3)));
        assert_eq!((asked.filter.lang.as_deref(), asked.filter.version), (Some("en"), None));
        assert_eq!(asked.page.as_deref(), Some("https://d/x"));
        let code = |query: &str| Asked::parse(query).unwrap_err().code;
        assert_eq!([code("limit=0"), code("limit=21"), code("limit=x")], [Code::Unprocessable; 3]);
        assert_eq!(code(&format!("q={}", "x".repeat(MAX_CHARS + 1))), Code::TooLarge);
        assert!(Asked::parse("q=x&limt=3").unwrap_err().message.contains("limt"));
    }

    #[test]
    fn the_snippet_shows_where_most_was_found_and_names_as_one() {
        let filler = "nothing of it here ".repeat(30);
        let text = mark(&format!("[max] {filler}\n```\n# {filler}\n| 😀 Set [max]_[top]_[k] (an [index]) {filler}"));
        let (snippet, highlights) = snippet(&text);
        assert!(snippet.starts_with('…') && snippet.ends_with('…') && snippet.chars().count() <= 202, "{snippet}");
        assert_eq!(cut(&snippet, &highlights), ["max_top_k", "index"]);
        assert!(snippet.contains("😀 Set max_top_k (an index) nothing"), "{snippet}");
    }

    #[test]
    fn text_without_blanks_is_cut_where_it_was_found() {
        let (snippet, highlights) = snippet(&mark(&format!("{}[設定]{}", "文".repeat(300), "字".repeat(300))));
        assert_eq!(cut(&snippet, &highlights), ["設定"]);
        assert!(snippet.chars().count() <= 202, "{snippet}");
    }

    proptest! {
        #[test]
        fn highlights_lie_within_the_snippet_between_characters(text in "([\u{FDD0}\u{FDD1} a_😀e\u{301}\\](`#\n]|設|ü|word|http){0,400}") {
            let (snippet, highlights) = snippet(&text);
            prop_assert!(snippet.chars().count() <= SNIPPET_CHARS + 2);
            prop_assert!(!snippet.contains([MARK, END_OF_MARK]));
            let length = snippet.encode_utf16().count();
            let mut last = 0;
            for [from, to] in &highlights {
                prop_assert!(last <= *from && from < to && *to <= length);
                last = *to;
            }
            prop_assert!(cut(&snippet, &highlights).iter().all(|found| !found.contains('…')));
        }
    }
}
