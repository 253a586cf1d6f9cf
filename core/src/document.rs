//! A file of documentation to documents: front matter, title, language, and the address on the site.
//!
//! The program that makes the site ([`site`]) decides what a file is called there, its configuration
//! ([`layout`]) adds to that, and what it adds to Markdown becomes plain Markdown.

mod dialect;
mod front_matter;
mod jsx;
pub mod layout;
pub mod openapi;
pub mod site;

use crate::anchors::Anchors;
use crate::markdown;

pub use dialect::Files;
pub use site::{BadBase, Generator, Labels, OperationLinks, Site, UrlStyle};

/// A page of the documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// Path below the folder it was read from, with `/`.
    pub path: String,
    /// Absolute, without anchor; that of an operation of an API has one.
    pub url: String,
    /// Front matter, else first heading, else file name.
    pub title: String,
    /// From front matter, else empty.
    pub description: String,
    /// BCP 47 language tag from front matter, else of its folder or its source, else empty.
    pub lang: String,
    /// Product version from front matter, else of its folder or its source, else empty.
    pub version: String,
    /// Product from front matter, else of its source, else empty.
    pub product: String,
    /// How the anchors of its headings are made.
    pub anchors: Anchors,
    /// Markdown without front matter and comments, links made absolute, lines ended by `\n`.
    pub body: String,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// To be indexed.
    Document(Document),
    /// Its author keeps it from search: what says so, as it stands there.
    Skipped(&'static str),
}

/// Why a file is no document.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DocumentError {
    /// Front matter that cannot be read, with the line of the file where it goes wrong.
    #[error("front matter, line {line}: {reason}")]
    FrontMatter {
        /// Counted from 1 in the file.
        line: usize,
        /// The parser's words.
        reason: String,
    },
    /// A description of an API that cannot be read.
    #[error("line {line}: {reason}")]
    OpenApi {
        /// Counted from 1 in the file.
        line: usize,
        /// The parser's words.
        reason: String,
    },
    /// `lang`, `version` or `product` beyond what filters can compare.
    #[error(
        "front matter: {field} is longer than {MAX_FILTER_BYTES} bytes, of which a filter sees no more; shorten it"
    )]
    LongField {
        /// Its name.
        field: &'static str,
    },
    /// No room would be left for text beside it.
    #[error("the address of this page is longer than {MAX_URL_BYTES} bytes; shorten the path or the slug")]
    LongUrl,
}

/// Vectorize indexes only the first 64 bytes of a string property.
pub const MAX_FILTER_BYTES: usize = 64;
/// Addresses and paths share the metadata of a vector with its text.
pub const MAX_URL_BYTES: usize = 2_048;

/// Reads a page for itself. `path` is relative, with `/`.
pub fn read(path: &str, source: &str, site: &Site) -> Result<Page, DocumentError> {
    read_among(path, source, site, &|_| None)
}

/// Reads a page that may take in others: partials of MDX, snippets.
pub fn read_among(path: &str, source: &str, site: &Site, files: Files<'_>) -> Result<Page, DocumentError> {
    let source = unix_lines(source);
    if path.to_ascii_lowercase().ends_with(".txt") {
        return plain_text(path, &source, site);
    }
    let (mut front, body) = front_matter::split(&source, site.generator())?;
    if let Some(reason) = front.skips(site.generator()) {
        return Ok(Page::Skipped(reason));
    }
    let url = site.own_url(path, &front.slug, front.id(), front.url());
    let dialect = dialect::Dialect::of(path, site.generator());
    let body = dialect::plain(body, path, dialect, files);
    let mut body = markdown::prepared(&body, |link| site.resolve(path, &url, link));
    if !front.tagline().is_empty() {
        body.insert_str(0, &format!("{}\n\n", front.tagline()));
    }
    let mut title = front.any_title();
    if title.is_empty() {
        title = markdown::title(&body).unwrap_or_else(|| readable(path));
    }
    let front_matter::FrontMatter { description, lang, version, product, .. } = front;
    let document = Document {
        path: path.to_owned(),
        url,
        title,
        description,
        lang,
        version,
        product,
        anchors: site.anchors(),
        body,
    };
    finished(document, site).map(Page::Document)
}

/// Fills in what the place of the file and its source tell, and checks what has a limit.
fn finished(mut document: Document, site: &Site) -> Result<Document, DocumentError> {
    let (lang, version) = site.lang_and_version(&document.path);
    let labels = site.labels();
    let fill = |field: &mut String, others: [&String; 2]| {
        let other = others.into_iter().find(|other| !other.is_empty());
        if let Some(other) = other.filter(|_| field.is_empty()) {
            other.clone_into(field);
        }
    };
    fill(&mut document.lang, [&lang, &labels.lang]);
    fill(&mut document.version, [&version, &labels.version]);
    fill(&mut document.product, [&labels.product, &labels.product]);
    for (field, value) in [("lang", &document.lang), ("version", &document.version), ("product", &document.product)] {
        if value.len() > MAX_FILTER_BYTES {
            return Err(DocumentError::LongField { field });
        }
    }
    if document.url.len() > MAX_URL_BYTES || document.path.len() > MAX_URL_BYTES {
        return Err(DocumentError::LongUrl);
    }
    Ok(document)
}

/// A text file is published as it is.
fn plain_text(path: &str, source: &str, site: &Site) -> Result<Page, DocumentError> {
    let title = markdown::title(source).unwrap_or_else(|| readable(path));
    let (path, url, body) = (path.to_owned(), site.file_url(path), source.to_owned());
    let document = Document { path, url, title, body, anchors: Anchors::None, ..Document::default() };
    finished(document, site).map(Page::Document)
}

/// Without byte order mark, lines ended by `\n`.
fn unix_lines(source: &str) -> std::borrow::Cow<'_, str> {
    let source = source.trim_start_matches('\u{feff}');
    if source.contains('\r') { source.replace("\r\n", "\n").replace('\r', "\n").into() } else { source.into() }
}

/// `getting-started.md` reads "Getting started"; an index or README takes the name of its folder.
fn readable(path: &str) -> String {
    let (folder, name) = site::split_path(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_folder = ["index", "readme", "_index"].iter().any(|index| stem.eq_ignore_ascii_case(index));
    let stem = match site::split_path(folder.trim_end_matches('/')).1 {
        folder if is_folder && !folder.is_empty() => folder,
        _ => stem,
    };
    let words = stem.replace(['-', '_'], " ");
    let mut chars = words.trim().chars();
    chars.next().map_or_else(|| stem.to_owned(), |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(style: UrlStyle) -> Site {
        Site::new("https://example.com/docs/", style).unwrap()
    }

    fn document(path: &str, source: &str) -> Document {
        match read(path, source, &site(UrlStyle::Clean)) {
            Ok(Page::Document(document)) => document,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn front_matter_comes_in_yaml_and_toml_and_values_stay_as_written() {
        for source in [
            "---\ntitle: 'A: B'\nversion: 1.10\nlang: en\ntags: [x]\n---\n# H\n",
            "+++\ntitle = \"A: B\"\nversion = \"1.10\"\nlang = \"en\"\ndate = 2026-01-01\n+++\n# H\n",
        ] {
            let document = document("a.md", &source.replace('\n', "\r\n"));
            let Document { title, version, lang, body, .. } = document;
            assert_eq!([title.as_str(), &version, &lang, &body], ["A: B", "1.10", "en", "# H\n"]);
        }
        assert_eq!(document("a.md", "---\nJust words\n---\n").body, "---\nJust words\n---\n");
        assert_eq!(document("a.md", "---\n---\nx").body, "x");
    }

    #[test]
    fn broken_front_matter_names_its_line_and_hidden_pages_their_reason() {
        let broken = read("a.md", "---\ntitle: x\nlang: [en\n---\n", &site(UrlStyle::Clean)).unwrap_err();
        assert!(broken.to_string().starts_with("front matter, line 3: lang:"), "{broken}");
        let broken = read("a.md", "+++\ntitle = \"x\"\nlang = = 1\n+++\n", &site(UrlStyle::Clean)).unwrap_err();
        assert!(broken.to_string().starts_with("front matter, line 3:"), "{broken}");
        let hidden = read("a.md", "---\ndraft: false\nunlisted: true\n---\n", &site(UrlStyle::Clean));
        assert_eq!(hidden, Ok(Page::Skipped("unlisted")));
        let long = format!("---\nproduct: {}\n---\n", "x".repeat(65));
        assert_eq!(read("a.md", &long, &site(UrlStyle::Clean)), Err(DocumentError::LongField { field: "product" }));
    }

    #[test]
    fn a_title_is_found_for_every_page() {
        for (path, source, title) in [
            ("a.md", "---\ntitle: Front\n---\n# Head\n", "Front"),
            ("a.md", "---\nsidebar_label: Side\n---\n# Head\n", "Side"),
            ("a.md", "text\n\n# The `x` *head*\n", "The x head"),
            ("getting-started.md", "## Second\n\n# Late\n", "Getting started"),
            ("guides/tools/index.md", "text", "Tools"),
            ("README.md", "text", "README"),
        ] {
            assert_eq!(document(path, source).title, title, "{path} {source:?}");
        }
    }

    #[test]
    fn addresses_follow_the_style_and_the_slug() {
        let at = |style, path| site(style).page_url(path);
        assert_eq!(at(UrlStyle::Clean, "guides/über uns.md"), "https://example.com/docs/guides/%C3%BCber%20uns");
        assert_eq!(at(UrlStyle::Slash, "guides/a.md"), "https://example.com/docs/guides/a/");
        assert_eq!(at(UrlStyle::Html, "guides/a.md"), "https://example.com/docs/guides/a.html");
        assert_eq!(at(UrlStyle::Html, "guides/README.md"), "https://example.com/docs/guides/");
        assert_eq!(document("g/a.md", "---\nslug: /x\n---\n").url, "https://example.com/docs/x");
        assert_eq!(document("g/a.md", "---\nslug: ../x\n---\n").url, "https://example.com/docs/x");
        for bad in ["docs.example.com", "ftp://x", "https://", "https:///x", "https://x/?q"] {
            assert!(Site::new(bad, UrlStyle::Clean).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_lead_where_they_lead_on_the_site() {
        let page = "[1](b.md#c) [2](../x/index.md) [3](other) [4](/root?q=1) [5](#here) [6](//cdn/x) [7](mailto:a@b) ![8](i/p.png) [9](/e.md)";
        let expected = "[1](https://example.com/docs/g/b#c) [2](https://example.com/docs/x/) \
                        [3](https://example.com/docs/g/other) [4](https://example.com/root?q=1) \
                        [5](https://example.com/docs/g/a#here) [6](https://cdn/x) [7](mailto:a@b) \
                        ![8](https://example.com/docs/g/i/p.png) [9](https://example.com/docs/e)";
        assert_eq!(document("g/a.md", page).body, expected);
    }
}
