//! A test case for each question, as CI servers show them.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::text::{block, line};
use super::{Reported, Verdict, labels};
use crate::records::Record;

/// The file: a suite for each run. What got an error is an error, what is wrong a failure, and what
/// nobody judged is skipped.
///
/// # Errors
/// When it cannot be written as XML.
pub(super) fn cases(reported: &[Reported]) -> Result<String, SerializeError> {
    let mut report = Report::new("docent-eval");
    for (it, label) in reported.iter().zip(labels(reported)) {
        let mut suite = TestSuite::new(label.clone());
        for record in &it.run.records {
            let name = format!("{}: {}", record.question.id, record.question.question);
            let name = if record.repeat > 0 { format!("{name} (repeat {})", record.repeat) } else { name };
            let mut case = TestCase::new(line(&name), status(record));
            case.set_classname(label.clone());
            if let Some(ms) = record.times.last_ms.filter(|ms| ms.is_finite() && *ms >= 0.0) {
                case.set_time(std::time::Duration::from_secs_f64(ms / 1000.0));
            }
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn status(record: &Record) -> TestCaseStatus {
    let verdict = Verdict::of(record);
    let mut status = match verdict {
        Verdict::Right => return TestCaseStatus::success(),
        Verdict::NotJudged => TestCaseStatus::skipped(),
        Verdict::Failed => TestCaseStatus::non_success(NonSuccessKind::Error),
        _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    status.set_message(verdict.heading());
    if verdict.is_bad() {
        let error = record.error.as_ref().map(|error| format!("{}: {}\n", error.code, error.message));
        let answer = record.answer.as_ref().map(|answer| answer.text.clone());
        status.set_description(block(&format!("{}{}", error.unwrap_or_default(), answer.unwrap_or_default())));
    }
    status
}
