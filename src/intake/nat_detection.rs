//! Detects network address translation: all mail of a day came from one gateway or container bridge.
//!
//! Container engines translate addresses, and then `allow`, the client entries and every limit for one client hold for all
//! clients together. Not here: what is done about it; it is only logged. Invariant: one address and two numbers are
//! kept, whatever comes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// How long all messages must have come from one address.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Fewer messages say nothing about the clients.
const ENOUGH: u64 = 5;

/// Which addresses messages come from, a day at a time.
#[derive(Debug, Default)]
pub struct NatDetection(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    since: Option<Timestamp>,
    first: Option<IpAddr>,
    several: bool,
    messages: u64,
    told: Option<IpAddr>,
}

impl NatDetection {
    /// Notes a message from `client`. When a day of messages came from one address only, and it was not this one that
    /// was named last, names it.
    pub fn note(&self, client: IpAddr, now: Timestamp) -> Option<IpAddr> {
        // Plain values: a panic cannot leave them half done.
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut alone = None;
        if seen.since.is_none_or(|since| now >= since + DAY) {
            alone = seen.first.filter(|_| !seen.several && seen.messages >= ENOUGH);
            *seen = Seen { since: Some(now), told: seen.told, ..Seen::default() };
        }
        seen.several |= seen.first.is_some_and(|first| first != client);
        seen.first = seen.first.or(Some(client));
        seen.messages += 1;
        let fresh = alone.filter(|alone| seen.told != Some(*alone));
        seen.told = fresh.or(seen.told);
        fresh
    }
}

/// Whether translation is known to happen at this address.
pub fn hides_others(address: IpAddr, gateways: &[IpAddr]) -> bool {
    gateways.contains(&address) || is_bridge(address)
}

/// The first host of a network that container engines make by themselves: Docker 172.16/12, Docker Desktop
/// 192.168.65.1, Podman 10.88.0.1, slirp4netns 10.0.2.2.
fn is_bridge(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [172, 16..=31, _, 1] | [192, 168, 65, 1] | [10, 88, 0, 1] | [10, 0, 2, 2] => true,
            [_, _, _, _] => false,
        },
        IpAddr::V6(_) => false,
    }
}

/// The machine's default gateways; none where the system does not say (proc(5)).
pub fn gateways() -> Vec<IpAddr> {
    listed(&std::fs::read_to_string("/proc/net/route").unwrap_or_default())
}

/// The gateways of the default routes, from `/proc/net/route`. The kernel writes addresses as it keeps them: in network
/// order, read as a number of this machine.
fn listed(table: &str) -> Vec<IpAddr> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = u32::from_str_radix(columns.get(2)?, 16).ok()?;
        let default = *columns.get(1)? == "00000000" && number != 0;
        default.then(|| IpAddr::V4(Ipv4Addr::from(number.to_ne_bytes())))
    };
    table.lines().skip(1).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_gateway_is_found() {
        let bytes = u32::from_ne_bytes([172, 17, 0, 1]);
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t{bytes:08X}\t0003\neth0\t000011AC\t00000000\t0001\n"
        );
        assert_eq!(listed(&table), [ip("172.17.0.1")]);
        assert!(hides_others(ip("192.168.1.1"), &[ip("192.168.1.1")]) && hides_others(ip("172.18.0.1"), &[]));
        assert!(!hides_others(ip("192.168.1.1"), &[]) && !hides_others(ip("127.0.0.1"), &[ip("192.168.1.1")]));
    }

    #[test]
    fn one_address_for_a_day_is_told_once() {
        let (detection, start, hour) = (NatDetection::default(), Timestamp::from_millis(0), Duration::from_secs(3600));
        let told: Vec<u32> =
            (0..72).filter(|n| detection.note(ip("172.17.0.1"), start + hour * *n).is_some()).collect();
        assert_eq!(told, [24]);
    }

    #[test]
    fn several_addresses_or_few_messages_say_nothing() {
        let (detection, start, hour) = (NatDetection::default(), Timestamp::from_millis(0), Duration::from_secs(3600));
        for n in 0..100 {
            let client = if n % 24 == 3 { "172.17.0.9" } else { "172.17.0.1" };
            assert_eq!(detection.note(ip(client), start + hour * n), None, "{n}");
        }
        let rare = NatDetection::default();
        assert!((0..10).all(|n| rare.note(ip("172.17.0.1"), start + hour * 12 * n).is_none()));
    }
}
