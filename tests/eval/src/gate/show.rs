//! What gates said, for people, CI servers and GitHub.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Check, Cost, GateError, GateResult};
use crate::report::text::{self, Table, number};
use crate::scores::Scores;

impl Check {
    /// Writes all files that are wanted, and the table to standard output.
    ///
    /// # Errors
    /// [`GateError`], when a file cannot be written.
    pub(super) fn show(&self, results: &[GateResult], scores: &Scores) -> Result<(), GateError> {
        let title = format!("Gates of {}", scores.run.label);
        if let Some(path) = &self.junit {
            write(path, &junit(&title, results)?)?;
        }
        let markdown = markdown(&title, results);
        if let Some(path) = &self.markdown {
            write(path, &markdown)?;
        }
        if self.json {
            crate::output::show(format_args!("{}\n", serde_json::to_string_pretty(results).unwrap_or_default()));
        } else {
            crate::output::show(plain(results));
        }
        if self.github {
            crate::output::show(annotations(results));
            if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") {
                append(Path::new(&path), &markdown)?;
            }
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), GateError> {
    std::fs::write(path, text).map_err(|source| GateError::File { path: path.display().to_string(), source })
}

fn append(path: &Path, text: &str) -> Result<(), GateError> {
    let open = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let written = open.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| GateError::File { path: path.display().to_string(), source })
}

fn table(results: &[GateResult]) -> Table {
    let or_nothing = |measure: &str, value: Option<f64>| value.map_or_else(|| "–".to_owned(), |it| number(measure, it));
    let row = |result: &GateResult| {
        vec![
            result.gate.clone(),
            or_nothing(&result.measure, result.value),
            or_nothing(&result.measure, result.baseline),
            result.n.to_string(),
            if result.held { "holds" } else { "FAILS" }.to_owned(),
        ]
    };
    let head = ["gate", "value", "baseline", "n", "verdict"];
    Table { rows: results.iter().map(row).collect(), ..Table::new(&head) }
}

fn question(measure: &str, cost: &Cost) -> String {
    let before = cost.baseline.map_or_else(String::new, |it| format!(" (baseline {})", number(measure, it)));
    format!("{}: {}{before}", cost.id, number(measure, cost.value))
}

/// Why a gate does not hold, and which questions cost most.
fn lines(result: &GateResult) -> Vec<String> {
    let questions = result.questions.iter().map(|cost| question(&result.measure, cost));
    std::iter::once(format!("{}: {}", result.gate, result.reason)).chain(questions).collect()
}

/// For a terminal.
pub(super) fn plain(results: &[GateResult]) -> String {
    let mut out = table(results).plain();
    for result in results.iter().filter(|result| !result.held) {
        out.push('\n');
        for (number, line) in lines(result).iter().enumerate() {
            let indent = if number == 0 { "" } else { "  " };
            let _ = writeln!(out, "{indent}{}", text::line(line));
        }
    }
    let _ = writeln!(out, "\n{}", verdict(results));
    out
}

fn verdict(results: &[GateResult]) -> String {
    let failing = results.iter().filter(|result| !result.held).count();
    match failing {
        0 => format!("All {} gates hold.", results.len()),
        _ => format!("{failing} of {} gates do not hold.", results.len()),
    }
}

/// For the summary of a CI job.
pub(super) fn markdown(title: &str, results: &[GateResult]) -> String {
    let mut out = format!("## {}\n\n**{}**\n\n{}", text::escape(title), verdict(results), table(results).markdown());
    for result in results.iter().filter(|result| !result.held) {
        for (number, line) in lines(result).iter().enumerate() {
            let mark = if number == 0 { "\n" } else { "- " };
            let end = if number == 0 { "\n" } else { "" };
            let _ = writeln!(out, "{mark}{}{end}", text::escape(line));
        }
    }
    out
}

/// For CI servers.
///
/// # Errors
/// When it cannot be written as XML.
pub(super) fn junit(title: &str, results: &[GateResult]) -> Result<String, GateError> {
    let mut suite = TestSuite::new(text::line(title));
    for result in results {
        let mut status = TestCaseStatus::success();
        if !result.held {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_message(text::line(&result.reason))
                .set_type("gate")
                .set_description(text::block(&lines(result).join("\n")));
        }
        let mut case = TestCase::new(text::line(&result.gate), status);
        case.set_classname("docent-eval");
        suite.add_test_case(case);
    }
    let mut report = Report::new("docent-eval");
    report.add_test_suite(suite);
    Ok(report.to_string()?)
}

/// Workflow commands that mark a job on GitHub. They alone do not fail it: the exit code does.
pub(super) fn annotations(results: &[GateResult]) -> String {
    let failing = results.iter().filter(|result| !result.held);
    let annotation =
        |it: &GateResult| format!("::error title={}::{}\n", property(&it.gate), message(&lines(it).join("\n")));
    failing.map(annotation).collect::<Vec<_>>().concat()
}

/// The text of a workflow command, which ends at the end of the line.
fn message(text: &str) -> String {
    text::block(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command, which a comma or colon would end.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
