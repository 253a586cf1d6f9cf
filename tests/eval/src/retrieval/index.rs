//! What a collection is searched in, and what its questions find there.

use std::collections::{BTreeMap, BTreeSet};

use docent_core::chunk::{self, Chunk};
use docent_core::embedding::{SPEC, Spec};
use docent_core::retrieve::{self, BY_WORDS, BY_WORDS_WITH_TEXT, Found as Bot, NEAREST, NEAREST_WITH_TEXT};
use docent_core::vectorize::{Match, Metadata};
use indicatif::{ProgressBar, ProgressStyle};

use crate::collection::Collection;
use crate::questions::Question;
use crate::records::{Found, Header, Record, Run};

use super::vectors::{Vectors, cosine};
use super::words::Words;
use super::{RetrievalError, Settings, Weights};

/// A ranking is at most this long. No measure looks further, and fusion hardly.
pub const DEPTH: usize = 100;

/// What a collection is searched in.
#[derive(Debug)]
pub struct Index {
    /// What is ranked.
    units: Vec<Unit>,
    /// Each with its unit.
    chunks: Vec<(usize, Chunk)>,
    /// Fingerprint of the embedding spec that it follows.
    pub spec: String,
}

#[derive(Debug)]
struct Unit {
    page: String,
    passage: String,
    url: String,
}

/// Units with their scores, best first.
pub type Ranking = Vec<(usize, f64)>;

/// What a search found for a question.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Units.
    pub units: Ranking,
    /// Chunks, as many as the bot asks for.
    chunks: Vec<(usize, f64)>,
}

impl Index {
    /// Cuts the pages.
    pub fn new(collection: &Collection, settings: &Settings) -> Self {
        let chunk_tokens = settings.chunk_tokens;
        let spec = Spec { chunk_tokens, max_tokens: SPEC.max_tokens.max(chunk_tokens), ..SPEC };
        let (mut units, mut chunks): (Vec<Unit>, Vec<(usize, Chunk)>) = (Vec::new(), Vec::new());
        let mut known = BTreeMap::new();
        for page in &collection.pages {
            for chunk in chunk::chunks(&page.document, &spec) {
                let anchor = if collection.has_passages { chunk.metadata.anchor.as_str() } else { "" };
                let mark = if anchor.is_empty() { "" } else { "#" };
                let passage = format!("{}{mark}{anchor}", page.name);
                let unit = *known.entry(passage.clone()).or_insert_with(|| {
                    let url = if collection.has_passages {
                        format!("{}{mark}{anchor}", page.document.url)
                    } else {
                        String::new()
                    };
                    units.push(Unit { page: page.name.clone(), passage, url });
                    units.len() - 1
                });
                chunks.push((unit, chunk));
            }
        }
        Self { units, chunks, spec: spec.fingerprint() }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// What each question finds by words.
    ///
    /// # Errors
    /// [`RetrievalError::Words`]
    pub fn by_words(&self, collection: &Collection, settings: &Settings) -> Result<Vec<Listed>, RetrievalError> {
        let words = Words::new(self.chunks.iter().map(|(_, chunk)| chunk), !settings.no_headings)?;
        let listed = |question: &Question| Ok(self.listed(words.search(&question.question)?, BY_WORDS));
        collection.questions.iter().map(listed).collect()
    }

    /// What each question finds by vectors.
    ///
    /// # Errors
    /// [`RetrievalError::Vectors`]
    pub fn by_vectors(
        &self,
        collection: &Collection,
        settings: &Settings,
        vectors: &Vectors,
    ) -> Result<Vec<Listed>, RetrievalError> {
        let text =
            |chunk: &Chunk| if settings.no_headings { chunk.metadata.text.clone() } else { chunk.text_to_embed() };
        let passages: Vec<String> = self.chunks.iter().map(|(_, chunk)| text(chunk)).collect();
        let questions: Vec<String> =
            collection.questions.iter().map(|question| format!("{}{}", settings.prefix, question.question)).collect();
        let bar = bar(passages.len() + questions.len(), &collection.name);
        let mut advance = |texts: usize| bar.inc(texts as u64);
        let passages = vectors.embed(&passages, SPEC.pooling, &mut advance)?;
        let questions = vectors.embed(&questions, &settings.query_pooling, &mut advance)?;
        bar.finish_and_clear();
        let listed = |question: &Vec<f32>| {
            let cosines = passages.iter().map(|passage| f64::from(cosine(passage, question)));
            self.listed(cosines.enumerate().collect(), NEAREST)
        };
        Ok(questions.iter().map(listed).collect())
    }

    /// The best `depth` chunks, as a service would list them, and units, each with the score of its
    /// best chunk.
    fn listed(&self, mut found: Vec<(usize, f64)>, depth: usize) -> Listed {
        let mut best = vec![f64::NEG_INFINITY; self.units.len()];
        for (chunk, score) in &found {
            let unit = self.chunks.get(*chunk).and_then(|(unit, _)| best.get_mut(*unit));
            if let Some(unit) = unit {
                *unit = unit.max(*score);
            }
        }
        let units = best.into_iter().enumerate().filter(|(_, score)| score.is_finite()).collect();
        let units = top(units, DEPTH, |unit| self.units.get(unit).map_or("", |unit| &unit.passage));
        found = top(found, depth, |chunk| self.chunks.get(chunk).map_or("", |(_, chunk)| &chunk.id));
        Listed { units, chunks: found }
    }

    /// Both lists of a question as one, by the bot's own fusion and from as much as the bot gets to see.
    pub fn fused(&self, dense: &Listed, bm25: &Listed, weights: Weights) -> Ranking {
        let matches = |listed: &Listed, with_text: usize| -> Vec<Match> {
            let found = listed.chunks.iter().enumerate().filter_map(|(rank, (chunk, score))| {
                // Texts are compared by nobody here; that there is one is what makes a chunk showable.
                let metadata = (rank < with_text).then(|| Metadata { url: chunk.to_string(), ..Metadata::default() });
                Some(Match { id: self.chunks.get(*chunk)?.1.id.clone(), score: *score, metadata })
            });
            found.collect()
        };
        let found =
            Bot { nearest: Some(matches(dense, NEAREST_WITH_TEXT)), words: Some(matches(bm25, BY_WORDS_WITH_TEXT)) };
        let mut candidates = retrieve::gather(vec![found], None);
        retrieve::fuse(&mut candidates, retrieve::Weights { words: weights.words(), context: 0.0 });
        let chunks = candidates.iter().filter_map(|candidate| candidate.url.parse::<usize>().ok());
        let mut seen = BTreeSet::new();
        let units = chunks.filter_map(|chunk| Some(self.chunks.get(chunk)?.0)).filter(|unit| seen.insert(*unit));
        // The order is all that fusion says: its ties are broken by cosines.
        (1_u32..).zip(units).map(|(rank, unit)| (unit, 1.0 / f64::from(rank))).collect()
    }

    /// Rankings as a run that can be judged.
    pub fn run(&self, collection: &Collection, rankings: &[Ranking], header: Header, top_k: usize) -> Run {
        let record = |(question, ranking): (&Question, &Ranking)| Record {
            question: question.clone(),
            ranking: ranking.iter().take(top_k).filter_map(|(unit, score)| self.found(*unit, *score)).collect(),
            ..Record::default()
        };
        Run { header, records: collection.questions.iter().zip(rankings).map(record).collect() }
    }

    /// Without texts: a file for thousands of questions would be mostly that.
    fn found(&self, unit: usize, score: f64) -> Option<Found> {
        let Unit { page, passage, url } = self.units.get(unit)?;
        let (page, passage, url) = (page.clone(), passage.clone(), url.clone());
        Some(Found { page, passage, url, score, ..Found::default() })
    }
}

/// The best of them, best first; of equals the one that is called lower comes last, as `trec_eval` has it.
fn top<'a>(mut found: Vec<(usize, f64)>, depth: usize, name: impl Fn(usize) -> &'a str) -> Vec<(usize, f64)> {
    let by_score = |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then_with(|| name(b.0).cmp(name(a.0)));
    if found.len() > depth {
        found.select_nth_unstable_by(depth, by_score);
        found.truncate(depth);
    }
    found.sort_unstable_by(by_score);
    found
}

fn bar(texts: usize, name: &str) -> ProgressBar {
    let bar = ProgressBar::new(texts as u64).with_message(name.to_owned());
    let style = ProgressStyle::with_template("{msg}: embedding {pos}/{len} {wide_bar} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
