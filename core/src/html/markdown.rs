//! The content of a page as Markdown: what a reader would copy out of it, and nothing that Markdown
//! would take for something else.
//!
//! Headings keep their id, code its language and its lines, tables their cells. Images are their
//! alternative text, admonitions, tabs and folded parts their text under a bold label.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ego_tree::{NodeId, NodeRef};
use scraper::{ElementRef, Html, Node};
use url::Url;

use super::content::Said;
use super::{one_line, text};

/// Lists and quotations nested deeper are not indented further; Markdown's readers would not go there.
const MAX_INDENT: usize = 16;
/// Cells that one cell may stand for, across and down.
const MAX_SPAN: usize = 32;
/// A cell that stands for several rows is repeated in them if it is a label, in bytes.
const MAX_REPEATED: usize = 120;

/// Elements that begin a line of their own.
const BLOCKS: [&str; 52] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "optgroup",
    "p",
    "pre",
    "search",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
];

/// Writes what stands in the roots.
pub(super) fn write(
    page: &Html,
    roots: &[ElementRef<'_>],
    said: &Said,
    address: Option<&Url>,
    base: Option<&Url>,
) -> String {
    let writer = Writer { said, with_blocks: with_blocks(page), address, base };
    let mut blocks = Vec::new();
    for root in roots {
        writer.flow(**root, 0, &mut blocks);
    }
    let mut body = join(&blocks);
    if !body.is_empty() {
        body.push('\n');
    }
    body
}

/// A block of Markdown, without blank lines around it.
struct Block {
    kind: Kind,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Paragraph,
    List,
    Other,
}

struct Writer<'a> {
    said: &'a Said,
    /// Elements that hold blocks, and so are no part of a line, whatever their name.
    with_blocks: BTreeSet<NodeId>,
    address: Option<&'a Url>,
    base: Option<&'a Url>,
}

fn with_blocks(page: &Html) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    for node in page.tree.root().descendants() {
        if node.value().as_element().is_some_and(|element| BLOCKS.contains(&element.name())) {
            for ancestor in node.ancestors() {
                if !found.insert(ancestor.id()) {
                    break;
                }
            }
        }
    }
    found
}

impl Writer<'_> {
    fn is_block(&self, element: ElementRef<'_>) -> bool {
        BLOCKS.contains(&element.value().name())
            || self.with_blocks.contains(&element.id())
            || self.said.labels.contains_key(&element.id())
    }

    /// The blocks in an element. Text and inline elements between two blocks are a paragraph.
    fn flow(&self, parent: NodeRef<'_, Node>, depth: usize, blocks: &mut Vec<Block>) {
        let mut line = Line::default();
        for child in parent.children() {
            match ElementRef::wrap(child) {
                Some(element) if self.is_block(element) => {
                    line.end(blocks);
                    self.block(element, depth, blocks);
                }
                _ => self.inline(child, &mut line),
            }
        }
        line.end(blocks);
    }

    fn block(&self, element: ElementRef<'_>, depth: usize, blocks: &mut Vec<Block>) {
        let other = |text: String| Block { kind: Kind::Other, text };
        if let Some(label) = self.said.labels.get(&element.id()) {
            blocks.extend(bold(&escape(label, ' ')).map(other));
        }
        match element.value().name() {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" if depth == 0 => blocks.extend(self.heading(element).map(other)),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "summary" => {
                blocks.extend(bold(&self.line_of(element, Links::Text)).map(other));
            }
            "pre" => blocks.extend(code_block(element).map(other)),
            "blockquote" => {
                let inner = self.inner(element, depth + 1);
                blocks.extend((!inner.is_empty()).then(|| other(indent(&inner, "> ", "> ", depth))));
            }
            "ul" | "ol" | "menu" | "dir" => blocks.extend(self.list(element, depth)),
            "dl" => blocks.extend(self.definitions(element, depth)),
            "table" if !is_layout(element) => self.table(element, depth, blocks),
            "li" | "dd" | "dt" => self.flow(*element, depth, blocks),
            "hr" | "head" => {}
            _ if is_title(element) => blocks.extend(bold(&self.line_of(element, Links::Kept)).map(other)),
            _ => self.flow(*element, depth, blocks),
        }
    }

    fn inner(&self, element: ElementRef<'_>, depth: usize) -> String {
        let mut blocks = Vec::new();
        self.flow(*element, depth, &mut blocks);
        join(&blocks)
    }

    fn heading(&self, element: ElementRef<'_>) -> Option<String> {
        let text = self.line_of(element, Links::Text);
        let level = element.value().name().trim_start_matches('h').parse().unwrap_or(6);
        let text = text.trim_end_matches('#').trim_end();
        if text.is_empty() {
            return None;
        }
        let anchor = self.said.anchors.get(&element.id()).filter(|anchor| !anchor.is_empty());
        let anchor = anchor.map(|anchor| format!(" {{#{}}}", in_attribute(anchor))).unwrap_or_default();
        Some(format!("{} {text}{anchor}", "#".repeat(level)))
    }

    fn list(&self, list: ElementRef<'_>, depth: usize) -> Option<Block> {
        let mut number: Option<usize> = (list.value().name() == "ol")
            .then(|| list.attr("start").and_then(|start| start.trim().parse().ok()).unwrap_or(1));
        let mut items: Vec<String> = Vec::new();
        let mut loose = false;
        // Some pages nest a list right in a list, outside its items.
        for child in list.children().filter_map(ElementRef::wrap) {
            let item = self.inner(child, depth + 1);
            if item.is_empty() {
                continue;
            }
            loose |= item.contains("\n\n");
            let marker = number.map_or_else(|| "- ".to_owned(), |number| format!("{number}. "));
            number = number.map(|number| number.saturating_add(1) % 1_000_000_000);
            items.push(indent(&item, &marker, &" ".repeat(marker.len()), depth));
        }
        let text = items.join(if loose { "\n\n" } else { "\n" });
        (!items.is_empty()).then_some(Block { kind: Kind::List, text })
    }

    /// Terms are items, what they mean stands in them.
    fn definitions(&self, list: ElementRef<'_>, depth: usize) -> Option<Block> {
        let mut items: Vec<Vec<Block>> = Vec::new();
        let mut after_term = false;
        // HTML allows a `div` around a term and its meaning.
        let parts = list.children().filter_map(ElementRef::wrap).flat_map(|part| match part.value().name() {
            "div" => part.children().filter_map(ElementRef::wrap).collect(),
            _ => vec![part],
        });
        for part in parts {
            let is_term = part.value().name() == "dt";
            if (is_term && !after_term) || items.is_empty() {
                items.push(Vec::new());
            }
            after_term = is_term;
            if let Some(item) = items.last_mut() {
                self.flow(*part, depth + 1, item);
            }
        }
        let items: Vec<String> = items.iter().map(|item| join(item)).filter(|item| !item.is_empty()).collect();
        let items: Vec<String> = items.iter().map(|item| indent(item, "- ", "  ", depth)).collect();
        (!items.is_empty()).then(|| Block { kind: Kind::List, text: items.join("\n\n") })
    }

    fn table(&self, table: ElementRef<'_>, depth: usize, blocks: &mut Vec<Block>) {
        let mut rows: Vec<(bool, Vec<String>)> = Vec::new();
        // Texts that reach into the rows below: column, rows still to come.
        let mut reaching: Vec<(String, usize)> = Vec::new();
        for row in parts(table) {
            if row.value().name() == "caption" {
                self.flow(*row, depth, blocks);
                continue;
            }
            let header = row.ancestors().filter_map(ElementRef::wrap).any(|part| part.value().name() == "thead");
            let cells: Vec<_> = row
                .children()
                .filter_map(ElementRef::wrap)
                .filter(|cell| matches!(cell.value().name(), "td" | "th"))
                .collect();
            let header = header || (!cells.is_empty() && cells.iter().all(|cell| cell.value().name() == "th"));
            let row = self.row(&cells, &mut reaching);
            if row.iter().any(|cell| !cell.is_empty()) {
                rows.push((header, row));
            }
        }
        let width = rows.iter().map(|(_, row)| row.len()).max().unwrap_or_default();
        let first_is_header = rows.first().is_some_and(|(header, _)| *header);
        let empty = (!first_is_header && !rows.is_empty()).then(Vec::new);
        let mut text = String::new();
        for (at, row) in empty.iter().chain(rows.iter().map(|(_, row)| row)).enumerate() {
            if at > 0 {
                text.push('\n');
            }
            text.push('|');
            for column in 0..width {
                let _ = write!(text, " {} |", row.get(column).map(String::as_str).unwrap_or_default());
            }
            if at == 0 {
                text.push_str("\n|");
                text.push_str(&" --- |".repeat(width));
            }
        }
        if !text.is_empty() {
            blocks.push(Block { kind: Kind::Other, text });
        }
    }

    fn row(&self, cells: &[ElementRef<'_>], reaching: &mut Vec<(String, usize)>) -> Vec<String> {
        let span = |cell: &ElementRef<'_>, name| {
            cell.attr(name).and_then(|span| span.trim().parse().ok()).unwrap_or(1).clamp(1, MAX_SPAN)
        };
        let mut row: Vec<String> = Vec::new();
        let fill = |row: &mut Vec<String>, reaching: &mut Vec<(String, usize)>| {
            while let Some((text, left)) = reaching.get_mut(row.len()).filter(|(_, left)| *left > 0) {
                *left -= 1;
                row.push(text.clone());
            }
        };
        for cell in cells {
            fill(&mut row, reaching);
            let text = self.line_of(*cell, Links::Kept).replace('|', "\\|");
            let repeated = if text.len() <= MAX_REPEATED { text.clone() } else { String::new() };
            let (across, down) = (span(cell, "colspan"), span(cell, "rowspan"));
            for column in 0..across {
                if down > 1 {
                    reaching.resize(reaching.len().max(row.len() + 1), (String::new(), 0));
                    if let Some(below) = reaching.get_mut(row.len()) {
                        *below = (if column == 0 { repeated.clone() } else { String::new() }, down - 1);
                    }
                }
                row.push(if column == 0 { text.clone() } else { String::new() });
            }
        }
        fill(&mut row, reaching);
        row
    }

    /// An element as one line.
    fn line_of(&self, element: ElementRef<'_>, links: Links) -> String {
        let mut line = Line { links, flat: true, ..Line::default() };
        self.inlines(*element, &mut line);
        line.text.trim_end().to_owned()
    }

    fn inlines(&self, parent: NodeRef<'_, Node>, line: &mut Line) {
        for child in parent.children() {
            self.inline(child, line);
        }
    }

    fn inline(&self, node: NodeRef<'_, Node>, line: &mut Line) {
        if let Node::Text(text) = node.value() {
            return line.text(text);
        }
        let Some(element) = ElementRef::wrap(node) else { return };
        match element.value().name() {
            "br" | "hr" => line.line_break(),
            "img" => line.text(element.attr("alt").unwrap_or_default()),
            "code" | "kbd" | "samp" | "tt" | "pre" => line.code(&text(element)),
            "math" => {
                let tex = element.descendent_elements().find(|part| part.value().name() == "annotation");
                match tex {
                    Some(tex) => line.code(&text(tex)),
                    None => self.inlines(node, line),
                }
            }
            "strong" | "b" => line.wrapped("**", |line| self.inlines(node, line)),
            "em" | "i" => line.wrapped("*", |line| self.inlines(node, line)),
            "del" | "s" => line.wrapped("~~", |line| self.inlines(node, line)),
            "a" if line.links == Links::Kept => self.link(element, line),
            _ if self.is_block(element) => {
                // Only where a line is all there is: in a cell or a heading.
                line.space();
                self.inlines(node, line);
                line.space();
            }
            _ => self.inlines(node, line),
        }
    }

    fn link(&self, element: ElementRef<'_>, line: &mut Line) {
        let target = element.attr("href").and_then(|href| self.target(href.trim()));
        let Some(target) = target else { return self.inlines(*element, line) };
        let before = line.text.len();
        let outer = std::mem::replace(&mut line.links, Links::Text);
        self.inlines(*element, line);
        line.links = outer;
        let said = line.text.split_off(before.min(line.text.len()));
        let (front, said) = said.split_at(said.len() - said.trim_start().len());
        let (said, back) = said.split_at(said.trim_end().len());
        line.text.push_str(front);
        // Signs that lead to where they stand, or back from a footnote.
        let is_sign = said.chars().all(|c| !c.is_alphanumeric())
            && element.attr("href").is_some_and(|href| href.starts_with('#'));
        if !said.is_empty() && !is_sign {
            let _ = write!(line.text, "[{said}]({target})");
        }
        line.text.push_str(back);
    }

    /// `None`: not an address that a reader could follow.
    fn target(&self, href: &str) -> Option<String> {
        let url = match (href.strip_prefix('#'), self.address, self.base) {
            // A fragment means this page, also where `<base>` names another one.
            (Some(_), Some(address), _) => address.join(href).ok()?,
            (_, _, Some(base)) => base.join(href).ok()?,
            _ => return (!href.is_empty() && !href.contains(char::is_whitespace)).then(|| href.to_owned()),
        };
        if !matches!(url.scheme(), "http" | "https" | "mailto" | "tel") {
            return None;
        }
        Some(url.as_str().replace('(', "%28").replace(')', "%29"))
    }
}

/// What becomes of links.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Links {
    #[default]
    Kept,
    Text,
}

/// A line that grows: blanks collapsed, characters that Markdown would read escaped.
#[derive(Default)]
struct Line {
    text: String,
    links: Links,
    /// Breaks are blanks.
    flat: bool,
}

impl Line {
    fn end(&mut self, blocks: &mut Vec<Block>) {
        let text = std::mem::take(&mut self.text);
        let lines: Vec<String> =
            text.lines().map(|line| escape_start(line.trim())).filter(|line| !line.is_empty()).collect();
        if !lines.is_empty() {
            blocks.push(Block { kind: Kind::Paragraph, text: lines.join("\\\n") });
        }
    }

    fn space(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(char::is_whitespace) {
            self.text.push(' ');
        }
    }

    fn text(&mut self, text: &str) {
        if text.starts_with(char::is_whitespace) {
            self.space();
        }
        let words = one_line(text);
        let before = self.text.chars().next_back().unwrap_or(' ');
        self.text.push_str(&escape(&words, before));
        if !words.is_empty() && text.ends_with(char::is_whitespace) {
            self.space();
        }
    }

    fn line_break(&mut self) {
        if self.flat {
            return self.space();
        }
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
        self.text.push('\n');
    }

    fn code(&mut self, code: &str) {
        let code = one_line(code);
        if code.is_empty() {
            return;
        }
        let fence = "`".repeat(longest_run(&code, '`') + 1);
        let pad = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
        // Two spans that touch would be one.
        if self.text.ends_with('`') {
            self.text.push(' ');
        }
        let _ = write!(self.text, "{fence}{pad}{code}{pad}{fence}");
    }

    /// Marks go around the words, not around the blanks beside them.
    fn wrapped(&mut self, mark: &str, write: impl FnOnce(&mut Self)) {
        let before = self.text.len();
        write(self);
        let inner = self.text.split_off(before.min(self.text.len()));
        let (front, inner) = inner.split_at(inner.len() - inner.trim_start().len());
        let (inner, back) = inner.split_at(inner.trim_end().len());
        // Marks inside marks of the same kind, or across lines, would end early.
        let marked = !inner.is_empty() && !inner.contains(mark) && !inner.contains('\n');
        let mark = if marked { mark } else { "" };
        let _ = write!(self.text, "{front}{mark}{inner}{mark}{back}");
    }
}

fn bold(line: &str) -> Option<String> {
    let line = line.trim();
    match line {
        "" => None,
        _ if line.contains("**") => Some(line.to_owned()),
        _ => Some(format!("**{line}**")),
    }
}

/// Titles of admonitions: Python-Markdown and docutils, Docusaurus, `VitePress`, Starlight, Bootstrap.
fn is_title(element: ElementRef<'_>) -> bool {
    let names =
        ["admonition-title", "custom-block-title", "starlight-aside__title", "alert-heading", "markdown-alert-title"];
    element.value().classes().any(|class| names.contains(&class) || class.starts_with("admonitionHeading"))
}

/// Blocks with a blank line between them; a list follows the words that introduce it.
fn join(blocks: &[Block]) -> String {
    let mut text = String::new();
    let mut before: Option<Kind> = None;
    for block in blocks {
        match (before, block.kind) {
            (None, _) => {}
            // Another number than one would not begin a list in a paragraph.
            (Some(Kind::Paragraph), Kind::List)
                if ["- ", "1. "].iter().any(|marker| block.text.starts_with(marker)) =>
            {
                text.push('\n');
            }
            _ => text.push_str("\n\n"),
        }
        text.push_str(&block.text);
        before = Some(block.kind);
    }
    text
}

/// The first line behind `first`, every other one behind `rest`; unchanged where lists are nested
/// beyond measure.
fn indent(text: &str, first: &str, rest: &str, depth: usize) -> String {
    if depth >= MAX_INDENT {
        return text.to_owned();
    }
    let mut result = String::with_capacity(text.len() + text.len() / 8);
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            result.push('\n');
        }
        let prefix = if at == 0 { first } else { rest };
        result.push_str(if line.is_empty() { prefix.trim_end() } else { prefix });
        result.push_str(line);
    }
    result
}

/// Rows and captions, but not those of tables inside.
fn parts(table: ElementRef<'_>) -> Vec<ElementRef<'_>> {
    let mut rows = Vec::new();
    for part in table.children().filter_map(ElementRef::wrap) {
        match part.value().name() {
            "tr" | "caption" => rows.push(part),
            "thead" | "tbody" | "tfoot" => {
                rows.extend(part.children().filter_map(ElementRef::wrap).filter(|row| row.value().name() == "tr"));
            }
            _ => {}
        }
    }
    rows
}

/// Tables that arrange a page, or code beside the numbers of its lines. Blocks of code have no place
/// in a table of Markdown.
fn is_layout(table: ElementRef<'_>) -> bool {
    let holds = |name: &str| table.descendent_elements().skip(1).any(|part| part.value().name() == name);
    table.attr("role") == Some("presentation") || holds("pre") || holds("table")
}

fn code_block(pre: ElementRef<'_>) -> Option<String> {
    let mut code = String::new();
    code_text(*pre, &mut code);
    let code = code.trim_end().trim_start_matches(['\n', '\r']);
    if code.trim().is_empty() {
        return None;
    }
    let fence = "`".repeat(longest_run(code, '`').max(2) + 1);
    Some(format!("{fence}{}\n{code}\n{fence}", language(pre).unwrap_or_default()))
}

/// Text as it stands; elements that a browser shows as lines end theirs.
fn code_text(parent: NodeRef<'_, Node>, code: &mut String) {
    for child in parent.children() {
        match child.value() {
            Node::Text(text) => code.push_str(text),
            Node::Element(element) => {
                let is_line = matches!(element.name(), "br" | "div" | "p" | "li" | "tr");
                code_text(child, code);
                if is_line && (element.name() == "br" || !code.ends_with('\n')) {
                    code.push('\n');
                }
            }
            _ => {}
        }
    }
}

/// From the classes of the block, of the code in it, or of what is around it: with numbered lines
/// that is a cell, a row, two parts of a table, and the element that has the class.
fn language(pre: ElementRef<'_>) -> Option<String> {
    let inside = pre.child_elements().find(|child| child.value().name() == "code");
    let around = pre.ancestors().take(7).filter_map(ElementRef::wrap).filter(|part| part.value().name() != "body");
    inside.into_iter().chain([pre]).chain(around).find_map(|element| {
        let attribute = ["data-language", "data-lang"].iter().find_map(|name| element.attr(name));
        let class = element.value().classes().find_map(|class| {
            let prefixes = ["language-", "lang-", "highlight-source-", "highlight-"];
            prefixes.iter().find_map(|prefix| class.strip_prefix(prefix))
        });
        let named = |name: &&str| name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() <= 24;
        let name = attribute.into_iter().chain(class).find(named)?;
        let name = name.split(['{', ':', ',', '`']).next().unwrap_or_default();
        // What generators say where the author said nothing.
        let unsaid = matches!(name, "default" | "none" | "text" | "plaintext" | "txt");
        Some(if unsaid { String::new() } else { name.to_owned() })
    })
}

fn longest_run(text: &str, of: char) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Puts a backslash where Markdown would read something else than these characters, which stand
/// behind `before`.
fn escape(text: &str, mut before: char) -> String {
    let mut result = String::with_capacity(text.len() + 8);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map_or(' ', |(_, after)| *after);
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        let special = match c {
            '`' => true,
            '*' => !(before.is_whitespace() && after.is_whitespace()),
            '_' => {
                let both = |is: fn(char) -> bool| is(before) && is(after);
                !both(char::is_alphanumeric) && !both(char::is_whitespace)
            }
            '\\' => after.is_ascii_punctuation(),
            '<' => after.is_ascii_alphabetic() || matches!(after, '/' | '!' | '?'),
            ']' => matches!(after, '(' | ':' | '['),
            '~' => !before.is_whitespace() || after == '~',
            '&' => is_reference(rest),
            _ => false,
        };
        if special {
            result.push('\\');
        }
        result.push(c);
        before = c;
    }
    result
}

/// Whether what stands behind `&` makes a character of it: `amp;`, `#35;`.
fn is_reference(rest: &str) -> bool {
    let name = rest.bytes().take(32).take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'#').count();
    name > 0 && rest.as_bytes().get(name) == Some(&b';')
}

/// What would make a heading, a list or a rule of a line.
fn escape_start(line: &str) -> String {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let after = |at: usize| line.get(at..).and_then(|rest| rest.chars().next());
    let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
    let at = match after(0) {
        Some('#' | '>') => Some(0),
        Some('-' | '+' | '*') if blank(after(1)) => Some(0),
        Some('-' | '=') if line.bytes().all(|byte| matches!(byte, b'-' | b'=' | b' ')) => Some(0),
        Some('~') if line.starts_with("~~~") => Some(0),
        Some('0'..='9') if digits < 10 && matches!(after(digits), Some('.' | ')')) && blank(after(digits + 1)) => {
            Some(digits)
        }
        _ => None,
    };
    match at.and_then(|at| line.split_at_checked(at)) {
        Some((front, back)) => format!("{front}\\{back}"),
        None => line.to_owned(),
    }
}

/// An id as `{#…}` can hold it: a browser finds it percent-encoded as well.
fn in_attribute(id: &str) -> String {
    let ends_it = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | '\\' | '<' | '>' | '"' | '`');
    if !id.contains(ends_it) {
        return id.to_owned();
    }
    let mut result = String::with_capacity(id.len());
    for c in id.chars() {
        if ends_it(c) || c == '%' {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(result, "%{byte:02X}");
            }
        } else {
            result.push(c);
        }
    }
    result
}
