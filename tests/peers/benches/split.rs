//! How fast documents are cut into chunks, as a ratio to `text-splitter` with the Hugging Face
//! tokenizer, used as its README says. Both run on one thread, count in exact tokens, and get the
//! same Markdown, read beforehand. docent also puts the title in front, repeats table headers and
//! fences, and hashes ids; text-splitter gives slices of the page.
//!
//! They take turns, round by round, since the speed of a shared machine drifts. The tokenizer also
//! checks docent's counts, after the clock has stopped.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
// a benchmark that cannot run has nothing to say
#![allow(clippy::cast_precision_loss)] // sizes are far below 2^52

use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use docent_core::chunk::{chunks, text_to_embed};
use docent_core::document::{self, Document, Page, Site, UrlStyle};
use docent_core::embedding::SPEC;
use docent_core::tokens::SPECIAL_TOKENS;
use text_splitter::{ChunkConfig, MarkdownSplitter};
use tokenizers::Tokenizer;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

const ROUNDS: usize = 5;
/// Our own documentation is small: it is cut this often, where no larger one is at hand.
const REPEATED: usize = 50;

/// Texts to embed of all documents.
type Splitter<'a> = &'a dyn Fn(&Document) -> Vec<String>;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documents = documents(root);
    let bytes: usize = documents.iter().map(|document| document.body.len()).sum();
    println!("{} documents, {:.1} MB of Markdown, {ROUNDS} rounds", documents.len(), bytes as f64 / 1e6);

    let tokenizer = tokenizer(&root.join("core/data/bert-base-uncased-vocab.txt"));
    let splitter = MarkdownSplitter::new(ChunkConfig::new(SPEC.max_tokens).with_sizer(&tokenizer));
    let docent = |document: &Document| chunks(document, &SPEC).len();
    let peer = |document: &Document| splitter.chunks(&document.body).count();
    let mut speeds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        speeds[0].push(bytes as f64 / 1e6 / seconds(&documents, docent));
        speeds[1].push(bytes as f64 / 1e6 / seconds(&documents, peer));
    }
    let ratios: Vec<f64> = speeds[0].iter().zip(&speeds[1]).map(|(docent, peer)| docent / peer).collect();

    let docent = |document: &Document| {
        let chunks = chunks(document, &SPEC);
        for chunk in &chunks {
            assert_eq!(chunk.tokens, SPECIAL_TOKENS + count(&tokenizer, &chunk.text_to_embed()), "{}", chunk.id);
        }
        chunks.iter().map(docent_core::chunk::Chunk::text_to_embed).collect()
    };
    let peer = |document: &Document| {
        splitter.chunks(&document.body).map(|text| text_to_embed(&document.title, "", text)).collect()
    };
    println!("{:<14} {:>24} {:>8} {:>22} {:>12}", "", "MB/s (min–max)", "chunks", "over 512 with title", "mean tokens");
    let both: [(&str, &Vec<f64>, Splitter<'_>); 2] =
        [("docent", &speeds[0], &docent), ("text-splitter", &speeds[1], &peer)];
    for (name, speeds, split) in both {
        let tokens: Vec<usize> =
            documents.iter().flat_map(split).map(|text| SPECIAL_TOKENS + count(&tokenizer, &text)).collect();
        let over = tokens.iter().filter(|tokens| **tokens > SPEC.max_tokens).count();
        let mean = tokens.iter().sum::<usize>() as f64 / tokens.len() as f64;
        let (least, middle, most) = spread(speeds);
        let speed = format!("{middle:.2} ({least:.2}–{most:.2})");
        println!("{name:<14} {speed:>24} {:>8} {over:>22} {mean:>12.0}", tokens.len());
    }
    let (least, middle, most) = spread(&ratios);
    println!("ratio {middle:.1} ({least:.1}–{most:.1})");
}

fn seconds(documents: &[Document], split: impl Fn(&Document) -> usize) -> f64 {
    let started = Instant::now();
    let chunks: usize = documents.iter().map(split).sum();
    assert!(std::hint::black_box(chunks) > 0);
    started.elapsed().as_secs_f64()
}

/// Minimum, median, maximum.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

fn count(tokenizer: &Tokenizer, text: &str) -> usize {
    tokenizer.encode_fast(text, false).unwrap().len()
}

/// `bert-base-uncased`, as its `tokenizer.json` puts it together.
fn tokenizer(vocabulary: &Path) -> Tokenizer {
    let pieces = WordPiece::from_file(vocabulary.to_str().unwrap()).unk_token("[UNK]".to_owned()).build().unwrap();
    let mut tokenizer = Tokenizer::new(pieces);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, true))).unwrap();
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer
}

/// The largest documentation that lies beside the project, else our own.
fn documents(root: &Path) -> Vec<Document> {
    let archive = root.join("../shared/data/cf-devplat/docs-md.tar.gz");
    let mut pages = Vec::new();
    if let Ok(file) = std::fs::File::open(archive) {
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(file)).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            pages.push((path, text));
        }
    } else {
        for entry in std::fs::read_dir(root.join("docs")).unwrap() {
            let path = entry.unwrap().path();
            let page = (path.display().to_string(), std::fs::read_to_string(path).unwrap());
            pages.extend(std::iter::repeat_n(page, REPEATED));
        }
    }
    let site = Site::new("https://docs.example", UrlStyle::Clean).unwrap();
    let read = |(path, text): &(String, String)| match document::read(path, text, &site) {
        Ok(Page::Document(document)) => Some(document),
        _ => None,
    };
    pages.iter().filter_map(read).collect()
}
