//! docent-eval, through its command.

mod questions;
mod run;
mod trec_eval;
