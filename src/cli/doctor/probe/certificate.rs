//! When a certificate expires. A peer sent it, and rustls has verified it.

use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::clock::Timestamp;

/// `notAfter` of a certificate in DER form.
pub(super) fn valid_until(der: &[u8]) -> Option<Timestamp> {
    let until = Certificate::from_der(der).ok()?.tbs_certificate().validity().not_after.to_unix_duration();
    Some(Timestamp::from_millis(i64::try_from(until.as_millis()).ok()?))
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
        assert_eq!(valid_until(&made((2019, 1, 2), (2049, 12, 31))), Some(day("2049-12-31")));
        assert_eq!(valid_until(&made((1999, 5, 6), (2050, 1, 1))), Some(day("2050-01-01")));
    }

    #[test]
    fn a_damaged_certificate_has_no_dates_and_does_no_harm() {
        let whole = made((2019, 1, 2), (2049, 12, 31));
        for length in 0..whole.len().min(200) {
            assert_eq!(valid_until(&whole[..length]), None, "cut at {length}");
        }
        let mut seen = 0;
        for place in 0..whole.len().min(200) {
            for octet in [0x00, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut broken = whole.clone();
                broken[place] = octet;
                seen += usize::from(valid_until(&broken).is_none());
            }
        }
        assert!(seen > 50, "{seen}");
        assert_eq!(valid_until(&[0x30, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
