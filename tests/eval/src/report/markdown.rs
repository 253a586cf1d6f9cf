//! The summary for a CI job: the headline numbers, each tag, and the questions that went wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{Table, escape, short};
use super::{Reported, Verdict, cells_of, estimate, headlines, html, labels};

/// Questions that are listed for each thing that can be wrong.
const LISTED: usize = 15;

/// Other people's words in a table cell.
const WORDS: usize = 120;

/// The summary of all runs.
pub(super) fn summary(reported: &[Reported]) -> String {
    let mut out = String::new();
    for (it, label) in reported.iter().zip(labels(reported)) {
        let _ = writeln!(out, "## {}\n", escape(&label));
        for warning in html::loud(&it.run.header) {
            let _ = writeln!(out, "> **{}**\n", escape(&warning));
        }
        let about = html::about(it).into_iter().map(|(what, value)| format!("{what}: {}", escape(&value)));
        let _ = writeln!(out, "{}\n", about.collect::<Vec<_>>().join(" · "));
        let _ = writeln!(out, "{}", counts(it));
        let _ = writeln!(out, "{}", headline_table(reported, it).markdown());
        let _ = writeln!(out, "{}", tag_table(reported, it).markdown());
        out += &wrong(it);
    }
    out
}

fn counts(it: &Reported) -> String {
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for record in &it.run.records {
        *counts.entry(Verdict::of(record)).or_default() += 1;
    }
    let counts = counts
        .iter()
        .map(|(verdict, count)| format!("{} {count} {}", verdict.sign(), verdict.heading().to_lowercase()));
    format!("{}\n", counts.collect::<Vec<_>>().join(" · "))
}

fn headline_table(reported: &[Reported], it: &Reported) -> Table {
    let mut table = Table::new(&["measure", "value", "95 %", "n"]);
    for measure in headlines(reported) {
        let cells = cells_of(&measure, estimate(&it.scores.all, &measure));
        table.rows.push(std::iter::once(measure).chain(cells).collect());
    }
    table
}

fn tag_table(reported: &[Reported], it: &Reported) -> Table {
    let measures: Vec<String> = headlines(reported).into_iter().take(4).collect();
    let head: Vec<String> = ["tag".to_owned(), "n".to_owned()].into_iter().chain(measures.clone()).collect();
    let row = |(tag, scores): (&String, &Vec<_>)| {
        let n = it.scores.questions.iter().filter(|question| question.tags.contains(tag)).count();
        let value = |measure: &String| {
            let [value, ..] = cells_of(measure, estimate(scores, measure));
            value
        };
        [tag.clone(), n.to_string()].into_iter().chain(measures.iter().map(value)).collect()
    };
    Table { head, rows: it.scores.tags.iter().map(row).collect() }
}

fn wrong(it: &Reported) -> String {
    let mut out = String::new();
    for verdict in Verdict::ALL.into_iter().filter(|verdict| verdict.is_bad()) {
        let records: Vec<_> = it.run.records.iter().filter(|record| Verdict::of(record) == verdict).collect();
        if records.is_empty() {
            continue;
        }
        let _ = writeln!(out, "### {}\n", verdict.heading());
        let mut table = Table::new(&["id", "question", "answer"]);
        for record in records.iter().take(LISTED) {
            let answer = record.answer.as_ref().map_or("", |answer| answer.text.as_str());
            let said = record.error.as_ref().map_or(answer, |error| error.message.as_str());
            table.rows.push(vec![
                record.question.id.clone(),
                short(&record.question.question, WORDS),
                short(said, WORDS),
            ]);
        }
        out += &table.markdown();
        if records.len() > LISTED {
            let _ = writeln!(out, "\n{} more.", records.len() - LISTED);
        }
        out.push('\n');
    }
    out
}
