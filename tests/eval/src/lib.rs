//! docent's evaluation harness: whether a change made answers better, in numbers that are the same
//! every time.
//!
//! ```text
//! questions ─run──────▶ records ─score─▶ scores ─report, gate, compare─▶ people and CI
//! collection ─retrieval─▶ records ┘
//! ```
//! - [`questions`]: what is asked, and what a right answer has in it.
//! - [`records`]: what came back, question by question; a run is a file of them.
//! - [`run`]: asks a [`bot`], deployed or [`local`], and keeps what comes.
//! - [`pages`]: when two addresses are the same page.
//! - [`compare`], [`gate`], [`report`]: what the numbers say, to people and CI; [`diff`]: what a change
//!   of the documentation does to them.
//! - [`judge`]: a model's opinion beside them.
//! - [`measures`]: what the numbers mean; and [`scores`]: the numbers of a run.
//! - [`statistics`]: how sure they are.
//! - [`retrieval`] and [`sweep`]: search alone, over a [`collection`]; [`calibrate`]: settings fitted to a run.

pub mod bot;
pub mod calibrate;
pub mod cli;
pub mod collection;
pub mod compare;
pub mod diff;
pub mod gate;
pub mod judge;
pub mod local;
pub mod measures;
mod output;
pub mod pages;
pub mod questions;
pub mod records;
pub mod report;
pub mod retrieval;
pub mod run;
pub mod scores;
pub mod statistics;
pub mod sweep;
