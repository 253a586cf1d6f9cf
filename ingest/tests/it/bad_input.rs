//! Input that no documentation should have.
