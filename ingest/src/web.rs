//! Documentation from the web: pages by llms.txt, by sitemap or by following links, or all of them
//! from llms-full.txt.
//!
//! Nobody but the host of the given address is ever asked for anything, redirects and links to others
//! are not followed. The site's rules are kept: robots.txt, `noindex`, `nofollow`, `canonical`.
//! A run is broken off without loss: what it fetched is in the cache.

mod address;
mod cache;
mod fetch;
mod llms;
mod robots;
mod sitemap;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use docent_core::anchors::Anchors;
use docent_core::document::{self, Document, MAX_FILTER_BYTES, MAX_URL_BYTES, Page, Site, UrlStyle};
use docent_core::html::{self, Article};
use url::Url;

use self::address::{Scope, document_path, twin_of};
use self::cache::Cache;
use self::fetch::{Answer, Fetcher, MAX_PAGE_BYTES, Trouble};
use self::robots::Robots;
use crate::report::Failure;
use crate::source::{Keeps, Outcome};

/// So many pages failed one after the other that the site is down; its other pages are left in peace.
const FAILURES_IN_A_ROW: usize = 10;
/// Sitemaps that an index may lead to.
const MAX_SITEMAPS: usize = 1_000;
/// llms-full.txt of a large site.
const MAX_FULL_BYTES: usize = 64 * 1024 * 1024;

/// A site to read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// http or https.
    address: Url,
    /// Pages that are asked for at most; where there are more, the run says so and the index keeps
    /// what it has of the others. Default 10,000.
    pub max_pages: usize,
    /// Requests at a time. Default 4.
    pub concurrency: usize,
    /// Pause between the beginnings of two requests; robots.txt may ask for a longer one.
    /// Default 50 milliseconds.
    pub pause: Duration,
    /// Folder for pages as they came; `None` keeps none. Default: `docent/web` in the folder that
    /// the platform has for caches.
    pub cache: Option<PathBuf>,
}

/// What was given is no address of a site.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is no address of a web site; give one like https://docs.example.com/ or https://example.com/sitemap.xml"
)]
pub struct BadAddress(String);

impl Web {
    /// The site at an address: a folder or page, a sitemap, an `llms.txt` or an `llms-full.txt`.
    pub fn new(address: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(address.to_owned());
        let mut url = Url::parse(address.trim()).map_err(|_| bad())?;
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty();
        if !usable || url.password().is_some() {
            return Err(bad());
        }
        url.set_fragment(None);
        let pause = Duration::from_millis(50);
        Ok(Self { address: url, max_pages: 10_000, concurrency: 4, pause, cache: cache::default_folder() })
    }
}

/// How the pages of a site were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Listed in llms.txt.
    List,
    /// All in llms-full.txt.
    Full,
    /// Listed in a sitemap.
    Sitemap,
    /// By following links.
    Links,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "by llms.txt",
            Self::Full => "from llms-full.txt",
            Self::Sitemap => "by sitemap",
            Self::Links => "by following links",
        })
    }
}

/// Reads a site. Pages come in the order of the list or of the links, whatever answers first.
/// Returns how they were found; `None` if the site could not be had.
pub fn read(web: &Web, each: &mut dyn FnMut(Outcome)) -> Option<Route> {
    let mut address = web.address.clone();
    address.set_query(None);
    let path = address.path().to_ascii_lowercase();
    let is_sitemap = [".xml", ".xml.gz"].iter().any(|end| path.ends_with(end)) || path.ends_with("sitemap.txt");
    // Both name pages anywhere on the host, wherever they stand themselves.
    let is_whole = is_sitemap || path.ends_with("llms-full.txt");
    let scope = if is_whole { Scope::host(address.clone()) } else { Scope::below(address.clone()) };
    let cache = Cache::open(web.cache.as_deref(), &address);
    let mut fetcher = Fetcher::new(scope.clone(), cache, web.pause);
    let outcome = obey_robots(&mut fetcher, &address).and_then(|sitemaps| match path.as_str() {
        _ if is_sitemap => {
            sitemap_pages(&fetcher, &scope, vec![web.address.clone()]).map(|pages| (Route::Sitemap, pages))
        }
        path if path.ends_with("llms-full.txt") => {
            full(&fetcher, &web.address, each).map(|()| (Route::Full, Vec::new()))
        }
        path if path.ends_with("llms.txt") => {
            list_pages(&fetcher, &scope, &web.address).map(|pages| (Route::List, pages))
        }
        path if path.ends_with('/') => site_pages(&fetcher, &scope, &sitemaps),
        _ => Ok((Route::Links, Vec::new())),
    });
    let (route, pages) = match outcome {
        Ok((Route::Links, _)) => (Route::Links, vec![Target { url: address, changed: String::new() }]),
        Ok((route @ (Route::List | Route::Sitemap), pages)) if pages.is_empty() => {
            let reason = format!("names no page of {}", scope.documents());
            each(Outcome::Failed(Failure::new(address, reason), Keeps::Below(scope.documents())));
            return Some(route);
        }
        Ok(found) => found,
        Err((at, trouble)) => {
            each(Outcome::Failed(Failure::new(at, trouble.reason()), Keeps::Below(scope.documents())));
            return None;
        }
    };
    let mut reader = Reader {
        fetcher: &fetcher,
        scope: &scope,
        max_pages: web.max_pages,
        concurrency: web.concurrency.max(1),
        follows: route == Route::Links,
        heeds_canonical: true,
        each,
        queued: BTreeSet::new(),
        taken: BTreeSet::new(),
        stand_ins: BTreeMap::new(),
        asked: 0,
        failures: 0,
    };
    if reader.read(pages) {
        fetcher.finish();
    }
    Some(route)
}

/// What could not be had, and why.
type Unread = (Url, Trouble);

/// Reads robots.txt, before anything else is asked for. Returns the sitemaps it names.
fn obey_robots(fetcher: &mut Fetcher, address: &Url) -> Result<Vec<String>, Unread> {
    let url = address.join("/robots.txt").map_err(|error| (address.clone(), Trouble::Refused(error.to_string())))?;
    let robots = match fetcher.get(&url, robots::MAX_BYTES, "") {
        Ok(answer) => Robots::parse(&String::from_utf8_lossy(&answer.body)),
        // RFC 9309: a site without rules allows everything, one that cannot say its rules nothing.
        Err(trouble @ Trouble::Failed(_)) => return Err((url, trouble)),
        Err(_) => Robots::default(),
    };
    let sitemaps = robots.sitemaps.clone();
    fetcher.obey(robots);
    Ok(sitemaps)
}

/// A page to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    url: Url,
    /// Day of its last change, if a sitemap says so.
    changed: String,
}

/// What there is to find the pages of a site by: llms.txt, else its sitemaps, else its links. What
/// may be there another time is an error, or pages would come and go with the weather.
fn site_pages(fetcher: &Fetcher, scope: &Scope, sitemaps: &[String]) -> Result<(Route, Vec<Target>), Unread> {
    let below =
        |name: &str| scope.start.join(name).map_err(|error| (scope.start.clone(), Trouble::Refused(error.to_string())));
    match list_pages(fetcher, scope, &below("llms.txt")?) {
        Ok(pages) if !pages.is_empty() => return Ok((Route::List, pages)),
        Err((at, trouble @ Trouble::Failed(_))) => return Err((at, trouble)),
        _ => {}
    }
    let named = sitemaps.iter().filter_map(|link| scope.start.join(link).ok()).filter(|url| scope.is_here(url));
    let named: Vec<Url> = named.collect();
    let is_named = !named.is_empty();
    match sitemap_pages(fetcher, scope, if is_named { named } else { vec![below("sitemap.xml")?] }) {
        Ok(pages) if !pages.is_empty() => Ok((Route::Sitemap, pages)),
        Err((at, trouble)) if is_named || matches!(trouble, Trouble::Failed(_)) => Err((at, trouble)),
        _ => Ok((Route::Links, Vec::new())),
    }
}

fn list_pages(fetcher: &Fetcher, scope: &Scope, list: &Url) -> Result<Vec<Target>, Unread> {
    let answer = fetcher.get(list, MAX_PAGE_BYTES, "").map_err(|trouble| (list.clone(), trouble))?;
    let links = llms::links(&String::from_utf8_lossy(&answer.body)).unwrap_or_default();
    let pages = links.iter().filter_map(|link| scope.page(answer.url.join(link).ok()?.as_str()));
    // It may name its longer and shorter forms.
    let pages = pages.filter(|page| !page.path().to_ascii_lowercase().ends_with(".txt"));
    Ok(pages.map(|url| Target { url, changed: String::new() }).collect())
}

/// The pages of these sitemaps and of those they lead to.
fn sitemap_pages(fetcher: &Fetcher, scope: &Scope, mut sitemaps: Vec<Url>) -> Result<Vec<Target>, Unread> {
    let mut pages = Vec::new();
    let mut at = 0;
    while let Some(url) = sitemaps.get(at).cloned() {
        at += 1;
        let answer = fetcher.get(&url, sitemap::MAX_BYTES, "").map_err(|trouble| (url.clone(), trouble))?;
        let found = sitemap::parse(&answer.body).map_err(|reason| (url.clone(), Trouble::Refused(reason)))?;
        pages.extend(
            found
                .pages
                .into_iter()
                .filter_map(|entry| Some(Target { url: scope.page(&entry.address)?, changed: entry.changed })),
        );
        for link in found.sitemaps {
            let Ok(next) = url.join(&link) else { continue };
            if scope.is_here(&next) && !sitemaps.contains(&next) && sitemaps.len() < MAX_SITEMAPS {
                sitemaps.push(next);
            }
        }
    }
    Ok(pages)
}

/// All pages of an llms-full.txt.
fn full(fetcher: &Fetcher, file: &Url, each: &mut dyn FnMut(Outcome)) -> Result<(), Unread> {
    let answer = fetcher.get(file, MAX_FULL_BYTES, "").map_err(|trouble| (file.clone(), trouble))?;
    let unread = |reason: &str| (file.clone(), Trouble::Refused(reason.to_owned()));
    let text = text(&answer).map_err(|reason| unread(&reason))?;
    let parts = llms::parts(&text);
    if parts.is_empty() || text.trim_start().starts_with("<!") {
        return Err(unread("holds no page"));
    }
    let mut taken = BTreeSet::new();
    for part in parts {
        let page = file.join(&part.address).ok().filter(|url| !part.address.is_empty() && url.has_host());
        let page = page.map(|page| twin_of(&page).unwrap_or(page));
        let (url, mut path) = page.as_ref().map_or_else(
            || (file, format!("{}#{}", document_path(file), slug(&part.title))),
            |page| (page, document_path(page)),
        );
        // Titles repeat; pages do not, but a part of a page may say the page's address.
        let mut number = 1;
        let first = path.clone();
        while !taken.insert(path.clone()) {
            number += 1;
            path = format!("{first}{}{number}", if first.contains('#') { "-" } else { "#" });
        }
        each(match markdown(url, url, &part.text) {
            Ok(Page::Document(document)) => {
                let title = if part.title.is_empty() { document.title } else { part.title };
                Outcome::Document(Document { path, title, ..document })
            }
            Ok(Page::Skipped(field)) => Outcome::Skipped(Failure::new(path, format!("says {field}"))),
            Err(reason) => Outcome::Failed(Failure::new(&path, reason), Keeps::Path(path.clone())),
        });
    }
    fetcher.finish();
    Ok(())
}

fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// What a request for a page came to.
enum Seen {
    Article(Url, Vec<String>, Article),
    /// The page, the file it was read from, and its text.
    Markdown(Url, Url, Vec<String>, String),
    Other(String),
    Unreadable(String),
    /// With the links of the page as it last was.
    Trouble(Trouble, Option<Vec<String>>),
}

/// Asks for these pages, so many at a time, and reads them; in their order.
fn look(fetcher: &Fetcher, targets: &[Target], concurrency: usize) -> Vec<Seen> {
    let next = AtomicUsize::new(0);
    let mut seen: Vec<(usize, Seen)> = std::thread::scope(|scope| {
        let work = || {
            let turns = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            let mine = turns.map_while(|at| Some((at, look_at(fetcher, targets.get(at)?))));
            mine.collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..concurrency.min(targets.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    seen.sort_by_key(|(at, _)| *at);
    seen.into_iter().map(|(_, seen)| seen).collect()
}

fn look_at(fetcher: &Fetcher, target: &Target) -> Seen {
    match fetcher.get(&target.url, MAX_PAGE_BYTES, &target.changed) {
        Ok(answer) => see(answer),
        Err(trouble) => {
            let stale = fetcher.stale(&target.url).map(see);
            let links = stale.and_then(|stale| match stale {
                Seen::Article(_, _, article) => Some(article.links),
                Seen::Markdown(_, file, _, text) => Some(markdown_links(&file, &text)),
                _ => None,
            });
            Seen::Trouble(trouble, links)
        }
    }
}

fn see(answer: Answer) -> Seen {
    let twin = twin_of(&answer.url);
    let text = match text(&answer) {
        Ok(text) => text,
        Err(reason) => return Seen::Unreadable(reason),
    };
    match answer.content_type.as_str() {
        "text/html" | "application/xhtml+xml" => {
            let article = html::read(&text, answer.url.as_str());
            Seen::Article(answer.url, answer.robots, article)
        }
        "text/markdown" | "text/x-markdown" => {
            Seen::Markdown(twin.unwrap_or_else(|| answer.url.clone()), answer.url, answer.robots, text)
        }
        "text/plain" | "application/octet-stream" | "" if twin.is_some() => {
            Seen::Markdown(twin.unwrap_or_else(|| answer.url.clone()), answer.url, answer.robots, text)
        }
        other => Seen::Other(other.to_owned()),
    }
}

/// UTF-8, or what pages of the last century are written in.
fn text(answer: &Answer) -> Result<String, String> {
    match std::str::from_utf8(&answer.body) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if !answer.content_type.starts_with("text/") => Ok(String::new()),
        Err(_) if matches!(answer.charset.as_str(), "iso-8859-1" | "windows-1252" | "latin1") => {
            Ok(answer.body.iter().copied().map(char::from).collect())
        }
        Err(error) => Err(format!("is not UTF-8: byte {} is part of no character", error.valid_up_to())),
    }
}

/// Reads Markdown that was found at `file` and is the page at `page`.
fn markdown(page: &Url, file: &Url, text: &str) -> Result<Page, String> {
    let site = Site::new(&file.origin().ascii_serialization(), UrlStyle::Clean).map_err(|error| error.to_string())?;
    // What a reader of files sees: the extension decides how links are meant.
    let path = file.path().trim_start_matches('/');
    let path = match (twin_of(file), path.is_empty() || path.ends_with('/')) {
        (Some(_), _) => path.to_owned(),
        (None, true) => format!("{path}index.md"),
        (None, false) => format!("{path}.md"),
    };
    Ok(match document::read(&path, text, &site).map_err(|error| error.to_string())? {
        Page::Document(document) => {
            // What the site makes of its headings is not known; none is better than a wrong one.
            let anchors = Anchors::None;
            Page::Document(Document { path: document_path(page), url: page.to_string(), anchors, ..document })
        }
        skipped @ Page::Skipped(_) => skipped,
    })
}

fn markdown_links(file: &Url, text: &str) -> Vec<String> {
    let links = docent_core::markdown::links(text);
    links.iter().filter_map(|link| file.join(link).ok()).map(String::from).collect()
}

/// Whether the rule holds for docent: `noindex`, `otherbot: noindex`, `docent: noindex, nofollow`.
fn asks(headers: &[String], rule: &str) -> bool {
    headers.iter().any(|header| {
        let mut for_us = true;
        header.split(',').any(|part| {
            let (agent, given) = part.split_once(':').unwrap_or(("", part));
            // Rules that have a value look like agents.
            if !agent.is_empty() && !agent.trim().starts_with("max-") && agent.trim() != "unavailable_after" {
                for_us = agent.trim().eq_ignore_ascii_case(robots::PRODUCT);
            }
            let given = given.trim();
            for_us && (given.eq_ignore_ascii_case(rule) || given.eq_ignore_ascii_case("none"))
        })
    })
}

/// The walk through a site.
struct Reader<'a> {
    fetcher: &'a Fetcher,
    scope: &'a Scope,
    max_pages: usize,
    concurrency: usize,
    /// Links lead to further pages; else the list is all there is.
    follows: bool,
    heeds_canonical: bool,
    each: &'a mut dyn FnMut(Outcome),
    /// Paths of documents that were, or will be, asked for.
    queued: BTreeSet<String>,
    /// Paths of documents that were handed on.
    taken: BTreeSet<String>,
    /// Pages that want to be known as another, by that one's path: read in its place if there is none.
    stand_ins: BTreeMap<String, Target>,
    asked: usize,
    failures: usize,
}

impl Reader<'_> {
    /// Reads these pages and what they lead to, breadth first. Returns whether it came to the end.
    fn read(&mut self, first: Vec<Target>) -> bool {
        if !self.walk(first) {
            return false;
        }
        let taken = &self.taken;
        let left = std::mem::take(&mut self.stand_ins).into_iter().filter(|(path, _)| !taken.contains(path));
        let left: Vec<Target> = left.map(|(_, target)| target).collect();
        for target in &left {
            self.queued.remove(&key(&target.url));
        }
        self.heeds_canonical = false;
        self.walk(left)
    }

    fn walk(&mut self, first: Vec<Target>) -> bool {
        let mut level = self.new_ones(first);
        while !level.is_empty() {
            let mut next = Vec::new();
            let mut rest = level.as_slice();
            while !rest.is_empty() {
                let room = self.max_pages.saturating_sub(self.asked);
                if room == 0 {
                    self.stop(format!("has more than {} pages; raise the limit to read them all", self.max_pages));
                    return true;
                }
                // Enough for each worker that none waits long, and few enough to be held at once.
                let (window, after) = rest.split_at(rest.len().min(room).min(self.concurrency * 8));
                for (target, seen) in window.iter().zip(look(self.fetcher, window, self.concurrency)) {
                    self.asked += 1;
                    let leads = self.take(target, seen);
                    next.extend(self.new_ones(leads));
                }
                if self.failures >= FAILURES_IN_A_ROW {
                    self.stop(format!(
                        "{FAILURES_IN_A_ROW} pages failed one after the other; run the same command later"
                    ));
                    return false;
                }
                rest = after;
            }
            level = next;
        }
        true
    }

    fn stop(&mut self, reason: String) {
        let keeps = Keeps::Below(self.scope.documents());
        (self.each)(Outcome::Failed(Failure::new(&self.scope.start, reason), keeps));
    }

    fn new_ones(&mut self, targets: Vec<Target>) -> Vec<Target> {
        targets.into_iter().filter(|target| self.queued.insert(key(&target.url))).collect()
    }

    /// Hands on what became of a page; returns where it leads.
    fn take(&mut self, target: &Target, seen: Seen) -> Vec<Target> {
        let is_start = self.follows && self.asked == 1;
        self.failures = if matches!(seen, Seen::Trouble(Trouble::Failed(_), _)) { self.failures + 1 } else { 0 };
        let (leads, outcome) = match seen {
            Seen::Article(url, robots, article) => {
                if is_start && article.body.is_empty() && article.links.is_empty() && article.canonical.is_none() {
                    let reason = "has neither text nor links; what a script writes into a page cannot be read";
                    (Vec::new(), Some(self.failed_with_all(target, reason.to_owned())))
                } else {
                    self.article(url, &robots, article)
                }
            }
            Seen::Markdown(page, file, robots, text) => self.markdown(&page, &file, &robots, &text),
            Seen::Other(kind) => {
                let reason = format!("is {kind}, which is no page");
                (Vec::new(), (!self.follows || is_start).then(|| skipped(&target.url, reason)))
            }
            Seen::Unreadable(reason) => (Vec::new(), Some(failed(target, reason))),
            Seen::Trouble(trouble, stale) => {
                // What a page leads to is unknown while it cannot be read, unless it is known from before.
                let loses_others = self.follows && stale.is_none();
                let outcome = match trouble {
                    _ if is_start => Some(self.failed_with_all(target, trouble.reason())),
                    Trouble::Gone => None,
                    Trouble::Forbidden if self.follows => None,
                    Trouble::Forbidden | Trouble::Elsewhere(_) => Some(skipped(&target.url, trouble.reason())),
                    Trouble::Failed(reason) if loses_others => Some(self.failed_with_all(target, reason)),
                    Trouble::Failed(reason) | Trouble::Refused(reason) => Some(failed(target, reason)),
                };
                (self.followed(stale.unwrap_or_default()), outcome)
            }
        };
        if let Some(outcome) = outcome {
            (self.each)(outcome);
        }
        leads.into_iter().map(|url| Target { url, changed: String::new() }).collect()
    }

    fn article(&mut self, url: Url, robots: &[String], article: Article) -> (Vec<Url>, Option<Outcome>) {
        let path = document_path(&url);
        // A redirect may lead out of what was asked for, or to what is there already.
        if self.scope.page(url.as_str()).is_none() || self.taken.contains(&path) {
            return (Vec::new(), None);
        }
        let mut leads = if asks(robots, "nofollow") { Vec::new() } else { self.followed(article.links) };
        let canonical =
            article.canonical.and_then(|link| Url::parse(&link).ok()).filter(|link| self.scope.is_here(link));
        if let Some(other) = canonical.as_ref().and_then(|link| self.scope.page(link.as_str()))
            && document_path(&other) != path
            && self.heeds_canonical
        {
            let stand_in = Target { url, changed: String::new() };
            self.stand_ins.entry(document_path(&other)).or_insert(stand_in);
            leads.insert(0, other);
            return (leads, None);
        }
        if article.noindex || asks(robots, "noindex") {
            let reason = if article.noindex { "asks not to be indexed" } else { "X-Robots-Tag: noindex" };
            return (leads, Some(skipped(&url, reason.to_owned())));
        }
        let mut address = canonical.unwrap_or_else(|| url.clone());
        address.set_query(None);
        address.set_fragment(None);
        let document = Document {
            title: if article.title.is_empty() { path.clone() } else { article.title },
            description: article.description,
            lang: Some(article.lang).filter(|lang| lang.len() <= MAX_FILTER_BYTES).unwrap_or_default(),
            version: String::new(),
            product: String::new(),
            // The page says itself what leads to its headings.
            anchors: Anchors::None,
            body: article.body,
            url: address.into(),
            path,
        };
        if article.cut {
            let reason = "is larger than what is read of one page; only its beginning is in the index";
            (self.each)(Outcome::Failed(Failure::new(&url, reason), Keeps::Nothing));
        }
        (leads, Some(self.document(document)))
    }

    fn markdown(&mut self, page: &Url, file: &Url, robots: &[String], text: &str) -> (Vec<Url>, Option<Outcome>) {
        if self.scope.page(page.as_str()).is_none() || self.taken.contains(&document_path(page)) {
            return (Vec::new(), None);
        }
        let leads = if asks(robots, "nofollow") { Vec::new() } else { self.followed(markdown_links(file, text)) };
        let outcome = match markdown(page, file, text) {
            _ if asks(robots, "noindex") => skipped(page, "X-Robots-Tag: noindex".to_owned()),
            Ok(Page::Document(document)) => self.document(document),
            Ok(Page::Skipped(field)) => skipped(page, format!("says {field}")),
            Err(reason) => Outcome::Failed(Failure::new(file, reason), Keeps::Path(document_path(page))),
        };
        (leads, Some(outcome))
    }

    fn document(&mut self, document: Document) -> Outcome {
        self.taken.insert(document.path.clone());
        if document.url.len() > MAX_URL_BYTES || document.path.len() > MAX_URL_BYTES {
            let reason = format!("the address of this page is longer than {MAX_URL_BYTES} bytes");
            return Outcome::Failed(Failure::new(document.url, reason), Keeps::Nothing);
        }
        Outcome::Document(document)
    }

    fn followed(&self, links: Vec<String>) -> Vec<Url> {
        let links = links.iter().filter(|_| self.follows);
        links.filter_map(|link| self.scope.page(link)).collect()
    }

    fn failed_with_all(&self, target: &Target, reason: String) -> Outcome {
        Outcome::Failed(Failure::new(&target.url, reason), Keeps::Below(self.scope.documents()))
    }
}

/// What makes two addresses one page.
fn key(url: &Url) -> String {
    document_path(&twin_of(url).unwrap_or_else(|| url.clone()))
}

fn failed(target: &Target, reason: String) -> Outcome {
    Outcome::Failed(Failure::new(&target.url, reason), Keeps::Path(key(&target.url)))
}

fn skipped(url: &Url, reason: String) -> Outcome {
    Outcome::Skipped(Failure::new(url, reason))
}

#[cfg(test)]
mod tests;
