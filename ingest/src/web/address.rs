//! Which addresses belong to a site, and under which path of a document each is known.

use url::Url;

/// Files that are no pages: not worth a request.
const NO_PAGES: [&str; 44] = [
    "7z", "atom", "avif", "bz2", "css", "csv", "deb", "dmg", "doc", "docx", "eot", "epub", "exe", "gif", "gz", "ico",
    "iso", "jar", "jpeg", "jpg", "json", "map", "mp3", "mp4", "msi", "ogg", "pdf", "png", "ppt", "pptx", "rpm", "rss",
    "svg", "tar", "tgz", "ttf", "wav", "webm", "webp", "woff", "woff2", "xlsx", "xz", "zip",
];

/// What is read when a site is given: pages of one host, below one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// Without query and fragment.
    pub(super) start: Url,
    /// Path without a slash at its end.
    prefix: String,
}

impl Scope {
    /// Everything below the address; a page with an extension means its folder.
    pub(super) fn below(start: Url) -> Self {
        let path = start.path();
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let prefix = if extension(name).is_some() || name.is_empty() { folder } else { path };
        Self { prefix: prefix.to_owned(), start }
    }

    /// Everything on the host of the address.
    pub(super) fn host(start: Url) -> Self {
        Self { prefix: String::new(), start }
    }

    /// The address as it is asked for: absolute, without query and fragment. `None` if it is outside
    /// or names a file that is no page.
    pub(super) fn page(&self, link: &str) -> Option<Url> {
        let mut url = self.start.join(link.trim()).ok()?;
        if !self.is_here(&url) {
            return None;
        }
        url.set_query(None);
        url.set_fragment(None);
        // A link that has forgotten the s must not ask in the clear.
        let _ = url.set_scheme(self.start.scheme());
        let name = url.path().rsplit('/').next().unwrap_or_default();
        let is_page =
            !extension(name).is_some_and(|extension| NO_PAGES.contains(&extension.to_ascii_lowercase().as_str()));
        (is_page && self.holds(&url)).then_some(url)
    }

    /// Whether the address is on this host: same name and port, or both on the usual ports of http
    /// and https.
    pub(super) fn is_here(&self, url: &Url) -> bool {
        let usual = |url: &Url| url.port().is_none();
        matches!(url.scheme(), "http" | "https")
            && url.host() == self.start.host()
            && (url.port() == self.start.port() || (usual(url) && usual(&self.start)))
    }

    fn holds(&self, url: &Url) -> bool {
        let rest = url.path().strip_prefix(&self.prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What the paths of all documents of the site begin with.
    pub(super) fn documents(&self) -> String {
        format!("{}{}", host(&self.start), self.prefix)
    }
}

/// Path of the document made of a page: its address without scheme, the same for `x`, `x/` and
/// `x/index.html`.
pub(super) fn document_path(url: &Url) -> String {
    let path = url.path();
    let path = path
        .strip_suffix("index.html")
        .or_else(|| path.strip_suffix("index.htm"))
        .filter(|path| path.ends_with('/'))
        .unwrap_or(path);
    format!("{}{}", host(url), path.trim_end_matches('/'))
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Address of the page that a Markdown file is the twin of: `x.md` of `x`, `x/index.html.md` of `x/`.
pub(super) fn twin_of(url: &Url) -> Option<Url> {
    let path = url.path();
    let path =
        path.strip_suffix(".md").or_else(|| path.strip_suffix(".mdx")).or_else(|| path.strip_suffix(".markdown"))?;
    let path = path
        .strip_suffix("/index.html")
        .or_else(|| path.strip_suffix("/index"))
        .map_or_else(|| path.to_owned(), |folder| format!("{folder}/"));
    let mut page = url.clone();
    page.set_path(&path);
    Some(page)
}

/// Letters and digits behind the last dot; `v1.2` has none.
fn extension(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    let is_one = extension.len() <= 8 && !stem.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_one && extension.bytes().any(|byte| byte.is_ascii_alphabetic())).then_some(extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn pages_are_those_of_the_host_below_the_start() {
        let scope = Scope::below(url("https://x.org/docs/"));
        for (link, page) in [
            ("a?q=1#f", Some("https://x.org/docs/a")),
            ("http://X.org/docs/../docs/b/", Some("https://x.org/docs/b/")),
            ("/docs", Some("https://x.org/docs")),
            ("/docs2/a", None),
            ("../other", None),
            ("https://x.org:8443/docs/a", None),
            ("https://sub.x.org/docs/a", None),
            ("https://x.org@evil.org/docs/a", None),
            ("//evil.org/docs/a", None),
            ("javascript:alert(1)", None),
            ("image.PNG", None),
            ("v1.2", Some("https://x.org/docs/v1.2")),
        ] {
            assert_eq!(scope.page(link).as_ref().map(Url::as_str), page, "{link}");
        }
        assert_eq!(Scope::below(url("https://x.org/a/b.html")).documents(), "x.org/a");
        assert_eq!(Scope::below(url("https://x.org/a/b")).documents(), "x.org/a/b");
    }

    #[test]
    fn a_page_has_one_path_however_it_is_spelt() {
        for spelling in ["https://x.org/a", "http://x.org/a/", "https://x.org/a/index.html"] {
            assert_eq!(document_path(&url(spelling)), "x.org/a");
        }
        assert_eq!(document_path(&url("http://127.0.0.1:8000/")), "127.0.0.1:8000");
        for (twin, page) in [("a.md", "a"), ("a/index.md", "a/"), ("a/index.html.md", "a/"), ("a.html.md", "a.html")] {
            let page = url("https://x.org/").join(page).unwrap();
            assert_eq!(twin_of(&url("https://x.org/").join(twin).unwrap()), Some(page));
        }
    }
}
