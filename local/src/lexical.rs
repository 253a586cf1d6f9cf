//! Vectors without a model: the words of a text, hashed into 768 numbers.

use std::collections::HashSet;

use docent_core::embedding::SPEC;

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).map(str::to_lowercase)
}

fn hash(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The vector of a text, of length 1.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0_f32; SPEC.dimensions];
    for word in words(text) {
        let hash = hash(&word);
        let at = hash as usize % SPEC.dimensions;
        if let Some(component) = vector.get_mut(at) {
            *component += if hash >> 63 == 0 { 1.0 } else { -1.0 };
        }
    }
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    for component in &mut vector {
        *component /= norm;
    }
    vector
}

/// How much of `query` is in `text`, 0 to 1.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn overlap(query: &str, text: &str) -> f32 {
    let text: HashSet<String> = words(text).collect();
    let query: HashSet<String> = words(query).collect();
    query.iter().filter(|word| text.contains(*word)).count() as f32 / query.len().max(1) as f32
}
