//! A block of Markdown to pieces that fit: at the seams its author made, and by force only where
//! there are none.
//!
//! A list is cut between items, an item between its blocks, code between blank lines or lines with
//! its fence repeated, a table between rows with its header repeated, prose between sentences.

use std::ops::Range;

use crate::markdown::{Block, Kind};
use crate::tokens;

/// What a text may take up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) tokens: usize,
    /// As a JSON string, quotes not counted.
    pub(crate) bytes: usize,
}

/// A part of a page that is not cut again.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) tokens: usize,
    pub(crate) bytes: usize,
    /// Follows the piece before without a blank line.
    pub(crate) tight: bool,
}

impl Piece {
    pub(crate) fn new(text: String, tight: bool) -> Self {
        Self { tokens: tokens::count(&text), bytes: json_bytes(&text), text, tight }
    }

    fn fits(&self, room: Room) -> bool {
        self.tokens <= room.tokens && self.bytes <= room.bytes
    }
}

/// Length of a text inside a JSON string.
pub(crate) fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\t' | b'\r' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

/// The pieces of a block of `source`, in its order. Code and tables may take up `limit` where that
/// keeps them whole; everything else gets `room`.
pub(crate) fn block(source: &str, block: &Block, room: Room, limit: Room) -> Vec<Piece> {
    let mut pieces = Vec::new();
    Splitter { source, room, limit, pieces: &mut pieces }.block(block, false);
    pieces
}

/// The pieces of plain text.
pub(crate) fn prose(text: &str, room: Room) -> Vec<Piece> {
    cut(text, room, PROSE).into_iter().map(|text| Piece::new(text.trim().to_owned(), true)).collect()
}

struct Splitter<'a> {
    source: &'a str,
    room: Room,
    limit: Room,
    pieces: &'a mut Vec<Piece>,
}

impl Splitter<'_> {
    fn block(&mut self, block: &Block, inside: bool) {
        let mut text = self.shown(block.lines.clone(), inside && block.kind != Kind::Indented);
        if let Kind::Fence(start) = block.kind {
            let fence = Fence::read(self.source, start, block.end);
            if !fence.is_closed {
                text = format!("{text}\n{}", fence.closing());
            }
        }
        let whole = Piece::new(text, is_tight(self.source, block.lines.start));
        let room = match block.kind {
            Kind::Fence(_) | Kind::Indented | Kind::Table => self.limit,
            Kind::Container | Kind::Prose => self.room,
        };
        if whole.text.is_empty() {
        } else if whole.fits(room) {
            self.pieces.push(whole);
        } else {
            self.cut_block(block, inside);
        }
    }

    fn cut_block(&mut self, block: &Block, inside: bool) {
        let levels = match block.kind {
            Kind::Indented => CODE,
            _ => PROSE,
        };
        let rest = match (block.kind, block.children.first()) {
            (Kind::Container, Some(first)) => {
                self.text(block.lines.start..first.lines.start, PROSE, inside);
                block.children.iter().for_each(|child| self.block(child, true));
                return;
            }
            (Kind::Fence(start), _) => self.fence(&Fence::read(self.source, start, block.end), block),
            (Kind::Table, _) => self.table(block),
            _ => block.lines.start,
        };
        self.text(rest..block.lines.end, levels, inside);
    }

    fn text(&mut self, lines: Range<usize>, levels: &[Boundary], inside: bool) {
        let mut tight = is_tight(self.source, lines.start);
        let text = self.shown(lines, inside && !std::ptr::eq(levels, CODE));
        for part in cut(&text, self.room, levels) {
            let piece = Piece::new(part.trim_matches('\n').trim_end().to_owned(), tight);
            if !piece.text.is_empty() {
                self.pieces.push(piece);
            }
            tight = true;
        }
    }

    /// Every piece is fenced, with the language that the block names. Returns where the block ends.
    fn fence(&mut self, fence: &Fence<'_>, block: &Block) -> usize {
        let mut opening = fence.first_line.trim_end().to_owned();
        let overhead = Piece::new(format!("{opening}\n\n{}", fence.closing()), true);
        if overhead.tokens * 2 > self.room.tokens || overhead.bytes * 2 > self.room.bytes {
            return block.lines.start;
        }
        let room = Room { tokens: self.room.tokens - overhead.tokens, bytes: self.room.bytes - overhead.bytes };
        let mut tight = is_tight(self.source, block.lines.start);
        for part in cut(self.source.get(fence.code.clone()).unwrap_or_default(), room, CODE) {
            let code = part.trim_end_matches('\n');
            if !code.trim().is_empty() {
                let text = format!("{opening}\n{code}\n{}", fence.closing());
                self.pieces.push(Piece::new(dedented(&text), tight));
                opening = format!("{}{}{}", fence.margin, fence.marks, fence.info);
                tight = true;
            }
        }
        block.end
    }

    /// Every piece begins with the header. Returns where the table ends, or where it begins if its
    /// header leaves no room.
    fn table(&mut self, block: &Block) -> usize {
        let text = self.source.get(block.lines.start..block.end).unwrap_or_default();
        let header_end = text.match_indices('\n').nth(1).map_or(text.len(), |(at, _)| at + 1);
        let (header, rows) = text.split_at(header_end);
        let overhead = Piece::new(header.to_owned(), true);
        if overhead.tokens * 2 > self.room.tokens || overhead.bytes * 2 > self.room.bytes {
            return block.lines.start;
        }
        let room = Room { tokens: self.room.tokens - overhead.tokens, bytes: self.room.bytes - overhead.bytes };
        let mut tight = is_tight(self.source, block.lines.start);
        for part in cut(rows, room, ROWS) {
            self.pieces.push(Piece::new(dedented(format!("{header}{part}").trim_end()), tight));
            tight = true;
        }
        block.end
    }

    /// Lines of the source without blank ones around; those of a block inside another lose the
    /// margin that they share.
    fn shown(&self, lines: Range<usize>, inside: bool) -> String {
        let text = self.source.get(lines).unwrap_or_default();
        let text = text.trim_end();
        // Blank lines go, the indentation of the first line that is not blank stays.
        let start = text.len() - text.trim_start().len();
        let start = text.get(..start).and_then(|blank| blank.rfind('\n')).map_or(0, |newline| newline + 1);
        let text = text.get(start..).unwrap_or_default();
        if inside { dedented(text) } else { text.to_owned() }
    }
}

fn is_tight(source: &str, start: usize) -> bool {
    let before = source.get(..start).unwrap_or_default();
    let line = before.lines().next_back().unwrap_or_default();
    !line.trim_matches(['>', ' ', '\t']).is_empty()
}

fn dedented(text: &str) -> String {
    let margin = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let shared = text.lines().filter(|line| !line.trim().is_empty()).map(margin).min().unwrap_or(0);
    if shared == 0 {
        return text.to_owned();
    }
    let lines: Vec<_> = text.lines().map(|line| line.get(shared..).unwrap_or_default()).collect();
    lines.join("\n")
}

/// A fenced code block, taken apart.
struct Fence<'a> {
    first_line: &'a str,
    /// Put before every line but the first: list indentation, quotation marks.
    margin: String,
    marks: &'a str,
    info: &'a str,
    code: Range<usize>,
    is_closed: bool,
}

impl<'a> Fence<'a> {
    /// `start`: the opening fence; `end`: of the block's last line.
    fn read(source: &'a str, start: usize, end: usize) -> Self {
        let line_start = source.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let rest = source.get(start..end).unwrap_or_default();
        let mark = rest.chars().next().unwrap_or('`');
        let code_start = start + rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let opening = source.get(start..code_start).unwrap_or_default().trim_end();
        let info = opening.trim_start_matches(mark);
        let marks = opening.get(..opening.len() - info.len()).unwrap_or_default();
        let before = source.get(line_start..start).unwrap_or_default();
        let code = source.get(code_start..end).unwrap_or_default();
        let last = code.lines().next_back().unwrap_or_default().trim_matches(['>', ' ', '\t']);
        let is_closed = last.len() >= marks.len() && !last.is_empty() && last.chars().all(|c| c == mark);
        let code_end = if is_closed {
            code.trim_end_matches('\n').rfind('\n').map_or(code_start, |newline| code_start + newline + 1)
        } else {
            end
        };
        Self {
            first_line: source.get(line_start..code_start).unwrap_or_default(),
            margin: before.chars().map(|c| if c == '>' { '>' } else { ' ' }).collect(),
            marks,
            info,
            code: code_start..code_end,
            is_closed,
        }
    }

    fn closing(&self) -> String {
        format!("{}{}", self.margin, self.marks)
    }
}

/// Where a text may be cut.
#[derive(Debug, Clone, Copy)]
enum Boundary {
    BlankLine,
    Line,
    Sentence,
    Word,
}

const PROSE: &[Boundary] = &[Boundary::BlankLine, Boundary::Sentence, Boundary::Line, Boundary::Word];
const CODE: &[Boundary] = &[Boundary::BlankLine, Boundary::Line, Boundary::Word];
const ROWS: &[Boundary] = &[Boundary::Line, Boundary::Word];

impl Boundary {
    /// Slices that together are the text; each but the last ends in white space.
    fn split(self, text: &str) -> Vec<&str> {
        let mut parts = Vec::new();
        let mut at = 0;
        let mut before = [' ', ' '];
        for (index, c) in text.char_indices() {
            let [earlier, last] = before;
            let is_seam = match self {
                Self::BlankLine => earlier == '\n' && last == '\n' && c != '\n',
                Self::Line => last == '\n',
                Self::Sentence => matches!(earlier, '.' | '!' | '?') && last.is_whitespace() && !c.is_whitespace(),
                Self::Word => last.is_whitespace() && !c.is_whitespace(),
            };
            if is_seam && index > at {
                parts.extend(text.get(at..index));
                at = index;
            }
            before = [last, c];
        }
        parts.extend(text.get(at..));
        parts
    }
}

/// Cuts at the coarsest boundaries that make parts fit, then joins neighbours while they fit.
fn cut<'a>(text: &'a str, room: Room, levels: &[Boundary]) -> Vec<&'a str> {
    let mut parts = Vec::new();
    divide(text, room, levels, &mut parts);
    let mut joined: Vec<(Range<usize>, usize, usize)> = Vec::new();
    let mut at = 0;
    for (part, tokens, bytes) in parts {
        let range = at..at + part.len();
        at = range.end;
        match joined.last_mut() {
            // Counts add up over white space only.
            Some(last)
                if last.1 + tokens <= room.tokens
                    && last.2 + bytes <= room.bytes
                    && text.get(..range.start).is_some_and(|before| before.ends_with(char::is_whitespace)) =>
            {
                *last = (last.0.start..range.end, last.1 + tokens, last.2 + bytes);
            }
            _ => joined.push((range, tokens, bytes)),
        }
    }
    joined.into_iter().filter_map(|(range, ..)| text.get(range)).collect()
}

fn divide<'a>(text: &'a str, room: Room, levels: &[Boundary], parts: &mut Vec<(&'a str, usize, usize)>) {
    let (tokens, bytes) = (tokens::count(text), json_bytes(text));
    if tokens <= room.tokens && bytes <= room.bytes {
        return parts.push((text, tokens, bytes));
    }
    if let [level, finer @ ..] = levels {
        return level.split(text).into_iter().for_each(|part| divide(part, room, finer, parts));
    }
    let middle = text.char_indices().map(|(at, _)| at).find(|at| *at >= text.len() / 2 && *at > 0);
    match middle {
        Some(middle) => {
            let (head, tail) = text.split_at(middle);
            divide(head, room, levels, parts);
            divide(tail, room, levels, parts);
        }
        None => parts.push((text, tokens, bytes)),
    }
}
