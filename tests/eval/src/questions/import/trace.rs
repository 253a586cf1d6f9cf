//! What visitors asked, from traces. A trace tells what was found and not whether it was right, so only
//! what an answer cites is proposed as its pages.

use std::collections::BTreeMap;

use docent_core::trace::{Candidate, Trace};
use serde::Deserialize;

use super::feedback::{Source, cited, pages_too};
use super::{Imported, cleaned, judged};
use crate::questions::{Question, lint};

/// An answer of the API that was asked for its trace.
#[derive(Deserialize)]
struct Traced {
    trace: Trace,
    #[serde(default)]
    answer: String,
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a trace, an answer with a trace, or a list of them")]
enum Item {
    Answer(Box<Traced>),
    Trace(Box<Trace>),
    List(Vec<Item>),
}

impl Item {
    /// The traces in it, each with the addresses that its answer cites.
    fn traces(self) -> Vec<(Trace, Vec<String>)> {
        match self {
            Self::Answer(answer) => vec![(answer.trace, cited(&answer.answer, &answer.sources))],
            Self::Trace(trace) => {
                let is_cited = |found: &&Candidate| found.n.is_some_and(|n| trace.cited.contains(&n));
                let addresses = trace.candidates.iter().filter(is_cited).map(|found| found.url.clone()).collect();
                vec![(*trace, addresses)]
            }
            Self::List(items) => items.into_iter().flat_map(Self::traces).collect(),
        }
    }
}

pub(super) fn import(text: &str, imported: &mut Imported) -> Result<(), String> {
    let mut order = Vec::new();
    let mut all: BTreeMap<String, (Question, usize, usize)> = BTreeMap::new();
    // One value a line, or one over many lines: `docent why` indents.
    let items = serde_json::Deserializer::from_str(text).into_iter::<Item>().collect::<Result<Vec<_>, _>>();
    let items = items.map_err(|error| format!(":{}: {error}", error.line()))?;
    for (trace, cited) in items.into_iter().flat_map(Item::traces) {
        if trace.queries.len() > 1 {
            // Alone it means something else, and the trace does not tell what was said before.
            imported.lost("follow-up questions, whose earlier turns are not in a trace");
            continue;
        }
        let asked = Question { question: cleaned(&trace.question), ..Question::default() };
        let asks = lint::same(&asked);
        let (question, count, refused) = all.entry(asks.clone()).or_insert_with(|| {
            order.push(asks);
            (asked, 0, 0)
        });
        *count += 1;
        *refused += usize::from(trace.refused_by.is_some());
        if trace.refused_by.is_none() {
            judged(question, pages_too(cited));
        }
    }
    for (mut question, count, refused) in order.iter().filter_map(|asks| all.remove(asks)) {
        let refusals = if refused > 0 { format!(", refused {refused} times") } else { String::new() };
        question.source = Some(format!("traces: asked {count} times{refusals}"));
        question.tags = vec!["trace".to_owned()];
        question.draft = true;
        imported.add(question);
    }
    Ok(())
}
