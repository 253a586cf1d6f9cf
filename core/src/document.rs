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
use crate::{html, markdown};

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
    let ending = path.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_html = matches!(ending.as_str(), "html" | "htm");
    if ending == "txt" {
        return plain_text(path, &source, site);
    }
    if is_html && site.generator() == Generator::Plain {
        return web_page(path, &source, site);
    }
    let (mut front, body) = front_matter::split(&source, site.generator())?;
    if let Some(reason) = front.skips(site.generator()) {
        return Ok(Page::Skipped(reason));
    }
    let url = site.own_url(path, &front.slug, front.id(), front.url());
    // Hugo takes HTML with front matter for the content of a page.
    let article = is_html.then(|| html::read(body, &url));
    let mut body = if let Some(article) = article {
        article.body
    } else {
        let dialect = dialect::Dialect::of(path, site.generator());
        let body = dialect::plain(body, path, dialect, files);
        markdown::prepared(&body, |link| site.resolve(path, &url, link))
    };
    if !front.tagline().is_empty() {
        body.insert_str(0, &format!("{}\n\n", front.tagline()));
    }
    let mut title = front.any_title();
    if title.is_empty() {
        title = markdown::title(&body).unwrap_or_else(|| readable(path));
    }
    let (lang, product) = front.lang_and_product();
    let front_matter::FrontMatter { description, version, .. } = front;
    let document = Document {
        path: path.to_owned(),
        url,
        title,
        description,
        lang,
        version,
        product,
        // No generator gives headings of HTML an id of its own.
        anchors: if is_html { Anchors::None } else { site.anchors() },
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

/// A page as the browser gets it: its address is that of the file, whatever it says itself, since the
/// base address tells where this copy is published.
fn web_page(path: &str, source: &str, site: &Site) -> Result<Page, DocumentError> {
    let url = site.page_url(path);
    // Links are as the page has them at its place in the folder, where `a.html` may be published as `a`.
    let html::Article { title, lang, description, noindex, body, .. } = html::read(source, &site.file_url(path));
    if noindex {
        return Ok(Page::Skipped("robots: noindex"));
    }
    let title = if title.is_empty() { readable(path) } else { title };
    let lang = if lang.len() > MAX_FILTER_BYTES { String::new() } else { lang };
    let path = path.to_owned();
    let document =
        Document { path, url, title, description, lang, anchors: Anchors::None, body, ..Document::default() };
    finished(document, site).map(Page::Document)
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
    use super::layout::Layout;
    use super::site::{Labels, Locale};
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
        let broken = read("a.md", "---\ntitle: x\nversion: [1\n---\n", &site(UrlStyle::Clean)).unwrap_err();
        assert!(broken.to_string().starts_with("front matter, line 3: version:"), "{broken}");
        let broken = read("a.md", "+++\ntitle = \"x\"\nlang = = 1\n+++\n", &site(UrlStyle::Clean)).unwrap_err();
        assert!(broken.to_string().starts_with("front matter, line 3:"), "{broken}");
        let hidden = read("a.md", "---\ndraft: false\nunlisted: true\n---\n", &site(UrlStyle::Clean));
        assert_eq!(hidden, Ok(Page::Skipped("unlisted: true")));
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

    /// Path, front matter, then address, title, and what keeps it out of the index.
    fn pages(site: &Site, cases: &[(&str, &str, &str, &str)]) {
        for (path, front, url, title) in cases {
            let front = if front.is_empty() { String::new() } else { format!("---\n{front}\n---\n") };
            let found = match site.is_page(path).then(|| read(path, &format!("{front}text\n"), site)) {
                None => ("no page".to_owned(), String::new()),
                Some(Ok(Page::Skipped(reason))) => ("skipped".to_owned(), reason.to_owned()),
                Some(Ok(Page::Document(document))) => (document.url.replace("https://x.dev/docs", ""), document.title),
                Some(Err(error)) => panic!("{path}: {error}"),
            };
            assert_eq!(found, ((*url).to_owned(), (*title).to_owned()), "{path} {front}");
        }
    }

    fn made_by(generator: Generator) -> Layout {
        Layout { generator, ..Layout::default() }
    }

    #[test]
    fn docusaurus_strips_numbers_and_reads_slug_and_id() {
        let site = Site::of("https://x.dev/docs", made_by(Generator::Docusaurus)).unwrap();
        pages(
            &site,
            &[
                ("01-guides/02-install.md", "", "/guides/install", "02 install"),
                ("01-guides/index.mdx", "", "/guides/", "01 guides"),
                ("guides/Guides.md", "title: All", "/guides/", "All"),
                ("guides/README.md", "slug: start", "/guides/start", "Guides"),
                ("guides/a.md", "slug: /b", "/b", "A"),
                ("guides/a.md", "slug: ../b\nsidebar_label: Side", "/b", "Side"),
                ("guides/a.md", "id: other", "/guides/other", "A"),
                ("2024-05-01-news.md", "", "/2024-05-01-news", "2024 05 01 news"),
                ("1.2-release.md", "", "/1.2-release", "1.2 release"),
                ("a.md", "unlisted: true", "skipped", "unlisted: true"),
                ("_part.mdx", "", "no page", ""),
                ("_parts/a.md", "", "no page", ""),
                ("a.test.md", "", "no page", ""),
            ],
        );
        let root =
            Layout { content: "docs/".to_owned(), latest: Some("2.0".to_owned()), ..made_by(Generator::Docusaurus) };
        let site = Site::of("https://x.dev/docs", root).unwrap();
        for (path, url, lang, version) in [
            ("docs/a.md", "https://x.dev/docs/next/a", "", ""),
            ("versioned_docs/version-2.0/a.md", "https://x.dev/docs/a", "", "2.0"),
            ("versioned_docs/version-1.0/a.md", "https://x.dev/docs/1.0/a", "", "1.0"),
            ("i18n/fr/docusaurus-plugin-content-docs/version-1.0/a.md", "https://x.dev/fr/docs/1.0/a", "fr", "1.0"),
            ("i18n/fr/docusaurus-plugin-content-docs/current/a.md", "https://x.dev/fr/docs/next/a", "fr", ""),
        ] {
            assert_eq!(
                (site.page_url(path).as_str(), site.lang_and_version(path)),
                (url, (lang.to_owned(), version.to_owned()))
            );
        }
        assert!(!site.is_page("README.md") && !site.is_page("blog/a.md"));
    }

    #[test]
    fn starlight_slugs_every_folder_and_leaves_out_what_pagefind_does() {
        let locales = vec![
            Locale { folder: String::new(), lang: "en".to_owned() },
            Locale { folder: "zh-cn".to_owned(), lang: "zh-CN".to_owned() },
        ];
        let site = Site::of("https://x.dev/docs", Layout { locales, ..made_by(Generator::Starlight) }).unwrap();
        pages(
            &site,
            &[
                ("Guides/My Page v1.2.md", "title: T", "/guides/my-page-v12/", "T"),
                ("guides/index.mdx", "sidebar:\n  label: All\n  order: 1", "/guides/", "All"),
                ("guides/a.md", "slug: other/b", "/other/b/", "A"),
                ("index.mdx", "hero:\n  title: Hello", "/", "Hello"),
                ("a.md", "pagefind: false", "skipped", "pagefind: false"),
                ("a.md", "sidebar:\n  hidden: true", "/a/", "A"),
                ("_part.mdx", "", "no page", ""),
            ],
        );
        assert_eq!(site.lang_and_version("zh-cn/a.md").0, "zh-CN");
        assert_eq!(site.lang_and_version("guides/a.md").0, "en");
    }

    #[test]
    fn vitepress_mkdocs_mdbook_and_mintlify_have_their_own_index_and_opt_outs() {
        let site = |generator| Site::of("https://x.dev/docs", made_by(generator)).unwrap();
        pages(
            &site(Generator::VitePress),
            &[
                ("guide/a.md", "", "/guide/a.html", "A"),
                ("guide/index.md", "", "/guide/", "Guide"),
                ("guide/README.md", "", "/guide/README.html", "Guide"),
                ("a.md", "search: false", "skipped", "search: false"),
                ("packages/[pkg].md", "", "no page", ""),
            ],
        );
        pages(
            &site(Generator::MkDocs),
            &[
                ("guide/a.md", "", "/guide/a/", "A"),
                ("guide/README.md", "", "/guide/", "Guide"),
                ("a.md", "search:\n  exclude: true", "skipped", "search: {exclude: true}"),
                ("a.md", "search:\n  boost: 2", "/a/", "A"),
            ],
        );
        pages(
            &site(Generator::MdBook),
            &[
                ("guide/a.md", "", "/guide/a.html", "A"),
                ("guide/README.md", "", "/guide/", "Guide"),
                ("SUMMARY.md", "", "no page", ""),
            ],
        );
        pages(
            &site(Generator::Mintlify),
            &[
                ("guide/a.mdx", "sidebarTitle: Side", "/guide/a", "Side"),
                ("guide/a.mdx", "hidden: true", "skipped", "hidden: true"),
                ("guide/a.mdx", "searchable: false", "skipped", "searchable: false"),
                ("snippets/a.mdx", "", "no page", ""),
                ("CHANGELOG.md", "", "no page", ""),
            ],
        );
    }

    #[test]
    fn hugo_reads_url_slug_and_build_in_three_notations() {
        let locales = ["", "fr"].map(|folder| Locale {
            folder: folder.to_owned(),
            lang: if folder.is_empty() { "en" } else { folder }.to_owned(),
        });
        let site =
            Site::of("https://x.dev/docs", Layout { locales: locales.to_vec(), ..made_by(Generator::Hugo) }).unwrap();
        pages(
            &site,
            &[
                ("Guides/My Page.md", "", "/guides/my-page/", "My Page"),
                ("guides/_index.md", "linkTitle: All", "/guides/", "All"),
                ("guides/bundle/index.md", "slug: other", "/guides/bundle/", "Bundle"),
                ("guides/a.md", "slug: Other Name", "/guides/other-name/", "A"),
                ("guides/a.md", "url: /x/y.html", "/x/y.html", "A"),
                ("guides/a.md", "headless: true", "skipped", "headless: true"),
                ("guides/a.md", "build:\n  list: never", "skipped", "build.list: never"),
                ("about.fr.md", "", "/fr/about/", "About.fr"),
            ],
        );
        assert_eq!(site.lang_and_version("fr/a.md").0, "fr");
        for source in [
            "{\n  \"title\": \"T\",\n  \"tags\": [\"a\"]\n}\n\nbody",
            "+++\ntitle = 'T'\n[build]\nlist = 'always'\n+++\nbody",
        ] {
            match read("a.md", source, &site) {
                Ok(Page::Document(document)) => {
                    assert_eq!((document.title.as_str(), document.body.trim()), ("T", "body"));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn multimarkdown_fields_stand_above_pages_of_mkdocs_only() {
        let source = "Title:   My page\nAuthors: A\n         B\n\nNote: this is text.\n";
        let read = |generator| match read("a.md", source, &Site::of("https://x.dev", made_by(generator)).unwrap()) {
            Ok(Page::Document(document)) => (document.title, document.body),
            other => panic!("{other:?}"),
        };
        assert_eq!(read(Generator::MkDocs), ("My page".to_owned(), "Note: this is text.\n".to_owned()));
        assert_eq!(read(Generator::Plain), ("A".to_owned(), source.to_owned()));
    }

    #[test]
    fn pages_of_html_keep_the_ids_of_their_headings_and_text_files_their_name() {
        let page = "<html lang=de><title>T – Site</title><nav>menu</nav><main><h1 id=top>Head</h1><p>Text <a href='b.html'>b</a>.</main>";
        let Document { url, title, lang, body, .. } = document("guide/a.html", page);
        assert_eq!([url.as_str(), &title, &lang], ["https://example.com/docs/guide/a", "Head", "de"]);
        assert!(
            body.contains("# Head {#top}") && body.contains("[b](https://example.com/docs/guide/b.html)"),
            "{body}"
        );
        assert_eq!(document("guide/index.html", page).url, "https://example.com/docs/guide/");
        let hidden = "<meta name=robots content=noindex><p>x";
        assert_eq!(read("a.html", hidden, &site(UrlStyle::Clean)), Ok(Page::Skipped("robots: noindex")));
        let text = document("NOTES.txt", "Title\n=====\n\n<b>\n");
        assert_eq!((text.url.as_str(), text.title.as_str()), ("https://example.com/docs/NOTES.txt", "Title"));
    }

    #[test]
    fn fields_of_other_programs_do_not_fail_a_page_and_labels_fill_what_is_missing() {
        let labels = Labels { lang: "de".to_owned(), version: "3".to_owned(), product: "p".to_owned() };
        let site = site(UrlStyle::Clean).with_labels(labels);
        let source = "---\nproduct: [a, b]\nsidebar: auto\nsearch: true\nhidden: true\nid: 7\nlang: en\ndraft: \"no\"\n---\ntext";
        match read("a.md", source, &site) {
            Ok(Page::Document(Document { lang, version, product, .. })) => {
                assert_eq!([lang, version, product], ["en", "3", "p"]);
            }
            other => panic!("{other:?}"),
        }
    }
}
