//! The pages of a folder of documentation with their sections, read as `docent ingest` reads them.

use std::collections::BTreeMap;
use std::path::Path;

use docent_core::document::layout::Layout;
use docent_core::document::{Document, Generator, Site};
use docent_core::markdown;
use docent_ingest::source::{self, Location, Outcome, Source};

use crate::pages;

/// Stands for the address of documentation that is published nowhere yet.
const ANY_BASE: &str = "https://docs.example/";

/// Documentation on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Docs {
    /// Where it is published: as given, else as the configuration of the site says.
    pub base_url: String,
    /// By name, as [`crate::pages`] makes it.
    pub pages: BTreeMap<String, Page>,
    /// What could not be read, in words.
    pub failed: Vec<String>,
}

/// One page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Path below the folder.
    pub path: String,
    /// Its title.
    pub title: String,
    /// Markdown of all of it.
    pub text: String,
    /// In their order; the first may have no heading.
    pub sections: Vec<Section>,
}

/// A heading with what follows it, up to the next heading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// 1 to 6; 0 for what stands before the first heading.
    pub level: u8,
    /// Without markup.
    pub heading: String,
    /// Without `#`; empty if none leads here.
    pub anchor: String,
    /// Markdown below the heading.
    pub text: String,
}

impl Docs {
    /// Reads a folder or a file. `site` is the program that makes the site, where its configuration is
    /// not found.
    ///
    /// # Errors
    /// In words: a base URL that is none, or nothing that could be read.
    pub fn read(folder: &Path, base_url: Option<&str>, site: Option<Generator>) -> Result<Self, String> {
        let found = source::detect(folder).map(|found| found.layout);
        let found = found.filter(|layout| site.is_none_or(|site| site == layout.generator));
        let layout = found.unwrap_or_else(|| Layout { generator: site.unwrap_or_default(), ..Layout::default() });
        let base = base_url.map(str::to_owned).or_else(|| layout.base.clone()).unwrap_or_else(|| ANY_BASE.to_owned());
        let site = Site::of(&base, layout).map_err(|error| format!("--base-url: {error}"))?;
        let location = Location::Path(folder.to_owned());
        let source = Source { location, site, exclude: Vec::new(), prefix: String::new() };
        let mut docs = Self { base_url: base, ..Self::default() };
        source::read(&[source], &mut |outcome| match outcome {
            Outcome::Document(document) => docs.add(document),
            Outcome::Failed(failure, _) => docs.failed.push(format!("{}: {}", failure.path, failure.reason)),
            Outcome::Skipped(_) => {}
        });
        if docs.pages.is_empty() {
            let reasons = docs.failed.join("; ");
            return Err(format!("no documentation could be read in {}; {reasons}", folder.display()));
        }
        Ok(docs)
    }

    fn add(&mut self, document: Document) {
        let (name, anchor) = pages::name(&self.base_url, &document.url);
        let mut sections = sections(&document);
        let Document { path, title, body, .. } = document;
        let page = self.pages.entry(name).or_insert_with(|| Page { path, title, ..Page::default() });
        // Operations of an API share a page, each with an anchor of its own.
        if let (Some(anchor), Some(first)) = (anchor, sections.first_mut()) {
            first.anchor = anchor;
        }
        page.text.push_str(&body);
        page.sections.append(&mut sections);
    }

    /// The text of a passage, `page#anchor`, or of a whole page.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (page, anchor) = pages::name(&self.base_url, name);
        let page = self.pages.get(&page)?;
        let Some(anchor) = anchor else { return Some(&page.text) };
        page.sections.iter().find(|section| section.anchor == anchor).map(|section| section.text.as_str())
    }
}

fn sections(document: &Document) -> Vec<Section> {
    let sections = markdown::sections(&document.body, document.anchors);
    let section = |section: markdown::Section| {
        let (first, last) = (section.blocks.first(), section.blocks.last());
        let lines = first.map_or(0, |block| block.lines.start)..last.map_or(0, |block| block.lines.end);
        let text = document.body.get(lines).unwrap_or_default().trim().to_owned();
        let heading = section.heading;
        let (level, heading, anchor) =
            heading.map(|heading| (heading.level, heading.text, heading.anchor)).unwrap_or_default();
        Section { level, heading, anchor, text }
    };
    sections.into_iter().map(section).collect()
}
