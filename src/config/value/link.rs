//! What is written as a URL and holds a secret: a proxy with its log-in, a webhook with its token.
//!
//! Not here: using either, and how a proxy is written (that is `upstream`). Invariant: no fault repeats the text, as a password or token may be anywhere in it.

use std::net::{IpAddr, Ipv6Addr};

use super::place::host;
use crate::config::problem::Fault;
use crate::net::proxy::{Proxy, ProxyError};

/// `socks5://host:port`, `socks5h://host:port` or `http://host:port`, with `user:password@` in front of the host.
pub(super) fn proxy(text: &str) -> Result<Proxy, Fault> {
    Proxy::parse(text).map_err(|error| Fault::new(error.to_string(), remedy(error)))
}

fn remedy(error: ProxyError) -> &'static str {
    match error {
        ProxyError::Scheme | ProxyError::Host | ProxyError::Port | ProxyError::Rest => {
            "write \"socks5://127.0.0.1:1080\", \"socks5h://..\" or \"http://..\", with the port"
        }
        ProxyError::Encrypted => "write http://; TLS is spoken with the provider, through the proxy",
        ProxyError::Login => "write user:password@ in front of the host",
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_url_host(name: &str) -> bool {
    match name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => !name.starts_with('[') && host(name).is_ok() && name.parse::<Ipv6Addr>().is_err(),
    }
}

/// How a webhook's messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Carriage {
    /// Over TLS.
    Encrypted,
    /// In the clear, to this machine or within a network one owns.
    Clear,
}

/// The URL of a webhook: https, or http to a private host.
pub(in crate::config) fn webhook(url: &str) -> Result<Carriage, Fault> {
    const FORM: &str = "copy the whole URL from the chat program; it begins with https://";
    let wrong = |reason: &str| Err(Fault::new(reason, FORM));
    let Some((scheme, rest)) = url.split_once("://") else { return wrong("this is not a URL") };
    let clear = match scheme.to_ascii_lowercase().as_str() {
        "https" => false,
        "http" => true,
        _ => return wrong("a webhook is a URL of https://"),
    };
    if url.len() > 2000 || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong("the URL is too long, or has blanks or characters that are not ASCII in it");
    }
    let place = rest.split(['/', '?', '#']).next().unwrap_or("");
    let (name, port) = match place.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        Some(_) | None => (place, "443"),
    };
    if place.contains('@') || !is_url_host(name) || !is_port(port) {
        return wrong("the URL has no host that could be connected to");
    }
    match clear {
        false => Ok(Carriage::Encrypted),
        true if is_private(name) => Ok(Carriage::Clear),
        true => Err(Fault::new("this would carry the token through the internet in the clear", "write https://")),
    }
}

/// An address, or a name as only an office or a cluster has them (RFC 1918, RFC 4193, RFC 6761, RFC 6762, RFC 8375).
fn is_private(name: &str) -> bool {
    const OWN: &[&str] = &[".localhost", ".local", ".lan", ".internal", ".home.arpa"];
    match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            !name.contains('.') || OWN.iter().any(|end| name.ends_with(end))
        }
    }
}
