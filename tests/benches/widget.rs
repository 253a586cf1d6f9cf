//! What the widget costs a slow phone: the loader's time on the main thread, and the frames while a long
//! answer streams in, in a real browser slowed down; see tests/web/pace.mjs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a benchmark that cannot run has nothing to say

use std::path::Path;
use std::process::Command;

use docent_local::{Cloud, CloudConfig, Workerd, WorkerdConfig, read_assets, workerd};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let build = root.join("worker/build");
    let cloud = Cloud::start(CloudConfig::default()).unwrap();
    let modules = workerd::read_modules(&build).expect("build the Worker first");
    let config = WorkerdConfig {
        assets: read_assets(&build.join("assets")).expect("build the Worker first"),
        ..WorkerdConfig::new(workerd::find_binary(root).unwrap(), modules, cloud.address())
    };
    let bot = Workerd::start(&config).unwrap();
    let measured = Command::new(root.join("node_modules/.bin/node"))
        .arg(root.join("tests/web/pace.mjs"))
        .arg(bot.url())
        .status()
        .expect("run scripts/setup.sh test first");
    assert!(measured.success());
}
