//! Sites on loopback, served by a real server, with the requests that each run makes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

/// Status, headers as they go over the wire, body.
type Page = (u16, String, Vec<u8>);

type Pages = Arc<Mutex<BTreeMap<String, Page>>>;

/// A server that answers from a table and remembers what it was asked.
struct Server {
    base: String,
    pages: Pages,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (pages, asked) = (Pages::default(), Arc::<Mutex<Vec<String>>>::default());
        let (served, heard) = (Arc::clone(&pages), Arc::clone(&asked));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (served, heard) = (Arc::clone(&served), Arc::clone(&heard));
                std::thread::spawn(move || serve(connection.unwrap(), &served, &heard));
            }
        });
        Self { base, pages, asked }
    }

    fn page(&self, path: &str, status: u16, headers: &str, body: impl AsRef<[u8]>) {
        self.pages.lock().unwrap().insert(path.to_owned(), (status, headers.to_owned(), body.as_ref().to_vec()));
    }

    fn html(&self, path: &str, body: &str) {
        self.page(path, 200, "content-type: text/html; charset=utf-8", format!("<title>T</title><main>{body}</main>"));
    }

    /// Paths that were asked for since the last time, sorted; `!` marks conditional requests.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }

    fn web(&self, path: &str) -> Web {
        let pause = Duration::from_millis(1);
        Web { pause, cache: None, ..Web::new(&format!("{}{path}", self.base)).unwrap() }
    }

    /// `127.0.0.1:1234`
    fn host(&self) -> &str {
        self.base.split_once("//").unwrap().1
    }
}

fn serve(mut connection: TcpStream, pages: &Mutex<BTreeMap<String, Page>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let headers: Vec<String> =
        lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase()).collect();
    let header = |name: &str| headers.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let condition = header("if-none-match:").or_else(|| header("if-modified-since:")).map(str::to_owned);
    asked.lock().unwrap().push(format!("{path}{}", if condition.is_some() { "!" } else { "" }));
    assert_eq!(header("user-agent:").unwrap(), format!("docent/{}", env!("CARGO_PKG_VERSION")));
    let page = pages.lock().unwrap().get(&path).cloned();
    let (mut status, headers, mut body) = page.unwrap_or((404, String::new(), Vec::new()));
    if condition.is_some_and(|condition| headers.to_ascii_lowercase().contains(&condition)) {
        (status, body) = (304, Vec::new());
    }
    let headers = if headers.is_empty() { headers } else { format!("{headers}\r\n") };
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&body));
}

/// What became of the pages, a line each, the host left out.
fn outcomes(server: &Server, web: &Web) -> (Option<Route>, Vec<String>) {
    let mut lines = Vec::new();
    let route = read(web, &mut |outcome| {
        lines.push(match outcome {
            Outcome::Document(document) => format!("{} {:?}", document.path, document.body.trim()),
            Outcome::Skipped(failure) => format!("skipped {}: {}", failure.path, failure.reason),
            Outcome::Failed(failure, keeps) => format!("failed {}: {} {keeps:?}", failure.path, failure.reason),
        });
    });
    (route, lines.into_iter().map(|line| line.replace(&server.base, "").replace(server.host(), "")).collect())
}

#[test]
fn links_are_followed_below_the_start_and_rules_are_kept() {
    let server = Server::new();
    server.page("/robots.txt", 200, "", "User-agent: docent\nDisallow: /docs/private\n");
    server.html(
        "/docs",
        "Start <a href=docs/a?x=1#y>a</a> <a href=/docs/private/p>p</a> <a href=/other>o</a> \
         <a href=http://localhost:1/docs/e>e</a> <a href=docs/gone>g</a> <a href=docs/away>w</a> <a rel=nofollow href=docs/n>n</a> \
         <a href=docs/moved>m</a> <a href=docs/secret>s</a> <a href=docs/picture>p</a>",
    );
    server.html("/docs/a", "A <a href=b/>b</a><a href=/docs/>start</a>");
    server.html("/docs/b/", "B");
    server.html("/docs/private/p", "P");
    server.page("/docs/away", 302, "location: http://localhost:1/docs/away", "");
    server.page("/docs/moved", 301, "location: /docs/a", "");
    server.page(
        "/docs/secret",
        200,
        "content-type: text/html\r\nx-robots-tag: otherbot: nofollow\r\nX-Robots-Tag: noindex",
        "S <a href=c>c</a>",
    );
    server.page(
        "/docs/c",
        200,
        "content-type: text/html",
        "<meta name=robots content=nofollow><main>C <a href=d>d</a></main>",
    );
    server.page("/docs/picture", 200, "content-type: image/png", b"\x89PNG");
    let (route, found) = outcomes(&server, &server.web("/docs"));
    assert_eq!(route, Some(Route::Links));
    let away =
        "skipped /docs/away: leads to http://localhost:1/docs/away, which is another host: give that address instead";
    assert!(found[0].starts_with("/docs \"Start"), "{found:?}");
    let at = |path: &str| format!("[{path}]({}/docs/{path})", server.base).replace(&server.base, "");
    let a = format!("/docs/a \"A {}[start](/docs/)\"", at("b/").replace("[b/]", "[b]"));
    assert_eq!(
        found[1..],
        [
            a.as_str(),
            away,
            "skipped /docs/secret: X-Robots-Tag: noindex",
            "/docs/b \"B\"",
            "/docs/c \"C [d](/docs/d)\""
        ]
    );
    let expected = [
        "/docs",
        "/docs/a",
        "/docs/a",
        "/docs/away",
        "/docs/b/",
        "/docs/c",
        "/docs/gone",
        "/docs/moved",
        "/docs/picture",
        "/docs/secret",
        "/robots.txt",
    ];
    assert_eq!(server.asked(), expected);
}

#[test]
fn a_site_is_read_by_its_list_then_its_sitemaps_then_its_links() {
    let server = Server::new();
    server.html("/", "Start <a href=a>a</a>");
    server.html("/a", "A");
    server.html("/b", "B");
    assert_eq!(outcomes(&server, &server.web("/")).0, Some(Route::Links));
    let base = &server.base;
    let packed = |xml: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(xml.as_bytes()).unwrap();
        packed.finish().unwrap()
    };
    let index = format!(
        "<sitemapindex><sitemap><loc>{base}/s.xml.gz</loc></sitemap><sitemap><loc>http://localhost:1/s.xml</loc></sitemap></sitemapindex>"
    );
    server.page("/sitemap.xml", 200, "content-type: text/xml", index);
    let urls = format!(
        "<urlset><url><loc>{base}/b</loc></url><url><loc>{base}/a</loc></url><url><loc>https://localhost/c</loc></url></urlset>"
    );
    server.page("/s.xml.gz", 200, "content-type: application/gzip", packed(&urls));
    let by_sitemap = (Some(Route::Sitemap), vec!["/b \"B\"".to_owned(), "/a \"A\"".to_owned()]);
    assert_eq!(outcomes(&server, &server.web("/")), by_sitemap);
    server.page("/robots.txt", 200, "", "Sitemap: /named.xml\n");
    server.page("/named.xml", 200, "", format!("<urlset><url><loc>{base}/a</loc></url></urlset>"));
    assert_eq!(outcomes(&server, &server.web("/")).1, ["/a \"A\""]);
    assert_eq!(outcomes(&server, &server.web("/sitemap.xml")), by_sitemap);
    server.page(
        "/llms.txt",
        200,
        "content-type: text/plain",
        "# X\n\n- [A](/a.md): a\n- [B](/b)\n- [Full](/llms-full.txt)\n",
    );
    server.page("/a.md", 200, "content-type: text/markdown", "---\ntitle: Twin\n---\n# A\n\n[b](b.md)\n");
    let twin = format!("/a {:?}", "# A\n\n[b](/b)");
    assert_eq!(outcomes(&server, &server.web("/")), (Some(Route::List), vec![twin, "/b \"B\"".to_owned()]));
}

#[test]
fn all_pages_come_from_one_file() {
    let server = Server::new();
    server.page(
        "/llms-full.txt",
        200,
        "content-type: text/plain",
        "# A\nSource: https://x.org/docs/a\n\nText\n\n# B\nSource: https://x.org/docs/b.md\n\n[a](a.md)\n",
    );
    let expected = vec!["x.org/docs/a \"Text\"".to_owned(), "x.org/docs/b \"[a](https://x.org/docs/a)\"".to_owned()];
    assert_eq!(outcomes(&server, &server.web("/llms-full.txt")), (Some(Route::Full), expected));
    server.page("/llms-full.txt", 200, "content-type: text/plain", "# First steps\n\nText\n");
    let expected = vec![format!("/llms-full.txt#first-steps {:?}", "# First steps\n\nText")];
    assert_eq!(outcomes(&server, &server.web("/llms-full.txt")).1, expected);
    server.page("/llms-full.txt", 500, "", "");
    let failed = outcomes(&server, &server.web("/llms-full.txt")).1;
    assert_eq!(failed, ["failed /llms-full.txt: answered 500; run the same command later Below(\"\")"]);
}

#[test]
fn what_cannot_be_read_now_is_kept() {
    let server = Server::new();
    let base = &server.base;
    server.page("/sitemap.xml", 200, "", format!("<urlset><url><loc>{base}/a</loc></url><url><loc>{base}/b/</loc></url><url><loc>{base}/c</loc></url></urlset>"));
    server.html("/a", "A");
    server.page("/b/", 500, "", "");
    let broken = "failed /b/: answered 500; run the same command later Path(\"/b\")";
    assert_eq!(outcomes(&server, &server.web("/sitemap.xml")).1, ["/a \"A\"", broken]);
    let asked = server.asked();
    assert_eq!(asked.iter().filter(|path| *path == "/b/").count(), 4, "repeated before it is given up: {asked:?}");
    for lost in ["/sitemap.xml", "/robots.txt"] {
        server.page(lost, 503, "retry-after: 0", "");
        let (route, failed) = outcomes(&server, &server.web("/sitemap.xml"));
        let reason = format!("failed {lost}: answered 503; run the same command later Below(\"\")");
        assert_eq!((route, failed), (None, vec![reason]));
    }
    // Where links are followed, what a page leads to is lost with it.
    server.page("/robots.txt", 404, "", "");
    server.html("/docs/", "Start <a href=x>x</a>");
    server.page("/docs/x", 500, "", "");
    let failed = outcomes(&server, &server.web("/docs/")).1.pop().unwrap();
    assert_eq!(failed, "failed /docs/x: answered 500; run the same command later Below(\"/docs\")");
    let few = Web { max_pages: 1, ..server.web("/docs/") };
    let failed = outcomes(&server, &few).1.pop().unwrap();
    assert_eq!(failed, "failed /docs/: has more than 1 pages; raise the limit to read them all Below(\"/docs\")");
}

#[test]
fn a_page_is_known_by_the_name_it_gives_itself() {
    let server = Server::new();
    server.html("/", "<a href=old>o</a><a href=lost>l</a><a href=print>p</a>");
    for (path, canonical) in [("/old", "/new"), ("/lost", "/nowhere"), ("/print", "/new"), ("/new", "/new")] {
        let page = format!("<link rel=canonical href={canonical}><main>{path}</main>");
        server.page(path, 200, "content-type: text/html", page);
    }
    let found = outcomes(&server, &server.web("/")).1;
    assert_eq!(found[1..], ["/new \"/new\"", "/lost \"/lost\""]);
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let server = Server::new();
    let folder = tempfile::tempdir().unwrap();
    server.page("/docs/", 200, "content-type: text/html\r\netag: \"1\"", "<main>Start <a href=a>a</a></main>");
    server.page(
        "/docs/a",
        200,
        "content-type: text/html\r\nlast-modified: Sat, 01 Jan 2022 00:00:00 GMT",
        "<main>A</main>",
    );
    let web = Web { cache: Some(folder.path().to_owned()), ..server.web("/docs/") };
    let first = outcomes(&server, &web);
    assert!(server.asked().iter().all(|path| !path.ends_with('!')));
    assert_eq!(outcomes(&server, &web), first);
    let asked = server.asked();
    assert!(["/docs/!", "/docs/a!"].iter().all(|path| asked.contains(&(*path).to_owned())), "{asked:?}");
    server.page(
        "/docs/a",
        200,
        "content-type: text/html\r\nlast-modified: Sun, 02 Jan 2022 00:00:00 GMT",
        "<main>New</main>",
    );
    assert_eq!(outcomes(&server, &web).1[1], "/docs/a \"New\"");
    // A page that fails is kept alone when it is known where it led.
    server.page("/docs/", 200, "content-type: text/html", "<main>Start <a href=b>b</a></main>");
    server.page("/docs/b", 200, "content-type: text/html", "<main>B <a href=a>a</a></main>");
    assert_eq!(outcomes(&server, &web).1.len(), 3);
    server.page("/docs/b", 500, "", "");
    let found = outcomes(&server, &web).1;
    assert_eq!(
        found[1..],
        ["failed /docs/b: answered 500; run the same command later Path(\"/docs/b\")", "/docs/a \"New\""]
    );
}

#[test]
fn a_run_that_was_broken_off_goes_on_where_it_was() {
    let server = Server::new();
    let folder = tempfile::tempdir().unwrap();
    let links: String = (0..40).fold(String::new(), |links, n| format!("{links}<a href=p{n}>{n}</a> "));
    server.html("/docs/", &links);
    (0..40).for_each(|n| server.html(&format!("/docs/p{n}"), "Page"));
    let web = Web { cache: Some(folder.path().to_owned()), ..server.web("/docs/") };
    let mut handed_on = 0;
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        read(&web, &mut |_| {
            handed_on += 1;
            assert!(handed_on < 3, "killed");
        })
    }));
    assert!(broken.is_err());
    let before = server.asked();
    let (_, found) = outcomes(&server, &web);
    assert_eq!(found.len(), 41);
    let after = server.asked();
    let pages = |asked: &[String]| -> Vec<String> {
        asked.iter().filter(|path| path.starts_with("/docs/p") || *path == "/docs/").cloned().collect()
    };
    let (before, after) = (pages(&before), pages(&after));
    assert!(before.len() > 10 && before.iter().all(|path| !after.contains(path)), "{before:?} {after:?}");
    assert_eq!(before.len() + after.len(), 41);
    // It came to its end, so the next run asks whether anything has changed.
    outcomes(&server, &web);
    assert!(server.asked().len() > 41);
}

#[test]
fn a_source_says_of_its_pages_what_they_do_not_say_themselves() {
    use docent_core::document::Labels;

    use crate::source::{self, Location, Source};
    let server = Server::new();
    server.page("/docs", 200, "content-type: text/html", "<html lang=de><main>A");
    let labels = Labels { lang: "en".to_owned(), version: "2".to_owned(), ..Labels::default() };
    let site = Site::new(&server.base, UrlStyle::Clean).unwrap().with_labels(labels);
    let location = Location::Web(server.web("/docs"));
    let mut found = Vec::new();
    source::read(&[Source { location, site, exclude: Vec::new(), prefix: "b/".to_owned() }], &mut |outcome| {
        if let Outcome::Document(Document { path, lang, version, .. }) = outcome {
            found.push([path, lang, version]);
        }
    });
    assert_eq!(found, [[format!("b/{}/docs", server.host()), "de".to_owned(), "2".to_owned()]]);
}
