//! Vectors on disk, since a model takes its time for them: what was embedded once is read the next
//! time.
//!
//! The file is a list of keys and vectors of one size, only ever added to. The model is in its name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use docent_core::embedding::SPEC;
use sha2::{Digest as _, Sha256};

/// Of a text and the pooling that was asked for.
type Key = [u8; 32];

/// What was embedded before.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    known: Mutex<HashMap<Key, Vec<f32>>>,
}

impl Kept {
    /// Reads what `folder` keeps of the model with this `fingerprint`. What is broken off at the end
    /// of the file, since its writer was killed, is cut off.
    pub(crate) fn open(folder: &Path, fingerprint: &str) -> Result<Self, String> {
        let path = folder.join(format!("{fingerprint}.vectors"));
        let known = std::fs::create_dir_all(folder).and_then(|()| read(&path));
        let known = known.map_err(|error| format!("cannot read the vectors kept in {}: {error}", path.display()))?;
        Ok(Self { path, known: Mutex::new(known) })
    }

    /// One vector a text, in order; `compute` makes those that are not known.
    pub(crate) fn embed(
        &self,
        texts: &[String],
        pooling: &str,
        compute: impl FnOnce(&[String]) -> Result<Vec<Vec<f32>>, String>,
    ) -> Result<Vec<Vec<f32>>, String> {
        let keys: Vec<Key> = texts.iter().map(|text| key(pooling, text)).collect();
        let known = |key: &Key| self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        let mut vectors: Vec<Option<Vec<f32>>> = keys.iter().map(known).collect();
        let missing: Vec<usize> =
            (0..).zip(&vectors).filter(|(_, vector)| vector.is_none()).map(|(at, _)| at).collect();
        if !missing.is_empty() {
            let new: Vec<String> = missing.iter().filter_map(|at| texts.get(*at).cloned()).collect();
            let computed = compute(&new)?;
            let entries: Vec<(Key, &Vec<f32>)> =
                missing.iter().filter_map(|at| keys.get(*at).copied()).zip(&computed).collect();
            self.keep(&entries)?;
            for (at, vector) in missing.into_iter().zip(computed) {
                if let Some(slot) = vectors.get_mut(at) {
                    *slot = Some(vector);
                }
            }
        }
        vectors.into_iter().collect::<Option<_>>().ok_or_else(|| "the model gave fewer vectors than texts".to_owned())
    }

    fn keep(&self, entries: &[(Key, &Vec<f32>)]) -> Result<(), String> {
        let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, vector) in entries {
            bytes.extend_from_slice(key);
            bytes.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
            known.insert(*key, (*vector).clone());
        }
        let add = || {
            let mut file = File::options().append(true).create(true).open(&self.path)?;
            file.lock()?;
            file.write_all(&bytes)
        };
        add().map_err(|error| format!("cannot keep vectors in {}: {error}", self.path.display()))
    }
}

const ENTRY_BYTES: usize = size_of::<Key>() + SPEC.dimensions * size_of::<f32>();

fn read(path: &Path) -> std::io::Result<HashMap<Key, Vec<f32>>> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    // Another process may be adding: what it has half written would be cut off.
    file.lock()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.chunks_exact(ENTRY_BYTES);
    if !whole.remainder().is_empty() {
        file.set_len((bytes.len() - whole.remainder().len()) as u64)?;
    }
    let entry = |entry: &[u8]| {
        let (key, numbers) = entry.split_first_chunk::<32>()?;
        let numbers = numbers.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok());
        Some((*key, numbers.map(f32::from_le_bytes).collect()))
    };
    Ok(whole.filter_map(entry).collect())
}

fn key(pooling: &str, text: &str) -> Key {
    Sha256::new().chain_update(pooling).chain_update("\n").chain_update(text).finalize().into()
}
