//! The rule of QQ Mail and similar providers for the From field, checked on outgoing mail.
//!
//! In the provider's words: there is a From; it is `prefix@domain` or `nickname <prefix@domain>`; a nickname that is not
//! ASCII is an RFC 2047 encoded word of the nickname only. A breach gets `550 The "From" header is missing or invalid`.
//! The rule is stricter than RFC 5322 where the provider is. Incoming mail: `mailbox`.

use crate::mail::Address;
use crate::message::header::Header;
use crate::message::mailbox::is_seen_alike;

/// Whether a header block has exactly one From and QQ would take it.
pub fn qq_accepts(head: &[u8]) -> bool {
    let header = Header::parse(head);
    header.count("From") == 1 && header.get("From").is_some_and(|from| accepts_value(from.value()))
}

/// The one mailbox of a From value that QQ would take; `None` when it would not.
pub fn accepted_mailbox(value: &[u8]) -> Option<Address> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.is_ascii())?;
    // A fold is CRLF and a blank; any other control character is an injection.
    let text = text.replace("\r\n ", " ").replace("\r\n\t", " ");
    let text = text.trim();
    if text.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return None;
    }
    let address = match text.strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
        Some((phrase, address)) if is_phrase(phrase.trim()) => address,
        Some(_) => return None,
        None => text,
    };
    Address::parse(address).ok().filter(|a| a.is_qualified() && a.as_str() == address && is_seen_alike(address))
}

/// Whether QQ would take this value of a From field.
pub fn accepts_value(value: &[u8]) -> bool {
    accepted_mailbox(value).is_some()
}

/// Nothing, atoms and encoded words, or one quoted string (RFC 5322 section 3.2.5).
fn is_phrase(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('"') {
        let Some(inner) = inner.strip_suffix('"') else { return false };
        let mut escaped = false;
        for b in inner.bytes() {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => return false,
                _ => {}
            }
        }
        return !escaped;
    }
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b" \t!#$%&'*+-/=?^_`{|}~.".contains(&b))
        && text.split_ascii_whitespace().all(|word| !word.starts_with("=?") || is_encoded_word(word))
}

/// `=?charset?B?text?=` within 75 octets (RFC 2047 section 2).
fn is_encoded_word(word: &str) -> bool {
    let parts: Vec<&str> = word.split('?').collect();
    word.len() <= 75
        && matches!(parts[..], ["=", charset, "B" | "b" | "Q" | "q", text, "="] if !charset.is_empty() && !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_provider() {
        for (value, good) in [
            (&b"a@qq.com"[..], true),
            (b"<a@qq.com>", true),
            (b"\"Chris\" <a@qq.com>", true),
            (b"Chris <a@qq.com>", true),
            (b"=?utf-8?B?5byg5LiJ?= <a@qq.com>", true),
            (b"\"=?utf-8?B?5byg5LiJ?=\" <a@qq.com>", true),
            (b"=?utf-8?B?5byg5LiJ?=<a@qq.com>", true),
            (b"=?utf-8?B?5byg5LiJ?=\r\n <a@qq.com>", true),
            (b"=?utf-8?q?you=40qq=2Ecom?=", false),
            (b"=?utf-8?B?TG9nU2VuZGVyIDxhQHFxLmNvbT4=?=", false),
            (b"LogSender", false),
            (b"LogSender <>", false),
            (b"", false),
            (b"\xd5\xc5\xc8\xfd <a@qq.com>", false),
            ("张三 <a@qq.com>".as_bytes(), false),
            (b"a@qq.com, b@qq.com", false),
            (b"x: a@qq.com;", false),
            (b"a <b@qq.com> <a@qq.com>", false),
            (b"a\r\nBcc: x@y.com <a@qq.com>", false),
            (b"a@qq.com (Bob)", false),
            (b"=?utf-8?B?5byg <a@qq.com>", false),
            (b"=?utf-8?q?a=0d=0a?=a@qq.com", false),
            (b"\"a b\"@qq.com", true),
            (b"\"a <b@c.com>\"@qq.com", false),
            (b"Bob <\"a>\"@qq.com>", false),
        ] {
            assert_eq!(accepts_value(value), good, "{}", value.escape_ascii());
        }
        assert!(qq_accepts(b"Subject: x\r\nFrom: a@qq.com\r\n"));
        assert!(!qq_accepts(b"From: a@qq.com\r\nFROM: a@qq.com\r\n"));
        assert!(!qq_accepts(b"Subject: x\r\n"));
    }
}
