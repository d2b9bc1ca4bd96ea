//! What stands in `[[route]]` and `[[reply]]`: names, patterns of addresses, and the words of the reply catalogue.
//!
//! Not here: whether there is a section of that name (that needs the other sections), and the pattern of a reply, which
//! is tried when the row is complete. Invariant: a word comes out as the catalogue writes it, in capitals.

use crate::config::display::quote;
use crate::config::key::legal_name;
use crate::config::problem::Fault;
use crate::config::suggest::nearest;
use crate::mail::Address;
use crate::route::{Pattern, PatternError};

/// What a reply may be to.
const PHASES: &[&str] = &["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "QUIT", "ANY"];

/// What may follow from a reply. `A>PAUSE` is A, and when the same comes again, the account is paused.
pub(in crate::config) const ACTIONS: &[&str] = &[
    "OK",
    "RETRY_SOON",
    "COOL15",
    "COOL15>PAUSE",
    "RETRY_HOUR",
    "RETRY_HOUR>PAUSE",
    "RETRY_DAY",
    "PAUSE",
    "BOUNCE",
    "BOUNCE_RCPT",
    "REWRITE",
    "SPLIT",
    "RETRY>BOUNCE",
];

/// Behind an action: and tell the owner.
const ALERT: &str = "+ALERT";

/// The name of a section.
pub(super) fn name(text: &str) -> Result<String, Fault> {
    if legal_name(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::new("this is not the name of a section", "write the NAME of [client.NAME] or [account.NAME]"))
}

/// An address, all of a domain (`*@domain`), everything (`*`), or a name without a domain (`printer@`).
pub(super) fn pattern(text: &str) -> Result<Pattern, Fault> {
    let domain = text.strip_prefix('@').unwrap_or(text);
    if text.starts_with('@') || (!text.contains(['@', '*']) && domain.contains('.')) {
        return Err(Fault::new("this is a domain and no address", format!("write {}", quote(&format!("*@{domain}")))));
    }
    // The router would take it for a domain, and it would never fit what a device calls itself.
    if !text.is_empty() && text != "*" && !text.contains('@') && Address::parse(text).is_ok() {
        let remedy =
            format!("write {} for a sender that gives no domain, or the whole address", quote(&format!("{text}@")));
        return Err(Fault::new("this is a name without a domain", remedy));
    }
    let remedy = "write an address such as \"boss@example.com\", \"*@example.com\" for all of a domain, or \"*\"";
    Pattern::parse(text).map_err(|error| match error {
        PatternError::Empty | PatternError::Wildcard => Fault::new(error.to_string(), remedy),
        PatternError::Address(_) => Fault::new("this can be no mail address", remedy),
    })
}

/// One of [`PHASES`].
pub(super) fn phase(text: &str) -> Result<&'static str, Fault> {
    known(text, PHASES).ok_or_else(|| unknown(text, PHASES, ""))
}

/// One of [`ACTIONS`], perhaps with [`ALERT`] behind it.
pub(super) fn action(text: &str) -> Result<String, Fault> {
    let upper = text.to_ascii_uppercase();
    let (word, alert) = upper.strip_suffix(ALERT).map_or((upper.as_str(), ""), |word| (word.trim_end(), ALERT));
    let word = known(word, ACTIONS).ok_or_else(|| unknown(word, ACTIONS, "; each may have +ALERT behind it"))?;
    Ok(format!("{word}{alert}"))
}

fn known(text: &str, words: &[&'static str]) -> Option<&'static str> {
    words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied()
}

fn unknown(text: &str, words: &[&str], more: &str) -> Fault {
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let near = nearest(text, lower.iter().map(String::as_str)).map(str::to_ascii_uppercase);
    let near = near.map(|near| format!("did you mean {}? ", quote(&near))).unwrap_or_default();
    Fault::new("there is no such choice", format!("{near}there is: {}{more}", words.join(", ")))
}
