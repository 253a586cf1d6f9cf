//! Keeps an index on Cloudflare in step with a folder of documentation.
//!
//! [`run`] is the recipe and reads from top to bottom; the other modules are its steps:
//! [`settings`] (what to ingest, and where to), [`walk`] (files), `docent_core` (documents and
//! chunks), [`plan`] (what is new and what left), [`cloudflare`] (the REST API), [`manifest`] (what
//! is in the index), [`report`] (what was done). [`cli`] is the command around it.

pub mod cli;
pub mod cloudflare;
mod http;
pub mod manifest;
pub mod plan;
pub mod report;
pub mod run;
pub mod settings;
mod store;
pub mod walk;
