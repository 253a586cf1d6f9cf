//! The static assets of a Worker: the files of a folder, each with its address and the headers that
//! Cloudflare answers it with.
//!
//! Addresses and types are those of wrangler, headers of one's own come from the file `_headers`. Who
//! answers with them is `front.js`; see [`crate::workerd`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::clock::hex;

/// File of rules about the headers of the others; it is no asset itself.
const RULES_FILE: &str = "_headers";
/// Most rules of that file (Workers static assets platform limits).
const MAX_RULES: usize = 100;
/// Longest line of it, characters (likewise).
const MAX_LINE_CHARS: usize = 2_000;
/// How long an asset is good, where no rule says it: a browser asks each time whether it still is.
const CACHE_CONTROL: &str = "public, max-age=0, must-revalidate";

/// A file that is answered without running the Worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its path below the folder, with a slash before it.
    pub file: String,
    /// Path that it is answered at: the same, but `/` for `/index.html` and `/page` for `/page.html`, whose
    /// own path only leads there.
    pub path: String,
    /// Headers of its answers by name, in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Why a folder has no assets.
#[derive(Debug, thiserror::Error)]
pub enum AssetsError {
    /// A file or the folder itself cannot be read.
    #[error("cannot read the static assets at {}: {error}; build the Worker first, or correct [assets] in the deployment file", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A rule that Cloudflare would ignore, or that the stand-in does not know.
    #[error("{}, line {line}: {why}", file.display())]
    Rule {
        /// The file of rules.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong and what would be right.
        why: String,
    },
}

/// The files below a folder, by path, as wrangler would upload them.
///
/// # Errors
/// [`AssetsError`].
pub fn read_assets(folder: &Path) -> Result<Vec<Asset>, AssetsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |error| AssetsError::Unreadable { path, error }
    };
    let (mut files, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).map_err(unreadable(&next))? {
            let path = entry.map_err(unreadable(&next))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).map_err(unreadable(&path))?;
                let below = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy();
                files.insert(format!("/{below}"), content);
            }
        }
    }
    let rules = match files.remove(&format!("/{RULES_FILE}")) {
        Some(text) => parse(&String::from_utf8_lossy(&text)).map_err(|(line, why)| AssetsError::Rule {
            file: folder.join(RULES_FILE),
            line,
            why,
        })?,
        None => Vec::new(),
    };
    Ok(files.into_iter().map(|(file, content)| Asset::new(file, content, &rules)).collect())
}

impl Asset {
    fn new(file: String, content: Vec<u8>, rules: &[Rule]) -> Self {
        let path = match file.strip_suffix(".html") {
            Some(page) => page.strip_suffix("/index").map_or_else(|| page.to_owned(), |folder| format!("{folder}/")),
            None => file.clone(),
        };
        let mut headers = BTreeMap::from([
            ("etag".to_owned(), format!("\"{}\"", hex(&Sha256::digest(&content)))),
            ("cache-control".to_owned(), CACHE_CONTROL.to_owned()),
        ]);
        if let Some(kind) = content_type(&file) {
            headers.insert("content-type".to_owned(), kind.to_owned());
        }
        // What is there by default gives way to a rule; what a rule has said, another one adds to.
        let mut said = BTreeSet::new();
        for (name, value) in rules.iter().filter(|rule| rule.is_about(&path)).flat_map(|rule| &rule.headers) {
            let is_first = said.insert(name);
            let header = headers.entry(name.clone()).or_default();
            *header = if is_first { value.clone() } else { format!("{header}, {value}") };
        }
        Self { file, path, headers, content }
    }
}

/// As wrangler says it when it uploads; nothing for what it does not know either.
fn content_type(file: &str) -> Option<&'static str> {
    Some(match Path::new(file).extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "json" => "application/json",
        // Of TypeScript it knows nothing: a rule has to say it.
        "ts" => "video/mp2t",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => return None,
    })
}

/// Headers for some paths.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rule {
    /// A path, or the beginning of some with a `*` behind it.
    path: String,
    /// Name in lower case, and value, in the order of the file.
    headers: Vec<(String, String)>,
}

impl Rule {
    fn is_about(&self, path: &str) -> bool {
        self.path.strip_suffix('*').map_or(path == self.path, |beginning| path.starts_with(beginning))
    }
}

/// Reads the rules of a file; `Err` is a line, from 1, and what is wrong with it.
///
/// Wrangler warns of such a line and goes on without it. Here it is an error, so that nobody finds out in
/// production.
fn parse(text: &str) -> Result<Vec<Rule>, (usize, String)> {
    let mut rules: Vec<Rule> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (number, line) = (at + 1, line.trim());
        let refuse = |why: String| Err((number, why));
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.chars().count() > MAX_LINE_CHARS {
            return refuse(format!("a line has at most {MAX_LINE_CHARS} characters: shorten it"));
        }
        if line.starts_with('/') {
            if rules.len() == MAX_RULES {
                return refuse(format!("there are at most {MAX_RULES} rules: leave this one out"));
            }
            if line.trim_end_matches('*').contains(['*', ':']) || line.ends_with("**") {
                return refuse(format!("the path {line} is not understood: write one, or its beginning and a *"));
            }
            if rules.iter().any(|rule| rule.path == line) {
                return refuse(format!("there is a rule for {line} already: add the headers there"));
            }
            rules.push(Rule { path: line.to_owned(), headers: Vec::new() });
            continue;
        }
        match (line.split_once(':'), rules.last_mut()) {
            (Some((name, value)), Some(rule)) if is_token(name) && !value.trim().is_empty() => {
                rule.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            (_, None) => return refuse("a path comes first, such as /* or /widget.js".to_owned()),
            _ => return refuse(format!("{line:?} is neither a path nor a header as `Name: value`")),
        }
    }
    Ok(rules)
}

/// Whether a text can be the name of a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(file: &str, rules: &str) -> BTreeMap<String, String> {
        Asset::new(file.to_owned(), Vec::new(), &parse(rules).unwrap()).headers
    }

    #[test]
    fn all_rules_that_are_about_a_path_count_and_add_up() {
        let rules = "# who may load it\n\n/*\n  X-Robots-Tag: none\n  Vary: a\n\n/widget/*\n  Cache-Control: public, max-age=60\n\
                     \n/widget/a.js\n  vary: b:c\n/other\n  X-Robots-Tag: all\n";
        let headers = headers_of("/widget/a.js", rules);
        let header = |name: &str| headers.get(name).map(String::as_str);
        assert_eq!(header("x-robots-tag"), Some("none"));
        assert_eq!(header("vary"), Some("a, b:c"), "two rules say it");
        assert_eq!(header("cache-control"), Some("public, max-age=60"), "in the place of the default");
        assert_eq!(header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(headers_of("/widget.js", rules).get("cache-control").map(String::as_str), Some(CACHE_CONTROL));
        let moved = |file: &str| Asset::new(file.to_owned(), Vec::new(), &[]).path;
        assert_eq!(["/index.html", "/a/index.html", "/b.html"].map(moved), ["/", "/a/", "/b"]);
    }

    #[test]
    fn a_line_that_cloudflare_would_ignore_is_named() {
        let long = format!("/*\n  X: {}", "x".repeat(MAX_LINE_CHARS));
        let many = (0..=MAX_RULES).map(|n| "/a".repeat(n + 1)).collect::<Vec<_>>().join("\n");
        for (text, line, because) in [
            ("X: y\n", 1, "a path comes first"),
            ("/*\n  X\n", 2, "neither a path nor a header"),
            ("/*\n  ! X\n", 2, "neither a path nor a header"),
            ("/a\n/*/b\n", 2, "is not understood"),
            ("/:name\n", 1, "is not understood"),
            ("/a\n X: y\n/a\n", 3, "already"),
            (&long, 2, "at most 2000 characters"),
            (&many, 101, "at most 100 rules"),
        ] {
            let (at, why) = parse(text).unwrap_err();
            assert!(at == line && why.contains(because), "{text:?}: {at}: {why}");
        }
    }
}
