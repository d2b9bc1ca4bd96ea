//! Decides about one part: the change that makes its declared form true and its octets legal.
//!
//! Invariants: legal content is never encoded unless its label is wrong; decided again about the result, nothing changes
//! (RFC 2045 section 6, RFC 5322 section 2.1.1).

use super::content::{Content, Transfer};
use super::part_scanner::Care;
use super::part_stats::PartStats;
use super::plan::{Demand, PartChange, Recoding};
use crate::message::charset::{self, Hints};

/// The change to a part with content of its own.
pub(super) fn leaf_change(content: &Content, stats: &PartStats, care: Care, demand: &Demand) -> PartChange {
    let (illegal, eight) = (stats.is_illegal(), stats.eight_bit > 0);
    let must = illegal || (demand.seven_bit && eight);
    let free = care == Care::Open && !demand.minimal;
    if !must && !free {
        return PartChange::default();
    }
    let recoding = recoding(content, stats, must, free, demand);
    let charset = if free { missing_charset(content, stats, recoding, demand) } else { None };
    PartChange { recoding, charset, transfer: label(content, recoding, eight, demand), head: false }
}

fn recoding(content: &Content, stats: &PartStats, must: bool, free: bool, demand: &Demand) -> Recoding {
    let eight = stats.eight_bit > 0;
    let opaque = content.is_uuencoded() && !content.is_composite();
    match content.transfer {
        // RFC 2045 section 6.4: a multipart is not encoded, whatever its label. Here its parts were not found.
        _ if content.is_multipart() => broken_if(must),
        Transfer::Base64 if must || eight => Recoding::RewrapBase64,
        Transfer::QuotedPrintable if must || eight => Recoding::RewrapQuotedPrintable,
        Transfer::Base64 | Transfer::QuotedPrintable => Recoding::None,
        Transfer::Other if must && eight && stats.is_uuencoded() => Recoding::Uudecode,
        // It cannot be decoded, so its octets are the content.
        Transfer::Other if opaque && demand.seven_bit && eight => encode(content, stats),
        Transfer::Other => broken_if(must),
        // RFC 2045 section 6.4: a composite may not be encoded, even when its parts were not found.
        _ if content.is_composite() => broken_if(must),
        // The label is wrong. Without a label, 8-bit text is labelled, not encoded.
        Transfer::SevenBit | Transfer::Binary if must || (eight && free) => encode(content, stats),
        Transfer::Absent | Transfer::EightBit if must => encode(content, stats),
        Transfer::Absent | Transfer::SevenBit | Transfer::EightBit | Transfer::Binary => Recoding::None,
    }
}

fn broken_if(must: bool) -> Recoding {
    if must { Recoding::BreakLines } else { Recoding::None }
}

/// Quoted-printable for text that is readable in its raw form, base64 for everything else.
fn encode(content: &Content, stats: &PartStats) -> Recoding {
    // One octet in six is where base64 becomes the shorter of the two.
    let mostly_ascii = stats.eight_bit.saturating_mul(6) <= stats.octets;
    if content.is_text() && stats.nuls == 0 && mostly_ascii { Recoding::QuotedPrintable } else { Recoding::Base64 }
}

/// The charset of text that has 8-bit octets and declares none or ASCII.
fn missing_charset(content: &Content, stats: &PartStats, recoding: Recoding, demand: &Demand) -> Option<&'static str> {
    let encoded = match content.transfer {
        Transfer::Base64 | Transfer::QuotedPrintable => true,
        Transfer::Other => content.is_uuencoded() && !matches!(recoding, Recoding::Base64 | Recoding::QuotedPrintable),
        Transfer::Absent | Transfer::SevenBit | Transfer::EightBit | Transfer::Binary => false,
    };
    if stats.eight_bit == 0 || !content.wants_charset() || encoded {
        return None;
    }
    Some(if stats.is_utf8() {
        "utf-8"
    } else {
        charset::label(charset::guess(&stats.sample, Hints { declared: None, client: demand.charset }))
    })
}

/// The Content-Transfer-Encoding after the recoding, unless it is declared already.
fn label(content: &Content, recoding: Recoding, eight: bool, demand: &Demand) -> Option<&'static str> {
    let eight = eight && !demand.seven_bit;
    let wanted = match (recoding, content.transfer) {
        (Recoding::QuotedPrintable | Recoding::RewrapQuotedPrintable, _) => "quoted-printable",
        (Recoding::Base64 | Recoding::RewrapBase64 | Recoding::Uudecode, _) => "base64",
        (Recoding::None | Recoding::BreakLines, transfer) => match transfer {
            Transfer::Other => return None,
            Transfer::QuotedPrintable => "quoted-printable",
            Transfer::Base64 => "base64",
            Transfer::Absent if !eight => return None,
            Transfer::EightBit if demand.seven_bit => "7bit",
            Transfer::Absent | Transfer::EightBit => "8bit",
            Transfer::SevenBit | Transfer::Binary if eight => "8bit",
            Transfer::SevenBit | Transfer::Binary => "7bit",
        },
    };
    (content.transfer_text != wanted).then_some(wanted)
}

/// The Content-Transfer-Encoding of a composite, which may only be 7bit, 8bit or binary (RFC 2045 section 6.4).
///
/// `eight` is whether 8-bit octets remain in it; `seen` whether its parts were found, so that it is not encoded.
pub(super) fn composite_label(
    content: &Content,
    eight: bool,
    seen: bool,
    care: Care,
    root: bool,
    demand: &Demand,
) -> Option<&'static str> {
    if care != Care::Open || demand.minimal {
        let wrong = demand.seven_bit && matches!(content.transfer, Transfer::EightBit | Transfer::Binary);
        return wrong.then_some("7bit");
    }
    let truth = if eight && !demand.seven_bit { "8bit" } else { "7bit" };
    let wanted = match content.transfer {
        Transfer::Other => return None,
        Transfer::Base64 | Transfer::QuotedPrintable if !seen => return None,
        // Mail readers need no label there, so it alone is no reason for a second pass.
        Transfer::Absent if !eight || !root => return None,
        Transfer::EightBit if !demand.seven_bit => "8bit",
        Transfer::Absent
        | Transfer::EightBit
        | Transfer::SevenBit
        | Transfer::Binary
        | Transfer::Base64
        | Transfer::QuotedPrintable => truth,
    };
    (content.transfer_text != wanted).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::header::Header;

    fn stats(body: &[u8]) -> PartStats {
        let mut stats = PartStats::new(true, false);
        stats.push(body);
        stats
    }

    #[test]
    fn every_pair_of_label_and_content_has_its_recoding() {
        use Recoding::*;
        let (good, long) = ("x".repeat(998), "x".repeat(999));
        let some = format!("{}\u{e9}\r\n", "x".repeat(100));
        let chinese = "\u{9a7f}".repeat(400);
        let bodies = [good.as_bytes(), long.as_bytes(), b"a\0b", some.as_bytes(), chinese.as_bytes()];
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
            ("Content-Type: multipart/mixed; a=b\r\n", [None, BreakLines, BreakLines, None, BreakLines]),
            (
                "Content-Type: multipart/mixed\r\nContent-Transfer-Encoding: base64\r\n",
                [None, BreakLines, BreakLines, None, BreakLines],
            ),
        ] {
            let content = Content::of(&Header::parse(head.as_bytes()));
            for (body, expected) in bodies.iter().zip(expected) {
                let change = leaf_change(&content, &stats(body), Care::Open, &Demand::default());
                assert_eq!(change.recoding, expected, "{head:?} {}", body.escape_ascii());
                for (care, minimal) in [(Care::Enclosed, false), (Care::Signed, false), (Care::Open, true)] {
                    let change = leaf_change(&content, &stats(body), care, &Demand { minimal, ..Demand::default() });
                    let legal = !stats(body).is_illegal();
                    assert_eq!(change.is_empty(), legal, "{head:?} {care:?} {}", body.escape_ascii());
                }
            }
        }
    }
}
