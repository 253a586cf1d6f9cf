//! The file of gates, in TOML. All its faults are told at once, each with its line.

use std::fmt;

use toml::{Spanned, Table, Value};

use crate::measures::{self, Over};
use crate::report::text::number;

/// A bound that a measure has to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// As `nDCG@10`.
    pub measure: String,
    /// Over the questions of this tag alone.
    pub tag: Option<String>,
    /// The bound.
    pub bound: Bound,
    /// Whether the number over all questions keeps it, or each of them.
    pub on: On,
    /// `not_worse` fails only when the whole 95 % interval of the difference is worse.
    pub significant: bool,
    /// Questions that it has to be over at least.
    pub questions: usize,
}

/// A bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// As much or more.
    Least(f64),
    /// As much or less.
    Most(f64),
    /// Worse than the baseline by as much at most.
    NotWorse(f64),
}

/// What has to keep a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The number over all questions.
    All,
    /// The number of each question.
    Each,
}

/// What is wrong with a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line in the file, from 1.
    pub line: usize,
    /// What, and what to do.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.measure)?;
        if let Some(tag) = &self.tag {
            write!(f, " of {tag}")?;
        }
        if self.on == On::Each {
            f.write_str(", each question,")?;
        }
        let number = |value| number(&self.measure, value);
        match self.bound {
            Bound::Least(bound) => write!(f, " at least {}", number(bound)),
            Bound::Most(bound) => write!(f, " at most {}", number(bound)),
            Bound::NotWorse(margin) if self.significant => {
                write!(f, " not surely worse than the baseline by more than {}", number(margin))
            }
            Bound::NotWorse(margin) => write!(f, " not worse than the baseline by more than {}", number(margin)),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    gate: Vec<Spanned<Table>>,
}

/// What a gate may have.
const KEYS: [&str; 8] = ["measure", "least", "most", "not_worse", "significant", "tag", "on", "questions"];

/// Measures that a language model gives, which no gate file may rest on alone.
const JUDGED: &str = "judge:";

/// Reads a file of gates.
///
/// # Errors
/// All its faults.
pub fn read(text: &str, has_baseline: bool) -> Result<Vec<Gate>, Vec<Fault>> {
    let line = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let file: File = toml::from_str(text).map_err(|error| {
        let line = line(error.span().map_or(0, |span| span.start));
        vec![Fault { line, reason: format!("{}; a gate file has [[gate]] tables and nothing else", error.message()) }]
    })?;
    let (mut gates, mut faults) = (Vec::new(), Vec::new());
    for table in &file.gate {
        let mut reader = Reader { table: table.get_ref(), line: line(table.span().start), faults: &mut faults };
        gates.extend(reader.gate(has_baseline));
    }
    let whole_file = |reason: &str| Fault { line: 1, reason: reason.to_owned() };
    if file.gate.is_empty() {
        faults.push(whole_file("there is no [[gate]] in it, so it asserts nothing"));
    } else if faults.is_empty() && gates.iter().all(|gate| gate.measure.starts_with(JUDGED)) {
        faults.push(whole_file(
            "all gates are on what a model judged, which differs from run to run; add one on another measure",
        ));
    }
    if faults.is_empty() { Ok(gates) } else { Err(faults) }
}

/// One `[[gate]]`.
struct Reader<'a> {
    table: &'a Table,
    line: usize,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    /// The gate, if nothing is wrong with it.
    fn gate(&mut self, has_baseline: bool) -> Option<Gate> {
        let before = self.faults.len();
        for key in self.table.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            self.faults
                .push(Fault { line: self.line, reason: format!("unknown key {key:?}; there are {}", KEYS.join(", ")) });
        }
        let measure = self.measure();
        let bound = self.bound();
        let on = self.on();
        let significant = self.value("significant", "true or false", Value::as_bool).unwrap_or(false);
        let tag = self.value("tag", "a text", |value| value.as_str().map(str::to_owned));
        let count = |value: &Value| value.as_integer().and_then(|it| usize::try_from(it).ok());
        let questions = self.value("questions", "a number of questions", count).unwrap_or(0);
        let is_relative = matches!(bound, Some(Bound::NotWorse(_)));
        if is_relative && !has_baseline {
            self.fault("not_worse needs --baseline with the run to compare with");
        }
        if significant && !is_relative {
            self.fault("significant belongs to not_worse");
        }
        if significant && on == Some(On::Each) {
            self.fault("significant is about all questions; on = \"each\" is about one");
        }
        self.check_mean(measure.as_deref(), significant, on == Some(On::Each));
        let gate = Gate { measure: measure?, tag, bound: bound?, on: on?, significant, questions };
        (self.faults.len() == before).then_some(gate)
    }

    fn fault(&mut self, reason: &str) {
        let measure = self.table.get("measure").and_then(Value::as_str);
        let gate = measure.map_or_else(String::new, |measure| format!("gate on {measure}: "));
        self.faults.push(Fault { line: self.line, reason: format!("{gate}{reason}") });
    }

    /// A value, where there is one of the right kind.
    fn value<T>(&mut self, key: &str, wanted: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.table.get(key)?;
        let read = read(value);
        if read.is_none() {
            self.fault(&format!("{key} = {value} is not {wanted}"));
        }
        read
    }

    fn measure(&mut self) -> Option<String> {
        let Some(name) = self.value("measure", "a text", |value| value.as_str().map(str::to_owned)) else {
            if !self.table.contains_key("measure") {
                self.fault("measure is missing");
            }
            return None;
        };
        if let Err(unknown) = measures::parse(&name)
            && !name.starts_with(JUDGED)
        {
            self.fault(&unknown.to_string());
            return None;
        }
        Some(name)
    }

    fn bound(&mut self) -> Option<Bound> {
        #[allow(clippy::cast_precision_loss)] // bounds are small
        let read =
            |value: &Value| value.as_float().or(value.as_integer().map(|it| it as f64)).filter(|it| it.is_finite());
        let mut bound = |key, bound: fn(f64) -> Bound| self.value(key, "a number", read).map(bound);
        let bounds = [bound("least", Bound::Least), bound("most", Bound::Most), bound("not_worse", Bound::NotWorse)];
        let written = ["least", "most", "not_worse"].iter().filter(|key| self.table.contains_key(**key)).count();
        if written != 1 {
            self.fault("it needs one of least, most and not_worse");
        }
        let bound = bounds.into_iter().flatten().next();
        if matches!(bound, Some(Bound::NotWorse(margin)) if margin < 0.0) {
            self.fault("not_worse is a margin, 0 or more");
        }
        bound
    }

    fn on(&mut self) -> Option<On> {
        if !self.table.contains_key("on") {
            return Some(On::All);
        }
        self.value("on", "\"all\" or \"each\"", |value| match value.as_str() {
            Some("all") => Some(On::All),
            Some("each") => Some(On::Each),
            _ => None,
        })
    }

    /// Some numbers are no means of the questions' numbers.
    fn check_mean(&mut self, measure: Option<&str>, is_significant: bool, is_each: bool) {
        let Some(measure) = measure.and_then(|name| measures::parse(name).ok()) else { return };
        if measure.over != Over::Mean && (is_significant || (is_each && measure.over == Over::Auroc)) {
            self.fault("the measure is no mean over the questions, so neither significant nor on = \"each\" fits it");
        }
    }
}
