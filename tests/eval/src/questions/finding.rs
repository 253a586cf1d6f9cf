//! What is wrong with a file of questions, where, and what to do; shown as compilers show it, so that
//! editors find the line.

use std::fmt;

use serde::Serialize;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// From 1, where it is known.
    pub line: Option<usize>,
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// Id of the question, where it is about one.
    pub question: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

/// Whether a file can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Numbers made from this file would be wrong.
    Fault,
    /// Probably a mistake.
    Warning,
    /// Good to know.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fault => "fault",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}: ", self.severity)?;
        if let Some(question) = &self.question {
            write!(f, "{question}: ")?;
        }
        // The file may hold anything; a terminal must not obey it.
        f.write_str(&self.message.replace(|c: char| c.is_control(), " "))
    }
}
