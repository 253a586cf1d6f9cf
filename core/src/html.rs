//! A web page to an article: what the page itself says, without what surrounds it on every page of
//! the site.
//!
//! Parsing is html5ever's and as browsers do it. What is decided here: where the content of a page
//! is (`content`), and how it reads as Markdown, with the ids of its headings kept, so that a
//! citation leads to an anchor that exists (`markdown`).

mod content;
mod markdown;
mod parse;

use std::collections::BTreeSet;

use scraper::{ElementRef, Html, Selector};
use url::Url;

/// What a web page says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Article {
    /// First heading of the content, else the page's title without the name of the site; may be empty.
    pub title: String,
    /// Language tag of the page, else empty.
    pub lang: String,
    /// The page's own summary, else empty.
    pub description: String,
    /// The page asks not to be indexed, or only sends browsers on.
    pub noindex: bool,
    /// Absolute address under which the page wants to be known, or to which it sends browsers on.
    pub canonical: Option<String>,
    /// Absolute addresses of other pages, without fragment, in the order of the page, navigation
    /// included; none if the page asks that its links be left alone.
    pub links: Vec<String>,
    /// The page is larger than what is read of one: [`body`](Self::body) ends early.
    pub cut: bool,
    /// The content as Markdown; links are absolute, headings carry their id as `{#id}`. Those
    /// without have none, and no other is to be made up for them: read it with
    /// [`Anchors::None`](crate::anchors::Anchors::None).
    pub body: String,
}

/// Reads a page. `url` is its address; where that is none, links stay as they are written.
pub fn read(html: &str, url: &str) -> Article {
    let (mut page, cut) = parse::parse(html);
    let address = Url::parse(url).ok();
    let base = select(&page, "base[href]").into_iter().find_map(|base| base.attr("href"));
    let base = match (&address, base) {
        (Some(address), Some(base)) => address.join(base).ok(),
        (address, _) => address.clone(),
    };
    let metas = select(&page, "meta[content]");
    let named = |name: &str| {
        let is = |value: Option<&str>| value.is_some_and(|value| value.trim().eq_ignore_ascii_case(name));
        let found = metas.iter().filter(|meta| is(meta.attr("name").or_else(|| meta.attr("property"))));
        found.filter_map(|meta| meta.attr("content")).map(one_line).find(|text| !text.is_empty())
    };
    let robots = named("robots").unwrap_or_default().to_ascii_lowercase();
    let asks = |rule| robots.split(',').map(str::trim).any(|given| given == rule || given == "none");
    let sent_on = metas.iter().find_map(|meta| sent_on(*meta, base.as_ref()));
    let links = if asks("nofollow") { Vec::new() } else { links(&page, base.as_ref(), sent_on.as_ref()) };
    let canonical = select(&page, "link[rel=canonical][href]").into_iter().find_map(|link| link.attr("href"));
    let canonical = canonical.and_then(|href| base.as_ref()?.join(href.trim()).ok());
    let mut article = Article {
        title: String::new(),
        lang: page.root_element().attr("lang").map(one_line).unwrap_or_default(),
        description: named("description").or_else(|| named("og:description")).unwrap_or_default(),
        noindex: asks("noindex") || sent_on.is_some(),
        canonical: sent_on.or(canonical).map(String::from),
        links,
        cut,
        body: String::new(),
    };
    let site = named("og:site_name").unwrap_or_default();
    let title = select(&page, "head title").first().map(|title| one_line(&text(*title))).unwrap_or_default();
    let said = content::prepare(&mut page);
    let content = content::roots(&page);
    let headings = select(&page, "h1").into_iter().map(|heading| one_line(&text(heading)));
    let heading = headings.into_iter().find(|text| !text.is_empty());
    article.title = heading.unwrap_or_else(|| without_site(&title, &site).to_owned());
    article.body = markdown::write(&page, &content, &said, address.as_ref(), base.as_ref());
    article
}

/// Elements in the order of the page. The selectors of this module and its parts are constants; one
/// that is none would select nothing.
fn select<'a>(page: &'a Html, css: &str) -> Vec<ElementRef<'a>> {
    Selector::parse(css).map(|selector| page.select(&selector).collect()).unwrap_or_default()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where a page that is only a signpost sends browsers: `<meta http-equiv="refresh" content="0; url=…">`.
fn sent_on(meta: ElementRef<'_>, base: Option<&Url>) -> Option<Url> {
    let refresh = meta.attr("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh"));
    let content = meta.attr("content").filter(|_| refresh)?;
    let (_, target) = content.split_once([';', ','])?;
    let target = target.trim();
    let name = target.get(..3).filter(|name| name.eq_ignore_ascii_case("url")).map_or(0, str::len);
    let target = target.get(name..)?.trim_start().trim_start_matches('=').trim().trim_matches(['"', '\'']);
    base?.join(target).ok()
}

fn links(page: &Html, base: Option<&Url>, sent_on: Option<&Url>) -> Vec<String> {
    let Some(base) = base else { return Vec::new() };
    let asked =
        |link: &ElementRef<'_>| !link.attr("rel").is_some_and(|rel| rel.split_whitespace().any(|r| r == "nofollow"));
    let found = select(page, "a[href], area[href], link[rel=next][href]")
        .into_iter()
        .filter(asked)
        .filter_map(|link| base.join(link.attr("href")?.trim()).ok());
    let mut seen = BTreeSet::new();
    let mut links = Vec::new();
    for mut link in sent_on.cloned().into_iter().chain(found) {
        link.set_fragment(None);
        if matches!(link.scheme(), "http" | "https") && seen.insert(link.to_string()) {
            links.push(link.to_string());
        }
    }
    links
}

/// `Install | Example` without the site's name, which stands behind the last separator.
fn without_site<'a>(title: &'a str, site: &str) -> &'a str {
    let separators = [" | ", " — ", " – ", " - ", " · ", " :: ", " « "];
    let named = |rest: &'a str| separators.iter().find_map(|separator| rest.strip_suffix(separator));
    if let Some(rest) = title.strip_suffix(site).filter(|_| !site.is_empty()).and_then(named) {
        return rest.trim();
    }
    let last = separators.iter().filter_map(|separator| title.rfind(separator)).max();
    last.and_then(|at| title.get(..at)).unwrap_or(title).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchors::Anchors;
    use crate::markdown;

    const AT: &str = "https://docs.example.com/guide/install";

    fn body(html: &str) -> String {
        read(html, AT).body
    }

    fn anchors(body: &str) -> Vec<String> {
        of_sections(markdown::sections(body, Anchors::None))
    }

    fn of_sections(sections: Vec<markdown::Section>) -> Vec<String> {
        sections.into_iter().filter_map(|section| Some(section.heading?.anchor)).collect()
    }

    #[test]
    fn elements_become_the_markdown_that_says_the_same() {
        for (html, expected) in [
            ("<h2 id=a-b>A <code>b</code></h2><p>One\n two<br>three", "## A `b` {#a-b}\n\nOne two\\\nthree\n"),
            (
                "<p><a href='../x?q=1#y'>up <b>there</b></a> <a href='javascript:x()'>run</a>",
                "[up **there**](https://docs.example.com/x?q=1#y) run\n",
            ),
            (
                "<p>max_top_k 5 * 3 *not* [x](y) &lt;div&gt; a_ &amp;amp; `",
                "max_top_k 5 * 3 \\*not\\* [x\\](y) \\<div> a\\_ \\&amp; \\`\n",
            ),
            ("<p># no<p>1. no<p>- no<p>1.5 yes", "\\# no\n\n1\\. no\n\n\\- no\n\n1.5 yes\n"),
            ("<ul><li>a<ul><li>b</ul><li><p>c<p>d</ul>", "- a\n  - b\n\n- c\n\n  d\n"),
            ("<ol start=9><li>a<li>b<pre>x\n\ny</pre></ol>", "9. a\n\n10. b\n\n    ```\n    x\n\n    y\n    ```\n"),
            ("<dl><dt>a<dt>b<dd>c<dt>d<dd><p>e</dl>", "- a\n\n  b\n\n  c\n\n- d\n\n  e\n"),
            ("<blockquote><p>a<p>b</blockquote>", "> a\n>\n> b\n"),
            (
                "<table><tr><th>a<th>b|c<tr><td>1<br>2<td><code>x|y</code></table>",
                "| a | b\\|c |\n| --- | --- |\n| 1 2 | `x\\|y` |\n",
            ),
            ("<table><tr><td rowspan=2>a<td>b<tr><td>c</table>", "|  |  |\n| --- | --- |\n| a | b |\n| a | c |\n"),
            ("<pre><code class=language-js>a ``` b</code></pre>", "````js\na ``` b\n````\n"),
            ("<p><img alt='Two arrows' src=x> here<img src=y>", "Two arrows here\n"),
            ("<details><summary>More</summary><p>text</details>", "**More**\n\ntext\n"),
            ("<div class='admonition tip'><p class=admonition-title>Tip<p>Do it</div>", "**Tip**\n\nDo it\n"),
            ("<p>a<div>b</div>c", "a\n\nb\n\nc\n"),
        ] {
            assert_eq!(body(&format!("<main>{html}</main>")), expected, "{html}");
        }
    }

    #[test]
    fn anchors_are_those_of_the_page_and_never_made_up() {
        let page = "<main><h1>None</h1><h2 id='a_b.c(d)'>1</h2><section id=s><h2>2<a class=headerlink href=#s>¶</a></h2></section>\
                    <section id=t><h2>2b</h2></section><h2><a id=in></a>3</h2><h2>4 <a class=hash-link href=#link>#</a></h2><h3>5</h3><h2 id='two words'>6</h2>";
        assert_eq!(anchors(&body(page)), ["", "a_b.c(d)", "s", "t", "in", "link", "link", "two%20words"]);
        assert!(!body(page).contains('¶') && !body(page).contains("#]"));
    }

    #[test]
    fn tabs_are_labels_of_what_they_show() {
        let page = "<main><div><ul role=tablist><li role=tab>npm<li role=tab>yarn</ul><div><div role=tabpanel><p>npm i</div>\
                    <div role=tabpanel hidden><pre>yarn add</pre></div></div></div></main>";
        assert_eq!(body(page), "**npm**\n\nnpm i\n\n**yarn**\n\n```\nyarn add\n```\n");
    }

    #[test]
    fn what_surrounds_the_content_is_left_out() {
        let page = "<header>Site</header><nav>Nav</nav><main><nav>Crumbs</nav><header><h1>Title</h1></header>\
                    <p>Text<aside class=note>Note</aside><aside>Ad</aside><div data-search-exclude>no</div>\
                    <button>Copy</button><footer>Edit this page</footer></main><footer>Legal</footer>";
        assert_eq!(body(page), "# Title\n\nText\n\nNote\n");
        let unmarked = "<div class=menu><ul><li><a href=/a>All the many pages of this site</a><li><a href=/b>with names that are longer than what they say</a></ul></div>\
                        <div><h1>T</h1><p>Running text of some length.<p>And more of it.</div><div><p>© Somebody</div>";
        assert_eq!(body(unmarked), "# T\n\nRunning text of some length.\n\nAnd more of it.\n");
    }

    #[test]
    fn what_a_page_says_of_itself_is_read() {
        let page = "<html lang=de><head><title>Install | Example</title><meta name=description content=' How  to '>\
                    <meta name=ROBOTS content='NoIndex, follow'><link rel=canonical href=/guide/><base href=/other/>\
                    <body><main><p>x <a href=y#z>y</a> <a rel=nofollow href=n>n</a> <a href=y>y</a> <a href=mailto:a@b>m</a></main>";
        let article = read(page, AT);
        assert_eq!([article.title.as_str(), &article.lang, &article.description], ["Install", "de", "How to"]);
        assert!(article.noindex);
        assert_eq!(article.canonical.as_deref(), Some("https://docs.example.com/guide/"));
        assert_eq!(article.links, ["https://docs.example.com/other/y"]);
        let signpost = read("<meta http-equiv=refresh content='0; url=en/latest/'>", AT);
        assert_eq!(signpost.canonical.as_deref(), Some("https://docs.example.com/guide/en/latest/"));
    }

    /// A page of docent's own documentation, and what four generators make of it (their scripts,
    /// styles and drawings taken out).
    #[test]
    fn generators_give_back_the_page_they_were_given() {
        let source = include_str!("html/pages/page.md");
        for (generator, page) in [
            ("MkDocs Material", include_str!("html/pages/mkdocs-material.html")),
            ("Sphinx with Furo", include_str!("html/pages/sphinx-furo.html")),
            ("Starlight", include_str!("html/pages/starlight.html")),
            ("VitePress", include_str!("html/pages/vitepress.html")),
        ] {
            let article = read(page, AT);
            assert_eq!(article.title, "Configuration", "{generator}");
            assert!(article.lang.starts_with("en"), "{generator}");
            // Starlight has its own anchor for the first heading, Sphinx its own quotation marks.
            let body = article.body.replace("{#_top}", "{#configuration}").replace('’', "'");
            assert_eq!(anchors(&body), of_sections(markdown::sections(source, Anchors::GitHub)), "{generator}");
            assert_eq!(said(&body), said(source), "{generator}");
        }
    }

    /// Every text and every block of code, with its language.
    fn said(source: &str) -> Vec<String> {
        use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
        let mut said = vec![String::new()];
        for event in Parser::new_ext(source, Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES) {
            match event {
                Event::Text(text) | Event::Code(text) => said.last_mut().unwrap().push_str(&text),
                Event::SoftBreak => said.last_mut().unwrap().push(' '),
                Event::Start(Tag::CodeBlock(kind)) => said.push(format!("{kind:?}")),
                Event::End(TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::TableCell | TagEnd::CodeBlock) => {
                    said.push(String::new());
                }
                _ => {}
            }
        }
        said.into_iter().filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn hostile_pages_stay_within_bounds() {
        let many = 100_000;
        for (what, page) in [
            ("depth", "<div>".repeat(many)),
            ("lists", "<ul><li>x".repeat(many)),
            ("marks", "<b><i>x".repeat(many)),
            (
                "formatting",
                format!(
                    "{}{}",
                    (0..many).fold(String::new(), |page, n| page + "<p><b id=" + &n.to_string() + "></p>"),
                    "x</p>".repeat(many)
                ),
            ),
            ("attributes", format!("<p {}>", "a b=c ".repeat(many))),
            ("tables", "<table><tr><td rowspan=9999 colspan=9999>x".repeat(many)),
            ("tags", "<a".repeat(many)),
            ("references", "&".repeat(many)),
            ("tabs", "<div role=tablist><a role=tab>x</a></div><div role=tabpanel>y</div>".repeat(many / 10)),
        ] {
            let article = read(&page, AT);
            assert!(article.body.len() < 20 * page.len(), "{what}: {}", article.body.len());
        }
        assert!(read(&"<div>".repeat(many), AT).cut);
        assert!(!read(&format!("<main>{}", "<p>x".repeat(many / 10)), AT).cut);
    }

    proptest::proptest! {
        #[test]
        fn any_text_comes_back_from_its_markdown(text in "[ -~ü]{1,40}", id in "[!-~]{1,8}") {
            let html = format!("<main><h2 id=\"{}\">x</h2><p>{}</p></main>", escaped(&id), escaped(&text));
            let body = body(&html);
            let sections = markdown::sections(&body, Anchors::None);
            let anchor = sections[0].heading.as_ref().map(|heading| heading.anchor.clone()).unwrap();
            assert!(anchor == id || percent_decoded(&anchor) == id, "{anchor}");
            assert_eq!(plain(&body).split_once('\n').unwrap().1, one_line(&text), "{body}");
        }
    }

    fn escaped(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
    }

    fn percent_decoded(text: &str) -> String {
        url::form_urlencoded::parse(text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D").as_bytes())
            .next()
            .map(|(name, _)| name.into_owned())
            .unwrap_or_default()
    }

    /// Text of the headings and paragraphs, a line each, as a reader of Markdown sees it.
    fn plain(body: &str) -> String {
        use pulldown_cmark::{Event, Options, Parser, TagEnd};
        let mut text = String::new();
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_HEADING_ATTRIBUTES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_TASKLISTS;
        for event in Parser::new_ext(body, options) {
            match event {
                Event::Text(part) => text.push_str(&part),
                Event::End(TagEnd::Heading(_)) => text.push('\n'),
                Event::Start(_) | Event::End(TagEnd::Paragraph) => {}
                other => text.extend(["<", &format!("{other:?}"), ">"]),
            }
        }
        text
    }
}
