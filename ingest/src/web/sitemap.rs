//! Sitemaps: the addresses they list, and the sitemaps that an index lists.

use std::io::Read as _;

use quick_xml::Reader;
use quick_xml::events::Event;

/// sitemaps.org allows 50 MB, unpacked.
pub(super) const MAX_BYTES: usize = 50 * 1024 * 1024;

/// A sitemap has three levels, its extensions a few more.
const MAX_DEPTH: usize = 32;

/// What a sitemap names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sitemap {
    /// Pages.
    pub(super) pages: Vec<Entry>,
    /// Further sitemaps.
    pub(super) sitemaps: Vec<String>,
}

/// A page in a sitemap.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// As written.
    pub(super) address: String,
    /// Day of the last change, as in `2026-01-31`, or empty.
    pub(super) changed: String,
}

/// Reads a sitemap, unpacked or not: XML, or a text file with an address a line.
pub(super) fn parse(bytes: &[u8]) -> Result<Sitemap, String> {
    let mut unpacked = Vec::new();
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        let read = flate2::read::MultiGzDecoder::new(bytes).take(limit).read_to_end(&mut unpacked);
        read.map_err(|error| format!("cannot be unpacked: {error}"))?;
        unpacked.as_slice()
    } else {
        bytes
    };
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?.trim_start_matches('\u{feff}');
    if !text.trim_start().starts_with('<') {
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with("http"));
        let pages: Vec<_> = lines.map(|line| Entry { address: line.to_owned(), ..Entry::default() }).collect();
        return if pages.is_empty() {
            Err("is no sitemap".to_owned())
        } else {
            Ok(Sitemap { pages, ..Sitemap::default() })
        };
    }
    xml(text)
}

fn xml(text: &str) -> Result<Sitemap, String> {
    let mut reader = Reader::from_str(text);
    let mut sitemap = Sitemap::default();
    let (mut known, mut entry) = (false, Entry::default());
    // Names of the open elements; prefixed ones, as of images, are others.
    let mut open: Vec<String> = Vec::new();
    loop {
        let event =
            reader.read_event().map_err(|error| format!("is no XML at byte {}: {error}", reader.error_position()))?;
        let written = match event {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err("is no sitemap".to_owned());
                }
                open.push(start.name().as_ref().to_owned());
                known |= matches!(start.local_name().as_ref(), "urlset" | "sitemapindex");
                continue;
            }
            Event::End(end) => {
                match end.name().as_ref() {
                    "url" if !entry.address.is_empty() => sitemap.pages.push(std::mem::take(&mut entry)),
                    "sitemap" if !entry.address.is_empty() => sitemap.sitemaps.push(std::mem::take(&mut entry).address),
                    _ => {}
                }
                open.pop();
                continue;
            }
            Event::Text(text) => text.to_string(),
            Event::CData(text) => text.to_string(),
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(c)) => c.to_string(),
                _ => quick_xml::escape::resolve_xml_entity(&name).unwrap_or_default().to_owned(),
            },
            Event::Eof => break,
            _ => continue,
        };
        match open.last().map(String::as_str) {
            Some("loc") => entry.address.push_str(written.trim()),
            Some("lastmod") => entry.changed.extend(written.trim().chars().take(10)),
            _ => {}
        }
    }
    match (known, open.is_empty()) {
        (true, true) => Ok(sitemap),
        (true, false) => Err("ends in the middle".to_owned()),
        (false, _) => Err("is no sitemap".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_sitemaps_are_read_packed_or_not() {
        let xml = "<?xml version='1.0'?><urlset xmlns='x' xmlns:image='y'><url><loc> https://x/a?b=1&amp;c </loc><lastmod>2026-01-31T00:00:00Z</lastmod>\
                   <image:image><image:loc>https://x/i.png</image:loc></image:image></url><url><loc><![CDATA[https://x/b]]></loc></url></urlset>";
        let entry = |address: &str, changed: &str| Entry { address: address.to_owned(), changed: changed.to_owned() };
        let pages = vec![entry("https://x/a?b=1&c", "2026-01-31"), entry("https://x/b", "")];
        assert_eq!(parse(xml.as_bytes()), Ok(Sitemap { pages, sitemaps: Vec::new() }));
        let index = "<sitemapindex><sitemap><loc>https://x/s.xml.gz</loc></sitemap></sitemapindex>";
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, index.as_bytes()).unwrap();
        let found = parse(&packed.finish().unwrap());
        assert_eq!(found, Ok(Sitemap { pages: Vec::new(), sitemaps: vec!["https://x/s.xml.gz".to_owned()] }));
        assert_eq!(parse(b"https://x/a\nhttps://x/b\n").unwrap().pages.len(), 2);
    }

    #[test]
    fn what_is_no_sitemap_is_refused() {
        for bytes in
            [b"<!doctype html><title>Not found</title>".as_slice(), b"", b"<urlset><url>", b"\x1f\x8bno", b"{}"]
        {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
