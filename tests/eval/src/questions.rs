//! Questions, each with what a right answer has in it.
//!
//! Nothing of a question is needed but its text: what is not said is not judged. A question that
//! names neither pages nor facts and is not to be refused is asked and recorded all the same.
//!
//! A file of them is read by [`read()`], whatever form it has; [`finding`] is how its mistakes are told.

pub mod docs;
pub mod draft;
pub mod export;
pub mod finding;
pub mod import;
pub mod lint;
mod read;
pub mod trec;
mod write;

use std::collections::BTreeMap;

use docent_core::vectorize::Filter;
use serde::{Deserialize, Serialize};

use crate::pages;

pub use read::{QuestionSet, QuestionsError, read, read_judged};

/// One question, as it stands in a file and in the records of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Names it in tables and files: no blanks, one question each. Where a file gives none, reading it
    /// makes one from the text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What is asked.
    pub question: String,
    /// What the visitor said before, oldest first. Each is asked in the same conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<String>,
    /// Pages that answer it, with grades: [`crate::pages`] says how one is written.
    #[serde(default, skip_serializing_if = "Grades::is_empty")]
    pub pages: Grades,
    /// Sections that answer it, written as a page and its anchor: `ingest#guards`.
    #[serde(default, skip_serializing_if = "Grades::is_empty")]
    pub passages: Grades,
    /// What the answer has to say.
    #[serde(default, skip_serializing_if = "Expected::is_empty")]
    pub answer: Expected,
    /// The documentation does not answer it, so the bot has to refuse.
    #[serde(default, skip_serializing_if = "is_false")]
    pub refuse: bool,
    /// Tool that has to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Groups that are reported apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Language that the answer has to be in, as ISO 639-1; the question's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Page that the visitor reads while asking; sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Filter that is sent along.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filter: Filter,
    /// Where the question comes from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Proposed by a program and not yet confirmed by a person: never asked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub draft: bool,
}

impl Question {
    /// The same question with its pages and passages by name, however they were written, so that they
    /// can be compared with what was found. Of two ways to write one page, the higher grade counts.
    #[must_use]
    pub fn named(mut self, base_url: &str) -> Self {
        let named = |grades: Grades, name: &dyn Fn(&str) -> String| {
            let mut named: BTreeMap<String, u32> = BTreeMap::new();
            for (written, grade) in grades.0 {
                let known = named.entry(name(&written)).or_insert(grade);
                *known = grade.max(*known);
            }
            Grades(named)
        };
        self.pages = named(self.pages, &|written| pages::name(base_url, written).0);
        self.passages = named(self.passages, &|written| pages::passage(base_url, written));
        self
    }
}

/// Pages or passages with how well they answer: 1 and more, 0 for judged and of no use. A file may
/// write a plain list, which stands for 1 each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "GradesAsWritten", into = "BTreeMap<String, u32>")]
pub struct Grades(pub BTreeMap<String, u32>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "pages and passages are a list of names, or names with grades such as `ingest: 2`")]
enum GradesAsWritten {
    Graded(BTreeMap<String, u32>),
    Listed(Vec<String>),
}

impl From<GradesAsWritten> for Grades {
    fn from(written: GradesAsWritten) -> Self {
        match written {
            GradesAsWritten::Graded(grades) => Self(grades),
            GradesAsWritten::Listed(names) => Self(names.into_iter().map(|name| (name, 1)).collect()),
        }
    }
}

impl From<Grades> for BTreeMap<String, u32> {
    fn from(grades: Grades) -> Self {
        grades.0
    }
}

impl Grades {
    /// Whether nothing is judged.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What an answer has to say, and must not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Facts that must be in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must: Vec<Fact>,
    /// What must not be in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_not: Vec<Fact>,
    /// A right answer in full, for a judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Expected {
    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A piece of text that is in an answer or is not; letters' case and the width of blanks do not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged, expecting = "a fact is text, or a list of texts of which one is enough; put numbers in quotes")]
pub enum Fact {
    /// This text.
    Text(String),
    /// One of these: ways to say the same.
    AnyOf(Vec<String>),
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_false(value: &bool) -> bool {
    !value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
