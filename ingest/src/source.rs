//! Where documents come from, and what became of each.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use docent_core::document::layout::{CONFIGURATIONS, Layout};
use docent_core::document::{self, Document, Generator, Page, Site, openapi};

use crate::report::Failure;
use crate::walk::{File, Kind, Place};
use crate::web::{self, Web};

/// One place that documents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub location: Location,
    /// Where its pages are published.
    pub site: Site,
    /// Patterns of files and folders below it that are left out: `drafts`, `**/*.test.md`.
    pub exclude: Vec<String>,
    /// Stands before the paths of its documents, so that two sources may both have an `index.md`;
    /// empty, or with a slash at its end.
    pub prefix: String,
}

/// A folder or file here, or a site on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On this machine: a file, a folder, or a pattern such as `docs/**/*.mdx`.
    Path(PathBuf),
    /// Behind an address.
    Web(Web),
}

/// What became of something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A page to be indexed. Its path is unlike that of any other document of the run.
    Document(Document),
    /// Its author keeps it from search; the reason says how.
    Skipped(Failure),
    /// It could not be read.
    Failed(Failure, Keeps),
}

/// What the index keeps as it is when something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing: there was never anything of it.
    Nothing,
    /// The document of this path, and those whose path is it followed by `#` and more.
    Path(String),
    /// Every document whose path begins so and that was not read in this run.
    Below(String),
}

/// The generator of a site, and how it was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// What its configuration says. `layout.base` is the address of the source's folder.
    pub layout: Layout,
    /// The configuration.
    pub because: PathBuf,
}

/// A page beyond this is no page. The largest that people publish, whole manuals on one page, have a
/// few megabytes.
pub const MAX_PAGE_BYTES: u64 = 16 * 1024 * 1024;
/// Enough to see what a YAML or JSON file describes.
const HEAD_BYTES: usize = 4 * 1024;
/// Documents that each reader has ready before they are asked for.
const AHEAD: usize = 4;
/// More readers wait for the disk, and for who takes the documents.
const MAX_READERS: usize = 8;
/// Folders above the source in which a configuration is looked for when there is no repository.
const MAX_FOLDERS_UP: usize = 3;

/// Looks for the configuration of a generator in the folder of a source and in those above it, up to
/// the root of the repository.
pub fn detect(path: &Path) -> Option<Detected> {
    let place = Place::new(path, &[]).ok()?;
    let root = place.root.canonicalize().ok()?;
    let root = if root.is_file() { root.parent()?.to_owned() } else { root };
    let repository = root.ancestors().position(|folder| folder.join(".git").exists());
    let folders = root.ancestors().take(repository.unwrap_or(MAX_FOLDERS_UP) + 1);
    folders.into_iter().find_map(|folder| configured(folder, &root))
}

fn configured(folder: &Path, root: &Path) -> Option<Detected> {
    CONFIGURATIONS.iter().find_map(|(name, generator)| {
        let because = folder.join(name);
        let text = std::fs::read_to_string(&because).ok()?;
        let mut layout = Layout::read(*generator, name, &text)?;
        if *generator == Generator::Docusaurus {
            let versions = std::fs::read(folder.join("versions.json")).unwrap_or_default();
            layout.latest = serde_json::from_slice::<Vec<String>>(&versions).unwrap_or_default().into_iter().next();
        }
        let content = folder.join(&layout.content);
        if folder != root || !content.is_dir() {
            // The source is the folder of the pages, or stands below it.
            let inside = root.strip_prefix(&content).ok().and_then(Path::to_str).unwrap_or_default();
            layout.base = layout.base.map(|base| format!("{}/{inside}", base.trim_end_matches('/')));
            layout.content.clear();
        }
        Some(Detected { layout, because })
    })
}

/// Reads everything, in an order that depends on nothing but the sources.
pub fn read(sources: &[Source], each: &mut dyn FnMut(Outcome)) {
    let mut taken = BTreeMap::new();
    for source in sources {
        match &source.location {
            Location::Path(path) => read_path(path, source, &mut taken, each),
            Location::Web(web) => {
                web::read(web, &mut |outcome| each(prefixed(labelled(outcome, &source.site), &source.prefix)));
            }
        }
    }
}

/// A page of the web says its language at most.
fn labelled(outcome: Outcome, site: &Site) -> Outcome {
    let Outcome::Document(mut document) = outcome else { return outcome };
    let labels = site.labels();
    for (field, label) in [
        (&mut document.lang, &labels.lang),
        (&mut document.version, &labels.version),
        (&mut document.product, &labels.product),
    ] {
        if field.is_empty() {
            label.clone_into(field);
        }
    }
    Outcome::Document(document)
}

/// `taken`: files by the paths of their documents, of the sources before this one too.
fn read_path(path: &Path, source: &Source, taken: &mut BTreeMap<String, PathBuf>, each: &mut dyn FnMut(Outcome)) {
    let place = match Place::new(path, &source.exclude) {
        Ok(place) => place,
        Err(error) => {
            let keeps = Keeps::Below(source.prefix.clone());
            return each(Outcome::Failed(Failure::new(path.display(), error), keeps));
        }
    };
    let (mut files, failures) = place.files(&source.site);
    for failure in failures {
        each(prefixed(failure, &source.prefix));
    }
    files.retain(|file| {
        let path = format!("{}{}", source.prefix, file.path);
        let other = taken.get(&path).filter(|other| **other != file.location);
        if let Some(other) = other {
            let reason =
                format!("has the path {path}, as {} has; give the sources different prefixes", other.display());
            each(Outcome::Failed(Failure::new(file.location.display(), reason), Keeps::Nothing));
        }
        taken.insert(path, file.location.clone()).is_none()
    });
    let beside = Beside::new(&place.root);
    let outcomes = |file: &File| -> Vec<Outcome> { outcomes(file, &source.site, &beside) };
    in_order(&files, outcomes, &mut |outcomes| {
        for outcome in outcomes {
            each(prefixed(outcome, &source.prefix));
        }
    });
}

fn prefixed(outcome: Outcome, prefix: &str) -> Outcome {
    if prefix.is_empty() {
        return outcome;
    }
    let with = |path: String| format!("{prefix}{path}");
    match outcome {
        Outcome::Document(document) => Outcome::Document(Document { path: with(document.path), ..document }),
        Outcome::Skipped(skipped) => Outcome::Skipped(Failure { path: with(skipped.path), ..skipped }),
        Outcome::Failed(failure, Keeps::Path(path)) => Outcome::Failed(failure, Keeps::Path(with(path))),
        Outcome::Failed(failure, Keeps::Below(path)) => Outcome::Failed(failure, Keeps::Below(with(path))),
        failed @ Outcome::Failed(..) => failed,
    }
}

/// Works on many things at once and hands the results over in their order. What is ready and not yet
/// taken is bounded, so memory does not grow with the number of things.
fn in_order<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, each: &mut dyn FnMut(R)) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let readers = cores.min(MAX_READERS).min(items.len());
    if readers < 2 {
        return items.iter().for_each(|item| each(work(item)));
    }
    std::thread::scope(|scope| {
        let work = &work;
        let reader = |first| {
            let (ready, results) = mpsc::sync_channel(AHEAD);
            scope.spawn(move || {
                // Nobody takes the results any more when this fails.
                let _ = items.iter().skip(first).step_by(readers).try_for_each(|item| ready.send(work(item)));
            });
            results
        };
        let results: Vec<_> = (0..readers).map(reader).collect();
        for turn in results.iter().cycle().take(items.len()) {
            match turn.recv() {
                Ok(result) => each(result),
                Err(mpsc::RecvError) => return,
            }
        }
    });
}

fn outcomes(file: &File, site: &Site, beside: &Beside) -> Vec<Outcome> {
    let failed = |reason: String| {
        vec![Outcome::Failed(Failure::new(file.location.display(), reason), Keeps::Path(file.path.clone()))]
    };
    let outcome = |(path, page): (String, Page)| match page {
        Page::Skipped(reason) => Outcome::Skipped(Failure::new(path, format!("says {reason}"))),
        Page::Document(document) => Outcome::Document(document),
    };
    if let Kind::Api { named } = file.kind {
        let description = match head(&file.location) {
            Ok(head) => openapi::detect(&head),
            Err(_) if !named => return Vec::new(),
            Err(error) => return failed(reason(&error)),
        };
        match description {
            None if named => return failed("is no page, and describes no API in OpenAPI 3".to_owned()),
            None => return Vec::new(),
            Some(openapi::Description::Swagger) => {
                return failed("describes an API in Swagger 2; convert it to OpenAPI 3".to_owned());
            }
            Some(openapi::Description::OpenApi) => {}
        }
    }
    let text = match text(&file.location) {
        Ok(text) => text,
        Err(reason) => return failed(reason),
    };
    let pages = match file.kind {
        Kind::Api { .. } => openapi::read(&file.path, &text, site),
        Kind::Page => {
            let page = document::read_among(&file.path, &text, site, &|path| beside.read(path));
            page.map(|page| vec![(file.path.clone(), page)])
        }
    };
    pages.map_or_else(|error| failed(error.to_string()), |pages| pages.into_iter().map(outcome).collect())
}

fn head(path: &Path) -> Result<String, std::io::Error> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    std::fs::File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| reason(&error))?;
    file.take(MAX_PAGE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > MAX_PAGE_BYTES {
        return Err(format!("is larger than {} MB, and so no page; split it, or exclude it", MAX_PAGE_BYTES >> 20));
    }
    decoded(bytes)
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "vanished while the folder was read; run the same command again".to_owned(),
        _ => error.to_string(),
    }
}

/// UTF-8, or UTF-16 that says so with its byte order mark.
fn decoded(bytes: Vec<u8>) -> Result<String, String> {
    let read: fn([u8; 2]) -> u16 = match bytes.as_slice() {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            return String::from_utf8(bytes).map_err(|error| {
                format!(
                    "is not UTF-8: byte {} is part of no character; save it as UTF-8",
                    error.utf8_error().valid_up_to()
                )
            });
        }
    };
    let (units, _) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().skip(1).map(|unit| read(*unit)).collect();
    String::from_utf16(&units)
        .map_err(|_| "is not the UTF-16 that its first bytes announce; save it as UTF-8".to_owned())
}

/// Files that a page may take in: those of its source, and of the site that the source belongs to.
struct Beside {
    root: PathBuf,
    /// `@site/…` of Docusaurus counts from the folder of its configuration.
    site: Option<PathBuf>,
}

impl Beside {
    fn new(root: &Path) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let root = if root.is_file() { root.parent().map(Path::to_owned).unwrap_or_default() } else { root };
        let names = || CONFIGURATIONS.iter().filter(|(_, generator)| *generator == Generator::Docusaurus);
        let configured = |folder: &&Path| names().any(|(name, _)| folder.join(name).exists());
        let site = root.ancestors().take(MAX_FOLDERS_UP + 1).find(configured).map(Path::to_owned);
        Self { root, site }
    }

    fn read(&self, path: &str) -> Option<String> {
        if let Some(path) = path.strip_prefix("@site/") {
            return inside(self.site.as_deref()?, path);
        }
        // MkDocs counts snippets from the folder above that of the pages.
        inside(&self.root, path).or_else(|| {
            let (folder, rest) = path.split_once('/')?;
            (self.root.file_name()? == folder).then(|| inside(&self.root, rest)).flatten()
        })
    }
}

/// A file of a folder; a link may not lead out of it.
fn inside(folder: &Path, path: &str) -> Option<String> {
    let file = folder.join(path).canonicalize().ok()?;
    file.starts_with(folder).then(|| text(&file).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use docent_core::document::UrlStyle;

    use super::*;

    fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn source(path: PathBuf) -> Source {
        let site = Site::new("https://docs.example.com", UrlStyle::Clean).unwrap();
        Source { location: Location::Path(path), site, exclude: Vec::new(), prefix: String::new() }
    }

    /// Paths of documents, and of what failed with its reason.
    fn found(sources: &[Source]) -> (Vec<String>, Vec<String>) {
        let (mut documents, mut failed) = (Vec::new(), Vec::new());
        read(sources, &mut |outcome| match outcome {
            Outcome::Document(document) => documents.push(document.path),
            Outcome::Skipped(other) => failed.push(format!("{} {}", other.path, other.reason)),
            Outcome::Failed(failure, keeps) => failed.push(format!("{} {} {keeps:?}", failure.path, failure.reason)),
        });
        (documents, failed)
    }

    #[test]
    fn ignored_hidden_and_excluded_files_stay_out_and_named_ones_are_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "docs/.gitignore", "drafts/\n");
        for name in
            ["b.md", "a/x.markdown", "a/y.png", ".hidden/z.md", "drafts/d.md", "old/o.md", "a/old.md", "c.test.md"]
        {
            write(folder.path(), &format!("docs/{name}"), "x");
        }
        write(folder.path(), "LICENSE", "x");
        let mut docs = source(folder.path().join("docs"));
        docs.exclude = vec!["old".to_owned(), "*.test.md".to_owned()];
        docs.prefix = "docs/".to_owned();
        let sources = [docs, source(folder.path().join("LICENSE")), source(folder.path().join("missing"))];
        let (documents, failed) = found(&sources);
        assert_eq!(documents, ["docs/a/old.md", "docs/a/x.markdown", "docs/b.md", "LICENSE"]);
        assert!(failed.len() == 1 && failed[0].contains("missing") && failed[0].ends_with("Below(\"\")"), "{failed:?}");

        let only = source(folder.path().join("docs/**/*.markdown"));
        assert_eq!(found(&[only]).0, ["a/x.markdown"]);
        let twice = [
            source(folder.path().join("docs")),
            source(folder.path().join("docs/b.md")),
            source(folder.path().join("docs/drafts")),
        ];
        assert_eq!(found(&twice).0, ["a/old.md", "a/x.markdown", "b.md", "c.test.md", "old/o.md", "d.md"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_reason_and_the_rest_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let utf16: Vec<u8> = "\u{feff}# Ü".encode_utf16().flat_map(u16::to_le_bytes).collect();
        write(path, "utf16.md", utf16);
        write(path, "bom.md", "\u{feff}# A");
        write(path, "latin.md", b"# \xdc\n");
        write(path, "front.md", "---\ntitle: [\n---\n");
        write(path, "large.md", "x".repeat(usize::try_from(MAX_PAGE_BYTES).unwrap() + 1));
        write(path, "a.rst", "A\n=\n");
        write(path, "b.rst", "B\n=\n");
        write(path, "old.json", "{\"swagger\": \"2.0\"}");
        write(path, "package.json", "{\"name\": \"x\"}");
        write(path, "draft.md", "---\ndraft: true\n---\n");
        std::os::unix::fs::symlink(path, path.join("loop")).unwrap();
        std::os::unix::fs::symlink(path.join("nowhere"), path.join("broken.md")).unwrap();
        let (documents, failed) = found(&[source(path.to_owned())]);
        assert_eq!(documents, ["bom.md", "utf16.md"]);
        let expected = [
            ("broken.md", "No such file", "Path(\"broken.md\")"),
            ("loop", "is a link to a folder above it", "Nothing"),
            ("", "2 files of reStructuredText (a.rst is the first) are not read", "Nothing"),
            ("draft.md", "says draft: true", ""),
            ("front.md", "front matter, line", "Path(\"front.md\")"),
            ("large.md", "is larger than 16 MB", "Path(\"large.md\")"),
            ("latin.md", "is not UTF-8: byte 2", "Path(\"latin.md\")"),
            ("old.json", "describes an API in Swagger 2", "Path(\"old.json\")"),
        ];
        let mut failed = failed;
        failed.sort_by_key(|failure| expected.iter().position(|(_, reason, _)| failure.contains(reason)));
        assert_eq!(failed.len(), expected.len(), "{failed:#?}");
        for (failure, (name, reason, keeps)) in failed.iter().zip(expected) {
            assert!(
                failure.contains(name) && failure.contains(reason) && failure.ends_with(keeps) || name == "draft.md",
                "{failure}"
            );
        }
    }

    #[test]
    fn the_generator_is_found_by_its_configuration_up_to_the_root_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(path, ".git/HEAD", "");
        write(path, "site/docusaurus.config.js", "export default { url: 'https://x.dev', baseUrl: '/' }");
        write(path, "site/versions.json", "[\"2.0\", \"1.0\"]");
        write(path, "site/docs/guides/a.md", "x");
        write(path, "other/a.md", "x");
        let detected = |name: &str| detect(&path.join(name)).map(|found| found.layout);
        let docs = detected("site/docs/guides").unwrap();
        assert_eq!((docs.generator, docs.base.as_deref()), (Generator::Docusaurus, Some("https://x.dev/docs/guides")));
        assert_eq!((docs.content.as_str(), docs.latest.as_deref()), ("", Some("2.0")));
        assert_eq!(detected("site/docs/**/*.md").unwrap().base.as_deref(), Some("https://x.dev/docs/"));
        assert_eq!(detected("site").unwrap().content, "docs/");
        assert_eq!(detected("other"), None);
        write(path, "mkdocs.yml", "site_name: x\n");
        assert_eq!(detect(&path.join("other")).unwrap().because, path.canonicalize().unwrap().join("mkdocs.yml"));
    }

    #[test]
    fn partials_are_taken_in_from_inside_the_source_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(path, "secret.md", "secret");
        write(path, "docs/_part.mdx", "part\n\nimport Me from './_part.mdx'\n\n<Me />");
        let page = "import A from './_part.mdx'\nimport B from '../secret.md'\nimport C from './link.md'\n\n# T\n\n<A />\n<B />\n<C />\n";
        write(path, "docs/a.mdx", page);
        std::os::unix::fs::symlink(path.join("secret.md"), path.join("docs/link.md")).unwrap();
        let mut bodies = Vec::new();
        read(&[source(path.join("docs/a.mdx"))], &mut |outcome| match outcome {
            Outcome::Document(document) => bodies.push(document.body),
            other => panic!("{other:?}"),
        });
        assert_eq!(bodies.len(), 1);
        assert!(bodies[0].contains("part") && !bodies[0].contains("secret") && !bodies[0].contains('<'), "{bodies:?}");
    }
}
