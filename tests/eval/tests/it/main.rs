//! docent-eval, through its command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_precision_loss
)]
// a test fails by panicking

mod answers;
mod ir_measures;
mod judge;
mod promptfoo;
mod questions;
mod regressions;
mod reports;
mod retrieval;
mod run;
mod statistics;
mod trec_eval;
