//! The dates of a certificate: a walk through its DER to `validity` (RFC 5280 section 4.1).
//!
//! Own lines instead of a crate: two dates are wanted of a certificate that rustls has verified already, and the parsers
//! that could read them bring a dozen crates along. What it is not: verification. Input from a peer can do no harm here:
//! every length is checked, nothing is copied, and what cannot be read is `None`.

use crate::clock::Timestamp;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT Version`, absent in version 1.
const VERSION: u8 = 0xa0;

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// `notBefore`.
    pub(crate) from: Timestamp,
    /// `notAfter`.
    pub(crate) until: Timestamp,
}

/// Reads the dates of a certificate in DER form.
pub(crate) fn validity(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        (_, rest) = element(rest, VERSION)?;
    }
    // serialNumber, signature, issuer; then the dates.
    (_, rest) = element(rest, INTEGER)?;
    (_, rest) = element(rest, SEQUENCE)?;
    (_, rest) = element(rest, SEQUENCE)?;
    let (dates, _) = element(rest, SEQUENCE)?;
    let (from, dates) = time(dates)?;
    let (until, _) = time(dates)?;
    Some(Validity { from, until })
}

/// Splits one element with this tag off: its content, and what comes behind it (X.690 section 8.1).
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = input.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        // More than four octets of length are no certificate.
        let count = usize::from(length & 0x7f);
        let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        (digits.iter().fold(0usize, |sum, &digit| sum << 8 | usize::from(digit)), &rest[count..])
    };
    (first == tag && length <= rest.len()).then(|| rest.split_at(length))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280 section 4.1.2.5).
fn time(input: &[u8]) -> Option<(Timestamp, &[u8])> {
    let tag = *input.first()?;
    let (text, rest) = element(input, tag)?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let full = match tag {
        // Two digits mean 1950 to 2049.
        UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let digits = full.strip_suffix('Z').filter(|d| d.len() == 14 && d.bytes().all(|b| b.is_ascii_digit()))?;
    let part = |from: usize, to: usize| digits[from..to].parse::<i8>().ok();
    let year: i16 = digits[..4].parse().ok()?;
    let civil =
        jiff::civil::DateTime::new(year, part(4, 6)?, part(6, 8)?, part(8, 10)?, part(10, 12)?, part(12, 14)?, 0);
    let instant = civil.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((Timestamp::from_millis(instant.as_millisecond()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["smtp.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn day(text: &str) -> Timestamp {
        let instant: jiff::Timestamp = format!("{text}T00:00:00Z").parse().unwrap();
        Timestamp::from_millis(instant.as_millisecond())
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        // RFC 5280: UTCTime through 2049, GeneralizedTime from 2050 on.
        let read = validity(&made((2019, 1, 2), (2049, 12, 31))).unwrap();
        assert_eq!(read, Validity { from: day("2019-01-02"), until: day("2049-12-31") });
        let read = validity(&made((1999, 5, 6), (2050, 1, 1))).unwrap();
        assert_eq!(read, Validity { from: day("1999-05-06"), until: day("2050-01-01") });
    }

    #[test]
    fn a_damaged_certificate_has_no_dates_and_does_no_harm() {
        let whole = made((2019, 1, 2), (2049, 12, 31));
        for length in 0..whole.len().min(200) {
            assert_eq!(validity(&whole[..length]), None, "cut at {length}");
        }
        let mut seen = 0;
        for place in 0..whole.len().min(200) {
            for octet in [0x00, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut broken = whole.clone();
                broken[place] = octet;
                seen += usize::from(validity(&broken).is_none());
            }
        }
        assert!(seen > 50, "{seen}");
        assert_eq!(validity(&[0x30, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
