//! Static assets in front of a Worker, as Cloudflare answers them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking

use std::net::SocketAddr;
use std::path::Path;

use docent_local::workerd::find_binary;
use docent_local::{Module, Workerd, WorkerdConfig, read_assets};
use ureq::http::{Request, Response};

/// Tells what reached the Worker.
const WORKER: &str = "export default { async fetch(request) { return new Response(
    [request.method, request.url, request.headers.get('origin'), await request.text()].join(' '),
    { status: 202, headers: { 'x-worker': 'ran' } }) } }";

const HEADERS: &str = "/*\n  X-Everywhere: yes\n/widget/*\n  Cache-Control: public, max-age=60\n";

/// `None` where there is no workerd on this machine.
fn start() -> Option<Workerd> {
    let binary = find_binary(Path::new(env!("CARGO_MANIFEST_DIR"))).ok()?;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("widget")).unwrap();
    for (name, content) in [("index.html", "<p>ü"), ("a.js", "1"), ("widget/en.json", "{}"), ("_headers", HEADERS)] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let module = Module { name: "index.js".to_owned(), content: WORKER.into() };
    let assets = read_assets(folder.path()).unwrap();
    let no_cloud = SocketAddr::from(([127, 0, 0, 1], 9));
    let config = WorkerdConfig { assets, ..WorkerdConfig::new(binary, vec![module], no_cloud) };
    Some(Workerd::start(&config).unwrap())
}

fn send(bot: &Workerd, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response<String> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    let agent: ureq::Agent = config.allow_non_standard_methods(true).build().into();
    let request = Request::builder().method(method).uri(format!("{}{path}", bot.url()));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    agent.run(request.body(body.to_owned()).unwrap()).unwrap().map(|mut body| body.read_to_string().unwrap())
}

#[test]
fn a_file_is_answered_with_its_headers_and_the_worker_does_not_run() {
    let Some(bot) = start() else { return };
    let page = send(&bot, "GET", "/?a=b", &[], "");
    let header = |response: &Response<String>, name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((page.status().as_u16(), page.body().as_str()), (200, "<p>ü"));
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&page, "cache-control"), "public, max-age=0, must-revalidate");
    assert_eq!(header(&page, "x-everywhere"), "yes");
    let texts = send(&bot, "GET", "/widget/en.json", &[], "");
    assert_eq!((texts.body().as_str(), header(&texts, "content-type")), ("{}", "application/json".to_owned()));
    assert_eq!(header(&texts, "cache-control"), "public, max-age=60");

    let head = send(&bot, "HEAD", "/a.js", &[], "");
    assert_eq!((head.status().as_u16(), head.body().as_str()), (200, ""));
    let etag = header(&head, "etag");
    for known in [etag.clone(), format!("W/{etag}")] {
        assert_eq!(send(&bot, "GET", "/a.js", &[("if-none-match", &known)], "").status(), 304);
    }
    assert_eq!(send(&bot, "GET", "/a.js", &[("if-none-match", "\"other\"")], "").status(), 200);

    let moved = send(&bot, "GET", "/index.html?a=b", &[], "");
    assert_eq!((moved.status().as_u16(), header(&moved, "location")), (307, "/?a=b".to_owned()));
    assert_eq!(send(&bot, "POST", "/a.js", &[], "x").status(), 405);
}

#[test]
fn everything_else_reaches_the_worker_as_it_was_sent() {
    let Some(bot) = start() else { return };
    for (method, path, body) in [
        ("GET", "/v1/health", ""),
        ("POST", "/v1/chat?a=%20b", "question"),
        ("GET", "/_headers", ""),
        ("GET", "/A.js", ""),
    ] {
        let reply = send(&bot, method, path, &[("origin", "https://docs.example")], body);
        assert_eq!((reply.status().as_u16(), reply.headers()["x-worker"].to_str().unwrap()), (202, "ran"), "{path}");
        assert_eq!(*reply.body(), format!("{method} {}{path} https://docs.example {body}", bot.url()));
    }
}
