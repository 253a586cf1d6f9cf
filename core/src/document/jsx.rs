//! Tags, braces and modules of MDX: where each ends, and what of it is text.
//!
//! Nothing here fails. What does not parse is text, and what is never closed is looked for only so far.

/// A tag or an expression longer than this is taken for text.
const MAX_BYTES: usize = 256 * 1024;

/// An opening, closing or empty tag.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// Empty for a fragment.
    pub(super) name: &'a str,
    pub(super) closes: bool,
    /// `<Name />`
    pub(super) is_empty: bool,
    /// Attributes whose value is text as it stands there.
    attributes: Vec<(&'a str, &'a str)>,
    /// Attributes whose value is an expression.
    computed: Vec<(&'a str, &'a str)>,
}

impl<'a> Tag<'a> {
    /// The tag that the text begins with, and its length.
    pub(super) fn read(text: &'a str) -> Option<(Self, usize)> {
        let mut rest = text.strip_prefix('<')?;
        let mut tag = Self::default();
        if let Some(after) = rest.strip_prefix('/') {
            (tag.closes, rest) = (true, after);
        }
        (tag.name, rest) = split_at(rest, |c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '$')));
        if tag.name.starts_with(|c: char| !c.is_alphabetic()) || tag.name.ends_with(':') {
            return None;
        }
        loop {
            rest = rest.trim_start();
            if text.len() - rest.len() > MAX_BYTES {
                return None;
            }
            if let Some(after) = rest.strip_prefix('>') {
                return Some((tag, text.len() - after.len()));
            }
            if let Some(after) = rest.strip_prefix("/>") {
                tag.is_empty = true;
                return Some((tag, text.len() - after.len()));
            }
            rest = if rest.starts_with('{') { rest.get(braces(rest)?..)? } else { tag.attribute(rest)? };
        }
    }

    /// Reads an attribute off, and gives what is left.
    fn attribute(&mut self, text: &'a str) -> Option<&'a str> {
        if self.name.is_empty() {
            return None;
        }
        let (name, after) =
            split_at(text, |c| c.is_whitespace() || matches!(c, '=' | '>' | '/' | '{' | '"' | '\'' | '<'));
        if name.is_empty() {
            return None;
        }
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else { return Some(after) };
        match value.chars().next()? {
            quote @ ('"' | '\'') => {
                let (value, after) = value.get(1..)?.split_once(quote)?;
                self.attributes.push((name, value));
                Some(after)
            }
            '{' => {
                let len = braces(value)?;
                let inside = value.get(1..len - 1)?.trim();
                match literal(inside) {
                    Some(text) => self.attributes.push((name, text)),
                    None => self.computed.push((name, inside)),
                }
                value.get(len..)
            }
            _ => {
                let (value, after) = split_at(value, |c| c.is_whitespace() || matches!(c, '>' | '<' | '"' | '\''));
                self.attributes.push((name, value));
                Some(after)
            }
        }
    }

    /// The first of these attributes that says something.
    pub(super) fn any(&self, names: &[&str]) -> Option<&'a str> {
        let value = |name: &&str| self.attributes.iter().find_map(|(own, value)| (own == name).then_some(*value));
        names.iter().filter_map(value).find(|value| !value.trim().is_empty())
    }

    /// The expression that an attribute is.
    pub(super) fn computed(&self, name: &str) -> Option<&'a str> {
        self.computed.iter().find_map(|(own, value)| (*own == name).then_some(*value))
    }

    /// Whether an attribute is an expression.
    pub(super) fn has_computed(&self) -> bool {
        !self.computed.is_empty()
    }

    /// Whether it is an element of HTML, and no component.
    pub(super) fn is_html(&self) -> bool {
        self.name.starts_with(|c: char| c.is_ascii_lowercase()) && !self.name.contains('.')
    }
}

fn split_at(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// The text of an expression that is nothing but a text: `"a"`, `'a'`, `` `a` ``.
pub(super) fn literal(expression: &str) -> Option<&str> {
    let expression = expression.trim();
    let quote = expression.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let inside = expression.get(1..)?.strip_suffix(quote)?;
    (!inside.contains(quote) && !inside.contains("${")).then_some(inside)
}

/// Length of the expression that the text begins with, both braces included.
pub(super) fn braces(text: &str) -> Option<usize> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, depth: 0 };
    while scan.at < scan.bytes.len().min(MAX_BYTES) {
        scan.step();
        if scan.depth == 0 {
            return Some(scan.at);
        }
    }
    None
}

/// Steps through JavaScript, one character, text or comment at a time, and counts open brackets.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Scan<'_> {
    fn step(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += match rest {
            [b'/', b'/', ..] if self.at > 0 && self.bytes.get(self.at - 1) != Some(&b':') => {
                rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
            }
            [b'/', b'*', ..] => find(rest, b"*/").map_or(rest.len(), |end| end + 2),
            [quote @ (b'"' | b'\'' | b'`'), ..] => quoted(rest, *quote),
            [b'{' | b'(' | b'[', ..] => {
                self.depth += 1;
                1
            }
            [b'}' | b')' | b']', ..] => {
                self.depth = self.depth.saturating_sub(1);
                1
            }
            _ => 1,
        };
    }
}

/// Length of a quoted text. An apostrophe in the words between tags opens none: it would have to end
/// on its line.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'\n' if quote != b'`' => return 1,
            byte if *byte == quote => return at + 1,
            _ => {}
        }
    }
    1
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Length of the `import` or `export` that the text begins with, its line end included.
pub(super) fn module(text: &str) -> Option<usize> {
    let is_import = text.strip_prefix("import").is_some_and(|rest| rest.starts_with([' ', '{', '"', '\'', '*']));
    let words = ["const ", "let ", "var ", "function ", "default ", "async ", "class ", "{", "*"];
    let is_export =
        text.strip_prefix("export ").is_some_and(|rest| words.iter().any(|word| rest.trim_start().starts_with(word)));
    if !is_import && !is_export {
        return None;
    }
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, depth: 0 };
    while scan.at < scan.bytes.len().min(MAX_BYTES) {
        if scan.depth == 0 && scan.bytes.get(scan.at) == Some(&b'\n') && !goes_on(scan.bytes, scan.at) {
            scan.at += 1;
            return (is_export || names_a_module(text.get(..scan.at)?)).then_some(scan.at);
        }
        scan.step();
    }
    let whole = scan.depth == 0 && scan.at == text.len() && (is_export || names_a_module(text));
    whole.then_some(text.len())
}

/// Whether the statement has more lines: `export const a =`, and JSX that begins on the next one.
fn goes_on(bytes: &[u8], end: usize) -> bool {
    let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
    matches!(line.last(), Some(b'=' | b',' | b'?' | b':' | b'+' | b'|' | b'&' | b'(')) || line.ends_with(b"=>")
}

/// English sentences begin with "import" too.
fn names_a_module(statement: &str) -> bool {
    let end = statement.trim_end().trim_end_matches(';');
    let quoted = end.ends_with(['"', '\'']);
    quoted
        && (statement.contains("from")
            || statement.get(6..).is_some_and(|rest| rest.trim_start().starts_with(['"', '\''])))
}

/// Name and text of `export const name = "text"`.
pub(super) fn constant(statement: &str) -> Option<(&str, &str)> {
    let (name, value) = statement.strip_prefix("export const ")?.split_once('=')?;
    Some((name.trim(), literal(value.trim().trim_end_matches(';'))?))
}

/// Name and file of `import Name from './file.mdx'`.
pub(super) fn partial(statement: &str) -> Option<(&str, &str)> {
    let (name, rest) = statement.strip_prefix("import ")?.split_once(" from ")?;
    let file = rest.trim().trim_end_matches(';').trim_matches(['"', '\'']);
    let is_name = name.trim().chars().all(char::is_alphanumeric);
    let is_markdown = file.rsplit('.').next().is_some_and(|ending| matches!(ending, "md" | "mdx"));
    (is_name && is_markdown).then_some((name.trim(), file))
}
