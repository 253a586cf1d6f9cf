//! How well the lexical embedder finds the page that answers a question, on real documentation.
//!
//! The documentation and its questions are not part of the project; where they are not there, there
//! is nothing to measure.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking
#![allow(clippy::cast_precision_loss)] // counts of questions

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use docent_core::chunk::chunks;
use docent_core::document::Document;
use docent_core::embedding::SPEC;
use docent_local::{Cloud, CloudConfig};
use serde_json::{Value, json};

/// A folder of BEIR form: `corpus.jsonl`, `queries.jsonl`, `qrels.tsv`.
fn collection(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    folder.join("corpus.jsonl").exists().then_some(folder)
}

fn lines(path: PathBuf) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Embedder(Cloud);

impl Embedder {
    fn embed(&self, texts: &[String]) -> Vec<Vec<f32>> {
        let url = format!("{}/accounts/a/ai/run/{}", self.0.api_base(), SPEC.model);
        let mut vectors = Vec::new();
        for batch in texts.chunks(100) {
            let request = ureq::post(&url).header("authorization", "Bearer t");
            let mut response = request.send_json(json!({ "text": batch, "pooling": "cls" })).unwrap();
            let answer: Value = response.body_mut().with_config().limit(1 << 26).read_json().unwrap();
            vectors.extend(serde_json::from_value::<Vec<Vec<f32>>>(answer["result"]["data"].clone()).unwrap());
        }
        vectors
    }
}

fn ndcg(pages: &[&str], relevant: &HashMap<String, f64>) -> f64 {
    let gain = |(at, grade): (usize, f64)| (grade.exp2() - 1.0) / (at as f64 + 2.0).log2();
    let found = pages.iter().take(10).map(|page| relevant.get(*page).copied().unwrap_or_default());
    let mut ideal: Vec<f64> = relevant.values().copied().collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    found.enumerate().map(gain).sum::<f64>() / ideal.into_iter().take(10).enumerate().map(gain).sum::<f64>()
}

/// Mean nDCG@10 by page; the score of a page is that of its best chunk.
fn measure(folder: &Path, model: Option<PathBuf>) -> f64 {
    let embedder = Embedder(Cloud::start(CloudConfig { model, ..CloudConfig::default() }).unwrap());
    let (mut texts, mut pages) = (Vec::new(), Vec::new());
    for page in lines(folder.join("corpus.jsonl")) {
        let field = |name: &str| page[name].as_str().unwrap().to_owned();
        let document = Document {
            path: field("id"),
            url: field("url"),
            title: field("title"),
            description: String::new(),
            lang: String::new(),
            version: String::new(),
            product: String::new(),
            body: field("text"),
        };
        for chunk in chunks(&document, &SPEC) {
            texts.push(chunk.text_to_embed());
            pages.push(field("id"));
        }
    }
    let passages = embedder.embed(&texts);
    let mut relevant: HashMap<String, HashMap<String, f64>> = HashMap::new();
    for line in std::fs::read_to_string(folder.join("qrels.tsv")).unwrap().lines() {
        if let [query, _, page, grade] = line.split('\t').collect::<Vec<_>>()[..] {
            relevant.entry(query.to_owned()).or_default().insert(page.to_owned(), grade.parse().unwrap());
        }
    }
    let questions: Vec<Value> = lines(folder.join("queries.jsonl"))
        .into_iter()
        .filter(|question| relevant.contains_key(question["id"].as_str().unwrap()))
        .collect();
    let asked: Vec<String> = questions.iter().map(|question| question["text"].as_str().unwrap().to_owned()).collect();
    let mut sum = 0.0;
    for (question, vector) in questions.iter().zip(embedder.embed(&asked)) {
        let mut best: HashMap<&str, f32> = HashMap::new();
        for (page, passage) in pages.iter().zip(&passages) {
            let score = passage.iter().zip(&vector).map(|(a, b)| a * b).sum();
            let entry = best.entry(page).or_insert(f32::MIN);
            *entry = entry.max(score);
        }
        let mut ranked: Vec<(&str, f32)> = best.into_iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let ranked: Vec<&str> = ranked.into_iter().map(|(page, _)| page).collect();
        sum += ndcg(&ranked, &relevant[question["id"].as_str().unwrap()]);
    }
    println!("{}: {} chunks, {} questions", folder.display(), texts.len(), questions.len());
    sum / questions.len() as f64
}

#[test]
fn the_page_that_answers_is_near_the_top() {
    let Some(folder) = collection("uv-docs") else { return };
    let score = measure(&folder, None);
    // BM25 reaches .716 with cut texts of 1,000 characters.
    println!("nDCG@10 {score:.3}");
    assert!(score > 0.62, "nDCG@10 is {score:.3}");
}

/// A folder of one's own, in the same form: `DOCENT_COLLECTION=… cargo test -- --ignored`, with
/// `DOCENT_MODEL=…` by a model instead of the lexical embedder.
#[test]
#[ignore = "needs a collection"]
fn measure_a_collection() {
    let folder = PathBuf::from(std::env::var("DOCENT_COLLECTION").unwrap());
    println!("nDCG@10 {:.3}", measure(&folder, std::env::var_os("DOCENT_MODEL").map(PathBuf::from)));
}
