//! docent-eval, through its command.

mod questions;
mod reports;
mod trec_eval;
