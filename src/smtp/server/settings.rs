//! The settings of a [`Session`](super::Session): limits, tolerance, and what it offers.
//!
//! Invariant: plain values; nothing here is read from a file, that is the business of the settings module above.

use super::replies::Replies;
use crate::smtp::reply::Reply;

/// How much a client may get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Nothing: RFC 5321 to the letter.
    Strict,
    /// Whatever is harmless. The default.
    Tolerant,
    /// What is not harmless as well, for listed old devices: a message may end at LF.LF, EHLO is answered in one line.
    Legacy,
}

/// What AUTH means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMode {
    /// It is not offered and not known.
    Off,
    /// It is offered because some devices insist; the driver says yes to anything.
    AcceptAny,
    /// The driver compares.
    Verify,
}

/// Settings of a session; one value is shared by all sessions of a listener.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// What the session says by itself.
    pub replies: Replies,
    /// How much a client may get wrong.
    pub profile: Profile,
    /// Largest message in octets, after dots are taken off. Announced by `SIZE` (RFC 1870).
    pub max_message: u64,
    /// Most accepted recipients of one message. RFC 5321 section 4.5.3.1.8 asks for at least 100.
    pub max_recipients: usize,
    /// What AUTH means.
    pub auth: AuthMode,
    /// AUTH is neither announced nor taken outside of TLS.
    pub auth_after_tls: bool,
    /// MAIL is refused before a successful AUTH.
    pub auth_required: bool,
    /// STARTTLS is offered. Only with a certificate that clients trust.
    pub starttls: bool,
    /// So many refused commands without a delivery between them end the connection with 421.
    pub max_errors: u32,
    /// So many idle commands (NOOP, RSET, HELP, VRFY, blank lines) without a delivery end it too.
    pub max_junk: u32,
    /// Most messages of one connection; the MAIL after them is answered 421.
    pub max_messages: u32,
}

impl SessionSettings {
    /// The relay's own settings: tolerant, 50 MiB, 1000 recipients, 100,000 messages a connection, no AUTH, no
    /// STARTTLS.
    pub fn relay(hostname: &str) -> SessionSettings {
        SessionSettings {
            replies: Replies::relay(hostname),
            profile: Profile::Tolerant,
            max_message: 50 << 20,
            max_recipients: 1000,
            auth: AuthMode::Off,
            auth_after_tls: false,
            auth_required: false,
            starttls: false,
            max_errors: 20,
            max_junk: 100,
            max_messages: 100_000,
        }
    }

    /// The reply to EHLO: our name, then a line for each extension (RFC 5321 section 4.1.1.1).
    pub(super) fn ehlo(&self, tls: bool) -> Reply {
        let mut text = self.replies.hostname.clone();
        let keywords = match &self.replies.keywords {
            // Some panels and PLCs cannot read a reply of several lines.
            _ if self.profile == Profile::Legacy => Vec::new(),
            Some(verbatim) => verbatim.clone(),
            None => self.keywords(tls),
        };
        for keyword in keywords.iter().filter(|keyword| !(tls && keyword.eq_ignore_ascii_case("STARTTLS"))) {
            text.push('\n');
            text.push_str(keyword);
        }
        Reply::new(250, &text)
    }

    /// Little is announced, because clients break on what is: no CHUNKING, SMTPUTF8, DSN or ENHANCEDSTATUSCODES.
    fn keywords(&self, tls: bool) -> Vec<String> {
        let size = format!("SIZE {}", self.max_message);
        let mut keywords = vec![&size[..], "8BITMIME", "PIPELINING"];
        if self.starttls {
            keywords.push("STARTTLS");
        }
        if self.auth != AuthMode::Off && (tls || !self.auth_after_tls) {
            // The second form is for Outlook Express 4 and printers of its age.
            keywords.extend(["AUTH LOGIN PLAIN", "AUTH=LOGIN PLAIN"]);
        }
        keywords.push("HELP");
        keywords.into_iter().map(str::to_owned).collect()
    }
}
