//! What must hold when any line is read as a command, and any text as a response in a log-in.
//!
//! Not here: whether a command is welcome (`session`). Invariant held: nothing that was accepted could end a line, or
//! say something else when it is written into a command of ours (RFC 5321 section 4.1).

use yizhan::mail::{Address, ReversePath};
use yizhan::smtp::command::{self, Command, CommandError};
use yizhan::smtp::sasl;

/// Every line of the input as a command, and the whole input as one line.
pub(crate) fn command_line(input: &[u8]) {
    line(input);
    for text in input.split(|&b| b == b'\n').take(64) {
        line(text);
    }
}

fn line(text: &[u8]) {
    let (strict, lenient) = (command::parse(text, false), command::parse(text, true));
    if let Ok(command) = &strict {
        assert_eq!(lenient.as_ref(), Ok(command), "lenient takes what strict takes, in the same sense");
    }
    if text.contains(&b'\r') || text.contains(&0) {
        assert_eq!(lenient, Err(CommandError::Control), "CR and NUL are in no command");
    }
    assert_eq!(command::parse(&[text, b" \t "].concat(), true), lenient, "blanks at the end do not count");
    let end = text.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(text.len());
    let (verb, rest) = text.split_at(end);
    assert_eq!(command::parse(&[&verb.to_ascii_lowercase(), rest].concat(), true), lenient, "the case of a verb");
    match lenient {
        Ok(command) => accepted(&command, text),
        // What is said of it goes into logs and replies.
        Err(error) => assert_printable(&error.to_string(), 200),
    }
}

/// What an accepted command holds.
fn accepted(command: &Command, text: &[u8]) {
    match command {
        Command::Hello { extended, name } => {
            assert!(!name.is_empty());
            assert_printable(name, 255);
            assert!(!name.contains(' '), "{name}");
            let again = Command::Hello { extended: *extended, name: name.clone() };
            let verb = if *extended { "EHLO" } else { "HELO" };
            assert_eq!(command::parse(format!("{verb} {name}").as_bytes(), true), Ok(again));
        }
        Command::Mail { from, parameters } => {
            from.address().into_iter().for_each(|from| address(from, text));
            let written = format!("MAIL FROM:<{from}>");
            let Ok(Command::Mail { from: again, .. }) = command::parse(written.as_bytes(), false) else {
                panic!("{written} is not taken")
            };
            assert_eq!(&again, from, "{written}");
            assert_eq!(ReversePath::parse(&from.to_string()).as_ref(), Ok(from));
            assert_ne!(parameters.size, Some(0));
        }
        Command::Rcpt { to, .. } => {
            address(to, text);
            let written = format!("RCPT TO:<{to}>");
            let again = Command::Rcpt { to: to.clone(), unknown_parameter: false };
            assert_eq!(command::parse(written.as_bytes(), false), Ok(again), "{written}");
        }
        Command::Auth { mechanism, initial } => {
            assert!(mechanism.len() + initial.as_ref().map_or(0, String::len) < text.len());
            initial.iter().for_each(|text| response(text));
        }
        Command::Data
        | Command::Bdat(_)
        | Command::Rset
        | Command::Noop
        | Command::Quit
        | Command::Help
        | Command::Vrfy
        | Command::StartTls
        | Command::NotImplemented => {}
    }
}

/// An address that was dug out of `text`.
fn address(address: &Address, text: &[u8]) {
    assert_printable(address.as_str(), 64 + 1 + 255);
    assert!(address.local().len() <= 64 && address.domain().len() <= 255);
    assert_eq!(Address::parse(address.as_str()).as_ref(), Ok(address), "printed and read again");
    // Nothing is decoded or made up: but for comments it stands there as it is.
    let stands = text.windows(address.as_str().len()).any(|part| part == address.as_str().as_bytes());
    assert!(stands || text.contains(&b'('), "{address} in {}", text.escape_ascii());
    // Outside of quotes there is nothing that could end a path (RFC 5321 section 4.1.2).
    let quoted = address.local().starts_with('"');
    let bare = if quoted { address.domain() } else { address.as_str() };
    assert!(!bare.contains(['<', '>', ' ', '\\', '"']), "{address}");
    assert_eq!(address.key(), address.key().to_ascii_lowercase());
}

/// A response in a log-in, read as each of the two mechanisms reads it (RFC 4954, RFC 4616).
fn response(text: &str) {
    let Ok(octets) = sasl::decode(text) else { return };
    assert!(octets.len() <= text.len());
    if let Ok(user) = sasl::user(&octets) {
        assert!(user.len() <= 512 && !user.chars().any(char::is_control), "{user:?}");
    }
    if let Ok(found) = sasl::plain(&octets) {
        assert!(found.user.len() <= 512 && !found.user.chars().any(char::is_control), "{:?}", found.user);
        assert!(!found.password.expose().chars().any(char::is_control));
    }
}

/// Printable ASCII of at most so many octets.
pub(super) fn assert_printable(text: &str, most: usize) {
    assert!(text.len() <= most, "{} octets: {text:?}", text.len());
    assert!(text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text:?}");
}
