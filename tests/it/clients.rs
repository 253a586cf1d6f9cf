//! Other people's clients read the bot unchanged: the AI SDK, and a browser with the widget.

use std::process::Command;

use crate::bot::{Bot, Setup, root};
use crate::endpoint::Endpoint;

/// Runs a script of `tests/web` against a bot, whose services it may script as well; what it prints
/// shows when it fails.
fn node(script: &str, bot: &Bot) {
    let node = root().join("node_modules/.bin/node");
    let output = Command::new(&node)
        .arg(root().join("tests/web").join(script))
        .arg(bot.url(""))
        .arg(bot.cloud.base_url())
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}: run scripts/setup.sh test first", node.display()));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}:\n{said}");
}

#[test]
fn the_ai_sdks_own_transport_reads_the_stream() {
    let bot = Setup::default().var("PRODUCT", "docent").start();
    node("ai_sdk.mjs", &bot);
}

#[test]
fn a_person_with_a_browser_asks_reads_and_goes_on_after_reload() {
    let mut setup = Setup::default().var("PRODUCT", "docent");
    setup = setup.var("SUGGESTIONS", "What does docent ingest do?\nHow do I deploy the bot?");
    setup.cloud.token_delay = std::time::Duration::from_millis(10);
    let hook = Endpoint::start();
    setup = setup.var("SUPPORT_URL", "mailto:help@example.com").var("HANDOFF_URL", &hook.url());
    let bot = setup.start();
    node("widget.mjs", &bot);
    let handed_over: Vec<_> = hook.calls().into_iter().map(|call| call.body["contact"].clone()).collect();
    assert_eq!(handed_over, ["visitor@example.com"], "what the browser's visitor sent, once");
}

#[test]
fn the_widgets_markdown_is_commonmark_however_it_streams_in() {
    node("renderer.mjs", &Setup { docs: None, ..Setup::default() }.start());
}
