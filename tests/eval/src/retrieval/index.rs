//! What a collection is searched in, and what its questions find there.

use std::collections::BTreeMap;

use docent_core::chunk::{self, Chunk};
use docent_core::embedding::{SPEC, Spec};
use docent_core::retrieve;
use docent_core::trace::Candidate;
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
    /// Units by passage.
    known: BTreeMap<String, usize>,
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

impl Index {
    /// Cuts the pages.
    pub fn new(collection: &Collection, settings: &Settings) -> Self {
        let spec = Spec { max_tokens: settings.chunk_tokens, ..SPEC };
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
        Self { units, chunks, known, spec: spec.fingerprint() }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// What each question finds by words.
    ///
    /// # Errors
    /// [`RetrievalError::Words`]
    pub fn by_words(&self, collection: &Collection, settings: &Settings) -> Result<Vec<Ranking>, RetrievalError> {
        let words = Words::new(self.chunks.iter().map(|(_, chunk)| chunk), !settings.no_headings)?;
        let ranking = |found: Vec<(usize, f64)>| self.ranking(found.into_iter());
        collection.questions.iter().map(|question| Ok(ranking(words.search(&question.question)?))).collect()
    }

    /// What each question finds by vectors.
    ///
    /// # Errors
    /// [`RetrievalError::Vectors`]
    pub fn by_vectors(
        &self,
        collection: &Collection,
        settings: &Settings,
        vectors: &mut Vectors,
    ) -> Result<Vec<Ranking>, RetrievalError> {
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
        let ranking = |question: &Vec<f32>| {
            self.ranking(passages.iter().map(|passage| f64::from(cosine(passage, question))).enumerate())
        };
        Ok(questions.iter().map(ranking).collect())
    }

    /// Chunks to units, each with the score of its best chunk.
    fn ranking(&self, found: impl Iterator<Item = (usize, f64)>) -> Ranking {
        let mut best = vec![f64::NEG_INFINITY; self.units.len()];
        for (chunk, score) in found {
            let unit = self.chunks.get(chunk).and_then(|(unit, _)| best.get_mut(*unit));
            if let Some(unit) = unit {
                *unit = unit.max(score);
            }
        }
        let mut ranking: Ranking = best.into_iter().enumerate().filter(|(_, score)| score.is_finite()).collect();
        let by_score =
            |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then_with(|| self.name(b.0).cmp(self.name(a.0)));
        if ranking.len() > DEPTH {
            ranking.select_nth_unstable_by(DEPTH, by_score);
            ranking.truncate(DEPTH);
        }
        ranking.sort_unstable_by(by_score);
        ranking
    }

    fn name(&self, unit: usize) -> &str {
        self.units.get(unit).map_or("", |unit| &unit.passage)
    }

    /// Both lists of a question as one, by the bot's own fusion.
    pub fn fused(&self, dense: &Ranking, bm25: &Ranking, weights: Weights) -> Ranking {
        let mut candidates: BTreeMap<usize, Candidate> = BTreeMap::new();
        for (list, ranking) in [dense, bm25].into_iter().enumerate() {
            for (rank, (unit, score)) in (1..).zip(ranking) {
                let candidate = candidates.entry(*unit).or_insert_with(|| Candidate {
                    id: self.name(*unit).to_owned(),
                    ranks: vec![None; 2],
                    scores: vec![None; 2],
                    ..Candidate::default()
                });
                if let (Some(at), Some(known)) = (candidate.ranks.get_mut(list), candidate.scores.get_mut(list)) {
                    // Ties are broken by the better cosine, and BM25 is none.
                    (*at, *known) = (Some(rank), (list == 0).then_some(*score));
                }
            }
        }
        let mut candidates: Vec<Candidate> = candidates.into_values().collect();
        retrieve::fuse(&mut candidates, &[weights.dense, weights.bm25]);
        let units = candidates.iter().filter_map(|candidate| Some(*self.known.get(&candidate.id)?));
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

fn bar(texts: usize, name: &str) -> ProgressBar {
    let bar = ProgressBar::new(texts as u64).with_message(name.to_owned());
    let style = ProgressStyle::with_template("{msg}: embedding {pos}/{len} {wide_bar} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
