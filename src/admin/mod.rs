//! What an operator sees and touches: orders about the queue and the accounts, and the way they reach a running relay.
//!
//! [`order`] says what may be asked and answers it from the queue and from the [`accounts`]; [`control`] carries orders over a socket in the data
//! folder, so that `yizhan queue ...` works while the relay runs. While it is stopped the command line opens the queue
//! itself and uses [`order`] directly. Not here: HTTP, which comes with a later version and will use the same orders.

pub mod accounts;
pub mod control;
mod forecast;
pub mod order;

pub use accounts::Accounts;
pub use order::{Order, Reply};
