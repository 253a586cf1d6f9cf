//! The anchors of headings, as the program that makes the site writes them. A wrong one is worse
//! than none: the link then leads to the top of the page, and nobody is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

/// Whose anchors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anchors {
    /// GitHub's (the npm package `github-slugger`), which most generators follow.
    #[default]
    GitHub,
    /// Those of `MkDocs`: the `toc` extension of Python-Markdown.
    MkDocs,
    /// Those of `VitePress`: `slugify` of `@mdit-vue/shared`.
    VitePress,
    /// Those of `mdBook`: `id_from_content`.
    MdBook,
    /// Only those that stand beside the heading.
    None,
}

impl Anchors {
    fn slug(self, heading: &str) -> String {
        match self {
            Self::GitHub => github(heading),
            Self::MkDocs => mkdocs(heading),
            Self::VitePress => vitepress(heading),
            Self::MdBook => mdbook(heading),
            Self::None => String::new(),
        }
    }
}

/// The anchors of one page, each unlike those before it.
pub struct Slugs {
    anchors: Anchors,
    /// With how often each was met, so that a thousand equal headings take a thousand steps.
    taken: BTreeMap<String, u64>,
    /// What `MkDocs` made last of an anchor.
    last: BTreeMap<String, String>,
}

impl Slugs {
    /// Of a page that has none yet.
    pub fn new(anchors: Anchors) -> Self {
        Self { anchors, taken: BTreeMap::new(), last: BTreeMap::new() }
    }

    /// The anchor of the next heading, from its text without markup.
    pub fn unique(&mut self, heading: &str) -> String {
        let slug = self.anchors.slug(heading);
        let result = match self.anchors {
            Anchors::None => return slug,
            Anchors::MkDocs => self.counted_on(&slug),
            _ => self.counted(&slug),
        };
        self.taken.insert(result.clone(), 0);
        result
    }

    fn counted(&mut self, slug: &str) -> String {
        let mut result = slug.to_owned();
        while self.taken.contains_key(&result) {
            let count = self.taken.entry(slug.to_owned()).or_default();
            *count += 1;
            result = format!("{slug}-{count}");
        }
        result
    }

    fn counted_on(&mut self, slug: &str) -> String {
        let mut result = self.last.get(slug).cloned().unwrap_or_else(|| slug.to_owned());
        while result.is_empty() || self.taken.contains_key(&result) {
            result = counted_up(&result);
        }
        self.last.insert(slug.to_owned(), result.clone());
        result
    }
}

/// Python-Markdown counts on from a number that is there already: `a_1`, `a_2`.
fn counted_up(id: &str) -> String {
    let counted = id.rsplit_once('_').and_then(|(name, count)| Some((name, count.parse::<u64>().ok()?)));
    counted.map_or_else(|| format!("{id}_1"), |(name, count)| format!("{name}_{}", count.saturating_add(1)))
}

pub(crate) fn github(heading: &str) -> String {
    let kept = heading.chars().flat_map(char::to_lowercase).filter(|c| stays_in_anchor(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn stays_in_anchor(c: char) -> bool {
    use GeneralCategory as G;
    matches!(c, ' ' | '-' | '_')
        || c.is_alphabetic()
        || matches!(
            get_general_category(c),
            G::NonspacingMark | G::SpacingMark | G::EnclosingMark | G::DecimalNumber | G::ConnectorPunctuation
        )
}

fn mkdocs(heading: &str) -> String {
    let ascii = heading.nfkd().filter(char::is_ascii);
    let kept: String = ascii.filter(|c| c.is_alphanumeric() || matches!(c, '_' | '-') || c.is_whitespace()).collect();
    let mut slug = String::with_capacity(kept.len());
    for c in kept.trim().chars() {
        match c {
            '-' | ' ' | '\t' | '\n' if slug.ends_with('-') => {}
            c if c == '-' || c.is_whitespace() => slug.push('-'),
            c => slug.push(c.to_ascii_lowercase()),
        }
    }
    slug
}

fn vitepress(heading: &str) -> String {
    const SPECIAL: &str = "~`!@#$%^&*()-_+=[]{}|\\;:\"'“”‘’<>,.?/";
    let mut slug = String::with_capacity(heading.len());
    for c in heading.nfkd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')) {
        if SPECIAL.contains(c) || (c.is_whitespace() && c > '\u{1f}') {
            if !slug.ends_with('-') {
                slug.push('-');
            }
        } else if c > '\u{1f}' {
            slug.extend(c.to_lowercase());
        }
    }
    let slug = slug.trim_matches('-');
    if slug.starts_with(|c: char| c.is_ascii_digit()) { format!("_{slug}") } else { slug.to_owned() }
}

fn mdbook(heading: &str) -> String {
    let kept = |c: char| match c {
        c if c.is_alphanumeric() || matches!(c, '_' | '-') => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    };
    heading.trim().to_lowercase().chars().filter_map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: `github-slugger` 2, Python-Markdown 3.8, `VitePress` 1.6, mdBook 0.5.
    #[test]
    fn every_generator_has_its_own_anchors() {
        let headings = ["Über `uv run`!", "2. A -- B", "Same", "Same", "Same 1", "C++ & Rust", "日本"];
        let anchors = |anchors| {
            let mut slugs = Slugs::new(anchors);
            headings.map(|heading| slugs.unique(&heading.replace('`', "")))
        };
        let github = ["über-uv-run", "2-a----b", "same", "same-1", "same-1-1", "c--rust", "日本"];
        assert_eq!(anchors(Anchors::GitHub), github);
        let mkdocs = ["uber-uv-run", "2-a-b", "same", "same_1", "same-1", "c-rust", "_1"];
        assert_eq!(anchors(Anchors::MkDocs), mkdocs);
        let vitepress = ["uber-uv-run", "_2-a-b", "same", "same-1", "same-1-1", "c-rust", "日本"];
        assert_eq!(anchors(Anchors::VitePress), vitepress);
        let mdbook = ["über-uv-run", "2-a----b", "same", "same-1", "same-1-1", "c--rust", "日本"];
        assert_eq!(anchors(Anchors::MdBook), mdbook);
        assert_eq!(anchors(Anchors::None), [""; 7]);
    }
}
