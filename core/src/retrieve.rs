//! From a question to passages: what is searched for, and how several result lists become one.

use std::collections::BTreeMap;

use crate::api::Source;
use crate::generation::Retired;
use crate::prompt::{Exchange, Passage};
use crate::trace::Candidate;
use crate::vectorize::{MAX_TOP_K_WITH_METADATA, Match};

/// Constant of reciprocal rank fusion: how much less the second rank counts than the first. 60 is
/// the value of Cormack, Clarke and Büttcher (SIGIR 2009).
const RRF_K: f64 = 60.0;

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

/// How many matches to ask for, so that `top_k` are left when those of `retired` vectors are taken
/// out, as far as one query goes. Where nothing is retired, nothing more is asked for.
pub fn breadth(top_k: usize, retired: usize) -> usize {
    top_k + retired.min(MAX_TOP_K_WITH_METADATA.saturating_sub(top_k))
}

/// The lists without what is retired, at most `top_k` of each.
pub fn live(mut lists: Vec<Vec<Match>>, retired: &Retired, top_k: usize) -> Vec<Vec<Match>> {
    for list in &mut lists {
        list.retain(|found| !retired.contains(&found.id));
        list.truncate(top_k);
    }
    lists
}

/// Everything that was found, each chunk once, with its place in the result list of each query. A
/// match without metadata cannot be shown, and is no reason to fail.
pub fn gather(lists: Vec<Vec<Match>>, page: Option<&str>) -> Vec<Candidate> {
    let page = page.map(without_anchor);
    let queries = lists.len();
    let mut candidates: BTreeMap<String, Candidate> = BTreeMap::new();
    for (query, list) in lists.into_iter().enumerate() {
        for (rank, found) in (1..).zip(list) {
            let Some(metadata) = found.metadata else { continue };
            let candidate = candidates.entry(found.id).or_insert_with_key(|id| Candidate {
                id: id.clone(),
                here: page == Some(metadata.url.as_str()),
                url: address(metadata.url, &metadata.anchor),
                title: metadata.title,
                heading: metadata.heading,
                text: metadata.text,
                ranks: vec![None; queries],
                scores: vec![None; queries],
                n: None,
            });
            if let (Some(at), Some(score)) = (candidate.ranks.get_mut(query), candidate.scores.get_mut(query)) {
                (*at, *score) = (Some(rank), Some(found.score));
            }
        }
    }
    candidates.into_values().collect()
}

/// Sorts candidates, best first, by weighted reciprocal rank fusion: each list gives its weight
/// / (60 + rank). The visitor's own page counts as a list of its own of weight 1, so that of two
/// equal passages the nearer one wins. Of equals the one with the better cosine comes first, then
/// the one with the lower id.
///
/// It looks at ranks, scores, ids and `here` alone, and not at the order before, so that what a
/// trace holds can be fused again by other `weights`: one a query, in the order of the queries.
pub fn fuse(candidates: &mut [Candidate], weights: &[f64]) {
    let gain = |candidate: &Candidate| {
        let ranks = candidate.ranks.iter().zip(weights);
        let gains = ranks.map(|(rank, weight)| rank.map_or(0.0, |rank| weight / (RRF_K + f64::from(rank))));
        gains.sum::<f64>() + if candidate.here { 1.0 / (RRF_K + 1.0) } else { 0.0 }
    };
    candidates.sort_by(|a, b| {
        gain(b).total_cmp(&gain(a)).then(b.score().total_cmp(&a.score())).then_with(|| a.id.cmp(&b.id))
    });
}

/// The best cosine that anything has with any of the queries: how sure it is that the documentation
/// speaks of the question at all. 0 when nothing was found.
pub fn evidence(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(Candidate::score).reduce(f64::max).unwrap_or(0.0)
}

/// Numbers the first `top_k` candidates as passages.
pub fn passages(candidates: impl IntoIterator<Item = Candidate>, top_k: usize) -> Vec<Passage> {
    let passage = |(n, candidate): (u32, Candidate)| Passage {
        n,
        score: candidate.score(),
        title: candidate.title,
        heading: candidate.heading,
        url: candidate.url,
        text: candidate.text,
    };
    (1..).zip(candidates.into_iter().take(top_k)).map(passage).collect()
}

pub(crate) fn address(url: String, anchor: &str) -> String {
    if anchor.is_empty() { url } else { format!("{url}#{anchor}") }
}

/// The address of a page that a visitor reads, wherever on it that is.
pub(crate) fn without_anchor(page: &str) -> &str {
    page.split(['#', '?']).next().unwrap_or(page)
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

    /// The passages of all lists, each of the same weight.
    fn fused(lists: Vec<Vec<Match>>, page: Option<&str>, top_k: usize) -> Vec<Passage> {
        let mut candidates = gather(lists, page);
        fuse(&mut candidates, &[1.0, 1.0]);
        passages(candidates, top_k)
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
    fn what_both_lists_find_comes_first_and_the_order_does_not_depend_on_the_lists() {
        let a = vec![found("x", "/x", 0.9), found("both", "/b", 0.8), found("y", "/y", 0.7)];
        let b = vec![found("z", "/z", 0.6), found("both", "/b", 0.5)];
        let one = fused(vec![a.clone(), b.clone()], None, 3);
        assert_eq!(ids(&one), ["both", "x", "z"]);
        assert_eq!(fused(vec![b, a.clone()], None, 3), one);
        assert_eq!(one.iter().map(|passage| passage.n).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(ids(&fused(vec![a], Some("/y?x=1#here"), 1)), ["y"], "the visitor's page is preferred");
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
                    id: format!("{:016x}{n:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
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
            let asked = breadth(top_k, retired.len());
            prop_assert!(asked <= MAX_TOP_K_WITH_METADATA && (asked == top_k || !retired.is_empty()));

            let answer = live(vec![query(&index, generation, asked)], &retired, top_k);
            let passages = fused(answer, None, top_k);

            let held: Vec<Stored> = index.iter().filter(is_live).cloned().collect();
            let wanted = fused(vec![query(&held, generation, top_k)], None, top_k);
            if retired.len() <= MAX_TOP_K_WITH_METADATA - top_k {
                prop_assert_eq!(ids(&passages), ids(&wanted), "as if nothing else were there");
            }
            prop_assert!(ids(&passages).iter().all(|id| held.iter().any(|stored| stored.id == *id)));
        }
    }

    #[test]
    fn a_snippet_is_plain_text() {
        let text = "## Install\n\nRun **`cargo`** as in [the guide](https://d.example/g).\n\n```sh\n$ make run\n```\n| a | b |\n|---|---|";
        assert_eq!(snippet(text), "Run cargo as in the guide. $ make run a b");
    }
}
