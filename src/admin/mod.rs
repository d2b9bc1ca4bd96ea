//! Commands of an operator about the queue and the accounts, and the way they reach a running relay.
//!
//! [`command`] says what may be asked and answers it from the queue and from the [`accounts`]; [`control`] carries commands over a socket in the data
//! folder, so that `yizhan queue ...` works while the relay runs. While it is stopped the command line opens the queue
//! itself and uses [`command`] directly. Not here: HTTP, which comes with a later version and will use the same commands.

pub mod accounts;
pub mod channel_report;
pub mod command;
pub mod control;
mod forecast;

pub use accounts::Accounts;
pub use command::{AdminCommand, AdminReply};
