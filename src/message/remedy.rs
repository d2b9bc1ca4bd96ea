//! Does the body have to be encoded anew, and how?
//!
//! Not here: the work itself (`reencode`) and the header that then has to say so (`repair::mime`).
//!
//! Invariants: a legal body is never touched, signed mail least of all; after the remedy the body has no NUL and no
//! line over 998 octets, and asking again gives [`Remedy::None`] (RFC 5322 section 2.1.1, RFC 2045 section 6).

use crate::message::MAX_LINE;
use crate::message::content::{Content, Transfer};
use crate::message::header::Header;
use crate::message::lines::BodyStats;

/// What the second pass over a body has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Remedy {
    /// Nothing: the body is stored as it is.
    #[default]
    None,
    /// Encode the whole body as quoted-printable.
    QuotedPrintable,
    /// The body is quoted-printable already, with lines too long or octets it may not have: put only those right.
    RewrapQuotedPrintable,
    /// Encode the whole body as base64.
    Base64,
    /// The body is base64 already, in lines too long: wrap it at 76.
    RewrapBase64,
    /// Parts are in it, or an encoding we do not know: break the lines that are too long, drop NUL.
    BreakLines,
}

/// Chooses the remedy from what the header says and what the body is.
pub fn remedy(header: &Header, body: &BodyStats) -> Remedy {
    let content = Content::of(header);
    let illegal = body.longest_line > MAX_LINE as u64 || body.nuls > 0;
    let eight_bit = body.eight_bit > 0;
    if content.is_composite() {
        return if illegal { Remedy::BreakLines } else { Remedy::None };
    }
    match content.transfer {
        Transfer::Base64 if illegal || eight_bit => Remedy::RewrapBase64,
        Transfer::QuotedPrintable if illegal || eight_bit => Remedy::RewrapQuotedPrintable,
        Transfer::Base64 | Transfer::QuotedPrintable => Remedy::None,
        Transfer::Other => {
            if illegal {
                Remedy::BreakLines
            } else {
                Remedy::None
            }
        }
        // A body that is not what its label says. Without a label, 8-bit text is labelled, not encoded.
        Transfer::SevenBit | Transfer::Binary if illegal || eight_bit => encode(&content, body),
        Transfer::Absent | Transfer::EightBit if illegal => encode(&content, body),
        Transfer::Absent | Transfer::SevenBit | Transfer::EightBit | Transfer::Binary => Remedy::None,
    }
}

/// Quoted-printable for what a person may still want to read in the raw form, base64 for everything else.
fn encode(content: &Content, body: &BodyStats) -> Remedy {
    // One octet in six is where base64 becomes the shorter of the two.
    let mostly_ascii = body.eight_bit.saturating_mul(6) <= body.octets;
    if content.is_text() && body.nuls == 0 && mostly_ascii { Remedy::QuotedPrintable } else { Remedy::Base64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_label_and_body_has_its_remedy() {
        use Remedy::*;
        let good = BodyStats { octets: 1000, longest_line: 998, utf8: true, ..BodyStats::default() };
        let long = BodyStats { longest_line: 999, ..good };
        let nul = BodyStats { nuls: 1, ..good };
        let eight = BodyStats { eight_bit: 10, ..good };
        let chinese = BodyStats { eight_bit: 900, longest_line: 999, ..good };
        // In this order: legal, too long, NUL, some 8-bit, Chinese and too long.
        for (head, expected) in [
            ("", [None, QuotedPrintable, Base64, None, Base64]),
            ("Content-Type: text/html\r\n", [None, QuotedPrintable, Base64, None, Base64]),
            ("Content-Type: application/pdf\r\n", [None, Base64, Base64, None, Base64]),
            ("Content-Transfer-Encoding: 7bit\r\n", [None, QuotedPrintable, Base64, QuotedPrintable, Base64]),
            ("Content-Transfer-Encoding: binary\r\n", [None, QuotedPrintable, Base64, QuotedPrintable, Base64]),
            ("Content-Transfer-Encoding: 8bit\r\n", [None, QuotedPrintable, Base64, None, Base64]),
            ("Content-Transfer-Encoding: base64\r\n", [None, RewrapBase64, RewrapBase64, RewrapBase64, RewrapBase64]),
            ("Content-Transfer-Encoding: x-uue\r\n", [None, BreakLines, BreakLines, None, BreakLines]),
            ("Content-Type: multipart/signed; a=b\r\n", [None, BreakLines, BreakLines, None, BreakLines]),
        ] {
            let header = Header::parse(head.as_bytes());
            for (body, expected) in [good, long, nul, eight, chinese].iter().zip(expected) {
                assert_eq!(remedy(&header, body), expected, "{head:?} {body:?}");
            }
        }
    }
}
