//! Does something again whenever a file below the sources changes.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use notify::{Event, EventKind, RecursiveMode, Watcher as _};

use crate::source::{Location, Source};

/// Editors write a file in several steps, and a checkout many files: it is quiet that long before
/// anything is done.
const QUIET: Duration = Duration::from_millis(100);

/// Why nothing can be watched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    /// Nothing here changes by itself.
    #[error("there is nothing to watch: only files and folders on this machine can be")]
    Nothing,
    /// The system refuses.
    #[error("cannot watch for changes: {0}")]
    Refused(#[from] notify::Error),
}

/// Calls `again` after every change, until the program is interrupted.
#[allow(clippy::print_stderr)] // the program's own output
pub(crate) fn on_change(sources: &[Source], mut again: impl FnMut()) -> Result<(), WatchError> {
    let roots: Vec<PathBuf> = sources
        .iter()
        .filter_map(|source| match &source.location {
            Location::Path(path) => Some(path.clone()),
            Location::Web(_) => None,
        })
        .collect();
    if roots.is_empty() {
        return Err(WatchError::Nothing);
    }
    let (sender, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // Reading a file is an event as well, and would have us go round for ever.
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            let _ = sender.send(());
        }
    })?;
    for root in &roots {
        watcher.watch(root, RecursiveMode::Recursive)?;
    }
    eprintln!("docent: watching; Ctrl-C ends it");
    while changes.recv().is_ok() {
        while changes.recv_timeout(QUIET).is_ok() {}
        again();
    }
    Ok(())
}
