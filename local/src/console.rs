//! Lines for whoever started the program.

use std::io::Write as _;

/// Writes a line to the standard error. Nobody reading it any more is no reason to end:
/// `eprintln!` would panic then.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
