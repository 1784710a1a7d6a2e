//! What one tenant can see of another: nothing.

mod catalogue;
mod foreign;
mod rows;
