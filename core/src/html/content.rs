//! Where the content of a page is: what repeats on every page of a site is taken out of the tree,
//! then the known places are looked at, then where most running text stands.

use std::collections::{BTreeMap, BTreeSet};

use ego_tree::NodeId;
use scraper::{ElementRef, Html};

use super::{one_line, select, text};

/// Never content, wherever it stands. The class names are those of the generators: Docusaurus
/// (`theme-…`, `pagination-nav`), `MkDocs` Material (`md-…`), Starlight (`sl-…`), `VitePress`
/// (`header-anchor`, `lang`), Sphinx (`headerlink`, `related`), Docsy (`td-…`).
const SURROUNDINGS: &str = "
    script, style, noscript, template, svg, iframe, object, canvas, audio, video, dialog, button, input, select,
    textarea, nav, footer, [role=navigation], [role=search], [role=contentinfo], [role=banner], [aria-hidden=true]:not(.starlight-aside__title),
    [data-search-exclude], [data-pagefind-ignore], .sr-only, .visually-hidden, .screen-reader-text,
    .headerlink, .hash-link, .header-anchor, .sl-anchor-link, .heading-anchor, .anchorjs-link, .td-heading-self-link,
    .breadcrumb, .breadcrumbs, .pagination-nav, .prev-next, .prev-next-area, .page-nav, .skip-link,
    .theme-edit-this-page, .theme-doc-footer, .theme-doc-breadcrumbs, .theme-doc-toc-mobile,
    .theme-doc-version-badge, .md-content__button, .md-source-file, .md-feedback, .md-tags, .edit-link, .edit-page,
    .edit-this-page, .td-page-meta, .td-toc, .copybtn, .copy-button, .clipboard-button,
    .sphinxsidebar, .related, #toc, .toc, .table-of-contents, .footnote-backref,
    [class*=language-] > .lang, .line-numbers-wrapper, .linenos, .linenodiv, .lineno, .line-number,
    .hljs-ln-numbers, .gutter, .lnt, pre .ln, .rouge-gutter, .blob-num";

/// Where the content stands on the pages of generators and of authors who say so, surest first.
const PLACES: [&str; 10] = [
    "[data-pagefind-body]",
    ".theme-doc-markdown",
    ".vp-doc",
    ".md-content__inner",
    ".sl-markdown-content",
    ".td-content",
    "[itemprop=articleBody]",
    "div.document div.body",
    "[role=main]",
    "main",
];

/// Rows of tabs, the tabs in them, and what they show.
const TAB_LISTS: &str = "[role=tablist], .tabbed-labels, .vp-code-group > .tabs";
const TABS: &str = "[role=tab], label";
const PANELS: &str = "[role=tabpanel], .tabbed-block, .vp-code-group > .blocks > div";

/// What went with the surroundings and belongs to the content.
pub(super) struct Said {
    /// Panels, by the text of their tabs.
    pub(super) labels: BTreeMap<NodeId, String>,
    /// Headings, by the fragment that leads to them or as near as can be.
    pub(super) anchors: BTreeMap<NodeId, String>,
}

/// Takes out what surrounds the content.
pub(super) fn prepare(page: &mut Html) -> Said {
    let (labels, lists) = tabs(page);
    let anchors = anchors(page);
    let mut gone: Vec<NodeId> = select(page, SURROUNDINGS).into_iter().map(|element| element.id()).collect();
    gone.extend(lists);
    // Generators put a page's title into a header, and notes into asides; sites their own name and advertisements.
    let headers = select(page, "header").into_iter().filter(|header| {
        !within(header, &["main", "article", "section"]) || select_in(*header, "h1, h2, h3, h4, h5, h6").is_empty()
    });
    gone.extend(headers.map(|header| header.id()));
    let asides = select(page, "aside").into_iter().filter(|aside| !is_note(aside));
    gone.extend(asides.map(|aside| aside.id()));
    for id in gone {
        if let Some(mut node) = page.tree.get_mut(id) {
            node.detach();
        }
    }
    Said { labels, anchors }
}

/// A heading's own id, else the one that stands in it, else where its permanent link points, else
/// the id of the section it opens, else that of the heading before it.
fn anchors(page: &Html) -> BTreeMap<NodeId, String> {
    let mut anchors = BTreeMap::new();
    let mut last = String::new();
    for heading in select(page, "h1, h2, h3, h4, h5, h6") {
        let id = |element: &ElementRef<'_>| element.attr("id").filter(|id| !id.is_empty()).map(str::to_owned);
        let inside = || {
            heading.descendent_elements().find_map(|part| id(&part).or_else(|| part.attr("name").map(str::to_owned)))
        };
        let beside = || heading.next_siblings().find_map(ElementRef::wrap).filter(|next| next.value().name() == "a");
        let link = |link: ElementRef<'_>| link.attr("href").and_then(|href| href.strip_prefix('#')).map(str::to_owned);
        let permanent =
            || heading.descendent_elements().chain(beside()).find_map(link).filter(|fragment| !fragment.is_empty());
        let section = || {
            let opens = !heading.prev_siblings().any(|before| before.value().is_element());
            heading
                .parent()
                .and_then(ElementRef::wrap)
                .filter(|_| opens)
                .filter(|parent| matches!(parent.value().name(), "section" | "div"))
                .and_then(|parent| id(&parent))
        };
        let found = id(&heading).or_else(inside).or_else(permanent).or_else(section);
        last = found.unwrap_or(last);
        anchors.insert(heading.id(), last.clone());
    }
    anchors
}

fn within(element: &ElementRef<'_>, names: &[&str]) -> bool {
    element.ancestors().filter_map(ElementRef::wrap).any(|ancestor| names.contains(&ancestor.value().name()))
}

/// Starlight and docutils write admonitions, topics and footnotes as `aside`, and so do others.
fn is_note(aside: &ElementRef<'_>) -> bool {
    let words =
        ["admonition", "aside", "callout", "note", "tip", "info", "warning", "caution", "danger", "topic", "alert"];
    let class = aside.attr("class").unwrap_or_default().to_ascii_lowercase();
    aside.attr("role") == Some("note") || words.iter().any(|word| class.contains(word))
}

fn select_in<'a>(element: ElementRef<'a>, css: &str) -> Vec<ElementRef<'a>> {
    scraper::Selector::parse(css).map(|selector| element.select(&selector).collect()).unwrap_or_default()
}

/// The label of each panel, and the rows of tabs that are thereby said.
fn tabs(page: &Html) -> (BTreeMap<NodeId, String>, Vec<NodeId>) {
    let (mut labels, mut lists) = (BTreeMap::new(), Vec::new());
    // Looked for once in each element, however many rows of tabs it has.
    let mut known: BTreeMap<NodeId, Vec<ElementRef<'_>>> = BTreeMap::new();
    for list in select(page, TAB_LISTS) {
        let tabs = select_in(list, TABS);
        // The panels stand beside the row, or beside an element that wraps it.
        for set in list.ancestors().take(3).filter_map(ElementRef::wrap) {
            let panels = known.entry(set.id()).or_insert_with(|| outermost(select_in(set, PANELS)));
            if panels.len() == tabs.len() && !tabs.is_empty() {
                labels.extend(panels.iter().zip(&tabs).map(|(panel, tab)| (panel.id(), one_line(&text(*tab)))));
                lists.push(list.id());
            }
            if !panels.is_empty() {
                break;
            }
        }
    }
    (labels, lists)
}

/// Without those inside others of them.
fn outermost(elements: Vec<ElementRef<'_>>) -> Vec<ElementRef<'_>> {
    let ids: BTreeSet<NodeId> = elements.iter().map(|element| element.id()).collect();
    elements.into_iter().filter(|element| !element.ancestors().any(|ancestor| ids.contains(&ancestor.id()))).collect()
}

/// The elements that hold the content.
pub(super) fn roots(page: &Html) -> Vec<ElementRef<'_>> {
    for place in PLACES {
        let found = outermost(select(page, place));
        let said = size(&found);
        if said == 0 {
            continue;
        }
        // What is in `main` and in no article of it is often a list of related pages.
        let articles = outermost(found.iter().flat_map(|place| select_in(*place, "article")).collect());
        return if size(&articles) * 2 > said { articles } else { found };
    }
    let articles = outermost(select(page, "article"));
    if size(&articles) > 0 {
        return articles;
    }
    densest(page).or_else(|| select(page, "body").into_iter().next()).into_iter().collect()
}

fn size(elements: &[ElementRef<'_>]) -> usize {
    elements.iter().map(|element| words(*element)).sum()
}

/// Bytes of text, blanks aside.
fn words(element: ElementRef<'_>) -> usize {
    element.text().map(|text| text.split_whitespace().map(str::len).sum::<usize>()).sum()
}

/// The element with most running text right inside it. Text of a paragraph counts for its parent,
/// half for the parent of that; text of links counts against it, which is what navigation is made of.
fn densest(page: &Html) -> Option<ElementRef<'_>> {
    let mut scores: BTreeMap<NodeId, usize> = BTreeMap::new();
    for paragraph in select(page, "p, pre, table, dl, ul, ol, blockquote, h2, h3") {
        let linked: usize = select_in(paragraph, "a").into_iter().map(words).sum();
        let score = words(paragraph).saturating_sub(2 * linked);
        for (ancestor, share) in paragraph.ancestors().filter_map(ElementRef::wrap).zip([1, 2]) {
            *scores.entry(ancestor.id()).or_default() += score / share;
        }
    }
    let (id, _) = scores.into_iter().filter(|(_, score)| *score > 0).max_by_key(|(_, score)| *score)?;
    page.tree.get(id).and_then(ElementRef::wrap)
}
