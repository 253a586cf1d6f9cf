//! robots.txt as RFC 9309 wants it read.

use std::time::Duration;

/// The name that groups of rules are written for.
pub(super) const PRODUCT: &str = "docent";
/// RFC 9309 asks for at least 500 KiB; what comes after is not read.
pub(super) const MAX_BYTES: usize = 512 * 1024;
/// Longest pause between two requests that a site may ask for.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The rules of one site for docent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Robots {
    /// In the order of the file: whether it allows, and the pattern.
    rules: Vec<(bool, Vec<u8>)>,
    /// Pause between two requests, if the site asks for one.
    pub(super) delay: Option<Duration>,
    /// Addresses of sitemaps, as written.
    pub(super) sitemaps: Vec<String>,
}

impl Robots {
    /// Reads the file: the groups for docent, else those for everybody.
    pub(super) fn parse(text: &str) -> Self {
        let mut sitemaps = Vec::new();
        let (mut own, mut everybody) = (Group::default(), Group::default());
        // Agents of the group being read; a rule ends their list.
        let (mut for_us, mut for_all, mut naming) = (false, false, false);
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            let name = name.trim().to_ascii_lowercase();
            match name.as_str() {
                "sitemap" => sitemaps.push(value.to_owned()),
                "user-agent" => {
                    if !naming {
                        (for_us, for_all, naming) = (false, false, true);
                    }
                    for_us |= product(value).eq_ignore_ascii_case(PRODUCT);
                    for_all |= value == "*";
                    own.found |= for_us;
                }
                "allow" | "disallow" | "crawl-delay" => {
                    naming = false;
                    if for_us {
                        own.add(&name, value);
                    }
                    if for_all {
                        everybody.add(&name, value);
                    }
                }
                _ => {}
            }
        }
        let Group { rules, delay, .. } = if own.found { own } else { everybody };
        Self { rules, delay, sitemaps }
    }

    /// Whether the path, with its query, may be asked for. The longest pattern that fits decides, and
    /// between two of the same length the one that allows.
    pub(super) fn allows(&self, path: &str) -> bool {
        let path = normal(path);
        let fitting = self.rules.iter().filter(|(_, pattern)| fits(pattern, &path));
        fitting.max_by_key(|(allows, pattern)| (pattern.len(), *allows)).is_none_or(|(allows, _)| *allows)
    }
}

#[derive(Default)]
struct Group {
    found: bool,
    rules: Vec<(bool, Vec<u8>)>,
    delay: Option<Duration>,
}

impl Group {
    fn add(&mut self, name: &str, value: &str) {
        match name {
            "crawl-delay" => {
                let seconds = value.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
                let delay = seconds.map(|seconds| Duration::from_secs_f64(seconds.min(MAX_DELAY.as_secs_f64())));
                self.delay = self.delay.max(delay);
            }
            // `Disallow:` without a path forbids nothing.
            _ if value.is_empty() => {}
            _ => self.rules.push((name == "allow", normal(value))),
        }
    }
}

/// `docent/1.0` is written for `docent`.
fn product(agent: &str) -> &str {
    let end = agent.find(|c: char| !(c.is_ascii_alphabetic() || matches!(c, '-' | '_'))).unwrap_or(agent.len());
    agent.get(..end).unwrap_or_default()
}

/// Percent-encoded where it must be and nowhere else, so that two spellings of a path compare equal.
fn normal(path: &str) -> Vec<u8> {
    let mut result = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let encoded =
            if byte == b'%' { after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()) } else { None };
        let decoded = encoded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match decoded {
            Some(byte) if !plain(byte) => result.extend(format!("%{byte:02X}").bytes()),
            Some(byte) => result.push(byte),
            None if byte.is_ascii() => result.push(byte),
            None => result.extend(format!("%{byte:02X}").bytes()),
        }
    }
    result
}

/// `*` stands for anything, `$` at the end for the end. Time grows with the product of both lengths.
fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let (pattern, whole) = match pattern.split_last() {
        Some((b'$', pattern)) => (pattern, true),
        _ => (pattern, false),
    };
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return !whole || rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if whole && parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let at = if part.is_empty() { Some(0) } else { rest.windows(part.len()).position(|window| window == part) };
        let Some(after) = at.and_then(|at| rest.get(at + part.len()..)) else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_decides_and_allow_wins_a_tie() {
        let robots = Robots::parse(
            "User-agent: *\nDisallow: /\nAllow: /docs\nDisallow: /docs/private\nAllow: /a\nDisallow: /a\n",
        );
        for (path, allowed) in
            [("/", false), ("/docs/x", true), ("/docs/private/x", false), ("/a", true), ("/docs%2Fprivate", true)]
        {
            assert_eq!(robots.allows(path), allowed, "{path}");
        }
        assert!(Robots::parse("User-agent: *\nDisallow:\n").allows("/x"));
        assert!(Robots::parse("").allows("/x"));
    }

    #[test]
    fn stars_and_ends_are_understood_and_spellings_are_one() {
        for (pattern, path, fit) in [
            ("/*.pdf$", "/a/b.pdf", true),
            ("/*.pdf$", "/a/b.pdf?x", false),
            ("/a*b*c", "/axxbxxcx", true),
            ("/a*b*c", "/axxc", false),
            ("/*/private/*", "/x/private/", true),
            ("/x$", "/xy", false),
            ("/%7ea/ü", "/~a/%C3%BC", true),
            ("/a$b", "/a$b", true),
            ("/a*a$", "/a", false),
        ] {
            assert_eq!(fits(&normal(pattern), &normal(path)), fit, "{pattern} {path}");
        }
    }

    #[test]
    fn the_group_for_docent_takes_the_place_of_the_one_for_everybody() {
        let text = "Sitemap: https://x/s.xml\nUser-agent: *\nCrawl-delay: 99\nDisallow: /\n\nuser-agent: other\nUSER-AGENT: Docent/2.0 # us\n\
                    disallow: /a # why\n\nUser-agent: other\nDisallow: /c\nUser-agent: docent\nDisallow: /b\n";
        let robots = Robots::parse(text);
        assert_eq!(["/a", "/b", "/c", "/d"].map(|path| robots.allows(path)), [false, false, true, true]);
        assert_eq!((robots.delay, robots.sitemaps.as_slice()), (None, ["https://x/s.xml".to_owned()].as_slice()));
        assert_eq!(Robots::parse("User-agent: *\nCrawl-delay: 99\n").delay, Some(MAX_DELAY));
        assert!(Robots::parse("User-agent: docents\nDisallow: /\n").allows("/"));
    }
}
