//! What a server says it can do: the reply to EHLO, read for the client (RFC 5321 section 4.1.1.1).
//!
//! What it is not: our own announcement, which the settings of the server hold.
//!
//! Invariants: keywords we do not use are ignored, so a list of any length costs nothing to keep; several AUTH lines,
//! and the old form `AUTH=`, add up, because servers split the list over them.

use super::reply::Reply;
use super::sasl::Mechanism;

/// The extensions of a server that we can use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Largest message in octets (RFC 1870); `None` if there is no `SIZE` or no limit (`SIZE 0`).
    pub max_size: Option<u64>,
    /// `SIZE` was offered, so `MAIL` may declare one.
    pub size: bool,
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `AUTH PLAIN` or `AUTH=PLAIN` (RFC 4954).
    pub plain: bool,
    /// `AUTH LOGIN` or `AUTH=LOGIN`.
    pub login: bool,
    /// `AUTH XOAUTH2`.
    pub xoauth2: bool,
    /// `AUTH OAUTHBEARER` (RFC 7628).
    pub oauthbearer: bool,
}

impl Extensions {
    /// Reads the reply to EHLO. The first line is the server's name.
    pub fn parse(reply: &Reply) -> Extensions {
        let mut found = Extensions::default();
        for line in reply.lines().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split(|b| matches!(b, b' ' | b'\t' | b'=')).filter(|word| !word.is_empty());
            match words.next() {
                Some(b"SIZE") => {
                    found.size = true;
                    let limit = words.next().and_then(|w| std::str::from_utf8(w).ok()?.parse().ok());
                    found.max_size = limit.filter(|&limit: &u64| limit > 0);
                }
                Some(b"PIPELINING") => found.pipelining = true,
                Some(b"8BITMIME") => found.eight_bit_mime = true,
                Some(b"STARTTLS") => found.starttls = true,
                Some(b"AUTH") => words.for_each(|word| match word {
                    b"PLAIN" => found.plain = true,
                    b"LOGIN" => found.login = true,
                    b"XOAUTH2" => found.xoauth2 = true,
                    b"OAUTHBEARER" => found.oauthbearer = true,
                    // Mechanisms we do not speak, of which there are many.
                    _ => {}
                }),
                // Keywords we have no use for.
                Some(_) | None => {}
            }
        }
        found
    }

    /// Whether the server takes this mechanism.
    pub fn offers(&self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::Plain => self.plain,
            Mechanism::Login => self.login,
            Mechanism::XOAuth2 => self.xoauth2,
            Mechanism::OAuthBearer => self.oauthbearer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qq_is_understood() {
        let reply = Reply::new(
            250,
            "newxmesmtplogicsvrszb20-0.qq.com-10.0.0.1-7\nPIPELINING\nSIZE 73400320\nAUTH LOGIN PLAIN XOAUTH XOAUTH2\n\
             AUTH=LOGIN\nMAILCOMPRESS\nSMTPUTF8\n8BITMIME",
        );
        let wanted = Extensions {
            max_size: Some(73_400_320),
            size: true,
            pipelining: true,
            eight_bit_mime: true,
            starttls: false,
            plain: true,
            login: true,
            xoauth2: true,
            oauthbearer: false,
        };
        assert_eq!(Extensions::parse(&reply), wanted);
    }

    #[test]
    fn auth_lines_add_up_and_size_zero_is_no_limit() {
        let found = Extensions::parse(&Reply::new(250, "PLAIN\nauth plain\nAUTH=LOGIN NTLM\nSize 0\nX-GARBLED-A"));
        assert!(found.plain && found.login && found.size);
        assert_eq!(found.max_size, None);
        assert!(!Extensions::parse(&Reply::new(250, "STARTTLS")).starttls, "the first line is a name");
        assert_eq!(Extensions::parse(&Reply::new(250, "h\nSIZE 99999999999999999999999")).max_size, None);
    }
}
