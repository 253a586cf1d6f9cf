//! The index follows the documents: new pages are found, changed ones are found as they are now,
//! and what is gone is gone; nothing that did not change is embedded again.

use std::path::Path;
use std::time::Duration;

use crate::bot::{self, Bot, Setup};

fn write(folder: &Path, name: &str, content: &str) {
    std::fs::write(folder.join(name), content).unwrap();
}

fn first_url(bot: &Bot, question: &str) -> String {
    bot.ask(question, None)["sources"][0]["url"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_index_follows_the_documents() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "cats.md", "# Cats\n\nCats purr when they are content.\n");
    write(folder.path(), "dogs.md", "# Dogs\n\nDogs bark at the postman.\n");
    let bot = Setup { docs: Some(folder.path().to_owned()), ..Setup::default() }.start();
    assert_eq!(first_url(&bot, "Why do cats purr?"), "https://docs.example/cats#cats");

    bot.cloud.clear_requests();
    let again = bot::ingest(&bot.cloud, folder.path());
    assert_eq!((bot.calls("ai.embed"), bot.calls("vectorize.upsert"), bot.calls("kv.put")), (0, 0, 0), "{again:?}");
    assert!(!again.changed);

    write(folder.path(), "dogs.md", "# Dogs\n\nDogs fetch the newspaper.\n");
    write(folder.path(), "owls.md", "# Owls\n\nOwls hunt by night.\n");
    std::fs::remove_file(folder.path().join("cats.md")).unwrap();
    bot.cloud.advance_clock(Duration::from_secs(2));
    let changed = bot::ingest(&bot.cloud, folder.path());
    assert_eq!(bot.calls("texts.embedded"), 2, "{changed:?}");
    assert_eq!(first_url(&bot, "Who hunts by night?"), "https://docs.example/owls#owls");
    let answer = bot.ask("What do dogs fetch?", None);
    assert!(answer["answer"].as_str().unwrap().contains("newspaper"), "{answer:#}");
    let everything = bot.ask("cats purr bark postman", None).to_string();
    assert!(!everything.contains("purr when") && !everything.contains("bark at"), "{everything}");
}
