//! The rules of ARCHITECTURE.md and CONTRIBUTING.md that a program can check.
#![forbid(unsafe_code)]

#[cfg(test)]
mod arrows;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod tree;
