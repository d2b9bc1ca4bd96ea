//! The key under which the messages of one client are counted together, so that no client starves the others.
//!
//! A `[client.NAME]` entry is no key: it may name a whole network of devices. The logged-in user is one client wherever
//! it connects from; without a log-in the address is. Pure: values in, text out.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Counts as one client for fairness: a user, an address, or the relay itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(Arc<str>);

impl ClientKey {
    /// The key of a client that has logged in as `user`, else of its address.
    pub fn of_client(user: Option<&str>, addr: IpAddr) -> ClientKey {
        // No address begins with `user:`, so that a user cannot be taken for an address.
        ClientKey(user.map_or_else(|| network_of(addr).to_string(), |user| format!("user:{user}")).into())
    }

    /// The key of the relay's own mail: failure notices, digests, alerts.
    pub fn of_relay() -> ClientKey {
        ClientKey("relay".into())
    }

    /// A key that was stored as text.
    pub fn stored(text: &str) -> ClientKey {
        ClientKey(text.into())
    }

    /// The text under which the key is stored and compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The address of one customer: an IPv4 address as it is, of an IPv6 address its /64, which is the least that one
/// customer is given (RFC 6177).
pub fn network_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V4(addr) => IpAddr::V4(addr),
        IpAddr::V6(addr) => {
            let [a, b, c, d, ..] = addr.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_client_everywhere_and_an_address_is_one_without_a_user() {
        let key = |user: Option<&str>, addr: &str| ClientKey::of_client(user, addr.parse().unwrap());
        assert_eq!(key(None, "192.0.2.7"), key(None, "::ffff:192.0.2.7"));
        assert_ne!(key(None, "192.0.2.7"), key(None, "192.0.2.8"));
        assert_eq!(key(None, "2001:db8:1:2::3"), key(None, "2001:db8:1:2:ffff::9"));
        assert_ne!(key(None, "2001:db8:1:2::3"), key(None, "2001:db8:1:3::3"));
        assert_eq!(key(Some("erp"), "192.0.2.7"), key(Some("erp"), "192.0.2.8"));
        let keys =
            [key(Some("192.0.2.7"), "::1"), key(None, "192.0.2.7"), ClientKey::of_relay(), key(Some("relay"), "::1")];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(ClientKey::stored(keys[0].as_str()), keys[0]);
    }
}
