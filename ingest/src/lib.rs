//! Keeps an index on Cloudflare in step with a folder of documentation.
//!
//! [`run`] is the recipe and reads from top to bottom; the other modules are its steps:
//! [`settings`] (what to ingest, and where to), [`source`], [`walk`] and [`web`] (what there is), `docent_core` (documents and
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
pub mod source;
mod store;
pub mod walk;
pub mod web;
