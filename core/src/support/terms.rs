//! What is compared of a text: its numbers, its names, its content words, and what it denies.

use crate::sentences::is_abbreviation;
use crate::support::Statement;

/// Letters by which two words are the same: "configured" and "configuration". Longer endings would be
/// cut by a real stemmer, of which every language needs its own.
const STEM: usize = 6;

/// How surely a "not" denies the first content word behind it; the second, half as surely: what stands
/// between a "not" and its verb differs from one wording to the next.
pub(super) const DENIED: u8 = 2;

/// Clauses of a sentence that are told apart; more, no one writes.
const MAX_CLAUSES: u16 = 16;

/// Statements of a passage that are read, and words of one; a passage is a chunk, so this is beyond any.
const MAX_STATEMENTS: usize = 256;

/// A content word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) stem: u64,
    /// Number of its clause.
    pub(super) clause: u16,
    /// How surely a "not" in its clause denies it, up to [`DENIED`].
    pub(super) negated: u8,
}

/// A number as it is compared: without the commas of thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: u64,
    pub(super) unit: Option<u8>,
}

/// What must be there exactly: the whole, or each of its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exact {
    whole: u64,
    pieces: Vec<u64>,
}

/// The content words of one sentence or statement, in order.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub(super) words: Vec<Word>,
}

impl Terms {
    /// Each word once, sorted.
    pub(super) fn stems(&self) -> Vec<u64> {
        let mut stems: Vec<u64> = self.words.iter().map(|word| word.stem).collect();
        stems.sort_unstable();
        stems.dedup();
        stems
    }

    pub(super) fn has(&self, stem: u64) -> bool {
        self.words.iter().any(|word| word.stem == stem)
    }
}

/// What texts have that is compared.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// What must be there exactly, for a sentence.
    pub(super) exact: Vec<Exact>,
    /// All pieces that are there, for a passage; sorted.
    pieces: Vec<u64>,
    /// All stems that are there; sorted.
    words: Vec<u64>,
    pub(super) numbers: Vec<Number>,
    /// Capitalised words that do not begin a sentence.
    pub(super) names: Vec<u64>,
    /// Short lower-case words, most of them function words; those that are English have an odd number.
    short: Vec<u64>,
    spaced: usize,
    unspaced: usize,
}

impl Reading {
    pub(super) fn sort(&mut self) {
        for list in [&mut self.pieces, &mut self.words, &mut self.short] {
            list.sort_unstable();
            list.dedup();
        }
    }

    pub(super) fn has_exact(&self, exact: &Exact) -> bool {
        let has = |piece: &u64| self.pieces.binary_search(piece).is_ok();
        has(&exact.whole) || (!exact.pieces.is_empty() && exact.pieces.iter().all(has))
    }

    pub(super) fn has_word(&self, stem: u64) -> bool {
        self.words.binary_search(&stem).is_ok()
    }

    /// German writes every noun so, and then a capital makes no name.
    pub(super) fn writes_nouns_large(&self) -> bool {
        self.names.len() * 5 > self.spaced
    }

    /// Whether this sentence is in the language of that passage: of the same kind of script, and of its
    /// short words, which are mostly function words, most are the passage's or English like the passage's.
    pub(super) fn is_in_language_of(&self, passage: &Self, share: f64) -> bool {
        let is_unspaced = |it: &Self| it.unspaced > it.spaced;
        if is_unspaced(self) != is_unspaced(passage) {
            return false;
        }
        let is_english = |word: u64| word & 1 == 1;
        let english = passage.short.iter().filter(|word| is_english(**word)).count() * 2 > passage.short.len();
        let known = |word: &&u64| (english && is_english(**word)) || passage.short.binary_search(word).is_ok();
        super::ratio(self.short.iter().filter(known).count(), self.short.len()) >= share
    }

    /// Reads one sentence or statement.
    pub(super) fn read(&mut self, text: &str) -> Terms {
        let mut reader = Reader {
            reading: self,
            terms: Terms::default(),
            clause: 0,
            negation: 0,
            number: None,
            begins: true,
            or: false,
            before_of: None,
        };
        scan(text, |piece| reader.take(piece));
        reader.terms
    }
}

/// A piece of a text.
enum Piece<'t> {
    /// A word, a number or a name; and whether it stands in a code span.
    Run(&'t str, bool),
    /// A clause ends.
    Break,
    /// A sentence ends within the text, or a quotation begins: the next word may be capitalised for that.
    Begin,
}

/// Cuts a text into runs of word characters.
fn scan<'t>(text: &'t str, mut take: impl FnMut(Piece<'t>)) {
    let mut from: Option<usize> = None;
    let mut code = false;
    let mut last = ' ';
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map_or(' ', |(_, next)| *next);
        let between_digits = last.is_ascii_digit() && next.is_ascii_digit();
        let between_letters = last.is_alphabetic() && next.is_alphabetic();
        let inside = match c {
            ',' => between_digits && !code,
            '\'' | '’' => between_letters && !code,
            _ => c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | '$' | '#' | '+' | '\\' | '%'),
        };
        let turns = is_unspaced(c) != is_unspaced(last);
        if let Some(start) = from.filter(|_| !inside || turns) {
            run(text.get(start..at).unwrap_or_default(), code, &mut take);
            from = None;
        }
        if inside {
            from = from.or(Some(at));
        }
        code ^= c == '`';
        match c {
            ',' if inside => {}
            ',' | ';' | '(' | ')' | '—' | '–' | '、' => take(Piece::Break),
            '\n' | '!' | '?' | '。' | '"' | '“' | '|' => take(Piece::Begin),
            _ => {}
        }
        last = c;
    }
    if let Some(start) = from {
        run(text.get(start..).unwrap_or_default(), code, &mut take);
    }
}

fn run<'t>(run: &'t str, code: bool, take: &mut impl FnMut(Piece<'t>)) {
    let front = run.trim_start_matches(|c: char| !c.is_alphanumeric() && !"-@$_.%".contains(c));
    let trimmed = front.trim_end_matches(|c: char| !c.is_alphanumeric() && !"+#_%".contains(c));
    let trimmed = if trimmed.starts_with("..") { trimmed.trim_start_matches('.') } else { trimmed };
    if trimmed.contains(char::is_alphanumeric) {
        take(Piece::Run(trimmed, code));
    }
    if run.ends_with(['.', ':']) && trimmed.len() < run.len() {
        take(Piece::Begin);
    }
}

struct Reader<'r> {
    reading: &'r mut Reading,
    terms: Terms,
    clause: u16,
    /// How surely the next content word is denied.
    negation: u8,
    /// A number that waits for its unit.
    number: Option<u64>,
    /// The next word is the first of a sentence.
    begins: bool,
    /// "or" stands right behind a denied word.
    or: bool,
    /// "instead" or "rather", when the last word was one.
    before_of: Option<&'static str>,
}

impl Reader<'_> {
    fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Run(text, code) => {
                self.run(text, code);
                self.begins = false;
            }
            Piece::Break => self.end_clause(),
            Piece::Begin => {
                self.end_clause();
                self.begins = true;
            }
        }
    }

    fn end_clause(&mut self) {
        self.flush_number(None);
        self.negation = 0;
        self.clause = (self.clause + 1).min(MAX_CLAUSES);
    }

    fn flush_number(&mut self, unit: Option<u8>) {
        if let Some(value) = self.number.take() {
            self.reading.numbers.push(Number { value, unit });
        }
    }

    fn run(&mut self, text: &str, code: bool) {
        if let Some((number, rest)) = split_number(text) {
            return self.number(text, &number, rest);
        }
        let lower = lower(text);
        if self.number.is_some()
            && let Some(unit) = unit(&lower)
        {
            self.flush_number(Some(unit));
            return self.word(&lower, text);
        }
        if !code && let Some(number) = number_word(&lower) {
            self.flush_number(None);
            self.number = Some(hash(number));
            self.reading.pieces.push(hash(number));
            return;
        }
        // "5 concurrent seconds" is nothing; but "four (4) days" passes a bracket.
        self.flush_number(None);
        let plain = !code && !is_name(text);
        if plain {
            self.reading.pieces.push(hash(&lower));
        } else {
            self.exact(&lower);
        }
        for word in lower.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '’'))) {
            if plain {
                self.word(word, text);
            } else {
                self.name_part(word);
            }
        }
    }

    /// A word in a name is a word too, but no function word and no "not".
    fn name_part(&mut self, word: &str) {
        let chars = word.chars().count();
        if chars >= 3 && !is_stop_word(word) {
            self.push(stem(word, chars));
        }
    }

    /// A number, with what is written together with it.
    fn number(&mut self, text: &str, number: &str, rest: &str) {
        self.flush_number(None);
        let rest = self::lower(rest.trim_start_matches('-'));
        let unit = if rest == "%" { Some(PERCENT) } else { unit(&rest) };
        let lower = lower(text);
        if rest.is_empty() || unit.is_some() || rest.starts_with('/') {
            let value = hash(number);
            self.reading.pieces.push(value);
            self.reading.exact.push(Exact { whole: value, pieces: Vec::new() });
            self.number = Some(value);
            if unit.is_some() {
                self.flush_number(unit);
            }
            for word in rest.split(|c: char| !c.is_alphanumeric()).filter(|_| unit.is_none()) {
                self.word(word, word);
            }
        } else {
            self.exact(&lower);
        }
    }

    /// A name, which must be there as it is; in a passage, also what it is joined of.
    fn exact(&mut self, lower: &str) {
        let lower = lower.trim_end_matches(['\'', '’']);
        let lower = lower.strip_suffix("'s").or(lower.strip_suffix("’s")).unwrap_or(lower);
        let whole = hash(lower);
        self.reading.pieces.push(whole);
        let pieces = || lower.split(['/', ':', '@', '#', '\\']).filter(|piece| !piece.is_empty());
        if pieces().nth(1).is_some() {
            self.reading.pieces.extend(pieces().map(hash));
        }
        if let Some(version) = lower.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            self.reading.pieces.push(hash(version));
        }
        let parts = if lower.contains('@') { pieces().map(hash).collect() } else { Vec::new() };
        self.reading.exact.push(Exact { whole, pieces: parts });
    }

    /// A word of letters, lower case; `written` as it stood in the text.
    fn word(&mut self, word: &str, written: &str) {
        let stripped = word.strip_suffix("'s").or(word.strip_suffix("’s")).unwrap_or(word);
        let hashed = hash(stripped);
        let contrast = matches!((self.before_of, stripped), (Some("instead"), "of") | (Some("rather"), "than"));
        self.before_of = ["instead", "rather"].into_iter().find(|it| *it == stripped);
        let is_negator =
            contrast || NEGATORS.binary_search(&hashed).is_ok() || word.ends_with("n't") || word.ends_with("n’t");
        if is_negator {
            self.negation = DENIED;
            self.or = false;
        } else if matches!(stripped, "only" | "just") {
            // "Not only" denies nothing.
            self.negation = 0;
        }
        let Some(first) = stripped.chars().next() else { return };
        if is_unspaced(first) {
            return self.pairs(stripped);
        }
        self.reading.spaced += 1;
        let chars = stripped.chars().count();
        let is_stop = STOP_WORDS.binary_search(&hashed).is_ok();
        let is_short = is_stop || (2..=4).contains(&chars) && !written.contains(is_upper);
        if is_short && HOMOGRAPHS.binary_search(&hashed).is_err() {
            self.reading.short.push(hashed & !1 | u64::from(is_stop));
        }
        if CLAUSE_WORDS.binary_search(&hashed).is_ok() {
            self.end_clause();
        }
        self.or |= stripped == "or" || stripped == "nor";
        if is_negator || is_stop || chars < 3 {
            return;
        }
        let stem = stem(stripped, chars);
        if !self.begins && written.starts_with(is_upper) {
            self.reading.names.push(stem);
        }
        self.push(stem);
    }

    fn push(&mut self, stem: u64) {
        let denied_too = if self.or { self.terms.words.last().map_or(0, |word| word.negated) } else { 0 };
        let negated = self.negation.max(denied_too);
        self.negation = self.negation.saturating_sub(1);
        self.or = false;
        self.reading.words.push(stem);
        self.terms.words.push(Word { stem, clause: self.clause, negated });
    }

    /// Scripts without blanks are compared by pairs of characters.
    fn pairs(&mut self, word: &str) {
        let mut before = None;
        for (at, c) in word.char_indices() {
            self.reading.unspaced += 1;
            let pair = before.replace(at).and_then(|from| word.get(from..at + c.len_utf8()));
            if let Some(pair) = pair {
                self.push(hash(pair));
            }
        }
    }
}

/// What a lower- or upper-case word is compared by, if it is compared at all.
pub(crate) fn stem_of(word: &str) -> Option<u64> {
    let lower = lower(word);
    let chars = lower.chars().count();
    (chars >= 3 && !is_stop_word(&lower)).then(|| stem(&lower, chars))
}

fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.binary_search(&hash(word)).is_ok()
}

/// A word is its first letters.
fn stem(word: &str, chars: usize) -> u64 {
    let word = if chars > 3 { word.strip_suffix('s').unwrap_or(word) } else { word };
    let end = word.char_indices().nth(STEM).map_or(word.len(), |(at, _)| at);
    hash(word.get(..end).unwrap_or_default())
}

/// In lower case, as far as Latin, Greek and Cyrillic go: the table of all scripts is as large as this check.
fn lower(text: &str) -> String {
    text.chars().map(lower_char).collect()
}

fn lower_char(c: char) -> char {
    let point = u32::from(c);
    let lower = match point {
        0xC0..=0xDE if point != 0xD7 => point + 32,
        0x100..=0x137 | 0x14A..=0x177 => point | 1,
        0x139..=0x148 | 0x179..=0x17E => point + (point & 1),
        0x391..=0x3A9 | 0x410..=0x42F => point + 32,
        0x400..=0x40F => point + 80,
        _ => return c.to_ascii_lowercase(),
    };
    char::from_u32(lower).unwrap_or(c)
}

fn is_upper(c: char) -> bool {
    lower_char(c) != c
}

/// FNV-1a: short, the same everywhere, and nobody gains by a collision.
fn hash(text: &str) -> u64 {
    text.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME))
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The hashes of a list of words, sorted for search by halves. Made when this is compiled: most words of a
/// text are looked up, and comparing strings took longer than all the rest.
#[allow(clippy::indexing_slicing, clippy::cast_lossless)] // no word of a request; `From` is not const
const fn hashes<const N: usize>(words: [&str; N]) -> [u64; N] {
    let mut sorted = [0; N];
    let mut at = 0;
    while at < N {
        let (mut hash, mut byte) = (FNV_OFFSET, 0);
        while byte < words[at].len() {
            hash = (hash ^ words[at].as_bytes()[byte] as u64).wrapping_mul(FNV_PRIME);
            byte += 1;
        }
        let mut place = at;
        while place > 0 && sorted[place - 1] > hash {
            sorted[place] = sorted[place - 1];
            place -= 1;
        }
        sorted[place] = hash;
        at += 1;
    }
    sorted
}

/// A number at the beginning, without the commas of its thousands, and what follows it. Nothing for a
/// version, which has more than one point.
fn split_number(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('$').unwrap_or(text);
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    if !number.starts_with(|c: char| c.is_ascii_digit())
        || number.ends_with(['.', ','])
        || number.matches('.').count() > 1
    {
        return None;
    }
    let thousands = number.split(',').skip(1).all(|group| group.split('.').next().is_some_and(|it| it.len() == 3));
    let number = if thousands { number.replace(',', "") } else { number.replace(',', ".") };
    Some((number, rest))
}

/// Whether it is more than a word: joined by other signs than hyphens, in CamelCase, a flag, or of
/// letters and digits.
fn is_name(text: &str) -> bool {
    if text.starts_with("--") || (text.starts_with('-') && text.len() == 2) {
        return true;
    }
    let (mut joined, mut letters, mut digits, mut camel, mut slashes) = (false, false, false, false, 0);
    let mut was_small = false;
    for c in text.chars() {
        joined |= matches!(c, '_' | '.' | ':' | '@' | '$' | '#' | '+' | '\\');
        slashes += u32::from(c == '/');
        digits |= c.is_ascii_digit();
        let is_letter = c.is_alphabetic();
        letters |= is_letter;
        let large = is_upper(c);
        camel |= was_small && large;
        was_small = is_letter && !large;
    }
    let path = text.starts_with('/') || slashes > 1;
    camel || path || (letters && digits) || (joined && !is_abbreviation(text))
}

/// Han, kana and Thai.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0E7F}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}')
}

/// The statements of a passage: its lines joined to paragraphs, these cut at their full stops; a table's
/// row and a code block's line are statements of their own.
pub(super) fn statements(markdown: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    let mut block = String::new();
    let mut in_code = false;
    for line in markdown.lines() {
        let line = line.trim();
        let is_fence = line.starts_with("```") || line.starts_with("~~~");
        let is_item = ["- ", "* ", "+ ", "> ", "!!!", ":::", "===", "[^"].iter().any(|marker| line.starts_with(marker))
            || line
                .split_once(". ")
                .is_some_and(|(n, _)| !n.is_empty() && n.len() < 4 && n.bytes().all(|b| b.is_ascii_digit()));
        let stands_alone = in_code || is_fence || line.starts_with(['|', '#']);
        if stands_alone || is_item || line.is_empty() {
            end_block(&mut block, &mut all);
        }
        in_code ^= is_fence;
        if in_code || is_fence {
            let text = if is_fence { String::new() } else { line.to_owned() };
            all.push(Statement { text, is_prose: false });
        } else {
            if !block.is_empty() {
                block.push(' ');
            }
            block.push_str(line.trim_start_matches(['#', '>', ' ']));
        }
        if stands_alone {
            end_block(&mut block, &mut all);
        }
        if all.len() > MAX_STATEMENTS {
            break;
        }
    }
    end_block(&mut block, &mut all);
    all.retain(|statement| statement.text.contains(char::is_alphanumeric));
    all
}

fn end_block(block: &mut String, all: &mut Vec<Statement>) {
    let text = plain(block);
    block.clear();
    let mut from = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let blank = chars.peek().is_none_or(|(_, next)| next.is_whitespace());
        let is_stop = (matches!(c, '.' | '!' | '?') && blank) || matches!(c, '。' | '！' | '？');
        let end = at + c.len_utf8();
        if is_stop && !is_abbreviation(text.get(from..at).unwrap_or_default()) {
            all.push(Statement { text: text.get(from..end).unwrap_or_default().trim().to_owned(), is_prose: true });
            from = end;
        }
    }
    all.push(Statement { text: text.get(from..).unwrap_or_default().trim().to_owned(), is_prose: true });
}

/// A paragraph as a page shows it: without emphasis, backticks and link targets. What stands between two
/// pieces of text that a page does not show side by side becomes `\n`.
fn plain(block: &str) -> String {
    let mut out = String::with_capacity(block.len());
    let mut code = false;
    let mut last = ' ';
    let mut chars = block.char_indices().peekable();
    let mut skip_to = 0;
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map_or(' ', |(_, next)| *next);
        let before = std::mem::replace(&mut last, c);
        if at < skip_to {
            continue;
        }
        let rest = block.get(at..).unwrap_or_default();
        let at_edge = !(before.is_alphanumeric() && next.is_alphanumeric());
        match c {
            '`' => code = !code,
            _ if code => out.push(c),
            '[' if next == '^' => {
                skip_to = at + rest.find(']').map_or(0, |end| end + 1);
                out.push('\n');
            }
            ']' if next == '(' => skip_to = at + rest.find(')').map_or(0, |end| end + 1),
            '_' if !at_edge || before == '_' || next == '_' => out.push(c),
            '!' if next != '[' => out.push(c),
            '*' | '_' | '!' | '[' | ']' => {}
            '|' | '<' | '>' | '{' | '}' => out.push('\n'),
            _ => out.push(c),
        }
    }
    out
}

const PERCENT: u8 = 11;

/// A unit of measurement by any of its names; decimal and binary bytes are one, since models take them
/// for each other.
fn unit(word: &str) -> Option<u8> {
    let unspaced = [("ミリ秒", 1), ("秒", 2), ("分", 3), ("時間", 4), ("日", 5), ("週", 6), ("か月", 7), ("年", 8)];
    if word.starts_with(is_unspaced) {
        return unspaced.iter().find(|(name, _)| word.starts_with(name)).map(|(_, unit)| *unit);
    }
    let at = UNITS.binary_search_by_key(&word, |(name, _)| name).ok()?;
    UNITS.get(at).map(|(_, unit)| *unit)
}

fn number_word(word: &str) -> Option<&'static str> {
    let at = NUMBER_WORDS.binary_search_by_key(&word, |(name, _)| name).ok()?;
    NUMBER_WORDS.get(at).map(|(_, number)| *number)
}

/// Words that begin a clause of their own.
const CLAUSE_WORDS: [u64; 12] =
    hashes(["and", "but", "while", "whereas", "which", "although", "though", "und", "aber", "et", "mais", "pero"]);

/// Sorted, for search by halves.
const UNITS: [(&str, u8); 77] = [
    ("an", 8),
    ("année", 8),
    ("années", 8),
    ("ans", 8),
    ("año", 8),
    ("años", 8),
    ("byte", 12),
    ("bytes", 12),
    ("day", 5),
    ("days", 5),
    ("dia", 5),
    ("dias", 5),
    ("día", 5),
    ("días", 5),
    ("gb", 15),
    ("gib", 15),
    ("gigabyte", 15),
    ("gigabytes", 15),
    ("h", 4),
    ("heure", 4),
    ("heures", 4),
    ("hora", 4),
    ("horas", 4),
    ("hour", 4),
    ("hours", 4),
    ("jahr", 8),
    ("jahre", 8),
    ("jahren", 8),
    ("jour", 5),
    ("jours", 5),
    ("kb", 13),
    ("kib", 13),
    ("kilobyte", 13),
    ("kilobytes", 13),
    ("mb", 14),
    ("megabyte", 14),
    ("megabytes", 14),
    ("mes", 7),
    ("meses", 7),
    ("mib", 14),
    ("millisecond", 1),
    ("milliseconds", 1),
    ("min", 3),
    ("mins", 3),
    ("minute", 3),
    ("minuten", 3),
    ("minutes", 3),
    ("minuto", 3),
    ("minutos", 3),
    ("mois", 7),
    ("monat", 7),
    ("monate", 7),
    ("monaten", 7),
    ("month", 7),
    ("months", 7),
    ("ms", 1),
    ("percent", 11),
    ("s", 2),
    ("sec", 2),
    ("second", 2),
    ("seconde", 2),
    ("secondes", 2),
    ("seconds", 2),
    ("segundo", 2),
    ("segundos", 2),
    ("sekunde", 2),
    ("sekunden", 2),
    ("stunde", 4),
    ("stunden", 4),
    ("tag", 5),
    ("tage", 5),
    ("tagen", 5),
    ("tb", 16),
    ("tib", 16),
    ("week", 6),
    ("weeks", 6),
    ("year", 8),
];

/// Sorted. Not "one", which is mostly no number.
const NUMBER_WORDS: [(&str, &str); 36] = [
    ("cinco", "5"),
    ("cinq", "5"),
    ("cuatro", "4"),
    ("deux", "2"),
    ("diez", "10"),
    ("dix", "10"),
    ("dos", "2"),
    ("drei", "3"),
    ("eight", "8"),
    ("eleven", "11"),
    ("fifteen", "15"),
    ("five", "5"),
    ("four", "4"),
    ("fourteen", "14"),
    ("fünf", "5"),
    ("huit", "8"),
    ("hundred", "100"),
    ("neun", "9"),
    ("nine", "9"),
    ("quatre", "4"),
    ("sechs", "6"),
    ("sept", "7"),
    ("seven", "7"),
    ("sieben", "7"),
    ("siete", "7"),
    ("six", "6"),
    ("ten", "10"),
    ("thirty", "30"),
    ("three", "3"),
    ("tres", "3"),
    ("trois", "3"),
    ("twelve", "12"),
    ("twenty", "20"),
    ("two", "2"),
    ("vier", "4"),
    ("zwei", "2"),
];

/// What denies the word behind it.
const NEGATORS: [u64; 20] = hashes([
    "cannot", "jamais", "kein", "keine", "keinen", "neither", "never", "nicht", "nie", "no", "none", "nor", "not",
    "nothing", "nunca", "ohne", "pas", "sans", "sin", "without",
]);

/// Function words of English and of another language alike: they tell no language.
const HOMOGRAPHS: [u64; 16] =
    hashes(["a", "an", "as", "die", "do", "in", "me", "no", "on", "or", "sin", "so", "son", "ten", "was", "will"]);

/// Words that any English sentence has, and those that would come between a "not" and what it denies.
const STOP_WORDS: [u64; 149] = hashes([
    "a",
    "about",
    "after",
    "all",
    "also",
    "an",
    "and",
    "another",
    "any",
    "anything",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "between",
    "both",
    "but",
    "by",
    "can",
    "cannot",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "don",
    "done",
    "each",
    "either",
    "else",
    "even",
    "every",
    "for",
    "from",
    "get",
    "gets",
    "had",
    "has",
    "have",
    "having",
    "her",
    "here",
    "him",
    "his",
    "how",
    "i",
    "if",
    "in",
    "instead",
    "into",
    "is",
    "isn",
    "it",
    "its",
    "just",
    "like",
    "longer",
    "made",
    "make",
    "makes",
    "many",
    "may",
    "might",
    "more",
    "most",
    "much",
    "must",
    "need",
    "needs",
    "neither",
    "never",
    "no",
    "none",
    "nor",
    "not",
    "nothing",
    "now",
    "of",
    "off",
    "on",
    "once",
    "one",
    "only",
    "or",
    "other",
    "otherwise",
    "our",
    "out",
    "over",
    "own",
    "rather",
    "same",
    "shall",
    "should",
    "since",
    "so",
    "some",
    "such",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "therefore",
    "these",
    "they",
    "this",
    "those",
    "though",
    "through",
    "to",
    "too",
    "under",
    "unless",
    "until",
    "up",
    "us",
    "use",
    "used",
    "uses",
    "using",
    "very",
    "via",
    "was",
    "way",
    "we",
    "were",
    "what",
    "when",
    "where",
    "whereas",
    "whether",
    "which",
    "while",
    "who",
    "will",
    "with",
    "within",
    "without",
    "would",
    "yet",
    "you",
    "your",
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lowered_as_the_standard_library_does() {
        let letters = ('A'..='ž').chain('Α'..='Ω').chain('Ѐ'..='я').filter(|c| c.is_alphabetic());
        for c in letters.filter(|c| !"İŸ".contains(*c)) {
            assert_eq!(c.to_lowercase().collect::<Vec<_>>(), [lower_char(c)]);
        }
    }

    #[test]
    fn lists_that_are_searched_by_halves_are_sorted() {
        assert!(UNITS.is_sorted() && NUMBER_WORDS.is_sorted() && STOP_WORDS.is_sorted());
        assert!(is_stop_word("the") && is_stop_word("your") && !is_stop_word("cache"));
    }
}
