//! From durable to the other side: one account's connections to its provider.
//!
//! [`Upstream::send`] takes one message and reports, for each recipient, what became of it. A call goes one way:
//!
//! ```text
//!  send -> connection_slots    a slot for the message
//!       -> acquire -> idle_pool             a connection that is idle,
//!                  -> socket_permits, login_gate, endpoint_memory, permit
//!                  -> connect               or a new one, logged in
//!       -> connection -> eight_bit_downgrade    the transaction
//!       -> outcome             what the provider said, turned into an outcome in one place
//! ```
//!
//! Not here: which message goes when, and by which account (`delivery`); how SMTP is spoken (`smtp::client`); how TCP and
//! TLS connections are made (`net`). Invariant: the reply to the final dot decides; nothing that happens on the
//! connection afterwards changes an outcome.

mod acquire;
mod connect;
mod connection;
mod connection_slots;
mod eight_bit_downgrade;
mod endpoint_memory;
mod idle_pool;
mod letter;
mod login_gate;
pub mod outcome;
pub mod permit;
mod send;
mod settings;
mod socket_permits;

pub use connection_slots::ConnectionSlot;
pub use letter::Letter;
pub use outcome::{Condition, Fate, Outcome, Report};
pub use permit::{Held, Permit, Unlimited};
pub use send::Upstream;
pub use settings::{ConnectLimits, DIAL_LIMIT, HANDSHAKE_LIMIT, UpstreamSettings};
