//! Keeps an index on Cloudflare in step with documentation.
//!
//! [`run`] is the recipe and reads from top to bottom; the other modules are its steps:
//! [`settings`] (what to ingest, and where to), [`source`], [`walk`] and [`web`] (what there is), `reading`
//! and `docent_core` (pages and chunks), [`plan`] (what is different), [`guard`] (what looks like an
//! accident), `store` (vectors), `lease` (one writer at a time), [`books`] (where the [`state`] of
//! the index is kept), [`report`] (what was done). [`cloudflare`] is the REST API, [`cli`] the
//! command around it all, and [`upkeep`] its other commands: status, history, rollback, prune,
//! verify. [`why`] tells how the bot came to an answer.

pub mod books;
pub mod cli;
pub mod cloudflare;
pub mod guard;
mod http;
mod lease;
mod navigation;
pub mod plan;
mod progress;
mod reading;
pub mod report;
pub mod run;
pub mod settings;
pub mod source;
pub mod state;
mod store;
pub mod upkeep;
pub mod walk;
mod watch;
pub mod web;
pub mod why;
