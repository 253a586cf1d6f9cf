//! The Markdown files below the given paths.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use crate::report::Failure;

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Below the folder it was found in, with `/`.
    pub path: String,
    /// Where it is.
    pub location: PathBuf,
}

/// Finds Markdown files, sorted by path. Hidden files and those that `.gitignore` or `.ignore`
/// name are left out; a file given itself is always taken. What cannot be read is a failure and
/// does not stop the walk.
pub fn walk(roots: &[PathBuf]) -> (Vec<File>, Vec<Failure>) {
    let (mut sources, mut failures) = (Vec::new(), Vec::new());
    for root in roots {
        for entry in WalkBuilder::new(root).require_git(false).build() {
            match entry {
                Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                    let is_root = entry.depth() == 0;
                    if is_root || is_markdown(entry.path()) {
                        let path = if is_root { entry.file_name().as_ref() } else { below(entry.path(), root) };
                        let location = entry.path().to_owned();
                        match slashed(path) {
                            Some(path) => sources.push(File { path, location }),
                            None => failures.push(Failure::new(location.display(), "the file name is not UTF-8")),
                        }
                    }
                }
                Ok(_) => {}
                Err(error) => failures.push(Failure::new(root.display(), error)),
            }
        }
    }
    sources.sort();
    sources.dedup();
    (sources, failures)
}

fn is_markdown(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    extension.eq_ignore_ascii_case("md") || extension.eq_ignore_ascii_case("markdown")
}

fn below<'a>(path: &'a Path, root: &Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}

fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_and_hidden_files_stay_out_and_several_paths_go_together() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("docs/.gitignore", "drafts/\n");
        for name in ["b.md", "a/x.markdown", "a/y.txt", ".hidden/z.md", "drafts/d.md"] {
            write(&format!("docs/{name}"), "x");
        }
        write("README.md", "x");
        let roots = ["docs", "README.md", "missing"].map(|name| folder.path().join(name));
        let (sources, failures) = walk(&roots);
        let paths: Vec<_> = sources.iter().map(|source| source.path.as_str()).collect();
        assert_eq!(paths, ["README.md", "a/x.markdown", "b.md"]);
        assert!(failures.len() == 1 && failures[0].path.ends_with("missing"), "{failures:?}");
    }
}
