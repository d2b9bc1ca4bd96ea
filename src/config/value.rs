//! From one written value to its meaning, by the kind of its key.
//!
//! Pure text work: no file, no environment, no other key is looked at (that is `check`). Types are strict: `"25"` is
//! not a number in a file, because a file that is nearly right is a file somebody has misread. Values from variables
//! and arguments were given their type by `written`.
//!
//! Invariant: no fault quotes the value of a secret.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};
use encoding_rs::Encoding;
use ipnet::IpNet;

use super::display::{self, quote};
use super::key::Kind;
use super::problem::Fault;
use super::suggest::nearest;
use super::written::is_empty_secret;
use crate::admin::AdminBind;
use crate::limits::rate::{Flow, Rate};
use crate::mail::Address;
use crate::net::proxy::Proxy;
use crate::provider::{self, Preset};
use crate::report::NoticeTo;
use crate::route::Pattern;
use crate::secret::{Secret, SecretSource};

mod link;
mod measure;
mod place;
mod rule;

pub(super) use link::{Carriage, webhook as webhook_url};
pub(super) use rule::ACTIONS;

use link::proxy;
use measure::{FLOW, RATE, TIME, flow, rate, size, time};
use place::{NETWORK, SOCKET, admin_bind, host, hostname, network, own_network, path, socket};
use rule::{action, name, pattern, phase};

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
    Flow(Flow),
    Sockets(Vec<SocketAddr>),
    AdminBind(AdminBind),
    Networks(Vec<IpNet>),
    Path(PathBuf),
    Secret(SecretSource),
    Proxy(Proxy),
    Webhook(Option<SecretSource>),
    Notice(NoticeTo),
    Mailbox(Address),
    Mailboxes(Vec<Address>),
    Texts(Vec<String>),
    Patterns(Vec<Pattern>),
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
        Kind::Flow => flow(text(value, FLOW)?).map(Meaning::Flow),
        Kind::Sockets => list(value, SOCKET, socket).map(Meaning::Sockets),
        Kind::AdminBind => admin_bind(text(value, SOCKET)?).map(Meaning::AdminBind),
        Kind::Hosts => list(value, QUOTES, host).map(Meaning::Texts),
        Kind::Networks => list(value, NETWORK, own_network).map(Meaning::Networks),
        Kind::AnyNetworks => list(value, NETWORK, network).map(Meaning::Networks),
        Kind::Path => path(text(value, QUOTES)?).map(Meaning::Path),
        Kind::Secret => secret("secret", value).map(Meaning::Secret),
        Kind::Password => secret("password", value).map(Meaning::Secret),
        Kind::Proxy => proxy(text(value, QUOTES)?).map(Meaning::Proxy),
        Kind::Webhook => webhook(value).map(Meaning::Webhook),
        Kind::Notice => notice(text(value, QUOTES)?).map(Meaning::Notice),
        Kind::Mailbox => mailbox(text(value, QUOTES)?).map(Meaning::Mailbox),
        Kind::Mailboxes => list(value, QUOTES, mailbox).map(Meaning::Mailboxes),
        Kind::Phrase => phrase(text(value, QUOTES)?, LONGEST_PHRASE).map(Meaning::Text),
        Kind::Sentence => phrase(text(value, QUOTES)?, LONGEST_SENTENCE).map(Meaning::Text),
        Kind::Names => one_or_more(value, name).map(Meaning::Texts),
        Kind::Patterns => one_or_more(value, pattern).map(Meaning::Patterns),
        Kind::Phases => one_or_more(value, phase).map(Meaning::Words),
        Kind::Action => action(text(value, QUOTES)?).map(Meaning::Text),
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

/// A list, or the one thing that would be in it.
fn one_or_more<T>(value: &Value, read: impl Fn(&str) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    match &value.kind {
        ValueKind::String(text) => read(text.trim()).map(|one| vec![one]),
        ValueKind::Array(_) => list(value, QUOTES, read),
        _ => Err(Fault::new(format!("this is {}, but it must be a text or a list of texts", what(value)), QUOTES)),
    }
}

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
        let name = |fault: Fault| Fault { item: Some(display::plain(item)), ..fault };
        text(item, remedy).and_then(&read).map_err(name)
    };
    items.iter().map(item).collect()
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
    one_or_more(value, |item| word(item, now, later))
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

/// A secret comes as the pair that `written::secret_pair` makes, or as what was written when that was something else.
fn secret(key: &str, value: &Value) -> Result<SecretSource, Fault> {
    let remedy = format!("write {key} = {{ file = \"/path\" }} or {key} = {{ env = \"NAME\" }}");
    let wrong = || Fault::new("this is not a secret or a place where one is kept", remedy.as_str());
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

/// As a secret; an empty text is no webhook.
fn webhook(value: &Value) -> Result<Option<SecretSource>, Fault> {
    if is_empty_secret(value) {
        return Ok(None);
    }
    let source = secret("webhook", value)?;
    if let SecretSource::Plain(url) = &source {
        link::webhook(url.expose())?;
    }
    Ok(Some(source))
}

fn notice(text: &str) -> Result<NoticeTo, Fault> {
    match text {
        "self" => Ok(NoticeTo::Account),
        "sender" => Ok(NoticeTo::Sender),
        "none" => Ok(NoticeTo::Nobody),
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
/// For a remark or a pattern.
const LONGEST_SENTENCE: usize = 500;

fn phrase(text: &str, longest: usize) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::new("the text is empty", "write something, or remove the line"));
    }
    if text.chars().any(char::is_control) || text.chars().count() > longest {
        return Err(Fault::new(
            "the text is too long or has control characters in it",
            format!("write one line of at most {longest} characters"),
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
