//! MIME fields that say what the body is: version, charset, transfer encoding (RFC 2045).
//!
//! What this is not: surgery inside the body. Only the header of the message as a whole is touched.
//!
//! Invariant: a charset or an encoding that is declared and can be true is left alone.

use super::{Facts, Repair, Work};
use crate::message::content::{self, Content, Transfer};
use crate::message::header::Field;
use crate::message::remedy::Remedy;

/// Adds `MIME-Version: 1.0` (RFC 2045 section 4, Q-106).
pub(super) fn version(work: &mut Work) {
    if work.header.get("MIME-Version").is_none_or(|field| field.value().is_empty()) {
        work.header.set(Field::new("MIME-Version", "1.0"));
        work.note(Repair::MimeVersionAdded);
    }
}

/// Names the charset of text that has 8-bit characters and names none, or says it is ASCII, which is a lie.
pub(super) fn charset(work: &mut Work, facts: &Facts<'_>) {
    let content = Content::of(&work.header);
    let named = !matches!(content.charset.as_deref(), None | Some("us-ascii" | "ascii" | "unknown-8bit"));
    let encoded = matches!(content.transfer, Transfer::Base64 | Transfer::QuotedPrintable);
    if facts.body.eight_bit == 0 || named || encoded || !content.is_text() {
        return;
    }
    let charset = if facts.body.utf8 { "utf-8" } else { "gb18030" };
    let old = work.header.text("Content-Type").unwrap_or_default();
    let mut value = if content.media.is_empty() { "text/plain".to_owned() } else { content.media.clone() };
    if content.declared && content.media.is_empty() {
        work.keep_original("Content-Type", old.as_bytes());
    } else {
        for parameter in content::pieces(&old).skip(1) {
            let key = parameter.split('=').next().unwrap_or("").trim();
            if !key.is_empty() && !key.eq_ignore_ascii_case("charset") {
                value.push_str("; ");
                value.push_str(parameter.trim());
            }
        }
    }
    work.header.set(Field::new("Content-Type", format!("{value}; charset={charset}")));
    work.note(Repair::CharsetDeclared);
}

/// Makes Content-Transfer-Encoding say what the body is after the second pass.
pub(super) fn transfer(work: &mut Work, facts: &Facts<'_>) {
    let content = Content::of(&work.header);
    let eight_bit = facts.body.eight_bit > 0;
    let wanted = match (facts.remedy, content.transfer) {
        (Remedy::QuotedPrintable | Remedy::RewrapQuotedPrintable, _) => "quoted-printable",
        (Remedy::Base64 | Remedy::RewrapBase64, _) => "base64",
        (Remedy::None | Remedy::BreakLines, transfer) => match transfer {
            Transfer::Other => return,
            Transfer::QuotedPrintable => "quoted-printable",
            Transfer::Base64 => "base64",
            Transfer::Absent if !eight_bit => return,
            Transfer::Absent | Transfer::EightBit => "8bit",
            Transfer::SevenBit | Transfer::Binary if eight_bit => "8bit",
            Transfer::SevenBit | Transfer::Binary => "7bit",
        },
    };
    let old = work.header.text("Content-Transfer-Encoding").unwrap_or_default();
    if !old.trim().eq_ignore_ascii_case(wanted) {
        work.header.set(Field::new("Content-Transfer-Encoding", wanted));
        work.note(Repair::TransferEncodingSet);
    }
}
