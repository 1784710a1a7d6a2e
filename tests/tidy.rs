//! The rules of the source tree, as tests.
//!
//! They read the files, not the build, so that a rule holds for what nobody compiles too. Each says
//! file, line and what to do. The finders are tried on made-up text beside them, because a rule that
//! finds nothing and a rule that cannot find anything look alike.

mod dependencies;
mod files;
mod registries;
mod text;
mod tree;
