//! llms.txt, a list of pages, and llms-full.txt, all pages in one file.
//!
//! The first has a specification (llmstxt.org), the second none: each generator joins pages in its
//! own way. Read here are those that say where a page begins; other files are cut at their titles.

use docent_core::markdown;

/// A page in llms-full.txt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// As written; empty if the file does not say.
    pub(super) address: String,
    /// Empty if the file does not say apart from the text.
    pub(super) title: String,
    pub(super) text: String,
}

/// The addresses in an llms.txt, as written; those under "Optional" as well, for they are pages too.
/// `None`: it is no such file.
pub(super) fn links(text: &str) -> Option<Vec<String>> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    // Sites that are one page written by a script answer everything with it.
    (!text.starts_with('<')).then(|| markdown::links(text))
}

/// Cuts an llms-full.txt into pages.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
    let code = code(&lines);
    let heads: Vec<Head> = (0..lines.len()).filter_map(|at| head(&lines, &code, at)).collect();
    // A front matter is followed by the title of its page, which is no page of its own.
    let named = heads.iter().any(|head| !head.address.is_empty());
    let mut heads = heads.into_iter().filter(|head| !named || !head.address.is_empty()).peekable();
    let mut parts = Vec::new();
    while let Some(head) = heads.next() {
        let end = heads.peek().map_or(lines.len(), |next| next.begins);
        let mut body: Vec<&str> = lines.get(head.ends..end).unwrap_or_default().to_vec();
        // What stands between two pages.
        while body
            .last()
            .is_some_and(|line| matches!(line.trim(), "" | "---" | "***" | "</page>" | "</doc>" | "</document>"))
        {
            body.pop();
        }
        let text = body.join("\n").trim_start_matches('\n').to_owned();
        if !text.trim().is_empty() {
            parts.push(Part { address: head.address, title: head.title, text });
        }
    }
    parts
}

/// The first lines of a page: from where to where they reach, and what they say.
struct Head {
    begins: usize,
    ends: usize,
    address: String,
    title: String,
}

/// Whether a page begins at a line: with front matter that names its address (`VitePress`, Cloudflare),
/// with a title above `Source: …` (Mintlify) or `URL: …`, with an element that has an address, or
/// with a title alone.
fn head(lines: &[&str], code: &[bool], at: usize) -> Option<Head> {
    let line = |at: usize| lines.get(at).copied().unwrap_or_default().trim_end();
    if code.get(at).copied().unwrap_or_default() {
        return None;
    }
    if line(at) == "---" {
        // A page rarely has more fields; a rule has none.
        let end = (at + 1..lines.len().min(at + 64)).find(|end| line(*end) == "---")?;
        let field = |names: &[&str]| {
            (at + 1..end).find_map(|at| {
                let (name, value) = line(at).split_once(':')?;
                let value = value.trim().trim_matches(['"', '\'']);
                (names.contains(&name.trim()) && !value.is_empty()).then(|| value.to_owned())
            })
        };
        let address = field(&["url", "source_url", "source", "html", "permalink"])?;
        return Some(Head { begins: at, ends: end + 1, address, title: field(&["title"]).unwrap_or_default() });
    }
    if let Some(element) = ["<page ", "<doc ", "<document "].iter().find_map(|name| line(at).strip_prefix(name)) {
        let attribute =
            |name: &str| element.split(name).nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
        let address = ["url=\"", "href=\"", "source=\""].iter().find_map(|name| attribute(name))?;
        return Some(Head { begins: at, ends: at + 1, address, title: attribute("title=\"").unwrap_or_default() });
    }
    let title = line(at).strip_prefix("# ")?.trim();
    let below = (at + 1..lines.len().min(at + 4)).find(|below| !line(*below).is_empty());
    let address = below.and_then(|below| {
        let (name, value) = line(below).trim_start_matches(['>', ' ', '*']).split_once(':')?;
        let value = value.trim_matches(['*', ' ', '<', '>']);
        let is_name =
            ["source", "url", "link", "canonical"].contains(&name.trim_matches('*').to_ascii_lowercase().as_str());
        (is_name && (value.starts_with("http") || value.starts_with('/'))).then(|| (value.to_owned(), below))
    });
    let (address, ends) = address.map_or((String::new(), at), |(address, below)| (address, below + 1));
    Some(Head { begins: at, ends, address, title: title.to_owned() })
}

/// Which lines are inside a fence of code.
fn code(lines: &[&str]) -> Vec<bool> {
    let mut fence: Option<(char, usize)> = None;
    let run = |line: &str, of: char| line.chars().take_while(|c| *c == of).count();
    let inside = lines.iter().map(|line| {
        let line = line.trim_start();
        if let Some((of, length)) = fence {
            if run(line, of) >= length && line.trim_end().chars().all(|c| c == of) {
                fence = None;
            }
            return true;
        }
        fence = ['`', '~'].into_iter().map(|of| (of, run(line, of))).find(|(_, length)| *length >= 3);
        fence.is_some()
    });
    inside.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String, String)> {
        parts(text).into_iter().map(|part| (part.address, part.title, part.text)).collect()
    }

    fn part(address: &str, title: &str, text: &str) -> (String, String, String) {
        (address.to_owned(), title.to_owned(), text.to_owned())
    }

    #[test]
    fn pages_begin_where_the_generators_say_so() {
        let titles = "# A\nSource: https://x/a\n\nText\n\n```sh\n# B\nSource: https://x/no\n```\n\n# Inner\n\n\n# B\nSource: https://x/b\n\nMore\n";
        let text = "Text\n\n```sh\n# B\nSource: https://x/no\n```\n\n# Inner";
        assert_eq!(found(titles), [part("https://x/a", "A", text), part("https://x/b", "B", "More")]);
        let front = "---\nurl: /a.md\n---\n\n# A\n\nText\n\n---\n\nafter a rule\n\n---\n\n---\nurl: '/b.md'\ntitle: B\n---\n# B\n";
        assert_eq!(found(front), [part("/a.md", "", "# A\n\nText\n\n---\n\nafter a rule"), part("/b.md", "B", "# B")]);
        let pages =
            "<page url=\"https://x/a\" title=\"A\">\nText\n</page>\n\n<page url=\"https://x/b\">\nMore\n</page>\n";
        assert_eq!(found(pages), [part("https://x/a", "A", "Text"), part("https://x/b", "", "More")]);
    }

    #[test]
    fn without_addresses_titles_are_what_there_is() {
        let text = "# A\n\n> About\n\nText\n\n---\n\n# B\n\n## Inner\n";
        assert_eq!(found(text), [part("", "A", "# A\n\n> About\n\nText"), part("", "B", "# B\n\n## Inner")]);
    }

    #[test]
    fn a_list_of_pages_is_told_from_a_page_for_everything() {
        assert_eq!(
            links("# X\n\n> y\n\n## Docs\n\n- [A](https://x/a.md): a\n- [B](/b)\n").unwrap(),
            ["https://x/a.md", "/b"]
        );
        assert_eq!(links("\n<!doctype html><a href=x>"), None);
    }
}
