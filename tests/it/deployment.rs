//! What goes to Cloudflare: its size, and that wrangler takes it as a new user has it.

use std::io::Write as _;
use std::process::Command;

use crate::bot::{Setup, root};

/// Largest Worker, bytes of its WebAssembly after gzip. Start-up time grows with it.
const MAX_WASM_GZIP: usize = 512 * 1024;

/// Largest widget, bytes after gzip.
const MAX_WIDGET_GZIP: usize = 13 * 1024;

fn gzip(bytes: &[u8]) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().len()
}

#[test]
fn worker_and_widget_stay_small() {
    let wasm = gzip(&std::fs::read(root().join("worker/build/index_bg.wasm")).unwrap());
    assert!(wasm <= MAX_WASM_GZIP, "the Worker has {wasm} bytes");
    let bot = Setup { docs: None, ..Setup::default() }.start();
    let widget = bot.get("/widget.js");
    assert_eq!(widget.headers["content-type"], "text/javascript; charset=utf-8");
    let widget = gzip(widget.body.as_bytes());
    assert!(widget <= MAX_WIDGET_GZIP, "the widget has {widget} bytes");
}

#[test]
fn wrangler_takes_the_project_as_a_new_user_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let bin = root().join("node_modules/.bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new(bin.join("wrangler"))
        .args(["deploy", "--dry-run", "--outdir"])
        .arg(folder.path())
        .current_dir(root())
        .env("PATH", path)
        .env("CI", "true")
        .env("WRANGLER_SEND_METRICS", "false")
        .env_remove("CLOUDFLARE_API_TOKEN")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for part in ["env.AI", "env.INDEX", "env.CONTENT", "env.SESSIONS"] {
        assert!(said.contains(part), "{part} in:\n{said}");
    }
}
