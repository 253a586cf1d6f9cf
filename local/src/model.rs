//! `--model`: a folder, or `download` for bge-base-en-v1.5 from its publisher.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::console::say;

/// Where BAAI publishes the model that Workers AI runs.
const PUBLISHER: &str = "https://huggingface.co/BAAI/bge-base-en-v1.5/resolve/main";
/// What is needed of it, the large file last.
const FILES: [&str; 4] = ["config.json", "vocab.txt", "1_Pooling/config.json", "model.safetensors"];
/// Folder below the state folder.
const FOLDER: &str = "models/bge-base-en-v1.5";

/// The model folder that `--model` means. A download goes below `state` and is done once.
pub(crate) fn folder(model: &Path, state: Option<&Path>) -> Result<PathBuf, String> {
    if model != Path::new("download") {
        return Ok(model.to_owned());
    }
    let state = state.ok_or("--model download needs --state, the folder that the model is kept in")?;
    let folder = state.join(FOLDER);
    for name in FILES {
        let path = folder.join(name);
        if !path.exists() {
            say(&format!("downloading {PUBLISHER}/{name}"));
            download(&format!("{PUBLISHER}/{name}"), &path)?;
        }
    }
    Ok(folder)
}

/// Half a file never stands under the name of a whole one.
fn download(url: &str, path: &Path) -> Result<(), String> {
    let written = |error: io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(written)?;
    }
    let advice = "where it cannot be reached, give --model a folder with the model";
    let response = ureq::get(url).call().map_err(|error| format!("cannot download {url}: {error}; {advice}"))?;
    let part = path.with_extension("part");
    let mut file = File::create(&part).map_err(written)?;
    io::copy(&mut response.into_body().into_reader(), &mut file)
        .map_err(|error| format!("the download of {url} broke off: {error}; start again"))?;
    std::fs::rename(&part, path).map_err(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_that_fails_says_what_to_do_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models/config.json");
        let error = download("http://127.0.0.1:1/config.json", &path).unwrap_err();
        assert!(error.starts_with("cannot download http://127.0.0.1:1/config.json"), "{error}");
        assert!(error.ends_with("give --model a folder with the model"), "{error}");
        assert!(!path.exists());
    }
}
