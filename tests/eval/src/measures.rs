//! What the numbers mean, apart from how they are computed.

/// A measure: its name is what tables, gates and files call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// As `nDCG@10`.
    pub name: String,
    /// What it tells, in a sentence; with where its rule comes from.
    pub meaning: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What its numbers are.
    pub unit: Unit,
}

/// Which way a measure gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// What the numbers of a measure are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// From 0 to 1.
    Share,
    /// From −1 to 1.
    Score,
    /// Milliseconds. Never part of a default gate.
    Milliseconds,
    /// US dollars.
    Dollars,
}
