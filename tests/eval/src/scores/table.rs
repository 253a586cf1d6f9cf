//! Scores as a person reads them.

use std::fmt;

use crate::measures::{self, Unit};
use crate::scores::{Estimate, Scores};

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} questions", printable(&self.run.label), self.questions.len())?;
        writeln!(f, "vectors {}, answers {}", printable(&self.run.embedder), printable(&self.run.answerer))?;
        table(f, &self.all)?;
        for (tag, estimates) in &self.tags {
            writeln!(f, "\n{}", printable(tag))?;
            table(f, estimates)?;
        }
        Ok(())
    }
}

fn table(f: &mut fmt::Formatter<'_>, estimates: &[(String, Estimate)]) -> fmt::Result {
    let width = estimates.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("measure".len());
    writeln!(f, "{:width$}  {:>9}  {:>22}  {:>5}", "measure", "value", "95 % interval", "n")?;
    for (name, estimate) in estimates {
        let number = |value: f64| written(name, value);
        let interval = format!("{} to {}", number(estimate.low), number(estimate.high));
        writeln!(f, "{name:width$}  {:>9}  {interval:>22}  {:>5}", number(estimate.value), estimate.n)?;
    }
    Ok(())
}

/// With the digits that its unit is worth.
fn written(name: &str, value: f64) -> String {
    match measures::parse(name).map(|measure| measure.unit) {
        Ok(Unit::Milliseconds) => format!("{value:.0} ms"),
        Ok(Unit::Dollars) => format!("${value:.5}"),
        _ => format!("{value:.4}"),
    }
}

/// Labels and tags come from files, and a terminal must not obey them.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}
