//! The decision for one part: what it is said to be, what it is, and so what has to be done.
//!
//! What this is not: the work. Invariants: a legal part is never encoded anew unless its label is wrong; asked again
//! about the outcome, the answer is "nothing" (RFC 2045 section 6, RFC 5322 section 2.1.1).

use super::part::Care;
use super::plan::{Cure, Demand, Mend};
use super::stats::Stats;
use crate::message::charset::Hints;
use crate::message::content::{Content, Transfer};
use crate::message::{MAX_LINE, charset};

/// Whether octets may not be sent at all: a line over 998 octets, or NUL.
pub(super) fn is_illegal(stats: &Stats) -> bool {
    stats.longest() > MAX_LINE as u64 || stats.nuls > 0
}

/// A part with content of its own.
pub(super) fn leaf(content: &Content, stats: &Stats, care: Care, demand: &Demand) -> Mend {
    let (illegal, eight) = (is_illegal(stats), stats.eight_bit > 0);
    let must = illegal || (demand.seven_bit && eight);
    let free = care == Care::Open && !demand.minimal;
    if !must && !free {
        return Mend::default();
    }
    let cure = cure(content, stats, must, free, demand);
    let charset = if free { missing_charset(content, stats, cure, demand) } else { None };
    Mend { cure, charset, transfer: label(content, cure, eight, demand), head: false }
}

fn cure(content: &Content, stats: &Stats, must: bool, free: bool, demand: &Demand) -> Cure {
    let eight = stats.eight_bit > 0;
    let opaque = content.is_uuencoded() && !content.is_composite();
    match content.transfer {
        // RFC 2045 section 6.4: what has parts in it is not encoded, whatever its label. Here its parts were not found.
        _ if content.is_multipart() => broken_if(must),
        Transfer::Base64 if must || eight => Cure::RewrapBase64,
        Transfer::QuotedPrintable if must || eight => Cure::RewrapQuotedPrintable,
        Transfer::Base64 | Transfer::QuotedPrintable => Cure::None,
        Transfer::Other if must && eight && stats.is_uuencoded() => Cure::Uudecode,
        // It cannot be decoded: its octets are the content.
        Transfer::Other if opaque && demand.seven_bit && eight => encode(content, stats),
        Transfer::Other => broken_if(must),
        // RFC 2045 section 6.4: what has parts in it may not be encoded, even when the parts cannot be found.
        _ if content.is_composite() => broken_if(must),
        // What is not what its label says. Without a label, 8-bit text is labelled, not encoded.
        Transfer::SevenBit | Transfer::Binary if must || (eight && free) => encode(content, stats),
        Transfer::Absent | Transfer::EightBit if must => encode(content, stats),
        Transfer::Absent | Transfer::SevenBit | Transfer::EightBit | Transfer::Binary => Cure::None,
    }
}

fn broken_if(must: bool) -> Cure {
    if must { Cure::BreakLines } else { Cure::None }
}

/// Quoted-printable for what a person may still want to read in the raw form, base64 for everything else.
fn encode(content: &Content, stats: &Stats) -> Cure {
    // One octet in six is where base64 becomes the shorter of the two.
    let mostly_ascii = stats.eight_bit.saturating_mul(6) <= stats.octets;
    if content.is_text() && stats.nuls == 0 && mostly_ascii { Cure::QuotedPrintable } else { Cure::Base64 }
}

/// The charset of text that has 8-bit octets and names none, or says it is ASCII, which is a lie.
fn missing_charset(content: &Content, stats: &Stats, cure: Cure, demand: &Demand) -> Option<&'static str> {
    let encoded = match content.transfer {
        Transfer::Base64 | Transfer::QuotedPrintable => true,
        Transfer::Other => content.is_uuencoded() && !matches!(cure, Cure::Base64 | Cure::QuotedPrintable),
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

/// What Content-Transfer-Encoding must say after the cure, unless it says so already.
fn label(content: &Content, cure: Cure, eight: bool, demand: &Demand) -> Option<&'static str> {
    let eight = eight && !demand.seven_bit;
    let wanted = match (cure, content.transfer) {
        (Cure::QuotedPrintable | Cure::RewrapQuotedPrintable, _) => "quoted-printable",
        (Cure::Base64 | Cure::RewrapBase64 | Cure::Uudecode, _) => "base64",
        (Cure::None | Cure::BreakLines, transfer) => match transfer {
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

/// What a composite must be labelled as: it may only be 7bit, 8bit or binary (RFC 2045 section 6.4).
///
/// `eight` tells what is in it after the cure; `seen` whether its parts were found, so that it is surely not encoded.
pub(super) fn composite(
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
        // Readers do not ask, and a second pass for a label alone would be a waste.
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

    fn stats(body: &[u8]) -> Stats {
        let mut stats = Stats::new(true);
        stats.push(body);
        stats
    }

    #[test]
    fn every_pair_of_label_and_content_has_its_cure() {
        use Cure::*;
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
                let mend = leaf(&content, &stats(body), Care::Open, &Demand::default());
                assert_eq!(mend.cure, expected, "{head:?} {}", body.escape_ascii());
                for (care, minimal) in [(Care::Enclosed, false), (Care::Signed, false), (Care::Open, true)] {
                    let mend = leaf(&content, &stats(body), care, &Demand { minimal, ..Demand::default() });
                    let legal = !is_illegal(&stats(body));
                    assert_eq!(mend.is_empty(), legal, "{head:?} {care:?} {}", body.escape_ascii());
                }
            }
        }
    }
}
