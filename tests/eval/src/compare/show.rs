//! A comparison for people: in a terminal, in a pull request, and as a page with the answers side by
//! side.

use std::fmt::Write as _;

use super::{Change, CompareError, Comparison, Counts, Difference, Ending, Output, Page};
use crate::report::html;
use crate::report::text::{self, Table, chance, difference, number};

/// Questions shown in full in a pull request, whose comments have an end (65,536 characters).
const IN_MARKDOWN: usize = 20;

/// Characters of an answer shown there.
const ANSWER_IN_MARKDOWN: usize = 1000;

impl Output {
    /// Shows it on standard output, and as a page where one is wanted.
    ///
    /// # Errors
    /// [`CompareError::Write`]
    pub fn show(&self, comparison: &Comparison) -> Result<(), CompareError> {
        if let Some(path) = &self.html {
            let page = html::comparison(comparison, self.all);
            let refuse = |source| CompareError::Write { path: path.display().to_string(), source };
            std::fs::write(path, page).map_err(refuse)?;
        }
        let shown = if self.json {
            json(comparison)
        } else if self.markdown {
            markdown(comparison)
        } else {
            plain(comparison, self.all)
        };
        crate::output::show(&shown);
        Ok(())
    }
}

/// For a program.
pub fn json(comparison: &Comparison) -> String {
    let json = serde_json::to_string_pretty(comparison).unwrap_or_default();
    format!("{json}\n")
}

/// For a terminal.
pub fn plain(comparison: &Comparison, is_all: bool) -> String {
    let mut out = String::new();
    for notice in notices(comparison) {
        let _ = writeln!(out, "{}", text::line(&notice));
    }
    let _ = writeln!(out, "\n{}", table(&comparison.measures).plain());
    let _ = writeln!(out, "{}", footnote(comparison));
    let _ = writeln!(out, "{}\n", verdict(comparison));
    for change in comparison.questions.iter().filter(|change| is_all || !change.is_same()) {
        out += &in_terminal(change);
    }
    out
}

/// For a pull request.
pub fn markdown(comparison: &Comparison) -> String {
    let mut out = format!("## {}\n\n", text::escape(&title(comparison)));
    for notice in notices(comparison).iter().skip(1) {
        let _ = writeln!(out, "> {}\n", text::escape(notice));
    }
    let _ = writeln!(out, "**{}**\n", verdict(comparison));
    let _ = writeln!(out, "{}\n{}\n", table(&comparison.measures).markdown(), footnote(comparison));
    let changed: Vec<&Change> = comparison.questions.iter().filter(|change| !change.is_same()).collect();
    for change in changed.iter().take(IN_MARKDOWN) {
        out += &in_markdown(change);
    }
    if changed.len() > IN_MARKDOWN {
        let _ = writeln!(out, "{} more questions changed, less for the worse.", changed.len() - IN_MARKDOWN);
    }
    out
}

/// Which runs these are.
pub fn title(comparison: &Comparison) -> String {
    format!("{} → {}", comparison.before.label, comparison.after.label)
}

/// Which runs, and what to know before reading on.
pub fn notices(comparison: &Comparison) -> Vec<String> {
    let mut notices = vec![format!("{}, {} questions", title(comparison), comparison.counts.questions)];
    notices.extend(comparison.warnings.iter().map(|warning| format!("Note: {warning}.")));
    if !comparison.left_out.is_empty() {
        notices.push(format!("Note: not compared: {}.", comparison.left_out));
    }
    notices
}

/// What happened, in a sentence.
pub fn verdict(comparison: &Comparison) -> String {
    if comparison.is_same() {
        return "No difference but in times.".to_owned();
    }
    let Counts {
        questions,
        answers_gained,
        answers_lost,
        refusals_new,
        refusals_gone,
        citations_changed,
        pages_changed,
        texts_changed,
        unchanged,
    } = comparison.counts;
    format!(
        "Of {questions} questions: {answers_gained} answers gained, {answers_lost} lost; {refusals_new} new refusals, \
         {refusals_gone} gone; {citations_changed} answers with other citations; {pages_changed} questions with other \
         pages found; {texts_changed} answers in other words; {unchanged} unchanged."
    )
}

/// What the columns mean.
pub fn footnote(comparison: &Comparison) -> String {
    let tested = comparison.measures.iter().filter(|it| it.paired.is_some()).count();
    format!(
        "95 %: bootstrap interval of the mean difference. p: paired randomisation test, two-sided; with {tested} \
         measures some fall below 0.05 by chance, so read p (Holm), which is adjusted for their number. Times are not \
         tested."
    )
}

/// The measures.
pub fn table(differences: &[Difference]) -> Table {
    let head = ["measure", "n", "before", "after", "difference", "95 %", "p", "p (Holm)", "better", "worse", "same"];
    let row = |it: &Difference| {
        let mut row = vec![it.measure.clone(), it.n.to_string()];
        row.extend([number(&it.measure, it.before), number(&it.measure, it.after)]);
        row.push(difference(&it.measure, it.difference));
        let Some(paired) = it.paired else {
            row.resize(11, String::new());
            return row;
        };
        let (low, high) = (difference(&it.measure, paired.low), difference(&it.measure, paired.high));
        row.push(format!("{low} to {high}"));
        row.extend([chance(paired.p), chance(paired.p_holm)]);
        row.extend([paired.wins, paired.losses, paired.ties].map(|count| count.to_string()));
        row
    };
    Table { rows: differences.iter().map(row).collect(), ..Table::new(&head) }
}

/// What changed for a question, a line each.
pub fn lines(change: &Change) -> Vec<String> {
    let mut lines = Vec::new();
    if change.before.kind != change.after.kind {
        lines.push(format!("{} before, {} after", ending(change.before.kind), ending(change.after.kind)));
    }
    let mut list = |what: &str, items: Vec<String>| {
        if !items.is_empty() {
            lines.push(format!("{what}: {}", items.join(", ")));
        }
    };
    let pages = |pages: &[Page]| pages.iter().map(page).collect();
    list("pages lost", pages(&change.pages_lost));
    list("pages gained", pages(&change.pages_gained));
    list("facts lost", change.facts_lost.clone());
    list("facts gained", change.facts_gained.clone());
    list("says now what it must not", change.forbidden_new.clone());
    list("no longer says what it must not", change.forbidden_gone.clone());
    list("citations lost", change.citations_lost.clone());
    list("citations gained", change.citations_gained.clone());
    let value = |(name, (before, after)): (&String, &(f64, f64))| {
        format!("{name} {} → {}", number(name, *before), number(name, *after))
    };
    list("numbers", change.values.iter().map(value).collect());
    lines
}

fn page(page: &Page) -> String {
    match page.grade {
        Some(grade) if grade > 0 => format!("{} (relevant, rank {})", page.page, page.rank),
        _ => format!("{} (rank {})", page.page, page.rank),
    }
}

/// How a question ended, in a word.
pub fn ending(kind: Ending) -> &'static str {
    match kind {
        Ending::Searched => "searched",
        Ending::Answered => "answered",
        Ending::Refused => "refused",
        Ending::Failed => "failed",
    }
}

fn in_terminal(change: &Change) -> String {
    let mut out = format!("{}: {}\n", text::line(&change.question.id), text::line(&change.question.question));
    if change.is_same() {
        return out + "  unchanged\n\n";
    }
    for line in lines(change) {
        let _ = writeln!(out, "  {}", text::line(&line));
    }
    if change.before != change.after {
        for (when, outcome) in [("before", &change.before), ("after", &change.after)] {
            let _ = writeln!(out, "  {when}, {}:", ending(outcome.kind));
            for line in text::block(&outcome.text).lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    out + "\n"
}

fn in_markdown(change: &Change) -> String {
    let question = &change.question;
    let summary = format!("{}: {}", text::escape(&question.id), text::escape(&question.question));
    let mut out = format!("<details><summary>{summary}</summary>\n\n");
    for line in lines(change) {
        let _ = writeln!(out, "- {}", text::escape(&line));
    }
    if change.before != change.after {
        for (when, outcome) in [("Before", &change.before), ("After", &change.after)] {
            let shown: String = outcome.text.chars().take(ANSWER_IN_MARKDOWN).collect();
            let cut = if shown.len() < outcome.text.len() { "…" } else { "" };
            let _ = write!(out, "\n{when}, {}:\n\n{}", ending(outcome.kind), text::fenced(&format!("{shown}{cut}")));
        }
    }
    out + "\n</details>\n\n"
}
