//! What goes to stdout.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _, stdout};

/// Writes results. A reader that has seen enough and closes the pipe (`| head`) is no failure.
pub(crate) fn show(results: impl Display) {
    let mut out = stdout().lock();
    if let Err(error) = write!(out, "{results}").and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("docent-eval: cannot write to stdout: {error}");
    }
}
