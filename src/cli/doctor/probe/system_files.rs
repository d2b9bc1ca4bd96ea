//! What Linux says about the network in `/proc/net`: who listens at a port (proc(5)).
//!
//! Not here: reading the files. A line that does not parse is passed over: the checks then know less, and say so.

use std::net::IpAddr;

/// The state of a listening socket in `/proc/net/tcp` (`TCP_LISTEN` in the kernel's `tcp_states.h`).
const LISTEN: &str = "0A";

/// The inodes of the sockets that listen at `port`, from `/proc/net/tcp` or `/proc/net/tcp6`.
pub(crate) fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, hex) = columns.get(1)?.rsplit_once(':')?;
        let here = u16::from_str_radix(hex, 16).ok()? == port && *columns.get(3)? == LISTEN;
        if here { columns.get(9)?.parse().ok() } else { None }
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// The name servers of `/etc/resolv.conf`, at most three, as resolvers read it (resolv.conf(5)).
pub(crate) fn name_servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        // A scope (`fe80::1%eth0`) has no place in an `IpAddr`; such a server is passed over.
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(server).take(3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_is_found_and_a_connection_is_not() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
            1: 0100007F:0019 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n\
            2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n\
            short\n";
        assert_eq!(listening_inodes(table, 25), [4711]);
        assert_eq!(listening_inodes(table, 2525), [0u64; 0]);
    }

    #[test]
    fn three_servers_are_asked_at_most() {
        let text = "# nameserver 9.9.9.9\nsearch lan\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver ::1\n\
            nameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        let found: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1", "::1", "10.0.0.2"]);
    }
}
