//! How far the work is: a bar with rate and time left on a terminal, one line for every stage where
//! the output goes to a file or to a job's log.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

/// What is shown on standard error.
pub(crate) enum Shown {
    /// Nothing.
    Quiet,
    /// Where nobody looks at it while it happens: the stage that was named last.
    Lines(Mutex<String>),
    /// On a terminal.
    Bar(ProgressBar),
}

impl Shown {
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Mutex::default());
        }
        let bar = ProgressBar::no_length();
        bar.set_style(Self::style(false));
        Self::Bar(bar)
    }

    fn style(has_length: bool) -> ProgressStyle {
        let template =
            if has_length { "{msg} {wide_bar} {pos}/{len}  {per_sec}  {eta} left" } else { "{msg} {spinner}" };
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }

    #[allow(clippy::print_stderr)] // the program's own output
    pub(crate) fn show(&self, stage: &str, done: usize, all: usize) {
        match self {
            Self::Quiet => {}
            Self::Lines(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if *last != stage {
                    stage.clone_into(&mut last);
                    eprintln!("docent: {stage}");
                }
            }
            Self::Bar(bar) => {
                if bar.message() != stage {
                    bar.reset();
                    bar.set_style(Self::style(all > 0));
                    bar.set_message(stage.to_owned());
                }
                if all > 0 {
                    bar.set_length(all as u64);
                    bar.set_position(done as u64);
                }
                bar.tick();
            }
        }
    }

    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
