//! The `docent` command through its front door, over the stand-in for Cloudflare's services.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking

mod bad_input;
mod interrupted;
mod production;
mod trust;
