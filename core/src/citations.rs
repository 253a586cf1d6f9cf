//! Citations `[n]` in an answer: numbers that were not offered are removed while it streams, and each
//! sentence is checked against what it cites as soon as it is complete.
//!
//! A model may cite a passage that does not exist, and a reader cannot click that. Code is left
//! alone, since `a[9]` in it is not a citation.

use std::rc::Rc;

use crate::api::Citation;
use crate::prompt::Passage;
use crate::sentences::{Sentence, Sentences};
use crate::support::{Evidence, Support, check};
use crate::text_fragment::deep_link;

/// Share of a sentence that a passage must have for its own words to be pointed at.
const POINTED_AT: f64 = 0.5;

/// Passes an answer on, without the citations that lead nowhere.
///
/// Text is held back only while it may be the beginning of a citation, at most a dozen characters.
#[derive(Debug)]
pub struct CitationFilter {
    offered: usize,
    /// `[`, digits, commas and blanks that may still become a citation.
    held: String,
    /// Spaces just before `held`, which go with a citation that is removed.
    spaces: String,
    /// Backticks of the run being read.
    ticks: usize,
    /// Backticks that opened the code that we are in; 0 outside of code.
    code: usize,
    /// Last character passed on: a bracket right behind a word is an index, `list[3]`.
    last: char,
}

/// Longest text held back: `[1, 2, 3]` with room to spare.
const MAX_HELD: usize = 24;

impl CitationFilter {
    /// A filter that lets `[1]` to `[offered]` through.
    pub fn new(offered: usize) -> Self {
        Self { offered, held: String::new(), spaces: String::new(), ticks: 0, code: 0, last: '\n' }
    }

    /// Takes more of the answer, returns what can be shown.
    pub fn push(&mut self, delta: &str) -> String {
        let mut out = String::with_capacity(delta.len() + self.held.len() + self.spaces.len());
        for c in delta.chars() {
            self.step(c, &mut out);
        }
        out
    }

    /// The answer is over: returns what was held back.
    pub fn finish(mut self) -> String {
        let mut out = String::new();
        self.release(&mut out);
        out
    }

    fn step(&mut self, c: char, out: &mut String) {
        if !self.held.is_empty() {
            if c == ']' {
                return self.close(out);
            }
            if (c.is_ascii_digit() || matches!(c, ',' | ' ')) && self.held.len() < MAX_HELD {
                return self.held.push(c);
            }
            self.release(out);
        }
        self.track_code(c);
        match c {
            '[' if self.code == 0 && !(self.last.is_alphanumeric() || self.last == '_') => self.held.push('['),
            ' ' if self.code == 0 => self.spaces.push(' '),
            _ => self.pass(c, out),
        }
        if c == ' ' && self.code == 0 {
            self.last = ' ';
        }
    }

    fn pass(&mut self, c: char, out: &mut String) {
        out.push_str(&self.spaces);
        self.spaces.clear();
        out.push(c);
        self.last = c;
    }

    fn release(&mut self, out: &mut String) {
        out.push_str(&self.spaces);
        self.spaces.clear();
        out.push_str(&self.held);
        self.last = self.held.chars().last().unwrap_or(self.last);
        self.held.clear();
    }

    /// A bracket closed: keep the numbers that were offered, each in brackets of its own, so that
    /// `[1, 9]` becomes `[1]`.
    fn close(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let inner = held.trim_start_matches('[');
        let numbers: Vec<&str> = inner.split(',').map(str::trim).filter(|number| !number.is_empty()).collect();
        let all_numeric = !numbers.is_empty() && numbers.iter().all(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if !all_numeric {
            // `[ ]` of a task list, `[,]`: not a citation.
            self.held = held;
            self.release(out);
            return self.pass(']', out);
        }
        let is_offered = |n: &&&str| n.parse::<usize>().is_ok_and(|n| (1..=self.offered).contains(&n));
        let kept: Vec<&&str> = numbers.iter().filter(is_offered).collect();
        if kept.is_empty() {
            self.spaces.clear();
            return;
        }
        out.push_str(&self.spaces);
        self.spaces.clear();
        for number in kept {
            out.push('[');
            out.push_str(number.trim_start_matches('0'));
            out.push(']');
        }
        self.last = ']';
    }

    /// Code begins at a run of backticks and ends at a run of the same length.
    fn track_code(&mut self, c: char) {
        if c == '`' {
            self.ticks += 1;
            return;
        }
        if self.ticks > 0 {
            if self.code == 0 {
                self.code = self.ticks;
            } else if self.code == self.ticks {
                self.code = 0;
            }
            self.ticks = 0;
        }
        // A span does not reach over a paragraph; a lone backtick must not silence the filter.
        if c == '\n' && self.last == '\n' && self.code < 3 {
            self.code = 0;
        }
    }
}

/// Checks the citations of an answer while it is written.
#[derive(Debug, Default)]
pub struct Citations {
    passages: Rc<[Passage]>,
    /// The passages that were cited so far, made ready for checks when they first were.
    evidence: Vec<(u32, Evidence)>,
    sentences: Sentences,
}

impl Citations {
    /// Citations of these passages. Numbers that none of them has are not looked at.
    pub fn new(passages: Rc<[Passage]>) -> Self {
        Self { passages, ..Self::default() }
    }

    /// Takes more of what the reader sees, returns the citations of the sentences that are complete.
    pub fn push(&mut self, shown: &str) -> Vec<Citation> {
        let complete = self.sentences.push(shown);
        complete.iter().flat_map(|sentence| self.check(sentence)).collect()
    }

    /// The answer is over: returns the citations of its last sentence.
    pub fn finish(&mut self) -> Vec<Citation> {
        let complete = std::mem::take(&mut self.sentences).finish();
        complete.iter().flat_map(|sentence| self.check(sentence)).collect()
    }

    fn check(&mut self, sentence: &Sentence) -> Vec<Citation> {
        if sentence.citations.is_empty() {
            return Vec::new();
        }
        for n in &sentence.citations {
            let passage = self.passages.iter().find(|passage| passage.n == *n);
            if let Some(Passage { title, heading, text, .. }) = passage
                && !self.evidence.iter().any(|(known, _)| known == n)
            {
                self.evidence.push((*n, Evidence::new(title, heading, text)));
            }
        }
        let known = sentence.citations.iter().filter_map(|n| {
            let passage = self.passages.iter().find(|passage| passage.n == *n)?;
            Some((passage, self.evidence.iter().find(|(known, _)| known == n).map(|(_, evidence)| evidence)?))
        });
        let cited: Vec<(&Passage, &Evidence)> = known.collect();
        let evidence: Vec<&Evidence> = cited.iter().map(|(_, evidence)| *evidence).collect();
        let verdict = check(&sentence.text, &evidence);
        let found = cited.iter().zip(&verdict.shares).zip(&verdict.nearest);
        let citation = |(((passage, evidence), share), nearest): ((&(&Passage, &Evidence), &f64), &Option<usize>)| {
            let pointed_at = nearest.filter(|_| verdict.support == Support::Supported && *share >= POINTED_AT);
            let url = pointed_at.map(|statement| deep_link(&passage.url, evidence, statement, &verdict.stems));
            Citation {
                n: passage.n,
                start: sentence.start,
                end: sentence.end,
                support: verdict.support,
                share: (share * 100.0).round() / 100.0,
                url: url.unwrap_or_else(|| passage.url.clone()),
            }
        };
        found.map(citation).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(offered: usize, pieces: &[&str]) -> String {
        let mut filter = CitationFilter::new(offered);
        let mut out: String = pieces.iter().map(|piece| filter.push(piece)).collect();
        out.push_str(&filter.finish());
        out
    }

    #[test]
    fn only_numbers_that_were_offered_stay() {
        let cases = [
            ("Run it [1]. Then stop [3].", "Run it [1]. Then stop."),
            ("Both [1][2] and [1, 9] and [2,1].", "Both [1][2] and [1] and [2][1]."),
            ("Nothing [0] or [99999999999999999999].", "Nothing or."),
            (
                "Code `a[7]` and\n```js\nx = y[9]; [8]\n```\nend [7].",
                "Code `a[7]` and\n```js\nx = y[9]; [8]\n```\nend.",
            ),
            ("An index list[7], a task [ ] and [x], open [7", "An index list[7], a task [ ] and [x], open [7"),
            ("A lone ` tick\n\nthen [9].", "A lone ` tick\n\nthen."),
            ("  indented\n  - [1] item  two spaces  ", "  indented\n  - [1] item  two spaces  "),
        ];
        for (text, expected) in cases {
            assert_eq!(filter(2, &[text]), expected);
        }
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_how_the_answer_was_cut(pieces in prop::collection::vec("[a\\[\\]0-9, `\n]{0,6}", 0..10)) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(filter(3, &pieces), filter(3, &[&pieces.concat()]));
        }
    }
}
