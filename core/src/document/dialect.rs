//! What generators add to Markdown, made plain Markdown: MDX, admonitions, tabs, shortcodes, snippets.
//!
//! Words stay (labels and titles say what a tab or a card is about), what only lays a page out goes.
//! Code, fenced or in a line, is never touched, but for snippets, whose place is in a fence.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::jsx::{self, Tag};
use super::site::{Generator, split_path, without_dots};

/// Partials inside partials, at most.
const MAX_DEPTH: usize = 8;
/// What partials and snippets may add to a page, together.
const MAX_INCLUDED_BYTES: usize = 4 * 1024 * 1024;
/// Tags inside tags, at most; deeper ones shift nothing.
const MAX_NESTS: usize = 64;
/// As many brackets that nobody closes are looked for to the end; the rest is text.
const MAX_UNCLOSED: usize = 64;
/// Bytes in which the end of a link's text, or of a list of attributes, is looked for.
const MAX_LINK_TEXT: usize = 300;
/// Attributes of components that hold words, the first of them the most telling.
const LABELS: &[&str] = &["title", "label", "header", "heading", "summary", "caption", "text", "alt", "term"];
/// And where they lead.
const TARGETS: &[&str] = &["href", "to", "link", "url"];
/// Elements of HTML that say something about their text. Others go, and their text stays.
const KEPT: &[&str] = &[
    "table",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "td",
    "th",
    "details",
    "summary",
    "br",
    "hr",
    "kbd",
    "sub",
    "sup",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "pre",
    "code",
    "b",
    "i",
    "em",
    "strong",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "u",
    "s",
    "del",
    "ins",
    "mark",
    "abbr",
    "var",
    "samp",
];
/// Elements without words for readers.
const DROPPED: &[&str] = &["script", "style", "svg"];
/// Containers that arrange what is in them and have no name for readers.
const SILENT: &[&str] = &["code-group", "v-pre", "raw", "steps", "tabs", "cards", "grid"];

/// Reads a file beside the page, by its path below the folder of the source (or by `@site/…`, counted
/// from the folder of the generator's configuration). `None`: there is none.
pub type Files<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a page is written in.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    pub(super) generator: Generator,
    /// Whether tags are components: all of `.mdx`, and what Docusaurus reads.
    pub(super) jsx: bool,
    /// Whether braces are expressions: `.mdx` only, since authors of `.md` often turn that off.
    pub(super) expressions: bool,
}

impl Dialect {
    /// Of the file at `path`.
    pub(super) fn of(path: &str, generator: Generator) -> Self {
        let mdx = path.to_ascii_lowercase().ends_with(".mdx");
        Self { generator, jsx: mdx || generator == Generator::Docusaurus, expressions: mdx }
    }

    /// Whether the page can hold anything of it.
    fn is_in(self, source: &str) -> bool {
        let signs =
            [":::", "!!! ", "???", "=== \"", "--8<--", "{{<", "{{%", "{{#", "<<< ", "@include:", "<script", "<style"];
        signs.iter().any(|sign| source.contains(sign))
            || (self.jsx && (source.contains('<') || source.contains('{') || source.contains("import ")))
            || (self.generator == Generator::MkDocs && source.contains('{'))
    }
}

/// The page as plain Markdown.
pub(super) fn plain<'a>(source: &'a str, path: &str, dialect: Dialect, files: Files<'_>) -> Cow<'a, str> {
    if !dialect.is_in(source) {
        return Cow::Borrowed(source);
    }
    let mut left = MAX_INCLUDED_BYTES;
    Cow::Owned(Reader::new(source, dialect, files, &mut left, &[path]).read())
}

/// A fence that is open.
struct Fence {
    mark: char,
    len: usize,
    /// Columns that its lines lose.
    shift: usize,
    /// `mdx-code-block` of Docusaurus is no code.
    is_code: bool,
}

/// Something whose content is indented and should not be: for Markdown, four spaces are code.
struct Nest<'a> {
    /// Name of the tag; empty for an admonition, which ends where its indentation does.
    name: &'a str,
    /// Where its content begins in the source; unknown before its first line.
    from: Option<usize>,
    /// Where it begins here.
    to: usize,
}

struct Reader<'a, 'f> {
    source: &'a str,
    dialect: Dialect,
    files: Files<'f>,
    /// Bytes that may still be included.
    left: &'f mut usize,
    /// The page, and the partials that lead here.
    paths: &'f [&'f str],
    at: usize,
    out: String,
    fence: Option<Fence>,
    nests: Vec<Nest<'a>>,
    /// Partials by the name of their component.
    partials: BTreeMap<&'a str, &'a str>,
    /// Texts by the name that the page gives them.
    texts: BTreeMap<&'a str, &'a str>,
    /// Links whose tag has not been closed: `](target)`, empty if there is none.
    links: Vec<String>,
    unclosed: usize,
    /// Where the paragraph ends that was looked into last.
    paragraph_end: usize,
    /// By length of a run of backticks: up to where there is no other.
    lone_ticks: BTreeMap<usize, usize>,
}

impl<'a, 'f> Reader<'a, 'f> {
    fn new(source: &'a str, dialect: Dialect, files: Files<'f>, left: &'f mut usize, paths: &'f [&'f str]) -> Self {
        Self {
            source,
            dialect,
            files,
            left,
            paths,
            at: 0,
            out: String::with_capacity(source.len()),
            fence: None,
            nests: Vec::new(),
            partials: BTreeMap::new(),
            texts: BTreeMap::new(),
            links: Vec::new(),
            unclosed: 0,
            paragraph_end: 0,
            lone_ticks: BTreeMap::new(),
        }
    }

    fn read(mut self) -> String {
        while self.at < self.source.len() {
            let rest = self.rest(self.at);
            let line = rest.split_inclusive('\n').next().unwrap_or(rest);
            if self.fence.is_some() {
                self.code_line(line);
                self.at += line.len();
            } else if let Some(len) = self.block(line, rest) {
                self.at += len;
            } else {
                self.text_line(line);
            }
        }
        self.out
    }

    fn rest(&self, at: usize) -> &'a str {
        self.source.get(at..).unwrap_or_default()
    }

    /// Where a line that stands at a column of the source stands here.
    fn column(&self, column: usize) -> usize {
        let mut mapped = column;
        for nest in &self.nests {
            let Some(from) = nest.from else { continue };
            mapped = if column >= from { nest.to + column - from } else { mapped.min(nest.to) };
        }
        mapped
    }

    /// Notes where the content of the innermost nest begins, and closes admonitions that a line is not in.
    fn enter(&mut self, line: &str) {
        let indent = indentation(line);
        while self.nests.last().is_some_and(|nest| nest.name.is_empty() && nest.from > Some(indent)) {
            self.nests.pop();
            self.blank();
        }
        if self.nests.last().is_some_and(|nest| nest.from.is_none()) {
            let outer = self.column(indent);
            if let Some(nest) = self.nests.last_mut() {
                nest.to = nest.to.min(outer);
                nest.from = Some(indent);
            }
        }
    }

    fn code_line(&mut self, line: &'a str) {
        let Some(fence) = &self.fence else { return };
        let inside = line.trim_start_matches([' ', '\t', '>']);
        let marks = inside.len() - inside.trim_start_matches(fence.mark).len();
        let ends = marks >= fence.len && inside.trim_start_matches(fence.mark).trim().is_empty();
        let (shift, is_code) = (fence.shift, fence.is_code);
        if ends {
            self.fence = None;
        }
        if ends && !is_code {
            return;
        }
        if let Some(text) = self.snippet(line.trim()) {
            for line in text.lines() {
                self.push_line(line, shift.min(indentation(line)));
            }
            return;
        }
        push_shifted(&mut self.out, line, shift);
    }

    fn push_line(&mut self, line: &str, shift: usize) {
        push_shifted(&mut self.out, line, shift);
        self.out.push('\n');
    }

    /// A line that is no text but says what comes: its length, if that is all of it.
    fn block(&mut self, line: &'a str, rest: &'a str) -> Option<usize> {
        let text = line.trim();
        if text.is_empty() {
            // What went leaves blank lines behind. Without tags, they may belong to indented code.
            if !self.dialect.jsx || !self.out.ends_with("\n\n") {
                self.out.push('\n');
            }
            return Some(line.len());
        }
        let is_module = ["import", "export"].iter().any(|word| line.starts_with(word));
        if self.dialect.jsx && is_module && self.nests.is_empty() && self.unclosed <= MAX_UNCLOSED {
            if let Some(len) = jsx::module(rest) {
                let statement = rest.get(..len).unwrap_or_default();
                self.partials.extend(jsx::partial(statement));
                self.texts.extend(jsx::constant(statement));
                return Some(len);
            }
            self.unclosed += 1;
        }
        self.enter(line);
        if let Some(fence) = fence(line) {
            let indent = indentation(line);
            let shift = indent.saturating_sub(self.column(indent));
            let is_code = !text.ends_with("mdx-code-block");
            self.fence = Some(Fence { shift, is_code, ..fence });
            if is_code {
                push_shifted(&mut self.out, line, shift);
            }
            return Some(line.len());
        }
        if let Some(included) = self.snippet(text) {
            self.include_text(&included, indentation(line));
            return Some(line.len());
        }
        for element in ["script", "style"] {
            let opens = text.strip_prefix('<').and_then(|text| text.strip_prefix(element));
            if opens.is_some_and(|after| after.starts_with([' ', '>'])) && self.unclosed <= MAX_UNCLOSED {
                let Some(end) = rest.find(&format!("</{element}>")) else {
                    self.unclosed += 1;
                    return None;
                };
                return Some(end + rest.get(end..)?.find('\n').map_or(rest.len() - end, |newline| newline + 1));
            }
        }
        let column = self.column(indentation(line));
        let title = admonition(text).or_else(|| self.indented_title(line, text))?;
        self.paragraph(&title, column);
        Some(line.len())
    }

    /// `!!! note "Title"` and `=== "Tab"` of `MkDocs`, whose content is indented by four.
    fn indented_title(&mut self, line: &str, text: &str) -> Option<String> {
        let title = if let Some(rest) = text.strip_prefix("!!!").or_else(|| text.strip_prefix("???")) {
            let rest = rest.trim_start_matches('+').strip_prefix(' ')?.trim();
            let (kinds, title) = rest.split_once('"').map_or((rest, None), |(kinds, title)| (kinds, Some(title)));
            let kind = kinds.split_whitespace().next()?;
            kind.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(())?;
            title.map_or_else(|| capitalised(kind), |title| title.trim_end_matches('"').to_owned())
        } else {
            let rest = text.strip_prefix("===")?.trim_start_matches(['!', '+']).strip_prefix(' ')?.trim();
            rest.strip_prefix('"')?.strip_suffix('"')?.to_owned()
        };
        let indent = indentation(line);
        let to = self.column(indent);
        if self.nests.len() < MAX_NESTS {
            self.nests.push(Nest { name: "", from: Some(indent + 4), to });
        }
        Some(title)
    }

    /// A line of text, which goes on while a tag or an expression does.
    fn text_line(&mut self, first: &'a str) {
        let start = self.at;
        let column = self.column(indentation(first));
        let mut line = Line { column, ..Line::default() };
        if let Some(end) = first.trim().strip_prefix("$$").filter(|_| self.dialect.jsx) {
            // Formulas are full of braces. A whole block of them ends where it began.
            let len = if end.is_empty() {
                self.rest(start).get(first.len()..).and_then(|rest| rest.find("$$"))
            } else {
                None
            };
            self.at = start + first.len() + len.map_or(0, |len| len + "$$".len());
            push_shifted(&mut self.out, self.source.get(start..self.at).unwrap_or_default(), 0);
            return;
        }
        loop {
            let rest = self.rest(self.at);
            let Some(next) = rest.find(['\n', '\\', '`', '<', '{']) else {
                line.text.push_str(rest);
                self.at = self.source.len();
                break;
            };
            line.text.push_str(rest.get(..next).unwrap_or_default());
            self.at += next;
            let rest = self.rest(self.at);
            match rest.as_bytes().first() {
                Some(b'\n') => {
                    self.at += 1;
                    break;
                }
                Some(b'\\') => {
                    let len = 1 + rest.chars().nth(1).filter(|c| *c != '\n').map_or(0, char::len_utf8);
                    self.take(&mut line, len);
                }
                Some(b'`') => {
                    let len = self.code_span(rest);
                    self.take(&mut line, len);
                }
                _ if self.markup(&mut line, rest) => line.changed = true,
                _ => self.take(&mut line, 1),
            }
        }
        self.finish(line, start);
    }

    fn take(&mut self, line: &mut Line, len: usize) {
        line.text.push_str(self.source.get(self.at..self.at + len).unwrap_or_default());
        self.at += len;
    }

    /// Writes a line: as it was if nothing happened to it.
    fn finish(&mut self, line: Line, start: usize) {
        let column = line.column;
        let raw = self.source.get(start..self.at).unwrap_or_default();
        if !line.changed && line.titles.is_empty() {
            let indent = indentation(raw);
            if column > indent {
                self.out.push_str(raw);
            } else {
                push_shifted(&mut self.out, raw, indent - column);
            }
            return;
        }
        for title in &line.titles {
            self.paragraph(title, column);
        }
        for code in &line.code {
            self.blank();
            self.out.push_str(code);
            self.out.push('\n');
        }
        let text = line.text.trim();
        if text.is_empty() {
            self.blank();
        } else {
            self.out.extend(std::iter::repeat_n(' ', column));
            self.out.push_str(text);
            self.out.push('\n');
        }
        for included in &line.included {
            self.include_text(included, column);
        }
    }

    /// A blank line, unless there is one.
    fn blank(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push_str(if self.out.ends_with('\n') { "\n" } else { "\n\n" });
        }
    }

    fn paragraph(&mut self, title: &str, column: usize) {
        self.blank();
        if title.is_empty() {
            return;
        }
        self.out.extend(std::iter::repeat_n(' ', column));
        self.out.push_str("**");
        self.out.push_str(title.trim());
        self.out.push_str("**\n\n");
    }

    /// Length of the code that begins here: to the other run of as many backticks in the same
    /// paragraph, else this run alone.
    fn code_span(&mut self, text: &str) -> usize {
        let ticks = text.len() - text.trim_start_matches('`').len();
        if self.lone_ticks.get(&ticks).is_some_and(|end| self.at < *end) {
            return ticks;
        }
        if self.paragraph_end <= self.at {
            self.paragraph_end = self.at + text.find("\n\n").unwrap_or(text.len());
        }
        let end = self.paragraph_end - self.at;
        let mut from = ticks;
        while let Some(start) = text.get(from..end).and_then(|rest| rest.find('`')).map(|start| from + start) {
            let run = text.get(start..end).unwrap_or_default();
            let len = run.len() - run.trim_start_matches('`').len();
            if len == ticks {
                return start + len;
            }
            from = start + len;
        }
        self.lone_ticks.insert(ticks, self.at + end);
        ticks
    }

    /// What begins with `<` or `{`, if it is of this dialect.
    fn markup(&mut self, line: &mut Line, rest: &'a str) -> bool {
        if rest.starts_with("{{<") || rest.starts_with("{{%") {
            return self.shortcode(line, rest);
        }
        if rest.starts_with('{') && self.dialect.generator == Generator::MkDocs {
            return self.attributes(line, rest);
        }
        if !self.dialect.jsx || self.unclosed > MAX_UNCLOSED {
            return false;
        }
        if rest.starts_with('{') {
            return self.expression(line, rest);
        }
        let after = rest.get(1..).unwrap_or_default();
        if !after.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '>')) {
            return false;
        }
        let Some((tag, len)) = Tag::read(rest) else {
            self.unclosed += 1;
            return false;
        };
        self.tag(line, &tag, rest, len);
        true
    }

    fn expression(&mut self, line: &mut Line, rest: &str) -> bool {
        if rest.starts_with("{#") {
            return false;
        }
        let Some(len) = jsx::braces(rest) else {
            self.unclosed += 1;
            return false;
        };
        let inside = rest.get(1..len - 1).unwrap_or_default().trim();
        if let Some(comment) = inside.strip_prefix("/*") {
            let comment = comment.trim_end_matches("*/").trim();
            // Docusaurus writes the id of a heading so, where braces would be an expression.
            if comment.starts_with('#') && !comment.contains(char::is_whitespace) && line.text.trim().starts_with('#') {
                line.text.push_str(&format!("{{{comment}}}"));
            }
        } else if let Some(text) = jsx::literal(inside).or_else(|| self.texts.get(inside).copied()) {
            line.text.push_str(text);
        } else if !self.dialect.expressions {
            // Its braces will be looked into again.
            self.unclosed += usize::from(len > MAX_LINK_TEXT);
            return false;
        }
        self.at += len;
        true
    }

    fn tag(&mut self, line: &mut Line, tag: &Tag<'a>, rest: &'a str, len: usize) {
        self.at += len;
        let raw = rest.get(..len).unwrap_or_default();
        let after = rest.get(len..).unwrap_or_default();
        if tag.closes {
            if let Some(open) = self.nests.iter().rposition(|nest| nest.name == tag.name) {
                self.nests.truncate(open);
            }
            if tag.name == "a" || !tag.is_html() {
                line.close_link(tag.name, &mut self.links);
            }
            if tag.is_html() && KEPT.contains(&tag.name) {
                line.text.push_str(raw);
            }
            return;
        }
        if DROPPED.contains(&tag.name) {
            let end = format!("</{}>", tag.name);
            match after.find(&end).filter(|_| !tag.is_empty) {
                Some(at) => self.at += at + end.len(),
                None => self.unclosed += usize::from(!tag.is_empty),
            }
            return;
        }
        let ends_line = after.trim_start_matches([' ', '\t']);
        let ends_line = ends_line.is_empty() || ends_line.starts_with(['\n', '<']);
        let is_block = line.text.trim().is_empty() && ends_line;
        if is_block && !tag.is_empty && !tag.name.is_empty() && self.nests.len() < MAX_NESTS && !is_void(tag.name) {
            self.nests.push(Nest { name: tag.name, from: None, to: line.column });
        }
        if tag.is_html() {
            self.element(line, tag, raw, after);
        } else {
            self.component(line, tag, is_block, after);
        }
    }

    fn element(&mut self, line: &mut Line, tag: &Tag<'a>, raw: &str, after: &str) {
        match tag.name {
            "img" => {
                if let Some((alt, src)) = tag.any(&["alt"]).zip(tag.any(&["src"])) {
                    line.text.push_str(&format!("![{alt}]({src})"));
                }
            }
            "a" => line.open_link(tag, after, &mut self.links),
            name if KEPT.contains(&name) && tag.has_computed() => line.text.push_str(&format!("<{name}>")),
            name if KEPT.contains(&name) => line.text.push_str(raw),
            _ => {}
        }
    }

    fn component(&mut self, line: &mut Line, tag: &Tag<'a>, is_block: bool, after: &str) {
        if let Some(file) = self.partials.get(tag.name)
            && let Some(text) = self.partial(file)
        {
            line.included.push(text);
            return;
        }
        let named = || tag.computed("code").and_then(|name| self.texts.get(name).copied());
        if let Some(code) = tag.any(&["code"]).or_else(named).filter(|_| tag.is_empty) {
            line.code.push(format!(
                "````{}\n{}\n````\n",
                tag.any(&["lang"]).unwrap_or_default(),
                code.trim_matches('\n')
            ));
        }
        let label = parameter(tag).or_else(|| tag.any(LABELS).map(|label| oneline(label).into_owned()));
        let target = tag.any(TARGETS).filter(|target| !target.contains(char::is_whitespace));
        let description = tag.any(&["description", "tagline"]).map(oneline);
        if is_block {
            let title = match (&label, target) {
                (Some(label), Some(target)) => format!("[{label}]({target})"),
                (Some(label), None) => label.clone(),
                (None, _) => String::new(),
            };
            line.titles.extend((!title.is_empty()).then_some(title));
            line.text.push_str(description.as_deref().unwrap_or_default());
        } else if tag.is_empty {
            match (label, target) {
                (Some(label), Some(target)) => line.text.push_str(&format!("[{label}]({target})")),
                (label, _) => line.text.push_str(label.as_deref().unwrap_or_default()),
            }
        } else {
            if let Some(label) = label {
                line.text.push_str(&format!("**{label}** "));
            }
            line.open_link(tag, after, &mut self.links);
        }
    }

    /// `{{< name "words" >}}` of Hugo. The tag goes, but for its words; a reference is its target.
    fn shortcode(&mut self, line: &mut Line, rest: &str) -> bool {
        let close = if rest.starts_with("{{<") { ">}}" } else { "%}}" };
        if self.unclosed > MAX_UNCLOSED {
            return false;
        }
        let Some(end) = rest.find(close) else {
            self.unclosed += 1;
            return false;
        };
        let inside = rest.get("{{<".len()..end).unwrap_or_default().trim();
        self.at += end + close.len();
        if let Some(shown) = inside.strip_prefix("/*") {
            // A page about Hugo shows a shortcode.
            line.text.push_str(&format!(
                "{} {} {close}",
                &rest.get(..3).unwrap_or_default(),
                shown.trim_end_matches("*/").trim()
            ));
            return true;
        }
        let (name, arguments) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        match name {
            "ref" | "relref" => line.text.push_str(arguments.trim().trim_matches(['"', '`'])),
            "highlight" => {
                line.text.push_str(&format!("```{}", arguments.split_whitespace().next().unwrap_or_default()))
            }
            "/highlight" => line.text.push_str("```"),
            _ if name.starts_with('/') => {}
            _ => {
                let tag = format!("<{name} {arguments}>");
                let label = Tag::read(&tag).and_then(|(tag, _)| tag.any(LABELS).map(str::to_owned));
                let only = arguments.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                let only = only.filter(|text| {
                    !text.contains('"') && matches!(name, "tab" | "alert" | "details" | "expand" | "card")
                });
                if let Some(label) = label.or_else(|| only.map(str::to_owned)) {
                    line.titles.push(label);
                }
            }
        }
        true
    }

    /// `{: #id .class }` of `MkDocs`: only the id of a heading says something.
    fn attributes(&mut self, line: &mut Line, rest: &str) -> bool {
        let mut near = rest.bytes().take(MAX_LINK_TEXT);
        let Some(end) =
            near.position(|byte| matches!(byte, b'}' | b'\n')).filter(|end| rest.as_bytes().get(*end) == Some(&b'}'))
        else {
            return false;
        };
        let inside = rest.get(1..end).unwrap_or_default();
        let list = inside.strip_prefix(':').unwrap_or(inside).trim();
        let is_attribute = |word: &str| word.starts_with(['#', '.']) || word.contains('=') && !word.contains('{');
        if list.is_empty() || !list.split_whitespace().next().is_some_and(is_attribute) {
            return false;
        }
        if let Some(id) = list.split_whitespace().find(|word| word.starts_with('#'))
            && line.text.trim_start().starts_with('#')
        {
            line.text.push_str(&format!("{{{id}}}"));
        }
        self.at += end + 1;
        true
    }

    /// The file that a line asks for. `Some("")`: there is none, and the line is of no use to readers.
    fn snippet(&mut self, line: &str) -> Option<String> {
        if let Some(rest) = line.strip_prefix("--8<--") {
            let name = rest.trim().trim_matches(['"', '\'']);
            if name.is_empty() || name.starts_with('[') || name.contains("://") {
                return Some(String::new());
            }
            let (name, part) = name.split_once(':').unwrap_or((name, ""));
            return Some(self.file(&format!("/{name}"), part, ["[start:", "[end:", "]"]));
        }
        if self.dialect.generator == Generator::MdBook
            && let Some(inside) = line.strip_prefix("{{#").and_then(|rest| rest.strip_suffix("}}"))
        {
            let mut words = inside.split_whitespace();
            let (command, name) = (words.next()?, words.next().unwrap_or_default());
            let includes = matches!(command, "include" | "rustdoc_include" | "playground");
            let (name, part) = name.split_once(':').unwrap_or((name, ""));
            return Some(if includes {
                self.file(name, part, ["ANCHOR: ", "ANCHOR_END: ", ""])
            } else {
                String::new()
            });
        }
        if self.dialect.generator == Generator::VitePress && self.fence.is_none() {
            if let Some(name) = line.strip_prefix("<!--@include:").and_then(|rest| rest.strip_suffix("-->")) {
                return Some(self.file(&vite_path(name.trim()), "", ["", "", ""]));
            }
            let name = line.strip_prefix("<<< ")?.split(['{', ' ']).next().unwrap_or_default();
            let (name, part) = name.split_once('#').unwrap_or((name, ""));
            let code = self.file(&vite_path(name), part, ["#region ", "#endregion ", ""]);
            let ending = name.rsplit('.').next().unwrap_or_default();
            return Some(if code.is_empty() { code } else { format!("````{ending}\n{}\n````", code.trim_end()) });
        }
        None
    }

    /// A part of a file, by its lines (`3:9`) or by the name that stands in its marks.
    fn file(&mut self, name: &str, part: &str, [start, end, close]: [&str; 3]) -> String {
        let Some(text) = self.open(name) else { return String::new() };
        let mut numbers = part.split(':').map(str::parse::<usize>);
        if let Some(Ok(first)) = numbers.next() {
            let last =
                numbers.next().and_then(Result::ok).unwrap_or(if part.contains(':') { usize::MAX } else { first });
            let first = first.max(1);
            return lines(text.lines().skip(first - 1).take(last.saturating_sub(first - 1)));
        }
        let has = |line: &str, mark: &str| {
            let name = line.split_once(mark).map(|(_, name)| name.trim_end_matches(['-', '>', '*', '/', ' ']));
            name.is_some_and(|name| name.trim() == format!("{part}{close}"))
        };
        let is_mark = |line: &str| !start.is_empty() && (line.contains(start) || line.contains(end));
        if part.is_empty() {
            return lines(text.lines().filter(|line| !is_mark(line)));
        }
        let inside = text.lines().skip_while(|line| !has(line, start)).skip(1);
        lines(inside.take_while(|line| !has(line, end)).filter(|line| !is_mark(line)))
    }

    /// Reads a file, as long as there is room. A leading `/` counts from the folder of the source.
    fn open(&mut self, name: &str) -> Option<String> {
        let text = (self.files)(&self.path_of(name))?;
        *self.left = self.left.checked_sub(text.len())?;
        Some(text.replace("\r\n", "\n"))
    }

    fn path_of(&self, name: &str) -> String {
        if name.starts_with("@site/") {
            return name.to_owned();
        }
        let here = self.paths.last().copied().unwrap_or_default();
        let from = if name.starts_with('/') { "" } else { split_path(here).0 };
        without_dots(&format!("/{from}{}", name.trim_start_matches('/'))).trim_start_matches('/').to_owned()
    }

    /// A partial as plain Markdown. One that leads to itself, or too deep, is left out.
    fn partial(&mut self, name: &str) -> Option<String> {
        let path = self.path_of(name);
        if self.paths.len() > MAX_DEPTH || self.paths.contains(&path.as_str()) {
            return None;
        }
        let text = self.open(name)?;
        let body = super::front_matter::split(&text, self.dialect.generator).map_or("", |(_, body)| body);
        let paths: Vec<&str> = self.paths.iter().copied().chain([path.as_str()]).collect();
        let dialect = Dialect::of(&path, self.dialect.generator);
        Some(Reader::new(body, dialect, self.files, self.left, &paths).read())
    }

    fn include_text(&mut self, text: &str, column: usize) {
        self.blank();
        for line in text.lines() {
            if !line.is_empty() {
                self.out.extend(std::iter::repeat_n(' ', column));
            }
            self.out.push_str(line);
            self.out.push('\n');
        }
        self.blank();
    }
}

/// What becomes of a line.
#[derive(Default)]
struct Line {
    text: String,
    /// Paragraphs of their own before it.
    titles: Vec<String>,
    /// Code before it.
    code: Vec<String>,
    /// Partials after it.
    included: Vec<String>,
    changed: bool,
    /// Where it begins in what is written.
    column: usize,
}

impl Line {
    /// A link whose text stands between tags on the same line.
    fn open_link(&mut self, tag: &Tag<'_>, after: &str, links: &mut Vec<String>) {
        let target = tag.any(TARGETS).filter(|target| !target.contains(char::is_whitespace));
        let ends_here = || {
            let near = after.get(..after.floor_char_boundary(MAX_LINK_TEXT)).unwrap_or_default();
            near.split('\n').next().is_some_and(|line| line.contains(&format!("</{}", tag.name)))
        };
        if let Some(target) = target.filter(|_| !tag.is_empty && ends_here()) {
            self.text.push('[');
            links.push(format!("{}\n]({target})", tag.name));
        }
    }

    fn close_link(&mut self, name: &str, links: &mut Vec<String>) {
        if let Some((_, target)) = links.last().and_then(|link| link.split_once('\n')).filter(|(own, _)| *own == name) {
            self.text.push_str(target);
            links.pop();
        }
    }
}

/// `<ParamField path="id" type="string">` of Mintlify, and its relatives.
fn parameter(tag: &Tag<'_>) -> Option<String> {
    if !matches!(tag.name, "ParamField" | "ResponseField") {
        return None;
    }
    let name = tag.any(&["path", "query", "body", "header", "name"])?;
    Some(tag.any(&["type"]).map_or_else(|| format!("`{name}`"), |kind| format!("`{name}` ({kind})")))
}

/// `:::note[Title]`, `::: tip Title`, and the line that ends them: an empty title.
fn admonition(text: &str) -> Option<String> {
    let rest = text.trim_start_matches(':');
    if text.len() - rest.len() < 3 {
        return None;
    }
    let rest = rest.trim();
    let (kind, rest) = rest.split_at(rest.find(|c: char| !(c.is_alphanumeric() || c == '-')).unwrap_or(rest.len()));
    if kind.is_empty() {
        return (rest.is_empty() || rest.starts_with('{')).then(String::new);
    }
    let bracketed = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(title, _)| title);
    let title = bracketed.unwrap_or_else(|| rest.split('{').next().unwrap_or_default()).trim();
    Some(match title {
        _ if SILENT.contains(&kind) => String::new(),
        "" => capitalised(kind),
        title => title.to_owned(),
    })
}

/// The fence that a line opens, also in a list or a quotation.
fn fence(line: &str) -> Option<Fence> {
    let mut text = line.trim_start_matches([' ', '\t', '>']);
    let marker = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let item = marker.strip_prefix(['.', ')', '-', '*', '+']).filter(|after| after.starts_with([' ', '\t']));
    if let Some(after) = item {
        text = after.trim_start();
    }
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = text.trim_start_matches(mark);
    let len = text.len() - info.len();
    (len >= 3 && !(mark == '`' && info.contains('`'))).then_some(Fence { mark, len, shift: 0, is_code: true })
}

/// Columns before the first word; a tab goes to the next multiple of four.
fn indentation(line: &str) -> usize {
    let mut column = 0;
    for byte in line.bytes() {
        match byte {
            b' ' => column += 1,
            b'\t' => column += 4 - column % 4,
            _ => break,
        }
    }
    column
}

/// The line without so many columns of its indentation.
fn push_shifted(out: &mut String, line: &str, shift: usize) {
    let mut column = 0;
    for (at, byte) in line.bytes().enumerate() {
        if column >= shift || !matches!(byte, b' ' | b'\t') {
            out.extend(std::iter::repeat_n(' ', column.saturating_sub(shift)));
            out.push_str(line.get(at..).unwrap_or_default());
            return;
        }
        column += if byte == b'\t' { 4 - column % 4 } else { 1 };
    }
}

fn vite_path(name: &str) -> String {
    name.strip_prefix('@').unwrap_or(name).to_owned()
}

fn is_void(name: &str) -> bool {
    matches!(name, "br" | "hr" | "img" | "input" | "source" | "track" | "p" | "li" | "a" | "link" | "meta")
}

fn oneline(text: &str) -> Cow<'_, str> {
    if text.contains('\n') {
        Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
    } else {
        Cow::Borrowed(text)
    }
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(path: &str, generator: Generator, source: &str) -> String {
        let files = |path: &str| match path {
            "parts/_p.mdx" => Some("---\ntitle: P\n---\nimport Q from '../_q.mdx'\n\npart <Q />\n".to_owned()),
            "_q.mdx" => Some("import P from './parts/_p.mdx'\n\n<P />inner\n".to_owned()),
            "docs/x.md" => Some("a\n<!-- --8<-- [start:one] -->\nb\n<!-- --8<-- [end:one] -->\nc\n".to_owned()),
            "x.rs" => Some("// ANCHOR: one\nfn one() {}\n// ANCHOR_END: one\nfn two() {}\n".to_owned()),
            _ => None,
        };
        plain(source, path, Dialect::of(path, generator), &files).into_owned()
    }

    fn check(path: &str, generator: Generator, cases: &[(&str, &str)]) {
        for (source, expected) in cases {
            let mut found = read(path, generator, source);
            while found.contains("\n\n\n") {
                found = found.replace("\n\n\n", "\n\n");
            }
            assert_eq!(found.trim_matches('\n'), *expected, "{source}");
        }
    }

    #[test]
    fn of_mdx_the_words_stay_and_the_layout_goes() {
        check(
            "a.mdx",
            Generator::Docusaurus,
            &[
                ("import { Tabs } from '@theme/Tabs';\nimport {\n  A,\n  B,\n} from \"x\"\n\n# T\n", "# T"),
                ("export const a = {\n  b: '}',\n};\n\ntext {a.b} and {'words'}{\" \"}here", "text  and words here"),
                ("import the module, then export it", "import the module, then export it"),
                ("export const code = `let a;`;\n\n<CodeBlock code={code} lang=\"js\" />", "````js\nlet a;\n````"),
                ("a {/* gone */}b\n\n{/*\n\ngone\n*/}\n\n## H {/* #own */}", "a b\n\n## H {#own}"),
                ("## H {#own}", "## H {#own}"),
                (
                    "<Tabs>\n  <TabItem value=\"a\" label=\"On A\">\n\n    Text.\n\n    ```js\n      if (a < b) { <C /> }\n    ```\n  </TabItem>\n</Tabs>\nafter",
                    "**On A**\n\nText.\n\n```js\n  if (a < b) { <C /> }\n```\n\nafter",
                ),
                (
                    "1. One\n\n    <Note title=\"N\">\n    inside\n    </Note>\n\n2. Two",
                    "1. One\n\n    **N**\n\n    inside\n\n2. Two",
                ),
                ("<Card title=\"X\" href=\"/x\" icon=\"y\">\n  About x.\n</Card>", "**[X](/x)**\n\nAbout x."),
                (
                    "See <Link to=\"/x\">the *page*</Link>, <Badge text=\"new\" /> and <Icon name=\"star\" />.",
                    "See [the *page*](/x), new and .",
                ),
                (
                    "<ParamField path=\"id\" type=\"string\">\n  Its name.\n</ParamField>",
                    "**`id` (string)**\n\nIts name.",
                ),
                (
                    "<div style={{a: 1}}><p className=\"b\">text</p><br/></div>\n<img alt=\"I\" src=\"i.png\" />",
                    "text<br/>\n![I](i.png)",
                ),
                ("<>a</> `<B>{c}` 1 < 2 <https://x.dev> {open", "a `<B>{c}` 1 < 2 <https://x.dev> {open"),
                ("````mdx-code-block\n<A>\ntext\n</A>\n````", "<A>\ntext\n</A>"),
                ("$x^{2}$ is \\{kept}", "$x^$ is \\{kept}"),
            ],
        );
        check("a.md", Generator::Docusaurus, &[("Use {name} in <Tabs>it</Tabs>.", "Use {name} in it.")]);
        check("a.md", Generator::Plain, &[("Use {name} in <Tabs>it</Tabs>.", "Use {name} in <Tabs>it</Tabs>.")]);
    }

    #[test]
    fn partials_are_taken_in_once_and_never_inside_themselves() {
        let page =
            "import P from './parts/_p.mdx';\nimport X from './missing.mdx';\n\n# T\n\n<P />\n\n<X title=\"kept\" />\n";
        check("a.mdx", Generator::Docusaurus, &[(page, "# T\n\npart\n\ninner\n\n**kept**")]);
    }

    #[test]
    fn admonitions_tabs_and_shortcodes_keep_their_titles() {
        check(
            "a.md",
            Generator::Plain,
            &[
                (":::note[Mind *this*]\ntext\n:::\nmore", "**Mind *this***\n\ntext\n\nmore"),
                ("::: tip\ntext\n:::\n\n::: details Look {open}\nx\n:::", "**Tip**\n\ntext\n\n**Look**\n\nx"),
                ("::: code-group\n```js [a]\n:::\n```\n:::", "```js [a]\n:::\n```"),
                (
                    "!!! note \"T\"\n    in\n\n        code\n\n    === \"Tab\"\n        deep\n\nout",
                    "**T**\n\nin\n\n    code\n\n**Tab**\n\ndeep\n\nout",
                ),
                (
                    "??? warning\n    ```py\n    if x:\n        y\n    ```\nout",
                    "**Warning**\n\n```py\nif x:\n    y\n```\n\nout",
                ),
                ("Why !!! note? === \"no\"", "Why !!! note? === \"no\""),
                (
                    "{{< tab \"Linux\" >}}\ntext\n{{% /tab %}} [a]({{< ref \"/b.md\" >}}) {{< figure src=\"x\" >}}",
                    "**Linux**\n\ntext\n[a](/b.md)",
                ),
                ("<script setup>\nlet a\n\nlet b\n</script>\n\n# T", "# T"),
            ],
        );
    }

    #[test]
    fn snippets_are_taken_in_in_the_notation_of_each_generator() {
        check(
            "g/a.md",
            Generator::MkDocs,
            &[
                (
                    "--8<-- \"docs/x.md:one\"\n\n```\n--8<-- \"docs/x.md:1:1\"\n```\n--8<-- \"missing.md\"",
                    "b\n\n```\na\n```",
                ),
                ("## H { #own .x }\n[a](b){ .button } {: .y }and {x}", "## H {#own}\n[a](b) and {x}"),
            ],
        );
        check(
            "a.md",
            Generator::MdBook,
            &[("```rust\n{{#include x.rs:one}}\n```\n{{#title T}}", "```rust\nfn one() {}\n```")],
        );
        check(
            "g/a.md",
            Generator::VitePress,
            &[("<<< @/x.rs{2}", "````rs\n// ANCHOR: one\nfn one() {}\n// ANCHOR_END: one\nfn two() {}\n````")],
        );
    }

    proptest! {
        #[test]
        fn no_input_fails_and_code_survives_byte_for_byte(
            before in "([a-z ]{0,8}|[<>{}/`:!=\"'\n\\\\#*-]|<A b=\"c\">|</A>|\\{/\\*|:::n\n|!!! n\n){0,30}",
            code in "([a-z<>{}/:!=\"' \t\n-]){0,60}",
        ) {
            for generator in Generator::ALL {
                for path in ["a.md", "a.mdx"] {
                    read(path, *generator, &before);
                    let page = format!("# T\n\n<A title=\"x\">\n\n~~~~js\n{code}\n~~~~\n\n</A>\n\n{before}");
                    let found = read(path, *generator, &page);
                    let fence = format!("~~~~js\n{code}\n~~~~\n");
                    prop_assert!(found.contains(&fence) || code.contains("--8<--"), "{found}");
                }
            }
        }
    }
}
