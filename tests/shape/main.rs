//! The shape of the tree: layers, lengths, dependencies, and a test for every numbered row.

mod rows;
mod tidy;
