//! Reports.
pub mod html;
pub mod text;
