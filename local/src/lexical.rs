//! Vectors without a model: the words of a text, weighted and hashed into 768 numbers.
//!
//! It knows which words are equal, not which mean the same. Within that it does what good full text
//! search does, but with nothing known of the other texts, since an embedding call has only its own:
//! - The rarity of a word, for which a search engine counts its documents, is taken from its rank in
//!   BERT's vocabulary, which is ordered by frequency.
//! - Words are reduced to stems. Identifiers (`max_top_k`, `--no-cache`, `CamelCase`) count whole and
//!   in parts.
//! - Repetition counts less and less, as in BM25.
//! - A cosine favours short texts: a heading with the question's one word would beat the page about
//!   it. Passages therefore carry a constant in a component of its own, which lengthens short vectors
//!   most (pivoted normalisation).
//!
//! The constants were tuned on two documentation sites with questions that people asked there.

use std::collections::BTreeMap;

use docent_core::chunk::TRAIL_SEPARATOR;
use docent_core::embedding::SPEC;
use docent_core::tokens;

/// To be raised whenever the same text would get another vector by the pooling of the spec; no other is
/// ever kept.
pub(crate) const VERSION: u32 = 2;
/// Components that each feature is spread over, so that no single collision hides it.
const SPREAD: usize = 4;
/// Repetitions at which the weight is half of the most it can be (BM25's k1, higher than usual: a hashed
/// vector loses rare single words in its noise, and repetition lifts the subject above it).
const SATURATION: f32 = 3.5;
/// What a word of the title counts, in repetitions.
const TITLE_WEIGHT: f32 = 3.0;
/// Below 1 lifts common words: rank by English prose says too much about them.
const RARITY_EXPONENT: f32 = 0.75;
/// Ranks below this are hardly told apart.
const COMMON_RANKS: f32 = 30.0;
/// First vocabulary id of a whole word in order of frequency, and how many there are.
const FIRST_WORD_ID: u32 = 1_996;
const WORDS: f32 = 28_526.0;
/// An identifier as a whole, against a word that is in no vocabulary.
const WHOLE_WEIGHT: f32 = 1.0;
/// Its parts joined: `keepalive` finds `keep-alive`.
const JOINED_WEIGHT: f32 = 0.3;
/// Its parts one by one.
const PART_WEIGHT: f32 = 0.7;
/// Two words beside each other.
const PAIR_WEIGHT: f32 = 0.1;
/// The constant component of passages: somewhat longer than their vectors are otherwise.
const PIVOT: f32 = 24.0;

/// The vector of a text, of length 1.
///
/// A text with a blank line is a passage, whose first line is title and headings; any other is a
/// question.
#[allow(clippy::cast_possible_truncation)] // a hash is cut on purpose
pub(crate) fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0_f32; SPEC.dimensions];
    let hashed = SPEC.dimensions - 1;
    for (feature, weight) in features(text) {
        let mut bits = feature;
        for _ in 0..SPREAD {
            bits = mix(bits);
            if let Some(component) = vector.get_mut(1 + (bits >> 1) as usize % hashed) {
                *component += if bits & 1 == 0 { weight } else { -weight };
            }
        }
    }
    if let (Some(pivot), Some(_)) = (vector.first_mut(), text.split_once("\n\n")) {
        *pivot = PIVOT;
    }
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        for component in &mut vector {
            *component /= norm;
        }
    }
    vector
}

/// The vector in another space: what pooling `mean` gives, where `cls` gives the vector itself. Words have
/// no pooling, but a model's vectors of both cannot be compared, and who mixes them should notice on a
/// laptop. Turning the components moves all vectors alike, so that among themselves nothing changes.
pub(crate) fn elsewhere(mut vector: Vec<f32>) -> Vec<f32> {
    vector.rotate_right(SPEC.dimensions / 3);
    vector
}

/// Weighted features by their hash, in an order that is always the same: so are sums of them.
fn features(text: &str) -> BTreeMap<u64, f32> {
    let mut bag = Bag::default();
    match text.split_once("\n\n") {
        None => bag.add(text, 1.0),
        Some((head, body)) => {
            let (title, trail) = head.split_once(TRAIL_SEPARATOR).unwrap_or((head, ""));
            bag.add(title, TITLE_WEIGHT);
            bag.add(trail, 1.0);
            bag.add(body, 1.0);
        }
    }
    let weigh = |(count, weight): (f32, f32)| weight * count * (SATURATION + 1.0) / (count + SATURATION);
    bag.0.into_iter().map(|(feature, found)| (feature, weigh(found))).collect()
}

/// How often each feature occurs, and what it weighs.
#[derive(Default)]
struct Bag(BTreeMap<u64, (f32, f32)>);

impl Bag {
    fn add(&mut self, text: &str, times: f32) {
        let mut previous: Option<String> = None;
        for word in words(text) {
            each_feature(word, |feature, weight| self.count(feature, times, weight));
            if is_stop_word(word) {
                continue;
            }
            let stem = stem(&word.to_lowercase());
            if let Some(previous) = previous.replace(stem.clone()) {
                self.count(&format!("{previous} {stem}"), times, PAIR_WEIGHT);
            }
        }
    }

    fn count(&mut self, feature: &str, times: f32, weight: f32) {
        let entry = self.0.entry(hash(feature)).or_default();
        entry.0 += times;
        entry.1 = entry.1.max(weight);
    }
}

/// The terms of a text with their rarity, 0 to 1, each once: what overlap is measured in.
pub(crate) fn terms(text: &str) -> BTreeMap<String, f32> {
    let mut terms = BTreeMap::new();
    for word in words(text) {
        each_feature(word, |term, weight| {
            if !term.starts_with('=') {
                let entry: &mut f32 = terms.entry(term.to_owned()).or_default();
                *entry = entry.max(weight);
            }
        });
    }
    terms
}

/// How much of `query` is in `text`, by the rarity of its words: 0 to 1.
pub(crate) fn overlap(query: &str, text: &str) -> f32 {
    let (query, text) = (terms(query), terms(text));
    let found: f32 = query.iter().filter(|(term, _)| text.contains_key(*term)).map(|(_, weight)| weight).sum();
    let all: f32 = query.values().sum();
    if all > 0.0 { found / all } else { 0.0 }
}

/// Words and identifiers: letters and digits, with `_ - . / '` inside.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let inner = |c: char| matches!(c, '_' | '-' | '.' | '/' | '\'');
    text.split(move |c: char| !c.is_alphanumeric() && !inner(c))
        .map(move |word| word.trim_matches(inner))
        .filter(|word| !word.is_empty())
}

/// Calls `feature` with each feature of a word and its weight.
fn each_feature(word: &str, mut feature: impl FnMut(&str, f32)) {
    if is_stop_word(word) {
        return;
    }
    let lower = word.to_lowercase();
    let parts = parts(word);
    if let [_] = parts.as_slice() {
        return feature(&stem(&lower), rarity(&lower));
    }
    feature(&format!("={lower}"), WHOLE_WEIGHT);
    for part in parts.iter().filter(|part| !is_stop_word(part)) {
        feature(&stem(part), PART_WEIGHT * rarity(part));
    }
    let joined = parts.concat();
    feature(&stem(&joined), JOINED_WEIGHT * rarity(&joined));
}

/// Parts of an identifier in lower case: between signs, between letters and digits, and at the
/// humps of `CamelCase` and `HTTPServer`.
fn parts(word: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let chars: Vec<char> = word.chars().collect();
    let kind = |c: char| (c.is_alphabetic(), c.is_numeric());
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| chars.get(at)).copied();
        let after = chars.get(at + 1).copied();
        let hump = c.is_uppercase()
            && before.is_some_and(|before| before.is_lowercase() || after.is_some_and(char::is_lowercase));
        let begins = before.is_none_or(|before| kind(before) != kind(c)) || hump;
        match parts.last_mut() {
            Some(part) if !begins => part.extend(c.to_lowercase()),
            _ => parts.push(c.to_lowercase().collect()),
        }
    }
    parts
}

/// How much a word tells: 0 for the commonest, 1 for what no vocabulary has.
#[allow(clippy::cast_precision_loss)] // ids are far below 2^24
fn rarity(word: &str) -> f32 {
    let rank = match tokens::ids(word).as_slice() {
        [id] => id.saturating_sub(FIRST_WORD_ID) as f32,
        _ => WORDS,
    };
    let share = (1.0 + rank / COMMON_RANKS).ln() / (1.0 + WORDS / COMMON_RANKS).ln();
    share.powf(RARITY_EXPONENT)
}

/// Endings that change a word's form, not its subject; the first that fits is taken.
const ENDINGS: [(&str, &str); 15] = [
    ("ations", "ate"),
    ("ation", "ate"),
    ("ingly", ""),
    ("edly", ""),
    ("ies", "y"),
    ("ings", ""),
    ("ing", ""),
    ("ments", ""),
    ("ment", ""),
    ("ers", "er"),
    ("sses", "ss"),
    ("ed", ""),
    ("ly", ""),
    ("es", ""),
    ("s", ""),
];

/// A light stem: `installing`, `installed` and `installs` become one, `install` and `installation`
/// come close enough.
pub(crate) fn stem(word: &str) -> String {
    const SHORTEST: usize = 3;
    if word.len() <= SHORTEST || !word.is_ascii() || word.ends_with("ss") {
        return word.to_owned();
    }
    let cut = ENDINGS.iter().find_map(|(ending, instead)| {
        let rest = word.strip_suffix(ending).filter(|rest| rest.len() >= SHORTEST)?;
        Some(format!("{rest}{instead}"))
    });
    let mut stem = cut.unwrap_or_else(|| word.to_owned());
    let last = stem.chars().last();
    let doubled = stem.len() > SHORTEST && stem.chars().rev().nth(1) == last;
    let drop_e = last == Some('e') && stem.len() > SHORTEST;
    if drop_e || (doubled && last.is_some_and(|c| c.is_alphabetic() && !"lsz".contains(c))) {
        stem.pop();
    }
    stem
}

/// Words that are in every text and every question.
const STOP_WORDS: &str = " a about above after again against all am an and any are as at be because been before \
    being below between both but by can could did do does doing don down during each few for from further had has \
    have having he her here hers him his how i if in into is it its just may me might more most must my no nor not \
    of off on once only or other our out over own s same shall she should so some such t than that the their them \
    then there these they this those through to too under until up very was we were what when where which while \
    who whom why will with would you your ";

pub(crate) fn is_stop_word(word: &str) -> bool {
    word.len() < 10 && word.is_ascii() && STOP_WORDS.contains(&format!(" {} ", word.to_ascii_lowercase()))
}

/// FNV-1a: the same on every machine, which the standard library does not promise.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The next of a sequence of well-spread numbers (splitmix64).
fn mix(state: u64) -> u64 {
    let mut bits = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        embed(a).iter().zip(embed(b)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn identifiers_are_known_whole_and_in_parts() {
        assert_eq!(parts("HTTPServer2_max-topK"), ["http", "server", "2", "max", "top", "k"]);
        assert_eq!(
            words("run `uv pip --no-cache`, don't.").collect::<Vec<_>>(),
            ["run", "uv", "pip", "no-cache", "don't"]
        );
        assert!(cosine("max_top_k", "what is maxTopK") > cosine("max_top_k", "what is minimal"));
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        for form in ["installs", "installed", "installing"] {
            assert_eq!(stem(form), stem("install"), "{form}");
        }
        assert_eq!(stem("caches"), stem("caching"));
        assert_eq!(stem("dependencies"), stem("dependency"));
        assert_eq!(stem("pass"), "pass");
    }

    #[test]
    fn rare_words_weigh_more_than_common_ones() {
        let mut last = -1.0;
        for word in ["the", "time", "python", "vectorize"] {
            assert!(rarity(word) > last, "{word}: {}", rarity(word));
            last = rarity(word);
        }
    }

    #[test]
    fn vectors_have_length_one_and_never_change() {
        for text in ["", "?!", "hello", "Title › Heading\n\nSome text about caches."] {
            let norm: f32 = embed(text).iter().map(|x| x * x).sum();
            assert!(norm == 0.0 || (norm - 1.0).abs() < 1e-5, "{text:?} has length {norm}");
            assert_eq!(embed(text), embed(text));
        }
    }

    #[test]
    fn a_passage_about_the_question_beats_a_mere_heading() {
        let question = "how do I clear the cache directory";
        let about =
            "Caching\n\nTo clear the cache directory, run `uv cache clean`. It removes all entries of the cache.";
        let heading = "Cache\n\n- x";
        assert!(cosine(question, about) > cosine(question, heading));
        assert!(overlap(question, about) > 0.9 && overlap("quantum physics", about) < 0.1);
    }
}
