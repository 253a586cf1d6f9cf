//! docent without an account: Workers AI, Vectorize and KV on loopback, and workerd in front.
mod ai;
mod answerer;
#[cfg(feature = "bert")]
mod bert;
pub mod bindings;
pub mod cli;
mod clock;
mod cloud;
pub mod console;
mod deployment;
mod embedder;
mod events;
mod extractive;
mod faults;
mod filter;
mod journal;
mod kv;
mod lexical;
mod llm;
mod model;
mod pages;
pub mod ports;
mod refusal;
mod rest;
pub mod serve;
mod services;
mod store;
mod units;
mod vectorize;
pub mod workerd;

pub use cloud::{Cloud, CloudConfig, LlmConfig, StartError};
pub use faults::{Canned, Fault};
pub use workerd::{Module, Workerd, WorkerdConfig, WorkerdError};
