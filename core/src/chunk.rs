//! A document to chunks: what is embedded, found and shown to the model.
//!
//! A chunk is a heading with its text, or a part of it that fits the model, or a few small
//! neighbours together. It never needs another chunk to be read: code stays fenced, tables keep
//! their header, links are whole, and title and headings are embedded with it.

use std::collections::BTreeMap;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use crate::document::Document;
use crate::embedding::{Spec, hex};
use crate::markdown::{self, Section};
use crate::split::{self, Piece, Room, json_bytes};
use crate::tokens::{self, SPECIAL_TOKENS};
use crate::vectorize::{MAX_METADATA_BYTES, Metadata, ONLY_CHUNK};

/// Title and headings take at most this much of a chunk.
const MAX_PREFIX_TOKENS: usize = 128;
/// Title and heading trail are stored up to this length each.
const MAX_LABEL_BYTES: usize = 1_024;
/// A longer anchor is left out: the link then leads to the page.
const MAX_ANCHOR_BYTES: usize = 512;
/// `\n\n` as JSON.
const BLANK_LINE_BYTES: usize = 4;
/// Between the headings of a trail, and between title and trail.
pub const TRAIL_SEPARATOR: &str = " › ";

/// One vector to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// 32 hexadecimal digits. Equal documents give equal ids, and whatever is stored, but for the
    /// ordinal, gives another one when it changes. The last sixteen say which page it is of: see
    /// [`crate::vectorize::page_of`].
    pub id: String,
    /// Tokens of [`text_to_embed`], the special ones included.
    pub tokens: usize,
    /// What is stored; the generation is set by who stores it.
    pub metadata: Metadata,
}

impl Chunk {
    /// What is embedded for this chunk.
    pub fn text_to_embed(&self) -> String {
        text_to_embed(&self.metadata.title, &self.metadata.heading, &self.metadata.text)
    }
}

/// Title and heading trail in front of the text, so that a paragraph is found by what it is about.
pub fn text_to_embed(title: &str, heading: &str, text: &str) -> String {
    let prefix = prefix(title, heading);
    if prefix.is_empty() { text.to_owned() } else { format!("{prefix}\n\n{text}") }
}

/// `title › heading › heading`, its middle left out when it is too long: the page and the innermost
/// heading say most.
fn prefix(title: &str, heading: &str) -> String {
    let separator = if title.is_empty() || heading.is_empty() { "" } else { TRAIL_SEPARATOR };
    let whole = format!("{title}{separator}{heading}");
    if tokens::count(&whole) <= MAX_PREFIX_TOKENS {
        return whole;
    }
    let words: Vec<&str> = whole.split_whitespace().collect();
    let front = fitting(words.iter(), MAX_PREFIX_TOKENS / 2);
    let back = fitting(words.iter().skip(front).rev(), MAX_PREFIX_TOKENS / 2 - 3);
    let kept = words.iter().take(front).chain(&["…"]).chain(words.iter().skip(words.len() - back));
    kept.copied().collect::<Vec<_>>().join(" ")
}

/// How many words from the front fit.
fn fitting<'a>(words: impl Iterator<Item = &'a &'a str>, room: usize) -> usize {
    let sums = words.scan(0, |sum, word| {
        *sum += tokens::count(word);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= room).count()
}

/// Cuts a document. A document without text has no chunks.
pub fn chunks(document: &Document, spec: &Spec) -> Vec<Chunk> {
    let sections = markdown::sections(&document.body, document.anchors);
    let drafts = sections.iter().flat_map(|section| Draft::of_section(document, section, spec));
    let mut seen = BTreeMap::new();
    let drafts = merged(drafts);
    let page = page_mark(&document.path, drafts.len());
    let numbered = (0..).zip(drafts);
    numbered.map(|(ordinal, draft)| draft.into_chunk(ordinal, &page, spec, &mut seen)).collect()
}

/// What the ids of a page's chunks end in: fifteen digits for the page, and whether it has one chunk
/// or more. A search gives many ids at little cost, and few texts: so ids alone tell which chunks are
/// of the same page.
fn page_mark(path: &str, chunks: usize) -> String {
    let mut mark = hex(&Sha256::digest(path.as_bytes()));
    mark.truncate(15);
    mark.push(if chunks == 1 { ONLY_CHUNK } else { '0' });
    mark
}

/// A chunk that may still grow.
struct Draft {
    metadata: Metadata,
    trail: Vec<Rc<str>>,
    prefix_tokens: usize,
    /// What the text takes up so far, what it should at most, and what fits the model.
    used: Room,
    room: Room,
    limit: Room,
}

impl Draft {
    fn of_section(document: &Document, section: &Section, spec: &Spec) -> Vec<Self> {
        let empty = Self::empty(document, section, spec);
        let (mut room, mut limit) = (empty.room, empty.limit);
        let heading = section.heading.as_ref().and_then(|heading| document.body.get(heading.lines.clone()));
        let mut pieces = split::prose(heading.unwrap_or_default().trim(), room);
        pieces.retain(|piece| !piece.text.is_empty());
        let is_small = |heading: &Piece| heading.tokens * 4 < room.tokens && heading.bytes * 4 < room.bytes;
        let heading = pieces.first().filter(|heading| pieces.len() == 1 && is_small(heading)).cloned();
        if let Some(heading) = &heading {
            // A heading never stands alone at the end of a chunk: whatever follows fits beside it.
            for room in [&mut room, &mut limit] {
                room.tokens -= heading.tokens;
                room.bytes -= heading.bytes + BLANK_LINE_BYTES;
            }
        }
        for block in &section.blocks {
            pieces.extend(split::block(&document.body, block, room, limit));
        }
        empty.filled(&pieces, heading.is_some())
    }

    fn empty(document: &Document, section: &Section, spec: &Spec) -> Self {
        let trail = match section.trail.split_first() {
            Some((first, rest)) if **first == *document.title => rest,
            _ => &section.trail,
        };
        let anchor = section.heading.as_ref().map(|heading| heading.anchor.clone()).unwrap_or_default();
        let metadata = Metadata {
            text: String::new(),
            url: document.url.clone(),
            title: shortened(&document.title),
            heading: shortened_trail(trail),
            anchor: if json_bytes(&anchor) <= MAX_ANCHOR_BYTES { anchor } else { String::new() },
            path: document.path.clone(),
            ordinal: u32::MAX,
            lang: document.lang.clone(),
            version: document.version.clone(),
            product: document.product.clone(),
            generation: u64::MAX,
        };
        let prefix_tokens = tokens::count(&prefix(&metadata.title, &metadata.heading));
        let fixed = serde_json::to_string(&metadata).map_or(MAX_METADATA_BYTES, |json| json.len());
        let room = |tokens: usize| Room {
            tokens: tokens.saturating_sub(SPECIAL_TOKENS + prefix_tokens),
            bytes: MAX_METADATA_BYTES.saturating_sub(fixed),
        };
        let (limit, room) = (room(spec.max_tokens), room(spec.chunk_tokens.min(spec.max_tokens)));
        Self { metadata, trail: trail.to_vec(), prefix_tokens, used: Room { tokens: 0, bytes: 0 }, room, limit }
    }

    /// Deals the pieces out to as few chunks as hold them, all about equally full: a page's last
    /// chunk should not be a scrap. What is beyond the aim by itself, code or a table, stands alone but
    /// for a heading before it, which the first piece may be.
    fn filled(self, pieces: &[Piece], has_heading: bool) -> Vec<Self> {
        let target = self.room.tokens.max(1);
        let total: usize = pieces.iter().map(|piece| piece.tokens).sum();
        let aim = total.div_ceil(total.div_ceil(target).max(1));
        let mut drafts: Vec<Self> = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let behind_heading = has_heading && at == 1;
            match drafts.last_mut() {
                Some(last)
                    if last.used.tokens < aim && last.takes(piece.tokens, piece.bytes)
                        || behind_heading && last.can_take(piece.tokens, piece.bytes) =>
                {
                    last.push(&piece.text, piece.tokens, piece.bytes, if piece.tight { "\n" } else { "\n\n" });
                }
                _ => {
                    let mut draft = self.copy();
                    draft.push(&piece.text, piece.tokens, piece.bytes, "");
                    drafts.push(draft);
                }
            }
        }
        drafts
    }

    fn copy(&self) -> Self {
        Self { metadata: self.metadata.clone(), trail: self.trail.clone(), ..*self }
    }

    /// Whether that much more should be in it, a blank line before it included.
    fn takes(&self, tokens: usize, bytes: usize) -> bool {
        self.used.tokens + tokens <= self.room.tokens && self.can_take(tokens, bytes)
    }

    /// Whether that much more fits the model.
    fn can_take(&self, tokens: usize, bytes: usize) -> bool {
        self.used.tokens + tokens <= self.limit.tokens && self.used.bytes + BLANK_LINE_BYTES + bytes <= self.limit.bytes
    }

    fn push(&mut self, text: &str, tokens: usize, bytes: usize, glue: &str) {
        self.metadata.text.push_str(glue);
        self.metadata.text.push_str(text);
        self.used = Room { tokens: self.used.tokens + tokens, bytes: self.used.bytes + bytes + json_bytes(glue) };
    }

    /// `seen` counts the chunks that would have the same id.
    fn into_chunk(self, ordinal: u32, page: &str, spec: &Spec, seen: &mut BTreeMap<String, u32>) -> Chunk {
        let mut metadata = Metadata { ordinal: 0, generation: 0, ..self.metadata };
        let content = serde_json::to_string(&metadata).unwrap_or_default();
        let id = |equals: u32| {
            let mut id = hex(&Sha256::digest(format!("{}\n{equals}\n{page}\n{content}", spec.fingerprint())));
            id.truncate(16);
            id + page
        };
        let first = id(0);
        let equals = seen.entry(first.clone()).or_default();
        let id = if *equals == 0 { first } else { id(*equals) };
        *equals += 1;
        metadata.ordinal = ordinal;
        Chunk { id, tokens: SPECIAL_TOKENS + self.prefix_tokens + self.used.tokens, metadata }
    }
}

/// Puts a section that fits into the chunk before it when it stands below that chunk's heading.
/// On two sets of real questions this found more than a chunk for every section (too little to go
/// by) and more than filling chunks up with whatever comes next (several subjects in one vector).
fn merged(drafts: impl Iterator<Item = Draft>) -> Vec<Draft> {
    let mut merged: Vec<Draft> = Vec::new();
    for draft in drafts {
        match merged.last_mut() {
            Some(last) if draft.trail.starts_with(&last.trail) && last.takes(draft.used.tokens, draft.used.bytes) => {
                last.push(
                    &draft.metadata.text,
                    draft.used.tokens,
                    draft.used.bytes,
                    "

",
                );
            }
            _ => merged.push(draft),
        }
    }
    merged
}

/// Looks at the length first: a long title comes by once for every section.
fn shortened(label: &str) -> String {
    if label.len() <= MAX_LABEL_BYTES && json_bytes(label) <= MAX_LABEL_BYTES {
        return label.to_owned();
    }
    let mut room = MAX_LABEL_BYTES - "…".len();
    let fits = |c: &char| {
        let bytes = json_bytes(c.encode_utf8(&mut [0; 4]));
        room = room.saturating_sub(bytes);
        room > 0
    };
    let mut short: String = label.chars().take_while(fits).collect();
    short.push('…');
    short
}

/// The innermost headings say most: the outermost go first.
fn shortened_trail(trail: &[Rc<str>]) -> String {
    match trail {
        [] => String::new(),
        [innermost] => shortened(innermost),
        [_, inner @ ..] => {
            let fits = trail.iter().map(|heading| heading.len()).sum::<usize>() <= MAX_LABEL_BYTES;
            let whole = if fits { trail.join(TRAIL_SEPARATOR) } else { String::new() };
            if fits && json_bytes(&whole) <= MAX_LABEL_BYTES { whole } else { shortened_trail(inner) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::{self, Page, Site, UrlStyle};
    use crate::embedding::SPEC;

    fn cut(markdown: &str) -> Vec<Chunk> {
        let site = Site::new("https://docs.example.com", UrlStyle::Clean).unwrap();
        match document::read("guide/install.md", markdown, &site) {
            Ok(Page::Document(document)) => chunks(&document, &SPEC),
            other => panic!("{other:?}"),
        }
    }

    fn long(sentence: &str, tokens: usize) -> String {
        format!("{sentence} ").repeat(tokens / tokens::count(sentence)).trim_end().to_owned()
    }

    #[test]
    fn a_small_page_is_one_chunk_as_its_author_wrote_it() {
        let page = "# Install\n\nTwo ways.\n\n## Linux\n\n- one\n- two\n\n### Debian\n\n```sh\napt install x\n```\n";
        let [chunk] = cut(page).try_into().unwrap();
        assert_eq!(chunk.metadata.text, page.trim_end());
        assert_eq!((chunk.metadata.title.as_str(), chunk.metadata.heading.as_str()), ("Install", ""));
        assert_eq!(
            (chunk.metadata.url.as_str(), chunk.metadata.anchor.as_str()),
            ("https://docs.example.com/guide/install", "install")
        );
        assert_eq!(chunk.text_to_embed(), format!("Install\n\n{}", page.trim_end()));
    }

    #[test]
    fn sections_beside_each_other_stay_apart_with_their_own_heading_and_anchor() {
        let text = long("Every system has its own installer.", 150);
        let chunks = cut(&format!(
            "# Install\n\n{text}\n\n## On Windows\n\n{text}\n\n### With winget\n\nShort.\n\n## On Linux\n\nShort.\n"
        ));
        let places: Vec<_> = chunks.iter().map(|c| (c.metadata.heading.as_str(), c.metadata.anchor.as_str())).collect();
        assert_eq!(places, [("", "install"), ("On Windows", "on-windows"), ("On Linux", "on-linux")]);
        assert!(chunks[1].metadata.text.contains("### With winget\n\nShort."));
    }

    #[test]
    fn a_long_table_repeats_its_header_and_long_code_its_fence() {
        let lines = |line: fn(u32) -> String| (0..200).map(line).collect::<Vec<_>>().join("\n");
        let rows = lines(|n| format!("| option-{n} | what option {n} does |"));
        let code = lines(|n| format!("   let value_{n} = compute({n});"));
        let page = format!(
            "# Options\n\n| Name | Meaning |\n| --- | --- |\n{rows}\n\n1. Do this:\n\n   ```rust title=\"a.rs\"\n{code}\n   ```\n"
        );
        for chunk in cut(&page) {
            let text = &chunk.metadata.text;
            assert_eq!(
                text.contains("| option-"),
                text.contains("| Name | Meaning |\n| --- | --- |\n| option-"),
                "{text}"
            );
            assert_eq!(text.contains("let value"), text.contains("```rust title=\"a.rs\"\n"), "{text}");
            assert_eq!(text.matches("```").count() % 2, 0, "{text}");
        }
    }

    #[test]
    fn minified_lines_long_words_and_endless_headings_still_fit() {
        let script = "function(a){return b[c]};".repeat(2_000);
        let heading = "very long heading ".repeat(400);
        let page = format!(
            "# {heading}\n\n## {heading}\n\n```js\n{script}\n```\n\n{}\n\n{}\n",
            "A".repeat(30_000),
            "語".repeat(9_000)
        );
        let chunks = cut(&page);
        check(&page, &chunks);
        let letters = |c: char| chunks.iter().map(|chunk| chunk.metadata.text.matches(c).count()).sum::<usize>();
        assert_eq!((letters('A'), letters('語')), (30_000, 9_000));
    }

    /// The first two once took more than a minute each; now all take a second or two together.
    #[test]
    #[allow(clippy::disallowed_methods)] // the clock is what this is about
    fn time_grows_with_the_page_whatever_is_on_it() {
        let started = std::time::Instant::now();
        let words = "word ".repeat(500_000);
        for page in [
            format!("# Quoted\n\n{} deep\n", ">".repeat(1_000_000)),
            format!("---\ntitle: {words}\n---\n{}", "## Section\n\ntext\n\n".repeat(10_000)),
            format!("# Line\n\n{words}\n"),
            format!("# Code\n\n```js\n{}", "let value = compute(1);\n".repeat(50_000)),
            format!("| a | b |\n|---|---|\n{}", "| cell | cell |\n".repeat(50_000)),
        ] {
            for chunk in cut(&page) {
                assert!(chunk.tokens <= SPEC.max_tokens, "{} tokens", chunk.tokens);
            }
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[test]
    fn ids_depend_on_everything_that_is_stored_and_on_nothing_else() {
        let twice = cut("# A\n\n## B\n\nx\n\n## B\n\nx\n");
        assert_eq!(twice, cut("# A\n\n## B\n\nx\n\n## B\n\nx\n"));
        let id = |page: &str| cut(page)[0].id.clone();
        let base = id("---\nlang: en\n---\n# A\n\nx\n");
        for other in ["# A\n\nx\n", "---\nlang: de\n---\n# A\n\nx\n", "---\nlang: en\n---\n# A\n\ny\n"] {
            assert_ne!(id(other), base, "{other:?}");
        }
    }

    /// What holds for every page.
    fn check(page: &str, chunks: &[Chunk]) {
        let mut ids = std::collections::BTreeSet::new();
        for (ordinal, chunk) in (0..).zip(chunks) {
            assert_eq!(chunk.tokens, tokens::count(&chunk.text_to_embed()) + SPECIAL_TOKENS);
            assert!(chunk.tokens <= SPEC.max_tokens, "{} tokens", chunk.tokens);
            let mut metadata = chunk.metadata.clone();
            metadata.generation = u64::MAX;
            assert!(serde_json::to_string(&metadata).unwrap().len() <= MAX_METADATA_BYTES);
            assert_eq!(chunk.metadata.ordinal, ordinal);
            assert!(chunk.id.len() == 32 && ids.insert(&chunk.id), "ids are unique");
            assert!(!chunk.metadata.text.trim().is_empty());
        }
        let all: String = chunks.iter().flat_map(|chunk| chunk.metadata.text.split_whitespace()).collect();
        for word in page.split_whitespace().filter(|word| word.len() <= 40) {
            assert!(all.contains(word), "{word:?} is in no chunk");
        }
    }

    /// Markdown of every kind, small and large, in any order.
    fn block() -> impl Strategy<Value = String> {
        let words = "[a-zé語.]{1,12}( [a-z*_.]{1,12}){0,30}";
        let text = (words, 1..12_usize).prop_map(|(words, times)| format!("{words}. ").repeat(times));
        let code = ("[a-z(){};]{1,20}", 1..120_usize, "(```|~~~~)")
            .prop_map(|(line, lines, fence)| format!("{fence}js\n{}{fence}", format!("{line}\n").repeat(lines)));
        let table = ("[a-z]{1,12}", 1..90_usize).prop_map(|(cell, rows)| {
            format!("| a | b |\n|---|---|\n{}", format!("| {cell} | {cell} |\n").repeat(rows))
        });
        let heading =
            (1..=6_usize, "[A-Z][a-z]{0,9}").prop_map(|(level, text)| format!("{} {text}", "#".repeat(level)));
        let leaf = prop_oneof![text, code, table, heading];
        leaf.prop_recursive(3, 12, 4, |inner| {
            let inside = move |first: &'static str, rest: &'static str| {
                proptest::collection::vec(inner.clone(), 1..4).prop_map(move |blocks| {
                    let lines = blocks.join("\n\n").replace('\n', &format!("\n{rest}"));
                    format!("{first}{lines}")
                })
            };
            prop_oneof![inside("- ", "  "), inside("1. ", "   "), inside("> ", "> ")]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn chunks_cover_the_page_fit_the_model_and_keep_fences_whole(blocks in proptest::collection::vec(block(), 1..12)) {
            let page = blocks.join("\n\n");
            let chunks = cut(&page);
            check(&page, &chunks);
            for chunk in &chunks {
                let text = &chunk.metadata.text;
                prop_assert!(text.matches("```").count() % 2 == 0 && text.matches("~~~~").count() % 2 == 0, "{}", text);
            }
        }

        #[test]
        fn no_text_whatever_makes_it_fail(page in "(\\PC|[\n`>#|*~<! \\[\\]()-]){0,400}") {
            for chunk in cut(&page) {
                prop_assert!(chunk.tokens <= SPEC.max_tokens);
            }
        }
    }
}
