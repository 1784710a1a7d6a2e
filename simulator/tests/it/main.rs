//! The simulator seen through `kube`, over real HTTP.

mod access;
mod apply;
mod harness;
mod lifecycle;
mod lists;
mod persistence;
mod protocol;
mod quotas;
mod watches;
mod writes;
