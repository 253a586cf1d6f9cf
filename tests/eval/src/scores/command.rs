//! `docent-eval score`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::measures::{self, Measure, UnknownMeasure};
use crate::questions::{self, Question, QuestionsError};
use crate::records::{Run, RunError};
use crate::scores::{FOLLOW_UP, ScoreOptions, score};
use crate::statistics::Resampling;

/// Computes the measures of a run.
#[derive(Debug, Args)]
pub struct Score {
    /// The run.
    run: PathBuf,
    /// Judge by what this file expects instead of what the run was asked with.
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// Only these measures, as `nDCG@10`; may be given again.
    #[arg(long = "measure", value_name = "NAME")]
    measures: Vec<String>,
    /// Only questions with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Seed of the intervals.
    #[arg(long, default_value_t = Resampling::default().seed)]
    seed: u64,
    /// How often questions are drawn again for the intervals.
    #[arg(long, value_name = "N", default_value_t = Resampling::default().resamples)]
    resamples: usize,
    /// As JSON, with the numbers of every question.
    #[arg(long)]
    json: bool,
}

/// Why there are no scores.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What is expected.
    #[error(transparent)]
    Questions(#[from] QuestionsError),
    /// A name.
    #[error(transparent)]
    Measure(#[from] UnknownMeasure),
    /// Nothing to score.
    #[error("no question of the run is left to score{0}")]
    Nothing(String),
    /// What was computed cannot be written.
    #[error("cannot write the scores: {0}")]
    Output(#[from] serde_json::Error),
}

impl Score {
    /// Computes and prints.
    ///
    /// # Errors
    /// [`ScoreError`]
    pub fn run(&self) -> Result<ExitCode, ScoreError> {
        let measures = self.measures.iter().map(|name| measures::parse(name)).collect::<Result<Vec<Measure>, _>>()?;
        let measures = if measures.is_empty() { measures::defaults() } else { measures };
        let mut run = Run::read(&self.run)?;
        if let Some(path) = &self.questions {
            judge_by(&mut run, questions::read(path)?.askable());
        }
        if let Some(tag) = &self.tag {
            run.records.retain(|record| has_tag(&record.question, tag));
        }
        if run.records.is_empty() {
            let tag = self.tag.as_ref().map(|tag| format!(": none has the tag {tag}"));
            return Err(ScoreError::Nothing(tag.unwrap_or_default()));
        }
        let resampling = Resampling { seed: self.seed, resamples: self.resamples };
        let scores = score(&run, &ScoreOptions { measures, resampling });
        if self.json {
            println!("{}", serde_json::to_string_pretty(&scores)?);
        } else {
            print!("{scores}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn has_tag(question: &Question, tag: &str) -> bool {
    question.tags.iter().any(|known| known == tag) || (tag == FOLLOW_UP && !question.turns.is_empty())
}

/// Takes what is expected from other questions, by id. Answers to what they do not have, or ask in other
/// words, are left out.
fn judge_by<'a>(run: &mut Run, questions: impl Iterator<Item = &'a Question>) {
    let by_id: BTreeMap<&str, &Question> = questions.map(|question| (question.id.as_str(), question)).collect();
    let before = run.records.len();
    run.records.retain_mut(|record| {
        let same = |it: &&&Question| it.question == record.question.question && it.turns == record.question.turns;
        let found = by_id.get(record.question.id.as_str()).filter(same);
        found.map(|question| record.question = (*question).clone()).is_some()
    });
    let left_out = before - run.records.len();
    if left_out > 0 {
        eprintln!("docent-eval: {left_out} answers are left out: the file does not have their questions");
    }
}
