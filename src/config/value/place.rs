//! Places: hosts, addresses to listen on, networks, paths, from text.
//!
//! Not here: whether there is anything at that place. Invariant: no network that comes out of [`own_network`] is wider
//! than one owner can have.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::admin::AdminBind;
use crate::config::problem::Fault;
use crate::mail::Address;

pub(super) const SOCKET: &str =
    "write an IP address and a port, such as \"127.0.0.1:25\", \"0.0.0.0:25\" or \"[::]:25\"";
pub(super) const NETWORK: &str = "write an address or a network, such as \"192.168.1.20\" or \"192.168.1.0/24\"";

/// For EHLO and Received: a domain, or an address in brackets (RFC 5321 section 4.1.3).
pub(super) fn hostname(text: &str) -> Result<String, Fault> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if is_domain(text) && text.parse::<IpAddr>().is_err() {
        return Ok(text.to_owned());
    }
    let remedy = "write letters, digits, dots and hyphens only, such as relay.example.lan or [192.0.2.1]";
    Err(Fault::new("this is not a host name", remedy))
}

/// To connect to: a domain, or a bare address.
pub(super) fn host(text: &str) -> Result<String, Fault> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.parse::<IpAddr>().is_ok() || is_domain(text) && !text.starts_with('[') {
        return Ok(text.to_owned());
    }
    let remedy = "write the name only, such as smtp.example.com; the port has a line of its own";
    Err(Fault::new("this is not a host name", remedy))
}

/// What may stand after the at sign may stand in EHLO, too.
fn is_domain(text: &str) -> bool {
    Address::parse(&format!("x@{text}")).is_ok_and(|address| address.is_qualified())
}

/// Port 0 is legal here; `check` refuses it in places where it can only be a slip.
pub(super) fn socket(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| Fault::new("this is not an address to listen on", SOCKET))
}

/// Where the HTTP face listens.
pub(super) fn admin_bind(text: &str) -> Result<AdminBind, Fault> {
    const REMEDY: &str = "write an IP address and a port such as \"127.0.0.1:8025\", a socket such as \"unix:/run/yizhan/admin.sock\", or \"\"";
    match text.strip_prefix("unix:") {
        // A relative one would be another file in each folder the relay is started from.
        Some(path) if path.starts_with('/') && !path.ends_with('/') => self::path(path).map(AdminBind::Unix),
        Some(_) => Err(Fault::new("this is not an absolute path", REMEDY)),
        // An empty variable counts as one that is not set, so there is a word for it, too.
        None if text.is_empty() || text == "off" => Ok(AdminBind::Off),
        None => match text.parse::<SocketAddr>() {
            Ok(addr) if addr.port() == 0 => Err(Fault::new("there is no port 0 to connect to", REMEDY)),
            Ok(addr) => Ok(AdminBind::Tcp(addr)),
            Err(_) => Err(Fault::new("this is not an address to listen on", REMEDY)),
        },
    }
}

/// Where IPv4 lies inside IPv6 (RFC 4291 section 2.5.5.2).
const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);

/// A network that may send.
pub(super) fn own_network(text: &str) -> Result<IpNet, Fault> {
    let network = parse_network(text)?;
    // 10.0.0.0/8 and fc00::/7 are the widest networks that belong to one owner (RFC 1918, RFC 4193).
    let least = if matches!(network, IpNet::V4(_)) { 8 } else { 7 };
    if network.prefix_len() < least {
        return Err(Fault::new(
            "this lets the whole internet send through your account (an open relay)",
            "name your own networks only, such as \"192.168.0.0/16\"; there is no way to allow everybody",
        ));
    }
    as_clients_come(network)
}

/// A network of which something is known.
pub(super) fn network(text: &str) -> Result<IpNet, Fault> {
    as_clients_come(parse_network(text)?)
}

fn parse_network(text: &str) -> Result<IpNet, Fault> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed.map_err(|_| Fault::new("this is not a network", NETWORK))
}

/// Clients with IPv4 addresses are seen with IPv4 addresses, so that a mapped network would match nobody.
fn as_clients_come(network: IpNet) -> Result<IpNet, Fault> {
    match network {
        // All of IPv6 may be meant, `::ffff:0:0/96` and its parts never.
        IpNet::V6(net) if net.prefix_len() == 0 => Ok(network.trunc()),
        IpNet::V6(net) if net.contains(&MAPPED) || net.addr().to_ipv4_mapped().is_some() => {
            Err(Fault::new("this holds IPv4 networks in the form of IPv6", "write them as IPv4: a.b.c.d/n"))
        }
        IpNet::V4(_) | IpNet::V6(_) => Ok(network.trunc()),
    }
}

pub(super) fn path(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new("this is not a path", "write the path of a file or folder, or remove the line"));
    }
    Ok(PathBuf::from(text))
}
