//! docent without an account: Workers AI, Vectorize, KV and D1 on loopback, and workerd in front.
//!
//! Three ways in:
//! - `docent-local serve` ([`cli`], [`serve`]) for a person: the cloud, the bot, the documentation.
//! - [`Cloud`] and [`Workerd`] for tests and benchmarks: the same two, in and from the own process.
//! - [`ports`]: the question flow natively, over the same services and without workerd.
//!
//! A call comes in at `cloud`, which keeps strangers out, and goes by its wire to [`bindings`], `rest`
//! or `addresses`. All have it logged (`journal`) and perhaps spoilt (`faults`) by `services`, and ask an
//! engine, which knows limits and codes but no wire: `ai`, `vectorize` (with `filter`), `kv` or `d1`,
//! the last three over `store`. Models are stood in for by `embedder` (`lexical`, `bert`; `kept` has what it
//! has made) and `answerer` (`extractive` with `units`, `llm`) and `sentiment`; `events` writes what they say as Workers AI does.
//! [`workerd`] runs the Worker, behind its static assets (`assets`, `front.js`).

mod addresses;
mod ai;
mod answerer;
mod assets;
#[cfg(feature = "bert")]
mod bert;
pub mod bindings;
pub mod cli;
mod clock;
mod cloud;
pub mod console;
mod d1;
mod deployment;
mod embedder;
mod events;
mod extractive;
mod faults;
mod filter;
mod journal;
mod kept;
mod kv;
mod lexical;
mod llm;
mod lookup;
mod model;
mod pages;
pub mod ports;
mod refusal;
mod rest;
mod sentiment;
pub mod serve;
mod services;
mod store;
mod units;
mod vectorize;
pub mod workerd;

pub use assets::{Asset, AssetsError, read_assets};
pub use cloud::{Cloud, CloudConfig, LlmConfig, StartError};
pub use d1::DatabaseConfig;
pub use faults::{Canned, Fault};
pub use workerd::{Module, Workerd, WorkerdConfig, WorkerdError};
