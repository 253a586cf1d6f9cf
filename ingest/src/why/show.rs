//! Traces for a person: on a terminal, so nothing that a visitor wrote may steer it.

use std::fmt;

use docent_core::handoff::Why;
use docent_core::tools::Outcome;
use docent_core::trace::{Candidate, Dropped, RoutedBy, Trace, Unknown};

use super::{Explained, Recent, Stored, advice, time};

/// Columns of the timeline's picture.
const WIDTH: u64 = 40;
/// Characters of a question in a list.
const QUESTION_CHARS: usize = 70;

/// Without what a terminal obeys, and on one line.
fn plain(text: &str) -> String {
    let words: String = text.chars().map(|c| if hides(c) { ' ' } else { c }).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Control characters, and those that turn or hide what stands beside them.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn short(text: &str, chars: usize) -> String {
    let text = plain(text);
    if text.chars().count() <= chars {
        return text;
    }
    text.chars().take(chars - 1).chain(['…']).collect()
}

impl fmt::Display for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("of what is kept, nothing was refused, failed or was rated down");
        }
        for (at, Stored { trace, opinion, .. }) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            let rated = opinion.as_ref().map_or(String::new(), |opinion| format!(", rated {}", plain(&opinion.rating)));
            write!(
                f,
                "{end}{}  {}  {:.3}  {:<29} {}",
                plain(&trace.trace_id),
                time(trace.asked_at),
                trace.evidence,
                advice::outcome(trace) + &rated,
                short(&trace.question, QUESTION_CHARS)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stored { trace, opinion, .. } = &self.stored;
        head(f, trace)?;
        if let Some(opinion) = opinion {
            let said = opinion.reasons.iter().chain(Some(&opinion.comment).filter(|comment| !comment.is_empty()));
            let said: Vec<String> = said.map(|text| plain(text)).collect();
            let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
            writeln!(f, "rated      {}{said}", plain(&opinion.rating))?;
        }
        candidates(f, trace)?;
        timeline(f, trace)?;
        if let Some(texts) = &self.texts {
            passages(f, trace, |id| texts.get(id).map(String::as_str))?;
        }
        writeln!(f, "\nWhat to look at")?;
        if let Some((named, pages)) = &self.expected {
            return lines(f, &advice::whereabouts(trace, &plain(named), pages));
        }
        lines(f, &advice::advice(trace))
    }
}

/// One thing a line, the last one without an end.
fn lines(f: &mut fmt::Formatter<'_>, said: &[String]) -> fmt::Result {
    let said: Vec<String> = said.iter().map(|line| format!("- {line}")).collect();
    f.write_str(&said.join("\n"))
}

fn head(f: &mut fmt::Formatter<'_>, trace: &Trace) -> fmt::Result {
    writeln!(f, "question   {}", plain(&trace.question))?;
    writeln!(f, "asked      {}", time(trace.asked_at))?;
    writeln!(f, "outcome    {}{}", advice::outcome(trace), cites(trace))?;
    for query in trace.queries.iter().filter(|query| **query != trace.question) {
        writeln!(f, "searched   also for: {}", plain(query))?;
    }
    let filter = &trace.filter;
    for (name, value) in [("lang", &filter.lang), ("version", &filter.version), ("product", &filter.product)] {
        if let Some(value) = value {
            writeln!(f, "filter     {name} = {}", plain(value))?;
        }
    }
    if trace.generation > 0 {
        writeln!(f, "index      generation {}, spec {}", trace.generation, plain(&trace.spec))?;
        let limit = trace.rules.refuse_below;
        let limit =
            if limit > 0.0 { format!("REFUSE_BELOW {limit}") } else { "no threshold: REFUSE_BELOW 0".to_owned() };
        // For an answer that was given before, nothing was searched.
        if !trace.cached {
            writeln!(f, "evidence   {:.3} ({limit})", trace.evidence)?;
        }
    }
    if let Some(mood) = &trace.mood {
        let found = match (mood.score, mood.unknown) {
            (Some(score), _) => format!("{score:.5}, {}", plain(&mood.label)),
            (None, Some(Unknown::Late)) => "not known in time".to_owned(),
            (None, _) => "not known: the model failed".to_owned(),
        };
        writeln!(f, "mood       {found} (MOOD_BELOW {}), by {}", mood.below, plain(&mood.model))?;
    }
    if let Some(why) = trace.handoff {
        let why = match why {
            Why::Asked => "the visitor asked for one",
            Why::Mood => "the mood is below MOOD_BELOW",
        };
        writeln!(f, "person     the way to one was shown: {why}")?;
    }
    for (at, call) in trace.tries.iter().enumerate() {
        let fault =
            call.fault.as_deref().map_or_else(|| "answered".to_owned(), |fault| format!("failed: {}", plain(fault)));
        let what = if at == 0 { "model     " } else { "then      " };
        // Why it was the first is said where somebody chose.
        let why = match trace.rules.routed.filter(|_| at == 0) {
            Some(RoutedBy::Request) => " (the request named it)",
            Some(RoutedBy::Simple) => " (the question is simple)",
            Some(RoutedBy::Order) | None => "",
        };
        let (model, prompt) = (plain(&call.model), plain(&call.prompt));
        let log = call.log_id.as_deref().map(|id| format!(", gateway log {}", plain(id))).unwrap_or_default();
        writeln!(f, "{what} {model}{why}, {} passages, prompt {prompt}{log}, {fault}", call.offered)?;
    }
    for call in &trace.calls {
        let outcome = match call.outcome {
            Outcome::Answered => "answered".to_owned(),
            Outcome::Refused => format!("not made: {}", plain(&call.reason)),
            Outcome::Failed => format!("failed: {}", plain(&call.reason)),
        };
        writeln!(f, "tool       {} {}, {outcome}, {} ms", plain(&call.name), plain(&call.arguments), call.ms)?;
    }
    if !trace.model.is_empty() {
        let cost = trace.cost_usd.map_or_else(|| "price unknown".to_owned(), |cost| format!("${cost:.6}"));
        let from = trace.cached_from.as_deref().map(|id| format!(", given before for {}", plain(id)));
        let cached = from.unwrap_or_default();
        let usage = trace.usage;
        writeln!(f, "tokens     {} in, {} out, {cost}{cached}", usage.prompt_tokens, usage.completion_tokens)?;
    }
    Ok(())
}

fn cites(trace: &Trace) -> String {
    let numbers: Vec<String> = trace.cited.iter().map(|n| format!("[{n}]")).collect();
    if numbers.is_empty() { String::new() } else { format!(", citing {}", numbers.join(" ")) }
}

/// A table: number, the rank and cosine that each query's vector gave it, the rank that its words gave it,
/// and what was made of it.
fn candidates(f: &mut fmt::Formatter<'_>, trace: &Trace) -> fmt::Result {
    if trace.candidates.is_empty() {
        return Ok(());
    }
    let lists = trace.queries.len().max(1);
    let heads: String = if lists == 1 {
        "  rank  cosine  words".to_owned()
    } else {
        (1..=lists).map(|list| format!("  rank{list}  cosine{list}  words{list}")).collect::<Vec<_>>().concat()
    };
    let is_reranked = trace.candidates.iter().any(|candidate| candidate.reranked.is_some());
    writeln!(f, "\n  n{}{heads}  found", if is_reranked { "  reranked" } else { "" })?;
    for candidate in &trace.candidates {
        let n = candidate.n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        write!(f, "{n:>3}")?;
        if is_reranked {
            let score = candidate.reranked.map_or_else(|| "-".to_owned(), |score| format!("{score:.3}"));
            write!(f, "  {score:>8}")?;
        }
        for list in 0..lists {
            let wide = usize::from(lists > 1);
            let place = |ranks: &[Option<u32>]| {
                ranks.get(list).copied().flatten().map_or_else(|| "-".to_owned(), |rank| rank.to_string())
            };
            let (rank, words) = (place(&candidate.ranks), place(&candidate.word_ranks));
            let score = candidate.scores.get(list).copied().flatten();
            let score = score.map_or_else(|| "-".to_owned(), |score| format!("{score:.3}"));
            write!(f, "  {rank:>0$}  {score:>1$}  {words:>2$}", 4 + wide, 6 + wide, 5 + wide)?;
        }
        writeln!(f, "  {} <{}>{}", named(candidate), plain(&candidate.url), remark(trace, candidate))?;
    }
    if trace.left_out > 0 {
        writeln!(f, "    and {} more, which are not kept", trace.left_out)?;
    }
    if lists > 1 {
        for (list, query) in (1..).zip(&trace.queries) {
            writeln!(f, "    rank{list}, cosine{list}, words{list}: {}", short(query, QUESTION_CHARS))?;
        }
    }
    Ok(())
}

fn named(candidate: &Candidate) -> String {
    let (title, heading) = (plain(&candidate.title), plain(&candidate.heading));
    if heading.is_empty() { title } else { format!("{title} › {heading}") }
}

fn remark(trace: &Trace, candidate: &Candidate) -> String {
    let cited = candidate.n.is_some_and(|n| trace.cited.contains(&n));
    let dropped = match candidate.dropped {
        Some(Dropped::Rank) => Some("below TOP_K"),
        Some(Dropped::Duplicate) => Some("as one before"),
        Some(Dropped::Page) => Some("enough of its page"),
        Some(Dropped::Room) => Some("no room in the prompt"),
        None => None,
    };
    let remarks = [cited.then_some("cited"), dropped, candidate.here.then_some("the visitor's page")];
    let remarks: Vec<&str> = remarks.into_iter().flatten().collect();
    if remarks.is_empty() { String::new() } else { format!("  ({})", remarks.join(", ")) }
}

/// What took how long, each step under the one before.
fn timeline(f: &mut fmt::Formatter<'_>, trace: &Trace) -> fmt::Result {
    let steps = &trace.steps;
    let mut ends = vec![
        ("read the conversation".to_owned(), steps.recalled_ms),
        ("write it anew".to_owned(), steps.rewritten_ms),
        ("embed the question".to_owned(), steps.embedded_ms),
        ("search".to_owned(), steps.searched_ms),
        ("rerank".to_owned(), steps.reranked_ms),
    ];
    let failed = trace.tries.iter().filter(|call| call.fault.is_some() && call.ended_ms <= steps.first_word_ms.max(1));
    ends.extend(failed.map(|call| (format!("{} fails", plain(&call.model)), call.ended_ms)));
    ends.push(("first word".to_owned(), steps.first_word_ms));
    ends.push(("whole answer".to_owned(), steps.answered_ms));
    let all = steps.answered_ms.max(1);
    let mut begun = 0;
    writeln!(f, "\n     ms  step")?;
    let column = |ms: u64| usize::try_from(ms.min(all) * WIDTH / all).unwrap_or_default();
    if steps.mood_ms > 0 {
        // Beside the others, from the beginning.
        writeln!(
            f,
            "{:>7}  {:<22} {}",
            steps.mood_ms,
            "mood, beside the rest",
            "=".repeat(column(steps.mood_ms).max(1))
        )?;
    }
    for (what, end) in ends.into_iter().filter(|(_, end)| *end > 0) {
        let from = column(begun);
        let bar = "=".repeat((column(end).saturating_sub(from)).max(1));
        writeln!(f, "{end:>7}  {what:<22} {}{bar}", " ".repeat(from))?;
        begun = end;
    }
    Ok(())
}

fn passages<'t>(f: &mut fmt::Formatter<'_>, trace: &Trace, text: impl Fn(&str) -> Option<&'t str>) -> fmt::Result {
    for candidate in &trace.candidates {
        let Some(n) = candidate.n else { continue };
        writeln!(f, "\n[{n}] {}", named(candidate))?;
        match text(&candidate.id) {
            Some(text) => text.lines().try_for_each(|line| {
                let line: String = line.chars().map(|c| if hides(c) && c != '\t' { ' ' } else { c }).collect();
                writeln!(f, "    {line}")
            })?,
            None => writeln!(f, "    (its generation is not kept any more)")?,
        }
    }
    Ok(())
}
