//! Pages that consist of what stands on every page: menus, footers, lists of all the other pages.
//!
//! They come out of a crawl whose main content was not found, and out of generators that write
//! their menus into Markdown. In the index they are found for every question and answer none.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use docent_core::chunk::Chunk;

/// A line stands everywhere if this share of all pages has it, and as many pages as
/// [`MIN_PAGES`].
const EVERYWHERE: f64 = 0.5;
/// Fewer pages say nothing about what is usual.
const MIN_PAGES: u32 = 10;
/// A page is mostly navigation if this share of its characters stands everywhere.
pub(crate) const MOSTLY: f64 = 0.6;
/// Counters: two megabytes, whatever the documentation. Lines that share one are counted together,
/// which matters only if both stand on many pages.
const COUNTERS: usize = 1 << 19;

/// How many pages have each line, about.
pub(crate) struct Repeated {
    pages: u32,
    counters: Vec<u32>,
}

impl Default for Repeated {
    fn default() -> Self {
        Self { pages: 0, counters: vec![0; COUNTERS] }
    }
}

impl Repeated {
    /// Counts a page.
    pub(crate) fn page(&mut self, body: &str) {
        self.pages += 1;
        let lines: HashSet<usize> = body.lines().filter_map(slot).collect();
        for slot in lines {
            if let Some(counter) = self.counters.get_mut(slot) {
                *counter += 1;
            }
        }
    }

    /// Characters of a chunk that stand everywhere, and all of them.
    pub(crate) fn share(&self, chunk: &Chunk) -> (usize, usize) {
        let everywhere = (f64::from(self.pages) * EVERYWHERE).max(f64::from(MIN_PAGES));
        let mut share = (0, 0);
        for line in chunk.metadata.text.lines() {
            let count = slot(line).and_then(|slot| self.counters.get(slot)).copied().unwrap_or_default();
            let length = line.trim().len();
            share = (share.0 + if f64::from(count) >= everywhere { length } else { 0 }, share.1 + length);
        }
        share
    }
}

/// Lines without letters, such as fences and rules of tables, say nothing.
fn slot(line: &str) -> Option<usize> {
    let line = line.trim();
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(line);
    line.contains(char::is_alphabetic).then(|| usize::try_from(hash).unwrap_or_default() % COUNTERS)
}
