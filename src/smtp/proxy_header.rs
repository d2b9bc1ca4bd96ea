//! The PROXY protocol, versions 1 and 2, as HAProxy's specification (`doc/proxy-protocol.txt`) has it: the header that a
//! load balancer sends in front of a connection, so that we know who is behind it.
//!
//! What it is not: a decision whom to believe. Anybody can write such a header; who may is for the listener to say.
//!
//! Invariants: nothing behind the header is ever asked for, so that what follows (a TLS hello, a command) stays in the
//! socket; at most [`V1_CAP`] or [`V2_CAP`] octets are read; an IPv4 address in the form of IPv6 comes out as IPv4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of the longest header of version 1, with its line end (section 2.1).
pub const V1_CAP: usize = 107;
/// Octets of the longest header of version 2 that is taken. The specification lets a proxy count on 536 octets to
/// arrive in one piece (section 2); more would only be remarks.
pub const V2_CAP: usize = 536;
/// How a header of version 2 begins (section 2.2).
pub const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How one of version 1 does.
const V1_START: &[u8] = b"PROXY ";
/// Octets of version 2 before the addresses.
const V2_FIXED: usize = 16;

/// Who the connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This client, as the proxy has it.
    Client(IpAddr),
    /// The proxy itself (`LOCAL`: a health check), or it does not know either (`UNKNOWN`): the address of the connection
    /// counts.
    Connection,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Read exactly so many octets more, and ask again with all of them.
    Read(usize),
    /// The header is complete, and no octet more was read.
    Done(Source),
}

/// Why octets are not a header. The connection must be closed (section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Neither version begins like this.
    #[error("no PROXY header came")]
    NoHeader,
    /// Longer than [`V1_CAP`] or [`V2_CAP`].
    #[error("the PROXY header is too long")]
    TooLong,
    /// A line of version 1 that does not end in CR LF.
    #[error("the PROXY line does not end in CR LF")]
    LineEnd,
    /// A protocol that is not `TCP4`, `TCP6` or `UNKNOWN`; of version 2 one that is not TCP.
    #[error("the PROXY header is of a protocol that is not TCP")]
    Protocol,
    /// Fields are missing, or there are too many.
    #[error("the PROXY header has the wrong number of fields")]
    Fields,
    /// Not an address of the protocol's kind.
    #[error("the PROXY header has a bad address")]
    Address,
    /// Not a port.
    #[error("the PROXY header has a bad port")]
    Port,
    /// Version 2 with another version's number in it.
    #[error("the PROXY header is of an unknown version")]
    Version,
    /// Version 2 with a command that is neither `LOCAL` nor `PROXY`.
    #[error("the PROXY header has an unknown command")]
    Command,
    /// Version 2 with less room than its addresses need.
    #[error("the PROXY header is too short for its addresses")]
    TooShort,
}

/// Looks at all that was read so far; begin with nothing.
///
/// # Errors
/// [`HeaderError`] as soon as it is certain.
pub fn progress(read: &[u8]) -> Result<Progress, HeaderError> {
    let missing = V2_SIGNATURE.len().saturating_sub(read.len());
    if missing > 0 {
        return Ok(Progress::Read(missing));
    }
    if read.starts_with(&V2_SIGNATURE) {
        return version_2(read);
    }
    if read.starts_with(V1_START) {
        return version_1(read);
    }
    Err(HeaderError::NoHeader)
}

/// Octet by octet to the line end: what stands behind it is not ours.
fn version_1(read: &[u8]) -> Result<Progress, HeaderError> {
    match read.iter().position(|&octet| octet == b'\n') {
        None if read.len() >= V1_CAP => Err(HeaderError::TooLong),
        None => Ok(Progress::Read(1)),
        Some(_) if read.len() > V1_CAP => Err(HeaderError::TooLong),
        Some(end) if end + 1 == read.len() && read[end - 1] == b'\r' => line(&read[..end - 1]).map(Progress::Done),
        Some(_) => Err(HeaderError::LineEnd),
    }
}

fn line(line: &[u8]) -> Result<Source, HeaderError> {
    // "PROXY UNKNOWN" and whatever follows is to be ignored; a CR is part of nothing.
    if line.contains(&b'\r') {
        return Err(HeaderError::LineEnd);
    }
    let text = std::str::from_utf8(&line[V1_START.len()..]).map_err(|_| HeaderError::Fields)?;
    let fields: Vec<&str> = text.split(' ').collect();
    match fields[..] {
        ["UNKNOWN", ..] => Ok(Source::Connection),
        ["TCP4", from, to, from_port, to_port] => {
            let addresses = [from, to].map(|text| text.parse::<Ipv4Addr>().map(IpAddr::from));
            pair(addresses, [from_port, to_port])
        }
        ["TCP6", from, to, from_port, to_port] => {
            let addresses = [from, to].map(|text| text.parse::<Ipv6Addr>().map(IpAddr::from));
            pair(addresses, [from_port, to_port])
        }
        ["TCP4" | "TCP6", ..] => Err(HeaderError::Fields),
        _ => Err(HeaderError::Protocol),
    }
}

fn pair<E>(addresses: [Result<IpAddr, E>; 2], ports: [&str; 2]) -> Result<Source, HeaderError> {
    let [Ok(from), Ok(_)] = addresses else { return Err(HeaderError::Address) };
    if ports.iter().any(|port| !is_port(port)) {
        return Err(HeaderError::Port);
    }
    Ok(Source::Client(from.to_canonical()))
}

/// Digits only, without a zero in front (section 2.1): no sign, no blank.
fn is_port(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
        && text.parse::<u16>().is_ok()
}

fn version_2(read: &[u8]) -> Result<Progress, HeaderError> {
    let Some(&[version_and_command, family, high, low]) = read.get(V2_SIGNATURE.len()..V2_FIXED) else {
        return Ok(Progress::Read(V2_FIXED - read.len()));
    };
    if version_and_command >> 4 != 2 {
        return Err(HeaderError::Version);
    }
    let local = match version_and_command & 0x0f {
        0 => true,
        1 => false,
        _ => return Err(HeaderError::Command),
    };
    let total = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
    if total > V2_CAP || read.len() > total {
        return Err(HeaderError::TooLong);
    }
    if read.len() < total {
        return Ok(Progress::Read(total - read.len()));
    }
    if local {
        // Its addresses, whatever they are, mean nothing.
        return Ok(Progress::Done(Source::Connection));
    }
    addresses(family, &read[V2_FIXED..]).map(Progress::Done)
}

/// Source, destination and ports stand one after another; what follows are remarks (TLV), which we do not need.
fn addresses(family: u8, octets: &[u8]) -> Result<Source, HeaderError> {
    match family {
        0x00 => Ok(Source::Connection),
        0x11 => {
            let from: [u8; 4] = first(octets, 12)?;
            Ok(Source::Client(Ipv4Addr::from(from).into()))
        }
        0x21 => {
            let from: [u8; 16] = first(octets, 36)?;
            Ok(Source::Client(IpAddr::from(from).to_canonical()))
        }
        _ => Err(HeaderError::Protocol),
    }
}

fn first<const N: usize>(octets: &[u8], needed: usize) -> Result<[u8; N], HeaderError> {
    if octets.len() < needed {
        return Err(HeaderError::TooShort);
    }
    octets.first_chunk().copied().ok_or(HeaderError::TooShort)
}

#[cfg(test)]
mod tests;
