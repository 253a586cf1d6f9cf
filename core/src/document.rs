//! A Markdown file to a document: front matter, title, and its address on the site.

use std::fmt::Write as _;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::markdown;

/// A page of the documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Path below the folder it was read from, with `/`.
    pub path: String,
    /// Absolute, without anchor.
    pub url: String,
    /// Front matter, else first heading, else file name.
    pub title: String,
    /// From front matter, else empty.
    pub description: String,
    /// BCP 47 language tag from front matter, else empty.
    pub lang: String,
    /// Product version from front matter, else empty.
    pub version: String,
    /// Product from front matter, else empty.
    pub product: String,
    /// Markdown without front matter and comments, links made absolute, lines ended by `\n`.
    pub body: String,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// To be indexed.
    Document(Document),
    /// Its author keeps it from search: the name of the front matter field that says so.
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

/// How the site spells the address of `guides/install.md`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UrlStyle {
    /// `guides/install`
    #[default]
    Clean,
    /// `guides/install/`
    Slash,
    /// `guides/install.html`
    Html,
}

/// Where the documentation is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `https://host/path` without a slash at its end.
    base: String,
    style: UrlStyle,
}

/// The base address is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no base address; give one like https://docs.example.com or https://example.com/docs")]
pub struct BadBase(String);

impl Site {
    /// `base` is the address of the documentation's root folder, http or https.
    pub fn new(base: &str, style: UrlStyle) -> Result<Self, BadBase> {
        let base = base.trim().trim_end_matches('/');
        let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")).unwrap_or_default();
        let host_ok = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        if !host_ok || base.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#' | '"' | '<' | '>')) {
            return Err(BadBase(base.to_owned()));
        }
        Ok(Self { base: base.to_owned(), style })
    }

    /// Address of the page made from the file at `path`. An index or README is its folder.
    pub fn page_url(&self, path: &str) -> String {
        let (folder, name) = split_path(path);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        if stem.eq_ignore_ascii_case("index") || stem.eq_ignore_ascii_case("readme") {
            return format!("{}/{}", self.base, encode(folder));
        }
        let end = match self.style {
            UrlStyle::Clean => "",
            UrlStyle::Slash => "/",
            UrlStyle::Html => ".html",
        };
        format!("{}/{}{}{end}", self.base, encode(folder), encode(stem))
    }

    /// A leading `/` counts from the base address, else from the folder of the file.
    fn slug_url(&self, path: &str, slug: &str) -> String {
        let (folder, _) = split_path(path);
        let from = if slug.starts_with('/') { "" } else { folder };
        let joined = without_dots(&format!("/{from}{}", slug.trim_start_matches('/')));
        format!("{}{}", self.base, encode(&joined))
    }

    /// What a link in the page at `path` and `url` points to. A name with an extension is a file
    /// beside the source, Markdown being the page made of it; anything else is an address as a
    /// browser reads it. `None`: already absolute.
    fn resolve(&self, path: &str, url: &str, link: &str) -> Option<String> {
        let scheme = link.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
        if scheme || link.is_empty() {
            return None;
        }
        let (target, rest) = link.split_at(link.find(['?', '#']).unwrap_or(link.len()));
        let (scheme, after) = self.base.split_once("://").unwrap_or_default();
        let origin = format!("{scheme}://{}", after.split('/').next().unwrap_or_default());
        if target.starts_with("//") {
            return Some(format!("{scheme}:{link}"));
        }
        if target.is_empty() {
            return Some(format!("{url}{rest}"));
        }
        let is_markdown = extension(target).is_some_and(|e| matches!(e, "md" | "mdx" | "markdown"));
        let absolute = if is_markdown || (extension(target).is_some() && !target.starts_with('/')) {
            let from = if target.starts_with('/') { "" } else { split_path(path).0 };
            let file = without_dots(&format!("/{from}{}", target.trim_start_matches('/')));
            let file = file.trim_start_matches('/');
            if is_markdown { self.page_url(&decode_spaces(file)) } else { format!("{}/{}", self.base, encode(file)) }
        } else if target.starts_with('/') {
            format!("{origin}{}", encode(&without_dots(target)))
        } else {
            let (folder, _) = split_path(url.strip_prefix(&origin).unwrap_or_default());
            format!("{origin}{}", encode(&without_dots(&format!("{folder}{target}"))))
        };
        Some(format!("{absolute}{}", encode(rest)))
    }
}

/// Folder with its slash at the end, and name.
fn split_path(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// Letters behind the last dot of the last segment; `v1.2` has none.
fn extension(path: &str) -> Option<&str> {
    let (stem, extension) = split_path(path).1.rsplit_once('.')?;
    let letters = extension.starts_with(|c: char| c.is_ascii_alphabetic()) && extension.len() <= 8;
    (letters && !stem.is_empty() && stem != ".").then_some(extension)
}

/// Resolves `.` and `..` in an absolute path; nothing climbs above the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let folder = path.ends_with("/..") || path.ends_with("/.");
    let end = if folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// Percent-encodes what an address may not hold; what is encoded already stays.
fn encode(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?#[]".contains(&byte) {
            result.push(char::from(byte));
        } else {
            let _ = write!(result, "%{byte:02X}");
        }
    }
    result
}

fn decode_spaces(path: &str) -> String {
    path.replace("%20", " ")
}

/// The front matter that docent reads. Other fields belong to other programs.
#[derive(Default, Deserialize)]
#[serde(default)]
struct FrontMatter {
    #[serde(deserialize_with = "scalar")]
    title: String,
    #[serde(deserialize_with = "scalar")]
    sidebar_label: String,
    #[serde(rename = "sidebarTitle", deserialize_with = "scalar")]
    sidebar_title: String,
    #[serde(deserialize_with = "scalar")]
    slug: String,
    #[serde(deserialize_with = "scalar")]
    description: String,
    #[serde(deserialize_with = "scalar")]
    lang: String,
    #[serde(deserialize_with = "scalar")]
    version: String,
    #[serde(deserialize_with = "scalar")]
    product: String,
    draft: Option<bool>,
    unlisted: Option<bool>,
    noindex: Option<bool>,
}

impl FrontMatter {
    fn skips(&self) -> Option<&'static str> {
        let fields = [("draft", self.draft), ("unlisted", self.unlisted), ("noindex", self.noindex)];
        fields.into_iter().find_map(|(name, value)| (value == Some(true)).then_some(name))
    }
}

/// Text, or a number or truth value as its author wrote it: YAML hands `version: 1.10` over as text,
/// and not as the number 1.1.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_option(Scalar)
}

struct Scalar;

impl<'de> Visitor<'de> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("one line of text")
    }
    fn visit_none<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.trim().to_owned())
    }
    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }
}

/// Reads a Markdown file. `path` is relative, with `/`.
pub fn read(path: &str, source: &str, site: &Site) -> Result<Page, DocumentError> {
    let source = source.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let (front, body) = front_matter(&source)?;
    if let Some(field) = front.skips() {
        return Ok(Page::Skipped(field));
    }
    for (field, value) in [("lang", &front.lang), ("version", &front.version), ("product", &front.product)] {
        if value.len() > MAX_FILTER_BYTES {
            return Err(DocumentError::LongField { field });
        }
    }
    let url = if front.slug.is_empty() { site.page_url(path) } else { site.slug_url(path, &front.slug) };
    if url.len() > MAX_URL_BYTES || path.len() > MAX_URL_BYTES {
        return Err(DocumentError::LongUrl);
    }
    let body = markdown::prepared(body, |link| site.resolve(path, &url, link));
    let titles = [front.title, front.sidebar_label, front.sidebar_title];
    let title = titles.into_iter().find(|title| !title.is_empty());
    let title = title.or_else(|| first_heading(&body)).unwrap_or_else(|| readable(path));
    let FrontMatter { description, lang, version, product, .. } = front;
    Ok(Page::Document(Document { path: path.to_owned(), url, title, description, lang, version, product, body }))
}

/// The first heading, if it is a level one.
fn first_heading(body: &str) -> Option<String> {
    let heading = markdown::sections(body).into_iter().find_map(|section| section.heading)?;
    (heading.level == 1 && !heading.text.is_empty()).then_some(heading.text)
}

/// `getting-started.md` reads "Getting started"; an index or README takes the name of its folder.
fn readable(path: &str) -> String {
    let (folder, name) = split_path(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let is_folder = stem.eq_ignore_ascii_case("index") || stem.eq_ignore_ascii_case("readme");
    let stem = match split_path(folder.trim_end_matches('/')).1 {
        folder if is_folder && !folder.is_empty() => folder,
        _ => stem,
    };
    let words = stem.replace(['-', '_'], " ");
    let mut chars = words.trim().chars();
    chars.next().map_or_else(|| stem.to_owned(), |first| first.to_uppercase().chain(chars).collect())
}

/// Splits front matter off: YAML between `---`, TOML between `+++`. A block that nobody closes, or
/// that is no table of fields, is text.
fn front_matter(source: &str) -> Result<(FrontMatter, &str), DocumentError> {
    let error = |line, reason: String| DocumentError::FrontMatter { line, reason };
    if let Some((yaml, body)) = fenced(source, "---") {
        // Two rules with words between them are no front matter.
        if yaml_serde::from_str::<yaml_serde::Value>(yaml).is_ok_and(|value| !value.is_mapping() && !value.is_null()) {
            return Ok((FrontMatter::default(), source));
        }
        let front = yaml_serde::from_str::<Option<FrontMatter>>(yaml)
            .map_err(|e| error(e.location().map_or(1, |at| at.line() + 1), first_line(&e.to_string())))?;
        return Ok((front.unwrap_or_default(), body));
    }
    if let Some((toml, body)) = fenced(source, "+++") {
        let front = toml::from_str(toml).map_err(|e| {
            let before = e.span().and_then(|span| toml.get(..span.start)).unwrap_or_default();
            error(before.matches('\n').count() + 2, first_line(e.message()))
        })?;
        return Ok((front, body));
    }
    Ok((FrontMatter::default(), source))
}

/// Without the place, which the parser counts from another line.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.split_once(" at line ").map_or(line, |(reason, _)| reason).to_owned()
}

/// What stands between a first line that is the fence and the next line that is one, and the rest.
fn fenced<'a>(source: &'a str, fence: &str) -> Option<(&'a str, &'a str)> {
    let (first, rest) = source.split_once('\n')?;
    if first.trim_end() != fence {
        return None;
    }
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == fence {
            return rest.get(..at).zip(rest.get(at + line.len()..));
        }
        at += line.len();
    }
    None
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
