//! Times that a person writes: `1h` ago, a date, a date and a time, RFC 3339. Pure.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Timestamp;

/// Texts that [`Timestamp::parse`] reads, for error texts.
pub const TIME_EXAMPLES: &str = "30m, 1h, 2d, 2026-11-30, 2026-11-30 14:00, 2026-11-30T14:00:00+08:00";

impl Timestamp {
    /// The time that a person means at `now`. `90s`, `30m`, `1h`, `2d` and `1w` are that long before `now`; a date is its
    /// first moment; dates and times without an offset are in the machine's time zone. `None`: not a time.
    pub fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
        Timestamp::parse_in(text, now, &TimeZone::system())
    }

    fn parse_in(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let text = text.trim();
        if let Some(ago) = ago(text) {
            return Some(now - ago);
        }
        // jiff reads more forms (weeks, basic forms without separators) than are promised here.
        if text.as_bytes().get(4) != Some(&b'-') {
            return None;
        }
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp(time.as_millisecond()));
        }
        let date: DateTime = text.parse().ok()?;
        let zoned = zone.to_zoned(date).ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    }
}

/// `1h` as a duration.
fn ago(text: &str) -> Option<Duration> {
    let seconds = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 24 * 3600,
        b'w' => 7 * 24 * 3600,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(seconds).filter(|s| *s < 1 << 40).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01 00:00 UTC.
    const NOW: Timestamp = Timestamp::from_millis(1_796_083_200_000);

    fn read(text: &str) -> Option<i64> {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        Timestamp::parse_in(text, NOW, &zone).map(|time| (time.millis() - NOW.millis()) / 1000)
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90s", -90),
            ("30m", -1800),
            ("1h", -3600),
            (" 2d ", -2 * 86_400),
            ("1w", -7 * 86_400),
            ("0h", 0),
            ("2026-12-01", -8 * 3600),
            ("2026-12-01 08:00", 0),
            ("2026-12-01T08:00:30", 30),
            ("2026-12-01T00:00:00Z", 0),
            ("2026-12-01T08:00:00+08:00", 0),
            ("2026-12-01 08:00:01.000+08:00", 1),
        ] {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "h",
            "1",
            "-1h",
            "+1h",
            "1.5h",
            "1y",
            "one hour",
            "yesterday",
            "2026-13-01",
            "2026-11-31",
            "14:00",
            "20261130",
            "2026-11-30 25:00",
            "99999999999999999999h",
            "9999999999999d",
            "2026-W49-1",
            "\u{0661}h",
            "é",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let now = Timestamp::from_millis(1_796_083_200_123);
        assert_eq!(Timestamp::parse(&now.rfc3339(), NOW), Some(now));
        for text in TIME_EXAMPLES.split(", ") {
            assert!(Timestamp::parse(text, NOW).is_some(), "{text}");
        }
    }
}
