//! docent-eval, through its command.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
// a test fails by panicking

mod questions;
mod trec_eval;
