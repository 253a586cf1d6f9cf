//! docent-eval, through its command.

mod promptfoo;
mod questions;
mod run;
mod trec_eval;
