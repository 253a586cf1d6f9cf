//! Settings fitted to questions: on one half of them, with what they do on the other, which had no
//! part in it.
//!
//! From a run of answers with traces: `REFUSE_BELOW`, `WORDS_WEIGHT`, and from its follow-ups `CONTEXT_WEIGHT`. From
//! two runs of a search: the weights of vectors and words. A weight that is not distinguishably better
//! on the other half stays as it is.

pub mod deployment;
pub mod fusion;
pub mod split;
pub mod threshold;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::measures::{self, Measure};
use crate::questions::Question;
use crate::records::{Run, RunError};
use crate::retrieval::Weights;

use fusion::{Fitted, Listed};
use split::halves;
use threshold::{Evidence, Point, Share};

/// Fewer questions of a kind in a half say nothing worth a number.
const LEAST: usize = 5;
/// A setting that is fitted to fewer questions of a kind is not written: one question would move it.
const LEAST_TO_WRITE: usize = 20;

/// The command.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// Run of answers with traces.
    #[arg(required_unless_present = "dense")]
    run: Option<PathBuf>,
    /// Instead: run of a search by vectors, with --bm25.
    #[arg(long, value_name = "RUN", requires = "bm25", conflicts_with_all = ["run", "write"])]
    dense: Option<PathBuf>,
    /// And of the same by words.
    #[arg(long, value_name = "RUN", requires = "dense")]
    bm25: Option<PathBuf>,
    /// Deployment file that the settings are written to.
    #[arg(long, value_name = "wrangler.toml")]
    write: Option<PathBuf>,
    /// Share of the answerable questions that may be refused.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share)]
    target_false_refusals: f64,
    /// What weights are chosen by.
    #[arg(long, value_parser = measures::parse, default_value = "nDCG@10")]
    measure: Measure,
    /// Seed of the halves and the tests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write settings although they are fitted to the lexical embedder, whose cosines are not the model's.
    #[arg(long)]
    allow_lexical: bool,
    /// Print everything as JSON, the curves included.
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a number from 0 to 1".to_owned())
}

/// Why nothing was fitted.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What is in it.
    #[error("{0}")]
    Unfit(String),
}

/// What was fitted to a run.
#[derive(Debug, Serialize)]
struct Calibration {
    embedder: String,
    seed: u64,
    target_false_refusals: f64,
    /// Nothing when there are too few questions.
    threshold: Option<Threshold>,
    /// Without those for which there are too few questions.
    weights: Vec<Weight>,
    measure: String,
    /// What is missing for the rest, and what was written.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Weight {
    name: &'static str,
    #[serde(flatten)]
    fitted: Fitted,
}

#[derive(Debug, Serialize)]
struct Threshold {
    /// On the half that it was fitted to.
    fit: Point,
    fit_auroc: Option<f64>,
    /// On the other.
    report: Point,
    report_auroc: Option<f64>,
    /// On the other, by tag.
    tags: BTreeMap<String, Point>,
    /// What every threshold does to the other half.
    curve: Vec<Point>,
}

impl Calibrate {
    /// Fits, reports, and writes when told to.
    ///
    /// # Errors
    /// [`CalibrateError`], also when settings cannot be written.
    pub fn run(&self) -> Result<ExitCode, CalibrateError> {
        let calibration = match (&self.run, &self.dense, &self.bm25) {
            (Some(run), _, _) => self.answers(&Run::read(run)?)?,
            (None, Some(dense), Some(bm25)) => self.search(&Run::read(dense)?, &Run::read(bm25)?)?,
            _ => return Err(CalibrateError::Unfit("name a run of answers, or --dense and --bm25".to_owned())),
        };
        if self.json {
            crate::output::show(format_args!("{}\n", serde_json::to_string_pretty(&calibration).unwrap_or_default()));
        } else {
            crate::output::show(&calibration);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn answers(&self, run: &Run) -> Result<Calibration, CalibrateError> {
        let evidences = threshold::evidences(run);
        if evidences.is_empty() {
            let reason = "the run has no traces of questions that are known to be answerable or not: \
                          run the questions with the bot's TRACE_KEY, and say `refuse: true` or name pages";
            return Err(CalibrateError::Unfit(reason.to_owned()));
        }
        let questions: BTreeMap<&str, &Question> =
            run.records.iter().map(|record| (record.question.id.as_str(), &record.question)).collect();
        let questions: Vec<Question> = questions.into_values().cloned().collect();
        let (fit, report) = halves(&questions, self.seed);
        let mut notes = Vec::new();
        let halves = [evidences_of(&evidences, &fit), evidences_of(&evidences, &report)];
        let fitted = self.threshold(&halves);
        if fitted.is_none() {
            notes.push(too_few("REFUSE_BELOW", "questions to refuse and as many answerable ones", LEAST));
        }
        let by_words = ("WORDS_WEIGHT", "questions that name the pages that answer them, asked of a bot with D1");
        let follow_ups = ("CONTEXT_WEIGHT", "follow-ups that name the pages that answer them");
        let fitted_of = |(name, kind), listed: &[Listed], tried: &[f64], current: fn(&Listed) -> f64| {
            let fitted = self.weight(listed, listed.first().map_or(0.0, current), tried, (&fit, &report));
            fitted.map(|fitted| Weight { name, fitted }).ok_or_else(|| too_few(name, kind, LEAST))
        };
        let mut weights = Vec::new();
        for weight in [
            fitted_of(by_words, &fusion::by_words(run), &fusion::SHARES, |listed| listed.in_force.words),
            fitted_of(follow_ups, &fusion::follow_ups(run), &fusion::RATIOS, |listed| listed.in_force.context),
        ] {
            match weight {
                Ok(weight) => weights.push(weight),
                Err(note) => notes.push(note),
            }
        }
        if let Some(path) = &self.write {
            let settings = self.writable(run, &halves, fitted.as_ref(), &weights)?;
            let changes = deployment::write(path, &settings).map_err(CalibrateError::Unfit)?;
            let what = if changes.is_empty() { vec!["nothing to change".to_owned()] } else { changes };
            notes.extend(what.into_iter().map(|change| format!("{}: {change}", path.display())));
        }
        Ok(self.calibration(run, fitted, weights, notes))
    }

    fn search(&self, run: &Run, bm25: &Run) -> Result<Calibration, CalibrateError> {
        let same = run.header.questions == bm25.header.questions && run.header.corpus == bm25.header.corpus;
        if !same {
            return Err(CalibrateError::Unfit("the two runs are of different collections".to_owned()));
        }
        let listed = fusion::of_runs(run, bm25);
        let questions: Vec<Question> = listed.iter().map(|listed| listed.question.clone()).collect();
        let (fit, report) = halves(&questions, self.seed);
        let Weights { dense, bm25 } = Weights::default();
        let weight = self.weight(&listed, bm25 / dense, &fusion::RATIOS, (&fit, &report));
        let note = too_few("the weight of bm25", "questions that name the pages that answer them", LEAST);
        let setting = |weight: &Fitted| format!("as a setting: WORDS_WEIGHT = {:.2}", fusion::share_of(weight.chosen));
        let notes = vec![weight.as_ref().map_or(note, setting)];
        let weight = weight.map(|fitted| Weight { name: "weight of bm25 (dense = 1)", fitted });
        Ok(self.calibration(run, None, weight.into_iter().collect(), notes))
    }

    fn calibration(
        &self,
        run: &Run,
        threshold: Option<Threshold>,
        weights: Vec<Weight>,
        notes: Vec<String>,
    ) -> Calibration {
        Calibration {
            embedder: run.header.embedder.clone(),
            seed: self.seed,
            target_false_refusals: self.target_false_refusals,
            threshold,
            weights,
            measure: self.measure.name.clone(),
            notes,
        }
    }

    /// Nothing when a half has too few of a kind.
    fn threshold(&self, [fit, report]: &[Vec<Evidence>; 2]) -> Option<Threshold> {
        if least(fit).min(least(report)) < LEAST {
            return None;
        }
        let fitted = threshold::fit(fit, self.target_false_refusals);
        let tags: BTreeSet<&String> = report.iter().flat_map(|question| &question.tags).collect();
        let of_tag = |tag: &String| {
            let tagged: Vec<Evidence> = report.iter().filter(|question| question.tags.contains(tag)).cloned().collect();
            (tag.clone(), threshold::at(fitted.threshold, &tagged))
        };
        Some(Threshold {
            fit: fitted,
            fit_auroc: threshold::area(fit),
            report: threshold::at(fitted.threshold, report),
            report_auroc: threshold::area(report),
            tags: tags.into_iter().map(of_tag).collect(),
            curve: threshold::curve(report),
        })
    }

    fn weight(
        &self,
        listed: &[Listed],
        current: f64,
        tried: &[f64],
        (fit, report): (&[Question], &[Question]),
    ) -> Option<Fitted> {
        let of = |half: &[Question]| -> Vec<&Listed> {
            let ids: BTreeSet<&str> = half.iter().map(|question| question.id.as_str()).collect();
            listed.iter().filter(|listed| ids.contains(listed.question.id.as_str())).collect()
        };
        let (fit, report) = (of(fit), of(report));
        let enough = fit.len().min(report.len()) >= LEAST;
        enough.then(|| fusion::fit([&fit, &report], current, tried, &self.measure, self.seed))
    }

    fn writable(
        &self,
        run: &Run,
        [fit, _]: &[Vec<Evidence>; 2],
        threshold: Option<&Threshold>,
        weights: &[Weight],
    ) -> Result<Vec<(&'static str, f64)>, CalibrateError> {
        if run.header.embedder.contains("lexical") && !self.allow_lexical {
            let reason = "not written: the run's vectors are the lexical embedder's, whose cosines say nothing of the \
                          model's; calibrate on a run of the deployed bot, or pass --allow-lexical";
            return Err(CalibrateError::Unfit(reason.to_owned()));
        }
        let mut settings = Vec::new();
        match threshold {
            Some(threshold) if least(fit) >= LEAST_TO_WRITE => {
                settings.push(("REFUSE_BELOW", threshold.fit.threshold));
            }
            _ => {
                let what = "questions to refuse and as many answerable ones";
                return Err(CalibrateError::Unfit(format!(
                    "not written: {}",
                    too_few("REFUSE_BELOW", what, LEAST_TO_WRITE)
                )));
            }
        }
        #[allow(clippy::float_cmp)] // it is the same number or it is not
        let is_changed = |fitted: &Fitted| fitted.chosen != fitted.current && fitted.questions.0 >= LEAST_TO_WRITE;
        let changed = weights.iter().filter(|weight| is_changed(&weight.fitted));
        settings.extend(changed.map(|weight| (weight.name, weight.fitted.chosen)));
        Ok(settings)
    }
}

fn evidences_of(evidences: &[Evidence], half: &[Question]) -> Vec<Evidence> {
    let ids: BTreeSet<&str> = half.iter().map(|question| question.id.as_str()).collect();
    evidences.iter().filter(|evidence| ids.contains(evidence.id.as_str())).cloned().collect()
}

/// Of the kind that there are fewer of.
fn least(questions: &[Evidence]) -> usize {
    let to_refuse = questions.iter().filter(|question| question.refuse).count();
    to_refuse.min(questions.len() - to_refuse)
}

fn too_few(what: &str, kind: &str, half: usize) -> String {
    format!("too few questions to fit {what}: it takes {} {kind}, half of them to fit and half to report", 2 * half)
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(threshold) = &self.threshold {
            threshold.show(f, self.target_false_refusals, &self.embedder)?;
        }
        self.weights.iter().try_for_each(|weight| self.show_weight(f, weight))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

impl Calibration {
    fn show_weight(&self, f: &mut fmt::Formatter<'_>, Weight { name, fitted }: &Weight) -> fmt::Result {
        let Fitted { current, best, before, after, p, questions, chosen, .. } = fitted;
        let measure = &self.measure;
        writeln!(
            f,
            "{name} = {chosen}, chosen on {} questions by {measure}, reported on {} others",
            questions.0, questions.1
        )?;
        for (tried, mean) in &fitted.curve {
            writeln!(f, "  {tried:<6} {mean:.3} {}", bar(*mean))?;
        }
        let (low, high) = fitted.interval.unwrap_or((0.0, 0.0));
        let difference = after - before;
        write!(f, "  on the others: {current} {before:.3}, {best} {after:.3}; difference {difference:+.3} ")?;
        writeln!(f, "[{low:+.3}, {high:+.3}], p {p:.3}")?;
        #[allow(clippy::float_cmp)] // it is the same number or it is not
        let verdict = match (chosen == current, best == current) {
            (_, true) => "  The weight in force is the best.",
            (true, false) => "  Not told apart from the weight in force, which stays.",
            (false, _) => "  Distinguishably better than the weight in force.",
        };
        writeln!(f, "{verdict}\n")
    }
}

impl Threshold {
    fn show(&self, f: &mut fmt::Formatter<'_>, target: f64, embedder: &str) -> fmt::Result {
        writeln!(f, "REFUSE_BELOW = {}, for vectors by {embedder}", self.fit.threshold)?;
        writeln!(f, "  rule: most refused of what is to be refused, at most {:.1} % wrongly refused", target * 100.0)?;
        for (half, point, area) in
            [("fitted on", self.fit, self.fit_auroc), ("reported on", self.report, self.report_auroc)]
        {
            writeln!(f, "  {half}: {point}, AUROC {:.3}", area.unwrap_or(0.5))?;
        }
        for (tag, point) in &self.tags {
            writeln!(f, "    {tag}: {point}")?;
        }
        writeln!(f, "  threshold  refused of what is to be (#), wrongly refused (x), on the half reported on")?;
        for point in thinned(&self.curve) {
            let (right, wrong) = (point.refused.value(), point.wrongly_refused.value());
            writeln!(
                f,
                "  {:<9} {right:.2} {:<20}  {wrong:.2} {}",
                point.threshold,
                bar(right),
                bar(wrong).replace('#', "x")
            )?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A tag often has questions of one kind only.
        let shares = [("refused", &self.refused), ("wrongly refused", &self.wrongly_refused)];
        let known: Vec<String> =
            shares.iter().filter(|(_, it)| it.of > 0).map(|(what, it)| format!("{what} {it}")).collect();
        f.write_str(&known.join(", "))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, of, low, high } = self;
        write!(
            f,
            "{count} of {of} ({:.0} %, 95 % interval {:.0} to {:.0} %)",
            self.value() * 100.0,
            low * 100.0,
            high * 100.0
        )
    }
}

/// Twenty characters for 1.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share
fn bar(share: f64) -> String {
    "#".repeat((share.clamp(0.0, 1.0) * 20.0).round() as usize)
}

/// As many points as fit a screen, the first and the last among them.
fn thinned(curve: &[Point]) -> impl Iterator<Item = &Point> {
    const LINES: usize = 24;
    let step = curve.len().div_ceil(LINES).max(1);
    let last = curve.len().saturating_sub(1);
    curve.iter().enumerate().filter(move |(at, _)| at % step == 0 || *at == last).map(|(_, point)| point)
}
