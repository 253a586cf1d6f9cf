//! Tests through the front door: the Worker as it is deployed, compiled to wasm, in workerd, with
//! Cloudflare's own binding code in front of the local stand-in.
//!
//! They read as the specification of what a user can rely on, in this order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
// a test fails by panicking

mod bot; // starts one
mod endpoint; // what it calls

mod citations;
mod clients;
mod conversation; // questions, follow-ups, sessions
mod guidance; // what comes beside an answer
mod handoff; // the way to a person
mod streaming; // what arrives when // other people's clients, and a browser

mod search; // what is found while somebody types

mod bad_input; // what a visitor can send
mod cache; // what is said again, and to whom not
mod cost; // what answers cost
mod feedback; // what a visitor thinks of an answer
mod models; // which model answers, and who takes over
mod tools; // what is looked up elsewhere

mod injection; // what pages and visitors say to the model
mod setup; // what an operator can leave out or get wrong
mod trace; // the way to an answer, for those who have the key
mod trouble; // what services can do
mod why; // how an answer came about, kept for some days

mod conformance; // the same flow over both implementations of its ports
mod generations; // the old index or the new one
mod ingest; // the index in step with the documents

mod deployment; // what goes to Cloudflare
mod tidy; // conventions of the sources and the documentation
