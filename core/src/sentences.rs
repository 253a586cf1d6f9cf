//! An answer's sentences, cut while it streams, with what each cites.
//!
//! It reads character by character and gives a sentence as soon as it is known that no further citation
//! belongs to it; the same ones however the answer was cut. Code blocks and headings are no sentences,
//! and end one; so does the end of a line, since models do not wrap theirs.

/// A sentence of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sentence {
    /// Without its citations and without the marker of a list or of a quotation.
    pub text: String,
    /// Numbers it cites, in order, each once. A citation behind the full stop belongs to the sentence before.
    pub citations: Vec<u32>,
    /// Where it begins in the answer, UTF-16 units.
    pub start: u32,
    /// Where it ends, exclusive: behind its full stop and the citations behind that.
    pub end: u32,
}

/// All sentences of a complete answer.
pub fn sentences(markdown: &str) -> Vec<Sentence> {
    let mut reader = Sentences::default();
    let mut all = reader.push(markdown);
    all.extend(reader.finish());
    all
}

/// What a line turns out to be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Not known yet: only blanks, quotation marks and what `head` holds.
    #[default]
    Start,
    Text,
    /// A heading, a fence, or code: nothing on it is read.
    Skipped,
}

/// Reads an answer, gives its sentences.
#[derive(Debug, Default)]
pub struct Sentences {
    /// UTF-16 units read.
    at: u32,
    line: Line,
    /// Begins the line, and may become a list's marker, a heading or a fence. ASCII.
    head: String,
    /// The character of the fence that opened the code block that we are in.
    fence: Option<char>,
    sentence: Sentence,
    /// Behind `[`: digits, commas and blanks that may become a citation.
    open: Option<String>,
    /// A citation just closed; with a `(` behind it, it is a link.
    closed: Option<String>,
    /// In a code span.
    span: bool,
    /// The last character may have ended the sentence; a blank says that it did.
    stop: bool,
    /// The sentence is over; citations may follow.
    ended: bool,
    last: char,
}

/// Longest citation: `[1, 2, 3]` with room to spare.
const MAX_CITATION: usize = 24;

impl Sentences {
    /// Takes more of the answer, returns the sentences that are complete.
    pub fn push(&mut self, text: &str) -> Vec<Sentence> {
        let mut complete = Vec::new();
        for c in text.chars() {
            self.step(c, &mut complete);
            self.at += u32::from(c.len_utf16() == 2) + 1;
        }
        complete
    }

    /// The answer is over: returns the last sentence.
    pub fn finish(mut self) -> Vec<Sentence> {
        let mut complete = Vec::new();
        self.step('\n', &mut complete);
        self.complete(&mut complete);
        complete
    }

    fn step(&mut self, c: char, complete: &mut Vec<Sentence>) {
        if c == '\n' {
            self.release_head(complete);
            self.settle(c, complete);
            self.ended |= self.line == Line::Text;
            (self.line, self.span, self.stop, self.last) = (Line::Start, false, false, c);
            return;
        }
        match self.line {
            Line::Skipped => {}
            Line::Text => self.body(c, self.at, complete),
            Line::Start => self.begin(c, complete),
        }
    }

    /// The beginning of a line, until it is known what it is.
    fn begin(&mut self, c: char, complete: &mut Vec<Sentence>) {
        let is_blank = c.is_whitespace();
        if self.head.is_empty() && (is_blank || (c == '>' && self.fence.is_none())) {
            return;
        }
        if is_blank && self.fence.is_none() && self.head.ends_with(['-', '*', '+', '.', ')']) {
            self.head.clear();
            self.line = Line::Text;
            return self.end_before(complete);
        }
        if !may_be_marker(&self.head, c) {
            if self.fence.is_some() {
                self.head.clear();
                self.line = Line::Skipped;
                return;
            }
            self.release_head(complete);
            self.line = Line::Text;
            return self.body(c, self.at, complete);
        }
        self.head.push(c);
        let is_fence = self.head.len() == 3 && matches!(c, '`' | '~');
        if is_fence && self.fence.is_none_or(|fence| fence == c) {
            self.fence = if self.fence.is_some() { None } else { Some(c) };
        }
        if is_fence || (c == '#' && self.fence.is_none()) {
            self.head.clear();
            self.line = Line::Skipped;
            self.complete(complete);
        }
    }

    /// What might have been a marker is text.
    fn release_head(&mut self, complete: &mut Vec<Sentence>) {
        let head = std::mem::take(&mut self.head);
        if self.fence.is_some() || head.is_empty() {
            return;
        }
        self.line = Line::Text;
        let before = u32::try_from(head.len()).unwrap_or_default();
        for (at, c) in (self.at.saturating_sub(before)..).zip(head.chars()) {
            self.body(c, at, complete);
        }
    }

    fn body(&mut self, c: char, at: u32, complete: &mut Vec<Sentence>) {
        if let Some(inner) = &mut self.open {
            if (c.is_ascii_digit() || matches!(c, ',' | ' ')) && inner.len() < MAX_CITATION {
                return inner.push(c);
            }
            if c == ']' && numbers(inner).is_some() {
                self.closed = self.open.take();
                self.last = c;
                return;
            }
        }
        self.settle(c, complete);
        let is_index = self.last.is_alphanumeric() || self.last == '_';
        if c == '[' && !self.span && !is_index {
            self.ended |= self.stop;
            self.open = Some(String::new());
            if self.is_empty() {
                self.sentence.start = at;
            }
        } else {
            self.plain(c, at, complete);
        }
        self.last = c;
    }

    /// Brackets that are waiting become what they are, now that it is known what follows them.
    fn settle(&mut self, next: char, complete: &mut Vec<Sentence>) {
        if let Some(inner) = self.closed.take() {
            let cited = numbers(&inner).filter(|_| next != '(');
            let Some(cited) = cited else { return self.bracket(&inner, "]", complete) };
            self.sentence.text.truncate(self.sentence.text.trim_end().len());
            for number in cited {
                if !self.sentence.citations.contains(&number) {
                    self.sentence.citations.push(number);
                }
            }
            self.sentence.end = self.at;
        }
        if let Some(inner) = self.open.take() {
            self.bracket(&inner, "", complete);
        }
    }

    /// It was no citation.
    fn bracket(&mut self, inner: &str, end: &str, complete: &mut Vec<Sentence>) {
        let length = u32::try_from(1 + inner.len() + end.len()).unwrap_or_default();
        let text = ["[", inner, end].concat();
        for (at, c) in (self.at.saturating_sub(length)..).zip(text.chars()) {
            self.plain(c, at, complete);
        }
    }

    fn plain(&mut self, c: char, at: u32, complete: &mut Vec<Sentence>) {
        let is_blank = c.is_whitespace();
        self.ended |= self.stop && is_blank;
        if !matches!(c, '"' | '\'' | ')' | '*' | '_' | '”' | '’' | '»') {
            self.stop = false;
        }
        if self.ended && is_blank {
            return;
        }
        if self.ended {
            self.end_before(complete);
        }
        if self.is_empty() {
            if is_blank {
                return;
            }
            self.sentence.start = at;
        }
        self.span ^= c == '`';
        if !self.span && matches!(c, '.' | '!' | '?') {
            self.stop = !is_abbreviation(&self.sentence.text);
        }
        self.ended |= !self.span && matches!(c, '。' | '！' | '？');
        self.sentence.text.push(c);
        if !is_blank {
            self.sentence.end = at + u32::from(c.len_utf16() == 2) + 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.sentence.text.is_empty() && self.sentence.citations.is_empty()
    }

    /// Another sentence begins, if the one before had a word: "1." alone, or a rule, is none.
    fn end_before(&mut self, complete: &mut Vec<Sentence>) {
        if self.ended {
            self.complete(complete);
        }
    }

    fn complete(&mut self, complete: &mut Vec<Sentence>) {
        let mut sentence = std::mem::take(&mut self.sentence);
        sentence.text.truncate(sentence.text.trim_end().len());
        (self.ended, self.stop, self.span) = (false, false, false);
        let says = sentence.text.contains(char::is_alphanumeric);
        if says || !sentence.citations.is_empty() {
            complete.push(sentence);
        }
    }
}

/// Whether a line that begins so may still turn out to be a list's item, a heading or a fence.
fn may_be_marker(head: &str, next: char) -> bool {
    match head.chars().next() {
        None => next.is_ascii_digit() || matches!(next, '-' | '*' | '+' | '#' | '`' | '~'),
        Some(first) if first.is_ascii_digit() => {
            head.len() < 9
                && head.ends_with(|c: char| c.is_ascii_digit())
                && (next.is_ascii_digit() || matches!(next, '.' | ')'))
        }
        Some(first) => matches!(first, '`' | '~') && next == first,
    }
}

/// "e.g." and the like end no sentence.
pub(crate) fn is_abbreviation(before: &str) -> bool {
    ["e.g", "i.e", "cf", "vs", "approx", "z.B", "d.h"].iter().any(|word| {
        let at = before.len().wrapping_sub(word.len());
        let edge = before.get(..at).is_some_and(|front| front.is_empty() || front.ends_with([' ', '(', '\u{a0}']));
        edge && before.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(word))
    })
}

/// The numbers of `1` or `1, 3`; nothing for other text in brackets.
fn numbers(inner: &str) -> Option<Vec<u32>> {
    inner.split(',').map(|number| number.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_keep_their_citations() {
        let answer = "## Ports\n\nThe bot listens on `8787` [1]. It can be changed, e.g. by `--port`. [2][3] Use v1.2.3 \
                      [1, 4]!\n\n- `list[3]` is an index.\n1. See [the guide](x) [2]\n[3]\n```\nnot a sentence [9].\n```\n\
                      > **Bold.** 😀 再起動します。[1]次へ [7](x)\n\n---\n2024. Done [5]";
        let expected: [(&str, &[u32]); 8] = [
            ("The bot listens on `8787`.", &[1]),
            ("It can be changed, e.g. by `--port`.", &[2, 3]),
            ("Use v1.2.3!", &[1, 4]),
            ("`list[3]` is an index.", &[]),
            ("See [the guide](x)", &[2, 3]),
            ("**Bold.**", &[]),
            ("😀 再起動します。", &[1]),
            ("次へ [7](x)", &[]),
        ];
        let found = sentences(answer);
        let shown: Vec<(&str, &[u32])> = found.iter().map(|it| (it.text.as_str(), it.citations.as_slice())).collect();
        assert_eq!(shown[..8], expected);
        assert_eq!(shown[8..], [("Done", &[5][..])], "2024. begins a list as in CommonMark");
        let units: Vec<u16> = answer.encode_utf16().collect();
        let at = |n: usize| {
            let Sentence { start, end, .. } = &found[n];
            String::from_utf16(&units[*start as usize..*end as usize]).unwrap()
        };
        assert_eq!(at(0), "The bot listens on `8787` [1].");
        assert_eq!(at(1), "It can be changed, e.g. by `--port`. [2][3]");
        assert_eq!(at(4), "See [the guide](x) [2]\n[3]");
        assert_eq!(at(6), "😀 再起動します。[1]");
        assert_eq!(at(8), "Done [5]");
    }

    proptest! {
        #[test]
        fn sentences_do_not_depend_on_how_the_answer_was_cut_and_lie_in_it(
            pieces in prop::collection::vec("[a-c\\[\\]1-3,.!。 `~#>*()\n🎉-]{0,6}", 0..12)
        ) {
            let answer = pieces.concat();
            let whole = sentences(&answer);
            let mut reader = Sentences::default();
            let mut cut: Vec<Sentence> = pieces.iter().flat_map(|piece| reader.push(piece)).collect();
            cut.extend(reader.finish());
            prop_assert_eq!(&cut, &whole);
            let units: Vec<u16> = answer.encode_utf16().collect();
            let mut before = 0;
            for Sentence { text, start, end, .. } in whole {
                prop_assert!(before <= start && start < end && end as usize <= units.len(), "{text:?} {start}..{end}");
                let said = String::from_utf16(&units[start as usize..end as usize]).unwrap();
                prop_assert!(text.chars().next().is_none_or(|first| said.contains(first)), "{said:?} {text:?}");
                before = end;
            }
        }
    }
}
