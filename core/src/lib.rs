//! Everything docent decides without asking anybody: no I/O, no clock, no randomness.
//!
//! Two flows share it, and this is their map.
//!
//! **Docs → index** (feature `index`; run by `docent ingest`):
//! a file becomes a document with title and address (`document`), its Markdown becomes sections with
//! heading trail and anchor (`markdown`), these become chunks (`chunk`) that fit the embedding model, counted in its own
//! tokens (`tokens`);
//! [`embedding`] says how a chunk becomes a vector, [`workers_ai`] and [`vectorize`] what goes over
//! the wire, and [`generation`] how a new index takes the place of the old one.
//!
//! **Question → answer** (run by the Worker): [`answer`] is the flow. It reads a question
//! ([`api`]), opens the conversation ([`session`]), searches ([`retrieve`]) what is live
//! ([`generation`]), composes the prompt ([`prompt`]) of texts that cannot break out of it ([`injection`]), and passes on what the
//! model streams ([`draft`], [`sse`]) without links that lead elsewhere (`links`), the prompt itself (`leak`) and citations that lead
//! nowhere, each sentence ([`sentences`]) checked against what it cites ([`citations`], [`support`]) and linked to its words
//! ([`text_fragment`]). Which models there are stands in [`models`], which way calls to them go in [`upstream`], and what they cost in [`cost`]. What else than the documentation
//! a model may look up is in [`tools`]. What the flow
//! needs of the world stands in [`ports`], what to do when that fails in [`policy`].
//!
//! [`search`] answers while somebody is still typing, without a model, from the same [`full_text`] index.
//!
//! What may be said again is in the [`cache`], and [`wording`] says who has asked the same. What a visitor thinks of an answer is kept by [`feedback`]; how an
//! answer came about stands in its [`trace`]. Who asks for a person ([`escalation`]), or is in no good mood, is
//! shown the way to one, and a conversation goes there by [`handoff`]. An answer ends early by [`stop`].
//!
//! [`settings`] and [`error`] belong to both ends of the answer: what the operator sets, and what
//! the visitor is told.

#[cfg(feature = "index")]
pub mod anchors;
#[cfg(feature = "index")]
pub mod chunk;
#[cfg(feature = "index")]
pub mod deployment;
#[cfg(feature = "index")]
pub mod document;
#[cfg(feature = "index")]
pub mod html;
#[cfg(feature = "index")]
pub mod markdown;
#[cfg(feature = "index")]
mod split;
#[cfg(feature = "index")]
pub mod tokens;

pub mod embedding;
pub mod full_text;
pub mod generation;
pub mod identifiers;
pub mod vectorize;
pub mod workers_ai;

pub mod answer;
pub mod api;
pub mod cache;
pub mod citations;
pub mod cost;
pub mod draft;
pub mod escalation;
pub mod feedback;
pub mod handoff;
pub mod injection;
mod leak;
mod links;
pub mod models;
pub mod policy;
pub mod ports;
pub mod prompt;
pub mod retrieve;
pub mod search;
pub mod sentences;
pub mod session;
pub mod sse;
pub mod stop;
pub mod support;
pub mod text_fragment;
pub mod tools;
pub mod trace;
pub mod upstream;
pub mod wording;

pub mod error;
pub mod settings;
