//! What is in the index: generations, and which chunks of which pages each of them holds.
//!
//! Everything here is arithmetic over sets; where it is kept is the affair of [`crate::books`]. A
//! row belongs to generation `g` when `born <= g` and not `died <= g`, so a new generation is
//! written beside the live one, and what it shares with its predecessor is not written at all.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use docent_core::chunk::Chunk;
use docent_core::embedding::IndexRecord;
use docent_core::generation::Retired;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A chunk's id, 32 hexadecimal characters, as a number: a hundred thousand of them are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChunkId(u128);

/// The first 64 bits of the SHA-256 of a chunk's text to embed, as 16 hexadecimal characters. Equal
/// texts have equal vectors, so a page that moved is not embedded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextHash(u64);

/// No id or hash.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not as many hexadecimal characters as it should be")]
pub struct NoHex(String);

impl TryFrom<String> for ChunkId {
    type Error = NoHex;

    fn try_from(hex: String) -> Result<Self, NoHex> {
        if hex.len() != 32 {
            return Err(NoHex(hex));
        }
        u128::from_str_radix(&hex, 16).map(Self).map_err(|_| NoHex(hex))
    }
}

impl From<ChunkId> for String {
    fn from(id: ChunkId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl TryFrom<String> for TextHash {
    type Error = NoHex;

    fn try_from(hex: String) -> Result<Self, NoHex> {
        if hex.len() != 16 {
            return Err(NoHex(hex));
        }
        u64::from_str_radix(&hex, 16).map(Self).map_err(|_| NoHex(hex))
    }
}

impl From<TextHash> for String {
    fn from(hash: TextHash) -> Self {
        format!("{:016x}", hash.0)
    }
}

impl TextHash {
    /// Of a text to embed.
    pub fn of(text: &str) -> Self {
        let digest = Sha256::digest(text.as_bytes());
        Self(digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
    }
}

/// A chunk as a page names it: `[id, hash of its text]` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(ChunkId, TextHash)", into = "(ChunkId, TextHash)")]
pub struct ChunkRef {
    /// Its id.
    pub id: ChunkId,
    /// Of the text that was embedded.
    pub text: TextHash,
}

impl From<(ChunkId, TextHash)> for ChunkRef {
    fn from((id, text): (ChunkId, TextHash)) -> Self {
        Self { id, text }
    }
}

impl From<ChunkRef> for (ChunkId, TextHash) {
    fn from(chunk: ChunkRef) -> Self {
        (chunk.id, chunk.text)
    }
}

impl ChunkRef {
    /// Of a chunk of core's making; its id is well formed.
    pub fn of(chunk: &Chunk) -> Option<Self> {
        let id = ChunkId::try_from(chunk.id.clone()).ok()?;
        Some(Self { id, text: TextHash::of(&chunk.text_to_embed()) })
    }
}

/// A page as a generation holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Path of its document, unique within a generation.
    pub path: String,
    /// Address without anchor.
    pub url: String,
    /// Title.
    pub title: String,
    /// Over everything that its chunks are made from; equal hashes have equal chunks.
    pub hash: String,
    /// In page order.
    pub chunks: Vec<ChunkRef>,
}

/// A page with the generations that hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The page.
    #[serde(flatten)]
    pub page: Page,
    /// First generation with it.
    pub born: u64,
    /// First generation without it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died: Option<u64>,
}

impl Version {
    fn is_in(&self, generation: u64) -> bool {
        self.born <= generation && self.died.is_none_or(|died| died > generation)
    }
}

/// Whether readers may see a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being written, or its writing was broken off.
    Staging,
    /// It is live, was live, or was rolled back from.
    Complete,
}

/// One generation of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts up from 1, and is never used again.
    pub number: u64,
    /// Whether it is complete.
    pub status: Status,
    /// Fingerprint of the embedding spec.
    pub spec: String,
    /// Pages.
    #[serde(default)]
    pub documents: usize,
    /// Chunks.
    #[serde(default)]
    pub chunks: usize,
    /// Chunks that the generation before did not have.
    #[serde(default)]
    pub added: usize,
    /// Chunks of the generation before that are gone.
    #[serde(default)]
    pub removed: usize,
    /// Length of its [`Retired`] list.
    #[serde(default)]
    pub retired: usize,
    /// When it was begun, milliseconds since 1970.
    pub created_at: u64,
}

impl Generation {
    /// What readers are told.
    pub fn record(&self, updated_at: u64) -> IndexRecord {
        IndexRecord {
            v: 1,
            spec: self.spec.clone(),
            generation: self.number,
            documents: self.documents,
            chunks: self.chunks,
            retired: self.retired,
            updated_at,
        }
    }
}

/// Which generation is live, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Its number.
    pub generation: u64,
    /// Milliseconds since 1970.
    pub since: u64,
}

/// What is in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Ascending; at most the last is staging.
    pub generations: Vec<Generation>,
    /// What readers see.
    pub live: Option<Live>,
    /// Every page that any of the generations holds, and pages of dropped ones whose chunks may
    /// still be in the index.
    pub versions: Vec<Version>,
}

/// What writing a generation changes, compared with the newest one that there was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Pages that it does not hold any more, or holds in another form: path and first generation.
    pub closed: Vec<(String, u64)>,
    /// Pages that are new in it.
    pub opened: Vec<Page>,
    /// Chunks that are new in it.
    pub added: Vec<ChunkId>,
    /// Chunks that it does not hold any more.
    pub removed: Vec<ChunkId>,
}

impl State {
    /// The live generation.
    pub fn live(&self) -> Option<&Generation> {
        self.live.and_then(|live| self.generation(live.generation))
    }

    /// A generation by number.
    pub fn generation(&self, number: u64) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.number == number)
    }

    /// Complete generations, ascending.
    pub fn complete(&self) -> impl DoubleEndedIterator<Item = &Generation> {
        self.generations.iter().filter(|generation| generation.status == Status::Complete)
    }

    /// The one that is being written, or was when it was broken off.
    pub fn staging(&self) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.status == Status::Staging)
    }

    /// The number that the next generation gets: that of the staged one, which is continued.
    pub fn next_number(&self) -> u64 {
        self.staging().map_or_else(
            || self.generations.last().map_or(1, |generation| generation.number + 1),
            |staging| staging.number,
        )
    }

    /// The pages of a generation.
    pub fn pages(&self, generation: u64) -> impl Iterator<Item = &Page> {
        self.versions.iter().filter(move |version| version.is_in(generation)).map(|version| &version.page)
    }

    /// The pages that readers see, by path.
    pub fn live_pages(&self) -> BTreeMap<&str, &Page> {
        let number = self.live.map_or(0, |live| live.generation);
        self.pages(number).map(|page| (page.path.as_str(), page)).collect()
    }

    /// The chunks of a generation.
    pub fn chunks(&self, generation: u64) -> HashSet<ChunkId> {
        self.pages(generation).flat_map(|page| &page.chunks).map(|chunk| chunk.id).collect()
    }

    /// Every chunk whose vector was acknowledged and not deleted.
    pub fn known(&self) -> HashMap<ChunkId, TextHash> {
        self.versions.iter().flat_map(|version| &version.page.chunks).map(|chunk| (chunk.id, chunk.text)).collect()
    }

    /// Chunks that no generation holds any more.
    pub fn garbage(&self) -> HashSet<ChunkId> {
        let (mut held, mut loose) = (HashSet::new(), Vec::new());
        for version in &self.versions {
            let ids = version.page.chunks.iter().map(|chunk| chunk.id);
            if self.is_held(version) { held.extend(ids) } else { loose.extend(ids) }
        }
        loose.into_iter().filter(|id| !held.contains(id)).collect()
    }

    fn is_held(&self, version: &Version) -> bool {
        self.generations.iter().any(|generation| version.is_in(generation.number))
    }

    /// Generations that go when `keep` are kept beside the live one: the oldest. The newest stays in
    /// any case, since the next number counts on from it.
    pub fn beyond(&self, keep: usize) -> Vec<u64> {
        let newest = self.generations.last().map(|generation| generation.number);
        self.oldest_beyond(keep).filter(|number| Some(*number) != newest).collect()
    }

    /// Generations that can go while the next one is being written, if `keep` are kept beside that
    /// one: readers still see the live one, which is then the first of those that are kept.
    pub fn beyond_next(&self, keep: usize) -> Vec<u64> {
        self.oldest_beyond(keep.saturating_sub(1)).collect()
    }

    /// Those of which nothing is left count for nothing.
    fn oldest_beyond(&self, keep: usize) -> impl Iterator<Item = u64> {
        let live = self.live.map(|live| live.generation);
        let others = self.complete().rev().map(|generation| generation.number);
        let (hollow, whole): (Vec<u64>, Vec<u64>) = others
            .filter(|number| Some(*number) != live)
            .partition(|number| self.pages(*number).all(|page| page.chunks.is_empty()));
        hollow.into_iter().chain(whole.into_iter().skip(keep))
    }

    /// Whether readers see exactly these pages, ascending by path, whatever their hashes say.
    pub fn shows(&self, pages: &[Page]) -> bool {
        let live = self.live_pages();
        let is_same = |(page, live): (&Page, &Page)| page.path == live.path && page.chunks == live.chunks;
        live.len() == pages.len() && pages.iter().zip(live.into_values()).all(is_same)
    }

    /// Forgets generations; their chunks become garbage unless another generation holds them.
    pub fn drop_generations(&mut self, dropped: &[u64]) {
        self.generations.retain(|generation| !dropped.contains(&generation.number));
    }

    /// Forgets the garbage, once it is deleted.
    pub fn forget_garbage(&mut self) {
        let versions = std::mem::take(&mut self.versions);
        let held: Vec<bool> = versions.iter().map(|version| self.is_held(version)).collect();
        self.versions = versions.into_iter().zip(held).filter_map(|(version, held)| held.then_some(version)).collect();
    }

    /// Takes back what a broken-off staging left in the rows.
    pub fn unstage(&mut self, number: u64) {
        self.versions.retain(|version| version.born != number);
        for version in &mut self.versions {
            version.died = version.died.filter(|died| *died != number);
        }
    }

    /// What a generation of these pages changes. Rows are intervals, and those that are open are of
    /// the newest generation that there was: after a rollback that is not the live one.
    pub fn changes(&self, pages: &[Page]) -> Changes {
        let wanted: HashMap<&str, &Page> = pages.iter().map(|page| (page.path.as_str(), page)).collect();
        let mut changes = Changes::default();
        let (mut same, mut before) = (HashSet::new(), HashSet::new());
        for Version { page, born, .. } in self.versions.iter().filter(|version| version.died.is_none()) {
            before.extend(page.chunks.iter().map(|chunk| chunk.id));
            if wanted.get(page.path.as_str()).is_some_and(|wanted| *wanted == page) {
                same.insert(page.path.as_str());
            } else {
                changes.closed.push((page.path.clone(), *born));
            }
        }
        changes.opened = pages.iter().filter(|page| !same.contains(page.path.as_str())).cloned().collect();
        let after: HashSet<ChunkId> = pages.iter().flat_map(|page| &page.chunks).map(|chunk| chunk.id).collect();
        changes.added = after.difference(&before).copied().collect();
        changes.removed = before.difference(&after).copied().collect();
        changes.added.sort_unstable();
        changes.removed.sort_unstable();
        changes
    }

    /// Forgets chunks that are not there, and returns the pages that held them by path and first
    /// generation. Their hash is of no text, so that the next ingest writes them again.
    pub fn forget_chunks(&mut self, lost: &HashSet<ChunkId>) -> BTreeMap<(String, u64), Page> {
        let mut mended = BTreeMap::new();
        for Version { page, born, .. } in &mut self.versions {
            let before = page.chunks.len();
            page.chunks.retain(|chunk| !lost.contains(&chunk.id));
            if page.chunks.len() < before {
                page.hash.clear();
                mended.insert((page.path.clone(), *born), page.clone());
            }
        }
        mended
    }

    /// Writes a generation's pages beside the others.
    pub fn stage(&mut self, generation: Generation, changes: &Changes) {
        let number = generation.number;
        self.generations.retain(|known| known.number != number);
        self.generations.push(generation);
        let closed: HashSet<(&str, u64)> = changes.closed.iter().map(|(path, born)| (path.as_str(), *born)).collect();
        for version in &mut self.versions {
            if closed.contains(&(version.page.path.as_str(), version.born)) {
                version.died = Some(number);
            }
        }
        let opened = changes.opened.iter().cloned();
        self.versions.extend(opened.map(|page| Version { page, born: number, died: None }));
    }

    /// Replaces what is said of a generation.
    pub fn describe(&mut self, generation: &Generation) {
        for known in self.generations.iter_mut().filter(|known| known.number == generation.number) {
            known.clone_from(generation);
        }
    }

    /// What readers of these pages have to leave out: every vector there is that is not of them.
    pub fn retired(&self, pages: &[Page]) -> Retired {
        let held: HashSet<ChunkId> = pages.iter().flat_map(|page| &page.chunks).map(|chunk| chunk.id).collect();
        let others = self.known().into_keys().filter(|id| !held.contains(id)).map(|id| id.to_string());
        let others: Vec<String> = others.collect();
        Retired::new(others.iter().map(String::as_str))
    }

    /// A generation is written and readers see it.
    pub fn go_live(&mut self, number: u64, since: u64) {
        for generation in self.generations.iter_mut().filter(|generation| generation.number == number) {
            generation.status = Status::Complete;
        }
        self.live = Some(Live { generation: number, since });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Pages by name, each of some chunks; every chunk belongs to one page, as their ids see to it.
    type Site = BTreeMap<u8, BTreeSet<u8>>;

    #[derive(Debug, Clone)]
    enum Step {
        Ingest(Site),
        BrokenOff(Site),
        Rollback(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let site = || proptest::collection::btree_map(0..4_u8, proptest::collection::btree_set(0..5_u8, 1..4), 0..4);
        prop_oneof![
            4 => site().prop_map(Step::Ingest),
            1 => site().prop_map(Step::BrokenOff),
            1 => (0..3_usize).prop_map(Step::Rollback)
        ]
    }

    fn pages(site: &Site) -> Vec<Page> {
        let chunk = |page: u8, chunk: u8| ChunkRef {
            id: ChunkId((u128::from(page) << 96) + (u128::from(chunk) << 64) + 1),
            text: TextHash(u64::from(chunk)),
        };
        let page = |(name, chunks): (&u8, &BTreeSet<u8>)| Page {
            path: format!("{name}.md"),
            url: format!("/{name}"),
            title: String::new(),
            hash: format!("{chunks:?}"),
            chunks: chunks.iter().map(|n| chunk(*name, *n)).collect(),
        };
        site.iter().map(page).collect()
    }

    fn ids(pages: &[Page]) -> BTreeSet<ChunkId> {
        pages.iter().flat_map(|page| &page.chunks).map(|chunk| chunk.id).collect()
    }

    proptest! {
        /// The index as a set of vectors with the generation that wrote each: what a reader of any
        /// kept generation finds is what was ingested as that generation, whatever came after it.
        #[test]
        fn readers_of_any_generation_see_what_was_ingested_as_it(
            steps in proptest::collection::vec(step(), 1..12),
            keep in 0..3_usize,
        ) {
            let mut state = State::default();
            let mut vectors: BTreeMap<ChunkId, u64> = BTreeMap::new();
            let mut ingested: BTreeMap<u64, (BTreeSet<ChunkId>, Retired)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Rollback(back) => {
                        let targets: Vec<u64> = state.complete().rev().map(|generation| generation.number).collect();
                        if let Some(target) = targets.get(back) {
                            state.go_live(*target, 0);
                        }
                    }
                    Step::Ingest(ref site) | Step::BrokenOff(ref site) => {
                        let pages = pages(site);
                        let number = state.next_number();
                        state.unstage(number);
                        state.drop_generations(&state.beyond_next(keep));
                        let known = state.known();
                        vectors.retain(|id, _| known.contains_key(id) || ids(&pages).contains(id));
                        for id in ids(&pages) {
                            vectors.entry(id).or_insert(number);
                        }
                        for id in state.garbage().difference(&ids(&pages).into_iter().collect()) {
                            vectors.remove(id);
                        }
                        let generation = Generation {
                            number, status: Status::Staging, spec: String::new(), documents: 0, chunks: 0, added: 0,
                            removed: 0, retired: 0, created_at: 0,
                        };
                        let changes = state.changes(&pages);
                        state.stage(generation, &changes);
                        state.forget_garbage();
                        if matches!(step, Step::Ingest(_)) {
                            let retired = state.retired(&pages);
                            state.go_live(number, 0);
                            ingested.insert(number, (ids(&pages), retired));
                            state.drop_generations(&state.beyond(keep));
                            for id in state.garbage() {
                                vectors.remove(&id);
                            }
                            state.forget_garbage();
                            prop_assert!(state.beyond(keep).is_empty() && state.complete().count() <= keep + 1);
                        }
                    }
                }
                for generation in state.complete() {
                    let (expected, retired) = &ingested[&generation.number];
                    let seen: BTreeSet<ChunkId> = vectors.iter()
                        .filter(|(id, born)| **born <= generation.number && !retired.contains(&id.to_string()))
                        .map(|(id, _)| *id)
                        .collect();
                    prop_assert_eq!(&seen, expected, "vectors of generation {}", generation.number);
                    let rows: BTreeSet<ChunkId> = state.chunks(generation.number).into_iter().collect();
                    prop_assert_eq!(&rows, expected, "rows of generation {}", generation.number);
                }
            }
        }
    }

    #[test]
    fn the_stored_form_is_pinned() {
        let chunk = ChunkRef { id: ChunkId(255), text: TextHash(16) };
        let page = Page {
            path: "a.md".into(),
            url: "https://docs.example.com/a".into(),
            title: "A".into(),
            hash: "0f".into(),
            chunks: vec![chunk],
        };
        let generation = Generation {
            number: 2,
            status: Status::Complete,
            spec: "e8c7ef1a554b42fe".into(),
            documents: 1,
            chunks: 1,
            added: 1,
            removed: 0,
            retired: 0,
            created_at: 5,
        };
        let state = State {
            generations: vec![generation],
            live: Some(Live { generation: 2, since: 6 }),
            versions: vec![Version { page, born: 1, died: None }],
        };
        let json = concat!(
            r#"{"generations":[{"number":2,"status":"complete","spec":"e8c7ef1a554b42fe","documents":1,"chunks":1,"#,
            r#""added":1,"removed":0,"retired":0,"created_at":5}],"live":{"generation":2,"since":6},"#,
            r#""versions":[{"path":"a.md","url":"https://docs.example.com/a","title":"A","hash":"0f","#,
            r#""chunks":[["000000000000000000000000000000ff","0000000000000010"]],"born":1}]}"#
        );
        assert_eq!(serde_json::to_string(&state).unwrap(), json);
        assert_eq!(serde_json::from_str::<State>(json).unwrap(), state);
        assert_eq!(TextHash::of("docent"), TextHash::of("docent"));
    }
}
