//! The files below a folder that documentation may be in.

use std::path::{Path, PathBuf};

use docent_core::document::{Generator, Site};
use globset::{Glob, GlobSet, GlobSetBuilder};
use ignore::{DirEntry, WalkBuilder};

use crate::report::Failure;
use crate::source::{Keeps, Outcome};

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Below the folder it was found in, with `/`.
    pub path: String,
    /// Where it is.
    pub location: PathBuf,
    /// What it may be.
    pub kind: Kind,
}

/// What a file may be, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A page.
    Page,
    /// A description of an API, if it says so inside.
    Api {
        /// Somebody named this very file, so it has to be one.
        named: bool,
    },
}

/// A place on this machine: a file, a folder, or a pattern of files below a folder.
pub struct Place {
    /// The file or folder; of a pattern, what stands before the first part with a wildcard.
    pub root: PathBuf,
    include: Option<GlobSet>,
    exclude: GlobSet,
}

/// A pattern that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is no pattern: {reason}; write one like guides/**/*.md")]
pub struct BadPattern {
    pattern: String,
    reason: String,
}

impl Place {
    /// A path with `*`, `?`, `[` or `{` in it is a pattern, unless there is a file of that name.
    /// `exclude` holds patterns of files and folders below it.
    pub fn new(path: &Path, exclude: &[String]) -> Result<Self, BadPattern> {
        let exclude = globs(exclude)?;
        let has_wildcard = |part: &std::ffi::OsStr| part.to_string_lossy().contains(['*', '?', '[', '{']);
        if path.exists() || !path.iter().any(has_wildcard) {
            return Ok(Self { root: path.to_owned(), include: None, exclude });
        }
        let root: PathBuf = path.iter().take_while(|part| !has_wildcard(part)).collect();
        let pattern: PathBuf = path.iter().skip_while(|part| !has_wildcard(part)).collect();
        let include = Some(globs(&[slashed(&pattern).unwrap_or_default()])?);
        let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
        Ok(Self { root, include, exclude })
    }

    /// Finds what the site makes pages of, and what may describe an API, sorted by path. Hidden files
    /// and those that `.gitignore` or `.ignore` name are left out; a file that is named itself is always
    /// taken. Links are followed. What cannot be read is an outcome and does not stop the walk.
    pub fn files(&self, site: &Site) -> (Vec<File>, Vec<Outcome>) {
        let (mut files, mut failures) = (Vec::new(), Vec::new());
        let mut others = Others::default();
        let (root, exclude) = (self.root.clone(), self.exclude.clone());
        let mut walk = WalkBuilder::new(&self.root);
        walk.require_git(false).follow_links(true);
        walk.filter_entry(move |entry| {
            entry.depth() == 0 || !(entry.file_name() == "node_modules" || exclude.is_match(below(entry.path(), &root)))
        });
        if site.generator() == Generator::Mintlify {
            walk.add_custom_ignore_filename(".mintignore");
        }
        for entry in walk.build() {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => match self.file(&entry, site) {
                    Ok(Some(file)) => files.push(file),
                    Ok(None) => others.note(entry.path(), &self.root),
                    Err(reason) => {
                        failures.push(Outcome::Failed(Failure::new(entry.path().display(), reason), Keeps::Nothing));
                    }
                },
                Ok(_) => {}
                Err(error) => failures.push(self.failure(&error)),
            }
        }
        failures.extend(others.failures(&self.root));
        if site.generator() == Generator::Hugo {
            without_bundled(&mut files);
        }
        files.sort();
        (files, failures)
    }

    fn file(&self, entry: &DirEntry, site: &Site) -> Result<Option<File>, &'static str> {
        let named = entry.depth() == 0;
        let path = if named { Path::new(entry.file_name()) } else { below(entry.path(), &self.root) };
        if self.include.as_ref().is_some_and(|include| !include.is_match(path)) {
            return Ok(None);
        }
        let ending = ending(path);
        let is_api = matches!(ending.as_str(), "yaml" | "yml" | "json");
        let Some(path) = slashed(path) else {
            return if is_api { Ok(None) } else { Err("the file name is not UTF-8; rename the file") };
        };
        let kind = if is_api { Kind::Api { named } } else { Kind::Page };
        let location = entry.path().to_owned();
        Ok((named || is_api || site.is_page(&path)).then_some(File { path, location, kind }))
    }

    /// A loop of links holds nothing that is not found elsewhere. What stands below a folder that
    /// cannot be read is not known.
    fn failure(&self, error: &ignore::Error) -> Outcome {
        let path = path_of(error).unwrap_or(&self.root);
        let is_loop =
            matches!(error, ignore::Error::WithDepth { err, .. } if matches!(**err, ignore::Error::Loop { .. }));
        if is_loop || has_loop(error) {
            let reason = "is a link to a folder above it, and is not followed; remove it or exclude it";
            return Outcome::Failed(Failure::new(path.display(), reason), Keeps::Nothing);
        }
        let inside = slashed(below(path, &self.root)).unwrap_or_default();
        let keeps = match inside.as_str() {
            _ if path == self.root => Keeps::Below(String::new()),
            inside if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) => Keeps::Below(format!("{inside}/")),
            inside => Keeps::Path(inside.to_owned()),
        };
        let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
        Outcome::Failed(Failure::new(path.display(), reason), keeps)
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::Loop { child, .. } => Some(child),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}

fn has_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => has_loop(err),
        _ => false,
    }
}

/// Files that hold documentation in a language that docent does not read.
#[derive(Default)]
struct Others {
    rst: Vec<PathBuf>,
    asciidoc: Vec<PathBuf>,
}

impl Others {
    fn note(&mut self, path: &Path, root: &Path) {
        match ending(path).as_str() {
            "rst" => self.rst.push(below(path, root).to_owned()),
            "adoc" | "asciidoc" => self.asciidoc.push(below(path, root).to_owned()),
            _ => {}
        }
    }

    /// One for each language, however many files there are.
    fn failures(self, root: &Path) -> impl Iterator<Item = Outcome> {
        let languages = [(self.rst, "reStructuredText"), (self.asciidoc, "AsciiDoc")];
        let reason = |(mut paths, language): (Vec<PathBuf>, &str)| {
            paths.sort();
            let first = paths.first()?.display().to_string();
            let what = format!("{} files of {language} ({first} is the first)", paths.len());
            Some(format!("{what} are not read; build the site and ingest its HTML, or exclude them"))
        };
        let failure = |reason| Outcome::Failed(Failure::new(root.display(), reason), Keeps::Nothing);
        languages.into_iter().filter_map(reason).map(failure).collect::<Vec<_>>().into_iter()
    }
}

/// What stands beside an `index.md` of Hugo, or below it, belongs to that page and is none itself.
fn without_bundled(files: &mut Vec<File>) {
    let folder =
        |path: &str| path.rfind('/').map_or(String::new(), |slash| path.get(..=slash).unwrap_or_default().to_owned());
    let is_index = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with("index."));
    let bundles: Vec<String> = files
        .iter()
        .map(|file| &file.path)
        .filter(|path| is_index(path))
        .map(|path| folder(path))
        .filter(|f| !f.is_empty())
        .collect();
    let bundles: std::collections::BTreeSet<String> = bundles.into_iter().collect();
    files.retain(|file| {
        let own = folder(&file.path);
        let mut folders = own.match_indices('/').filter_map(|(slash, _)| own.get(..=slash));
        let inside = folders.find(|folder| bundles.contains(*folder));
        file.kind != Kind::Page || inside.is_none_or(|bundle| bundle == own && is_index(&file.path))
    });
}

fn globs(patterns: &[String]) -> Result<GlobSet, BadPattern> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let bad = |error: globset::Error| BadPattern { pattern: pattern.clone(), reason: error.kind().to_string() };
        // A name without a slash is meant wherever it stands, as in `.gitignore`; a folder means what is in it.
        let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
        let anywhere = if pattern.contains('/') { pattern.to_owned() } else { format!("{{,**/}}{pattern}") };
        set.add(globset::GlobBuilder::new(&anywhere).literal_separator(true).build().map_err(bad)?);
        set.add(Glob::new(&format!("{}/**", anywhere.trim_end_matches("/**"))).map_err(bad)?);
    }
    set.build().map_err(|error| BadPattern { pattern: patterns.join(" "), reason: error.kind().to_string() })
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn below<'a>(path: &'a Path, root: &Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}

fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}
