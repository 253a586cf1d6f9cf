//! Fitted settings in `[vars]` of wrangler.toml, with its comments and its layout as they are.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};

/// Sets values; says what changed. A value that is there as text stays text, which is how wrangler
/// hands it to the Worker anyway.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn write(path: &Path, settings: &[(&str, f64)]) -> Result<Vec<String>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot change {}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let mut file: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| failed(&error))?;
    let vars = file.entry("vars").or_insert_with(|| Item::Table(Table::new()));
    let vars = vars.as_table_like_mut().ok_or_else(|| failed(&"vars is no table"))?;
    let mut changes = Vec::new();
    for (name, number) in settings {
        let new = number.to_string();
        let old = vars.get(name).and_then(Item::as_str).map(str::to_owned);
        if old.as_deref() == Some(&new) {
            continue;
        }
        let was = vars.get(name).map_or("not set".to_owned(), |item| item.to_string().trim().to_owned());
        changes.push(format!("{name}: {was} → \"{new}\""));
        match vars.get_mut(name).and_then(Item::as_value_mut) {
            Some(known) => {
                let decor = known.decor().clone();
                *known = new.into();
                *known.decor_mut() = decor;
            }
            None => {
                vars.insert(name, value(new));
            }
        }
    }
    std::fs::write(path, file.to_string()).map_err(|error| failed(&error))?;
    Ok(changes)
}
