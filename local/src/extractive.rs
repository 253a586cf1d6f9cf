//! Answers without a model: the sentences of the passages that say most of what was asked, with
//! their citations, word by word as a model would stream them.
//!
//! It copies and never composes, so it cannot say what the documentation does not. It cannot reason
//! either: it is there to show the bot at work, and to test everything around the model.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use docent_core::prompt::{REFUSAL, read_passages};
use docent_core::tokens;
use docent_core::workers_ai::{Message, Role, Usage};
use tokio::sync::mpsc;

use crate::answerer::{Piece, Prompt};
use crate::lexical::terms;
use crate::lookup::{self, Written};
use crate::units::{Kind, Unit, units};

/// Share of the question, by the rarity of its words, that one passage must have; below it the
/// documentation is taken not to answer.
const MIN_SUPPORT: f32 = 0.5;
/// What a word counts that only stands in the title or heading above a sentence.
const HEADING_SHARE: f32 = 0.4;
/// What a word of the question before counts, in a follow-up.
const HISTORY_SHARE: f32 = 0.4;
/// Further sentences must be this near to the best one.
const MIN_OF_BEST: f32 = 0.75;
/// Sentences of an answer, without the items and code that belong to them.
const MAX_SENTENCES: usize = 3;
/// Items of a list that an answer takes over.
const MAX_ITEMS: usize = 6;
/// Lines of code that an answer takes over.
const MAX_CODE_LINES: usize = 14;
/// Each place further down in the order of passages costs so much of a score.
const RANK_COST: f32 = 0.03;

/// The answerer, with its pace.
#[derive(Debug)]
pub(crate) struct Extractive {
    pub(crate) token_delay: Duration,
}

impl Extractive {
    /// Answers word by word.
    pub(crate) fn start(&self, prompt: Prompt) -> mpsc::Receiver<Piece> {
        let (sender, receiver) = mpsc::channel(16);
        let delay = self.token_delay;
        tokio::spawn(async move {
            let text = match lookup::written(&prompt) {
                Some(Written::Calls(calls)) => {
                    let tokens = calls.iter().map(|call| tokens::count(&call.function.arguments)).sum::<usize>();
                    let _ = sender.send(Piece::Calls(calls)).await;
                    let usage = Usage { prompt_tokens: prompt.estimated_tokens, completion_tokens: tokens as u64 };
                    let _ = sender.send(Piece::End { usage, cut_by_length: false }).await;
                    return;
                }
                Some(Written::Text(text)) => text,
                None => answer(&prompt.messages),
            };
            let mut completion_tokens = 0;
            let mut cut_by_length = false;
            for word in text.split_inclusive(char::is_whitespace) {
                let tokens = tokens::count(word).max(1) as u64;
                cut_by_length = completion_tokens + tokens > u64::from(prompt.max_tokens);
                if cut_by_length || sender.send(Piece::Text(word.to_owned())).await.is_err() {
                    break;
                }
                completion_tokens += tokens;
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
            }
            if cut_by_length {
                // A model is cut within the word; who reads the native shape knows it by this number.
                completion_tokens = u64::from(prompt.max_tokens);
            }
            let usage = Usage { prompt_tokens: prompt.estimated_tokens, completion_tokens };
            let _ = sender.send(Piece::End { usage, cut_by_length }).await;
        });
        receiver
    }
}

pub(crate) type Terms = BTreeMap<String, f32>;

/// A passage, read.
struct Read {
    n: u32,
    page: Terms,
    units: Vec<Unit>,
    unit_terms: Vec<Terms>,
}

/// A unit that may answer: where it is and how well it fits.
#[derive(Clone, Copy)]
struct Candidate {
    passage: usize,
    unit: usize,
    score: f32,
}

/// The answer to the last question of a conversation.
pub(crate) fn answer(messages: &[Message]) -> String {
    let asked = asked(messages);
    let passages: Vec<Read> = read_passages(messages)
        .into_iter()
        .map(|passage| {
            let units = units(&passage.text);
            let unit_terms = units.iter().map(|unit| terms(&unit.text)).collect();
            Read { n: passage.n, page: terms(&passage.page), units, unit_terms }
        })
        .collect();
    let supported = passages.iter().map(|passage| support(&asked, passage)).fold(0.0, f32::max);
    let chosen = if supported < MIN_SUPPORT { Vec::new() } else { choose(&asked, &passages) };
    if chosen.is_empty() {
        return REFUSAL.to_owned();
    }
    chosen.iter().filter_map(|at| render(passages.get(at.passage)?, at.unit)).collect::<Vec<_>>().join("\n\n")
}

/// The words of the question; a short follow-up is filled up from the question before.
fn asked(messages: &[Message]) -> Terms {
    let mut questions = messages.iter().rev().filter(|message| message.role == Role::User);
    let mut asked = questions.next().map(|message| terms(&message.content)).unwrap_or_default();
    if asked.len() <= 3
        && let Some(before) = questions.next()
    {
        for (term, weight) in terms(&before.content) {
            asked.entry(term).or_insert(weight * HISTORY_SHARE);
        }
    }
    asked
}

/// Share of the question that a passage has anywhere.
fn support(asked: &Terms, passage: &Read) -> f32 {
    let has = |term: &String| {
        passage.page.contains_key(term) || passage.unit_terms.iter().any(|unit| unit.contains_key(term))
    };
    share(asked, |term| if has(term) { 1.0 } else { 0.0 })
}

pub(crate) fn share(asked: &Terms, credit: impl Fn(&String) -> f32) -> f32 {
    let all: f32 = asked.values().sum();
    let found: f32 = asked.iter().map(|(term, weight)| weight * credit(term)).sum();
    if all > 0.0 { found / all } else { 0.0 }
}

/// The best units, in the order of the passages.
fn choose(asked: &Terms, passages: &[Read]) -> Vec<Candidate> {
    let weighed = weigh(asked, passages);
    let mut candidates: Vec<Candidate> = Vec::new();
    for (at, passage) in passages.iter().enumerate() {
        for (unit, unit_terms) in passage.unit_terms.iter().enumerate() {
            // Under the right heading, but about nothing that was asked: "For example:".
            if !asked.keys().any(|term| unit_terms.contains_key(term)) {
                continue;
            }
            let fit = share(&weighed, |term| match () {
                () if unit_terms.contains_key(term) => 1.0,
                () if passage.page.contains_key(term) => HEADING_SHARE,
                () => 0.0,
            });
            let score = fit
                * shape(passage.units.get(unit))
                * (1.0 - RANK_COST * f32::from(u8::try_from(at.min(20)).unwrap_or(20)));
            candidates.push(Candidate { passage: at, unit, score });
        }
    }
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let best = candidates.first().map_or(0.0, |best| best.score);
    candidates.retain(|candidate| candidate.score > 0.0 && candidate.score >= best * MIN_OF_BEST);
    let mut chosen: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        let text = |at: &Candidate| passages.get(at.passage).and_then(|passage| passage.units.get(at.unit));
        let near = |other: &Candidate| other.passage == candidate.passage && other.unit.abs_diff(candidate.unit) < 2;
        let said = chosen.iter().any(|other| near(other) || text(other) == text(&candidate));
        if !said && chosen.len() < MAX_SENTENCES {
            chosen.push(candidate);
        }
    }
    chosen
}

#[allow(clippy::cast_precision_loss)] // counts of sentences
/// Words that many units have decide little: the weight of a word falls with their share.
fn weigh(asked: &Terms, passages: &[Read]) -> Terms {
    let units: Vec<&Terms> = passages.iter().flat_map(|passage| &passage.unit_terms).collect();
    let all = units.len() as f32;
    let rarer = |(term, weight): (&String, &f32)| {
        let with = units.iter().filter(|unit| unit.contains_key(term)).count() as f32;
        (term.clone(), weight * (1.0 + (all - with + 0.5) / (with + 0.5)).ln())
    };
    asked.iter().map(rarer).collect()
}

/// Whole sentences answer best; rows and items are parts of something, and code alone says little.
fn shape(unit: Option<&Unit>) -> f32 {
    let Some(unit) = unit else { return 0.0 };
    let words = unit.text.split_whitespace().count();
    let kind = match unit.kind {
        Kind::Sentence => 1.0,
        Kind::Item | Kind::Row => 0.9,
        Kind::Code => 0.75,
    };
    let length = match words {
        0..4 => 0.6,
        4..60 => 1.0,
        _ => 0.8,
    };
    let question = if unit.text.ends_with('?') { 0.5 } else { 1.0 };
    kind * length * question
}

/// A unit with its citation, and with the list or code that it introduces.
fn render(passage: &Read, at: usize) -> Option<String> {
    let unit = passage.units.get(at)?;
    let n = passage.n;
    if unit.kind == Kind::Code {
        let lead = at.checked_sub(1).and_then(|before| passage.units.get(before));
        let lead = lead.filter(|lead| lead.kind == Kind::Sentence).map_or("Example:", |lead| lead.text.as_str());
        return Some(format!("{lead} [{n}]\n\n{}", short(&unit.text)));
    }
    let mut out = format!("{} [{n}]", unit.text);
    let following = passage.units.get(at + 1..).unwrap_or_default();
    if unit.text.ends_with(':') && following.first().is_some_and(|next| next.kind == Kind::Item) {
        for item in following.iter().take_while(|next| next.kind == Kind::Item).take(MAX_ITEMS) {
            let _ = write!(out, "\n- {} [{n}]", item.text);
        }
    } else if let Some(code) = following.first().filter(|next| next.kind == Kind::Code) {
        out.push_str("\n\n");
        out.push_str(&short(&code.text));
    }
    Some(out)
}

/// The beginning of a block of code, still fenced.
fn short(code: &str) -> String {
    let lines: Vec<&str> = code.lines().collect();
    if lines.len() <= MAX_CODE_LINES {
        return code.to_owned();
    }
    let fence = lines.last().copied().unwrap_or("```");
    let kept: Vec<&str> = lines.iter().copied().take(MAX_CODE_LINES - 1).chain([fence]).collect();
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use docent_core::chunk::chunks;
    use docent_core::document::Document;
    use docent_core::embedding::SPEC;
    use docent_core::prompt::{Passage, compose};

    use super::*;

    /// Our own documentation as passages.
    fn passages(page: &str) -> Vec<Passage> {
        let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let document = Document {
            path: page.to_owned(),
            url: "https://docs.example".to_owned(),
            title: page.to_owned(),
            description: String::new(),
            lang: String::new(),
            version: String::new(),
            product: String::new(),
            anchors: docent_core::anchors::Anchors::GitHub,
            body: std::fs::read_to_string(path).unwrap(),
        };
        let passage = |(n, chunk): (u32, docent_core::chunk::Chunk)| Passage {
            n,
            title: chunk.metadata.title,
            heading: chunk.metadata.heading,
            url: chunk.metadata.url,
            text: chunk.metadata.text,
            score: 0.5,
            version: chunk.metadata.version,
        };
        (1..).zip(chunks(&document, &SPEC)).map(passage).collect()
    }

    fn ask(passages: &[Passage], question: &str) -> String {
        answer(&compose("docent", passages, &[], question, 100_000, false).0)
    }

    #[test]
    fn an_answer_is_made_of_cited_sentences_of_the_passages() {
        let passages = passages("configuration.md");
        let known: Vec<String> = passages.iter().flat_map(|passage| units(&passage.text)).map(|u| u.text).collect();
        let answer = ask(&passages, "How long is a conversation kept after its last question?");
        assert_ne!(answer, REFUSAL);
        let cited: Vec<&str> = answer.lines().filter(|line| line.ends_with(']')).collect();
        assert!(!cited.is_empty(), "{answer}");
        for line in cited {
            let (text, citation) = line.trim_start_matches("- ").rsplit_once(" [").unwrap();
            assert!(known.iter().any(|known| known == text), "{text}");
            let n: u32 = citation.trim_end_matches(']').parse().unwrap();
            assert!(passages.iter().any(|passage| passage.n == n), "{line}");
        }
    }

    #[test]
    fn what_the_passages_do_not_answer_is_refused() {
        let passages = passages("configuration.md");
        for question in ["How do I bake sourdough bread?", "Who won the football cup in 1954?", "", "the of and"] {
            assert_eq!(ask(&passages, question), REFUSAL, "{question}");
        }
        assert_eq!(answer(&[]), REFUSAL);
    }

    #[test]
    fn a_follow_up_is_understood_by_the_question_before_it() {
        let passages = passages("configuration.md");
        let history = [docent_core::prompt::Exchange {
            question: "How long is a conversation kept after its last question?".to_owned(),
            answer: "Some.".to_owned(),
        }];
        let (messages, _) = compose("docent", &passages, &history, "and how long at least?", 100_000, false);
        assert_ne!(answer(&messages), REFUSAL);
    }

    #[test]
    fn the_code_that_a_sentence_introduces_comes_with_it() {
        let text = "Intro.\n\nTo clear the cache directory, run:\n\n```console\n$ tool cache clean\n```\n\nMore.";
        let passage = Passage { text: text.to_owned(), ..passages("configuration.md").remove(0) };
        let expected = "To clear the cache directory, run: [1]\n\n```console\n$ tool cache clean\n```";
        assert_eq!(ask(&[passage], "How do I clear the cache directory?"), expected);
    }
}
