//! docent-eval, through its command.

mod questions;
mod trec_eval;
