//! The shape of the tree: layers, lengths, dependencies, and a test for every numbered row.

mod architecture;
mod events;
mod modules;
mod rows;
mod tidy;
