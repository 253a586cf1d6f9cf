//! The Markdown of an answer is the model's, and a page or a question may have told the model what
//! to write: links lead to pages that the answer may cite, or they are text. Images are never shown.
//!
//! What leaves this filter means the same to every reader of `CommonMark` and GFM, whatever the model
//! wrote, because what could be read in two ways is rewritten until it cannot:
//! - `](` stands only in front of the address of an offered page; any other is parted by a space,
//!   and so are `![` and the `]:` of a definition.
//! - An address outside of code becomes code, since many readers make a link of it; that of an
//!   offered page is a link that says where it ends.
//! - Tags go. A `<` that might begin one, entities that could spell anything, and backticks without
//!   a partner on their line are escaped.
//! - Code stays as it is, once it is certain that it is code: a span on one line, or a fence that
//!   every reader sees begin and end in the same place.

use crate::api::Source;

/// Longest text of a link, characters; a longer one is text with brackets.
const MAX_TEXT: usize = 400;
/// Longest address with title, characters, and longest tag.
const MAX_ADDRESS: usize = 2_000;
/// Longest code span, characters; a longer one is text with backticks.
const MAX_CODE: usize = 2_000;
/// Backticks in a row from which on they are text.
const MAX_RUN: usize = 100;
/// Longest prefix of a line (blanks, quotes, list markers), and longest info string of a fence.
const MAX_PREFIX: usize = 200;
/// Links within the text of links are read to this depth.
const MAX_DEPTH: usize = 4;
/// Most spaces that a fence has before it wherever a reader sees it begin.
const MAX_INDENT: usize = 3;

/// Tags that say nothing once they are gone. Others may be placeholders, `<name>`, and are shown.
const TAGS: &[&str] = &[
    "a", "b", "i", "u", "s", "em", "strong", "code", "kbd", "sub", "sup", "p", "br", "hr", "div", "span", "ul", "ol",
    "li", "details", "summary", "img", "script", "style", "iframe", "svg", "passage", "quoted",
];
/// Entities that stay; none of them is a part of an address or a tag.
const ENTITIES: &[&str] = &["lt", "gt", "amp", "quot", "nbsp", "hellip", "mdash", "ndash", "rarr", "#39"];

/// Passes an answer on, with links to the offered pages only.
///
/// Text is held back while it is undecided: a word, a code span, a link, the beginning of a line.
#[derive(Debug)]
pub(crate) struct LinkFilter {
    offered: Vec<Target>,
    /// Read and not decided.
    held: Vec<char>,
    /// No decision is possible before one of these comes; empty when any may decide.
    until: &'static [char],
    /// Text since the last blank.
    word: String,
    /// Last character shown.
    last: char,
    line_start: bool,
    /// The word is the first one of its line, but for list markers and the like.
    first_word: bool,
    fence: Option<Fence>,
    /// The paragraph may be a table: a `|` divides its code spans.
    table: bool,
    /// This line, and the one before, has code that a table would divide.
    divisible: (bool, bool),
    depth: usize,
}

#[derive(Debug, Clone, Copy)]
struct Fence {
    mark: char,
    length: usize,
    /// Spaces in front of each line at least, so that no list item ends within it.
    indent: usize,
    /// Columns that are taken off each line, for a fence that was indented more than all readers allow.
    cut: usize,
}

/// How far something was read: characters taken, or none before there is more.
type Taken = Option<usize>;

/// A link as written: the end of its text, its address, and its own end.
struct Written {
    text_end: usize,
    address: String,
    end: usize,
}

enum Bracket {
    Link(Written),
    Text,
    Undecided,
}

impl LinkFilter {
    /// A filter that lets links to these pages through.
    pub(crate) fn new(sources: &[Source]) -> Self {
        Self {
            offered: sources.iter().filter_map(|source| Target::read(&source.url)).collect(),
            held: Vec::new(),
            until: &[],
            word: String::new(),
            last: '\n',
            line_start: true,
            first_word: true,
            fence: None,
            table: false,
            divisible: (false, false),
            depth: 0,
        }
    }

    /// Takes more of the answer, returns what can be shown.
    pub(crate) fn push(&mut self, delta: &str) -> String {
        self.held.extend(delta.chars());
        let mut out = String::with_capacity(delta.len());
        // Reading again what is held is of no use before something comes that decides it.
        let decides = self.until.is_empty() || self.held.len() > MAX_ADDRESS || delta.contains(self.until);
        if decides {
            self.read(false, &mut out);
        }
        out
    }

    /// The answer is over: returns what was held back.
    pub(crate) fn finish(mut self) -> String {
        let mut out = String::new();
        self.read(true, &mut out);
        self.flush(&mut out);
        out
    }

    fn read(&mut self, end: bool, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        self.until = &[];
        while !rest.is_empty() {
            let taken = if self.line_start { self.line(rest, end, out) } else { self.inline(rest, end, out) };
            let Some(after) = taken.and_then(|taken| rest.get(taken..)) else { break };
            rest = after;
        }
        self.held = rest.to_vec();
    }

    // ---------------------------------------------------------------------------- lines and fences

    fn line(&mut self, rest: &[char], end: bool, out: &mut String) -> Taken {
        if let Some(fence) = self.fence {
            return self.fenced_line(fence, rest, end, out);
        }
        let prefix = Prefix::read(rest);
        let Some(next) = rest.get(prefix.length) else {
            return if end || prefix.length >= MAX_PREFIX { self.begin_line(rest, &prefix, end, out) } else { None };
        };
        if matches!(next, '`' | '~') && (prefix.is_plain() || prefix.is_quote()) {
            match Opening::read(rest, prefix.length, end) {
                Begun::Undecided => return None,
                Begun::Opens(opening) => return Some(self.open(rest, &prefix, &opening, out)),
                Begun::Text => {}
            }
        }
        if matches!(next, '-' | ':' | '|') {
            let row = count(rest, prefix.length, |c| matches!(c, '-' | ':' | '|' | ' ' | '\t'));
            let after = rest.get(prefix.length + row);
            if after.is_none() && !end && row < MAX_PREFIX {
                return None;
            }
            if after.is_none_or(|c| *c == '\n') || row >= MAX_PREFIX {
                if self.divisible.1 {
                    // As the header of a table, the line above would be divided within its code.
                    self.put("\n", out);
                }
                self.table = true;
            }
        }
        self.begin_line(rest, &prefix, end, out)
    }

    /// Shows the prefix; what follows is read as text.
    fn begin_line(&mut self, rest: &[char], prefix: &Prefix, end: bool, out: &mut String) -> Taken {
        self.line_start = false;
        let is_blank = !prefix.quote && !prefix.marker && rest.get(prefix.length) == Some(&'\n');
        self.table &= !is_blank;
        self.show(rest.get(..prefix.length).unwrap_or_default(), out);
        self.first_word = true;
        if prefix.length > 0 { Some(prefix.length) } else { self.inline(rest, end, out) }
    }

    fn open(&mut self, rest: &[char], prefix: &Prefix, opening: &Opening, out: &mut String) -> usize {
        self.line_start = false;
        let before = rest.get(..prefix.length).unwrap_or_default();
        let run = rest.get(prefix.length..opening.end).unwrap_or_default();
        if prefix.quote {
            // A fence within a quotation ends with it, and its lines are read as text.
            self.show(before, out);
            self.show(run, out);
            // What follows is text: on the same line, a backtick of ours would make text of all of it.
            if opening.is_cut {
                self.put("\n", out);
                self.line_start = true;
            }
            return opening.end;
        }
        if prefix.marker {
            self.put(before.iter().collect::<String>().trim_end(), out);
            self.put("\n", out);
        }
        let indent = prefix.columns.min(MAX_INDENT);
        self.put(&" ".repeat(indent), out);
        self.show(run, out);
        if opening.is_cut {
            self.put("\n", out);
            self.line_start = true;
        }
        self.fence = Some(Fence { mark: opening.mark, length: opening.length, indent, cut: prefix.columns - indent });
        opening.end
    }

    fn fenced_line(&mut self, fence: Fence, rest: &[char], end: bool, out: &mut String) -> Taken {
        let blanks = count(rest, 0, |c| matches!(c, ' ' | '\t'));
        let run = count(rest, blanks, |c| c == fence.mark);
        let after = blanks + run;
        let trailing = count(rest, after, |c| matches!(c, ' ' | '\t'));
        let next = rest.get(after + trailing);
        if next.is_none() && !end && trailing < MAX_PREFIX && blanks < MAX_PREFIX {
            return None;
        }
        self.line_start = false;
        if run >= fence.length && next.is_none_or(|c| *c == '\n') {
            self.put(&" ".repeat(fence.indent), out);
            self.show(rest.get(blanks..after).unwrap_or_default(), out);
            if next.is_none() && !end {
                self.put("\n", out);
                self.line_start = true;
            }
            self.fence = None;
            return Some(after + trailing);
        }
        let columns = columns(rest.get(..blanks).unwrap_or_default());
        let wanted = columns.saturating_sub(fence.cut).max(fence.indent);
        if wanted == columns || next == Some(&'\n') && run == 0 {
            self.show(rest.get(..blanks).unwrap_or_default(), out);
        } else {
            self.put(&" ".repeat(wanted), out);
        }
        if blanks > 0 { Some(blanks) } else { self.inline(rest, end, out) }
    }

    // ---------------------------------------------------------------------------- within a line

    fn inline(&mut self, rest: &[char], end: bool, out: &mut String) -> Taken {
        let (c, next) = (*rest.first()?, rest.get(1));
        if self.fence.is_some() {
            self.line_start = c == '\n';
            self.show(&[c], out);
            return Some(1);
        }
        match c {
            '\n' => {
                self.flush(out);
                self.show(&[c], out);
                self.line_start = true;
                self.divisible = (false, self.divisible.0);
                Some(1)
            }
            _ if c.is_whitespace() => {
                self.flush(out);
                self.show(&[c], out);
                Some(1)
            }
            '\\' | '!' | '<' | '[' if next.is_none() && !end => None,
            '\\' => match next {
                Some('<') => Some(self.say("&lt;", 2)),
                Some(next) if next.is_ascii_punctuation() => {
                    self.word.push(c);
                    self.word.push(*next);
                    Some(2)
                }
                _ => Some(self.say("\\", 1)),
            },
            '`' => self.code(rest, end, out),
            '!' if next == Some(&'[') => self.bracket(rest, 1, end, out),
            '[' => self.bracket(rest, 0, end, out),
            '<' => self.angle(rest, end, out),
            // Scripts without spaces must not wait for one. Nothing that is looked for in a word goes
            // on behind such a character.
            '\u{2e80}'.. => {
                self.flush(out);
                self.first_word = false;
                self.show(&[c], out);
                Some(1)
            }
            _ => {
                self.word.push(c);
                Some(1)
            }
        }
    }

    #[inline(never)]
    fn say(&mut self, text: &str, taken: usize) -> usize {
        self.word.push_str(text);
        taken
    }

    fn code(&mut self, rest: &[char], end: bool, out: &mut String) -> Taken {
        let run = count(rest, 0, |c| c == '`').min(MAX_RUN);
        let span = match code_span(rest, end) {
            Span::Undecided => {
                self.until = if rest.last() == Some(&'`') { &[] } else { &['`', '\n'] };
                return None;
            }
            Span::Code(length) => rest.get(..length),
            Span::Text => None,
        };
        let Some(span) = span.filter(|span| !(self.table && is_divisible(span))) else {
            return Some(self.say(&"\\`".repeat(run), run));
        };
        self.divisible.0 |= is_divisible(span);
        self.flush(out);
        self.part(out);
        self.show(span, out);
        Some(span.len())
    }

    fn bracket(&mut self, rest: &[char], open: usize, end: bool, out: &mut String) -> Taken {
        let is_image = open == 1;
        let link = match read_link(rest, open, end) {
            Bracket::Link(link) => link,
            Bracket::Undecided => {
                let is_next = rest.last().is_some_and(|c| matches!(c, ']' | '`' | '\\'));
                self.until = if is_next { &[] } else { &[']', ')', '\n', '`'] };
                return None;
            }
            Bracket::Text => return Some(self.say(if is_image { "!" } else { "[" }, 1)),
        };
        let text = rest.get(open + 1..link.text_end).unwrap_or_default();
        let offered = self.lookup(&link.address).filter(|_| !is_image && self.depth == 0);
        let is_number = text.iter().all(char::is_ascii_digit);
        if offered.is_none() && !is_number && self.is_first() && !text.first().is_some_and(|c| c.is_alphabetic()) {
            return Some(self.say(if is_image { "!" } else { "[" }, 1));
        }
        if text.iter().all(|c| c.is_whitespace()) {
            self.blank(out);
        } else if let Some(address) = offered {
            self.flush(out);
            // Behind `!` it would be an image.
            self.put(if self.last == '!' { " [" } else { "[" }, out);
            self.within(text, out);
            self.flush(out);
            self.put(&format!("]({address})"), out);
        } else if is_number {
            // A citation that was made a link.
            self.word.push('[');
            self.word.extend(text);
            self.word.push(']');
        } else {
            self.within(text, out);
        }
        Some(link.end)
    }

    /// The text of a link, read like any other.
    fn within(&mut self, text: &[char], out: &mut String) {
        self.depth += 1;
        let mut rest = text;
        while let Some(c) = rest.first() {
            let taken = if self.depth > MAX_DEPTH && matches!(c, '[' | '!') {
                Some(self.say(if *c == '[' { "[" } else { "!" }, 1))
            } else {
                self.inline(rest, true, out)
            };
            let Some(after) = taken.and_then(|taken| rest.get(taken..)) else { break };
            rest = after;
        }
        self.depth -= 1;
    }

    fn angle(&mut self, rest: &[char], end: bool, out: &mut String) -> Taken {
        if !rest.get(1).is_some_and(|c| begins_tag(*c)) {
            self.word.push('<');
            return Some(1);
        }
        let inside = count(rest, 1, |c| !matches!(c, '>' | '\n' | '<'));
        if rest.get(1 + inside).is_none() && !end && inside < MAX_ADDRESS {
            self.until = &['>', '\n', '<'];
            return None;
        }
        if rest.get(1 + inside) != Some(&'>') {
            return Some(self.say("&lt;", 1));
        }
        let text: String = rest.get(1..=inside).unwrap_or_default().iter().collect();
        let name: String = text.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let is_address = !text.contains(char::is_whitespace) && (text.contains("://") || text.contains('@'));
        if is_address {
            self.flush(out);
            self.put_address(&text, out);
        } else if !self.is_first() && (text.contains('=') || text.starts_with(['!', '?']) || is_named(&name, TAGS)) {
            self.blank(out);
        } else {
            return Some(self.say("&lt;", 1));
        }
        Some(inside + 2)
    }

    // ---------------------------------------------------------------------------- words

    /// Shows the word: this is where what stands next to each other is seen as readers will see it.
    fn flush(&mut self, out: &mut String) {
        if self.word.is_empty() {
            return;
        }
        let word = std::mem::take(&mut self.word);
        let pieces = pieces(&word);
        let seen: Vec<char> = pieces.iter().map(|piece| piece.seen).collect();
        let mut at = 0;
        let mut bracket = false;
        while let Some(piece) = pieces.get(at) {
            if let Some(length) = address_at(&seen, at) {
                let address: String = seen.iter().skip(at).take(length).collect();
                self.put_address(&address, out);
                at += length;
                continue;
            }
            let next = pieces.get(at + 1).filter(|next| !next.escaped).map(|next| next.seen);
            let waves = pieces.iter().take(at).rev().take_while(|piece| piece.raw == "~").take(2).count();
            // Three in a row may be a fence.
            self.put(if piece.raw == "~" && waves == 2 { "\\~" } else { piece.raw }, out);
            bracket |= piece.seen == '[';
            let parts = match (piece.escaped, piece.seen, next) {
                (false, ']', Some('(')) | (_, '!', Some('[')) => true,
                (false, ']', Some(':')) => self.first_word || !bracket,
                _ => false,
            };
            if parts {
                self.put(" ", out);
            }
            at += 1;
        }
        self.first_word &= seen.iter().all(|c| ">-+*#.)0123456789".contains(*c));
    }

    /// Whether nothing of the line's text was shown yet. What a reader takes for the beginning of a
    /// block must not come to stand there because something else is gone.
    fn is_first(&self) -> bool {
        self.first_word && self.word.is_empty()
    }

    /// An offered page that an address leads to, as it is to be written.
    fn lookup(&self, address: &str) -> Option<String> {
        let wanted = Target::read(address)?;
        let same_page = || self.offered.iter().filter(|target| target.page == wanted.page);
        let target = same_page().find(|target| target.anchor == wanted.anchor);
        target.map(Target::whole).or_else(|| same_page().next().map(|target| target.written_page.clone()))
    }

    /// An address outside of code: a link where it is of an offered page, else code. Both say where
    /// it ends, which readers find differently for a bare one.
    fn put_address(&mut self, text: &str, out: &mut String) {
        self.part(out);
        if let Some(address) = self.lookup(text).filter(|_| self.depth == 0) {
            self.put(&format!("<{address}>"), out);
        } else {
            let text: String = text.chars().filter(|c| *c != '`' && *c != '|').collect();
            self.put(&format!("`{text}`"), out);
        }
    }

    /// Before a code span or an address: neither another backtick nor a backslash may touch it.
    fn part(&mut self, out: &mut String) {
        if matches!(self.last, '`' | '\\') {
            self.put(" ", out);
        }
    }

    /// In the place of what is gone: what stood beside it must not grow together.
    fn blank(&mut self, out: &mut String) {
        self.flush(out);
        if !self.last.is_whitespace() {
            self.put(" ", out);
        }
    }

    #[inline(never)]
    fn show(&mut self, text: &[char], out: &mut String) {
        self.last = text.last().copied().unwrap_or(self.last);
        out.extend(text);
    }

    #[inline(never)]
    fn put(&mut self, text: &str, out: &mut String) {
        self.last = text.chars().next_back().unwrap_or(self.last);
        out.push_str(text);
    }
}

/// How many characters from `at` on are such ones.
fn count(text: &[char], at: usize, such: impl Fn(char) -> bool) -> usize {
    text.iter().skip(at).take_while(|c| such(**c)).count()
}

fn columns(blanks: &[char]) -> usize {
    blanks.iter().fold(0, |columns, c| if *c == '\t' { (columns / 4 + 1) * 4 } else { columns + 1 })
}

fn begins_tag(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')
}

fn is_named(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

enum Span {
    /// So many characters, marks included.
    Code(usize),
    Text,
    Undecided,
}

/// Reads the code span that a run of backticks begins, if it ends on its line.
fn code_span(text: &[char], end: bool) -> Span {
    let run = count(text, 0, |c| c == '`');
    let mut at = run;
    while run < MAX_RUN && at < MAX_CODE {
        match text.get(at) {
            None => return if end { Span::Text } else { Span::Undecided },
            Some('\n') => return Span::Text,
            Some('`') => {
                let length = count(text, at, |c| c == '`');
                at += length;
                if !end && at == text.len() {
                    return Span::Undecided;
                }
                if length == run {
                    return Span::Code(at);
                }
            }
            Some(_) => at += 1,
        }
    }
    Span::Text
}

/// Whether a table would divide a code span: at `|`, but for `\|`.
fn is_divisible(span: &[char]) -> bool {
    let before = std::iter::once(&' ').chain(span);
    before.zip(span).any(|(before, c)| *c == '|' && *before != '\\')
}

/// What stands in front of a line's text.
struct Prefix {
    length: usize,
    columns: usize,
    quote: bool,
    marker: bool,
    deep: bool,
}

impl Prefix {
    fn read(line: &[char]) -> Self {
        let mut prefix = Self { length: 0, columns: 0, quote: false, marker: false, deep: false };
        loop {
            let blanks = count(line, prefix.length, |c| matches!(c, ' ' | '\t'));
            let has_tab = count(line, prefix.length, |c| c == ' ') < blanks;
            prefix.deep |= has_tab || blanks > MAX_INDENT + usize::from(prefix.quote);
            prefix.length += blanks;
            let at = prefix.length;
            if at >= MAX_PREFIX {
                break;
            }
            let digits = count(line, at, |c| c.is_ascii_digit());
            let marker = match line.get(at) {
                Some('>') => {
                    prefix.quote = true;
                    1
                }
                Some('-' | '+' | '*') => 1,
                // More digits may come, or what makes a marker of them.
                Some('0'..='9') if digits < 10 && at + digits == line.len() => digits,
                Some('0'..='9') if digits < 10 && matches!(line.get(at + digits), Some('.' | ')')) => digits + 1,
                _ => break,
            };
            if line.get(at) != Some(&'>') {
                if line.get(at + marker).is_some_and(|c| !matches!(c, ' ' | '\t')) {
                    break;
                }
                prefix.marker = true;
            }
            prefix.length += marker;
        }
        prefix.columns = columns(line.get(..prefix.length).unwrap_or_default());
        prefix
    }

    /// No quotation in it: a fence behind it is one, once it has a line of its own.
    fn is_plain(&self) -> bool {
        !self.quote
    }

    /// Nothing but a quotation.
    fn is_quote(&self) -> bool {
        self.quote && !self.marker && !self.deep
    }
}

/// The line that opens a fence.
struct Opening {
    mark: char,
    length: usize,
    /// Where its info string ends.
    end: usize,
    /// The info string goes on and is cut.
    is_cut: bool,
}

/// Whether a line opens a block of code.
enum Begun {
    Opens(Opening),
    Text,
    /// Before there is more.
    Undecided,
}

impl Opening {
    fn read(line: &[char], at: usize, end: bool) -> Begun {
        let Some(mark) = line.get(at).copied() else { return Begun::Text };
        let length = count(line, at, |c| c == mark);
        let info = count(line, at + length, |c| c != '\n').min(MAX_PREFIX);
        let info_end = at + length + info;
        if line.get(info_end).is_none() && !end && info < MAX_PREFIX {
            // Two backticks and a letter are no fence, whatever follows.
            return if length < 3 && info > 0 { Begun::Text } else { Begun::Undecided };
        }
        let has_backtick = line.iter().take(info_end).skip(at + length).any(|c| *c == '`');
        if length < 3 || (mark == '`' && has_backtick) {
            return Begun::Text;
        }
        let is_cut = info >= MAX_PREFIX;
        Begun::Opens(Self { mark, length, end: info_end, is_cut })
    }
}

/// Reads `[text](address "title")` from its bracket on; all of it on one line.
fn read_link(text: &[char], open: usize, end: bool) -> Bracket {
    let line = text.iter().position(|c| *c == '\n').and_then(|line_end| text.get(..line_end));
    let is_whole = line.is_some() || end;
    let line = line.unwrap_or(text);
    let missing = if is_whole { Bracket::Text } else { Bracket::Undecided };
    let text_end = match bracket_end(line, open, is_whole) {
        Ok(text_end) => text_end,
        Err(bracket) => return bracket,
    };
    match line.get(text_end + 1) {
        None => return missing,
        Some('(') => {}
        Some(_) => return Bracket::Text,
    }
    let blanks = |at: usize| at + count(line, at, |c| matches!(c, ' ' | '\t'));
    let escaped = |at: usize| line.get(at) == Some(&'\\') && line.get(at + 1).is_some_and(char::is_ascii_punctuation);
    let from = blanks(text_end + 2);
    let mut at = from;
    let address = if line.get(from) == Some(&'<') {
        at += 1;
        at += count(line, at, |c| !matches!(c, '>' | '<'));
        at += 1;
        match line.get(at - 1) {
            Some('>') => line.get(from + 1..at - 1),
            None if at <= text_end + MAX_ADDRESS => return missing,
            _ => return Bracket::Text,
        }
    } else {
        let mut depth = 0_usize;
        while let Some(c) = line.get(at).filter(|c| !c.is_whitespace()) {
            match c {
                '\\' if escaped(at) => at += 1,
                '(' => depth += 1,
                ')' if depth == 0 => break,
                ')' => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        line.get(from..at)
    };
    at = blanks(at);
    if let Some(quote) = line.get(at).filter(|c| matches!(c, '"' | '\'' | '(')) {
        let close = if *quote == '(' { ')' } else { *quote };
        at += 1;
        while line.get(at).is_some_and(|c| *c != close) {
            at += if escaped(at) { 2 } else { 1 };
        }
        at = blanks(at + 1);
    }
    match (line.get(at), address) {
        _ if at > text_end + MAX_ADDRESS => Bracket::Text,
        (Some(')'), Some(address)) => {
            Bracket::Link(Written { text_end, address: address.iter().collect(), end: at + 1 })
        }
        (None, _) => missing,
        _ => Bracket::Text,
    }
}

/// The bracket that closes the one at `open`.
fn bracket_end(line: &[char], open: usize, is_whole: bool) -> Result<usize, Bracket> {
    let missing = || if is_whole { Bracket::Text } else { Bracket::Undecided };
    let (mut at, mut depth) = (open + 1, 1_usize);
    while at <= open + MAX_TEXT {
        match line.get(at).ok_or_else(missing)? {
            '\\' if line.get(at + 1).ok_or_else(missing)?.is_ascii_punctuation() => at += 1,
            '`' => {
                let rest = line.get(at..).unwrap_or_default();
                match code_span(rest, is_whole) {
                    Span::Code(length) => at += length - 1,
                    Span::Text => at += count(rest, 0, |c| c == '`') - 1,
                    Span::Undecided => return Err(Bracket::Undecided),
                }
            }
            '[' => depth += 1,
            ']' if depth == 1 => return Ok(at),
            ']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    Err(Bracket::Text)
}

/// A character of a word as a reader sees it, and as it is written.
struct Piece<'w> {
    seen: char,
    raw: &'w str,
    escaped: bool,
}

fn pieces(word: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some(seen) = rest.chars().next() {
        let after = rest.get(seen.len_utf8()..).unwrap_or_default();
        let next = after.chars().next();
        let piece = match (seen, next) {
            ('\\', Some(next)) if next.is_ascii_punctuation() => {
                Piece { seen: next, raw: rest.get(..2).unwrap_or_default(), escaped: true }
            }
            ('<', Some(next)) if begins_tag(next) => Piece { seen, raw: "&lt;", escaped: true },
            ('&', _) if is_foreign_entity(after) => Piece { seen, raw: "&amp;", escaped: true },
            _ => Piece { seen, raw: rest.get(..seen.len_utf8()).unwrap_or_default(), escaped: false },
        };
        let written = if piece.escaped && seen == '\\' { 2 } else { seen.len_utf8() };
        rest = rest.get(written..).unwrap_or_default();
        pieces.push(piece);
    }
    pieces
}

/// Whether `&` is the beginning of an entity that could stand for anything.
fn is_foreign_entity(after: &str) -> bool {
    let Some((name, _)) = after.split_once(';') else { return false };
    let letters = name.strip_prefix('#').unwrap_or(name);
    !letters.is_empty() && letters.chars().all(|c| c.is_ascii_alphanumeric()) && !ENTITIES.contains(&name)
}

/// Longest scheme, or part of a mail address, characters. Of a longer one the end is found.
const MAX_NAME: usize = 64;

/// How long the address is that begins here, if one does: with a scheme, `www.`, or of mail.
fn address_at(text: &[char], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let name = rest.get(..MAX_NAME).unwrap_or(rest);
    let scheme = count(name, 0, |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    let local = count(name, 0, |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-' | '_'));
    let starts = |from: usize, with: &str| {
        with.chars().enumerate().all(|(n, c)| rest.get(from + n).is_some_and(|at| at.eq_ignore_ascii_case(&c)))
    };
    let has_scheme = scheme > 0 && starts(scheme, "://");
    let is_web = starts(0, "www.") && !before.is_some_and(char::is_ascii_alphanumeric);
    let is_mail = local > 0 && starts(local, "@") && {
        let host = count(rest.get(..local + MAX_NAME).unwrap_or(rest), local + 1, |c| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
        });
        rest.iter().skip(local + 1).take(host).any(|c| *c == '.')
    };
    if !(has_scheme || is_web || is_mail) {
        return None;
    }
    let ends = |c: char| c.is_whitespace() || "<>\"`\\{}|^[]。，、；：！？（）「」『』【】《》“”".contains(c);
    let mut length = count(rest, 0, |c| !ends(c));
    while let Some(last) = length.checked_sub(1).and_then(|last| rest.get(last)) {
        let unbalanced = || {
            let within = rest.iter().take(length);
            within.clone().filter(|c| **c == ')').count() > within.filter(|c| **c == '(').count()
        };
        match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '_' | '~' => length -= 1,
            ')' if unbalanced() => length -= 1,
            _ => break,
        }
    }
    (length > 0).then_some(length)
}

/// Where an address leads, in parts.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// Scheme, host and port, path and query, as far as two addresses of a page may differ in them.
    page: String,
    /// The same as written.
    written_page: String,
    anchor: String,
}

impl Target {
    fn read(address: &str) -> Option<Self> {
        let is_strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '<' | '>' | '`' | '"');
        if address.contains(is_strange) {
            return None;
        }
        let (page, anchor) = address.split_once('#').unwrap_or((address, ""));
        let (scheme, rest) = page.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let (host, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(default_port).unwrap_or(&host);
        if host.is_empty() || host.contains(['@', '%']) {
            return None;
        }
        let page_key = format!("{scheme}://{host}{}", path.trim_end_matches('/'));
        Some(Self { page: page_key, written_page: written(page), anchor: anchor.to_owned() })
    }

    fn whole(&self) -> String {
        if self.anchor.is_empty() {
            self.written_page.clone()
        } else {
            format!("{}#{}", self.written_page, written(&self.anchor))
        }
    }
}

/// An address without characters that end a link.
fn written(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '(' => out.push_str("%28"),
            ')' => out.push_str("%29"),
            '[' => out.push_str("%5B"),
            ']' => out.push_str("%5D"),
            '|' => out.push_str("%7C"),
            '*' => out.push_str("%2A"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = "https://d.example/p";

    fn filter(pieces: &[&str]) -> String {
        let source = |n, url: &str| Source {
            n,
            title: String::new(),
            heading: String::new(),
            url: url.into(),
            snippet: String::new(),
            score: 0.0,
            ..Source::default()
        };
        let mut filter = LinkFilter::new(&[source(1, "https://d.example/p#a"), source(2, "https://d.example/q/")]);
        let mut out: String = pieces.iter().map(|piece| filter.push(piece)).collect();
        out.push_str(&filter.finish());
        out
    }

    #[test]
    fn links_lead_to_offered_pages_or_are_text() {
        for (written, shown) in [
            ("See [the page](https://d.example/p#a).", "See [the page](https://d.example/p#a)."),
            (
                "[it](HTTPS://D.example:443/p \"t\") [q](<https://d.example/q>)",
                "[it](https://d.example/p) [q](https://d.example/q/)",
            ),
            ("[elsewhere](https://d.example/p#b)", "[elsewhere](https://d.example/p)"),
            ("[x](https://evil.example/) [y](//evil.example) [z](javascript:alert(1))", "x y z"),
            ("[x](https://d.example@evil.example/p) [y](https://d.example/p/../../evil)", "x y"),
            (
                "[x](https://d.example/pp) [y](https://d.example.evil.example/p) [z](https://d.example/p?q=secret)",
                "x y z",
            ),
            ("Cited [1](https://evil.example) and [2].", "Cited [1] and [2]."),
            ("![secret](https://evil.example/?q=1) Wow![x](https://d.example/p)", "secret Wowx"),
            ("[![a](https://e.example/i)](https://d.example/p)", "[a](https://d.example/p)"),
            ("[a [b](https://e.example) `]` c](https://e.example)", "a b `]` c"),
            ("<https://d.example/p> <https://evil.example>", "<https://d.example/p> `https://evil.example`"),
            ("https://d.example/p, **https://d.example/q/**", "<https://d.example/p>, **<https://d.example/q/>**"),
            ("Open http://localhost:8787. (www.evil.example)", "Open `http://localhost:8787`. (`www.evil.example`)"),
            ("Write to a.b@evil.example!", "Write to `a.b@evil.example`!"),
            ("[x][r]\n\n[r]: https://evil.example", "[x][r]\n\n[r] : `https://evil.example`"),
            ("so [1]: run\n> [n\nm]: //e.example", "so [1]: run\n> [n\nm] : //e.example"),
            ("A <img src=https://e.example><a href='//e.example'>x</a> Vec<String> a < b", "A x  Vec&lt;String> a < b"),
            ("<img src=x>\n[|--|](https://e.example)", "&lt;img src=x>\n[|--|] (`https://e.example`)"),
            ("ht[tps:](x)//evil.example ht<b>tps://evil.example", "`https://evil.example` ht `tps://evil.example`"),
            (
                "https&colon;//evil.example https\\://evil.example",
                "https&amp;colon;//evil.example `https://evil.example`",
            ),
            ("请看https://evil.example。好", "请看`https://evil.example`。好"),
            ("a [x] (y) list[0](z) [", "a [x] (y) list[0] ["),
            ("AT&T &amp; 2 * 3 \\* \\[x](https://e.example)", "AT&T &amp; 2 * 3 \\* \\[x] (`https://e.example`)"),
        ] {
            assert_eq!(filter(&[written]), shown, "{written}");
        }
        // Too long a line behind a fence within a quotation.
        let quoted = format!("> ```{}", "[x](https://e.example)".repeat(12));
        assert_eq!(links(&filter(&[&quoted])), Vec::<String>::new());
    }

    #[test]
    fn code_stays_as_it_is_where_every_reader_sees_code() {
        for same in [
            "Run `curl -LsSf https://x.example/i.sh | sh` and ``a ` [b](c)``.",
            "```sh\ncurl https://x.example <a> [x](y) ![z](w)\n\n  `x\n```\nEnd.",
            "1. Run:\n\n   ```sh\n   curl https://x.example\n   ```\n\n2. Stop.",
            "~~~ {title=\"a\"}\n```\nhttps://x.example\n~~~",
            "````md\n```\n[x](y)\n```\n````\n",
            "| a | b |\n|---|---|\n| `x \\| https://y.example` | `z` |\n",
            "> ```\n> code\n> ```\n",
            "```\nnever closed https://x.example",
        ] {
            assert_eq!(filter(&[same]), same);
        }
        for (written, shown) in [
            ("`a\n[x](https://e.example)`", "\\`a\nx\\`"),
            ("- ```\n  [x](y)\n  ```\n[x](https://e.example)", "-\n  ```\n  [x](y)\n  ```\nx"),
            ("     ```\n     a\n     ```\n[x](https://e.example)", "   ```\n   a\n   ```\nx"),
            ("- a\n\n  ```\n```\n[x](https://e.example)", "- a\n\n  ```\n  ```\nx"),
            ("| a |\n|---|\n| ` | [x](https://e.example) ` |", "| a |\n|---|\n| \\` | x \\` |"),
            ("| `a | https://e.example` |\n|---|---|", "| `a | https://e.example` |\n\n|---|---|"),
        ] {
            assert_eq!(filter(&[written]), shown, "{written}");
        }
    }

    /// All that two readers link to or load.
    fn links(answer: &str) -> Vec<String> {
        use comrak::nodes::NodeValue;
        use pulldown_cmark::{Event, Options, Tag};
        let arena = comrak::Arena::new();
        let mut options = comrak::Options::default();
        options.extension.autolink = true;
        options.extension.table = true;
        options.extension.strikethrough = true;
        options.extension.footnotes = true;
        let mut found = Vec::new();
        for node in comrak::parse_document(&arena, answer, &options).descendants() {
            match &node.data.borrow().value {
                NodeValue::Link(link) => found.push(link.url.clone()),
                NodeValue::Image(image) => found.push(format!("image {}", image.url)),
                NodeValue::HtmlBlock(html) => found.push(html.literal.clone()),
                NodeValue::HtmlInline(html) => found.push(html.clone()),
                NodeValue::FootnoteDefinition(_) => found.push("footnote".to_owned()),
                _ => {}
            }
        }
        let gfm = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_GFM;
        for event in pulldown_cmark::Parser::new_ext(answer, gfm) {
            match event {
                Event::Start(Tag::Link { dest_url, .. }) => found.push(dest_url.to_string()),
                Event::Start(Tag::Image { dest_url, .. }) => found.push(format!("image {dest_url}")),
                Event::Html(html) | Event::InlineHtml(html) => found.push(html.to_string()),
                _ => {}
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]
        #[test]
        fn whatever_a_model_writes_two_readers_of_markdown_link_to_nothing_else(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..64)
        ) {
            let answer = filter(&[&parts.concat()]);
            for link in links(&answer) {
                let page = link.split('#').next().unwrap();
                prop_assert!(page == PAGE || page == "https://d.example/q/", "{link:?} in\n{answer}\nof\n{}", parts.concat());
            }
        }

        #[test]
        fn the_result_does_not_depend_on_how_the_answer_was_cut(
            parts in prop::collection::vec(prop::sample::select(PARTS), 0..16),
            cuts in prop::collection::vec(0usize..120, 0..12),
        ) {
            let chars: Vec<char> = parts.concat().chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(chars.len())).collect();
            cuts.extend([0, chars.len()]);
            cuts.sort_unstable();
            let pieces: Vec<String> = cuts.windows(2).map(|cut| chars[cut[0]..cut[1]].iter().collect()).collect();
            let whole = filter(&[&parts.concat()]);
            prop_assert_eq!(filter(&pieces.iter().map(String::as_str).collect::<Vec<_>>()), whole.clone());
            let each: Vec<String> = chars.iter().map(ToString::to_string).collect();
            prop_assert_eq!(filter(&each.iter().map(String::as_str).collect::<Vec<_>>()), whole);
        }

        #[test]
        fn code_in_a_fence_survives(lines in prop::collection::vec("[a-z`<>\\[\\]()!:/ ]{0,30}", 0..6)) {
            let code = lines.join("\n").replace("````", "");
            let answer = format!("````sh\n{code}\n````\n");
            prop_assert_eq!(filter(&[&answer]), answer);
        }
    }

    const PARTS: &[&str] = &[
        "a",
        " ",
        "\n",
        "\n\n",
        "    ",
        "   ",
        "- ",
        "> ",
        "1. ",
        "10) ",
        "# ",
        "|",
        "|---|---|\n",
        "---",
        "\t",
        "`",
        "``",
        "```",
        "```sh\n",
        "\n```\n",
        "~~~",
        "\n~~~\n",
        "[",
        "]",
        "(",
        ")",
        "!",
        "![",
        "](",
        "[x]",
        "[x]: ",
        "]:",
        "[^1]: ",
        "<",
        ">",
        "<b>",
        "<img src=x>",
        "<!--",
        "-->",
        "<?",
        "\\",
        "\\\\",
        "\"",
        "'",
        "*",
        "**",
        "_",
        "~~",
        ":",
        "//",
        "https:",
        "https://evil.example",
        "http://",
        "www.",
        "www.evil.example",
        "evil.example",
        "a@evil.example",
        "mailto:",
        "javascript:",
        "&",
        "&colon;",
        "&#58;",
        "&lt;",
        ";",
        "[x](https://evil.example)",
        "![x](https://evil.example)",
        "[y](https://d.example/p#a)",
        "https://d.example/p",
        "<https://d.example/q>",
        "<https://evil.example>",
        "(https://evil.example)",
        "中",
        "é",
        "[1]",
        ".",
        "?",
        "=",
        "===\n",
        "&amp;",
        "\u{a0}",
    ];
}
