//! An account whose server is a listener of this very relay: every mail would go round in a circle (RFC 5321 section 6.3).
//!
//! Not here: names that only a resolver can tell to be our own. Nothing is looked up while settings are read; a circle
//! of that kind ends at the second turn, where the message carries two trace fields of ours (`intake::arrival`).

use std::net::{IpAddr, SocketAddr};

use super::problem::Problem;
use super::settings::Account;
use super::values::{Values, get};
use crate::intake::ListenerSettings;
use crate::provider::Endpoint;

/// The accounts that would send to one of the listeners.
pub(super) fn circles(
    values: &Values<'_>,
    accounts: &[Option<Account>],
    listeners: &[Option<ListenerSettings>],
) -> Vec<Problem> {
    let hostname: String = get!(values, "hostname", Text).unwrap_or_default();
    let binds: Vec<(&str, SocketAddr)> =
        listeners.iter().flatten().flat_map(|one| one.bind.iter().map(|bind| (one.name.as_str(), *bind))).collect();
    let own = |place: &Endpoint| {
        let same = |bind: &SocketAddr| leads_to(&place.host, &hostname, bind.ip()) && bind.port() == place.port;
        binds.iter().find(|(_, bind)| same(bind))
    };
    let problem = |account: &Account| {
        let (listener, bind) = account.endpoints.iter().find_map(own)?;
        let reason =
            format!("this is listener.{listener} of this relay itself ({bind}): every mail would go round in a circle");
        let key = format!("account.{}.host", account.name);
        Some(values.misfit(&key, &reason, "name the server of the mailbox provider"))
    };
    // Behind a proxy 127.0.0.1 is another machine.
    accounts.iter().flatten().filter(|account| account.proxy.is_none()).filter_map(problem).collect()
}

/// Whether `host` can only be the machine itself, at an address that this listener has.
fn leads_to(host: &str, hostname: &str, bind: IpAddr) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let bind = bind.to_canonical();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        let address = address.to_canonical();
        // To connect to 0.0.0.0 is to connect to oneself. `[::]` is IPv6 only (`intake::listener`).
        let here = address.is_loopback() || address.is_unspecified();
        let all = address.is_ipv4() == bind.is_ipv4() && (bind.is_unspecified() || address.is_unspecified());
        return address == bind || (all && here && (bind.is_loopback() || bind.is_unspecified()));
    }
    // RFC 6761 section 6.3.
    let local = host == "localhost" || host.ends_with(".localhost");
    (local && (bind.is_loopback() || bind.is_unspecified()))
        // One's own name may have another server at its own address, where this listener is at 127.0.0.1 only.
        || (!bind.is_loopback() && host == hostname.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_061_what_is_the_machine_itself_and_what_is_not() {
        let leads = |host: &str, bind: &str| leads_to(host, "relay.lan", bind.parse().unwrap());
        for (host, bind) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "0.0.0.0"),
            ("127.0.0.9", "0.0.0.0"),
            ("::1", "::"),
            ("0.0.0.0", "127.0.0.1"),
            ("192.168.1.5", "192.168.1.5"),
            ("localhost", "127.0.0.1"),
            ("LOCALHOST.", "::1"),
            ("smtp.localhost", "0.0.0.0"),
            ("Relay.LAN", "192.168.1.5"),
        ] {
            assert!(leads(host, bind), "{host} at {bind}");
        }
        for (host, bind) in [
            ("127.0.0.1", "192.168.1.5"),
            ("127.0.0.2", "127.0.0.1"),
            ("127.0.0.1", "::"),
            ("0.0.0.0", "192.168.1.5"),
            ("192.168.1.6", "0.0.0.0"),
            ("localhost", "192.168.1.5"),
            ("smtp.qq.com", "0.0.0.0"),
            ("relay.lan.example", "127.0.0.1"),
            ("relay.lan", "127.0.0.1"),
            ("localhost.example", "127.0.0.1"),
        ] {
            assert!(!leads(host, bind), "{host} at {bind}");
        }
    }
}
