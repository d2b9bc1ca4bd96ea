//! Commands of an operator about the queue and the accounts, and the way they reach a running relay.
//!
//! [`command`] says what may be asked, [`reply`] the answers; [`Admin`] carries commands out on the queue and the [`accounts`].
//! [`control`] carries them over a socket in the data folder, so that `yizhan queue ...` works while the relay runs. While it
//! is stopped the command line opens the queue itself and uses [`Admin`] directly. Both give the same answers, and so will
//! HTTP.

pub mod accounts;
pub mod attention;
mod caller;
mod carry_out;
pub mod change;
pub mod channel_report;
pub mod command;
pub mod conditions;
mod content;
pub mod control;
pub mod error;
mod forecast;
#[cfg(feature = "http")]
pub mod http;
pub mod metrics;
pub mod open_codes;
pub mod reply;
pub mod settings;
pub mod status;
pub mod token_file;
pub mod view;

pub use accounts::Accounts;
pub use caller::{Caller, user_name};
pub use carry_out::{Admin, Answered};
pub use command::{AdminCommand, MessageChange, Order, Selection};
pub use conditions::MessageConditions;
pub use content::MessageContent;
pub use error::{AdminError, ErrorCode};
pub use open_codes::OpenCodes;
pub use reply::AdminReply;
pub use settings::{AdminBind, AdminSettings, MetricsAccess};
pub use status::{HealthStatus, ListenerStatus, RelayFacts, RelayStatus, StatusSettings};

/// Whether two texts are equal, in a time that depends on their lengths alone.
fn same_text(one: &str, other: &str) -> bool {
    let pairs = one.bytes().zip(other.bytes());
    let difference = pairs.fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    one.len() == other.len() && difference == 0
}
