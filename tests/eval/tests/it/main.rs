//! docent-eval, through its command.

mod questions;
