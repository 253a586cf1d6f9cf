//! From a question to passages: what is searched for, and how several result lists become one.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::Source;
use crate::full_text::{self, Hit};
use crate::generation::Retired;
use crate::prompt::{self, Exchange, Passage};
use crate::trace::{Candidate, Dropped, Shares};
use crate::vectorize::{MAX_TOP_K, MAX_TOP_K_WITH_METADATA, Match, NO_ORDINAL, page_of};
use crate::workers_ai::{Ranked, RerankContext, RerankRequest};

/// Nearest vectors that a query asks for with their texts. What is found only further down has next
/// to no chance to be among the passages.
pub const NEAREST_WITH_TEXT: usize = MAX_TOP_K_WITH_METADATA;
/// Nearest vectors that it asks for by id and score alone: evidence for their pages.
pub const NEAREST: usize = MAX_TOP_K;
/// Chunks that a query finds by words; and how many of them come with their texts.
pub const BY_WORDS: usize = 100;
/// See [`BY_WORDS`].
pub const BY_WORDS_WITH_TEXT: usize = 20;

/// What the second-best chunk of a page counts in what the page has, when the best counts the rest. A
/// page that is about the question in two places is seldom the wrong one.
const SECOND: f64 = 1.0 / 3.0;
/// A page of one chunk has no second one: as if that were so far up from the list's end to the first.
const ALONE: f64 = 0.7;

/// What being of the visitor's own page, and of its language and version, adds to a relevance. The best
/// chunk has about 1, the tenth page mostly less than .8.
const HERE: f64 = 0.1;
/// See [`HERE`].
const KIN: f64 = 0.05;

/// Most passages of one page.
const MAX_PER_PAGE: usize = 3;
/// Two texts that share so much of their words say the same.
const SAME: f64 = 0.9;
/// Most estimated tokens of a passage to which its neighbours are joined.
const MAX_JOINED_TOKENS: u32 = 700;

/// Characters of a passage that a source card shows.
const SNIPPET_CHARS: usize = 200;

/// What to search for: the question, and in a conversation also the question in the light of the
/// one before it. "And on Windows?" alone finds anything about Windows; after "How do I install
/// it?" both together find the installation page. Searching both side by side costs no model call,
/// and a change of subject still finds its pages.
pub fn queries(question: &str, history: &[Exchange]) -> Vec<String> {
    let mut queries = vec![question.to_owned()];
    if let Some(last) = history.last() {
        queries.push(format!("{}\n{question}", last.question));
    }
    queries
}

/// What one query found, each list best first; `None` where it could not be searched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// By vectors.
    pub nearest: Option<Vec<Match>>,
    /// By words and names.
    pub words: Option<Vec<Match>>,
}

/// What is nearest to each query, asked for twice: Vectorize gives few with their text, and more by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Nearest {
    /// [`NEAREST_WITH_TEXT`] of each.
    pub with_text: Vec<Vec<Match>>,
    /// [`NEAREST`] of each.
    pub by_id: Vec<Vec<Match>>,
}

/// What each of `queries` queries found: nearest to it, without what is `retired`; and with its words.
pub fn found(queries: usize, nearest: Option<Nearest>, words: Option<Vec<Vec<Hit>>>, retired: &Retired) -> Vec<Found> {
    let mut found = vec![Found::default(); queries];
    if let Some(Nearest { with_text, by_id }) = nearest {
        let mut by_id = by_id.into_iter();
        let mut with_text = with_text.into_iter();
        for found in &mut found {
            let mut list = with_text.next().unwrap_or_default();
            let known: BTreeSet<String> = list.iter().map(|found| found.id.clone()).collect();
            list.extend(by_id.next().unwrap_or_default().into_iter().filter(|found| !known.contains(&found.id)));
            list.retain(|found| !retired.contains(&found.id));
            list.sort_by(|a, b| b.score.total_cmp(&a.score));
            found.nearest = Some(list);
        }
    }
    for (found, hits) in found.iter_mut().zip(words.into_iter().flatten()) {
        found.words = Some(hits.into_iter().map(Match::from).collect());
    }
    found
}

/// A list as scores to compare with: what a chunk, or a page, has of the best one.
struct Scores<'a> {
    best: f64,
    /// Score of what is not in the list, at most.
    floor: f64,
    /// By id.
    chunks: Vec<(&'a str, f64)>,
    /// By page.
    pages: Vec<(&'a str, f64)>,
}

impl<'a> Scores<'a> {
    fn new(list: &'a [Match], floor: f64) -> Self {
        let best = list.first().map_or(0.0, |found| found.score);
        let mut chunks: Vec<(&str, f64)> = list.iter().map(|found| (found.id.as_str(), found.score)).collect();
        let mut by_page: Vec<(&str, bool, f64)> = chunks
            .iter()
            .map(|(id, score)| {
                let (page, only) = page_of(id);
                (page, only, *score)
            })
            .collect();
        by_page.sort_by(|a, b| a.0.cmp(b.0).then(b.2.total_cmp(&a.2)));
        let of_page = |chunks: &[(&'a str, bool, f64)]| {
            let (page, only, first) = *chunks.first()?;
            let second = match chunks.get(1) {
                Some((_, _, second)) => *second,
                None if only => floor + ALONE * (first - floor),
                None => floor,
            };
            Some((page, (1.0 - SECOND) * first + SECOND * second))
        };
        let pages = by_page.chunk_by(|a, b| a.0 == b.0).filter_map(of_page).collect();
        chunks.sort_by(|a, b| a.0.cmp(b.0));
        Self { best, floor, chunks, pages }
    }

    /// 0 to 1.
    fn share(&self, of: &[(&str, f64)], key: &str) -> f64 {
        let at = of.binary_search_by(|(other, _)| (*other).cmp(key)).ok();
        let score = at.and_then(|at| of.get(at)).map_or(self.floor, |(_, score)| *score);
        if self.best > 0.0 { (score / self.best).clamp(0.0, 1.0) } else { 0.0 }
    }

    fn chunk(&self, id: &str) -> f64 {
        self.share(&self.chunks, id)
    }

    fn page(&self, id: &str) -> f64 {
        self.share(&self.pages, page_of(id).0)
    }
}

/// Everything that was found and can be shown, each chunk once, with its place in the lists of each
/// query and what they say for it. What came without text is evidence for its page alone.
pub fn gather(queries: Vec<Found>, page: Option<&str>) -> Vec<Candidate> {
    let here = page.map(without_anchor);
    let count = queries.len();
    let mut candidates: BTreeMap<String, Candidate> = BTreeMap::new();
    for (query, found) in queries.iter().enumerate() {
        // Vectors first: they know more of a chunk.
        for (list, by_words) in [(&found.nearest, false), (&found.words, true)] {
            for (rank, found) in (1..).zip(list.iter().flatten()) {
                if let Some(metadata) = &found.metadata {
                    candidates.entry(found.id.clone()).or_insert_with_key(|id| Candidate {
                        id: id.clone(),
                        here: here == Some(metadata.url.as_str()),
                        kin: here.is_some_and(|here| is_kin(here, &metadata.lang, &metadata.version)),
                        url: address(metadata.url.clone(), &metadata.anchor),
                        title: metadata.title.clone(),
                        heading: metadata.heading.clone(),
                        lang: metadata.lang.clone(),
                        version: metadata.version.clone(),
                        ordinal: Some(metadata.ordinal).filter(|ordinal| *ordinal != NO_ORDINAL),
                        text: metadata.text.clone(),
                        ranks: vec![None; count],
                        scores: vec![None; count],
                        word_ranks: vec![None; count],
                        word_scores: vec![None; count],
                        shares: vec![Shares::default(); count],
                        ..Candidate::default()
                    });
                }
                let Some(candidate) = candidates.get_mut(&found.id) else { continue };
                let (ranks, scores) = if by_words {
                    (&mut candidate.word_ranks, &mut candidate.word_scores)
                } else {
                    (&mut candidate.ranks, &mut candidate.scores)
                };
                if let (Some(at), Some(score)) = (ranks.get_mut(query), scores.get_mut(query)) {
                    (*at, *score) = (Some(rank), Some(found.score));
                }
            }
        }
    }
    let mut candidates: Vec<Candidate> = candidates.into_values().collect();
    for (query, found) in queries.iter().enumerate() {
        let nearest = found.nearest.as_deref().unwrap_or_default();
        let words = found.words.as_deref().unwrap_or_default();
        let vectors = Scores::new(nearest, nearest.last().map_or(0.0, |found| found.score));
        // A list that is not full has all that has a word of the question.
        let full = words.get(BY_WORDS - 1);
        let words = Scores::new(words, full.map_or(0.0, |last| last.score));
        for candidate in &mut candidates {
            let id = candidate.id.as_str();
            // Rounded before they are used: what a trace keeps of them gives the same order again.
            let shares = Shares {
                vector: kept(vectors.chunk(id)),
                page_vector: kept(vectors.page(id)),
                words: kept(words.chunk(id)),
                page_words: kept(words.page(id)),
            };
            if let Some(slot) = candidate.shares.get_mut(query) {
                *slot = shares;
            }
        }
    }
    candidates
}

/// Whether a chunk has a language or a version, and the address of the visitor's page names it, as
/// documentation sites do: `/v2/install`, `/de/`.
fn is_kin(here: &str, lang: &str, version: &str) -> bool {
    let names = |tag: &str| tag.is_empty() || here.split('/').any(|part| part == tag);
    !(lang.is_empty() && version.is_empty()) && names(lang) && names(version)
}

/// What counts how much in [`fuse`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Words against vectors: 0 is vectors alone, 1 is words alone.
    pub words: f64,
    /// The second query, when the first counts 1.
    pub context: f64,
}

/// The weights for what could be searched: where one of the two could not, the other is all there is.
pub fn weights(found: &[Found], words: f64, context: f64) -> Weights {
    let words = match found.first() {
        Some(Found { nearest: None, .. }) => 1.0,
        Some(Found { words: None, .. }) => 0.0,
        _ => words,
    };
    Weights { words, context }
}

/// Sorts candidates, best first, by what the queries say for them and for their pages. Of equals the
/// one with the better cosine comes first, then the one with the lower id.
///
/// Scores are added as shares of the best one, and not by rank as in reciprocal rank fusion: a rank
/// forgets how far the first is ahead, and where one of two searches is much surer, adding ranks is
/// worse than that one alone. A page has what its best chunks have, by vectors and by words each; the
/// chunk that has most of both stands for it, the others as far behind as they have less.
///
/// It looks at shares, cosines, ids and the visitor's page alone, and not at the order before, so that
/// what a trace holds can be fused again by other `weights`.
pub fn fuse(candidates: &mut [Candidate], weights: Weights) {
    let each = [1.0, weights.context];
    let sum = |candidate: &Candidate, of: fn(&Shares) -> (f64, f64)| {
        let queries = candidate.shares.iter().zip(each);
        let (sum, count) = queries.fold((0.0, 0.0), |(sum, count), (shares, weight)| {
            let (vector, words) = of(shares);
            (sum + weight * ((1.0 - weights.words) * vector + weights.words * words), count + weight)
        });
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let mut best: BTreeMap<String, f64> = BTreeMap::new();
    for candidate in &mut *candidates {
        candidate.relevance = sum(candidate, |shares| (shares.vector, shares.words));
        let best = best.entry(page_of(&candidate.id).0.to_owned()).or_default();
        *best = best.max(candidate.relevance);
    }
    for candidate in &mut *candidates {
        let of_page = sum(candidate, |shares| (shares.page_vector, shares.page_words));
        let best = best.get(page_of(&candidate.id).0).copied().unwrap_or_default();
        let near = if candidate.here { HERE } else { 0.0 } + if candidate.kin { KIN } else { 0.0 };
        candidate.relevance = kept(candidate.relevance + of_page - best + near);
    }
    candidates.sort_by(|a, b| {
        let by_relevance = b.relevance.total_cmp(&a.relevance);
        by_relevance.then(b.score().total_cmp(&a.score())).then_with(|| a.id.cmp(&b.id))
    });
}

/// Candidates that a reranker reads: what it costs grows with them, and what answers is seldom further
/// down.
const RERANKED: usize = 20;

/// What a reranker is asked: the question in the light of the one before it, and the best candidates.
pub fn rerank_request(queries: &[String], candidates: &[Candidate]) -> RerankRequest {
    let text = |Candidate { title, heading, text, .. }: &Candidate| format!("{title}\n{heading}\n{text}");
    let contexts: Vec<RerankContext> =
        candidates.iter().take(RERANKED).map(|candidate| RerankContext { text: text(candidate) }).collect();
    RerankRequest { query: queries.last().cloned().unwrap_or_default(), top_k: contexts.len(), contexts }
}

/// Puts the candidates that a reranker read in its order; those that it says nothing of come after, and
/// then those that it never saw. The best score; `None` when it said nothing of use, and all stays.
pub fn rerank(candidates: &mut [Candidate], ranked: &[Ranked]) -> Option<f64> {
    let count = candidates.len().min(RERANKED);
    let seen = candidates.get_mut(..count)?;
    let is_probability = ranked.iter().all(|ranked| (0.0..=1.0).contains(&ranked.score));
    for Ranked { id, score } in ranked.iter().filter(|ranked| ranked.score.is_finite()) {
        let score = if is_probability { *score } else { 1.0 / (1.0 + (-score).exp()) };
        if let Some(candidate) = seen.get_mut(*id) {
            candidate.reranked = Some(kept(score));
        }
    }
    seen.sort_by(|a, b| b.reranked.unwrap_or(-1.0).total_cmp(&a.reranked.unwrap_or(-1.0)));
    seen.first()?.reranked
}

/// Passages that [`evidence`] looks for the question's words in.
const LOOKED_THROUGH: usize = 5;
/// What the words count in [`evidence`], when the cosine counts the rest. Fitted on questions about two
/// products' documentation, half of them of no business of it: alone, the cosine tells apart what is far
/// off, but hardly what the same company's other product is asked (AUROC .83, with the words .88).
const COVERAGE: f64 = 0.25;

/// How sure it is that the documentation speaks of the question at all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// Best cosine that anything has with any of the queries.
    pub cosine: f64,
    /// Share of a query's telling words that one of the first passages has; the best of both.
    pub coverage: f64,
}

impl Evidence {
    /// Both together, 0 to 1: what refusing is decided by.
    pub fn total(self) -> f64 {
        (1.0 - COVERAGE) * self.cosine.max(0.0) + COVERAGE * self.coverage
    }
}

/// The evidence in sorted candidates; none when nothing was found.
pub fn evidence(queries: &[String], candidates: &[Candidate]) -> Evidence {
    let cosine = candidates.iter().map(Candidate::score).reduce(f64::max).unwrap_or(0.0);
    let first = candidates.iter().take(LOOKED_THROUGH);
    let found: Vec<Vec<u64>> = first
        .map(|candidate| stems(&[&candidate.title, &candidate.heading, &candidate.text].map(String::as_str).join(" ")))
        .collect();
    let coverage = |query: &String| {
        let asked = stems(&full_text::telling_words(query).join(" "));
        let shares = found.iter().map(|found| part(&asked, found));
        shares.reduce(f64::max).unwrap_or(0.0)
    };
    let coverage = queries.iter().map(coverage).reduce(f64::max).unwrap_or(0.0);
    Evidence { cosine, coverage }
}

/// Share of the first that the second has too; 0 of nothing.
#[allow(clippy::cast_precision_loss)] // words of a question
fn part(of: &[u64], within: &[u64]) -> f64 {
    let common = of.iter().filter(|word| within.binary_search(word).is_ok()).count();
    if of.is_empty() { 0.0 } else { common as f64 / of.len() as f64 }
}

/// Letters that a word is compared by: "configured" is "configuration".
const STEM_CHARS: usize = 6;

/// The words of a text without their endings, each as a number, in order and once.
fn stems(text: &str) -> Vec<u64> {
    let stem = |word: &str| -> String {
        let word = word.to_lowercase();
        let long = word.chars().count() > 3;
        let word = word.strip_suffix('s').filter(|_| long).unwrap_or(&word);
        word.chars().take(STEM_CHARS).collect()
    };
    numbers(text, stem)
}

/// Chooses at most `top_k` passages from sorted candidates and numbers them; the candidates learn
/// their number, or why they have none. What says the same as one before it, and what comes after
/// enough of its page, makes room for others. Where a section was cut, the parts beside a passage
/// that were found too are joined to it.
pub fn passages(candidates: &mut [Candidate], top_k: usize) -> Vec<Passage> {
    let mut passages = Vec::new();
    let mut chosen: Vec<(String, String, Vec<u64>)> = Vec::new();
    for at in 0..candidates.len() {
        let Some(candidate) = candidates.get(at).filter(|candidate| candidate.n.is_none()) else { continue };
        let page = page_of(&candidate.id).0.to_owned();
        let is_full = passages.len() >= top_k;
        let words = if is_full { Vec::new() } else { words(&candidate.text) };
        let dropped = if is_full {
            Some(Dropped::Rank)
        } else if chosen.iter().any(|(_, version, others)| is_same(&words, others, *version == candidate.version)) {
            Some(Dropped::Duplicate)
        } else if chosen.iter().filter(|(other, ..)| *other == page).count() >= MAX_PER_PAGE {
            Some(Dropped::Page)
        } else {
            None
        };
        if dropped.is_none() {
            let n = u32::try_from(passages.len() + 1).unwrap_or(u32::MAX);
            chosen.push((page, candidate.version.clone(), words));
            let text = joined(candidates, at, n);
            if let Some(candidate) = candidates.get(at) {
                passages.push(passage(candidate, n, text));
            }
        } else if let Some(candidate) = candidates.get_mut(at) {
            candidate.dropped = dropped;
        }
    }
    passages
}

fn passage(candidate: &Candidate, n: u32, text: String) -> Passage {
    Passage {
        n,
        score: candidate.score(),
        title: candidate.title.clone(),
        heading: candidate.heading.clone(),
        url: candidate.url.clone(),
        text,
        version: candidate.version.clone(),
    }
}

/// Whether a passage says nothing that another does not. What differs between two versions of a page may
/// be a word, and is what matters.
fn is_same(words: &[u64], others: &[u64], is_same_version: bool) -> bool {
    if is_same_version { overlap(words, others) >= SAME } else { words == others }
}

/// The text of a candidate with the parts of the same section before and after it, as far as they were
/// found and it does not grow too long. All of them get its number.
fn joined(candidates: &mut [Candidate], at: usize, n: u32) -> String {
    let Some(candidate) = candidates.get_mut(at) else { return String::new() };
    candidate.n = Some(n);
    let (url, page) = (candidate.url.clone(), page_of(&candidate.id).0.to_owned());
    let mut text = candidate.text.clone();
    let Some(ordinal) = candidate.ordinal else { return text };
    let beside = |candidate: &&mut Candidate, ordinal: Option<u32>| {
        candidate.n.is_none()
            && candidate.ordinal.is_some()
            && candidate.ordinal == ordinal
            && candidate.url == url
            && page_of(&candidate.id).0 == page
    };
    for (ordinal, is_after) in [(ordinal.checked_sub(1), false), (ordinal.checked_add(1), true)] {
        let Some(neighbour) = candidates.iter_mut().find(|candidate| beside(candidate, ordinal)) else { continue };
        let (first, second) = if is_after { (&text, &neighbour.text) } else { (&neighbour.text, &text) };
        let both = format!("{first}\n\n{second}");
        if prompt::estimate_tokens(&both) <= MAX_JOINED_TOKENS {
            text = both;
            (neighbour.n, neighbour.dropped) = (Some(n), None);
        }
    }
    text
}

/// Most sections that an answer is followed by.
const SUGGESTED: usize = 3;

/// What to ask next: headings of sections that were found and that an answer which cites `cited` did not
/// use, those of the pages that it cites first. A heading that is a question is asked as it is; before
/// another one stands the title of its page, so that it is found again.
pub fn suggestions(candidates: &[Candidate], cited: &[u32]) -> Vec<String> {
    let is_cited = |candidate: &&Candidate| candidate.n.is_some_and(|n| cited.contains(&n));
    let sections: BTreeSet<&str> = candidates.iter().filter(is_cited).map(|cited| cited.url.as_str()).collect();
    let pages: BTreeSet<&str> = candidates.iter().filter(is_cited).map(|cited| page_of(&cited.id).0).collect();
    let (near, far): (Vec<&Candidate>, Vec<&Candidate>) = candidates
        .iter()
        .filter(|candidate| !candidate.heading.is_empty() && !sections.contains(candidate.url.as_str()))
        .partition(|candidate| pages.contains(page_of(&candidate.id).0));
    let mut suggestions: Vec<String> = Vec::new();
    for Candidate { title, heading, .. } in near.into_iter().chain(far) {
        let last = heading.rsplit(" › ").next().unwrap_or(heading);
        let asked = if last.ends_with(['?', '？', '؟']) { last.to_owned() } else { format!("{title}: {last}") };
        if suggestions.len() < SUGGESTED && !suggestions.contains(&asked) {
            suggestions.push(asked);
        }
    }
    suggestions
}

/// The words of a text, each as a number, in order and once.
fn words(text: &str) -> Vec<u64> {
    numbers(text, str::to_lowercase)
}

fn numbers(text: &str, form: impl Fn(&str) -> String) -> Vec<u64> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    // FNV-1a: a word's bytes are few, and a collision makes two words one.
    let hash = |word: String| {
        let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        word.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    };
    let mut words: Vec<u64> = words.map(form).map(hash).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// What two texts have in common of what both have.
#[allow(clippy::cast_precision_loss)] // words of a passage
fn overlap(a: &[u64], b: &[u64]) -> f64 {
    let common = a.iter().filter(|word| b.binary_search(word).is_ok()).count();
    let all = a.len() + b.len() - common;
    if all == 0 { 1.0 } else { common as f64 / all as f64 }
}

pub(crate) fn address(url: String, anchor: &str) -> String {
    if anchor.is_empty() { url } else { format!("{url}#{anchor}") }
}

/// The address of a page that a visitor reads, wherever on it that is.
pub(crate) fn without_anchor(page: &str) -> &str {
    page.split(['#', '?']).next().unwrap_or(page)
}

/// A share as a trace keeps it.
fn kept(share: f64) -> f64 {
    (share * 1_000_000.0).round() / 1_000_000.0
}

/// A score as clients get it.
pub(crate) fn rounded(score: f64) -> f64 {
    (score * 10_000.0).round() / 10_000.0
}

/// What the reader sees of a passage.
pub fn source(passage: &Passage) -> Source {
    Source {
        n: passage.n,
        title: passage.title.clone(),
        heading: passage.heading.clone(),
        url: passage.url.clone(),
        snippet: snippet(&passage.text),
        score: rounded(passage.score),
        version: passage.version.clone(),
    }
}

/// The beginning of a passage without its Markdown marks, on one line, cut at a word.
fn snippet(text: &str) -> String {
    let mut out = String::new();
    let mut left = SNIPPET_CHARS;
    for word in plain_words(text) {
        let Some(rest) = left.checked_sub(word.chars().count() + 1) else {
            out.push('…');
            break;
        };
        left = rest;
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word);
    }
    out
}

/// The words of a passage without its Markdown marks.
pub(crate) fn plain_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") || line.starts_with("~~~") || line.starts_with('#') || line.starts_with("|--") {
            continue;
        }
        for word in line.split_whitespace() {
            let word: String = unlink(word).chars().filter(|c| !matches!(c, '*' | '`' | '|')).collect();
            if !word.is_empty() {
                words.push(word);
            }
        }
    }
    words
}

/// `[text](address)` as its text, as far as one word shows it.
fn unlink(word: &str) -> String {
    match word.split_once("](") {
        Some((text, rest)) => {
            let tail = rest.split_once(')').map_or("", |(_, tail)| tail);
            format!("{}{tail}", text.trim_start_matches(['!', '[']))
        }
        None => word.trim_start_matches('[').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vectorize::Metadata;

    fn found(id: &str, url: &str, score: f64) -> Match {
        let metadata = Metadata { url: url.into(), text: format!("text of {id}"), ..Metadata::default() };
        Match { id: id.into(), score, metadata: Some(metadata) }
    }

    const WEIGHTS: Weights = Weights { words: 0.33, context: 1.0 };

    /// The passages of these queries.
    fn fused(queries: Vec<Found>, page: Option<&str>, top_k: usize) -> Vec<Passage> {
        let mut candidates = gather(queries, page);
        fuse(&mut candidates, WEIGHTS);
        passages(&mut candidates, top_k)
    }

    fn nearest(list: Vec<Match>) -> Found {
        Found { nearest: Some(list), words: None }
    }

    fn ids(passages: &[Passage]) -> Vec<&str> {
        passages.iter().map(|passage| passage.text.trim_start_matches("text of ")).collect()
    }

    #[test]
    fn a_follow_up_is_also_searched_with_the_question_before_it() {
        let history = [Exchange { question: "How do I install it?".into(), answer: "Run it.".into() }];
        assert_eq!(queries("and on Windows?", &history), ["and on Windows?", "How do I install it?\nand on Windows?"]);
        assert_eq!(queries("and on Windows?", &[]).len(), 1);
    }

    #[test]
    fn what_both_queries_find_comes_first_and_the_visitors_page_before_its_equals() {
        let a = vec![found("x", "/x", 0.9), found("both", "/b", 0.85), found("y", "/y", 0.1)];
        let b = vec![found("z", "/z", 0.6), found("both", "/b", 0.55), found("w", "/w", 0.1)];
        let one = fused(vec![nearest(a.clone()), nearest(b.clone())], None, 3);
        assert_eq!(ids(&one)[0], "both");
        assert_eq!(fused(vec![nearest(b), nearest(a.clone())], None, 3), one);
        assert_eq!(one.iter().map(|passage| passage.n).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(ids(&fused(vec![nearest(a)], Some("/b?x=1#here"), 1)), ["both"], "the visitor's page is preferred");
    }

    /// An id as the chunker makes it.
    fn id(own: u64, page: u64, only: bool) -> String {
        format!("{own:016x}{page:015x}{}", u8::from(only))
    }

    #[test]
    fn a_page_that_is_about_it_in_two_places_beats_a_single_better_chunk() {
        let list = vec![
            found(&id(1, 1, false), "/single", 0.80),
            found(&id(2, 2, false), "/twice", 0.79),
            found(&id(3, 2, false), "/twice", 0.78),
            found(&id(4, 3, false), "/last", 0.30),
        ];
        let order: Vec<String> = fused(vec![nearest(list)], None, 4).into_iter().map(|passage| passage.url).collect();
        assert_eq!(order, ["/twice", "/twice", "/single", "/last"]);
    }

    #[test]
    fn words_and_vectors_each_find_what_the_other_does_not_and_either_will_do_alone() {
        let by_vectors = vec![found("meaning", "/m", 0.8), found("far", "/f", 0.4)];
        let by_words = vec![found("name", "/n", 12.0), found("far", "/f", 1.0)];
        let both = Found { nearest: Some(by_vectors.clone()), words: Some(by_words.clone()) };
        let mut first = ids(&fused(vec![both], None, 2)).into_iter().map(str::to_owned).collect::<Vec<_>>();
        first.sort();
        assert_eq!(first, ["meaning", "name"]);
        for (found, first) in [
            (Found { nearest: Some(by_vectors), words: None }, "meaning"),
            (Found { nearest: None, words: Some(by_words) }, "name"),
        ] {
            let weights = weights(std::slice::from_ref(&found), 0.33, 1.0);
            let mut candidates = gather(vec![found], None);
            fuse(&mut candidates, weights);
            assert_eq!(candidates[0].id, first);
        }
    }

    #[test]
    fn passages_repeat_nothing_leave_room_for_other_pages_and_are_joined_where_a_section_was_cut() {
        let candidate = |own: u64, page: u64, ordinal: u32, anchor: &str, text: &str| Candidate {
            id: id(own, page, false),
            url: format!("/{page}#{anchor}"),
            ordinal: Some(ordinal),
            text: text.into(),
            ..Candidate::default()
        };
        let mut candidates = [
            candidate(1, 1, 4, "a", "second part of a"),
            candidate(2, 2, 0, "x", "Second part of A!"),
            candidate(3, 1, 3, "a", "first part"),
            candidate(4, 1, 5, "b", "another section"),
            candidate(5, 1, 9, "c", "a third section"),
            candidate(6, 1, 12, "d", "too much of this page"),
            candidate(7, 3, 0, "y", "of another page"),
            candidate(8, 4, 0, "z", "beyond the limit"),
        ];
        let passages = passages(&mut candidates, 4);
        let texts: Vec<&str> = passages.iter().map(|passage| passage.text.as_str()).collect();
        assert_eq!(texts, ["first part\n\nsecond part of a", "another section", "a third section", "of another page"]);
        let fate = candidates.iter().map(|candidate| (candidate.n, candidate.dropped));
        let expected = [
            (Some(1), None),
            (None, Some(Dropped::Duplicate)),
            (Some(1), None),
            (Some(2), None),
            (Some(3), None),
            (None, Some(Dropped::Page)),
            (Some(4), None),
            (None, Some(Dropped::Rank)),
        ];
        assert_eq!(fate.collect::<Vec<_>>(), expected);
    }

    /// A vector in the index: the generation that wrote it, and in which generations it is.
    #[derive(Debug, Clone)]
    struct Stored {
        id: String,
        written: u64,
        held: Vec<bool>,
        score: f64,
    }

    /// Any history of an index: for each vector when it is in, and how near it is to the question.
    fn history() -> impl Strategy<Value = Vec<Stored>> {
        let life = (proptest::collection::vec(any::<bool>(), 4), 0_u32..50);
        proptest::collection::vec(life, 0..60).prop_map(|lives| {
            let lives = (0_u64..).zip(lives).filter(|(_, (held, _))| held.contains(&true));
            lives
                .map(|(n, (held, score))| Stored {
                    id: format!("{:016x}{n:015x}0", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                    // Back after a pause, it is the vector that was there.
                    written: held.iter().zip(1..).find(|(held, _)| **held).map(|(_, g)| g).unwrap(),
                    held,
                    score: f64::from(score),
                })
                .collect()
        })
    }

    /// What Vectorize answers: of what the filter lets through the nearest, at most as many as asked.
    fn query(index: &[Stored], generation: u64, top_k: usize) -> Vec<Match> {
        let passed = index.iter().filter(|stored| stored.written <= generation);
        let mut matches: Vec<Match> = passed.map(|stored| found(&stored.id, "/", stored.score)).collect();
        matches.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
        matches.truncate(top_k);
        matches
    }

    proptest! {
        #[test]
        fn passages_are_of_the_live_generation_whatever_is_staged_or_retired(
            index in history(), generation in 1_u64..=4, top_k in 1_usize..=MAX_TOP_K_WITH_METADATA,
        ) {
            let is_live = |stored: &&Stored| stored.held[usize::try_from(generation).unwrap() - 1];
            let left_out: Vec<&str> = index
                .iter()
                .filter(|stored| stored.written <= generation && !is_live(stored))
                .map(|stored| stored.id.as_str())
                .collect();
            let retired = Retired::new(left_out.iter().copied());
            let with_text = vec![query(&index, generation, NEAREST_WITH_TEXT)];
            let answer = |with_text| super::found(1, Some(Nearest { with_text, by_id: vec![] }), None, &retired);
            let passages = fused(answer(with_text), None, top_k);

            let held: Vec<Stored> = index.iter().filter(is_live).cloned().collect();
            let wanted = fused(answer(vec![query(&held, generation, NEAREST_WITH_TEXT)]), None, top_k);
            if retired.len() <= NEAREST_WITH_TEXT - top_k {
                prop_assert_eq!(ids(&passages), ids(&wanted), "as if nothing else were there");
            }
            prop_assert!(ids(&passages).iter().all(|id| held.iter().any(|stored| stored.id == *id)));
        }
    }

    #[test]
    fn evidence_is_the_nearest_vector_and_how_much_of_the_question_a_passage_speaks_of() {
        let candidate = |score: f64, title: &str, text: &str| Candidate {
            scores: vec![Some(score)],
            title: title.into(),
            text: text.into(),
            ..Candidate::default()
        };
        let candidates =
            [candidate(0.5, "Caching", "Configure the cache directory."), candidate(0.6, "Poetry", "Nothing else.")];
        let of = |query: &str| evidence(&[query.to_owned()], &candidates);
        assert_eq!(of("How is the configuration of caches done?"), Evidence { cosine: 0.6, coverage: 2.0 / 3.0 });
        assert_eq!(of("Where is the cache directory configured?"), Evidence { cosine: 0.6, coverage: 1.0 });
        assert!(of("Where is the cache directory configured?").total() > of("Is poetry slow to install?").total());
        assert!(evidence(&["anything".to_owned()], &[]).total().abs() < f64::EPSILON);
    }

    #[test]
    fn a_snippet_is_plain_text() {
        let text = "## Install\n\nRun **`cargo`** as in [the guide](https://d.example/g).\n\n```sh\n$ make run\n```\n| a | b |\n|---|---|";
        assert_eq!(snippet(text), "Run cargo as in the guide. $ make run a b");
    }
}
