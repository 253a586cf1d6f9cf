//! Questions to a file that people go on writing in.

use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Question;

/// A file as it is written.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<&'a str>,
    questions: &'a [Question],
}

/// YAML, with what is to be done about drafts on top.
pub(super) fn yaml(base_url: Option<&str>, questions: &[Question]) -> Result<String, String> {
    let text = yaml_serde::to_string(&Written { base_url, questions }).map_err(|error| error.to_string())?;
    let drafts = questions.iter().filter(|question| question.draft).count();
    let head = "# Drafts are not asked. Where one is right, delete its line `draft: true`; where it is not, mend it or\n\
                # delete it. `docent-eval lint` checks the file.\n";
    Ok(if drafts > 0 { format!("{head}{text}") } else { text })
}

/// Writes to a new file, or to standard output. A file that is there is somebody's work.
pub(super) fn out(path: Option<&Path>, text: &str) -> Result<(), String> {
    let Some(path) = path else {
        return std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"));
    };
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("--out: {} is there already; name another file, or delete it", path.display())
        }
        _ => format!("--out: cannot write {}: {error}", path.display()),
    };
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
