//! docent without an account: Workers AI, Vectorize and KV on loopback, and workerd in front.
mod ai;
mod answerer;
pub mod bindings;
pub mod cli;
mod clock;
mod cloud;
mod deployment;
mod embedder;
mod events;
mod extractive;
mod faults;
mod filter;
mod journal;
mod kv;
mod lexical;
mod refusal;
mod rest;
pub mod serve;
mod services;
mod store;
mod vectorize;
pub mod workerd;

pub use cloud::{Cloud, CloudConfig, StartError};
pub use faults::{Canned, Fault};
pub use workerd::{Module, Workerd, WorkerdConfig, WorkerdError};
