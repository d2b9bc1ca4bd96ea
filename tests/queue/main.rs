//! The queue: its promises, a model of it under random actions, and what survives crashes and damage.

mod accounts;
mod backup;
mod contract;
mod damage;
mod fair;
mod history;
mod large;
mod model;
mod operators;
mod survival;

#[path = "../mailbag/mod.rs"]
mod mailbag;
