//! The queue: its promises, a model of it under random actions, and what survives crashes and damage.

mod accounts;
mod contract;
mod damage;
mod fair;
mod large;
mod model;
mod survival;

#[path = "../mailbag/mod.rs"]
mod mailbag;
