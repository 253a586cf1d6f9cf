//! The page: what was measured, the numbers with plots, and every question. It stands alone in its
//! file and needs neither network nor scripts.

use maud::{Markup, html};

use super::page::page;
use super::plots::{Axes, Caption, Line, Row, bars, chart, histogram, legend, whiskers};
use super::text::{Table, line, number};
use super::{Reported, estimate, headlines, labels, numbers, questions};
use crate::compare::show::{footnote, lines, notices, table, title, verdict};
use crate::compare::{Change, Comparison, Outcome};
use crate::measures::refusal::{answerable, evidence};
use crate::measures::{Level, Unit, ranking};
use crate::records::{Header, Kind, Record};
use crate::report::text::unit;
use crate::statistics::roc;

/// Sections of a report, in their order.
const SECTIONS: [(&str, &str); 8] = [
    ("about", "What was measured"),
    ("numbers", "Numbers"),
    ("tags", "By tag"),
    ("distributions", "Distributions"),
    ("ranks", "Rank of the first right page"),
    ("refusals", "Refusing"),
    ("times", "Times"),
    ("questions", "Questions"),
];

/// The report on runs.
pub fn report(reported: &[Reported]) -> String {
    let labels = labels(reported);
    let title = format!("Evaluation: {}", labels.join(", "));
    let bodies = [
        about_section(reported, &labels),
        numbers_section(reported, &labels),
        tags_section(reported, &labels),
        distributions_section(reported, &labels),
        ranks_section(reported, &labels),
        refusal_section(reported, &labels),
        times_section(reported, &labels),
        Some(questions::section(reported)),
    ];
    let sections: Vec<_> =
        SECTIONS.into_iter().zip(bodies).filter_map(|(section, body)| Some((section, body?))).collect();
    let headings: Vec<(&str, &str)> = sections.iter().map(|(section, _)| *section).collect();
    let body = html! { @for ((id, heading), body) in &sections { section aria-labelledby=(id) { h2 id=(id) { (heading) } (body) } } };
    page(&title, &headings, body)
}

/// What a reader must not overlook.
pub fn loud(header: &Header) -> Vec<String> {
    let mut loud = Vec::new();
    let embedder = header.embedder.to_lowercase();
    if embedder.contains("lexical") || embedder.contains("hash") {
        let what = "compares words, not meaning: these numbers tell whether a change broke something, not how good a deployed bot is";
        loud.push(format!("LEXICAL EMBEDDER ({}): it {what}.", header.embedder));
    }
    let answerer = header.answerer.to_lowercase();
    if answerer.contains("extractive") || answerer.contains("stand-in") {
        loud.push(format!("NO LANGUAGE MODEL ({}): answers are sentences of the documentation.", header.answerer));
    }
    loud
}

/// What was measured, in pairs.
pub fn about(it: &Reported) -> Vec<(&'static str, String)> {
    let header = &it.run.header;
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { line(text) };
    let settings: Vec<String> = header.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let asked =
        format!("{} × {}, hash {}", it.scores.questions.len(), header.repeats.max(1), or(&header.questions, "unknown"));
    let kind = if header.kind == Kind::Retrieval { "search alone" } else { "answers" };
    vec![
        ("Asked for", kind.to_owned()),
        ("Bot", or(&header.bot, "none")),
        ("Documentation", or(&header.base_url, "unknown")),
        ("docent", or(&header.version, "unknown")),
        ("Embedding spec", or(&header.spec, "unknown")),
        ("Index generation", header.generation.map_or_else(|| "unknown".to_owned(), |it| it.to_string())),
        ("Corpus", or(header.corpus.as_deref().unwrap_or_default(), "unknown")),
        ("Embedder", or(&header.embedder, "unknown")),
        ("Answerer", or(&header.answerer, "unknown")),
        ("Questions", asked),
        ("Seed", header.seed.to_string()),
        ("Settings", or(&settings.join(" "), "the bot's own")),
        ("Begun", or(&header.started_at, "unknown")),
    ]
}

type Section = Option<Markup>;

#[allow(clippy::unnecessary_wraps)] // a section like the others, which may be absent
fn about_section(reported: &[Reported], labels: &[String]) -> Section {
    Some(html! {
        @for (it, label) in reported.iter().zip(labels) {
            @if labels.len() > 1 { h3 { (label) } }
            @for warning in loud(&it.run.header) { div.loud role="note" { p { strong { (warning) } } } }
            dl.about { @for (what, value) in about(it) { dt { (what) } dd { (value) } } }
        }
    })
}

fn figure(caption: &Caption, labels: &[String], plot: Markup, note: &str) -> Markup {
    html! { figure { h3 { (caption.title) } (legend(labels)) (plot) figcaption { (note) } } }
}

fn caption(id: &str, title: &str, description: String) -> Caption {
    Caption { id: id.to_owned(), title: title.to_owned(), description }
}

/// The table of a plot in words, for its description.
fn in_words(rows: &[Row], labels: &[String]) -> String {
    let words = rows.iter().flat_map(|row| {
        row.estimates.iter().zip(labels).filter_map(move |(estimate, label)| {
            let it = (*estimate)?;
            Some(format!("{} of {label}: {:.3} ({:.3} to {:.3})", row.label, it.value, it.low, it.high))
        })
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Measures that fit an axis from 0 to 1, or from −1.
fn on_axis(reported: &[Reported]) -> Vec<String> {
    headlines(reported).into_iter().filter(|name| matches!(unit(name), Unit::Share | Unit::Score)).collect()
}

#[allow(clippy::unnecessary_wraps)] // a section like the others, which may be absent
fn numbers_section(reported: &[Reported], labels: &[String]) -> Section {
    let row = |measure: &String| Row {
        label: measure.clone(),
        estimates: reported.iter().map(|it| estimate(&it.scores.all, measure)).collect(),
    };
    let rows: Vec<Row> = on_axis(reported).iter().map(row).collect();
    let caption = caption("p-numbers", "Headline numbers", in_words(&rows, labels));
    let note = "Means with 95 % bootstrap intervals over the questions. More is better, but for refusal:false.";
    Some(html! {
        @if !rows.is_empty() { (figure(&caption, labels, whiskers(&caption, &rows), note)) }
        h3 { "All measures" }
        (html_table(&numbers(reported), "Every measure of every run, with its 95 % interval and the number of questions it is over"))
    })
}

fn html_table(table: &Table, caption: &str) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for (column, head) in table.head.iter().enumerate() { th.number[column > 0] scope="col" { (head) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell) } } @else { td.number { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Measures shown for each tag: the first of the headlines.
const PER_TAG: usize = 4;

fn tags_section(reported: &[Reported], labels: &[String]) -> Section {
    let mut tags: Vec<&String> = reported.iter().flat_map(|it| it.scores.tags.keys()).collect();
    tags.sort();
    tags.dedup();
    let of_tag = |measure: &str, tag: &String| Row {
        label: tag.clone(),
        estimates: reported.iter().map(|it| estimate(it.scores.tags.get(tag)?, measure)).collect(),
    };
    let measures = on_axis(reported).into_iter().filter(|name| unit(name) == Unit::Share).take(PER_TAG);
    let plots: Vec<Markup> = measures
        .enumerate()
        .map(|(place, measure)| {
            let rows = tags.iter().map(|tag| of_tag(&measure, tag));
            let rows: Vec<Row> = rows.filter(|row| row.estimates.iter().any(Option::is_some)).collect();
            let caption = caption(&format!("p-tag{place}"), &measure, in_words(&rows, labels));
            figure(&caption, labels, bars(&caption, &rows), "By tag, with 95 % intervals.")
        })
        .collect();
    (!tags.is_empty()).then(|| html! { div.plots { @for plot in plots { (plot) } } })
}

/// Classes of a share.
const CLASSES: usize = 10;

fn distributions_section(reported: &[Reported], labels: &[String]) -> Section {
    let measures = on_axis(reported).into_iter().enumerate();
    let plots: Vec<Markup> =
        measures.filter_map(|(place, name)| distribution(place, &name, reported, labels)).collect();
    (!plots.is_empty()).then(|| html! { div.plots { @for plot in plots { (plot) } } })
}

fn distribution(place: usize, measure: &str, reported: &[Reported], labels: &[String]) -> Option<Markup> {
    let low = if unit(measure) == Unit::Score { -1.0 } else { 0.0 };
    let values = |it: &Reported| -> Vec<f64> {
        it.scores.questions.iter().filter_map(|question| question.values.get(measure).copied()).collect()
    };
    let values: Vec<Vec<f64>> = reported.iter().map(values).collect();
    if values.iter().all(Vec::is_empty) {
        return None;
    }
    let count = |class: usize, values: &Vec<f64>| values.iter().filter(|value| class_of(**value, low) == class).count();
    #[allow(clippy::cast_precision_loss)] // ten
    let begin = |class: usize| low + (1.0 - low) * class as f64 / CLASSES as f64;
    let classes = (0..CLASSES).map(|class| {
        let label =
            if class + 1 == CLASSES { format!("{:.1}–1", begin(class)) } else { format!("{:.1}", begin(class)) };
        (label, values.iter().map(|values| count(class, values)).collect())
    });
    let classes: Vec<(String, Vec<usize>)> = classes.collect();
    let caption = caption(&format!("p-dist{place}"), measure, classes_in_words(&classes, labels));
    Some(figure(
        &caption,
        labels,
        histogram(&caption, &classes),
        "Questions by their number; a class is named by its lower end.",
    ))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // ten classes
fn class_of(value: f64, low: f64) -> usize {
    // A value on the border, as 0.3, may lie below it by rounding.
    let class = ((value - low) / (1.0 - low) * CLASSES as f64 + 1e-9).floor().max(0.0) as usize;
    class.min(CLASSES - 1)
}

fn classes_in_words(classes: &[(String, Vec<usize>)], labels: &[String]) -> String {
    let of_run = |(run, label): (usize, &String)| {
        let counts = classes.iter().filter_map(|(class, counts)| Some((class, *counts.get(run)?)));
        let counts = counts.filter(|(_, count)| *count > 0).map(|(class, count)| format!("{class}: {count}"));
        format!("{label}: {}", counts.collect::<Vec<_>>().join(", "))
    };
    labels.iter().enumerate().map(of_run).collect::<Vec<_>>().join("; ")
}

/// Ranks, by their upper end.
const RANKS: [(usize, &str); 8] =
    [(1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5"), (10, "6–10"), (20, "11–20"), (usize::MAX, "later")];

fn ranks_section(reported: &[Reported], labels: &[String]) -> Section {
    let is_judged = |record: &&Record| {
        [Level::Page, Level::Passage].iter().any(|level| ranking::qrels(&record.question, *level).is_some())
    };
    let ranks = |it: &Reported| -> Vec<Option<usize>> {
        it.run.records.iter().filter(is_judged).map(questions::first_relevant).collect()
    };
    let ranks: Vec<Vec<Option<usize>>> = reported.iter().map(ranks).collect();
    if ranks.iter().all(Vec::is_empty) {
        return None;
    }
    let class =
        |rank: Option<usize>| rank.map_or(RANKS.len(), |rank| RANKS.iter().take_while(|(end, _)| rank > *end).count());
    let names = RANKS.iter().map(|(_, name)| *name).chain(["none"]);
    let classes = names.enumerate().map(|(place, name)| {
        let count = |ranks: &Vec<Option<usize>>| ranks.iter().filter(|rank| class(**rank) == place).count();
        (name.to_owned(), ranks.iter().map(count).collect())
    });
    let classes: Vec<(String, Vec<usize>)> = classes.collect();
    let caption = caption("p-ranks", "Where the first right page stands", classes_in_words(&classes, labels));
    Some(figure(
        &caption,
        labels,
        histogram(&caption, &classes),
        "Questions whose right pages are known; \"none\": it was not found.",
    ))
}

/// Evidence of what is to be answered, and of what is to be refused.
fn evidences(it: &Reported) -> (Vec<f64>, Vec<f64>) {
    let of = |kind: bool| -> Vec<f64> {
        let records = it.run.records.iter().filter(|record| answerable(&record.question) == Some(kind));
        records.filter_map(evidence).collect()
    };
    (of(true), of(false))
}

fn refusal_section(reported: &[Reported], labels: &[String]) -> Section {
    let all: Vec<(Vec<f64>, Vec<f64>)> = reported.iter().map(evidences).collect();
    if all.iter().all(|(answer, refuse)| answer.is_empty() || refuse.is_empty()) {
        return None;
    }
    let largest = all.iter().flat_map(|(a, b)| a.iter().chain(b)).copied().fold(0.0, f64::max);
    let setting = |it: &Reported| it.run.header.settings.get("REFUSE_BELOW")?.parse::<f64>().ok();
    let chosen = reported.iter().find_map(setting);
    let (roc, refused) = (roc_plot(reported, &all, labels), refused_plot(&all, largest, chosen, labels));
    Some(html! { div.plots { (roc) (refused) } })
}

fn roc_plot(reported: &[Reported], all: &[(Vec<f64>, Vec<f64>)], labels: &[String]) -> Markup {
    let lines = all.iter().enumerate().map(|(run, (answer, refuse))| Line {
        run,
        is_dashed: false,
        points: roc(answer, refuse).iter().map(|point| (point.false_positives, point.true_positives)).collect(),
    });
    let lines: Vec<Line> = lines.collect();
    // Where the bot itself stood: the shares that it answered.
    let share = |it: &Reported, measure| estimate(&it.scores.all, measure).map(|it| it.value);
    let stood = |(run, it)| Some((run, 1.0 - share(it, "refusal:recall")?, 1.0 - share(it, "refusal:false")?));
    let points: Vec<(usize, f64, f64)> = reported.iter().enumerate().filter_map(stood).collect();
    let areas = reported
        .iter()
        .zip(labels)
        .filter_map(|(it, label)| Some(format!("{label}: area {:.3}", share(it, "refusal:AUROC")?)));
    let stood = points.iter().map(|(_, x, y)| {
        format!("the bot answered {:.0} % of what is to be refused and {:.0} % of the rest", x * 100.0, y * 100.0)
    });
    let description = areas.chain(stood).collect::<Vec<_>>().join("; ");
    let caption = caption("p-roc", "Telling what can be answered (ROC)", description.clone());
    let axes = Axes {
        x: "answered of what is to be refused".to_owned(),
        y: "answered of the rest".to_owned(),
        right: 1.0,
        end: "1".to_owned(),
    };
    figure(
        &caption,
        labels,
        chart(&caption, &axes, &lines, &points, None),
        &format!("The curve: all thresholds. The sign: what the bot did. {description}."),
    )
}

fn refused_plot(all: &[(Vec<f64>, Vec<f64>)], largest: f64, chosen: Option<f64>, labels: &[String]) -> Markup {
    let lines = all.iter().enumerate().flat_map(|(run, (answer, refuse))| {
        let line = |values: &Vec<f64>, is_dashed| Line { run, is_dashed, points: below(values, largest) };
        [line(refuse, false), line(answer, true)]
    });
    let lines: Vec<Line> = lines.collect();
    let at = chosen.map_or_else(String::new, |it| format!(" The upright line: the setting, {it}."));
    let note = format!("Whole line: what is to be refused. Dashed: what is to be answered.{at}");
    let shares = all.iter().zip(labels).filter_map(|((answer, refuse), label)| {
        let chosen = chosen?;
        let percent = |values: &[f64]| 100.0 * share_below(values, chosen);
        Some(format!(
            "{label}: at {chosen}, {:.0} % of what is to be refused and {:.0} % of the rest",
            percent(refuse),
            percent(answer)
        ))
    });
    let description = format!("{note} {}", shares.collect::<Vec<_>>().join("; "));
    let caption = caption("p-refused", "Refused share against the threshold", description);
    let axes = Axes {
        x: "threshold (evidence)".to_owned(),
        y: "refused share".to_owned(),
        right: largest,
        end: format!("{largest:.2}"),
    };
    figure(&caption, labels, chart(&caption, &axes, &lines, &[], chosen), &note)
}

#[allow(clippy::cast_precision_loss)] // counts of questions
fn share_below(values: &[f64], threshold: f64) -> f64 {
    values.iter().filter(|value| **value < threshold).count() as f64 / values.len().max(1) as f64
}

/// The share of values below each threshold, as steps.
fn below(values: &[f64], end: f64) -> Vec<(f64, f64)> {
    let mut thresholds = values.to_vec();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    let mut points = vec![(0.0, share_below(values, 0.0))];
    for threshold in thin(&thresholds) {
        let before = share_below(values, threshold);
        let behind = share_below(values, threshold + f64::EPSILON.max(threshold.abs() * 1e-12));
        points.extend([(threshold, before), (threshold, behind)]);
    }
    points.push((end, points.last().map_or(0.0, |point| point.1)));
    points
}

/// Points of a curve that can be told apart on 300 units.
const POINTS: usize = 300;

/// Evenly some of many numbers, with the last.
fn thin(values: &[f64]) -> Vec<f64> {
    let step = values.len().div_ceil(POINTS).max(1);
    let some = values.iter().step_by(step).chain(values.last().filter(|_| values.len() % step != 1));
    some.copied().collect()
}

fn times_section(reported: &[Reported], labels: &[String]) -> Section {
    let of =
        |it: &Reported, ms: fn(&Record) -> Option<f64>| -> Vec<f64> { it.run.records.iter().filter_map(ms).collect() };
    let first = |it: &Reported| of(it, |record| record.times.first_token_ms);
    let last = |it: &Reported| of(it, |record| record.times.last_ms);
    let all: Vec<(Vec<f64>, Vec<f64>)> = reported.iter().map(|it| (first(it), last(it))).collect();
    let largest = all.iter().flat_map(|(a, b)| a.iter().chain(b)).copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return None;
    }
    let lines = all.iter().enumerate().flat_map(|(run, (first, last))| {
        let line = |values: &Vec<f64>, is_dashed| Line { run, is_dashed, points: below(values, largest) };
        [line(first, true), line(last, false)].into_iter().filter(|line| line.points.len() > 2)
    });
    let lines: Vec<Line> = lines.collect();
    let names = ["first-token:median", "first-token:p95", "last:median", "last:p95"];
    let said = reported.iter().zip(labels).map(|(it, label)| {
        let numbers = names
            .iter()
            .filter_map(|name| Some(format!("{name} {}", number(name, estimate(&it.scores.all, name)?.value))));
        format!("{label}: {}", numbers.collect::<Vec<_>>().join(", "))
    });
    let said = said.collect::<Vec<_>>().join("; ");
    let caption = caption("p-times", "How long answers took", said.clone());
    let axes = Axes {
        x: "milliseconds".to_owned(),
        y: "share of answers".to_owned(),
        right: largest,
        end: format!("{largest:.0}"),
    };
    let note = format!("Dashed: until the first word. Whole line: until the end. {said}.");
    Some(figure(&caption, labels, chart(&caption, &axes, &lines, &[], None), &note))
}

/// Changed questions written in full.
const CHANGES: usize = 400;

/// A comparison, with the answers side by side.
pub fn comparison(comparison: &Comparison, is_all: bool) -> String {
    let shown: Vec<&Change> = comparison.questions.iter().filter(|change| is_all || !change.is_same()).collect();
    let body = html! {
        @for notice in notices(comparison) { p { (notice) } }
        @for header in [&comparison.before, &comparison.after] {
            @for warning in loud(header) { div.loud role="note" { p { strong { (header.label) ": " (warning) } } } }
        }
        p { strong { (verdict(comparison)) } }
        section aria-labelledby="numbers" {
            h2 id="numbers" { "Numbers" }
            (html_table(&table(&comparison.measures), "Each measure before and after, over the same questions"))
            p.soft { (footnote(comparison)) }
        }
        section aria-labelledby="questions" {
            h2 id="questions" { "Questions" }
            @if shown.is_empty() { p { "None changed." } }
            @if shown.len() > CHANGES { p.soft { "The first " (CHANGES) " of " (shown.len()) ", those that lost most first." } }
            @for change in shown.iter().take(CHANGES) { (changed(change, &comparison.before.label, &comparison.after.label)) }
        }
    };
    page(&format!("Comparison: {}", title(comparison)), &[("numbers", "Numbers"), ("questions", "Questions")], body)
}

fn changed(change: &Change, before: &str, after: &str) -> Markup {
    let lines: Vec<String> = lines(change);
    let (class, sign) = match change.gain {
        gain if gain < 0.0 => ("bad", "▼"),
        gain if gain > 0.0 => ("good", "▲"),
        _ => ("soft", "·"),
    };
    html! {
        details {
            summary { span class=(class) aria-hidden="true" { (sign) } " " code { (change.question.id) } " " (change.question.question) }
            @if !change.question.turns.is_empty() { ol { @for turn in &change.question.turns { li { (turn) } } } }
            @if change.is_same() { p { "Unchanged." } }
            ul { @for line in lines { li { (line) } } }
            div.sides { (side(before, "before", &change.before)) (side(after, "after", &change.after)) }
        }
    }
}

fn side(label: &str, when: &str, outcome: &Outcome) -> Markup {
    html! {
        div {
            h3 { (label) " (" (when) "), " (crate::compare::show::ending(outcome.kind)) }
            @if !outcome.text.is_empty() { div.answer { (outcome.text.chars().take(8000).collect::<String>()) } }
        }
    }
}
