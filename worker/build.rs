//! Puts the widget's script where the Worker includes it from: minified by esbuild when
//! `ESBUILD_BIN` names it, as scripts/build-worker.sh does, else as it is, which is enough to check
//! the code.

use std::path::Path;
use std::process::{Command, ExitCode};

const SOURCE: &str = "widget/widget.js";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=ESBUILD_BIN");
    let Some(folder) = std::env::var_os("OUT_DIR") else { return ExitCode::FAILURE };
    let target = Path::new(&folder).join("widget.js");
    let made = match std::env::var_os("ESBUILD_BIN") {
        Some(esbuild) => Command::new(esbuild)
            .args([SOURCE, "--minify", "--target=es2022", "--log-level=warning"])
            .arg(format!("--outfile={}", target.display()))
            .status()
            .is_ok_and(|status| status.success()),
        None => std::fs::copy(SOURCE, &target).is_ok(),
    };
    if made { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
