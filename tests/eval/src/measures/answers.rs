//! Whether the answer is right, has its facts from where it says, and came whole.
//!
//! Sentences are compared with the passages that the bot gave. A bot without a trace gives snippets,
//! in which the rest of a passage is missing; then nothing is said about support.

use std::collections::BTreeSet;

use docent_core::prompt::is_refusal;
use docent_core::sentences::{Sentence, sentences};
use docent_core::support::{Evidence, Support, check, states_something};

use crate::measures::refusal::share;
use crate::measures::{Level, ranking, refusal};
use crate::questions::Fact;
use crate::records::{Answer, Found, Record};

/// Letters that a text has at least before its language is guessed. Of shorter ones too many are
/// guessed wrongly.
const LETTERS_TO_TELL: usize = 40;

/// How sure of an answer's language the detector must be: what its authors call reliable.
const SURE: f64 = 0.9;

/// How sure of a question's. Questions are short, and at a half it still told real ones apart.
const SURE_OF_QUESTION: f64 = 0.5;

/// The score of the CRAG benchmark: 1, 0 or −1. An answer is right when it has all facts that it must
/// have and none that it must not and, where pages are judged, cites one that answers. As there, a
/// question that got nothing at all counts as not answered, 0.
pub fn crag(record: &Record) -> Option<f64> {
    let answerable = refusal::answerable(&record.question)?;
    let Some(answer) = record.answer.as_ref().filter(|answer| answer.refused || !answer.text.trim().is_empty()) else {
        return record.error.is_some().then_some(0.0);
    };
    if answer.refused {
        return Some(if answerable { 0.0 } else { 1.0 });
    }
    let complete = facts_present(record).is_none_or(|present| present >= 1.0);
    let clean = facts_forbidden(record).is_none_or(|forbidden| forbidden == 0.0);
    let founded = ranking::qrels(&record.question, Level::Page).is_none() || cited_pages(record) > Some(0.0);
    Some(if answerable && complete && clean && founded { 1.0 } else { -1.0 })
}

/// Share of the facts that must be in the answer that are. A refusal has none of them.
pub fn facts_present(record: &Record) -> Option<f64> {
    let answer = record.answer.as_ref()?;
    let must = &record.question.answer.must;
    portion(must.iter().map(|fact| states(fact, answer)))
}

/// Whether something is in the answer that must not be.
pub fn facts_forbidden(record: &Record) -> Option<f64> {
    let answer = record.answer.as_ref()?;
    let must_not = &record.question.answer.must_not;
    (!must_not.is_empty()).then(|| share(must_not.iter().any(|fact| states(fact, answer))))
}

fn states(fact: &Fact, answer: &Answer) -> bool {
    !answer.refused && says(&answer.text, fact)
}

/// Whether a text has a fact. Case, the width of blanks, emphasis, backticks and citations do not
/// count; a number must be the whole number, so that `10` is not in `100`.
pub fn says(text: &str, fact: &Fact) -> bool {
    let text = plain(text);
    let has = |written: &String| {
        let written = plain(written);
        let ends_in_digit =
            written.starts_with(|c: char| c.is_ascii_digit()) || written.ends_with(|c: char| c.is_ascii_digit());
        if ends_in_digit { contains_whole(&text, &written) } else { text.contains(&written) }
    };
    match fact {
        Fact::Text(written) => has(written),
        Fact::AnyOf(ways) => ways.iter().any(has),
    }
}

/// Whether a text has a piece that does not go on to either side: `8787` is not in `18787`, and `1.2` not
/// in `1.2.3`.
fn contains_whole(text: &str, piece: &str) -> bool {
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

/// In lower case, single blanks, without Markdown's signs and citations.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| line.replace(['`', '*'], "").replace('\u{2019}', "'").to_lowercase());
    let sentences: Vec<String> = lines.map(|line| without_citations(&line)).collect();
    sentences.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_citations(line: &str) -> String {
    let mut kept = String::new();
    for piece in line.split_inclusive(']') {
        let cited = piece.strip_suffix(']').and_then(|piece| piece.rsplit_once('['));
        match cited.filter(|(_, inner)| !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit())) {
            Some((before, _)) => kept += before.trim_end(),
            None => kept += piece,
        }
    }
    kept
}

/// Share of the citations whose passage has what their sentence says. A sentence that cites several
/// passages is also supported by them together; then each counts that has some support of its own or
/// that the others cannot do without, as in ALCE.
pub fn citation_precision(record: &Record) -> Option<f64> {
    let judged = Judged::of(record)?;
    let cited = judged.stating().flat_map(|sentence| sentence.citations.iter().map(move |n| (sentence, *n)));
    portion(cited.filter_map(|(sentence, n)| judged.is_useful(sentence, n)))
}

/// Share of the sentences stating something whose citations together have what they say.
pub fn citation_recall(record: &Record) -> Option<f64> {
    let judged = Judged::of(record)?;
    portion(judged.stating().filter_map(|sentence| judged.supports(sentence, &sentence.citations)))
}

/// Share of the sentences stating something that what was offered to the model has.
pub fn supported(record: &Record) -> Option<f64> {
    let judged = Judged::of(record)?;
    portion(judged.stating().filter_map(|sentence| judged.has_somewhere(sentence)))
}

/// Share of the citations that lead to a page judged relevant. A number that leads nowhere counts
/// against it.
pub fn cited_pages(record: &Record) -> Option<f64> {
    let qrels = ranking::qrels(&record.question, Level::Page)?;
    let answer = given(record)?;
    let is_relevant = |found: &Found| qrels.0.get(&found.page).is_some_and(|grade| *grade > 0);
    portion(citations(answer).map(|n| offered_as(record, n).is_some_and(is_relevant)))
}

/// The sections that the answer cites.
pub fn cited(record: &Record) -> BTreeSet<String> {
    let cited = given(record).into_iter().flat_map(citations).filter_map(|n| offered_as(record, n));
    cited.map(|found| found.passage.clone()).collect()
}

fn citations(answer: &Answer) -> impl Iterator<Item = u32> {
    sentences(&answer.text).into_iter().flat_map(|sentence| sentence.citations)
}

/// What was offered under a number.
fn offered_as(record: &Record, n: u32) -> Option<&Found> {
    record.ranking.iter().find(|found| found.n == Some(n))
}

/// The answer, if it is one.
fn given(record: &Record) -> Option<&Answer> {
    record.answer.as_ref().filter(|answer| !answer.refused && !is_refusal(&answer.text))
}

/// An answer beside the passages that its model was offered.
struct Judged {
    sentences: Vec<Sentence>,
    offered: Vec<(u32, Evidence)>,
}

impl Judged {
    /// Only with the trace are the passages known in full.
    fn of(record: &Record) -> Option<Self> {
        let answer = given(record)?;
        answer.trace.as_ref()?;
        let evidence = |found: &Found| Some((found.n?, Evidence::new(&found.title, &found.heading, &found.text)));
        let offered = record.ranking.iter().filter_map(evidence).collect();
        Some(Self { sentences: sentences(&answer.text), offered })
    }

    fn stating(&self) -> impl Iterator<Item = &Sentence> {
        self.sentences.iter().filter(|sentence| states_something(&sentence.text))
    }

    /// Whether these passages together have what the sentence says. Nothing where that cannot be told, since
    /// the sentence is in another language than they are.
    fn supports(&self, sentence: &Sentence, citations: &[u32]) -> Option<bool> {
        let cited = self.offered.iter().filter(|(n, _)| citations.contains(n));
        let cited: Vec<&Evidence> = cited.map(|(_, evidence)| evidence).collect();
        match check(&sentence.text, &cited).support {
            Support::Supported => Some(true),
            Support::Unchecked if !cited.is_empty() => None,
            Support::Unsupported | Support::Unchecked => Some(false),
        }
    }

    /// Whether any passage has what the sentence says, or those that it cites together.
    fn has_somewhere(&self, sentence: &Sentence) -> Option<bool> {
        let each = self.offered.iter().map(|(n, _)| self.supports(sentence, &[*n]));
        let verdicts: Vec<bool> = each.chain([self.supports(sentence, &sentence.citations)]).flatten().collect();
        let is_told = verdicts.len() > usize::from(sentence.citations.is_empty()) || self.offered.is_empty();
        is_told.then(|| verdicts.contains(&true))
    }

    /// Whether a citation does something for its sentence.
    fn is_useful(&self, sentence: &Sentence, n: u32) -> Option<bool> {
        let others: Vec<u32> = sentence.citations.iter().copied().filter(|other| *other != n).collect();
        if self.supports(sentence, &[n])? {
            return Some(true);
        }
        Some(self.supports(sentence, &sentence.citations)? && !self.supports(sentence, &others)?)
    }
}

/// Whether the answer is in the language asked for; else in the question's own.
pub fn language(record: &Record) -> Option<f64> {
    let answer = given(record)?;
    let wanted = match &record.question.lang {
        Some(lang) => whatlang::Lang::from_code(three_letters(lang)),
        None => detect(&record.question.question, SURE_OF_QUESTION),
    };
    let text = prose(&answer.text);
    let is_long = text.chars().filter(|c| c.is_alphabetic()).count() >= LETTERS_TO_TELL;
    is_long.then(|| detect(&text, SURE))?.zip(wanted).map(|(found, wanted)| share(found == wanted))
}

/// The language of a text, if the detector is this sure of it.
fn detect(text: &str, sure: f64) -> Option<whatlang::Lang> {
    whatlang::detect(text).filter(|info| info.confidence() >= sure).map(|info| info.lang())
}

/// Without code, which has no language.
fn prose(markdown: &str) -> String {
    let sentences = sentences(markdown);
    let texts = sentences.iter().map(|sentence| sentence.text.split('`').step_by(2).collect::<Vec<_>>().join(" "));
    texts.collect::<Vec<_>>().join(" ")
}

/// ISO 639-1 to the codes of the detector, ISO 639-3; `pt-BR` is `pt`.
fn three_letters(lang: &str) -> &str {
    let two = lang.split(['-', '_']).next().unwrap_or(lang);
    LANGUAGES.iter().find(|(short, _)| short.eq_ignore_ascii_case(two)).map_or(two, |(_, long)| long)
}

/// The languages that the detector knows.
#[rustfmt::skip] // seven a line
const LANGUAGES: [(&str, &str); 70] = [
    ("af", "afr"), ("ak", "aka"), ("am", "amh"), ("ar", "ara"), ("az", "aze"), ("be", "bel"), ("bg", "bul"),
    ("bn", "ben"), ("ca", "cat"), ("cs", "ces"), ("cy", "cym"), ("da", "dan"), ("de", "deu"), ("el", "ell"),
    ("en", "eng"), ("eo", "epo"), ("es", "spa"), ("et", "est"), ("fa", "pes"), ("fi", "fin"), ("fr", "fra"),
    ("gu", "guj"), ("he", "heb"), ("hi", "hin"), ("hr", "hrv"), ("hu", "hun"), ("hy", "hye"), ("id", "ind"),
    ("it", "ita"), ("ja", "jpn"), ("jv", "jav"), ("ka", "kat"), ("km", "khm"), ("kn", "kan"), ("ko", "kor"),
    ("la", "lat"), ("lt", "lit"), ("lv", "lav"), ("mk", "mkd"), ("ml", "mal"), ("mr", "mar"), ("my", "mya"),
    ("nb", "nob"), ("ne", "nep"), ("nl", "nld"), ("no", "nob"), ("or", "ori"), ("pa", "pan"), ("pl", "pol"),
    ("pt", "por"), ("ro", "ron"), ("ru", "rus"), ("si", "sin"), ("sk", "slk"), ("sl", "slv"), ("sn", "sna"),
    ("sr", "srp"), ("sv", "swe"), ("ta", "tam"), ("te", "tel"), ("th", "tha"), ("tk", "tuk"), ("tl", "tgl"),
    ("tr", "tur"), ("uk", "ukr"), ("ur", "urd"), ("uz", "uzb"), ("vi", "vie"), ("yi", "yid"), ("zh", "cmn"),
];

/// Whether the answer came to its end.
pub fn finish(record: &Record) -> Option<f64> {
    record.answer.as_ref().map(|answer| share(answer.finish == "stop" && record.error.is_none()))
}

/// Whether there was an error. Of a search, which is no bot, nothing is said.
pub fn error(record: &Record) -> Option<f64> {
    (record.answer.is_some() || record.error.is_some()).then(|| share(record.error.is_some()))
}

/// The share that is true; nothing of nothing.
#[allow(clippy::cast_precision_loss)] // counts
fn portion(each: impl Iterator<Item = bool>) -> Option<f64> {
    let (held, all) = each.fold((0_usize, 0_usize), |(held, all), is| (held + usize::from(is), all + 1));
    (all > 0).then(|| held as f64 / all as f64)
}
