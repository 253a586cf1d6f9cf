//! What has to happen so that the index holds the chunks of the documents, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use docent_core::chunk::Chunk;
use docent_core::workers_ai::{DOLLARS_PER_NEURON, EMBEDDING_NEURONS};

use crate::manifest::Manifest;

/// The steps from what is in the index to what shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Chunks to embed and to store.
    pub new: Vec<Chunk>,
    /// Ids that left the documents.
    pub gone: Vec<String>,
    /// How many chunks stay as they are.
    pub unchanged: usize,
    /// What the manifest says once all is done: ids by document path.
    pub documents: BTreeMap<String, BTreeSet<String>>,
}

impl Plan {
    /// Compares. Documents in `kept` could not be read this time: what the index holds of them stays.
    pub fn new(known: &Manifest, chunks: Vec<Chunk>, kept: &BTreeSet<String>) -> Self {
        let old: BTreeSet<&String> = known.documents.values().flatten().collect();
        let mut documents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, ids) in known.documents.iter().filter(|(path, _)| kept.contains(*path)) {
            documents.insert(path.clone(), ids.clone());
        }
        let mut plan = Self::default();
        for chunk in chunks {
            documents.entry(chunk.metadata.path.clone()).or_default().insert(chunk.id.clone());
            if old.contains(&chunk.id) {
                plan.unchanged += 1;
            } else {
                plan.new.push(chunk);
            }
        }
        let desired: BTreeSet<&String> = documents.values().flatten().collect();
        plan.gone = old.difference(&desired).map(|id| (*id).clone()).collect();
        plan.documents = documents;
        plan
    }

    /// Whether the index is as it shall be.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.gone.is_empty()
    }

    /// Tokens to embed.
    pub fn tokens(&self) -> usize {
        self.new.iter().map(|chunk| chunk.tokens).sum()
    }
}

/// What embedding that many tokens takes, in neurons and in US dollars.
#[allow(clippy::cast_precision_loss)] // token counts are far below 2^52
pub fn price(tokens: usize) -> (f64, f64) {
    let neurons = tokens as f64 * EMBEDDING_NEURONS / 1e6;
    (neurons, neurons * DOLLARS_PER_NEURON)
}

#[cfg(test)]
mod tests {
    use docent_core::vectorize::Metadata;
    use proptest::prelude::*;

    use super::*;

    type Ids = BTreeMap<String, BTreeSet<String>>;

    fn chunks(documents: &Ids) -> Vec<Chunk> {
        let of = |path: &String, id: &String| Chunk {
            id: format!("{path}{id}"),
            tokens: 1,
            metadata: Metadata { path: path.clone(), ..Metadata::default() },
        };
        documents.iter().flat_map(|(path, ids)| ids.iter().map(move |id| of(path, id))).collect()
    }

    fn manifest(documents: &Ids) -> Manifest {
        let plan = Plan::new(&Manifest::default(), chunks(documents), &BTreeSet::new());
        Manifest { documents: plan.documents, ..Manifest::default() }
    }

    fn ids() -> impl Strategy<Value = Ids> {
        proptest::collection::btree_map("[a-d]", proptest::collection::btree_set("[0-9]", 1..5), 0..4)
    }

    proptest! {
        #[test]
        fn carried_out_in_any_order_a_plan_gives_what_is_desired(old in ids(), new in ids()) {
            let plan = Plan::new(&manifest(&old), chunks(&new), &BTreeSet::new());
            let mut index: BTreeSet<String> = manifest(&old).documents.into_values().flatten().collect();
            for id in &plan.gone {
                prop_assert!(index.remove(id));
            }
            for chunk in &plan.new {
                prop_assert!(index.insert(chunk.id.clone()));
            }
            let desired: BTreeSet<String> = manifest(&new).documents.into_values().flatten().collect();
            prop_assert_eq!(index, desired);
            prop_assert!(Plan::new(&manifest(&new), chunks(&new), &BTreeSet::new()).is_empty());
        }

        #[test]
        fn what_cannot_be_read_now_stays(old in ids(), lost in "[a-d]") {
            let readable = old.iter().filter(|(path, _)| **path != lost);
            let readable: Ids = readable.map(|(path, ids)| (path.clone(), ids.clone())).collect();
            let plan = Plan::new(&manifest(&old), chunks(&readable), &BTreeSet::from([lost]));
            prop_assert!(plan.is_empty() && plan.documents == manifest(&old).documents);
        }
    }
}
