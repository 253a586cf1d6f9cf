//! Numbers, tables and other people's text as they stand in a terminal and in Markdown.

use crate::measures::{self, Unit};

/// A number of a measure: three digits of a share, whole milliseconds, dollars to a tenth of a cent's
/// hundredth.
pub fn number(measure: &str, value: f64) -> String {
    let value = value + 0.0; // −0 becomes 0
    match unit(measure) {
        Unit::Share | Unit::Score => format!("{value:.3}"),
        Unit::Milliseconds => format!("{value:.0} ms"),
        Unit::Dollars => format!("${value:.6}"),
    }
}

/// A difference of a measure, with its sign; a difference of nothing has none.
pub fn difference(measure: &str, value: f64) -> String {
    let written = number(measure, value.abs());
    let is_zero = !written.chars().any(|digit| ('1'..='9').contains(&digit));
    let sign = if is_zero {
        ""
    } else if value < 0.0 {
        "−"
    } else {
        "+"
    };
    format!("{sign}{written}")
}

/// A chance: three digits, and below that only that it is.
pub fn chance(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// The unit of a measure. Those that this program does not know are scores: a file may have them.
pub fn unit(measure: &str) -> Unit {
    measures::parse(measure).map_or(Unit::Score, |measure| measure.unit)
}

/// A table of text.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Heads of the columns.
    pub head: Vec<String>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|it| (*it).to_owned()).collect(), rows: Vec::new() }
    }

    /// For a terminal: the first column to the left, the others to the right, which numbers want.
    pub fn plain(&self) -> String {
        let cleaned = |row: &Vec<String>| -> Vec<String> { row.iter().map(|cell| line(cell)).collect() };
        let rows: Vec<Vec<String>> = std::iter::once(&self.head).chain(&self.rows).map(cleaned).collect();
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let cell = |(column, (cell, width)): (usize, (&String, &usize))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        let row = |row: &Vec<String>| {
            let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        rows.iter().map(row).collect()
    }

    /// For Markdown. What is in the cells is escaped.
    pub fn markdown(&self) -> String {
        let row = |cells: &Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = self.head.iter().enumerate().map(|(column, _)| if column == 0 { "---" } else { "---:" });
        let rule = format!("|{}|\n", rule.collect::<Vec<_>>().join("|"));
        let rows: String = self.rows.iter().map(row).collect();
        format!("{}{rule}{rows}", row(&self.head))
    }
}

/// Text on one line, without what a terminal would obey.
pub fn line(text: &str) -> String {
    let kept = text.split_whitespace().collect::<Vec<_>>().join(" ");
    kept.chars().filter(|c| !c.is_control()).collect()
}

/// Text of several lines, without what a terminal would obey.
pub fn block(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The beginning of a text, on one line.
pub fn short(text: &str, characters: usize) -> String {
    let text = line(text);
    if text.chars().count() <= characters {
        return text;
    }
    let kept: String = text.chars().take(characters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Other people's text within Markdown: nothing of it is markup, a link, HTML or a mention.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in line(text).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '|' | '!' | '$' => escaped.extend(['\\', c]),
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            // Only behind a blank or bracket is it a mention; `nDCG@10` stays readable.
            '@' if !escaped.ends_with(|before: char| before.is_alphanumeric()) => escaped += "&#64;",
            // Addresses become links by themselves.
            ':' if ["http", "https"].iter().any(|scheme| escaped.ends_with(scheme)) => escaped += "&#58;",
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Other people's text as a block of its own, with a fence that is not in it.
pub fn fenced(text: &str) -> String {
    let text = block(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_text_is_no_markdown() {
        let nasty = "a | b\n<img src=x> *b* [x](https://evil.example) @team `c` \u{1b}[31m";
        let escaped = "a \\| b &lt;img src=x&gt; \\*b\\* \\[x\\](https&#58;//evil.example) &#64;team \\`c\\` \\[31m";
        assert_eq!(escape(nasty), escaped);
        assert_eq!(escape("nDCG@10"), "nDCG@10");
        assert_eq!(fenced("```\nrm\n```"), "````text\n```\nrm\n```\n````\n");
    }

    #[test]
    fn numbers_are_written_in_their_unit() {
        assert_eq!(number("nDCG@10", 0.12345), "0.123");
        assert_eq!(number("last:median", 1234.4), "1234 ms");
        assert_eq!(difference("RR", -0.0501), "−0.050");
        assert_eq!(difference("RR", -0.000_01), "0.000");
        assert_eq!(chance(0.0002), "<0.001");
    }
}
