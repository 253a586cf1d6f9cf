//! What an ingest would do: the pages as they are now beside the pages that readers see.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use docent_core::workers_ai::{DOLLARS_PER_NEURON, EMBEDDING_NEURONS};
use serde::Serialize;

use crate::state::{ChunkId, Page, State, TextHash};

/// The difference between the live generation and the documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Paths of pages that are new.
    pub added: Vec<String>,
    /// Paths of pages that have changed.
    pub changed: Vec<String>,
    /// Pages that have the same text under another path or address: from, to.
    pub moved: Vec<(String, String)>,
    /// Paths of pages that are gone.
    pub removed: Vec<String>,
    /// Chunks that stay.
    pub unchanged_chunks: usize,
    /// Chunks that readers do not see any more afterwards.
    pub removed_chunks: usize,
}

impl Plan {
    /// Compares.
    pub fn new(state: &State, pages: &[Page]) -> Self {
        let live = state.live_pages();
        let now: BTreeMap<&str, &Page> = pages.iter().map(|page| (page.path.as_str(), page)).collect();
        let only = |some: &BTreeMap<&str, &Page>, other: &BTreeMap<&str, &Page>| {
            some.keys()
                .filter(|path| !other.contains_key(*path))
                .map(|path| (*path).to_owned())
                .collect::<BTreeSet<_>>()
        };
        let (mut added, mut removed) = (only(&now, &live), only(&live, &now));
        let mut moved = Vec::new();
        let mut texts: BTreeMap<Vec<TextHash>, Vec<String>> = BTreeMap::new();
        for path in &removed {
            texts
                .entry(live.get(path.as_str()).map_or_else(Vec::new, |page| texts_of(page)))
                .or_default()
                .push(path.clone());
        }
        for path in added.clone() {
            let text = now.get(path.as_str()).map_or_else(Vec::new, |page| texts_of(page));
            if let Some(from) = texts.get_mut(&text).and_then(Vec::pop) {
                added.remove(&path);
                removed.remove(&from);
                moved.push((from, path));
            }
        }
        let differs = |path: &&&str| live.get(**path).is_some_and(|old| now.get(**path).is_some_and(|new| new != old));
        let changed = now.keys().filter(differs).map(|path| (*path).to_owned()).collect();
        let (before, after) = (chunks(live.values().copied()), chunks(pages));
        Self {
            added: added.into_iter().collect(),
            changed,
            moved,
            removed: removed.into_iter().collect(),
            unchanged_chunks: before.intersection(&after).count(),
            removed_chunks: before.difference(&after).count(),
        }
    }

    /// Whether readers would see anything else.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.moved.is_empty() && self.removed.is_empty()
    }
}

fn texts_of(page: &Page) -> Vec<TextHash> {
    page.chunks.iter().map(|chunk| chunk.text).collect()
}

fn chunks<'a>(pages: impl IntoIterator<Item = &'a Page>) -> HashSet<ChunkId> {
    pages.into_iter().flat_map(|page| &page.chunks).map(|chunk| chunk.id).collect()
}

/// What embedding that many tokens takes, in neurons and in US dollars.
#[allow(clippy::cast_precision_loss)] // token counts are far below 2^52
pub fn price(tokens: usize) -> (f64, f64) {
    let neurons = tokens as f64 * EMBEDDING_NEURONS / 1e6;
    (neurons, neurons * DOLLARS_PER_NEURON)
}
