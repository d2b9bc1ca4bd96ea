//! The networks that an address is counted under, the same for every limit of the listener.
//!
//! An IPv4 address counts for itself. An IPv6 address counts under its /64, the least that one customer is given, and
//! under its /48, the most that one usually is (RFC 6177): a /64 has 2^64 addresses, a /48 has 65,536 networks.
//! Every limit holds for the first, and [`SITE`] times of it for the second. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

/// How many times a limit of one network a whole IPv6 /48 may use: an office has a few networks.
pub const SITE: u32 = 4;

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// An IPv4 address, or an IPv6 /64.
    pub network: IpNet,
    /// The /48 of an IPv6 address.
    pub site: Option<IpNet>,
}

impl Source {
    /// `::ffff:10.0.0.1` is 10.0.0.1 (RFC 4291 section 2.5.5.2).
    pub fn of(addr: IpAddr) -> Source {
        let addr = addr.to_canonical();
        let within = |bits| IpNet::new(addr, bits).expect("the length is within that of the address").trunc();
        match addr {
            IpAddr::V4(_) => Source { network: within(32), site: None },
            IpAddr::V6(_) => Source { network: within(64), site: Some(within(48)) },
        }
    }

    /// Each network it counts under, with how many times the limit may be used there.
    pub fn counted(self) -> impl Iterator<Item = (IpNet, u32)> {
        [(self.network, 1)].into_iter().chain(self.site.map(|site| (site, SITE)))
    }

    /// The widest network it counts under: what one attacker is given at once.
    pub fn widest(self) -> IpNet {
        self.site.unwrap_or(self.network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_with_many_addresses_is_one_source() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        let shown =
            |text: &str| source(text).counted().map(|(net, times)| format!("{net} {times}")).collect::<Vec<_>>();
        assert_eq!(shown("192.0.2.7"), ["192.0.2.7/32 1"]);
        assert_eq!(shown("::ffff:192.0.2.7"), ["192.0.2.7/32 1"]);
        assert_eq!(shown("2001:db8:1:2:3::4"), ["2001:db8:1:2::/64 1", "2001:db8:1::/48 4"]);
        assert_eq!(source("2001:db8:1:2::9").network, source("2001:db8:1:2:ffff::").network);
        assert_eq!(source("2001:db8:1:2::").widest(), source("2001:db8:1:ffff::").widest());
        assert_ne!(source("2001:db8:1::").widest(), source("2001:db8:2::").widest());
    }
}
