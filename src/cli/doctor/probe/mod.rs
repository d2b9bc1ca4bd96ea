//! Looking: at the machine, the network and the provider. What it means is the business of `findings`.
//!
//! Every look has the time limit [`LIMIT`]. Not here: anything that is sent. A mail never is, a log-in is tried once at
//! most, and the only things written are a file in the data folder, which is removed at once, and DNS questions.

use std::time::Duration;

pub(super) mod account;
mod certificate;
mod dns_message;
pub(super) mod machine;
mod provider_session;
pub(super) mod resolver;
mod system_files;

/// No single check takes longer than this.
const LIMIT: Duration = Duration::from_secs(10);
