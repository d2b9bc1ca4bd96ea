//! Looking: at the machine, the network and the provider. What it means is `judge`'s business.
//!
//! Every look has the time limit [`LIMIT`]. Not here: anything that is sent. A mail never is, a log-in is tried once at
//! most, and the only things written are a file in the data folder, which is removed at once, and DNS questions.

use std::time::Duration;

pub(crate) mod account;
pub(crate) mod machine;
pub(crate) mod resolver;
pub(crate) mod talk;

/// No single check takes longer than this.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
