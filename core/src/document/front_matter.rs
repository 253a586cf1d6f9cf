//! What stands above a page: YAML between `---`, TOML between `+++`, JSON in braces (Hugo), and the
//! `Key: value` lines of `MultiMarkdown` (`MkDocs`).

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::DocumentError;
use super::site::Generator;

/// The YAML parser takes time for every bracket that is open, at every word: a few thousand would
/// keep it busy for minutes.
const MAX_NESTED: usize = 100;

/// The fields that docent reads. Others belong to other programs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FrontMatter {
    #[serde(deserialize_with = "scalar")]
    pub(super) title: String,
    #[serde(deserialize_with = "scalar")]
    sidebar_label: String,
    #[serde(rename = "sidebarTitle", deserialize_with = "scalar")]
    sidebar_title: String,
    #[serde(rename = "linkTitle", deserialize_with = "scalar")]
    link_title: String,
    #[serde(deserialize_with = "scalar")]
    pub(super) slug: String,
    #[serde(deserialize_with = "loose")]
    id: Loose,
    #[serde(deserialize_with = "loose")]
    url: Loose,
    #[serde(deserialize_with = "scalar")]
    pub(super) description: String,
    #[serde(deserialize_with = "loose")]
    lang: Loose,
    #[serde(deserialize_with = "scalar")]
    pub(super) version: String,
    #[serde(deserialize_with = "loose")]
    product: Loose,
    #[serde(deserialize_with = "loose")]
    draft: Loose,
    #[serde(deserialize_with = "loose")]
    unlisted: Loose,
    #[serde(deserialize_with = "loose")]
    noindex: Loose,
    #[serde(deserialize_with = "loose")]
    robots: Loose,
    #[serde(deserialize_with = "loose")]
    hidden: Loose,
    #[serde(deserialize_with = "loose")]
    searchable: Loose,
    #[serde(deserialize_with = "loose")]
    pagefind: Loose,
    #[serde(deserialize_with = "loose")]
    headless: Loose,
    #[serde(deserialize_with = "loose")]
    search: Loose,
    #[serde(deserialize_with = "loose")]
    sidebar: Loose,
    #[serde(deserialize_with = "loose")]
    hero: Loose,
    #[serde(alias = "_build", deserialize_with = "loose")]
    build: Loose,
}

impl FrontMatter {
    /// By what its author keeps the page from search.
    pub(super) fn skips(&self, generator: Generator) -> Option<&'static str> {
        let Self { draft, unlisted, noindex, robots, hidden, searchable, pagefind, headless, search, build, .. } = self;
        let hugo = generator == Generator::Hugo;
        let reasons = [
            (draft.is(true), "draft: true"),
            (unlisted.is(true), "unlisted: true"),
            (noindex.is(true), "noindex: true"),
            (robots.scalar.contains("noindex"), "robots: noindex"),
            (hidden.is(true) && generator == Generator::Mintlify, "hidden: true"),
            (searchable.is(false), "searchable: false"),
            (pagefind.is(false), "pagefind: false"),
            (search.is(false), "search: false"),
            (search.flag_of("exclude", true), "search: {exclude: true}"),
            (headless.is(true) && hugo, "headless: true"),
            ((build.flag_of("render", false) || build.value_of("render") == "never") && hugo, "build.render: never"),
            ((build.flag_of("list", false) || build.value_of("list") == "never") && hugo, "build.list: never"),
        ];
        reasons.into_iter().find_map(|(skips, reason)| skips.then_some(reason))
    }

    /// The best title that it gives, else empty.
    pub(super) fn any_title(&mut self) -> String {
        let titles = [&mut self.title, &mut self.sidebar_label, &mut self.sidebar_title, &mut self.link_title];
        let title = titles.into_iter().find(|title| !title.is_empty()).map(std::mem::take);
        title.unwrap_or_else(|| {
            let label = self.sidebar.value_of("label");
            if label.is_empty() { self.hero.value_of("title") } else { label }.to_owned()
        })
    }

    /// Starlight's start page greets with words that stand nowhere else.
    pub(super) fn tagline(&self) -> &str {
        self.hero.value_of("tagline")
    }

    /// Language and product; a list of them belongs to another program.
    pub(super) fn lang_and_product(&mut self) -> (String, String) {
        (std::mem::take(&mut self.lang.scalar), std::mem::take(&mut self.product.scalar))
    }

    /// Docusaurus's name of the page.
    pub(super) fn id(&self) -> &str {
        &self.id.scalar
    }

    /// Hugo's own address of the page.
    pub(super) fn url(&self) -> &str {
        &self.url.scalar
    }
}

/// A value of any kind. Fields that mean something else to another program must not fail the page.
#[derive(Debug, Default)]
struct Loose {
    /// As its author wrote it, if it is one value.
    scalar: String,
    /// Names and scalar values, if it is a table.
    fields: Vec<(String, Loose)>,
}

impl Loose {
    fn is(&self, value: bool) -> bool {
        let words: &[&str] = if value { &["true", "yes", "on"] } else { &["false", "no", "off"] };
        words.iter().any(|word| self.scalar.eq_ignore_ascii_case(word))
    }
    fn field(&self, name: &str) -> Option<&Self> {
        self.fields.iter().find_map(|(field, value)| (field == name).then_some(value))
    }
    fn flag_of(&self, name: &str, value: bool) -> bool {
        self.field(name).is_some_and(|field| field.is(value))
    }
    fn value_of(&self, name: &str) -> &str {
        self.field(name).map(|field| field.scalar.as_str()).unwrap_or_default()
    }
}

/// Text, or a number or truth value as its author wrote it: YAML hands `version: 1.10` over as text,
/// and not as the number 1.1.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_option(Scalar)
}

fn loose<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Loose, D::Error> {
    Loose::deserialize(deserializer)
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl LooseVisitor {
    #[expect(clippy::unnecessary_wraps, reason = "what visitors return")]
    fn scalar<E>(text: impl ToString) -> Result<Loose, E> {
        Ok(Loose { scalar: text.to_string(), fields: Vec::new() })
    }
}

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }
    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::default())
    }
    fn visit_none<E>(self) -> Result<Loose, E> {
        Ok(Loose::default())
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Loose, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Self::scalar(text.trim())
    }
    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Self::scalar(value)
    }
    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Self::scalar(value)
    }
    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Self::scalar(value)
    }
    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Self::scalar(value)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<Loose, Loose>()? {
            fields.push((name.scalar, value));
        }
        Ok(Loose { scalar: String::new(), fields })
    }
}

struct Scalar;

impl<'de> Visitor<'de> for Scalar {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("one line of text")
    }
    fn visit_none<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.trim().to_owned())
    }
    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }
    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(value.to_string())
    }
}

/// Splits front matter off. A block that nobody closes, or that is no table of fields, is text.
pub(super) fn split(source: &str, generator: Generator) -> Result<(FrontMatter, &str), DocumentError> {
    let error = |line, reason: String| DocumentError::FrontMatter { line, reason };
    let end = if generator == Generator::MkDocs { "..." } else { "---" };
    if let Some((yaml, body)) = fenced(source, "---", end) {
        if is_nested(yaml, MAX_NESTED) {
            return Err(error(2, format!("brackets inside brackets, more than {MAX_NESTED} deep")));
        }
        let front = yaml_serde::from_str::<Option<FrontMatter>>(yaml);
        return front.map(|front| (front.unwrap_or_default(), body)).or_else(|e| {
            // Two rules with words between them are no front matter.
            match yaml_serde::from_str::<yaml_serde::Value>(yaml) {
                Ok(value) if !value.is_mapping() => Ok((FrontMatter::default(), source)),
                _ => Err(error(e.location().map_or(1, |at| at.line() + 1), first_line(&e.to_string()))),
            }
        });
    }
    if let Some((toml, body)) = fenced(source, "+++", "+++") {
        let front = toml::from_str(toml).map_err(|e| {
            let before = e.span().and_then(|span| toml.get(..span.start)).unwrap_or_default();
            error(before.matches('\n').count() + 2, first_line(e.message()))
        })?;
        return Ok((front, body));
    }
    match generator {
        Generator::Hugo if source.starts_with('{') => {
            let mut json = serde_json::Deserializer::from_str(source).into_iter::<FrontMatter>();
            match json.next() {
                Some(Ok(front)) => Ok((front, source.get(json.byte_offset()..).unwrap_or_default())),
                Some(Err(e)) => Err(error(e.line(), first_line(&e.to_string()))),
                None => Ok((FrontMatter::default(), source)),
            }
        }
        Generator::MkDocs => Ok(multimarkdown(source)),
        _ => Ok((FrontMatter::default(), source)),
    }
}

/// `Key: value` lines at the very top, ended by a blank line; lines that are indented by four go on.
fn multimarkdown(source: &str) -> (FrontMatter, &str) {
    let mut front = FrontMatter::default();
    let (mut at, mut found) = (0, false);
    for line in source.split_inclusive('\n') {
        let key = line.split_once(':').filter(|(key, value)| {
            let name = key.trim_start_matches(' ');
            key.len() - name.len() <= 3
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
                && !value.starts_with("//")
        });
        let goes_on = found && line.starts_with("    ") && !line.trim().is_empty();
        match key {
            Some((key, value)) if !goes_on => {
                found = true;
                let field = match key.trim().to_ascii_lowercase().as_str() {
                    "title" => &mut front.title,
                    "description" | "summary" => &mut front.description,
                    "lang" => &mut front.lang.scalar,
                    "version" => &mut front.version,
                    _ => &mut String::new(),
                };
                value.trim().clone_into(field);
            }
            _ if goes_on => {}
            _ => {
                at += if found && line.trim().is_empty() { line.len() } else { 0 };
                break;
            }
        }
        at += line.len();
    }
    if found { (front, source.get(at..).unwrap_or_default()) } else { (front, source) }
}

/// Whether more brackets are open at a time. Those in texts count too, so it is no exact measure.
pub(super) fn is_nested(yaml: &str, most: usize) -> bool {
    let mut open = 0_usize;
    yaml.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > most
    })
}

/// Without the place, which the parser counts from another line.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.split_once(" at line ").map_or(line, |(reason, _)| reason).to_owned()
}

/// What stands between a first line that is the fence and the next line that ends it, and the rest.
fn fenced<'a>(source: &'a str, fence: &str, other_end: &str) -> Option<(&'a str, &'a str)> {
    let (first, rest) = source.split_once('\n')?;
    if first.trim_end() != fence {
        return None;
    }
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if [fence, other_end].contains(&line.trim_end()) {
            return rest.get(..at).zip(rest.get(at + line.len()..));
        }
        at += line.len();
    }
    None
}
