//! A pattern for addresses: one mailbox, one domain, or anything. Pure.
//!
//! ```text
//!  *          anything, the null sender too
//!  *@b.c      every mailbox of exactly this domain, no subdomain
//!  b.c        the same
//!  a@b.c      this mailbox
//!  a@         a name without a domain, as devices give it (`MAIL FROM:<printer>`)
//! ```
//!
//! There is no other wildcard. Compared is [`Address::key`]: case does not count, needless quotes neither.
//!
//! A list that decides who may send, or to whom, asks [`Pattern::permits`]. A route asks for the domain alone.

use std::fmt;

use crate::mail::{Address, AddressError};

/// What a local part names another destination with, as mail servers have read it: `user@host` in quotes, `user%host`,
/// `host!user` (RFC 5321 appendix F.2 and section 3.7.1), `/file` and the attributes of X.400 gateways.
const ROUTING: [char; 4] = ['@', '%', '!', '/'];

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Any,
    /// In lower case.
    Domain(String),
    /// As [`Address::key`].
    Mailbox(String),
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing, or nothing but blanks.
    #[error("the pattern is empty")]
    Empty,
    /// An asterisk that is not the whole text or the whole local part.
    #[error("an asterisk may stand alone or before the at sign: *, *@example.com")]
    Wildcard,
    /// The rest is no address and no domain.
    #[error("{0}")]
    Address(AddressError),
}

impl Pattern {
    /// Reads a pattern; blanks around it do not count.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text == "*" {
            return Ok(Pattern(Shape::Any));
        }
        let rest = text.strip_prefix("*@").unwrap_or(text);
        if rest.contains('*') {
            return Err(PatternError::Wildcard);
        }
        let shape = if rest.len() < text.len() || !text.contains('@') {
            // A local part is needed to read it; a second at sign is refused with it.
            let address = Address::parse(&format!("x@{rest}")).map_err(PatternError::Address)?;
            Shape::Domain(address.domain().to_ascii_lowercase())
        } else {
            let address = Address::parse(text.strip_suffix('@').unwrap_or(text)).map_err(PatternError::Address)?;
            Shape::Mailbox(address.key())
        };
        Ok(Pattern(shape))
    }

    /// Whether it says nothing: everybody fits.
    pub fn is_any(&self) -> bool {
        self.0 == Shape::Any
    }

    /// Whether a list with this pattern permits an address; `None` is the null sender.
    ///
    /// `*@b.c` permits no local part with one of [`ROUTING`]: the next host may send such mail out of the domain.
    pub fn permits(&self, address: Option<&Address>) -> bool {
        let key = address.map(Address::key);
        let is_routed = |key: &str| key.rsplit_once('@').is_some_and(|(local, _)| local.contains(ROUTING));
        match self.0 {
            Shape::Domain(_) if key.as_deref().is_some_and(is_routed) => false,
            Shape::Any | Shape::Domain(_) | Shape::Mailbox(_) => self.fits_key(key.as_deref()),
        }
    }

    /// Whether it matches the mailbox or the domain of an [`Address::key`].
    pub(super) fn fits_key(&self, key: Option<&str>) -> bool {
        match (&self.0, key) {
            (Shape::Any, _) => true,
            (Shape::Domain(_) | Shape::Mailbox(_), None) => false,
            // A quoted local part may hold an at sign, a domain never does.
            (Shape::Domain(domain), Some(key)) => key.rsplit_once('@').is_some_and(|(_, own)| own == domain),
            (Shape::Mailbox(mailbox), Some(key)) => key == mailbox,
        }
    }
}

/// The pattern of this one mailbox.
impl From<&Address> for Pattern {
    fn from(address: &Address) -> Pattern {
        Pattern(Shape::Mailbox(address.key()))
    }
}

/// The canonical form, which reads back as the same pattern.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Any => f.write_str("*"),
            Shape::Domain(domain) => write!(f, "*@{domain}"),
            Shape::Mailbox(mailbox) => f.write_str(mailbox),
        }
    }
}
