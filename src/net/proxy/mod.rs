//! A proxy between an account and its provider: [`Proxy`] is how it is written, [`tunnel`] goes through it.
//!
//! The provider's name goes to the proxy as a name, for `socks5` as for `socks5h`: the office machine may have no DNS
//! for the outside, and where it has, the proxy's answer is the one that fits the proxy's way out. TLS is spoken with the
//! provider, through the tunnel: the proxy sees names and octets, never a message or the account's secret.

mod address;
mod connect;
mod socks5;
pub mod tunnel;

pub use address::{Proxy, ProxyError};
pub use tunnel::TunnelError;
