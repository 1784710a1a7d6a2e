//! The three ways to combine an object with what a client sends about it.

pub mod apply;
pub mod json;
pub mod strategic;
