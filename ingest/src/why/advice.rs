//! What to look at next. A trace tells what was found and what was done with it; whether that was
//! right, only a person can say, so each piece of advice says what it depends on.

use docent_core::error::Code;
use docent_core::handoff::Why;
use docent_core::tools::Outcome;
use docent_core::trace::{Candidate, Dropped, RefusedBy, Trace, Unknown};

use super::Page;

/// Evidence this far below `REFUSE_BELOW` is near enough that the threshold itself is in question.
const NEAR: f64 = 0.05;

/// What came of a question, in a few words.
pub(super) fn outcome(trace: &Trace) -> String {
    match (trace.error, trace.refused_by) {
        (Some(code), _) => format!("failed: {}", code.as_str()),
        (None, _) if trace.stopped => "stopped by the visitor".to_owned(),
        (None, Some(RefusedBy::Search)) => "refused: nothing was found".to_owned(),
        (None, Some(RefusedBy::Threshold)) => "refused: too little evidence".to_owned(),
        (None, Some(RefusedBy::Model)) => "refused by the model".to_owned(),
        (None, None) if pointed_to_person(trace) => "pointed to a person".to_owned(),
        (None, None) if trace.cited.is_empty() && trace.calls.iter().any(|call| call.outcome == Outcome::Answered) => {
            "answered by a tool".to_owned()
        }
        (None, None) if trace.cited.is_empty() => "answered without a citation".to_owned(),
        (None, None) => "answered".to_owned(),
    }
}

/// Whether the visitor asked for a person and for nothing else, so that nothing was searched.
fn pointed_to_person(trace: &Trace) -> bool {
    trace.handoff == Some(Why::Asked) && trace.queries.is_empty()
}

/// What to do next.
pub(super) fn advice(trace: &Trace) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(code) = trace.error {
        said.push(format!("The visitor got the error `{}`. {}", code.as_str(), remedy(code)));
        return said;
    }
    if trace.stopped {
        said.push(
            "The visitor stopped the answer, and what they had read by then is all there is of it. If that happens often, \
             the answers begin with what nobody asked for."
                .to_owned(),
        );
        return said;
    }
    if pointed_to_person(trace) {
        said.push(
            "The visitor asked for a person and got the way to one: nothing was searched, and no model was asked. What \
             they had asked before, and why it did not help, is worth a look: docent why --last 50"
                .to_owned(),
        );
        return said;
    }
    if let Some(unknown) = trace.mood.as_ref().and_then(|mood| mood.unknown) {
        said.push(match unknown {
            Unknown::Late => {
                "The mood was not known in time, and the answer did not wait for it: if that happens often, \
                              MOOD_MODEL is too slow to be of use."
                    .to_owned()
            }
            Unknown::Failed => {
                "The mood is not known: what MOOD_MODEL said is in the Worker's log, under this id. It has \
                                to be a text classification model with the labels POSITIVE and NEGATIVE."
                    .to_owned()
            }
        });
    }
    if trace.handoff == Some(Why::Mood) {
        said.push(
            "The visitor was shown the way to a person for the mood of the question. If it reads like a plain question, \
             lower MOOD_BELOW."
                .to_owned(),
        );
    }
    match trace.refused_by {
        Some(RefusedBy::Search) => said.push(nothing_found(trace)),
        Some(RefusedBy::Threshold) => said.push(below(trace)),
        Some(RefusedBy::Model) if trace.tries.iter().any(|call| call.fault.is_some()) && trace.model.is_empty() => {
            said.push("A guardrail of AI Gateway stopped the model; its log there says which.".to_owned());
        }
        Some(RefusedBy::Model) => {
            said.push(
                "The model was offered passages and found no answer in them. Read them with --passages: if one does \
                 answer, try another CHAT_MODEL, or say it more plainly on the page; if none does, the page is missing \
                 or was not found."
                    .to_owned(),
            );
        }
        None if trace.cited.is_empty() => said.push(
            "The answer cites nothing, so nothing says that it is from the documentation: read it beside the passages \
             (--passages), and try another CHAT_MODEL if that happens often."
                .to_owned(),
        ),
        None => {}
    }
    if trace.candidates.iter().any(|candidate| candidate.dropped == Some(Dropped::Rank)) {
        let top_k = trace.rules.top_k;
        said.push(format!(
            "If a page that is listed without a number should have answered, it ranked below TOP_K ({top_k}): raise \
             TOP_K, and measure with docent-eval what that does to other answers."
        ));
    }
    if trace.candidates.iter().any(|candidate| candidate.dropped == Some(Dropped::Room)) {
        said.push(
            "Some passages did not fit the prompt: set a model with a longer context, or lower MAX_TOKENS, \
             HISTORY_TOKENS or TOP_K."
                .to_owned(),
        );
    }
    if trace.queries.len() > 1 {
        said.push(
            "It was a follow-up: if the question before led the search astray, lower CONTEXT_WEIGHT; if it was \
             forgotten, raise it."
                .to_owned(),
        );
    }
    said.push(format!(
        "If the right page is not listed at all, ask about it: docent why {} --page <path or address>",
        trace.trace_id
    ));
    said
}

fn nothing_found(trace: &Trace) -> String {
    let filter = &trace.filter;
    let set = [("lang", &filter.lang), ("version", &filter.version), ("product", &filter.product)];
    let set: Vec<&str> = set.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect();
    if set.is_empty() {
        return "The search found nothing at all: see with `docent status` and `docent verify` whether the index is \
                whole."
            .to_owned();
    }
    format!(
        "The search was limited to one {}, and nothing has that: check what the page sends as `filter`, and what \
         the sources in docent.toml are labelled with.",
        set.join(" and one ")
    )
}

fn below(trace: &Trace) -> String {
    let (evidence, limit) = (trace.evidence, trace.rules.refuse_below);
    if limit - evidence > NEAR {
        return format!(
            "The evidence, {evidence:.3}, is far below REFUSE_BELOW ({limit:.3}): the documentation does not seem to \
             speak of it. If visitors should get an answer, write that page."
        );
    }
    format!(
        "The evidence, {evidence:.3}, is just below REFUSE_BELOW ({limit:.3}). If the first page listed answers the \
         question, the threshold is too high: fit it to your own questions with `docent-eval calibrate`."
    )
}

fn remedy(code: Code) -> &'static str {
    match code {
        Code::BudgetExhausted => "The day's allocation of Workers AI is used up until 00:00 UTC: a paid plan goes on.",
        Code::OverCapacity => "Workers AI had no room: set FALLBACK_MODELS, so that another model is asked.",
        Code::RateLimited => "AI Gateway limits the rate: raise its limit.",
        Code::NotReady => "Ask /v1/health of the bot what is missing.",
        _ => "What the service said is in the Worker's log, under this id.",
    }
}

/// Where a page stood that should have answered.
pub(super) fn whereabouts(trace: &Trace, named: &str, pages: &[Page]) -> Vec<String> {
    if pages.is_empty() {
        return vec![format!(
            "No page of the index has {named:?} in its path or address: it was not ingested, or is called otherwise."
        )];
    }
    pages.iter().map(|page| format!("{}: {}", page.path, whereabouts_of(trace, page))).collect()
}

fn whereabouts_of(trace: &Trace, page: &Page) -> String {
    let of_page = |candidate: &&(usize, &Candidate)| candidate.1.url.split('#').next() == Some(page.url.as_str());
    let candidates: Vec<(usize, &Candidate)> = (1..).zip(&trace.candidates).collect();
    let Some((place, best)) = candidates.iter().find(of_page) else {
        let generation = trace.generation;
        return if page.searched == 0 {
            format!("not in generation {generation}, which was searched, but in another one")
        } else {
            format!(
                "in the index with {} chunks, and none of them was found. Its words are too far from the question's: \
                 say on the page what visitors call it",
                page.chunks
            )
        };
    };
    match (best.n, best.dropped) {
        (Some(n), _) if trace.cited.contains(&n) => format!("offered as [{n}], and the answer cites it"),
        (Some(n), _) => format!("offered as [{n}], and the answer does not cite it"),
        (None, Some(Dropped::Rank)) => {
            format!("found in place {place}, below TOP_K ({}), so no model saw it", trace.rules.top_k)
        }
        (None, Some(Dropped::Duplicate)) => {
            format!("found in place {place}, and says what a passage before it says, so no model saw it")
        }
        (None, Some(Dropped::Page)) => {
            format!("found in place {place}, behind as many passages of its page as a model is offered")
        }
        (None, Some(Dropped::Room)) => format!("found in place {place}, and the prompt had no room for it"),
        (None, None) => format!("found in place {place}, but no model was asked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(evidence: f64) -> Trace {
        let candidate = |url: &str, n| Candidate { url: url.to_owned(), n, ..Candidate::default() };
        let mut trace = Trace {
            candidates: vec![candidate("/a#x", Some(1)), candidate("/b", Some(2)), candidate("/c", None)],
            cited: vec![2],
            evidence,
            ..Trace::default()
        };
        trace.rules.top_k = 2;
        trace.candidates[2].dropped = Some(Dropped::Rank);
        trace
    }

    #[test]
    fn a_page_was_not_there_not_found_not_offered_not_cited_or_cited() {
        let page = |url: &str, searched| Page { path: "p.md".into(), url: url.into(), chunks: 3, searched };
        let told = |url: &str, searched| whereabouts_of(&trace(0.5), &page(url, searched));
        assert!(told("/a", 1).contains("offered as [1], and the answer does not cite it"));
        assert!(told("/b", 1).contains("offered as [2], and the answer cites it"));
        assert!(told("/c", 1).contains("found in place 3, below TOP_K (2)"));
        assert!(told("/d", 1).contains("in the index with 3 chunks, and none of them was found"));
        assert!(told("/d", 0).contains("not in generation 0"));
        assert!(whereabouts(&trace(0.5), "d.md", &[])[0].contains("\"d.md\""));
    }

    #[test]
    fn a_threshold_is_in_question_only_where_the_evidence_is_near_it() {
        let refused = |evidence| {
            let mut trace = Trace { refused_by: Some(RefusedBy::Threshold), ..trace(evidence) };
            trace.rules.refuse_below = 0.5;
            advice(&trace).join(" ")
        };
        assert!(refused(0.46).contains("0.460, is just below REFUSE_BELOW (0.500)"), "{}", refused(0.46));
        assert!(refused(0.3).contains("far below REFUSE_BELOW") && refused(0.3).contains("write that page"));
    }
}
