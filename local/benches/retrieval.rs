//! How well an embedder finds the page that answers a question, on real documentation: mean nDCG@10
//! by page over a collection in BEIR's form (`corpus.jsonl`, `queries.jsonl`, `qrels.tsv`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_precision_loss)]
// a benchmark that cannot run has nothing to say

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use docent_core::chunk::chunks;
use docent_core::document::Document;
use docent_core::embedding::SPEC;
use docent_local::{Cloud, CloudConfig};
use serde_json::{Value, json};

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
            anchors: docent_core::anchors::Anchors::GitHub,
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

/// Folders are named as arguments; the default is the smallest collection that lies beside the
/// project. `DOCENT_MODEL` names the folder of a BERT model instead of the lexical embedder.
fn main() {
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|name| !name.starts_with('-')).map(PathBuf::from).collect();
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/uv-docs");
    let folders = if named.is_empty() { vec![beside] } else { named };
    for folder in folders {
        if folder.join("corpus.jsonl").exists() {
            let score = measure(&folder, std::env::var_os("DOCENT_MODEL").map(PathBuf::from));
            println!("nDCG@10 {score:.3}");
        } else {
            println!("{} holds no corpus.jsonl: nothing to measure", folder.display());
        }
    }
}
