//! Names that a word index takes apart: `max_top_k`, `--flag-name`, `CamelCase`, `3040`.
//!
//! People who ask for one of them want the page that has exactly this one, which neither stems nor
//! vectors can tell. So a chunk's names go into an index of their own, and a question's names are
//! looked up there.

use std::collections::BTreeSet;

/// Characters of a name beside letters and digits: the `tokenchars` of the table
/// `chunk_identifiers`.
const INNER: &str = "_-.:/@$#+";
/// At the beginning these belong to a name: `--flag`, `@scope/package`, `$HOME`, `_private`.
const FIRST: &str = "-@$_";
/// At the end: `C++`, `C#`, `path/`, but no full stop.
const LAST: &str = "+#_";
/// In characters. What is longer is no name but data.
const MAX_CHARS: usize = 64;

/// The names in a text, each once, in lower case as the index folds them.
pub fn identifiers(text: &str) -> BTreeSet<String> {
    names(text).map(str::to_lowercase).collect()
}

/// The names in a text as they stand there.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    let runs = text.split(|c: char| !(c.is_alphanumeric() || INNER.contains(c)));
    let trimmed = runs.map(|run| {
        let front = run.trim_start_matches(|c: char| !c.is_alphanumeric() && !FIRST.contains(c));
        front.trim_end_matches(|c: char| !c.is_alphanumeric() && !LAST.contains(c))
    });
    trimmed.filter(|name| is_name(name))
}

/// Whether it is more than a word, a number of a list, or a rule of dashes.
fn is_name(name: &str) -> bool {
    let chars = name.chars().count();
    if !(2..=MAX_CHARS).contains(&chars) || !name.contains(char::is_alphanumeric) {
        return false;
    }
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let joined = name.contains(|c| "_.:/@$#+".contains(c));
    let camel = name.chars().zip(name.chars().skip(1)).any(|(a, b)| a.is_lowercase() && b.is_uppercase());
    let flag = name.starts_with('-');
    joined || camel || flag || digits > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whole_and_words_are_left_to_the_word_index() {
        let text = "Set `max_top_k` (error 3040, well-known) with --flag-name=x or `CamelCase`; see wrangler.toml.\n\
                    | `@cf/baai/bge-base-en-v1.5` | $HOME | C++, 1. a -- HTTP";
        let expected = [
            "$home",
            "--flag-name",
            "3040",
            "@cf/baai/bge-base-en-v1.5",
            "c++",
            "camelcase",
            "max_top_k",
            "wrangler.toml",
        ];
        let found = identifiers(text);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        assert!(identifiers(&"x1".repeat(40)).is_empty());
    }
}
