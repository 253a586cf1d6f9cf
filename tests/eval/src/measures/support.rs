//! Whether a passage has what a sentence says, decided by comparing words: no model, the same verdict
//! every time.
//!
//! It is a check, not an understanding. It finds the invented number, the wrong flag and the sentence
//! about something else; it does not find a "not" too much, and takes a free paraphrase for unsupported.
//! A sentence is supported when the text has
//! - every number, version and name of code in it ([`docent_core::identifiers`], code spans), exactly;
//! - and of its other content words at least [`ENOUGH`], compared without their endings.

use std::collections::BTreeSet;

use docent_core::identifiers::identifiers;

/// Share of the content words that must be found. At two thirds a sentence may join its passage's words
/// by a few of its own; half accepts what merely has the same subject.
pub const ENOUGH: f64 = 2.0 / 3.0;

/// Content words (or one number or name) that a sentence has at least, if it states something.
const STATES: usize = 3;

/// Letters by which two words are the same: "configured" and "configuration". Longer endings would be
/// cut by a real stemmer, of which every language needs its own.
const STEM: usize = 6;

/// A sentence of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Without its citations.
    pub text: String,
    /// Numbers it cites, in order.
    pub citations: Vec<u32>,
}

/// An answer's sentences, with what each cites. A citation behind the full stop belongs to the sentence
/// before. Code blocks and headings are no sentences, and end one.
pub fn sentences(markdown: &str) -> Vec<Sentence> {
    let mut all = Vec::new();
    let mut in_code = false;
    for line in markdown.lines().map(str::trim) {
        if line.starts_with("```") || line.starts_with("~~~") {
            in_code = !in_code;
        } else if !in_code && !line.starts_with('#') {
            line_sentences(without_marker(line), &mut all);
        }
    }
    all
}

/// Without the marker of a list or of a quotation.
fn without_marker(line: &str) -> &str {
    let line = line.trim_start_matches(['>', ' ']);
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = (digits.len() < line.len()).then(|| digits.strip_prefix(". ").or_else(|| digits.strip_prefix(") ")));
    let bullet = ["- ", "* ", "+ "].iter().find_map(|marker| line.strip_prefix(marker));
    number.flatten().or(bullet).unwrap_or(line)
}

fn line_sentences(line: &str, all: &mut Vec<Sentence>) {
    for piece in pieces(line) {
        let (text, citations) = take_citations(piece);
        match all.last_mut().filter(|_| all_is_punctuation(&text)) {
            Some(before) => before.citations.extend(citations),
            None if all_is_punctuation(&text) => {}
            None => all.push(Sentence { text, citations }),
        }
    }
}

fn all_is_punctuation(text: &str) -> bool {
    !text.contains(char::is_alphanumeric)
}

/// Cut behind `.`, `!` or `?` with a blank behind it, and behind the full stops of Chinese and Japanese;
/// and again behind the citations that follow.
fn pieces(line: &str) -> Vec<&str> {
    let mut ends = Vec::new();
    let mut in_span = false;
    let mut next = line.char_indices().peekable();
    while let Some((at, c)) = next.next() {
        in_span ^= c == '`';
        let blank = next.peek().is_none_or(|(_, c)| c.is_whitespace() || *c == '[');
        let is_stop = (matches!(c, '.' | '!' | '?') && blank) || matches!(c, '。' | '！' | '？');
        if is_stop && !in_span && !is_abbreviation(line.get(..at).unwrap_or_default()) {
            let end = at + c.len_utf8();
            ends.push(end + citations_length(line.get(end..).unwrap_or_default()));
        }
    }
    ends.push(line.len());
    let mut from = 0;
    let cut = |end: usize| {
        let piece = line.get(from..end).unwrap_or_default();
        from = end.max(from);
        piece
    };
    ends.into_iter().map(cut).map(str::trim).filter(|piece| !piece.is_empty()).collect()
}

/// "e.g.", "i.e.", "etc" and single letters end no sentence.
fn is_abbreviation(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    ["e.g", "i.e", "cf", "vs", "approx"].contains(&word.to_lowercase().as_str())
}

/// Bytes of ` [1] [2]` at the beginning.
fn citations_length(text: &str) -> usize {
    let mut rest = text;
    while let Some((inner, behind)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        if numbers(inner).is_none() || behind.starts_with('(') {
            break;
        }
        rest = behind;
    }
    text.len() - rest.len()
}

/// The numbers of `1` or `1, 3`; nothing for other text in brackets.
fn numbers(inner: &str) -> Option<Vec<u32>> {
    inner.split(',').map(|number| number.trim().parse().ok()).collect()
}

/// Takes the citations out. As docent reads them ([`docent_core::citations`]): not in code, and not
/// right behind a word, where `list[3]` is an index.
fn take_citations(text: &str) -> (String, Vec<u32>) {
    let (mut kept, mut citations, mut rest) = (String::new(), Vec::new(), text);
    while let Some((before, behind)) = rest.split_once('[') {
        kept += before;
        let in_code = kept.matches('`').count() % 2 == 1;
        let is_index = kept.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let cited = behind.split_once(']').and_then(|(inner, after)| Some((numbers(inner)?, after)));
        let is_citation = |after: &str| !in_code && !is_index && !after.starts_with('(');
        if let Some((numbers, after)) = cited.filter(|(_, after)| is_citation(after)) {
            kept.truncate(kept.trim_end().len());
            citations.extend(numbers);
            rest = after;
        } else {
            kept.push('[');
            rest = behind;
        }
    }
    (kept + rest, citations)
}

/// Whether a sentence states something that a passage can have: it is no question, does not only lead
/// to what follows it, and has enough words.
pub fn states_something(sentence: &str) -> bool {
    let sentence = sentence.trim().trim_end_matches(['*', '_']);
    let terms = Terms::of(sentence);
    !sentence.ends_with([':', '?', '：', '？']) && (terms.words.len() >= STATES || !terms.exact.is_empty())
}

/// Whether the text has what the sentence says.
pub fn is_supported(sentence: &str, text: &str) -> bool {
    let (said, there) = (Terms::of(sentence), Terms::of(text));
    // A passage may write a name with its surroundings, `--port=8787` or `docs/wrangler.toml`.
    let lower = text.to_lowercase();
    let has = |exact: &String| there.exact.contains(exact) || contains_whole(&lower, exact);
    if !said.exact.iter().all(has) {
        return false;
    }
    let found = said.words.intersection(&there.words).count();
    #[allow(clippy::cast_precision_loss)] // words of a sentence
    let share = found as f64 / said.words.len().max(1) as f64;
    said.words.is_empty() || share >= ENOUGH
}

/// Whether a text has a piece that does not go on to either side: `8787` is not in `18787`, and `1.2` not
/// in `1.2.3`.
pub fn contains_whole(text: &str, piece: &str) -> bool {
    let goes_on = |c: Option<char>, is_edge: bool| is_edge && c.is_some_and(char::is_alphanumeric);
    text.match_indices(piece).any(|(at, _)| {
        let (before, behind) = (text.get(..at).unwrap_or_default(), text.get(at + piece.len()..).unwrap_or_default());
        let mut behind = behind.chars();
        let next = behind.next();
        let digits_go_on = piece.ends_with(|c: char| c.is_ascii_digit())
            && matches!(next, Some('.' | ','))
            && behind.next().is_some_and(|c| c.is_ascii_digit());
        let digits_come_before = piece.starts_with(|c: char| c.is_ascii_digit()) && {
            let mut before = before.chars().rev();
            matches!(before.next(), Some('.' | ',')) && before.next().is_some_and(|c| c.is_ascii_digit())
        };
        !(goes_on(before.chars().next_back(), piece.starts_with(char::is_alphanumeric))
            || goes_on(next, piece.ends_with(char::is_alphanumeric))
            || digits_go_on
            || digits_come_before)
    })
}

/// What is compared of a text.
#[derive(Debug, Default)]
struct Terms {
    /// Numbers, versions, names and code: lower case, whole.
    exact: BTreeSet<String>,
    /// First letters of the content words.
    words: BTreeSet<String>,
}

impl Terms {
    fn of(text: &str) -> Self {
        let mut exact = identifiers(text);
        exact.extend(single_digits(text));
        exact.extend(code_spans(text));
        let is_part = |word: &str| exact.iter().any(|name| contains_whole(name, word));
        let plain = text.to_lowercase();
        let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| is_content(word) && !is_part(word));
        let words = words.flat_map(stems).collect();
        Self { exact, words }
    }
}

/// Names and numbers of one character are no identifiers, but "3 retries" and "5 retries" differ.
fn single_digits(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !(c.is_alphanumeric() || "_-.:/@$#+".contains(c)));
    let trimmed = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    trimmed.filter(|word| word.len() == 1 && word.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned)
}

/// What stands in backticks, piece by piece: a command may have other arguments in the passage.
fn code_spans(text: &str) -> impl Iterator<Item = String> + '_ {
    let spans = text.split('`').skip(1).step_by(2);
    let pieces = spans.flat_map(str::split_whitespace).map(|piece| piece.trim_matches(['"', '\'', ',', ';']));
    pieces.filter(|piece| piece.contains(char::is_alphanumeric)).map(str::to_lowercase)
}

/// A word is its first letters; scripts without blanks are compared by pairs of characters.
fn stems(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.first().is_some_and(|c| is_unspaced(*c)) {
        return letters.windows(2).map(|pair| pair.iter().collect()).collect();
    }
    let word = if letters.len() > 3 { word.strip_suffix('s').unwrap_or(word) } else { word };
    vec![word.chars().take(STEM).collect()]
}

/// Han, kana and Thai.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0E7F}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}')
}

/// Not one of the words that any English sentence has. Those of other languages are mostly in their
/// passages too.
fn is_content(word: &str) -> bool {
    let long = word.chars().count() >= 3 || word.contains(is_unspaced);
    long && !STOP_WORDS.contains(&word)
}

const STOP_WORDS: [&str; 84] = [
    "about", "after", "all", "also", "and", "any", "are", "because", "been", "before", "being", "between", "both",
    "but", "can", "could", "did", "does", "doing", "done", "each", "either", "else", "every", "for", "from", "had",
    "has", "have", "having", "her", "here", "him", "his", "how", "instead", "into", "its", "just", "may", "might",
    "more", "most", "must", "not", "now", "off", "once", "one", "only", "other", "our", "out", "over", "own", "same",
    "should", "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this",
    "those", "through", "too", "under", "until", "very", "was", "were", "what", "when", "where", "which", "while",
    "will", "with",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_keep_their_citations() {
        let answer = "## Ports\n\nThe bot listens on `8787` [1]. It can be changed, e.g. by `--port`. [2][3] Use v1.2.3 \
                      [1, 4]!\n\n- `list[3]` is an index.\n1. See [the guide](x) [2]\n```\nnot a sentence [9].\n```\n";
        let expected: [(&str, &[u32]); 5] = [
            ("The bot listens on `8787`.", &[1]),
            ("It can be changed, e.g. by `--port`.", &[2, 3]),
            ("Use v1.2.3!", &[1, 4]),
            ("`list[3]` is an index.", &[]),
            ("See [the guide](x)", &[2]),
        ];
        let found = sentences(answer);
        let found: Vec<(&str, &[u32])> = found.iter().map(|it| (it.text.as_str(), it.citations.as_slice())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_and_names_must_be_there_exactly_and_words_mostly() {
        let passage = "The ingest retries a request 3 times. `docent ingest --dry-run` shows what would be changed; \
                       the Worker listens on port 18787 and needs wrangler 4.2.1.";
        for (sentence, supported) in [
            ("The ingest retries every request 3 times.", true),
            ("Requests are retried by the ingest 3 times.", true),
            ("The ingest retries every request 5 times.", false),
            ("Use `--dry-run` to show what would change.", true),
            ("Use `--force` to show what would change.", false),
            ("The Worker listens on port 8787.", false),
            ("It needs wrangler 4.2.", false),
            ("It needs wrangler 4.2.1.", true),
            ("Sessions expire after an idle period configured by the operator.", false),
        ] {
            assert_eq!(is_supported(sentence, passage), supported, "{sentence}");
        }
        assert!(is_supported("再起動後に設定が反映されます。", "再起動後に設定が反映されます。"));
        assert!(!is_supported("再起動後に設定が反映されます。", "料金は毎月請求されます。"));
    }

    #[test]
    fn what_states_nothing_is_not_judged() {
        for (sentence, states) in [
            ("Do the following:", false),
            ("Which one do you use?", false),
            ("Yes.", false),
            ("Set `KEY`.", true),
            ("The index keeps every earlier generation.", true),
        ] {
            assert_eq!(states_something(sentence), states, "{sentence}");
        }
    }
}
