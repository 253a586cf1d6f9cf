//! What goes to Cloudflare: its size, the languages of the widget, and that wrangler takes it as a new user has it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Command;

use crate::bot::root;

/// Largest Worker, bytes of its WebAssembly after gzip. Start-up time grows with it.
const MAX_WASM_GZIP: usize = 512 * 1024;

/// Largest loader, which every page view of a site asks for; bytes after gzip.
const MAX_LOADER_GZIP: usize = 1_536;

/// Largest widget, style included, which the loader fetches when a visitor first uses it; bytes after gzip.
const MAX_WIDGET_GZIP: usize = 12 * 1024;

/// Largest file of texts in one language, bytes after gzip.
const MAX_LANGUAGE_GZIP: usize = 2 * 1024;

/// Fewest languages of the widget.
const LANGUAGES: usize = 12;

/// What a file of the build has after gzip, in bytes.
fn gzip(file: &str) -> usize {
    let bytes = std::fs::read(root().join("worker/build").join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap().len()
}

/// The files of the widget's texts, from the folder of the build on.
fn languages() -> Vec<String> {
    let folder = root().join("worker/build/assets/widget");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(format!("assets/widget/{}.json", name.strip_suffix(".json")?))).collect()
}

#[test]
fn worker_and_widget_stay_small() {
    let small = |what: &str, bytes: usize, most: usize| {
        assert!(bytes <= most, "{what}: {bytes} bytes after gzip, and {most} are allowed");
    };
    small("index_bg.wasm", gzip("index_bg.wasm"), MAX_WASM_GZIP);
    small("widget.js", gzip("assets/widget.js"), MAX_LOADER_GZIP);
    small("widget/chat.js", gzip("assets/widget/chat.js"), MAX_WIDGET_GZIP);
    for language in languages() {
        small(&language, gzip(&language), MAX_LANGUAGE_GZIP);
    }
}

#[test]
fn every_language_says_everything_that_english_says() {
    let texts = |file: &str| -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(root().join("worker/build").join(file)).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let placeholders = |text: &str| -> BTreeSet<String> {
        text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
    };
    let english = texts("assets/widget/en.json");
    let languages = languages();
    assert!(languages.len() >= LANGUAGES, "{languages:?}");
    for language in languages {
        let texts = texts(&language);
        assert_eq!(texts.keys().collect::<Vec<_>>(), english.keys().collect::<Vec<_>>(), "{language}");
        for (key, text) in &texts {
            assert!(!text.trim().is_empty(), "{language}: {key} is empty");
            assert_eq!(placeholders(text), placeholders(&english[key]), "{language}: {key}");
        }
    }
}

#[test]
fn wrangler_takes_the_project_as_a_new_user_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let bin = root().join("node_modules/.bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new(bin.join("wrangler"))
        .args(["deploy", "--dry-run", "--outdir"])
        .arg(folder.path())
        .current_dir(root())
        .env("PATH", path)
        .env("CI", "true")
        .env("WRANGLER_SEND_METRICS", "false")
        .env_remove("CLOUDFLARE_API_TOKEN")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for part in ["env.AI", "env.INDEX", "env.CONTENT", "env.SESSIONS"] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
    assert!(said.contains("files from the assets directory"), "{said}");
    assert!(!said.contains("assets/index.html"), "no asset is a module of the Worker:\n{said}");
}
