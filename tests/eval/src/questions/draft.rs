//! `docent-eval draft`: proposes questions that the documentation answers, for a person to confirm.
//!
//! Headings are what authors think that readers look for: a question stands there as it is, a task
//! becomes "How do I …?", and a term that its section explains becomes "What is …?". Most headings are
//! neither ("Options", "Overview") and give nothing: ten good drafts are worth more than a hundred.
#![allow(clippy::doc_markdown)] // the documentation of arguments is what --help prints, as it is

mod wording;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use docent_core::document::Generator;
use sha2::{Digest as _, Sha256};

use super::docs::{Docs, Page, Section};
use super::{Grades, Question, write};
use wording::Proposed;

/// A section with less of its own text answers nothing.
const FEW_CHARS: usize = 80;
/// Share of the words of two questions together that both have, above which they ask the same.
const ALIKE: f64 = 0.75;

/// Arguments of `docent-eval draft`.
#[derive(Debug, clap::Args)]
pub struct Draft {
    /// Documentation: a folder or a file.
    pub docs: PathBuf,

    /// File to write, as YAML; standard output without it.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Questions at most; all without it.
    #[arg(long, value_name = "N")]
    pub count: Option<usize>,

    /// Which ones are taken when there are more.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Questions that are there already, and are not proposed again. May be given again.
    #[arg(long, value_name = "FILE")]
    pub known: Vec<PathBuf>,

    /// Where the documentation is published.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    /// Program that makes the site, where its configuration is not found.
    #[arg(long, value_name = "GENERATOR", value_parser = docent_ingest::cli::generator())]
    pub site: Option<Generator>,
}

impl Draft {
    /// Writes the drafts.
    ///
    /// # Errors
    /// What cannot be read or written, in words.
    pub fn run(&self) -> Result<ExitCode, String> {
        let docs = Docs::read(&self.docs, self.base_url.as_deref(), self.site)?;
        docs.failed.iter().for_each(|failed| eprintln!("not read: {failed}"));
        let mut known = Vec::new();
        for path in &self.known {
            known.extend(super::read(path).map_err(|error| error.to_string())?.questions);
        }
        let drafts = picked(drafts(&docs, &known), self.count, self.seed);
        write::out(self.out.as_deref(), &write::yaml(Some(&docs.base_url), &drafts)?)?;
        eprintln!("{} drafts from {} pages; delete `draft: true` where one is right", drafts.len(), docs.pages.len());
        Ok(ExitCode::SUCCESS)
    }
}

/// Everything that can be proposed, in the order of the documentation. What is known is left out, and
/// what two pages answer is one question with both.
pub fn drafts(docs: &Docs, known: &[Question]) -> Vec<Question> {
    let mut asked: Vec<BTreeSet<String>> = known.iter().map(|question| words(&question.question)).collect();
    let known = asked.len();
    let mut drafts: Vec<Question> = Vec::new();
    for (name, page) in &docs.pages {
        for section in &page.sections {
            let Some(draft) = proposed(name, page, section) else { continue };
            let own = words(&draft.question);
            let first = asked.iter().position(|other| alike(other, &own));
            match first.map(|first| first.checked_sub(known)) {
                None => {
                    asked.push(own);
                    drafts.push(draft);
                }
                // The same heading elsewhere answers it as well; one that is only alike may not.
                Some(Some(first)) => {
                    if let Some(first) = drafts.get_mut(first).filter(|first| words(&first.question) == own) {
                        first.pages.0.extend(draft.pages.0);
                        first.passages.0.extend(draft.passages.0);
                    }
                }
                Some(None) => {}
            }
        }
    }
    identified(drafts)
}

fn proposed(name: &str, page: &Page, section: &Section) -> Option<Question> {
    if section.text.chars().count() < FEW_CHARS {
        return None;
    }
    let Proposed { question, tag } = wording::question(&section.heading, &section.text)?;
    let one = |name: String| Grades(BTreeMap::from([(name, 1)]));
    // The first heading of a page is the page.
    let is_passage = section.level > 1 && !section.anchor.is_empty();
    Some(Question {
        question,
        pages: one(name.to_owned()),
        passages: if is_passage { one(format!("{name}#{}", section.anchor)) } else { Grades::default() },
        tags: vec![tag.to_owned()],
        source: Some(format!("{}: {}", page.path, section.heading)),
        draft: true,
        ..Question::default()
    })
}

fn identified(mut drafts: Vec<Question>) -> Vec<Question> {
    let mut taken = BTreeMap::new();
    for draft in &mut drafts {
        let slug = super::read::slug(&draft.question);
        let count: &mut u32 = taken.entry(slug.clone()).or_default();
        *count += 1;
        draft.id = if *count == 1 { slug } else { format!("{slug}-{count}") };
    }
    drafts
}

/// The same ones for the same seed, whatever else is there.
fn picked(drafts: Vec<Question>, count: Option<usize>, seed: u64) -> Vec<Question> {
    let Some(count) = count else { return drafts };
    let lot = |draft: &Question| Sha256::digest(format!("{seed} {}", draft.id)).to_vec();
    let mut lots: Vec<Vec<u8>> = drafts.iter().map(lot).collect();
    lots.sort();
    let taken: BTreeSet<_> = lots.into_iter().take(count).collect();
    drafts.into_iter().filter(|draft| taken.contains(&lot(draft))).collect()
}

/// The words that tell one question from another.
fn words(question: &str) -> BTreeSet<String> {
    const EVERYWHERE: [&str; 24] = [
        "a", "an", "the", "how", "do", "i", "to", "is", "are", "what", "can", "does", "in", "of", "for", "my", "your",
        "you", "with", "on", "and", "it", "we", "should",
    ];
    let lower = question.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words
        .filter(|word| !EVERYWHERE.contains(word))
        .map(|word| word.strip_suffix('s').unwrap_or(word).to_owned())
        .collect()
}

#[allow(clippy::cast_precision_loss)] // words of a question
fn alike(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    let both = one.intersection(other).count();
    let all = one.union(other).count();
    all > 0 && both as f64 / all as f64 >= ALIKE
}
