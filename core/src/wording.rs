//! What of a question's wording changes nothing: whether two visitors have asked the same.
//!
//! Nearness of vectors does not tell that. Questions that differ in the one word that matters, such as
//! "primary" and "secondary", lie as near to each other as questions that mean the same: of the 4,561
//! questions of `SQuAD`'s development set, eight pairs with different answers have a cosine above 0.97 and
//! one above 0.99 (all-MiniLM-L6-v2), and eleven pairs with the same answer. "How do I migrate from Poetry?"
//! and "… to Poetry?" have 0.994. So only what is known to say nothing is left out, and every other word has to
//! be there, in the same order: of the rewordings in `tests/fixtures/rewordings.json`, that finds 33 of 49 and
//! none of the 47 other questions, where a cosine of 0.99 finds 5 and one wrong one, of 0.97 19 and three.
//!
//! The phrases are English. A question in another language keeps all its words.

/// At the beginning of a question these say nothing, also several of them.
const OPENINGS: &[&str] = &[
    "hi",
    "hello",
    "hey",
    "hi there",
    "hello there",
    "good morning",
    "good evening",
    "quick question",
    "please",
    "sorry",
    "excuse me",
    "tell me",
    "can you tell me",
    "could you tell me",
    "can you please tell me",
    "could you please tell me",
    "can someone tell me",
    "do you know",
    "does anyone know",
    "i want to know",
    "i would like to know",
    "i need to know",
    "i am wondering",
    "i was wondering",
    "i wonder",
];

/// At its end.
const CLOSINGS: &[&str] = &["please", "thanks", "thank you", "thx", "thanks in advance", "thank you in advance"];

/// Ways to ask how something is done: as good as naming it, which is how people search.
const HOW: &[&str] = &[
    "how do i",
    "how do we",
    "how do you",
    "how can i",
    "how can we",
    "how can you",
    "how could i",
    "how could we",
    "how would i",
    "how would we",
    "how would you",
    "how does one",
    "how can one",
    "how might i",
    "how am i able to",
    "how is it possible to",
    "how to",
    "how do i go about",
    "what is the way to",
    "what is a way to",
    "what do i do to",
    "what do i have to do to",
    "what do i need to do to",
    "i want to know how to",
    "i need help to",
    "help me to",
    "help me",
    "show me how to",
    "explain how to",
];

/// Ways to ask whether something can be done.
const CAN: &[&str] = &[
    "can i",
    "can we",
    "can one",
    "could i",
    "could we",
    "am i able to",
    "are we able to",
    "is it possible to",
    "is it possible for me to",
    "is there a way to",
    "is there any way to",
    "is there a possibility to",
    "would it be possible to",
];

/// What is spoken as one word.
const CONTRACTIONS: &[(&str, &str)] = &[
    ("what's", "what is"),
    ("where's", "where is"),
    ("how's", "how is"),
    ("who's", "who is"),
    ("when's", "when is"),
    ("that's", "that is"),
    ("it's", "it is"),
    ("there's", "there is"),
    ("i'm", "i am"),
    ("i'd", "i would"),
    ("i've", "i have"),
    ("can't", "cannot"),
    ("don't", "do not"),
    ("doesn't", "does not"),
    ("isn't", "is not"),
    ("aren't", "are not"),
    ("won't", "will not"),
    ("didn't", "did not"),
];

/// Words that say nothing anywhere.
const ARTICLES: &[&str] = &["a", "an", "the", "my", "our"];

/// Shortest word whose "s" at the end is a plural's, characters.
const PLURAL_CHARS: usize = 4;

/// The words of a question that matter, in their order: equal for two questions that ask the same in
/// words that change nothing.
pub fn essence(question: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in question.split_whitespace() {
        let word = word.to_lowercase().replace(['\u{2019}', '\u{2018}'], "'");
        let word = word.trim_matches(|c: char| is_mark(c));
        match CONTRACTIONS.iter().find(|(short, _)| *short == word) {
            Some((_, long)) => words.extend(long.split(' ').map(str::to_owned)),
            None if word.is_empty() => {}
            None => words.push(word.to_owned()),
        }
    }
    let mut rest = words.as_slice();
    while let Some(after) = without(rest, OPENINGS, <[String]>::strip_prefix) {
        rest = after;
    }
    while let Some(before) = without(rest, CLOSINGS, <[String]>::strip_suffix) {
        rest = before;
    }
    let asks_whether = without(rest, CAN, <[String]>::strip_prefix);
    rest = asks_whether.or_else(|| without(rest, HOW, <[String]>::strip_prefix)).unwrap_or(rest);
    let said = rest.iter().map(String::as_str).filter(|word| !ARTICLES.contains(word)).map(singular);
    asks_whether.map(|_| "can").into_iter().chain(said).collect::<Vec<_>>().join(" ")
}

/// Marks around words, which quote or end them. What is inside a word, or begins a name such as `--flag`, stays.
fn is_mark(c: char) -> bool {
    matches!(
        c,
        '.' | ','
            | ';'
            | ':'
            | '?'
            | '!'
            | '"'
            | '\''
            | '`'
            | '('
            | ')'
            | '…'
            | '“'
            | '”'
            | '«'
            | '»'
            | '。'
            | '？'
            | '！'
    )
}

/// What is left of words when the longest of some phrases is taken off one end; `None` when there is none, or
/// nothing would be left.
fn without<'w>(
    words: &'w [String],
    phrases: &[&str],
    strip: impl for<'s> Fn(&'s [String], &[String]) -> Option<&'s [String]>,
) -> Option<&'w [String]> {
    let left = phrases.iter().filter_map(|phrase| {
        let phrase: Vec<String> = phrase.split(' ').map(str::to_owned).collect();
        strip(words, &phrase).filter(|left| !left.is_empty())
    });
    left.min_by_key(|left| left.len())
}

/// A plain word without the "s" of its plural; "is" and "are" are one.
fn singular(word: &str) -> &str {
    if matches!(word, "is" | "are") {
        return "be";
    }
    let is_plain = word.chars().all(|c| c.is_ascii_lowercase()) && word.len() >= PLURAL_CHARS;
    match word.strip_suffix('s').filter(|stem| is_plain && !stem.ends_with(['s', 'u', 'i', 'a', 'o'])) {
        Some(stem) => stem,
        None => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_for_the_same_question_have_one_essence() {
        let same = [
            &[
                "How do I reset my password?",
                "how to reset the password",
                "Reset password",
                "Hi, how can I reset my password? Thanks!",
            ][..],
            &[
                "Can I use a proxy?",
                "is it possible to use a proxy",
                "Hello, is there any way to use our proxy please?",
            ],
            &["What's the limit?", "what are the limits", "Could you tell me what the limit is"][..2],
            &["Export `uv.lock` to requirements.txt", "How do I export uv.lock to requirements.txt?"],
        ];
        for questions in same {
            let essences: Vec<String> = questions.iter().map(|question| essence(question)).collect();
            assert!(essences.windows(2).all(|two| two[0] == two[1]), "{essences:?}");
        }
    }

    #[test]
    fn questions_that_differ_in_a_word_that_matters_have_different_ones() {
        let different = [
            ["How do I reset my password?", "Can I reset my password?"],
            ["How do I reset my password?", "Why can I not reset my password?"],
            ["How do I migrate from Poetry?", "How do I migrate to Poetry?"],
            ["How do I convert A to B?", "How do I convert B to A?"],
            ["How do I install it on Windows?", "How do I install it on macOS?"],
            ["What is the limit of free plans?", "What is the limit of paid plans?"],
            ["Is TLS on by default?", "Is TLS not on by default?"],
            ["What does --all do?", "What does all do?"],
            ["Can you delete my account?", "Can I delete my account?"],
            ["error 3040", "error 3041"],
            ["How many sessions are kept?", "How long are sessions kept?"],
            ["please", "thanks"],
        ];
        for [one, other] in different {
            assert_ne!(essence(one), essence(other));
        }
    }
}
