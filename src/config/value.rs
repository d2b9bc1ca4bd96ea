//! From one written value to its meaning, by the kind of its key.
//!
//! Pure text work: no file, no environment, no other key is looked at (that is `check`). Types are strict: `"25"` is
//! not a number in a file, because a file that is nearly right is a file somebody has misread. Values from variables
//! and arguments were given their type by `layer`.
//!
//! Invariant: no fault quotes the value of a secret.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};
use encoding_rs::Encoding;
use ipnet::IpNet;

use super::keys::{self, Kind, quote};
use super::problem::Fault;
use super::settings::{NoticeTo, Rate};
use super::suggest::nearest;
use crate::mail::Address;
use crate::provider::{self, Preset};
use crate::secret::{Secret, SecretSource};

/// What a value means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    Text(String),
    Provider(&'static Preset),
    Word(&'static str),
    Words(Vec<&'static str>),
    Whole(i64),
    Flag(bool),
    Time(Duration),
    Times(Vec<Duration>),
    Size(u64),
    Rate(Rate),
    Sockets(Vec<SocketAddr>),
    Networks(Vec<IpNet>),
    Path(PathBuf),
    Secret(SecretSource),
    Notice(NoticeTo),
    Mailbox(Address),
    Charset(&'static Encoding),
}

/// Reads `value` as `kind`.
pub(super) fn read(kind: Kind, value: &Value) -> Result<Meaning, Fault> {
    match kind {
        Kind::Hostname => hostname(text(value, QUOTES)?).map(Meaning::Text),
        Kind::Host => host(text(value, QUOTES)?).map(Meaning::Text),
        Kind::User => user(text(value, QUOTES)?).map(Meaning::Text),
        Kind::Provider => preset(text(value, QUOTES)?).map(Meaning::Provider),
        Kind::Word(now, later) => word(text(value, QUOTES)?, now, later).map(Meaning::Word),
        Kind::Words(now, later) => words(value, now, later).map(Meaning::Words),
        Kind::Whole(min, max) => whole(value, min, max).map(Meaning::Whole),
        Kind::Flag => flag(value).map(Meaning::Flag),
        Kind::Time(min) => time(text(value, TIME)?, min).map(Meaning::Time),
        Kind::Times => list(value, TIME, |item| time(item, 1)).map(Meaning::Times),
        Kind::Size(min) => size(value, min).map(Meaning::Size),
        Kind::Rate => rate(text(value, RATE)?).map(Meaning::Rate),
        Kind::Sockets => list(value, SOCKET, socket).map(Meaning::Sockets),
        Kind::Networks => list(value, NETWORK, own_network).map(Meaning::Networks),
        Kind::AnyNetworks => list(value, NETWORK, network).map(Meaning::Networks),
        Kind::Path => path(text(value, QUOTES)?).map(Meaning::Path),
        Kind::Secret => secret(value).map(Meaning::Secret),
        Kind::Notice => notice(text(value, QUOTES)?).map(Meaning::Notice),
        Kind::Mailbox => mailbox(text(value, QUOTES)?).map(Meaning::Mailbox),
        Kind::Phrase => phrase(text(value, QUOTES)?).map(Meaning::Text),
        Kind::Charset => charset(text(value, QUOTES)?).map(Meaning::Charset),
    }
}

fn what(value: &Value) -> &'static str {
    match value.kind {
        ValueKind::Nil => "a date",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a number",
        ValueKind::Float(_) => "a number with a point",
        ValueKind::String(_) => "a text",
        ValueKind::Array(_) => "a list",
        ValueKind::Table(_) => "a section",
    }
}

const QUOTES: &str = "write it between quotes";
const TIME: &str = "write numbers with the units ms, s, m, h or d, such as \"90s\", \"1h30m\" or \"5d\"";
const RATE: &str = "write so many in so long, such as \"10/s\", \"600/min\" or \"1000/h\"";
const SOCKET: &str = "write an IP address and a port, such as \"127.0.0.1:25\", \"0.0.0.0:25\" or \"[::]:25\"";
const NETWORK: &str = "write an address or a network, such as \"192.168.1.20\" or \"192.168.1.0/24\"";

/// The text without the blanks around it; `remedy` is for a value that is none.
fn text<'a>(value: &'a Value, remedy: &str) -> Result<&'a str, Fault> {
    match &value.kind {
        ValueKind::String(text) => Ok(text.trim()),
        _ => Err(Fault::new(format!("this is {}, but it must be a text", what(value)), remedy)),
    }
}

/// Every item of a list; the first that is wrong is the fault.
fn list<T>(value: &Value, remedy: &str, read: impl Fn(&str) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let ValueKind::Array(items) = &value.kind else {
        return Err(Fault::new(
            format!("this is {}, but it must be a list", what(value)),
            "write it between square brackets, even when there is only one: [\"..\"]",
        ));
    };
    if items.is_empty() {
        return Err(Fault::new("the list is empty", "name at least one, or remove the line to get the default"));
    }
    let item = |item| {
        let name = |fault: Fault| Fault { item: Some(keys::display(item)), ..fault };
        text(item, remedy).and_then(&read).map_err(name)
    };
    items.iter().map(item).collect()
}

/// For EHLO and Received: a domain, or an address in brackets (RFC 5321 section 4.1.3).
fn hostname(text: &str) -> Result<String, Fault> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if is_domain(text) && text.parse::<IpAddr>().is_err() {
        return Ok(text.to_owned());
    }
    let remedy = "write letters, digits, dots and hyphens only, such as relay.example.lan or [192.0.2.1]";
    Err(Fault::new("this is not a host name", remedy))
}

/// To connect to: a domain, or a bare address.
fn host(text: &str) -> Result<String, Fault> {
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

fn user(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::new("the user name is empty", "write the name you log in with, usually the whole address"));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new("the user name has control characters in it", "type it again instead of pasting it"));
    }
    Ok(text.to_owned())
}

fn preset(text: &str) -> Result<&'static Preset, Fault> {
    provider::preset(text).ok_or_else(|| {
        let names = provider::names().collect::<Vec<_>>().join(", ");
        let near = nearest(text, provider::names());
        let near = near.map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
        Fault::new(
            "this version has no such provider",
            format!("{near}there is: {names}; with \"custom\" name the provider's server in `host`"),
        )
    })
}

fn word(text: &str, now: &'static [&'static str], later: &[&str]) -> Result<&'static str, Fault> {
    if let Some(word) = now.iter().find(|word| **word == text) {
        return Ok(word);
    }
    let choice = now.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" or ");
    if later.iter().any(|word| text.starts_with(word)) {
        return Err(Fault::new("this is not supported yet by this version", format!("write {choice}")));
    }
    Err(Fault::new("there is no such choice", format!("write {choice}")))
}

fn words(value: &Value, now: &'static [&'static str], later: &[&str]) -> Result<Vec<&'static str>, Fault> {
    match &value.kind {
        ValueKind::String(text) => word(text.trim(), now, later).map(|word| vec![word]),
        _ => list(value, QUOTES, |item| word(item, now, later)),
    }
}

fn whole(value: &Value, min: i64, max: i64) -> Result<i64, Fault> {
    match value.kind {
        ValueKind::I64(number) if (min..=max).contains(&number) => Ok(number),
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            Err(Fault::new("the number is out of range", format!("write a number from {min} to {max}")))
        }
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)
        | ValueKind::Table(_)
        | ValueKind::Array(_) => {
            let reason = format!("this is {}, but it must be a whole number", what(value));
            Err(Fault::new(reason, format!("write a number from {min} to {max}, without quotes and units")))
        }
    }
}

fn flag(value: &Value) -> Result<bool, Fault> {
    match value.kind {
        ValueKind::Boolean(flag) => Ok(flag),
        _ => {
            let reason = format!("this is {}, but it must be true or false", what(value));
            Err(Fault::new(reason, "write true or false, without quotes"))
        }
    }
}

/// The digits in front, and the rest; `None` without digits or when the number is too large.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn time(text: &str, min: u64) -> Result<Duration, Fault> {
    let wrong = || Fault::new("this is not a length of time", TIME);
    let (mut rest, mut total) = (text, 0_u64);
    if text.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (count, tail) = number(rest).ok_or_else(wrong)?;
        let end = tail.bytes().position(|b| b.is_ascii_digit()).unwrap_or(tail.len());
        let millis: u64 = match &tail[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        total = count.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &tail[end..];
    }
    // Ten years: longer is a slip, and keeps every sum of a date and a wait inside the calendar.
    if total < min * 1000 || total > 3650 * 86_400_000 {
        return Err(Fault::new("the time is out of range", format!("write a time from {min}s to 3650d")));
    }
    Ok(Duration::from_millis(total))
}

fn size(value: &Value, min: u64) -> Result<u64, Fault> {
    let remedy = "write a number and a unit, such as \"50MiB\", \"200MB\" or \"5GiB\"; without a unit it means octets";
    let wrong = || Fault::new("this is not a size", remedy);
    let octets = match &value.kind {
        ValueKind::I64(octets) => u64::try_from(*octets).map_err(|_| wrong())?,
        ValueKind::String(text) => {
            let (count, unit) = number(text.trim()).ok_or_else(wrong)?;
            let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
                "" | "b" => 1,
                "kb" => 1000,
                "k" | "kib" => 1 << 10,
                "mb" => 1_000_000,
                "m" | "mib" => 1 << 20,
                "gb" => 1_000_000_000,
                "g" | "gib" => 1 << 30,
                "tb" => 1_000_000_000_000,
                "t" | "tib" => 1 << 40,
                _ => return Err(wrong()),
            };
            count.checked_mul(factor).filter(|octets| *octets < 1 << 60).ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    if octets < min {
        return Err(Fault::new("the size is too small", format!("write at least {min} octets ({}KiB)", min / 1024)));
    }
    Ok(octets)
}

fn rate(text: &str) -> Result<Rate, Fault> {
    let wrong = || Fault::new("this is not a rate", RATE);
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let count: u32 = count.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3600,
        _ => return Err(wrong()),
    };
    if count == 0 {
        return Err(Fault::new("a rate of 0 lets nothing in", "write at least 1"));
    }
    Ok(Rate { count, per: Duration::from_secs(seconds) })
}

/// Port 0 is legal here; `check` refuses it in places where it can only be a slip.
fn socket(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| Fault::new("this is not an address to listen on", SOCKET))
}

/// Where IPv4 lies inside IPv6 (RFC 4291 section 2.5.5.2).
const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);

/// A network that may send.
fn own_network(text: &str) -> Result<IpNet, Fault> {
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
fn network(text: &str) -> Result<IpNet, Fault> {
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

fn path(text: &str) -> Result<PathBuf, Fault> {
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new("this is not a path", "write the path of a file or folder, or remove the line"));
    }
    Ok(PathBuf::from(text))
}

/// A secret comes as the pair that `layer::secret_pair` makes, or as what was written when that was something else.
fn secret(value: &Value) -> Result<SecretSource, Fault> {
    let remedy = "write secret = { file = \"/path\" } or secret = { env = \"NAME\" }";
    let wrong = || Fault::new("this is not a secret or a place where one is kept", remedy);
    let ValueKind::Array(pair) = &value.kind else { return Err(wrong()) };
    let [how, text] = pair.as_slice() else { return Err(wrong()) };
    let (ValueKind::String(how), ValueKind::String(text)) = (&how.kind, &text.kind) else { return Err(wrong()) };
    if text.trim().is_empty() {
        return Err(Fault::new("the secret is empty", remedy));
    }
    match how.as_str() {
        "file" => Ok(SecretSource::File(PathBuf::from(text))),
        "env" | "variable" => Ok(SecretSource::Env(text.clone())),
        "plain" => Ok(SecretSource::Plain(Secret::new(text))),
        _ => Err(wrong()),
    }
}

fn notice(text: &str) -> Result<NoticeTo, Fault> {
    match text {
        "self" => Ok(NoticeTo::SelfAccount),
        "sender" => Ok(NoticeTo::Sender),
        "none" => Ok(NoticeTo::None),
        _ => match Address::parse(text) {
            Ok(address) if address.is_qualified() => Ok(NoticeTo::Address(address)),
            Ok(_) | Err(_) => Err(Fault::new(
                "this is neither a mail address nor one of the words",
                "write \"self\", \"sender\", \"none\" or an address such as \"admin@example.com\"",
            )),
        },
    }
}

fn mailbox(text: &str) -> Result<Address, Fault> {
    Address::parse(text)
        .ok()
        .filter(Address::is_qualified)
        .ok_or_else(|| Fault::new("this is not a mail address", "write a whole address such as \"admin@example.com\""))
}

/// For a field that people read; encoded, three or four times as much still fits into a few lines.
const LONGEST_PHRASE: usize = 100;

fn phrase(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::new("the text is empty", "write something, or remove the line"));
    }
    if text.chars().any(char::is_control) || text.chars().count() > LONGEST_PHRASE {
        return Err(Fault::new(
            "the text is too long or has control characters in it",
            format!("write one line of at most {LONGEST_PHRASE} characters"),
        ));
    }
    Ok(text.to_owned())
}

fn charset(text: &str) -> Result<&'static Encoding, Fault> {
    let known = Encoding::for_label_no_replacement(text.as_bytes());
    // UTF-16 text has NUL in it and cannot stand in a mail; nobody who sends it would have got this far.
    known.filter(|encoding| encoding.output_encoding() == *encoding).ok_or_else(|| {
        let remedy = "write a name such as \"gb18030\", \"big5\", \"shift_jis\", \"euc-kr\" or \"windows-1252\"";
        Fault::new("this is not a charset that mail can be read in", remedy)
    })
}

#[cfg(test)]
mod tests;
