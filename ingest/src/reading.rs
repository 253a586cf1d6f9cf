//! The documentation as it is now: which pages there are, of which chunks, and the chunks that the
//! index does not hold yet.
//!
//! Pages that did not change are recognised by a hash and not split. New chunks wait in a temporary
//! file, so that memory does not grow with the documentation, and so that what was read once is
//! what gets written, whatever happens to the files meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _};

use docent_core::chunk::{self, Chunk};
use docent_core::document::Document;
use docent_core::embedding::{FINGERPRINT, SPEC};
use docent_core::injection;
use docent_core::vectorize::Metadata;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::navigation::Repeated;
use crate::report::{Failure, Suspect};
use crate::run::Progress;
use crate::source::{self, Keeps, Outcome, Source};
use crate::state::{ChunkId, ChunkRef, Page, State, TextHash};

/// Suspects among which the same one is looked for: those of one heading stand together.
const SAME_HEADING: usize = 50;

/// What was read.
pub(crate) struct Reading {
    /// All pages that the next generation shall hold.
    pub(crate) pages: Vec<Page>,
    /// Chunks to write.
    pub(crate) new: Spool,
    /// Pages that ask not to be found.
    pub(crate) skipped: Vec<Failure>,
    /// What could not be read.
    pub(crate) failed: Vec<Failure>,
    /// Pages without text.
    pub(crate) empty: Vec<String>,
    /// What in pages that are new or have changed seems to be meant for the model.
    pub(crate) suspects: Vec<Suspect>,
    /// Lines that stand on many pages.
    pub(crate) repeated: Repeated,
}

impl Reading {
    /// Reads the sources. `known` are the chunks of the state. With `split_all` every page is split
    /// and every chunk waits to be written, whether it changed or not.
    pub(crate) fn of(
        sources: &[Source],
        state: &State,
        known: &HashMap<ChunkId, TextHash>,
        split_all: bool,
        progress: Progress<'_>,
    ) -> std::io::Result<Self> {
        let mut reader = Reader {
            unchanged: if split_all { HashMap::new() } else { unchanged(state) },
            known: if split_all { HashSet::new() } else { known.keys().copied().collect() },
            taken: BTreeMap::new(),
            paths: HashSet::new(),
            keeps: Vec::new(),
            reading: Self {
                pages: Vec::new(),
                new: Spool::new(known)?,
                skipped: Vec::new(),
                failed: Vec::new(),
                empty: Vec::new(),
                suspects: Vec::new(),
                repeated: Repeated::default(),
            },
        };
        let mut outcome = Ok(());
        source::read(sources, &mut |found| {
            progress("reading", reader.paths.len(), 0);
            if outcome.is_ok() {
                outcome = reader.take(found);
            }
        });
        outcome?;
        let Reader { mut reading, keeps, paths, .. } = reader;
        let urls: HashSet<String> = reading.pages.iter().map(|page| page.url.clone()).collect();
        let kept = state.live_pages().into_values().filter(|page| {
            !paths.contains(&page.path)
                && !urls.contains(&page.url)
                && keeps.iter().any(|keeps| keeps.covers(&page.path))
        });
        reading.pages.extend(kept.cloned());
        reading.pages.sort_by(|a, b| a.path.cmp(&b.path));
        reading.new.finish()?;
        Ok(reading)
    }
}

/// Pages of any generation by path and hash; their chunks are known.
fn unchanged(state: &State) -> HashMap<(&str, &str), &Page> {
    state
        .versions
        .iter()
        .map(|version| ((version.page.path.as_str(), version.page.hash.as_str()), &version.page))
        .collect()
}

struct Reader<'a> {
    unchanged: HashMap<(&'a str, &'a str), &'a Page>,
    known: HashSet<ChunkId>,
    /// Path of the page at each address.
    taken: BTreeMap<String, String>,
    paths: HashSet<String>,
    keeps: Vec<Keeps>,
    reading: Reading,
}

impl Reader<'_> {
    fn take(&mut self, outcome: Outcome) -> std::io::Result<()> {
        match outcome {
            Outcome::Skipped(skipped) => self.reading.skipped.push(skipped),
            Outcome::Failed(failure, keeps) => {
                self.reading.failed.push(failure);
                self.keeps.push(keeps);
            }
            Outcome::Document(document) => {
                if let Some(other) = self.taken.get(&document.url) {
                    let reason = format!("has the same address as {other}: {}", document.url);
                    self.reading.failed.push(Failure::new(document.path, reason));
                } else if !self.paths.insert(document.path.clone()) {
                    let reason = "another source has a page of the same path; ingest a folder that holds both";
                    self.reading.failed.push(Failure::new(document.path, reason));
                } else {
                    self.taken.insert(document.url.clone(), document.path.clone());
                    self.page(document)?;
                }
            }
        }
        Ok(())
    }

    fn page(&mut self, document: Document) -> std::io::Result<()> {
        self.reading.repeated.page(&document.body);
        let hash = hash(&document);
        if let Some(page) = self.unchanged.get(&(document.path.as_str(), hash.as_str())) {
            self.reading.pages.push((*page).clone());
            return Ok(());
        }
        let mut chunks = Vec::new();
        for chunk in chunk::chunks(&document, &SPEC) {
            let Some(known) = ChunkRef::of(&chunk) else { continue };
            chunks.push(known);
            self.suspect(&chunk.metadata);
            if self.known.insert(known.id) {
                self.reading.new.push(&chunk, known.text)?;
            }
        }
        let Document { path, url, title, .. } = document;
        self.reading.suspects.extend(suspects(&path, "", &title));
        if chunks.is_empty() {
            self.reading.empty.push(path);
        } else {
            self.reading.pages.push(Page { path, url, title, hash, chunks });
        }
        Ok(())
    }

    /// Looks at what a prompt would hold of a chunk.
    fn suspect(&mut self, metadata: &Metadata) {
        let Metadata { path, heading, text, .. } = metadata;
        let sections = sections(text).into_iter();
        let in_text = sections.flat_map(|(own, text)| suspects(path, own.unwrap_or(heading), text));
        for suspect in suspects(path, heading, heading).chain(in_text) {
            // A heading stands over many chunks.
            if !self.reading.suspects.iter().rev().take(SAME_HEADING).any(|known| *known == suspect) {
                self.reading.suspects.push(suspect);
            }
        }
    }
}

/// A chunk's text by its headings: a small section stands in one chunk with the next.
fn sections(text: &str) -> Vec<(Option<&str>, &str)> {
    let (mut sections, mut heading, mut from, mut at, mut in_code) = (Vec::new(), None, 0, 0, false);
    for line in text.split_inclusive('\n') {
        in_code ^= line.trim_start().starts_with("```");
        if line.starts_with('#') && !in_code {
            sections.push((heading, text.get(from..at).unwrap_or_default()));
            (heading, from) = (Some(line.trim_matches(|c: char| c == '#' || c.is_whitespace())), at);
        }
        at += line.len();
    }
    sections.push((heading, text.get(from..).unwrap_or_default()));
    sections
}

fn suspects(path: &str, heading: &str, text: &str) -> impl Iterator<Item = Suspect> + use<> {
    let (path, heading) = (path.to_owned(), heading.to_owned());
    injection::suspicions(text).into_iter().map(move |(kind, phrase)| Suspect {
        path: path.clone(),
        heading: heading.clone(),
        kind,
        phrase,
    })
}

impl Keeps {
    fn covers(&self, path: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Path(file) => path.strip_prefix(file).is_some_and(|rest| rest.is_empty() || rest.starts_with('#')),
            Self::Below(prefix) => path.starts_with(prefix),
        }
    }
}

/// Over everything that decides what the chunks of a document are.
fn hash(document: &Document) -> String {
    let Document { path, url, title, description, lang, version, product, body, anchors } = document;
    let anchors = format!("{anchors:?}");
    let mut hash = Sha256::new();
    for part in [FINGERPRINT.as_str(), path, url, title, description, lang, version, product, &anchors, body] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let half = hash.finalize().iter().take(16).fold(0, |half, byte| half << 8 | u128::from(*byte));
    format!("{half:032x}")
}

/// Chunks in a temporary file without a name, which is gone with the process.
pub(crate) struct Spool {
    file: BufWriter<File>,
    /// A vector that can be copied for every text that the index has already.
    vectors: HashMap<TextHash, ChunkId>,
    /// Chunks to embed, to copy the vector of, and tokens to embed.
    pub(crate) to_embed: usize,
    pub(crate) to_copy: usize,
    pub(crate) tokens: usize,
}

/// A chunk on its way from the documentation to the index.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Waiting {
    id: String,
    tokens: usize,
    metadata: Metadata,
    /// Chunk that has the same text, and so the same vector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) like: Option<ChunkId>,
}

impl Waiting {
    pub(crate) fn into_chunk(self) -> Chunk {
        Chunk { id: self.id, tokens: self.tokens, metadata: self.metadata }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Spool {
    fn new(known: &HashMap<ChunkId, TextHash>) -> std::io::Result<Self> {
        let vectors = known.iter().map(|(id, text)| (*text, *id)).collect();
        let file = BufWriter::new(tempfile::tempfile()?);
        Ok(Self { file, vectors, to_embed: 0, to_copy: 0, tokens: 0 })
    }

    fn push(&mut self, chunk: &Chunk, text: TextHash) -> std::io::Result<()> {
        let like = self.vectors.get(&text).copied();
        if like.is_some() {
            self.to_copy += 1;
        } else {
            self.to_embed += 1;
            self.tokens += chunk.tokens;
        }
        let Chunk { id, tokens, metadata } = chunk.clone();
        serde_json::to_writer(&mut self.file, &Waiting { id, tokens, metadata, like })?;
        self.file.write_all(b"\n")
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.vectors = HashMap::new();
        self.file.flush()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.to_embed + self.to_copy
    }

    /// Reads them from the beginning.
    pub(crate) fn read(&self) -> std::io::Result<impl Iterator<Item = std::io::Result<Waiting>> + use<>> {
        let mut file = self.file.get_ref().try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(file).lines().map(|line| Ok(serde_json::from_str(&line?)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_keeps_what_the_index_holds_of_it() {
        let file = Keeps::Path("api.yaml".to_owned());
        assert!(file.covers("api.yaml") && file.covers("api.yaml#get-/users") && !file.covers("api.yaml.md"));
        let folder = Keeps::Below("guides/".to_owned());
        assert!(folder.covers("guides/a.md") && !folder.covers("other.md") && !Keeps::Nothing.covers("a.md"));
    }
}
