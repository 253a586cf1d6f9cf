//! Search under many settings: one table, best first, that says which of its rows really differ.
//!
//! The best of many rows is partly the luckiest. So every row has its interval and is tested against
//! the best one by a paired test, whose p is multiplied by the number of tests (Bonferroni); what is
//! not told apart that way is marked. `--split` ranks rows on one half of the questions and gives
//! their numbers on the other, which had no part in choosing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum as _};
use serde::Serialize;

use crate::calibrate::split::halves;
use crate::collection::Collection;
use crate::measures::{self, Better, Measure};
use crate::records::Run;
use crate::retrieval::index::{DEPTH, Index};
use crate::retrieval::{BGE_INSTRUCTION, Corpora, Lists, RetrievalError, Settings, System, Weights, header};
use crate::scores::{self, Estimate, ScoreOptions, Scores};
use crate::statistics::paired_p;

/// A grid with more runs is refused: it would take hours, and find luck.
const MAX_RUNS: usize = 500;
/// A difference that chance makes in fewer than one of twenty cases counts as one.
const ALPHA: f64 = 0.05;

/// The command.
#[derive(Debug, Args)]
pub struct Sweep {
    #[command(flatten)]
    corpora: Corpora,
    /// A setting and the values to try: chunk-tokens=128,256,512 · top-k=5,20 · fusion=dense,bm25,hybrid,hybrid:dense=2 ·
    /// prefix=none,bge · headings=on,off · query-pooling=cls,mean.
    #[arg(long = "set", value_name = "NAME=VALUE,…", required = true)]
    sets: Vec<String>,
    /// What rows are ranked by.
    #[arg(long, value_parser = measures::parse, default_value = "nDCG@10")]
    measure: Measure,
    /// Rank on one half of the questions, and give the numbers of the other.
    #[arg(long)]
    split: bool,
    /// Seed of the halves, the intervals and the tests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the tables as JSON.
    #[arg(long)]
    json: bool,
    /// Write the tables to a file for a spreadsheet.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// One point of the grid.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    settings: Settings,
    system: System,
    weights: Weights,
    top_k: usize,
    /// What was set, as it was written.
    written: BTreeMap<String, String>,
}

impl Default for Point {
    fn default() -> Self {
        let (settings, weights) = (Settings::default(), Weights::default());
        Self { settings, system: System::Hybrid, weights, top_k: DEPTH, written: BTreeMap::new() }
    }
}

impl Point {
    /// The same with one setting as written.
    fn with(&self, name: &str, value: &str) -> Result<Self, String> {
        let mut point = self.clone();
        let number = |least: usize, most: usize| {
            let number = value.parse().ok().filter(|number| (least..=most).contains(number));
            number.ok_or_else(|| format!("--set {name}: {value} is no whole number from {least} to {most}"))
        };
        let one_of = |known: [&str; 2]| {
            let place = known.iter().position(|known| *known == value);
            place.ok_or_else(|| format!("--set {name}: {value} is neither {} nor {}", known[0], known[1]))
        };
        match name {
            "chunk-tokens" => point.settings.chunk_tokens = number(32, 8_192)?,
            "top-k" => point.top_k = number(1, DEPTH)?,
            "headings" => point.settings.no_headings = one_of(["on", "off"])? == 1,
            "query-pooling" => {
                one_of(["cls", "mean"])?;
                value.clone_into(&mut point.settings.query_pooling);
            }
            "prefix" => {
                point.settings.prefix =
                    if one_of(["none", "bge"])? == 0 { String::new() } else { BGE_INSTRUCTION.to_owned() };
            }
            "fusion" => (point.system, point.weights) = fusion(value)?,
            _ => {
                return Err(format!(
                    "--set {name}: there is no such setting; there are chunk-tokens, top-k, fusion, prefix, headings \
                     and query-pooling"
                ));
            }
        }
        point.written.insert(name.to_owned(), value.to_owned());
        Ok(point)
    }
}

/// `dense`, `bm25`, `hybrid`, or `hybrid:dense=2:bm25=1`.
fn fusion(value: &str) -> Result<(System, Weights), String> {
    let mut parts = value.split(':');
    let system = parts.next().and_then(|name| System::from_str(name, false).ok());
    let system = system.ok_or_else(|| format!("--set fusion: {value} is none of dense, bm25 and hybrid"))?;
    let mut weights = Weights::default();
    for part in parts {
        let (system, weight) = crate::retrieval::weight(part).map_err(|why| format!("--set fusion: {part}: {why}"))?;
        weights.set(system, weight);
    }
    Ok((system, weights))
}

/// Every value of each setting with every value of the others.
fn grid(sets: &[String]) -> Result<Vec<Point>, String> {
    let mut points = vec![Point::default()];
    for set in sets {
        let (name, values) = set.split_once('=').ok_or_else(|| format!("--set {set}: written as top-k=5,20"))?;
        let values: Vec<&str> = values.split(',').collect();
        let extended = points.iter().flat_map(|point| values.iter().map(|value| point.with(name, value)));
        points = extended.collect::<Result<_, _>>()?;
        if points.len() > MAX_RUNS {
            return Err(format!("more than {MAX_RUNS} runs: try fewer values at once"));
        }
    }
    // Runs with the same chunks follow each other, and so do those with the same vectors.
    points.sort_by(|a, b| a.settings.cmp(&b.settings));
    Ok(points)
}

/// The table of one collection.
#[derive(Debug, Serialize)]
struct Table {
    collection: String,
    measure: String,
    /// Whether rows were ranked on other questions than their numbers are of.
    split: bool,
    rows: Vec<Row>,
}

/// One row of it.
#[derive(Debug, Serialize)]
struct Row {
    settings: BTreeMap<String, String>,
    estimate: Estimate,
    /// Against the first row: the mean difference of the questions.
    difference: f64,
    /// Of the paired test, times the number of tests; 1 for the first row itself.
    p: f64,
    /// Whether it cannot be told from the first row.
    within_noise: bool,
}

impl Sweep {
    /// Runs the grid over every collection.
    ///
    /// # Errors
    /// [`RetrievalError`]
    pub fn run(&self) -> Result<ExitCode, RetrievalError> {
        let points = grid(&self.sets).map_err(RetrievalError::Usage)?;
        let collections = self.corpora.read()?;
        eprintln!(
            "{} settings on {} collections: {} runs",
            points.len(),
            collections.len(),
            points.len() * collections.len()
        );
        let mut tables = Vec::new();
        for collection in &collections {
            let table = self.table(collection, &points)?;
            if !self.json {
                crate::output::show(&table);
            }
            tables.push(table);
        }
        if self.json {
            crate::output::show(format_args!("{}\n", serde_json::to_string_pretty(&tables).unwrap_or_default()));
        }
        if let Some(path) = &self.csv {
            let failed = |error: csv::Error| RetrievalError::Write { path: path.clone(), source: error.into() };
            write_csv(path, &tables).map_err(failed)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn table(&self, collection: &Collection, points: &[Point]) -> Result<Table, RetrievalError> {
        let vectors = self.corpora.vectors()?;
        let mut runs: Vec<(Point, Run)> = Vec::new();
        for alike in points.chunk_by(|a, b| a.settings == b.settings) {
            let Some(Point { settings, .. }) = alike.first() else { continue };
            let index = Index::new(collection, settings);
            let systems: Vec<System> = alike.iter().map(|point| point.system).collect();
            let lists = Lists::search(&index, collection, settings, &systems, &vectors)?;
            for point in alike {
                let header = header(collection, &index, settings, point.system, &vectors.embedder());
                let rankings = lists.of(point.system, &index, point.weights);
                runs.push((point.clone(), index.run(collection, &rankings, header, point.top_k)));
            }
        }
        Ok(self.compared(collection, &runs))
    }

    fn compared(&self, collection: &Collection, runs: &[(Point, Run)]) -> Table {
        let mut options = ScoreOptions { measures: vec![self.measure.clone()], ..ScoreOptions::default() };
        options.resampling.seed = self.seed;
        let (choose, report) = if self.split {
            halves(&collection.questions, self.seed)
        } else {
            (collection.questions.clone(), collection.questions.clone())
        };
        let scored = |run: &Run, questions: &[crate::questions::Question]| -> Scores {
            let records = run.records.iter().filter(|record| questions.contains(&record.question)).cloned().collect();
            scores::score(&Run { header: run.header.clone(), records }, &options)
        };
        let mut rows: Vec<(f64, &Point, Scores)> =
            runs.iter().map(|(point, run)| (mean(&scored(run, &choose)), point, scored(run, &report))).collect();
        let sign = if self.measure.better == Better::Higher { 1.0 } else { -1.0 };
        rows.sort_by(|a, b| (sign * b.0).total_cmp(&(sign * a.0)));
        #[allow(clippy::cast_precision_loss)] // hundreds at most
        let tests = rows.len().saturating_sub(1).max(1) as f64;
        let best = rows.first().map(|(_, _, scores)| values(scores, &self.measure)).unwrap_or_default();
        let row = |(at, (_, point, scores)): (usize, &(f64, &Point, Scores))| {
            let own = values(scores, &self.measure);
            let differences: Vec<f64> = own.iter().zip(&best).map(|(own, best)| own - best).collect();
            let p = if at == 0 { 1.0 } else { (paired_p(&differences, self.seed) * tests).min(1.0) };
            #[allow(clippy::cast_precision_loss)] // counts of questions
            let difference = differences.iter().sum::<f64>() / differences.len().max(1) as f64;
            let estimate = scores.all.first().map(|(_, estimate)| *estimate).unwrap_or_default();
            Row { settings: point.written.clone(), estimate, difference, p, within_noise: at > 0 && p >= ALPHA }
        };
        Table {
            collection: collection.name.clone(),
            measure: self.measure.name.clone(),
            split: self.split,
            rows: rows.iter().enumerate().map(row).collect(),
        }
    }
}

fn mean(scores: &Scores) -> f64 {
    scores.all.first().map_or(0.0, |(_, estimate)| estimate.value)
}

/// Of each question, in their order: all rows have the same.
fn values(scores: &Scores, measure: &Measure) -> Vec<f64> {
    scores.questions.iter().filter_map(|question| question.values.get(&measure.name).copied()).collect()
}

fn described(settings: &BTreeMap<String, String>) -> String {
    settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let questions = self.rows.first().map_or(0, |row| row.estimate.n);
        writeln!(f, "{}: {} over {questions} questions, 95 % intervals", self.collection, self.measure)?;
        let width = self.rows.iter().map(|row| described(&row.settings).len()).max().unwrap_or(0);
        for row in &self.rows {
            let Estimate { value, low, high, .. } = row.estimate;
            let settings = described(&row.settings);
            write!(f, "{settings:width$}  {value:.3} [{low:.3}, {high:.3}]  {:+.3}", row.difference)?;
            writeln!(f, "  p {:.3}{}", row.p, if row.within_noise { "  within noise of the first" } else { "" })?;
        }
        let alike = self.rows.iter().filter(|row| row.within_noise).count();
        let others = self.rows.len().saturating_sub(1);
        writeln!(f, "{alike} of {others} other rows cannot be told from the first (paired test, p times {others}).")?;
        if self.split {
            writeln!(f, "Rows are ranked on one half of the questions; the numbers are of the other.\n")
        } else {
            writeln!(f, "The best of {} rows is partly the luckiest: --split shows by how much.\n", self.rows.len())
        }
    }
}

fn write_csv(path: &std::path::Path, tables: &[Table]) -> Result<(), csv::Error> {
    let mut file = csv::Writer::from_path(path)?;
    file.write_record(["collection", "settings", "measure", "value", "low", "high", "questions", "difference", "p"])?;
    for table in tables {
        for row in &table.rows {
            let Estimate { value, low, high, n } = row.estimate;
            let numbers = [value, low, high].map(|number| format!("{number:.4}"));
            let [value, low, high] = numbers;
            let (n, difference, p) = (n.to_string(), format!("{:.4}", row.difference), format!("{:.4}", row.p));
            // A cell that begins like a formula would be run as one.
            let settings = format!("settings {}", described(&row.settings));
            file.write_record([
                &table.collection,
                &settings,
                &table.measure,
                &value,
                &low,
                &high,
                &n,
                &difference,
                &p,
            ])?;
        }
    }
    file.flush()?;
    Ok(())
}
