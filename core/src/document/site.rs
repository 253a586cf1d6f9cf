//! Where the page made from a file is published, as the program that makes the site decides it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::anchors::Anchors;

/// The program that makes the site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generator {
    /// None of the others: a file is a page, and its path is its address.
    #[default]
    Plain,
    /// Docusaurus 3.
    Docusaurus,
    /// `VitePress` 1.
    VitePress,
    /// `MkDocs` 1, with or without Material.
    MkDocs,
    /// Astro's Starlight.
    Starlight,
    /// Hugo.
    Hugo,
    /// `mdBook`.
    MdBook,
    /// Mintlify.
    Mintlify,
}

impl Generator {
    /// All of them, in the order of the documentation.
    pub const ALL: &[Self] = &[
        Self::Plain,
        Self::Docusaurus,
        Self::VitePress,
        Self::MkDocs,
        Self::Starlight,
        Self::Hugo,
        Self::MdBook,
        Self::Mintlify,
    ];

    /// As settings and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Docusaurus => "docusaurus",
            Self::VitePress => "vitepress",
            Self::MkDocs => "mkdocs",
            Self::Starlight => "starlight",
            Self::Hugo => "hugo",
            Self::MdBook => "mdbook",
            Self::Mintlify => "mintlify",
        }
    }

    /// How it spells addresses when nobody tells it otherwise.
    pub fn style(self) -> UrlStyle {
        match self {
            Self::Plain | Self::Docusaurus | Self::Mintlify => UrlStyle::Clean,
            Self::MkDocs | Self::Starlight | Self::Hugo => UrlStyle::Slash,
            Self::VitePress | Self::MdBook => UrlStyle::Html,
        }
    }

    /// The anchors it gives to headings.
    pub fn anchors(self) -> Anchors {
        match self {
            Self::Plain | Self::Docusaurus | Self::Starlight | Self::Hugo | Self::Mintlify => Anchors::GitHub,
            Self::VitePress => Anchors::VitePress,
            Self::MkDocs => Anchors::MkDocs,
            Self::MdBook => Anchors::MdBook,
        }
    }

    /// Endings of the files that it makes pages of, in lower case.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["md", "markdown", "mdx", "html", "htm", "txt"],
            Self::Docusaurus | Self::Starlight | Self::Mintlify => &["md", "mdx"],
            Self::VitePress | Self::MdBook => &["md"],
            Self::MkDocs => &["md", "markdown", "mkd", "mkdn", "mdown"],
            Self::Hugo => &["md", "markdown", "html", "htm"],
        }
    }

    /// File names, without ending and in lower case, of the page that is its folder.
    fn is_index(self, stem: &str, folder: &str) -> bool {
        let is = |name: &str| stem.eq_ignore_ascii_case(name);
        match self {
            Self::Docusaurus => is("index") || is("readme") || is(last_folder(folder)),
            Self::Plain | Self::MkDocs | Self::MdBook => is("index") || is("readme"),
            Self::Hugo => stem == "index" || stem == "_index",
            Self::VitePress | Self::Starlight | Self::Mintlify => is("index"),
        }
    }
}

/// How the site spells the address of `guides/install.md`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UrlStyle {
    /// `guides/install`
    #[default]
    Clean,
    /// `guides/install/`
    Slash,
    /// `guides/install.html`
    Html,
}

/// How a page that shows an `OpenAPI` description spells the anchor of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationLinks {
    /// `#operation/{operationId}`
    #[default]
    Redoc,
    /// `#/{tag}/{operationId}`
    Swagger,
    /// `#tag/{tag}/{METHOD}/{path}`
    Scalar,
    /// `#/operations/{operationId}`
    Stoplight,
}

/// A language and the folder of its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    /// First segment of the path; empty for pages that stand in no such folder.
    pub folder: String,
    /// BCP 47 tag.
    pub lang: String,
}

/// What pages of a source are filtered by when they say nothing themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// BCP 47 language tag.
    pub lang: String,
    /// Product version.
    pub version: String,
    /// Product.
    pub product: String,
}

/// Where the documentation is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// `https://host/path` without a slash at its end.
    base: String,
    style: UrlStyle,
    anchors: Anchors,
    layout: Layout,
    operations: OperationLinks,
    /// Page that shows the operations of an API, if it is not the folder of the file.
    reference: Option<String>,
    labels: Labels,
}

/// The base address is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no base address; give one like https://docs.example.com or https://example.com/docs")]
pub struct BadBase(String);

/// Where a file stands, without what is no part of its address.
struct Place<'a> {
    /// What comes before the folder: base address, locale and version.
    base: String,
    /// With a slash at its end, unless empty.
    folder: &'a str,
    stem: &'a str,
    lang: String,
    version: String,
}

impl Site {
    /// A plain site. `base` is the address of the documentation's root folder, http or https.
    pub fn new(base: &str, style: UrlStyle) -> Result<Self, BadBase> {
        Ok(Self::of(base, Layout::default())?.with_style(style))
    }

    /// A site made by a generator. `base` is the address of the folder that holds the pages.
    pub fn of(base: &str, layout: Layout) -> Result<Self, BadBase> {
        let base = base.trim().trim_end_matches('/');
        let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")).unwrap_or_default();
        let host_ok = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        if !host_ok || base.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#' | '"' | '<' | '>')) {
            return Err(BadBase(base.to_owned()));
        }
        Ok(Self {
            base: base.to_owned(),
            style: layout.style.unwrap_or(layout.generator.style()),
            anchors: layout.generator.anchors(),
            layout,
            operations: OperationLinks::default(),
            reference: None,
            labels: Labels::default(),
        })
    }

    /// The same with addresses spelled otherwise.
    #[must_use]
    pub fn with_style(self, style: UrlStyle) -> Self {
        Self { style, ..self }
    }

    /// The same with other anchors.
    #[must_use]
    pub fn with_anchors(self, anchors: Anchors) -> Self {
        Self { anchors, ..self }
    }

    /// The same, with how operations of an API are linked, and the page that shows them if it is not
    /// the folder of the file.
    #[must_use]
    pub fn with_operations(self, operations: OperationLinks, reference: Option<String>) -> Self {
        Self { operations, reference, ..self }
    }

    /// The same, with what its pages are filtered by when they say nothing themselves.
    #[must_use]
    pub fn with_labels(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }

    /// What its pages are filtered by when they say nothing themselves.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Who makes the site.
    pub fn generator(&self) -> Generator {
        self.layout.generator
    }

    /// The anchors of its headings.
    pub fn anchors(&self) -> Anchors {
        self.anchors
    }

    /// Whether the generator makes a page of the file at `path`. Partials and tables of contents are
    /// none, and neither is what stands beside the pages of a site.
    pub fn is_page(&self, path: &str) -> bool {
        let Some(inside) = self.inside(path) else { return false };
        let (folder, name) = split_path(inside);
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let ending = ending.to_ascii_lowercase();
        if !self.generator().endings().contains(&ending.as_str()) {
            return false;
        }
        match self.generator() {
            Generator::Docusaurus => {
                let hidden = inside.split('/').any(|part| part.starts_with('_'));
                !hidden && !name.contains(".test.")
            }
            Generator::Starlight => !name.starts_with('_'),
            Generator::MdBook => name != "SUMMARY.md",
            Generator::VitePress => !name.contains('['),
            Generator::Mintlify => {
                let kept_out = ["readme", "license", "changelog", "contributing"];
                !folder.starts_with("snippets/") && !kept_out.contains(&stem.to_ascii_lowercase().as_str())
            }
            Generator::Plain if ending == "txt" => !is_for_machines(name),
            Generator::Plain => !(ending == "mdx" && name.starts_with('_')),
            Generator::MkDocs | Generator::Hugo => true,
        }
    }

    /// Path below the folder that holds the pages. `None`: it stands beside it.
    fn inside<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.layout.content.is_empty() {
            return Some(path);
        }
        let other = self.generator() == Generator::Docusaurus
            && (path.starts_with("versioned_docs/") || path.contains("docusaurus-plugin-content-docs/"));
        if other { Some(path) } else { path.strip_prefix(&self.layout.content) }
    }

    fn place<'a>(&self, path: &'a str) -> Place<'a> {
        let path = self.inside(path).unwrap_or(path);
        let (mut base, mut lang, mut version) = (self.base.clone(), String::new(), String::new());
        let mut rest = path;
        if self.generator() == Generator::Docusaurus {
            rest = self.docusaurus(path, &mut base, &mut lang, &mut version);
        }
        let first = rest.split_once('/').map_or("", |(first, _)| first);
        let (folder, name) = split_path(rest);
        let mut stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let in_folder = |folder: &str| self.layout.locales.iter().find(|locale| locale.folder == folder);
        if self.generator() == Generator::Hugo
            && let Some((own, suffix)) = stem.rsplit_once('.')
            && let Some(locale) = self.layout.locales.iter().find(|locale| locale.lang == suffix)
        {
            // A translation beside the page: `about.fr.md`.
            stem = own;
            lang.clone_from(&locale.lang);
            if in_folder("").is_none_or(|default| default.lang != suffix) {
                let _ = write!(base, "/{suffix}");
            }
        }
        if lang.is_empty() {
            let locale = in_folder(first).or_else(|| in_folder(""));
            lang = locale.map(|locale| locale.lang.clone()).unwrap_or_default();
        }
        Place { base, folder, stem, lang, version }
    }

    /// Folders of translations and of old versions, which stand beside `docs`.
    fn docusaurus<'a>(&self, path: &'a str, base: &mut String, lang: &mut String, version: &mut String) -> &'a str {
        let mut rest = path;
        let mut versioned = rest.strip_prefix("versioned_docs/");
        if let Some((locale, inside)) = path.strip_prefix("i18n/").and_then(|path| path.split_once('/'))
            && let Some(inside) = inside.strip_prefix("docusaurus-plugin-content-docs/")
        {
            locale.clone_into(lang);
            // The locale stands before the path that the documentation has on the site.
            let route = base.strip_suffix("/docs").map(str::to_owned);
            *base = route.map_or_else(|| format!("{base}/{locale}"), |root| format!("{root}/{locale}/docs"));
            (rest, versioned) = (inside.strip_prefix("current/").unwrap_or(inside), Some(inside));
        }
        let old = versioned.and_then(|path| path.strip_prefix("version-")).and_then(|path| path.split_once('/'));
        match (old, &self.layout.latest) {
            (Some((name, inside)), latest) => {
                name.clone_into(version);
                if latest.as_deref() != Some(name) {
                    let _ = write!(base, "/{}", encode(name));
                }
                inside
            }
            (None, Some(_)) => {
                base.push_str("/next");
                rest
            }
            (None, None) => rest,
        }
    }

    /// Language and version of the page, as far as the place of its file tells; else empty.
    pub fn lang_and_version(&self, path: &str) -> (String, String) {
        let Place { lang, version, .. } = self.place(path);
        (lang, version)
    }

    /// Address of the page made from the file at `path`.
    pub fn page_url(&self, path: &str) -> String {
        let place = self.place(path);
        self.url_of(&place, None)
    }

    /// `stem`: from the front matter, instead of the file name.
    fn url_of(&self, place: &Place<'_>, stem: Option<&str>) -> String {
        let folder = self.folder(place.folder);
        if stem.is_none() && self.generator().is_index(place.stem, place.folder) {
            return format!("{}/{}", place.base, encode(&folder));
        }
        let stem = stem.map_or_else(|| self.segment(place.stem), str::to_owned);
        format!("{}/{}{}{}", place.base, encode(&folder), encode(&stem), self.end())
    }

    fn end(&self) -> &'static str {
        match self.style {
            UrlStyle::Clean => "",
            UrlStyle::Slash => "/",
            UrlStyle::Html => ".html",
        }
    }

    fn folder(&self, folder: &str) -> String {
        folder
            .split_inclusive('/')
            .flat_map(|part| [self.segment(part.trim_end_matches('/')), "/".to_owned()])
            .collect()
    }

    /// A file or folder name as it stands in addresses.
    fn segment(&self, name: &str) -> String {
        match self.generator() {
            Generator::Docusaurus => without_number(name).to_owned(),
            Generator::Starlight => crate::anchors::github(name),
            Generator::Hugo => {
                let kept = |c: &char| c.is_alphanumeric() || "._-~+@ ".contains(*c);
                name.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
            }
            _ => name.to_owned(),
        }
    }

    /// Address of a page whose front matter says something about it: `slug`, `id` of Docusaurus, `url`
    /// of Hugo; empty if it does not.
    pub(super) fn own_url(&self, path: &str, slug: &str, id: &str, url: &str) -> String {
        let place = self.place(path);
        let from_root = |path: &str| format!("{}{}", place.base, encode(&without_dots(&format!("/{path}"))));
        match self.generator() {
            Generator::Hugo if url.contains("://") => url.to_owned(),
            Generator::Hugo if !url.is_empty() => from_root(url.trim_start_matches('/')),
            Generator::Hugo if !slug.is_empty() && !self.generator().is_index(place.stem, place.folder) => {
                self.url_of(&place, Some(&self.segment(slug)))
            }
            Generator::Starlight if !slug.is_empty() => {
                let slug = slug.trim_matches('/');
                let end = if slug.is_empty() { "" } else { self.end() };
                from_root(&format!("{slug}{end}"))
            }
            Generator::Plain | Generator::Docusaurus if slug.starts_with('/') => {
                from_root(slug.trim_start_matches('/'))
            }
            Generator::Plain | Generator::Docusaurus if !slug.is_empty() => {
                from_root(&format!("{}{slug}", self.folder(place.folder)))
            }
            Generator::Docusaurus if !id.is_empty() && !self.generator().is_index(place.stem, place.folder) => {
                self.url_of(&place, Some(id))
            }
            _ => self.url_of(&place, None),
        }
    }

    /// Address of a file that is published as it is.
    pub(super) fn file_url(&self, path: &str) -> String {
        format!("{}/{}", self.base, encode(path))
    }

    /// Address of an operation of the API described in the file at `path`.
    pub(super) fn operation_url(&self, path: &str, method: &str, route: &str, tag: &str, id: &str) -> String {
        let folder = || format!("{}/{}", self.base, encode(split_path(path).0));
        let page = self.reference.clone().unwrap_or_else(folder);
        // Redoc and Swagger UI make up a name when the description gives none.
        let made_up = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let pointer = route.replace('~', "~0").replace('/', "~1");
        let slug = crate::anchors::github(tag);
        let anchor = match (self.operations, id) {
            (OperationLinks::Redoc, "") if tag.is_empty() => format!("paths/{pointer}/{method}"),
            (OperationLinks::Redoc, "") => format!("tag/{slug}/paths/{pointer}/{method}"),
            (OperationLinks::Redoc, id) => format!("operation/{id}"),
            (OperationLinks::Swagger, id) => {
                let tag = if tag.is_empty() { "default" } else { tag };
                let made_up = format!("{method}{}", route.chars().map(made_up).collect::<String>());
                format!("/{}/{}", tag.replace(' ', "%20"), if id.is_empty() { &made_up } else { id })
            }
            (OperationLinks::Scalar, _) => {
                let slug = if slug.is_empty() { "default" } else { &slug };
                format!("tag/{slug}/{}{route}", method.to_uppercase())
            }
            (OperationLinks::Stoplight, "") => {
                format!("/paths/{}/{method}", route.trim_matches('/').chars().map(made_up).collect::<String>())
            }
            (OperationLinks::Stoplight, id) => format!("/operations/{id}"),
        };
        format!("{page}#{}", encode(&anchor))
    }

    /// What a link in the page at `path` and `url` points to. A name with an extension is a file
    /// beside the source, Markdown being the page made of it; anything else is an address as a
    /// browser reads it. `None`: already absolute.
    pub(super) fn resolve(&self, path: &str, url: &str, link: &str) -> Option<String> {
        let scheme = link.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
        if scheme || link.is_empty() {
            return None;
        }
        let (target, rest) = link.split_at(link.find(['?', '#']).unwrap_or(link.len()));
        let (scheme, after) = self.base.split_once("://").unwrap_or_default();
        let origin = format!("{scheme}://{}", after.split('/').next().unwrap_or_default());
        if target.starts_with("//") {
            return Some(format!("{scheme}:{link}"));
        }
        if target.is_empty() {
            return Some(format!("{url}{rest}"));
        }
        let site = target.strip_prefix("@site/").map(|target| format!("/{}", target.trim_start_matches("docs/")));
        let target = site.as_deref().unwrap_or(target);
        let suffix = extension(target);
        let is_markdown = suffix.is_some_and(|e| matches!(e, "md" | "mdx" | "markdown"));
        let from = if target.starts_with('/') { "" } else { split_path(path).0 };
        let file = without_dots(&format!("/{from}{}", target.trim_start_matches('/'))).replace("%20", " ");
        let file = file.trim_start_matches('/');
        let is_page_name = self.generator() == Generator::VitePress && suffix.is_none() && !target.ends_with('/');
        // These two put the path of the site before every address.
        let rooted = matches!(self.generator(), Generator::VitePress | Generator::Mintlify);
        let absolute = if is_markdown {
            self.page_url(file)
        } else if is_page_name {
            self.page_url(&format!("{file}.md"))
        } else if suffix.is_some() && !target.starts_with('/') {
            self.file_url(file)
        } else if target.starts_with('/') {
            let root = if rooted { &self.base } else { &origin };
            format!("{root}{}", encode(&without_dots(target)))
        } else {
            let (folder, _) = split_path(url.strip_prefix(&origin).unwrap_or_default());
            format!("{origin}{}", encode(&without_dots(&format!("{folder}{target}"))))
        };
        Some(format!("{absolute}{}", encode(rest)))
    }
}

/// Text files that stand in folders of documentation and that nobody reads there.
fn is_for_machines(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("requirements")
        || matches!(
            name.as_str(),
            "robots.txt" | "llms.txt" | "llms-full.txt" | "cmakelists.txt" | "humans.txt" | "security.txt" | "ads.txt"
        )
}

/// `01-intro` sorts a file and is no part of its name; `2024-05-01` and `1.2` are names. As Docusaurus
/// reads it: `^(\d+)\s*[-_.]+\s*([^-_.\s].*)$`, unless `^\d+[-_.]\d+`.
fn without_number(name: &str) -> &str {
    let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == name.len() || rest.starts_with(['-', '_', '.']) && rest.get(1..).is_some_and(starts_with_digit) {
        return name;
    }
    let separator = rest.trim_start();
    let own = separator.trim_start_matches(['-', '_', '.']);
    let own_name = own.trim_start();
    if own.len() == separator.len() || own_name.is_empty() || own_name.starts_with(['-', '_', '.']) {
        name
    } else {
        own_name
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn last_folder(folder: &str) -> &str {
    split_path(folder.trim_end_matches('/')).1
}

/// Folder with its slash at the end, and name.
pub(super) fn split_path(path: &str) -> (&str, &str) {
    path.split_at(path.rfind('/').map_or(0, |slash| slash + 1))
}

/// Letters behind the last dot of the last segment; `v1.2` has none.
fn extension(path: &str) -> Option<&str> {
    let (stem, extension) = split_path(path).1.rsplit_once('.')?;
    let letters = extension.starts_with(|c: char| c.is_ascii_alphabetic()) && extension.len() <= 8;
    (letters && !stem.is_empty() && stem != ".").then_some(extension)
}

/// Resolves `.` and `..` in an absolute path; nothing climbs above the root.
pub(super) fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let folder = path.ends_with("/..") || path.ends_with("/.");
    let end = if folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

/// Percent-encodes what an address may not hold; what is encoded already stays.
pub(super) fn encode(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?#[]".contains(&byte) {
            result.push(char::from(byte));
        } else {
            let _ = write!(result, "%{byte:02X}");
        }
    }
    result
}
