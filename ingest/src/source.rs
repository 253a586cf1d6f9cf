//! Where documents come from, and what became of each.

use std::path::PathBuf;

use docent_core::document::{self, Document, Page, Site};

use crate::report::Failure;
use crate::walk;
use crate::web::{self, Web};

/// One place that documents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub location: Location,
    /// Where its pages are published.
    pub site: Site,
}

/// A folder or file here, or a site on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    Path(PathBuf),
    /// Behind an address.
    Web(Web),
}

/// What became of something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A page to be indexed. Its path is unlike that of any other document of the run.
    Document(Document),
    /// Its author keeps it from search; the reason says how.
    Skipped(Failure),
    /// It could not be read.
    Failed(Failure, Keeps),
}

/// What the index keeps as it is when something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing: there was never anything of it.
    Nothing,
    /// The document of this path, and those whose path is it followed by `#` and more.
    Path(String),
    /// Every document whose path begins so and that was not read in this run.
    Below(String),
}

/// Reads everything, in an order that depends on nothing but the sources.
pub fn read(sources: &[Source], each: &mut dyn FnMut(Outcome)) {
    for source in sources {
        let root = match &source.location {
            Location::Path(root) => root,
            Location::Web(web) => {
                web::read(web, each);
                continue;
            }
        };
        let (files, failures) = walk::walk(std::slice::from_ref(root));
        for failure in failures {
            each(Outcome::Failed(failure, Keeps::Below(String::new())));
        }
        for file in files {
            each(match read_file(&file, &source.site) {
                Ok(Page::Skipped(field)) => {
                    Outcome::Skipped(Failure::new(file.path, format!("{field} in its front matter")))
                }
                Ok(Page::Document(document)) => Outcome::Document(document),
                Err(reason) => {
                    Outcome::Failed(Failure::new(file.location.display(), reason), Keeps::Path(file.path.clone()))
                }
            });
        }
    }
}

fn read_file(file: &walk::File, site: &Site) -> Result<Page, String> {
    let bytes = std::fs::read(&file.location).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8: byte {} is part of no character", error.utf8_error().valid_up_to()))?;
    document::read(&file.path, &text, site).map_err(|error| error.to_string())
}
