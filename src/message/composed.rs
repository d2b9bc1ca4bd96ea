//! A mail from the parts that a program hands in: addresses, subject, text and HTML.
//!
//! Not here: the check of the parts (`admin::http`). Invariants: `Bcc` recipients are in no field; the parts become fields
//! by the encoding of RFC 2047 and bodies in UTF-8, so no part can add a field.

use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;

use crate::mail::Address;

/// The parts of a mail. `subject` has no control characters.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// The address in From.
    pub from: &'a Address,
    /// The addresses in To.
    pub to: &'a [Address],
    /// The addresses in Cc.
    pub cc: &'a [Address],
    /// The address in Reply-To.
    pub reply_to: Option<&'a Address>,
    /// The subject.
    pub subject: &'a str,
    /// The text for people.
    pub text: Option<&'a str>,
    /// The same as HTML.
    pub html: Option<&'a str>,
    /// As RFC 5322 section 3.3 writes it.
    pub date: &'a str,
    /// The left half of its Message-ID.
    pub id: &'a str,
}

/// The mail, with CRLF lines.
pub fn compose(parts: &Parts<'_>) -> Vec<u8> {
    let list = |all: &[Address]| all.iter().map(Address::as_str).collect::<Vec<_>>().join(", ");
    let mut mail = MessageBuilder::new().header("From", Raw::new(parts.from.as_str()));
    if !parts.to.is_empty() {
        mail = mail.header("To", Raw::new(list(parts.to)));
    }
    if !parts.cc.is_empty() {
        mail = mail.header("Cc", Raw::new(list(parts.cc)));
    }
    if let Some(address) = parts.reply_to {
        mail = mail.header("Reply-To", Raw::new(address.as_str()));
    }
    mail = mail
        .subject(parts.subject)
        .header("Date", Raw::new(parts.date))
        .header("Message-ID", Raw::new(format!("<{}@{}>", parts.id, parts.from.domain())));
    if let Some(html) = parts.html {
        mail = mail.html_body(html);
    }
    if parts.text.is_some() || parts.html.is_none() {
        mail = mail.text_body(parts.text.unwrap_or_default());
    }
    mail.write_to_vec().expect("writing into memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_reads_back_as_its_parts() {
        let address = |text| Address::parse(text).unwrap();
        let (from, to, cc) = (address("a@example.com"), [address("b@example.com"), address("c@example.com")], []);
        let parts = Parts {
            from: &from,
            to: &to,
            cc: &cc,
            reply_to: Some(&from),
            subject: "磁盘快满 disk",
            text: Some("第一行\n.\nBcc: x@example.com\n"),
            html: Some("<p>行</p>"),
            date: "Tue, 01 Dec 2026 12:00:00 +0800",
            id: "x",
        };
        let octets = compose(&parts);
        let mail = mail_parser::MessageParser::default().parse(&octets).unwrap();
        assert_eq!(mail.subject(), Some("磁盘快满 disk"));
        assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), "第一行\n.\nBcc: x@example.com\n");
        assert!(mail.body_html(0).unwrap().contains("<p>行</p>"));
        assert!(mail.bcc().is_none());
        assert_eq!(mail.to().unwrap().iter().count(), 2);
        assert_eq!(mail.message_id(), Some("x@example.com"));
    }
}
