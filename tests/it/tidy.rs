//! Conventions of the sources, and the documentation in step with the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use docent_core::error::Code;
use docent_core::settings::SETTINGS;
use docent_core::workers_ai::{DOLLARS_PER_NEURON, MODELS, REMOVED_MODELS};

use crate::bot::root;

/// All files of the project with an ending, without what is built or installed.
fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && !["target", "node_modules", "build"].contains(&name) {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no {ending}");
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_module_opens_with_what_it_is_for() {
    for path in files(".rs") {
        assert!(read(&path).starts_with("//! "), "{} does not open with //!", path.display());
    }
}

#[test]
fn dependencies_point_one_way() {
    let allowed =
        [("core", &[][..]), ("worker", &["docent-core"]), ("ingest", &["docent-core"]), ("local", &["docent-core"])];
    for (name, allowed) in allowed {
        let manifest = read(format!("{name}/Cargo.toml"));
        // Tests may use whatever stands in for the rest of the world.
        let used = manifest
            .lines()
            .take_while(|line| *line != "[dev-dependencies]")
            .filter(|line| line.starts_with("docent-"))
            .map(|line| line.split(['.', ' ', '=']).next().unwrap().to_owned());
        for used in used {
            assert!(allowed.contains(&used.as_str()), "{name} depends on {used}");
        }
    }
}

#[test]
fn the_configuration_page_lists_every_setting_as_it_is() {
    let page = read("docs/configuration.md");
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        let row = format!("| `{}` | {default} | {} |", setting.name, setting.help);
        assert!(page.contains(&row), "add to docs/configuration.md:\n{row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `") && line[3..].starts_with(|c: char| c.is_uppercase()));
    let listed: BTreeSet<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let bindings = ["AI", "INDEX", "CONTENT", "SESSIONS"];
    let known: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).chain(bindings).collect();
    assert_eq!(listed, known);
    let page = read("docs/models.md");
    for model in MODELS {
        let dollars = |neurons: f64| neurons * DOLLARS_PER_NEURON;
        let row = format!("{:.3} | {:.3} |", dollars(model.neurons_in), dollars(model.neurons_out));
        assert!(page.lines().any(|line| line.contains(model.id) && line.ends_with(&row)), "{} | … | {row}", model.id);
    }
    for (model, day) in REMOVED_MODELS {
        assert!(MODELS.iter().all(|offered| offered.id != *model), "{model} was removed on {day}");
    }
}

#[test]
fn the_api_page_lists_every_error_code_with_its_status() {
    let page = read("docs/http-api.md");
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status());
        assert!(page.contains(&row), "add to docs/http-api.md:\n{row}");
    }
}

#[test]
fn the_api_page_lists_every_route_and_part() {
    let (page, routes, parts) = (read("docs/http-api.md"), read("worker/src/lib.rs"), read("core/src/sse.rs"));
    for route in routes.split('"').filter(|text| text.starts_with("/v1/")) {
        assert!(page.contains(route.trim_end_matches('/')), "{route} is not in docs/http-api.md");
    }
    let variants = parts.split_once("pub enum Part<'a> {").unwrap().1.split_once("\n}").unwrap().0;
    let variants = variants.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"));
    let mut listed = 0;
    for variant in variants.filter(|line| line.starts_with(|c: char| c.is_uppercase())) {
        // As serde writes it, in kebab-case.
        let dashed: String =
            variant.chars().flat_map(|c| [c.is_uppercase().then_some('-'), Some(c)]).flatten().collect();
        let part = dashed.trim_start_matches('-').to_lowercase();
        assert!(page.contains(&format!("`{part}`")), "{part} is not in docs/http-api.md");
        listed += 1;
    }
    assert!(listed > 8, "{listed} parts");
}

#[test]
fn the_changelog_has_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("CHANGELOG.md").contains(&format!("## {version}")), "no entry for {version}");
}

#[test]
fn links_between_our_own_pages_lead_somewhere() {
    // Fixtures are pages of others.
    for path in files(".md").into_iter().filter(|path| !path.starts_with(root().join("tests/fixtures"))) {
        let text = read(&path);
        for event in pulldown_cmark::Parser::new(&text) {
            let pulldown_cmark::Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) = event else { continue };
            if dest_url.contains(':') || dest_url.starts_with('#') {
                continue;
            }
            let target = dest_url.split('#').next().unwrap();
            let file = path.parent().unwrap().join(target);
            assert!(file.exists(), "{} links to {dest_url}", path.display());
        }
    }
}

#[test]
fn every_dependency_says_why_it_is_there() {
    for path in files("Cargo.toml") {
        let text = read(&path);
        let mut section = "";
        let mut explained = false;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name;
                explained = line.contains('#');
            }
            let is_dependency = section.contains("dependencies")
                && line.contains('=')
                && line.starts_with(|c: char| c.is_ascii_lowercase());
            let external = is_dependency
                && !line.starts_with("docent-")
                && !line.contains("workspace = true")
                && !line.contains(".workspace");
            assert!(
                !external || explained || line.contains('#') || section.contains("dependencies."),
                "{}: say why: {line}",
                path.display()
            );
            explained = line.trim_start().starts_with('#') || (explained && external);
        }
    }
}
