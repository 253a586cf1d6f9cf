//! docent-eval, through its command.

mod answers;
mod ir_measures;
mod judge;
mod questions;
mod statistics;
mod trec_eval;
