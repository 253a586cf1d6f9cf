//! The documentation as pages, so that the sources of an answer can be clicked on a laptop.
//!
//! Heading ids are those that ingest puts into the addresses of chunks. HTML inside the Markdown is
//! shown as text, and the pages may run no script: documentation is somebody else's words here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::Response;
use docent_core::markdown;
use percent_encoding::percent_decode_str;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

use crate::services::{set, typed_response};

/// Nothing but text, our own style and pictures.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: https:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .4rem; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #8886; padding: .3rem .6rem; text-align: start; }
img { max-width: 100%; }
blockquote { border-inline-start: .25rem solid #8888; margin-inline: 0; padding-inline-start: 1rem; }
:target { outline: .2rem solid #d90; outline-offset: .3rem; }
";

/// A folder of Markdown.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    root: PathBuf,
}

impl Pages {
    /// `root` must be there.
    pub(crate) fn open(root: &Path) -> Result<Self, String> {
        let found = root.canonicalize().ok().filter(|root| root.is_dir());
        let root = found.ok_or_else(|| format!("there is no folder {} to show as documentation", root.display()))?;
        Ok(Self { root })
    }

    /// The page or picture at a path below `/docs/`.
    pub(crate) fn answer(&self, path: &str) -> Response<Body> {
        let mut response = match self.find(path) {
            Some(Found::Page(file)) => match std::fs::read_to_string(&file) {
                Ok(source) => typed_response(200, "text/html; charset=utf-8", page(&source)),
                Err(error) => not_found(&error.to_string()),
            },
            Some(Found::Picture(file, kind)) => match std::fs::read(&file) {
                Ok(bytes) => typed_response(200, kind, bytes),
                Err(error) => not_found(&error.to_string()),
            },
            Some(Found::Folder(folder)) => {
                // Relative links on the list need the slash.
                if !path.is_empty() && !path.ends_with('/') {
                    let mut response = typed_response(308, "text/plain", "");
                    set(&mut response, "location", &format!("/docs/{path}/"));
                    return response;
                }
                typed_response(200, "text/html; charset=utf-8", list(&folder))
            }
            None => not_found("there is no such page"),
        };
        set(&mut response, "content-security-policy", POLICY);
        set(&mut response, "x-content-type-options", "nosniff");
        response
    }

    /// An index or README is its folder's page; a page is found with and without its extension.
    fn find(&self, path: &str) -> Option<Found> {
        let decoded = percent_decode_str(path.trim_end_matches('/')).decode_utf8().ok()?;
        let mut target = self.root.clone();
        for part in decoded.split('/').filter(|part| !part.is_empty()) {
            // Hidden files, and every way up.
            if part.starts_with('.') || part.contains(['\\', '\0']) {
                return None;
            }
            target.push(part);
        }
        let inside = |file: PathBuf| file.canonicalize().ok().filter(|file| file.starts_with(&self.root));
        if target.is_dir() {
            let indexes = ["index.md", "README.md", "readme.md", "index.mdx"].map(|name| target.join(name));
            let index = indexes.into_iter().find(|file| file.is_file()).and_then(inside);
            return index.map(Found::Page).or_else(|| inside(target.clone()).map(Found::Folder));
        }
        if target.is_file() {
            let file = inside(target)?;
            let extension = file.extension()?.to_str()?.to_ascii_lowercase();
            if matches!(extension.as_str(), "md" | "mdx" | "markdown") {
                return Some(Found::Page(file));
            }
            return picture(&extension).map(|kind| Found::Picture(file, kind));
        }
        // `Path::with_extension` would cut `v1.2` to `v1.md`.
        ["md", "mdx", "markdown"]
            .iter()
            .map(|extension| PathBuf::from(format!("{}.{extension}", target.display())))
            .find(|file| file.is_file())
            .and_then(inside)
            .map(Found::Page)
    }
}

enum Found {
    Page(PathBuf),
    Picture(PathBuf, &'static str),
    Folder(PathBuf),
}

fn picture(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        "avif" => "image/avif",
        _ => return None,
    })
}

fn not_found(reason: &str) -> Response<Body> {
    let mut text = String::new();
    let _ = write!(text, "# Not found\n\n{reason}.");
    typed_response(404, "text/html; charset=utf-8", page(&text))
}

fn list(folder: &Path) -> String {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
            if entry.path().is_dir() {
                return Some(format!("{name}/"));
            }
            name.strip_suffix(".md").or_else(|| name.strip_suffix(".mdx")).map(str::to_owned)
        })
        .collect();
    names.sort();
    let items = names.iter().fold(String::from("# Pages\n\n"), |mut out, name| {
        let _ = writeln!(out, "- [{name}](<{name}>)");
        out
    });
    page(&items)
}

/// Markdown as an HTML page.
fn page(source: &str) -> String {
    let source = without_front_matter(source);
    let anchors: Vec<(std::ops::Range<usize>, String)> = markdown::sections(source, docent_core::anchors::Anchors::GitHub)
        .into_iter()
        .filter_map(|section| section.heading)
        .map(|heading| (heading.lines, heading.anchor))
        .collect();
    let mut title = String::new();
    let mut in_title = false;
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let events = Parser::new_ext(source, options).into_offset_iter().map(|(event, range)| match event {
        Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
            in_title = title.is_empty();
            let anchor = anchors.iter().find(|(lines, _)| lines.contains(&range.start));
            let id = anchor.map(|(_, anchor)| anchor.clone().into());
            Event::Start(Tag::Heading { level, id, classes, attrs })
        }
        Event::End(TagEnd::Heading(level)) => {
            in_title = false;
            Event::End(TagEnd::Heading(level))
        }
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if harmless(&dest_url) { dest_url } else { "#".into() };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        event => {
            if let (Event::Text(text) | Event::Code(text), true) = (&event, in_title) {
                title.push_str(text);
            }
            event
        }
    });
    let mut body = String::new();
    html::push_html(&mut body, events);
    let name = if title.is_empty() { "Documentation" } else { &title };
    let mut escaped = String::new();
    html::push_html(&mut escaped, std::iter::once(Event::Text(name.into())));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{escaped}</title>\n<style>{STYLE}</style>\n\
         <main>\n{body}</main>\n</html>\n"
    )
}

/// Whether a link leads to a page, and does not run anything.
fn harmless(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains(['/', '?', '#']) => {
            matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https" | "mailto")
        }
        _ => true,
    }
}

/// YAML between `---` or TOML between `+++` at the very top.
fn without_front_matter(source: &str) -> &str {
    for fence in ["---", "+++"] {
        let Some(rest) = source.strip_prefix(fence).filter(|rest| rest.starts_with(['\n', '\r'])) else { continue };
        let end = format!("\n{fence}");
        if let Some((_, after)) = rest.split_once(&end)
            && let Some((line, body)) = after.split_once('\n')
            && line.trim().is_empty()
        {
            return body;
        }
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_markdown_and_runs_nothing() {
        let html = page(
            "---\ntitle: x\n---\n# Über `uv`\n\n<script>alert(1)</script>\n\n[go](javascript:alert(1)) <b>x</b>\n\n## Über uv\n",
        );
        assert!(html.contains("<title>Über uv</title>"), "{html}");
        assert!(html.contains("<h1 id=\"über-uv\">") && html.contains("<h2 id=\"über-uv-1\">"), "{html}");
        assert!(!html.contains("<script") && !html.contains("javascript:") && !html.contains("<b>"), "{html}");
        assert!(!html.contains("title: x"));
    }

    #[test]
    fn a_path_finds_pages_below_the_folder_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("docs");
        std::fs::create_dir_all(root.join("guides/v1.2")).unwrap();
        std::fs::write(folder.path().join("secret.md"), "secret").unwrap();
        std::fs::write(root.join("README.md"), "# home").unwrap();
        std::fs::write(root.join("guides/v1.2/a b.md"), "# a").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret.md"), root.join("out.md")).unwrap();
        let pages = Pages::open(&root).unwrap();
        for there in ["", "README.md", "README", "guides/v1.2/a%20b", "guides/v1.2/a b.md", "guides/"] {
            assert_eq!(pages.answer(there).status(), 200, "{there}");
        }
        for absent in ["../secret", "%2e%2e/secret.md", "..%2fsecret.md", "out", "out.md", "guides/v1.2/c", ".git"] {
            assert_eq!(pages.answer(absent).status(), 404, "{absent}");
        }
        assert_eq!(pages.answer("guides").headers()["location"], "/docs/guides/");
    }
}
