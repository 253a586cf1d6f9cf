//! A row for each question and run, as CSV.

use super::{Reported, Verdict, labels, measure_names};

/// The file. Text that a spreadsheet would run as a formula gets an apostrophe in front, which
/// spreadsheets take for "this is text" (OWASP, CSV injection).
///
/// # Errors
/// None that happens in memory; the crate's type says otherwise.
pub(super) fn rows(reported: &[Reported]) -> Result<String, csv::Error> {
    let measures = measure_names(reported);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["run", "id", "repeats", "tags", "question", "verdict"].map(str::to_owned);
    writer.write_record(head.iter().chain(&measures))?;
    for (it, label) in reported.iter().zip(labels(reported)) {
        for scores in &it.scores.questions {
            let records = || it.run.records.iter().filter(|record| record.question.id == scores.id);
            let question = records().next().map_or("", |record| record.question.question.as_str());
            let verdict = records().map(Verdict::of).min().map_or("", Verdict::heading);
            let texts = [&label, &scores.id, &records().count().to_string(), &scores.tags.join(" "), question, verdict];
            let texts = texts.map(inert);
            let value = |measure: &String| scores.values.get(measure).map_or_else(String::new, ToString::to_string);
            writer.write_record(texts.into_iter().chain(measures.iter().map(value)))?;
        }
    }
    let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn inert(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
