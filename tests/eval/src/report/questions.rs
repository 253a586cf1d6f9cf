//! Every question on the page: what was asked, what came back, and what was expected, to be opened;
//! grouped by what is wrong with it, the worst first.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::page::link;
use super::text::{number, short};
use super::{Reported, Verdict, labels};
use crate::compare::{says, written};
use crate::questions::Question;
use crate::records::{Answer, Found, Record};

/// Questions written in full on one page, the worst first, and how many characters they may take: a
/// page of thousands has to open on a phone.
const IN_FULL: usize = 400;

/// Characters of all questions in full.
const CHARACTERS: usize = 6_000_000;

/// Characters of an answer and of a passage that are shown.
const ANSWER: usize = 8000;
const PASSAGE: usize = 600;

/// Passages shown of a ranking; those cited and those judged relevant are shown wherever they are.
const PASSAGES: usize = 10;

/// A question with what came back in each run.
struct Asked<'a> {
    place: usize,
    question: &'a Question,
    verdict: Verdict,
    records: Vec<(usize, &'a Record)>,
}

/// All questions.
pub(super) fn section(reported: &[Reported]) -> Markup {
    let asked = asked(reported);
    let group = |verdict| (verdict, asked.iter().filter(|it| it.verdict == verdict).collect::<Vec<_>>());
    let groups: Vec<_> = Verdict::ALL.into_iter().map(group).filter(|(_, group)| !group.is_empty()).collect();
    let labels = labels(reported);
    let mut room = (IN_FULL, CHARACTERS);
    html! {
        nav aria-label="Questions by verdict" {
            ul { @for (verdict, group) in &groups { li { a href={ "#" (anchor(*verdict)) } { (verdict.heading()) " (" (group.len()) ")" } } } }
        }
        @if asked.len() > IN_FULL {
            p.soft { "Of " (asked.len()) " questions the first " (IN_FULL) " can be opened, those that went wrong first (fewer, where they are long); of the rest there is a line each. The CSV and the run itself have all." }
        }
        @for (verdict, group) in &groups {
            h3 id=(anchor(*verdict)) { (mark(*verdict)) " " (verdict.heading()) " (" (group.len()) ")" }
            (list(group, &labels, reported, &mut room))
        }
    }
}

fn anchor(verdict: Verdict) -> String {
    format!("{verdict:?}").to_lowercase()
}

/// The worst of its runs and repeats decides where a question stands.
fn asked(reported: &[Reported]) -> Vec<Asked<'_>> {
    let mut asked: Vec<Asked> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (run, it) in reported.iter().enumerate() {
        for record in &it.run.records {
            let place = *places.entry(&record.question.id).or_insert(asked.len());
            if place == asked.len() {
                asked.push(Asked { place, question: &record.question, verdict: Verdict::Right, records: Vec::new() });
            }
            let Some(known) = asked.get_mut(place) else { continue };
            known.verdict = known.verdict.min(Verdict::of(record));
            known.records.push((run, record));
        }
    }
    asked
}

fn list(group: &[&Asked], labels: &[String], reported: &[Reported], room: &mut (usize, usize)) -> Markup {
    let (mut in_full, mut in_short) = (Vec::new(), Vec::new());
    for asked in group {
        if room.0 == 0 {
            in_short.push(*asked);
            continue;
        }
        let shown = in_details(asked, labels, reported);
        let left = room.1.checked_sub(shown.0.len());
        *room = left.map_or((0, 0), |left| (room.0 - 1, left));
        match left {
            Some(_) => in_full.push(shown),
            None => in_short.push(*asked),
        }
    }
    html! {
        @for shown in in_full { (shown) }
        @if !in_short.is_empty() {
            div.scroll tabindex="0" role="group" aria-label="Further questions" {
                table {
                    caption { "Further questions" }
                    thead { tr { th scope="col" { "Question" } th scope="col" { "Text" } th.number scope="col" { "Rank" } } }
                    tbody {
                        @for asked in in_short {
                            tr {
                                th scope="row" { (asked.question.id) }
                                td { (short(&asked.question.question, 100)) }
                                td.number { (asked.records.first().and_then(|(_, it)| first_relevant(it)).map_or_else(|| "–".to_owned(), |rank| rank.to_string())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Rank of the first right page, where pages are judged and one is found; else of the first right
/// passage.
pub(super) fn first_relevant(record: &Record) -> Option<usize> {
    use crate::measures::ranking::{page_ranking, passage_ranking};
    let (grades, ranking) = if record.question.pages.is_empty() {
        (&record.question.passages, passage_ranking(record))
    } else {
        (&record.question.pages, page_ranking(record))
    };
    ranking.iter().position(|(name, _)| grades.0.get(name).is_some_and(|grade| *grade > 0)).map(|place| place + 1)
}

fn mark(verdict: Verdict) -> Markup {
    let class = match verdict {
        Verdict::Right => "good",
        Verdict::NotJudged => "soft",
        _ => "bad",
    };
    html! { span class=(class) aria-hidden="true" { (verdict.sign()) } }
}

fn in_details(asked: &Asked, labels: &[String], reported: &[Reported]) -> Markup {
    let question = asked.question;
    html! {
        details id={ "q" (asked.place) } {
            summary { (mark(asked.verdict)) " " code { (question.id) } " " (question.question) }
            @if !question.turns.is_empty() {
                h4 { "Said before" }
                ol { @for turn in &question.turns { li { (turn) } } }
            }
            (expected(question))
            div.sides {
                @for (run, record) in &asked.records {
                    div {
                        @if labels.len() > 1 || record.repeat > 0 {
                            h4 { (labels.get(*run).map_or("", String::as_str)) @if record.repeat > 0 { " (repeat " (record.repeat) ")" } }
                        }
                        (came_back(asked.place, *run, record))
                        (values(reported.get(*run), &question.id))
                    }
                }
            }
        }
    }
}

fn expected(question: &Question) -> Markup {
    let page = question.page.as_ref().map(|page| format!("asked on {page}"));
    let lang = question.lang.as_ref().map(|lang| format!("answer in {lang}"));
    let tags = (!question.tags.is_empty()).then(|| format!("tags: {}", question.tags.join(", ")));
    let refuse = question.refuse.then(|| "to be refused".to_owned());
    let source = question.source.as_ref().map(|source| format!("from {source}"));
    let said: Vec<String> = [refuse, tags, page, lang, source].into_iter().flatten().collect();
    html! {
        @if !said.is_empty() { p.soft { (said.join(" · ")) } }
        @if let Some(reference) = &question.answer.reference { h4 { "A right answer" } p.answer { (reference) } }
    }
}

fn came_back(place: usize, run: usize, record: &Record) -> Markup {
    let id = format!("q{place}-{run}-{}", record.repeat);
    html! {
        @if let Some(error) = &record.error { p.bad { "✗ " (error.code) ": " (error.message) } }
        @if let Some(answer) = &record.answer { (answered(&id, answer, record)) }
        (facts(record))
        (sources(&id, record))
        (times(record))
    }
}

fn answered(id: &str, answer: &Answer, record: &Record) -> Markup {
    let shown: String = answer.text.chars().take(ANSWER).collect();
    let model = if answer.model.is_empty() { "no model asked" } else { &answer.model };
    html! {
        h4 { @if answer.refused { "Refused" } @else { "Answer" } }
        div.answer { (with_citations(id, &shown, record)) @if shown.len() < answer.text.len() { " … (cut)" } }
        p.soft { (model) @if answer.finish != "stop" { " · finish: " (answer.finish) } @if let Some(cost) = answer.cost_usd { " · " (number("cost", cost)) } }
    }
}

/// The text with `[1]` leading to its source; a number that was not offered is marked.
fn with_citations(id: &str, text: &str, record: &Record) -> Markup {
    let mut pieces: Vec<Markup> = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('[') {
        let number = behind.split_once(']').and_then(|(inner, after)| Some((inner.parse::<u32>().ok()?, after)));
        let Some((n, after)) = number else {
            pieces.push(html! { (before) "[" });
            rest = behind;
            continue;
        };
        let is_offered = record.ranking.iter().any(|found| found.n == Some(n));
        pieces.push(html! {
            (before)
            @if is_offered { a href={ "#" (id) "-" (n) } { "[" (n) "]" } }
            @else { span.bad { "[" (n) "]✗" } }
        });
        rest = after;
    }
    html! { @for piece in pieces { (piece) } (rest) }
}

fn facts(record: &Record) -> Markup {
    let expected = &record.question.answer;
    let must = expected.must.iter().map(|fact| (says(record, fact), "", fact));
    let must_not = expected.must_not.iter().map(|fact| (!says(record, fact), "not: ", fact));
    let facts: Vec<_> = must.chain(must_not).collect();
    html! {
        @if !facts.is_empty() && record.answer.is_some() {
            h4 { "Facts" }
            ul.facts {
                @for (held, prefix, fact) in facts {
                    li {
                        @if held { span.good { "✓ " } } @else { span.bad { "✗ " } }
                        (prefix) (written(fact))
                        span.soft { @if held { "" } @else if prefix.is_empty() { " (missing)" } @else { " (said)" } }
                    }
                }
            }
        }
    }
}

fn grade(record: &Record, found: &Found) -> Option<u32> {
    let question = &record.question;
    question.passages.0.get(&found.passage).or_else(|| question.pages.0.get(&found.page)).copied()
}

fn sources(id: &str, record: &Record) -> Markup {
    let is_shown = |(place, found): &(usize, &Found)| {
        *place < PASSAGES || found.n.is_some() || grade(record, found).is_some_and(|grade| grade > 0)
    };
    let shown: Vec<(usize, &Found)> = record.ranking.iter().enumerate().filter(is_shown).take(3 * PASSAGES).collect();
    html! {
        @if record.ranking.is_empty() { p.soft { "Nothing was found." } }
        @else {
            div.scroll tabindex="0" role="group" aria-label="Sources" {
                table {
                    caption { "Found, best first" }
                    thead { tr { th.number scope="col" { "Rank" } th scope="col" { "Page" } th scope="col" { "Judged" } th.number scope="col" { "Score" } } }
                    tbody { @for (place, found) in shown { (source(id, place, found, grade(record, found))) } }
                }
            }
        }
    }
}

fn source(id: &str, place: usize, found: &Found, grade: Option<u32>) -> Markup {
    let name = if found.passage.is_empty() { &found.page } else { &found.passage };
    html! {
        tr id=[found.n.map(|n| format!("{id}-{n}"))] {
            td.number { (place + 1) }
            td {
                @if let Some(n) = found.n { "[" (n) "] " }
                (link(&found.url, name))
                @if !found.heading.is_empty() { br; small { (found.heading) } }
                @if found.n.is_some() && !found.text.is_empty() { br; small { (short(&found.text, PASSAGE)) } }
            }
            td {
                @match grade {
                    Some(0) => { span.bad { "✗ 0" } },
                    Some(grade) => { span.good { "✓ " (grade) } },
                    None => { span.soft { "–" } },
                }
            }
            td.number { (format!("{:.4}", found.score)) }
        }
    }
}

fn times(record: &Record) -> Markup {
    let times = &record.times;
    let parts = [("first event", times.first_event_ms), ("first word", times.first_token_ms), ("all", times.last_ms)];
    let parts = parts.into_iter().filter_map(|(what, ms)| Some(format!("{what} {:.0} ms", ms?)));
    let parts: Vec<String> = parts.collect();
    html! { @if !parts.is_empty() { p.soft { "Time: " (parts.join(" · ")) } } }
}

fn values(reported: Option<&Reported>, id: &str) -> Markup {
    let scores = reported.and_then(|it| it.scores.questions.iter().find(|scores| scores.id == id));
    let values = scores.map(|scores| {
        let value = |(name, value): (&String, &f64)| format!("{name} {}", number(name, *value));
        let times =
            |(name, _): &(&String, &f64)| !matches!(super::text::unit(name), crate::measures::Unit::Milliseconds);
        scores.values.iter().filter(times).map(value).collect::<Vec<_>>().join(" · ")
    });
    html! { @if let Some(values) = values { p.soft { (values) } } }
}
