//! Exact token counts: the `WordPiece` of BERT base uncased, which bge uses unchanged.
//!
//! What lies beyond the model's 512 tokens is cut off unseen, so a chunk is counted, not guessed.
//! The rules are those of Google's `tokenization.py` and of Hugging Face `tokenizers`
//! (`BertNormalizer` in lower case, `BertPreTokenizer`, `WordPiece`); the crate itself would cost
//! 74 more crates and three minutes of compiling for these few lines.
//!
//! Counts add up over white space: no token spans it.

use std::collections::HashMap;
use std::sync::LazyLock;

use rustc_hash::FxBuildHasher;
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization as _;

/// Tokens that the model puts around every input: `[CLS]` and `[SEP]`.
pub const SPECIAL_TOKENS: usize = 2;
/// A longer word is a single `[UNK]`, whatever it says.
const MAX_WORD_CHARS: usize = 100;
/// What a word without pieces becomes.
const UNKNOWN: u32 = 100;

/// Tokens of a text, without [`SPECIAL_TOKENS`].
pub fn count(text: &str) -> usize {
    let mut count = 0;
    each_token(text, |_| count += 1);
    count
}

/// Vocabulary ids of a text, without [`SPECIAL_TOKENS`].
pub fn ids(text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    each_token(text, |id| ids.push(id));
    ids
}

/// The beginning of a text that has at most this many tokens, without [`SPECIAL_TOKENS`]: what a model
/// sees of it. It ends at white space, since only there counts add up; or, where there is none, after
/// as many characters, since every token has one.
pub fn cut(text: &str, most: usize) -> &str {
    // A token has a byte at least.
    if text.len() <= most || count(text) <= most {
        return text;
    }
    let (mut tokens, mut end) = (0, 0);
    for word in text.split_inclusive([' ', '\n', '\t', '\r']) {
        tokens += count(word);
        if tokens > most {
            break;
        }
        end += word.len();
    }
    if end == 0 {
        end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    }
    text.get(..end).unwrap_or(text)
}

/// By bytes: where a piece matches, it ends between two characters.
type Pieces = HashMap<&'static [u8], u32, FxBuildHasher>;

struct Vocabulary {
    /// Pieces that begin a word.
    first: Pieces,
    /// Pieces that continue one, without their `##`.
    rest: Pieces,
    longest: usize,
}

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let mut vocabulary = Vocabulary { first: Pieces::default(), rest: Pieces::default(), longest: 0 };
    for (id, piece) in (0..).zip(include_str!("../data/bert-base-uncased-vocab.txt").lines()) {
        let (pieces, text) = match piece.strip_prefix("##") {
            Some(text) if !text.is_empty() => (&mut vocabulary.rest, text),
            _ => (&mut vocabulary.first, piece),
        };
        pieces.insert(text.as_bytes(), id);
        vocabulary.longest = vocabulary.longest.max(text.len());
    }
    vocabulary
});

fn each_token(text: &str, mut token: impl FnMut(u32)) {
    let mut words = Words { vocabulary: &VOCABULARY, word: String::new(), token: &mut token };
    for run in text.split([' ', '\n', '\t', '\r']) {
        // Documentation is nearly all ASCII, for which the rules are few.
        if run.is_ascii() {
            run.bytes().filter(|byte| !byte.is_ascii_control()).for_each(|byte| words.push_ascii(byte));
        } else {
            let kept = run.chars().filter(|c| !is_dropped(*c)).nfd();
            kept.filter(|c| get_general_category(*c) != GeneralCategory::NonspacingMark)
                .flat_map(char::to_lowercase)
                .for_each(|c| words.push(c));
        }
        words.end();
    }
}

/// Puts characters together to words, and words to tokens.
struct Words<'a, T> {
    vocabulary: &'static Vocabulary,
    /// As far as it has come.
    word: String,
    token: &'a mut T,
}

impl<T: FnMut(u32)> Words<'_, T> {
    fn push_ascii(&mut self, byte: u8) {
        if byte.is_ascii_punctuation() {
            self.alone(byte.into());
        } else {
            self.word.push(byte.to_ascii_lowercase().into());
        }
    }

    fn push(&mut self, c: char) {
        if c.is_whitespace() {
            self.end();
        } else if stands_alone(c) {
            self.alone(c);
        } else {
            self.word.push(c);
        }
    }

    fn alone(&mut self, c: char) {
        self.end();
        self.word.push(c);
        self.end();
    }

    fn end(&mut self) {
        if !self.word.is_empty() {
            self.vocabulary.split(&self.word, self.token);
            self.word.clear();
        }
    }
}

impl Vocabulary {
    /// Longest piece first, again and again; a word that cannot be covered is one [`UNKNOWN`].
    fn split(&self, word: &str, token: &mut impl FnMut(u32)) {
        if let Some(id) = self.first.get(word.as_bytes()) {
            return token(*id);
        }
        let mut found = Vec::new();
        let mut rest = word.as_bytes();
        if word.len() <= MAX_WORD_CHARS || word.chars().count() <= MAX_WORD_CHARS {
            while let Some((id, tail)) = self.longest_piece(rest, found.is_empty()) {
                found.push(id);
                rest = tail;
            }
        }
        if rest.is_empty() { found.into_iter().for_each(token) } else { token(UNKNOWN) }
    }

    fn longest_piece<'a>(&self, word: &'a [u8], at_start: bool) -> Option<(u32, &'a [u8])> {
        let pieces = if at_start { &self.first } else { &self.rest };
        (1..=word.len().min(self.longest)).rev().find_map(|end| {
            let (head, tail) = word.split_at_checked(end)?;
            Some((*pieces.get(head)?, tail))
        })
    }
}

/// NUL, the replacement character and control characters vanish. Unassigned code points stay, as in
/// the reference.
fn is_dropped(c: char) -> bool {
    use GeneralCategory::{Control, Format, PrivateUse};
    match c {
        '\t' | '\n' | '\r' => false,
        '\u{fffd}' => true,
        _ => matches!(get_general_category(c), Control | Format | PrivateUse),
    }
}

/// Punctuation and Chinese characters are words of their own.
fn stands_alone(c: char) -> bool {
    c.is_ascii_punctuation() || !c.is_ascii() && (is_cjk(c) || is_punctuation(c))
}

fn is_punctuation(c: char) -> bool {
    use GeneralCategory as G;
    matches!(
        get_general_category(c),
        G::ConnectorPunctuation
            | G::DashPunctuation
            | G::OpenPunctuation
            | G::ClosePunctuation
            | G::InitialPunctuation
            | G::FinalPunctuation
            | G::OtherPunctuation
    )
}

/// The blocks that BERT's reference calls Chinese; kana and hangul are not among them.
fn is_cjk(c: char) -> bool {
    matches!(c,
        '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' | '\u{20000}'..='\u{2A6DF}' | '\u{2A700}'..='\u{2B73F}'
        | '\u{2B740}'..='\u{2B81F}' | '\u{2B920}'..='\u{2CEAF}' | '\u{F900}'..='\u{FAFF}' | '\u{2F800}'..='\u{2FA1F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_the_model_stops_seeing_it() {
        assert_eq!(cut("one two  three four", 3), "one two  three ");
        assert_eq!(cut("one two", 2), "one two");
        assert_eq!(cut("é.é.é.é", 3), "é.é", "without white space, after as many characters");
    }

    /// Ids from Hugging Face `tokenizers` 0.23 with the same vocabulary.
    #[test]
    fn ids_are_those_of_the_reference() {
        let long = "x".repeat(MAX_WORD_CHARS + 1);
        let cases: [(&str, &[u32]); 9] = [
            ("Running a script without dependencies", &[2770, 1037, 5896, 2302, 12530, 15266]),
            (
                "uv pip install --system 'torch>=2.5'",
                &[23068, 28315, 16500, 1011, 1011, 2291, 1005, 12723, 1028, 1027, 1016, 1012, 1019, 1005],
            ),
            ("Ünïcödé naïve café — “quotes”", &[27260, 15743, 7668, 1517, 1523, 16614, 1524]),
            (
                "日本語のドキュメント 한국어",
                &[
                    1864, 1876, 1950, 1671, 30240, 30227, 30255, 30252, 30263, 30240, 1469, 30006, 30021, 29991, 30014,
                    30020, 29999, 30008,
                ],
            ),
            ("a\u{200b}b\u{a0}c\tz\0q\u{fffd}r", &[11113, 1039, 1062, 4160, 2099]),
            ("🦀 Rust's wasm32", &[100, 18399, 1005, 1055, 2001, 2213, 16703]),
            ("~~d~~ |", &[1066, 1066, 1040, 1066, 1066, 1064]),
            (long.as_str(), &[UNKNOWN]),
            (" \n ", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(ids(text), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn counts_add_up_over_white_space(a in ".{0,40}", b in ".{0,40}") {
            assert_eq!(count(&format!("{a}\n{b}")), count(&a) + count(&b));
        }
    }
}
