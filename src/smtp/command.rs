//! Commands (RFC 5321 section 4.1): from one line to a value that holds only what is legal.
//!
//! Lenient where old devices need it (blanks after the colon, no angle brackets, comments, display names), because an
//! address that was understood is checked by [`Address`] afterwards and written anew. What it is not: policy. Whether
//! a command is welcome now is decided by [`super::server`].
//!
//! Invariants: no recursion, so that nesting costs no stack; a line with CR or NUL in it is never a command; nothing
//! is decoded (no `%0d`, no encoded words): what is not an address as it stands is refused.

use crate::mail::{Address, AddressError, ReversePath};

mod path;

/// A command that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `EHLO` or `HELO` (section 4.1.1.1). The name is printable ASCII, at most 255 octets; `unknown` if there is none.
    Hello {
        /// It was EHLO.
        extended: bool,
        /// How the client calls itself; other octets are shown as `\xNN`.
        name: String,
    },
    /// `MAIL FROM:` (section 4.1.1.2).
    Mail {
        /// The sender.
        from: ReversePath,
        /// What came behind it.
        parameters: MailParameters,
    },
    /// `RCPT TO:` (section 4.1.1.3). The flag tells of a parameter that is not known.
    Rcpt {
        /// The recipient.
        to: Address,
        /// A parameter that we do not know was there.
        unknown_parameter: bool,
    },
    /// `DATA` (section 4.1.1.4).
    Data,
    /// `BDAT` (RFC 3030), which is never announced: so many octets follow that are not commands.
    Bdat(u64),
    /// `RSET` (section 4.1.1.5).
    Rset,
    /// `NOOP` (section 4.1.1.9).
    Noop,
    /// `QUIT` (section 4.1.1.10).
    Quit,
    /// `HELP` (section 4.1.1.8).
    Help,
    /// `VRFY` (section 4.1.1.6).
    Vrfy,
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `AUTH` (RFC 4954). The mechanism is in upper case, the initial response as it came.
    Auth {
        /// The name of the mechanism.
        mechanism: String,
        /// The rest of the line, in base64; secret.
        initial: Option<String>,
    },
    /// A verb that exists and that we do not have: `EXPN`, `ETRN`, `TURN`, `XCLIENT` and the like.
    NotImplemented,
}

/// What follows the reverse-path. Everything else is known and ignored, or told by the flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// `SIZE=` in octets (RFC 1870); zero and absence mean that it is not known.
    pub size: Option<u64>,
    /// `BODY=8BITMIME` (RFC 6152).
    pub eight_bit: bool,
    /// A parameter that we do not know was there.
    pub unknown: bool,
}

/// Why a line is not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nothing but blanks.
    #[error("the line is blank")]
    Blank,
    /// A CR or a NUL inside the line.
    #[error("the line has a CR or a NUL in it")]
    Control,
    /// The verb is not one.
    #[error("the verb is not known")]
    Unknown,
    /// `GET`, `POST`, `CONNECT` ...: a browser, or somebody who makes one talk to us.
    #[error("this is HTTP")]
    Http,
    /// `Subject: x` and the like: message text that was not announced by an accepted DATA.
    #[error("this is a line of a message, not a command")]
    HeaderLine,
    /// The shape is wrong: no colon, no end of the path, something where nothing may be.
    #[error("the argument is missing or malformed")]
    Argument,
    /// A number that is not one, or too large for 64 bits. For BDAT the stream cannot be followed any further.
    #[error("the number is malformed or too large")]
    Number,
    /// The sender is not a legal mailbox.
    #[error("the sender: {0}")]
    Sender(AddressError),
    /// The recipient is not a legal mailbox.
    #[error("the recipient: {0}")]
    Recipient(AddressError),
}

/// Longest name of a client that is kept, in octets (RFC 5321 section 4.5.3.1.2).
const NAME_CAP: usize = 255;

/// Reads one line without its line end. `lenient` takes `MAIL FROM:` with nothing behind it for the null sender.
///
/// # Errors
/// [`CommandError`] says what is wrong; the text of the line is never part of it.
pub fn parse(line: &[u8], lenient: bool) -> Result<Command, CommandError> {
    if memchr::memchr2(b'\r', 0, line).is_some() {
        return Err(CommandError::Control);
    }
    let line = trim_end(line);
    if line.is_empty() {
        return Err(CommandError::Blank);
    }
    let end = line.iter().position(|&b| matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    let (word, argument) = (&line[..end], trim_start(&line[end..]));
    let mut verb = [0; 8];
    let Some(verb) = verb.get_mut(..word.len()) else { return Err(stranger(word)) };
    verb.copy_from_slice(word);
    verb.make_ascii_uppercase();
    match &*verb {
        b"EHLO" => Ok(Command::Hello { extended: true, name: client_name(argument) }),
        b"HELO" => Ok(Command::Hello { extended: false, name: client_name(argument) }),
        b"MAIL" => mail(argument, lenient),
        b"RCPT" => rcpt(argument),
        b"DATA" => bare(argument, Command::Data),
        b"BDAT" => bdat(argument),
        b"RSET" => Ok(Command::Rset),
        b"NOOP" => Ok(Command::Noop),
        b"QUIT" => Ok(Command::Quit),
        b"HELP" => Ok(Command::Help),
        b"VRFY" => Ok(Command::Vrfy),
        b"STARTTLS" => bare(argument, Command::StartTls),
        b"AUTH" => auth(argument),
        b"EXPN" | b"ETRN" | b"TURN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" | b"XCLIENT" | b"XFORWARD" | b"BURL" => {
            Ok(Command::NotImplemented)
        }
        b"GET" | b"POST" | b"PUT" | b"HEAD" | b"CONNECT" | b"OPTIONS" | b"DELETE" | b"PATCH" | b"TRACE" => {
            Err(CommandError::Http)
        }
        _ => Err(stranger(word)),
    }
}

/// A first word that is no verb: a field name of a header (RFC 5322 section 2.2), or just unknown.
fn stranger(word: &[u8]) -> CommandError {
    match memchr::memchr(b':', word) {
        Some(colon) if colon > 0 && word[..colon].iter().all(u8::is_ascii_graphic) => CommandError::HeaderLine,
        Some(_) | None => CommandError::Unknown,
    }
}

fn bare(argument: &[u8], command: Command) -> Result<Command, CommandError> {
    if argument.is_empty() { Ok(command) } else { Err(CommandError::Argument) }
}

/// The first word, made printable. Clients send anything here: nothing, blanks, raw GBK, whole URLs.
fn client_name(argument: &[u8]) -> String {
    let word = argument.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
    let name = printable(word, NAME_CAP);
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// `octets` as printable ASCII of at most `cap` octets: everything else becomes `\xNN`, and what does not fit is lost.
pub fn printable(octets: &[u8], cap: usize) -> String {
    let mut text = String::with_capacity(octets.len().min(cap));
    for &octet in octets {
        let wide = if (0x20..0x7f).contains(&octet) { 1 } else { 4 };
        if text.len() + wide > cap {
            break;
        }
        match wide {
            1 => text.push(char::from(octet)),
            _ => text.push_str(&format!("\\x{octet:02x}")),
        }
    }
    text
}

fn mail(argument: &[u8], lenient: bool) -> Result<Command, CommandError> {
    let rest = after_keyword(argument, b"FROM")?;
    if rest.is_empty() {
        // Some devices have no sender configured and send none.
        let from = lenient.then_some(ReversePath::Null).ok_or(CommandError::Argument)?;
        return Ok(Command::Mail { from, parameters: MailParameters::default() });
    }
    let (path, rest) = path::split(rest)?;
    let from = match &*path::clean(path)? {
        // Lotus writes the null sender as `<@>`.
        b"" | b"@" => ReversePath::Null,
        text => ReversePath::Address(address(text).map_err(CommandError::Sender)?),
    };
    Ok(Command::Mail { from, parameters: mail_parameters(rest)? })
}

fn mail_parameters(rest: &[u8]) -> Result<MailParameters, CommandError> {
    let mut found = MailParameters::default();
    for (key, value) in parameters(rest) {
        if key.eq_ignore_ascii_case(b"SIZE") {
            found.size = Some(number(value)?).filter(|&size| size > 0);
        } else if key.eq_ignore_ascii_case(b"BODY") {
            found.eight_bit = value.eq_ignore_ascii_case(b"8BITMIME");
        } else {
            // AUTH=, RET= and ENVID= are read over: their values are never used, so they need not be right. SMTPUTF8
            // is harmless with an ASCII envelope, and another envelope is refused anyway (RFC 6531).
            let known: [&[u8]; 4] = [b"AUTH", b"RET", b"ENVID", b"SMTPUTF8"];
            found.unknown |= !known.iter().any(|k| key.eq_ignore_ascii_case(k));
        }
    }
    Ok(found)
}

fn rcpt(argument: &[u8]) -> Result<Command, CommandError> {
    let (path, rest) = path::split(after_keyword(argument, b"TO")?)?;
    let to = address(&path::clean(path)?).map_err(CommandError::Recipient)?;
    let known: [&[u8]; 2] = [b"NOTIFY", b"ORCPT"];
    let unknown_parameter = parameters(rest).any(|(key, _)| !known.iter().any(|k| key.eq_ignore_ascii_case(k)));
    Ok(Command::Rcpt { to, unknown_parameter })
}

fn address(text: &[u8]) -> Result<Address, AddressError> {
    if !text.is_ascii() {
        return Err(AddressError::NotAscii);
    }
    Address::parse(std::str::from_utf8(text).map_err(|_| AddressError::NotAscii)?)
}

/// What stands behind `FROM:` or `TO:`, with any blanks around the colon.
fn after_keyword<'a>(argument: &'a [u8], keyword: &[u8]) -> Result<&'a [u8], CommandError> {
    let (word, rest) = argument.split_at_checked(keyword.len()).ok_or(CommandError::Argument)?;
    let rest = trim_start(rest).strip_prefix(b":").ok_or(CommandError::Argument)?;
    if word.eq_ignore_ascii_case(keyword) { Ok(trim_start(rest)) } else { Err(CommandError::Argument) }
}

fn parameters(rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    rest.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty()).map(|word| {
        match memchr::memchr(b'=', word) {
            Some(equals) => (&word[..equals], &word[equals + 1..]),
            None => (word, &word[word.len()..]),
        }
    })
}

/// A decimal number without sign, in 64 bits.
fn number(digits: &[u8]) -> Result<u64, CommandError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(CommandError::Number);
    }
    std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).ok_or(CommandError::Number)
}

fn bdat(argument: &[u8]) -> Result<Command, CommandError> {
    number(argument.split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default()).map(Command::Bdat)
}

fn auth(argument: &[u8]) -> Result<Command, CommandError> {
    let text = std::str::from_utf8(argument).map_err(|_| CommandError::Argument)?;
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(CommandError::Argument)?.to_ascii_uppercase();
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() { Err(CommandError::Argument) } else { Ok(Command::Auth { mechanism, initial }) }
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests;
