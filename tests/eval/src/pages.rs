//! When two addresses are the same page.
//!
//! A page has a name: its address below the documentation's base URL, without what differs between
//! one way to publish it and another. `https://docs.example/ingest/`, `/ingest/index.html`,
//! `ingest.md` and `ingest` are all `ingest`; the page at the base URL itself is `index`.

use url::Url;

/// The name of a page's address, and the anchor in it, if any. An address that is not below the base
/// URL keeps its host: it is a name all the same, only of another site's page.
pub fn name(base_url: &str, address: &str) -> (String, Option<String>) {
    let (address, anchor) = match address.split_once('#') {
        Some((address, anchor)) => (address, Some(anchor).filter(|anchor| !anchor.is_empty())),
        None => (address, None),
    };
    let address = address.split('?').next().unwrap_or(address);
    let below = Url::parse(base_url).ok().and_then(|base| below(&base, address));
    let path = below.unwrap_or_else(|| address.trim_start_matches("https://").trim_start_matches("http://").to_owned());
    (bare(&path), anchor.map(str::to_owned))
}

/// The name of a passage: its page with the anchor.
pub fn passage(base_url: &str, address: &str) -> String {
    match name(base_url, address) {
        (page, Some(anchor)) => format!("{page}#{anchor}"),
        (page, None) => page,
    }
}

/// The path below the base, when the address is there or is relative.
fn below(base: &Url, address: &str) -> Option<String> {
    let root = format!("{}/", base.as_str().trim_end_matches('/'));
    if address.contains("://") {
        let address = Url::parse(address).ok()?;
        let whole = format!("{}/", address.as_str().trim_end_matches('/'));
        return whole.strip_prefix(&root).map(str::to_owned);
    }
    // `/x` may be written for the path on the host or below the base: the base's own path goes.
    let host_path = base.path().trim_end_matches('/');
    let address = address.trim_start_matches("./");
    Some(address.strip_prefix(host_path).unwrap_or(address).to_owned())
}

/// Without slashes around, file ending and the name of an index page.
fn bare(path: &str) -> String {
    let path = path.trim_matches('/');
    let path = [".html", ".htm", ".mdx", ".md"].iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path);
    let (folder, last) = path.rsplit_once('/').unwrap_or(("", path));
    let name = if ["index", "README"].contains(&last) { folder } else { path };
    // Blanks separate the fields of TREC files.
    let name = name.trim_matches('/').replace(char::is_whitespace, "%20");
    if name.is_empty() { "index".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_write_a_page_have_one_name() {
        let base = "https://docs.example/v2/";
        let written = [
            "https://docs.example/v2/guides/run/",
            "https://docs.example/v2/guides/run.html?x=1",
            "https://docs.example/v2/guides/run/index.html",
            "/v2/guides/run",
            "/guides/run/",
            "guides/run.md",
            "guides/run",
            "./guides/run/README.md",
        ];
        for address in written {
            assert_eq!(name(base, address), ("guides/run".to_owned(), None), "{address}");
            assert_eq!(passage(base, &format!("{address}#now")), "guides/run#now", "{address}");
        }
        for address in ["https://docs.example/v2", "https://docs.example/v2/", "/", "index.md", "README.md"] {
            assert_eq!(name(base, address).0, "index", "{address}");
        }
        assert_eq!(name(base, "https://other.example/guides/run").0, "other.example/guides/run");
        assert_eq!(name(base, "https://docs.example/v20/run").0, "docs.example/v20/run");
    }
}
