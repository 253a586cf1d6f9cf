//! A passage of Markdown to what an answer can be made of: sentences, list items, table rows and
//! blocks of code, in their order and free of links and markup that mean nothing alone.

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sentence,
    Item,
    Row,
    /// Fenced, as it stands in the passage.
    Code,
}

/// A part of a passage that can stand in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// The units of a passage.
pub(crate) fn units(markdown: &str) -> Vec<Unit> {
    let mut reader = Reader::default();
    for line in markdown.lines() {
        reader.line(line);
    }
    reader.end_block();
    reader.end_code();
    reader.units
}

#[derive(Default)]
struct Reader {
    units: Vec<Unit>,
    /// Lines of the paragraph or item that is being read.
    block: String,
    in_item: bool,
    code: Option<Code>,
}

struct Code {
    fence: String,
    text: String,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if let Some(code) = &mut self.code {
            code.text.push('\n');
            code.text.push_str(line);
            if trimmed.starts_with(&code.fence) && trimmed.chars().all(|c| code.fence.contains(c)) {
                self.end_code();
            }
            return;
        }
        if let Some(fence) = fence(trimmed) {
            self.end_block();
            self.code = Some(Code { fence, text: line.to_owned() });
        } else if trimmed.is_empty() || is_furniture(trimmed) {
            self.end_block();
        } else if trimmed.starts_with('|') {
            self.end_block();
            self.row(trimmed);
        } else if let Some(item) = item(trimmed) {
            self.end_block();
            self.in_item = true;
            self.block.push_str(item);
        } else {
            if !self.block.is_empty() {
                self.block.push(' ');
            }
            self.block.push_str(trimmed.trim_start_matches(['>', ' ']));
        }
    }

    fn end_block(&mut self) {
        let text = plain(&std::mem::take(&mut self.block));
        let item = std::mem::take(&mut self.in_item);
        if item && !text.is_empty() {
            self.units.push(Unit { kind: Kind::Item, text });
        } else {
            let sentences = sentences(&text).into_iter().map(|text| Unit { kind: Kind::Sentence, text });
            self.units.extend(sentences);
        }
    }

    fn end_code(&mut self) {
        if let Some(Code { fence, text }) = self.code.take() {
            let text = dedent(&text);
            // The passage may have been cut inside; a fence that stays open would swallow the answer.
            let closed = text.lines().skip(1).last().is_some_and(|last| last.trim() == fence);
            let text = if closed { text } else { format!("{text}\n{fence}") };
            self.units.push(Unit { kind: Kind::Code, text });
        }
    }

    fn row(&mut self, line: &str) {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| plain(cell.trim())).collect();
        let delimiter = cells.iter().all(|cell| cell.chars().all(|c| matches!(c, '-' | ':')));
        let mut cells = cells.into_iter().filter(|cell| !cell.is_empty());
        let first = cells.next().unwrap_or_default();
        let rest = cells.collect::<Vec<_>>().join("; ");
        let text = if rest.is_empty() { first } else { format!("{first}: {rest}") };
        if !delimiter && !text.is_empty() {
            self.units.push(Unit { kind: Kind::Row, text });
        }
    }
}

fn fence(line: &str) -> Option<String> {
    let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == sign).count();
    (length >= 3).then(|| sign.to_string().repeat(length))
}

/// Headings, rules, and the first lines of notes say nothing by themselves.
fn is_furniture(line: &str) -> bool {
    let bare = line.trim_start_matches(['>', ' ']);
    line.starts_with('#')
        || ["!!!", "???", ":::", "[!"].iter().any(|mark| bare.starts_with(mark))
        || line.chars().all(|c| matches!(c, '-' | '*' | '_' | '='))
        || (line.starts_with('<') && line.ends_with('>'))
}

fn item(line: &str) -> Option<&str> {
    if let Some(item) = ["- ", "* ", "+ "].iter().find_map(|mark| line.strip_prefix(mark)) {
        return Some(item);
    }
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == line.len() {
        return None;
    }
    rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") "))
}

/// Text without links, pictures, tags and emphasis; code stays.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut in_code = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (taken, skipped) = if c == '`' {
            in_code = !in_code;
            (Some("`"), 1)
        } else if in_code {
            (rest.get(..c.len_utf8()), c.len_utf8())
        } else {
            markup(rest).unwrap_or((rest.get(..c.len_utf8()), c.len_utf8()))
        };
        out.push_str(taken.unwrap_or_default());
        rest = rest.get(skipped..).unwrap_or_default();
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Markup at the beginning of `text`: what to show of it, and how long it is.
fn markup(text: &str) -> Option<(Option<&str>, usize)> {
    if let Some(picture) = text.strip_prefix("![") {
        return link(picture).map(|(_, length)| (None, length + 2));
    }
    if let Some(inside) = text.strip_prefix('[') {
        return link(inside).map(|(label, length)| (Some(label), length + 1));
    }
    if let Some(mark) = ["**", "__", "~~"].into_iter().find(|mark| text.starts_with(mark)) {
        return Some((None, mark.len()));
    }
    let tag = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    if let Some((name, _)) = tag
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'))
        && name.len() < 200
    {
        return Some((None, name.len() + 2));
    }
    // `{ #anchor }` behind a heading or a term.
    let attribute = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    attribute.filter(|(name, _)| name.trim_start().starts_with(['#', '.', ':'])).map(|(name, _)| (None, name.len() + 2))
}

/// `label](target)` or `label][reference]`: the label, and how long it all is.
fn link(inside: &str) -> Option<(&str, usize)> {
    let (label, rest) = inside.split_once(']')?;
    let close = match rest.chars().next()? {
        '(' => ')',
        '[' => ']',
        _ => return None,
    };
    let end = rest.find(close)?;
    Some((label, label.len() + 1 + end + 1))
}

/// Cuts a paragraph behind full stops, question and exclamation marks.
fn sentences(paragraph: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    let mut in_code = false;
    let words: Vec<&str> = paragraph.split(' ').collect();
    for (at, word) in words.iter().enumerate() {
        let Some(sentence) = sentences.last_mut() else { break };
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
        in_code ^= word.matches('`').count() % 2 == 1;
        let next_begins = words.get(at + 1).is_none_or(|next| !next.starts_with(|c: char| c.is_lowercase()));
        let bare = word.trim_end_matches(['"', '\'', ')', '*', '`']);
        let abbreviation = ["e.g.", "i.e.", "etc.", "vs.", "cf."].iter().any(|short| bare.ends_with(short));
        if !in_code && bare.ends_with(['.', '!', '?']) && next_begins && !abbreviation {
            sentences.push(String::new());
        }
    }
    sentences.retain(|sentence| !sentence.trim().is_empty());
    sentences
}

/// Takes away the indentation that all lines share, as code inside a list has it.
fn dedent(code: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let shared = code.lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let lines: Vec<&str> = code.lines().map(|line| line.get(shared..).unwrap_or_default()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_becomes_sentences_items_rows_and_code() {
        let markdown = "## Heading { #h }\n\nRun [`uv sync`](./sync.md), e.g. after a **pull**. It is\nfast!\n\n\
                        1. First `a. B` step\n   goes on\n- Second\n\n| A | B |\n|---|:-:|\n| `x` | y |\n\n    ```console\n    $ uv sync\n    ```\n\
                        !!! note\n\n    See ![x](y.png) the docs.";
        let found: Vec<(Kind, String)> = units(markdown).into_iter().map(|unit| (unit.kind, unit.text)).collect();
        let expected = [
            (Kind::Sentence, "Run `uv sync`, e.g. after a pull."),
            (Kind::Sentence, "It is fast!"),
            (Kind::Item, "First `a. B` step goes on"),
            (Kind::Item, "Second"),
            (Kind::Row, "A: B"),
            (Kind::Row, "`x`: y"),
            (Kind::Code, "```console\n$ uv sync\n```"),
            (Kind::Sentence, "See the docs."),
        ];
        assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn code_that_was_cut_is_closed() {
        assert_eq!(units("```sh\nx").last().unwrap().text, "```sh\nx\n```");
    }
}
