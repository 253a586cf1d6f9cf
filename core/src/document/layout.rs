//! What a generator's own configuration says about where pages stand and what their addresses are.
//!
//! YAML, TOML and JSON are parsed. Configurations written in JavaScript are programs: what stands in
//! them as a plain value (`cleanUrls: true`) is read, what is computed is not.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::site::{Generator, Locale, UrlStyle};

/// How a site lays out its pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Who makes the site.
    pub generator: Generator,
    /// Address of the folder that holds the pages, if the configuration tells.
    pub base: Option<String>,
    /// How addresses are spelled, if not as the generator does it by itself.
    pub style: Option<UrlStyle>,
    /// The folder that holds the pages, below that of the configuration, with a slash at its end;
    /// empty when the pages are read from that folder itself.
    pub content: String,
    /// Languages by folder.
    pub locales: Vec<Locale>,
    /// The version that Docusaurus publishes without its name in the address, when there are versions.
    pub latest: Option<String>,
}

/// Names of configuration files, as they are looked for in a folder, with who reads them.
pub const CONFIGURATIONS: &[(&str, Generator)] = &[
    ("docusaurus.config.js", Generator::Docusaurus),
    ("docusaurus.config.ts", Generator::Docusaurus),
    ("docusaurus.config.mjs", Generator::Docusaurus),
    (".vitepress/config.js", Generator::VitePress),
    (".vitepress/config.ts", Generator::VitePress),
    (".vitepress/config.mjs", Generator::VitePress),
    (".vitepress/config.mts", Generator::VitePress),
    ("mkdocs.yml", Generator::MkDocs),
    ("mkdocs.yaml", Generator::MkDocs),
    ("astro.config.mjs", Generator::Starlight),
    ("astro.config.ts", Generator::Starlight),
    ("astro.config.js", Generator::Starlight),
    ("hugo.toml", Generator::Hugo),
    ("hugo.yaml", Generator::Hugo),
    ("hugo.yml", Generator::Hugo),
    ("hugo.json", Generator::Hugo),
    ("config/_default/hugo.toml", Generator::Hugo),
    ("config.toml", Generator::Hugo),
    ("book.toml", Generator::MdBook),
    ("docs.json", Generator::Mintlify),
    ("mint.json", Generator::Mintlify),
];

impl Layout {
    /// Reads a configuration. `None`: the file is called as if it were of this generator and is not.
    pub fn read(generator: Generator, name: &str, text: &str) -> Option<Self> {
        let layout = match generator {
            Generator::Plain => return None,
            Generator::Docusaurus => docusaurus(&Script::new(text)),
            Generator::VitePress => vitepress(&Script::new(text)),
            Generator::Starlight => starlight(&Script::new(text))?,
            Generator::MkDocs => mkdocs(text),
            Generator::Hugo => hugo(name, text)?,
            Generator::MdBook => mdbook(text),
            Generator::Mintlify => mintlify(text)?,
        };
        Some(Self { generator, ..layout })
    }
}

fn locale(folder: &str, lang: impl Into<String>) -> Locale {
    Locale { folder: folder.to_owned(), lang: lang.into() }
}

fn folder(name: &str) -> String {
    let name = name.trim().trim_start_matches("./").trim_matches('/');
    if name.is_empty() || name == "." { String::new() } else { format!("{name}/") }
}

fn docusaurus(script: &Script) -> Layout {
    let slash = script.flag("trailingSlash") == Some(true);
    let default = script.text("defaultLocale").map(|lang| locale("", lang));
    // Each plugin may have a route of its own: then which is meant only its author knows.
    let base = script.text("url").filter(|_| script.value("routeBasePath").is_none());
    let root = script.text("baseUrl").unwrap_or("/");
    Layout {
        base: base.map(|url| format!("{}{}docs", url.trim_end_matches('/'), root)),
        style: slash.then_some(UrlStyle::Slash),
        content: "docs/".to_owned(),
        locales: default.into_iter().collect(),
        ..Layout::default()
    }
}

fn vitepress(script: &Script) -> Layout {
    let clean = script.flag("cleanUrls") == Some(true);
    let mut locales = script.locales();
    if let Some(lang) = script.text("lang").filter(|_| locales.is_empty()) {
        locales.push(locale("", lang));
    }
    Layout {
        style: clean.then_some(UrlStyle::Clean),
        content: folder(script.text("srcDir").unwrap_or_default()),
        locales,
        ..Layout::default()
    }
}

fn starlight(script: &Script) -> Option<Layout> {
    if !script.0.contains("@astrojs/starlight") {
        return None;
    }
    let site = script.text("site");
    let base = folder(script.text("base").unwrap_or_default());
    let never = script.text("trailingSlash") == Some("never");
    Some(Layout {
        base: site.map(|site| format!("{}/{base}", site.trim_end_matches('/'))),
        style: never.then_some(UrlStyle::Clean),
        content: "src/content/docs/".to_owned(),
        locales: script.locales(),
        ..Layout::default()
    })
}

/// Tags such as `!ENV` and `!!python/name` belong to values that are not read here; a file that cannot
/// be parsed for them says what its lines say.
fn mkdocs(text: &str) -> Layout {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
        let value = line.split(" #").next().unwrap_or(line).trim().trim_matches(['"', '\'']);
        (!value.is_empty() && !value.starts_with('!')).then(|| value.to_owned())
    };
    let directories = value("use_directory_urls").as_deref() != Some("false");
    let theme = text.lines().skip_while(|line| !line.starts_with("theme:")).skip(1);
    let mut theme = theme.take_while(|line| line.starts_with(' ') || line.trim().is_empty());
    let lang = theme.find_map(|line| line.trim_start().strip_prefix("language:"));
    Layout {
        base: value("site_url"),
        style: (!directories).then_some(UrlStyle::Html),
        content: folder(&value("docs_dir").unwrap_or_else(|| "docs".to_owned())),
        locales: lang.map(|lang| locale("", lang.trim().trim_matches(['"', '\'']))).into_iter().collect(),
        ..Layout::default()
    }
}

#[derive(Deserialize)]
struct HugoConfig {
    #[serde(alias = "baseurl")]
    #[serde(rename = "baseURL")]
    base_url: Option<String>,
    #[serde(default, rename = "uglyURLs", alias = "uglyurls")]
    ugly_urls: Option<bool>,
    #[serde(rename = "contentDir", alias = "contentdir")]
    content_dir: Option<String>,
    #[serde(rename = "defaultContentLanguage", alias = "defaultcontentlanguage")]
    default_language: Option<String>,
    #[serde(rename = "languageCode", alias = "languagecode")]
    language_code: Option<String>,
    #[serde(default)]
    languages: BTreeMap<String, serde_json::Value>,
}

fn hugo(name: &str, text: &str) -> Option<Layout> {
    let config: HugoConfig = match name.rsplit('.').next().unwrap_or_default() {
        "toml" => toml::from_str(text).ok()?,
        "json" => serde_json::from_str(text).ok()?,
        _ => yaml_serde::from_str(text).ok()?,
    };
    if name == "config.toml" && config.base_url.is_none() {
        return None;
    }
    let default = config.default_language.or(config.language_code);
    let mut locales: Vec<Locale> = default.iter().map(|lang| locale("", lang.as_str())).collect();
    locales.extend(
        config.languages.keys().filter(|lang| Some(*lang) != default.as_ref()).map(|lang| locale(lang, lang.as_str())),
    );
    Some(Layout {
        base: config.base_url.filter(|base| base.contains("://")),
        style: (config.ugly_urls == Some(true)).then_some(UrlStyle::Html),
        content: folder(config.content_dir.as_deref().unwrap_or("content")),
        locales,
        ..Layout::default()
    })
}

fn mdbook(text: &str) -> Layout {
    let config: toml::Table = toml::from_str(text).unwrap_or_default();
    let book = config.get("book").and_then(toml::Value::as_table);
    let field = |name: &str| book.and_then(|book| book.get(name)).and_then(toml::Value::as_str);
    Layout {
        content: folder(field("src").unwrap_or("src")),
        locales: vec![locale("", field("language").unwrap_or("en"))],
        ..Layout::default()
    }
}

/// Other programs have a `docs.json` too.
fn mintlify(text: &str) -> Option<Layout> {
    let config: serde_json::Value = serde_json::from_str(text).ok()?;
    let languages = config.pointer("/navigation/languages").and_then(serde_json::Value::as_array);
    let names = languages.into_iter().flatten().filter_map(|language| language.get("language")?.as_str());
    let locales = names.map(|lang| locale(lang, lang)).collect();
    config.get("navigation").map(|_| Layout { locales, ..Layout::default() })
}

/// A configuration in JavaScript, without its comments.
struct Script(String);

impl Script {
    fn new(text: &str) -> Self {
        let mut kept = String::with_capacity(text.len());
        let (mut quote, mut rest) = (None, text);
        while let Some(c) = rest.chars().next() {
            let (take, skip) = match quote {
                Some(_) if c == '\\' => (2, 0),
                Some(open) if c == open => {
                    quote = None;
                    (1, 0)
                }
                None if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len())),
                None if rest.starts_with("/*") => (0, rest.find("*/").map_or(rest.len(), |end| end + 2)),
                None if matches!(c, '"' | '\'' | '`') => {
                    quote = Some(c);
                    (1, 0)
                }
                _ => (1, 0),
            };
            kept.extend(rest.chars().take(take));
            let taken: usize = rest.chars().take(take).map(char::len_utf8).sum();
            rest = rest.get(taken.max(skip)..).unwrap_or_default();
        }
        Self(kept)
    }

    /// What follows the first `key:`.
    fn value(&self, key: &str) -> Option<&str> {
        self.0.match_indices(key).find_map(|(at, _)| {
            let before = self.0.get(..at)?.chars().next_back();
            let after = self.0.get(at + key.len()..)?.trim_start_matches(['"', '\'']).trim_start();
            let whole = before.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '-')));
            after.strip_prefix(':').filter(|_| whole).map(str::trim_start)
        })
    }

    fn text(&self, key: &str) -> Option<&str> {
        literal(self.value(key)?)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        value.starts_with("true").then_some(true).or_else(|| value.starts_with("false").then_some(false))
    }

    /// `locales: { root: { lang: 'en' }, fr: { … } }`, as Starlight and `VitePress` write it.
    fn locales(&self) -> Vec<Locale> {
        let Some(inside) = self.value("locales").and_then(braced) else { return Vec::new() };
        let mut found = Vec::new();
        let mut rest = inside;
        while let Some((key, after)) = rest.split_once(':') {
            let key = key.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\''));
            let Some(object) = braced(after.trim_start()) else { break };
            let lang = Self(object.to_owned()).text("lang").unwrap_or(key).to_owned();
            found.push(locale(if key == "root" { "" } else { key }, lang));
            let end = after.find('{').map_or(after.len(), |open| open + object.len() + "{}".len());
            rest = after.get(end..).unwrap_or_default();
        }
        found
    }
}

fn literal(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    value.get(1..)?.split(quote).next().filter(|text| !text.contains("${"))
}

/// What stands between the brace that the text begins with and its other.
fn braced(text: &str) -> Option<&str> {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) => quote = Some(open).filter(|open| *open != c),
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 1 => return text.get(1..at),
            (None, '}') => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_of_every_configuration_are_read() {
        let read = |generator, name, text| Layout::read(generator, name, text).unwrap();
        let mkdocs = read(
            Generator::MkDocs,
            "mkdocs.yml",
            "site_url: https://x.dev/uv # here\ndocs_dir: 'pages'\nuse_directory_urls: false\ntheme:\n  name: material\n  language: de\n\
             markdown_extensions:\n  - x: !!python/name:a.b\n",
        );
        assert_eq!((mkdocs.base.as_deref(), mkdocs.style), (Some("https://x.dev/uv"), Some(UrlStyle::Html)));
        assert_eq!((mkdocs.content.as_str(), &mkdocs.locales), ("pages/", &vec![locale("", "de")]));

        let starlight = "import starlight from '@astrojs/starlight';\nexport default defineConfig({\n  // site: 'https://old',\n\
                         site: 'https://x.dev', base: '/docs', integrations: [starlight({ title: 'It\\'s', locales: {\n\
                         root: { label: 'English', lang: 'en' }, 'zh-cn': { label: '{', lang: 'zh-CN' }, fr: { label: 'F' } } })] });";
        let starlight = read(Generator::Starlight, "astro.config.mjs", starlight);
        assert_eq!(starlight.base.as_deref(), Some("https://x.dev/docs/"));
        assert_eq!(starlight.locales, [locale("", "en"), locale("zh-cn", "zh-CN"), locale("fr", "fr")]);
        assert_eq!(Layout::read(Generator::Starlight, "astro.config.mjs", "import x from 'other'"), None);

        let vitepress = read(
            Generator::VitePress,
            ".vitepress/config.mts",
            "export default { cleanUrls: true, srcDir: './src', lang: 'en-US' }",
        );
        assert_eq!((vitepress.style, vitepress.content.as_str()), (Some(UrlStyle::Clean), "src/"));
        let docusaurus = "const config = {\n url: 'https://x.dev', baseUrl: '/', trailingSlash: true, i18n: { defaultLocale: 'en' } };";
        let docusaurus = read(Generator::Docusaurus, "docusaurus.config.js", docusaurus);
        assert_eq!((docusaurus.base.as_deref(), docusaurus.style), (Some("https://x.dev/docs"), Some(UrlStyle::Slash)));

        let hugo = "baseURL = 'https://x.dev/'\nuglyURLs = true\ndefaultContentLanguage = 'en'\n[languages.en]\n[languages.fr]\nweight = 2\n";
        let hugo = read(Generator::Hugo, "hugo.toml", hugo);
        assert_eq!((hugo.style, &hugo.locales), (Some(UrlStyle::Html), &vec![locale("", "en"), locale("fr", "fr")]));
        assert_eq!(Layout::read(Generator::Hugo, "config.toml", "[server]\nport = 1\n"), None);
        assert_eq!(read(Generator::MdBook, "book.toml", "[book]\nlanguage = \"de\"\n").locales, [locale("", "de")]);
        assert_eq!(Layout::read(Generator::Mintlify, "docs.json", "{\"name\": \"x\"}"), None);
    }
}
