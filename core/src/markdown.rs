//! Markdown source to sections, by byte offsets: nothing is rendered again, so a chunk shows what
//! the author wrote.
//!
//! `CommonMark` with GFM tables, task lists, strikethrough, footnotes and heading attributes. Syntax
//! that only some site generators know is text here: kept, not understood.

use std::ops::Range;
use std::rc::Rc;

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use crate::anchors::{Anchors, Slugs};

/// Blocks nested deeper are text of their parent; real pages stay far below, and recursion stays flat.
const MAX_DEPTH: usize = 16;

/// A heading with what follows it, up to the next heading of any level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Absent before the first heading of the page.
    pub heading: Option<Heading>,
    /// Texts of the headings that lead here, outermost first, this one's last. Shared by the sections
    /// below.
    pub trail: Vec<Rc<str>>,
    /// What stands under the heading.
    pub blocks: Vec<Block>,
}

/// A heading of the page's top level; those inside lists and quotations do not cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Without markup.
    pub text: String,
    /// Fragment, without `#`; empty if none leads here.
    pub anchor: String,
    /// Bytes of its lines.
    pub lines: Range<usize>,
}

/// A block of the page. Blocks beside each other share no line, and together they cover their
/// parent, blank lines included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: Kind,
    /// Bytes of its lines, up to where the next block begins.
    pub lines: Range<usize>,
    /// Where its own last line ends; then come blank lines.
    pub end: usize,
    /// Blocks inside, if it is a [`Kind::Container`] that has any.
    pub children: Vec<Block>,
}

/// What matters about a block when it has to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// List, list item, quotation or footnote.
    Container,
    /// Fenced code; where its opening fence begins.
    Fence(usize),
    /// Indented code.
    Indented,
    /// First two lines are header and delimiter, every other one is a row.
    Table,
    /// Paragraph, HTML, rule.
    Prose,
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
}

/// Cuts a page at its headings. A page without text has no sections.
pub fn sections(source: &str, anchors: Anchors) -> Vec<Section> {
    let slugs = Slugs::new(anchors);
    let mut reader = Reader { source, sections: Vec::new(), open: Vec::new(), heading: None, slugs, line: (0, 0) };
    for (event, range) in Parser::new_ext(source, options()).into_offset_iter() {
        reader.read(event, range);
    }
    let mut end = source.len();
    for section in reader.sections.iter_mut().rev() {
        cover(&mut section.blocks, end);
        let first = section.blocks.first().map_or(end, |block| block.lines.start);
        end = section.heading.as_mut().map_or(first, |heading| {
            heading.lines.end = first;
            heading.lines.start
        });
    }
    // What the parser has no event for (a link definition that repeats another) must not be lost.
    match reader.sections.first_mut().map(|first| (&mut first.heading, first.blocks.first_mut())) {
        Some((Some(heading), _)) => heading.lines.start = 0,
        Some((None, Some(block))) => block.lines.start = 0,
        _ => {}
    }
    trails(&mut reader.sections);
    reader.sections
}

/// The first heading, if it is a level one.
pub fn title(source: &str) -> Option<String> {
    let mut events = Parser::new_ext(source, options());
    events
        .find_map(|event| match event {
            Event::Start(Tag::Heading { level, .. }) => Some(level as u8),
            _ => None,
        })
        .filter(|level| *level == 1)?;
    let mut text = String::new();
    for event in events {
        match event {
            Event::End(TagEnd::Heading(_)) => break,
            Event::Text(words) | Event::Code(words) => text.push_str(&words),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

struct Reader<'a> {
    source: &'a str,
    sections: Vec<Section>,
    /// Blocks whose end has not come yet, outermost first.
    open: Vec<Block>,
    heading: Option<Heading>,
    slugs: Slugs,
    /// A place in the source looked at last, and where its line begins.
    line: (usize, usize),
}

impl Reader<'_> {
    fn read(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(Tag::Heading { level, id, .. }) => {
                let anchor = id.filter(|id| !id.is_empty()).map(|id| id.to_string()).unwrap_or_default();
                let lines = self.lines(&range);
                self.heading = Some(Heading { level: level as u8, text: String::new(), anchor, lines });
            }
            Event::End(TagEnd::Heading(_)) => self.end_heading(range),
            Event::Start(tag) => {
                if let Some(kind) = kind(&tag, range.start) {
                    let block = self.block(kind, &range);
                    self.open.push(block);
                }
            }
            Event::End(tag) if is_block(tag) => {
                let block = self.open.pop();
                self.add(block);
            }
            Event::Rule => {
                let block = self.block(Kind::Prose, &range);
                self.add(Some(block));
            }
            Event::Text(text) | Event::Code(text) => self.heading_text(&text),
            Event::SoftBreak | Event::HardBreak => self.heading_text(" "),
            _ => {}
        }
    }

    fn heading_text(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.text.push_str(text);
        }
    }

    fn end_heading(&mut self, range: Range<usize>) {
        let Some(mut heading) = self.heading.take() else { return };
        heading.text = heading.text.split_whitespace().collect::<Vec<_>>().join(" ");
        if heading.anchor.is_empty() {
            heading.anchor = self.slugs.unique(&heading.text);
        }
        if self.open.is_empty() {
            self.sections.push(Section { heading: Some(heading), trail: Vec::new(), blocks: Vec::new() });
        } else {
            let block = self.block(Kind::Prose, &range);
            self.add(Some(block));
        }
    }

    fn block(&mut self, kind: Kind, range: &Range<usize>) -> Block {
        let lines = self.lines(range);
        Block { kind, end: lines.end, lines, children: Vec::new() }
    }

    fn add(&mut self, block: Option<Block>) {
        let Some(block) = block else { return };
        let depth = self.open.len();
        match self.open.last_mut() {
            Some(parent) if depth < MAX_DEPTH => parent.children.push(block),
            Some(_) => {}
            None => {
                if self.sections.is_empty() {
                    self.sections.push(Section { heading: None, trail: Vec::new(), blocks: Vec::new() });
                }
                if let Some(section) = self.sections.last_mut() {
                    section.blocks.push(block);
                }
            }
        }
    }

    /// The whole lines that a range touches.
    fn lines(&mut self, range: &Range<usize>) -> Range<usize> {
        let inside = self.source.get(range.clone()).unwrap_or_default();
        let after = self.source.get(range.end..).unwrap_or_default();
        let end = if inside.ends_with('\n') {
            range.end
        } else {
            range.end + after.find('\n').map_or(after.len(), |newline| newline + 1)
        };
        self.line_start(range.start)..end
    }

    /// Searches only what lies behind the place before: thousands of quotations may begin on one line.
    fn line_start(&mut self, at: usize) -> usize {
        let (from, start) = if self.line.0 <= at { self.line } else { (0, 0) };
        let newline = self.source.get(from..at).and_then(|between| between.rfind('\n'));
        let start = newline.map_or(start, |newline| from + newline + 1);
        self.line = (at, start);
        start
    }
}

fn kind(tag: &Tag<'_>, start: usize) -> Option<Kind> {
    Some(match tag {
        Tag::List(_) | Tag::Item | Tag::BlockQuote(_) | Tag::FootnoteDefinition(_) => Kind::Container,
        Tag::CodeBlock(CodeBlockKind::Fenced(_)) => Kind::Fence(start),
        Tag::CodeBlock(CodeBlockKind::Indented) => Kind::Indented,
        Tag::Table(_) => Kind::Table,
        Tag::Paragraph | Tag::HtmlBlock => Kind::Prose,
        _ => return None,
    })
}

/// Whether [`kind`] opened a block for the tag that ends here.
fn is_block(tag: TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::List(_)
            | TagEnd::Item
            | TagEnd::BlockQuote(_)
            | TagEnd::FootnoteDefinition
            | TagEnd::CodeBlock
            | TagEnd::Table
            | TagEnd::Paragraph
            | TagEnd::HtmlBlock
    )
}

/// Stretches every block to the beginning of the next, so that no line is left out.
fn cover(blocks: &mut Vec<Block>, mut end: usize) {
    let mut previous = None;
    blocks.retain(|block| previous.replace(block.lines.start).is_none_or(|start| start < block.lines.start));
    for block in blocks.iter_mut().rev() {
        block.lines.end = end;
        block.end = block.end.min(end);
        end = block.lines.start;
        cover(&mut block.children, block.lines.end);
    }
}

fn trails(sections: &mut [Section]) {
    let mut open: Vec<(u8, Rc<str>)> = Vec::new();
    for section in sections {
        if let Some(heading) = &section.heading {
            open.retain(|(level, _)| *level < heading.level);
            open.push((heading.level, heading.text.as_str().into()));
        }
        section.trail = open.iter().map(|(_, text)| Rc::clone(text)).collect();
    }
}

/// Where the links of a page lead, as written, in its order.
pub fn links(source: &str) -> Vec<String> {
    let links = Parser::new_ext(source, options()).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url.to_string()),
        _ => None,
    });
    links.collect()
}

/// The page made ready to be cut: every link and image as `resolve` wants it (`None` leaves it),
/// reference links written out where they stand, so that a chunk needs no other part of the page,
/// HTML comments taken out, and the dashes under a table's header reduced to three, for the model
/// reads each as a token. Code stays as it is.
pub fn prepared(source: &str, resolve: impl Fn(&str) -> Option<String>) -> String {
    let parser = Parser::new_ext(source, options());
    let mut edits: Vec<(Range<usize>, String)> =
        parser.reference_definitions().iter().map(|(_, definition)| (definition.span.clone(), String::new())).collect();
    // Links whose end has not come yet, with the end of what stands between their brackets.
    let mut open: Vec<(Tag<'_>, usize)> = Vec::new();
    for (event, range) in parser.into_offset_iter() {
        match event {
            Event::Start(tag @ Tag::Link { .. }) => open.push((tag, range.start + "[".len())),
            Event::Start(tag @ Tag::Image { .. }) => open.push((tag, range.start + "![".len())),
            Event::End(TagEnd::Link | TagEnd::Image) => {
                if let Some((tag, inside)) = open.pop() {
                    edits.extend(link_edit(source, &tag, inside..range.end, &resolve));
                }
                extend_inside(&mut open, range.end);
            }
            Event::InlineHtml(html) if html.starts_with("<!--") => edits.push((range, String::new())),
            Event::Start(Tag::Table(_)) => edits.extend(dashes(source, range)),
            Event::Start(Tag::HtmlBlock) => {
                edits.extend(comments(source, range).into_iter().map(|range| (range, String::new())));
            }
            _ => extend_inside(&mut open, range.end),
        }
    }
    apply(source, edits)
}

fn extend_inside(open: &mut [(Tag<'_>, usize)], end: usize) {
    if let Some((_, inside)) = open.last_mut() {
        *inside = end.max(*inside);
    }
}

/// What replaces the part of a link behind its text: `](target "title")` or `][label]`.
fn link_edit(
    source: &str,
    tag: &Tag<'_>,
    tail: Range<usize>,
    resolve: impl Fn(&str) -> Option<String>,
) -> Option<(Range<usize>, String)> {
    let (Tag::Link { link_type, dest_url, title, .. } | Tag::Image { link_type, dest_url, title, .. }) = tag else {
        return None;
    };
    let text = source.get(tail.clone())?;
    let resolved = resolve(dest_url);
    match link_type {
        LinkType::Inline => {
            let start = text.find("](")? + "](".len();
            let rest = text.get(start..)?;
            let start = start + (rest.len() - rest.trim_start().len());
            let rest = text.get(start..)?;
            let len = if rest.starts_with('<') {
                rest.find('>')? + 1
            } else {
                rest.find(char::is_whitespace).unwrap_or(rest.len() - ")".len())
            };
            Some((tail.start + start..tail.start + start + len, target(&resolved?)))
        }
        LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut => {
            let start = text.find(']')?;
            let title = if title.is_empty() { String::new() } else { format!(" \"{}\"", title.replace('"', "\\\"")) };
            let target = target(resolved.as_deref().unwrap_or(dest_url));
            // The parser leaves the empty brackets of `[label][]` out of the link.
            let after = source.get(tail.end..).unwrap_or_default();
            let extra = if *link_type == LinkType::Collapsed && after.starts_with("[]") { 2 } else { 0 };
            Some((tail.start + start..tail.end + extra, format!("]({target}{title})")))
        }
        _ => None,
    }
}

fn target(url: &str) -> String {
    if url.is_empty() || url.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '<')) {
        format!("<{}>", url.replace('<', "%3C").replace('>', "%3E"))
    } else {
        url.to_owned()
    }
}

/// The closed comments of an HTML block; an open one would take the rest of the page with it.
fn comments(source: &str, block: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = block.start;
    while let Some(start) = source.get(at..block.end).and_then(|rest| rest.find("<!--")).map(|start| at + start) {
        let Some(len) = source.get(start..block.end).and_then(|rest| rest.find("-->")) else { break };
        at = start + len + "-->".len();
        found.push(start..at);
    }
    found
}

/// The runs of dashes in the second line of a table.
fn dashes(source: &str, table: Range<usize>) -> Vec<(Range<usize>, String)> {
    let mut lines = source.get(table.clone()).unwrap_or_default().split_inclusive('\n');
    let start = table.start + lines.next().map_or(0, str::len);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in lines.next().unwrap_or_default().match_indices('-') {
        match runs.last_mut() {
            Some(run) if run.end == start + at => run.end += 1,
            _ => runs.push(start + at..start + at + 1),
        }
    }
    runs.into_iter().map(|run| (run, "---".to_owned())).collect()
}

fn apply(source: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let mut result = String::with_capacity(source.len() + source.len() / 8);
    let mut at = 0;
    for (range, replacement) in edits {
        if let Some(unchanged) = source.get(at..range.start) {
            result.push_str(unchanged);
            result.push_str(&replacement);
            at = range.end;
        }
    }
    result.push_str(source.get(at..).unwrap_or_default());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_carry_their_trail_and_github_s_anchors() {
        let page = "intro\n\n# Über `cargo`!\n\nSetext *one*\n===\n\n## A & B {#own}\n\n## Same\n\n### Same\n\n## Same-1\n\n\
                    > # Quoted\n\n```\n# code\n```\n";
        let found: Vec<_> = sections(page, Anchors::GitHub)
            .into_iter()
            .map(|s| (s.trail.join("/"), s.heading.map(|h| h.anchor).unwrap_or_default()))
            .collect();
        let expected = [
            ("", ""),
            ("Über cargo!", "über-cargo"),
            ("Setext one", "setext-one"),
            ("Setext one/A & B", "own"),
            ("Setext one/Same", "same"),
            ("Setext one/Same/Same", "same-1"),
            ("Setext one/Same-1", "same-1-1"),
        ];
        assert_eq!(found, expected.map(|(trail, anchor)| (trail.to_owned(), anchor.to_owned())));
    }

    #[test]
    fn links_are_made_whole_where_they_stand_and_never_in_code() {
        let resolve = |link: &str| (!link.contains(':')).then(|| format!("https://x/{}", link.trim_start_matches('/')));
        let cases = [
            ("[a](b \"t\")", "[a](https://x/b \"t\")"),
            ("[`a]`](<b c>)", "[`a]`](<https://x/b c>)"),
            ("![i](/p.png) and [![i](p.png)](/q)", "![i](https://x/p.png) and [![i](https://x/p.png)](https://x/q)"),
            ("`[a](b)`\n\n```\n[a](b)\n```", "`[a](b)`\n\n```\n[a](b)\n```"),
            (
                "[a][r], [r][] and [r]\n\n[r]: /u \"t\"\n",
                "[a](https://x/u \"t\"), [r](https://x/u \"t\") and [r](https://x/u \"t\")\n\n\n",
            ),
            ("[a](https://y/z) <https://y>", "[a](https://y/z) <https://y>"),
            ("a <!-- x --> b\n\n<!-- y\n\nz -->\n\nc", "a  b\n\n\n\nc"),
            ("| a | b |\n|:------|--|\n| ---- | |\n", "| a | b |\n|:---|---|\n| ---- | |\n"),
            ("<!-- never closed\n\ntext", "<!-- never closed\n\ntext"),
        ];
        for (source, expected) in cases {
            assert_eq!(prepared(source, resolve), expected, "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn sections_cover_every_line(page in "([a-z#>`|*\\[\\]():<!-]|[\n ]){0,300}") {
            let mut at = 0;
            for section in sections(&page, Anchors::GitHub) {
                let heading = section.heading.map(|heading| heading.lines);
                for lines in heading.into_iter().chain(section.blocks.into_iter().map(|block| block.lines)) {
                    assert_eq!(lines.start, if at == 0 { 0 } else { at });
                    at = lines.end;
                }
            }
            assert!(at == page.len() || at == 0);
        }
    }
}
