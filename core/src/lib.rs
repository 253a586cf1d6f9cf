//! Everything docent decides without asking anybody.
pub mod embedding;
pub mod vectorize;
pub mod workers_ai;
