//! Lengths of time, sizes and rates, from text.
//!
//! Not here: whether the value was a text at all (that is `value`). Invariant: what comes out is within bounds that no
//! sum of it with a date or another one leaves.

use std::num::NonZeroU32;
use std::time::Duration;

use config::{Value, ValueKind};

use crate::config::problem::Fault;
use crate::limits::rate::{Flow, Rate};

pub(super) const TIME: &str = "write numbers with the units ms, s, m, h or d, such as \"90s\", \"1h30m\" or \"5d\"";
pub(super) const FLOW: &str = "write so much in so long, such as \"100MiB/min\" or \"8GiB/h\"";
pub(super) const RATE: &str = "write so many in so long, such as \"10/s\", \"600/min\" or \"1000/h\"";

/// The digits in front, and the rest; `None` without digits or when the number is too large.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

pub(super) fn time(text: &str, min: u64) -> Result<Duration, Fault> {
    let wrong = || Fault::new("this is not a length of time", TIME);
    let (mut rest, mut total) = (text, 0_u64);
    if text.is_empty() {
        return Err(wrong());
    }
    // No time at all needs no unit.
    if text == "0" && min == 0 {
        return Ok(Duration::ZERO);
    }
    while !rest.is_empty() {
        let (count, tail) = number(rest).ok_or_else(wrong)?;
        let end = tail.bytes().position(|b| b.is_ascii_digit()).unwrap_or(tail.len());
        let millis: u64 = match &tail[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        total = count.checked_mul(millis).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &tail[end..];
    }
    // Ten years: longer is a slip, and keeps every sum of a date and a wait inside the calendar.
    if total < min * 1000 || total > 3650 * 86_400_000 {
        return Err(Fault::new("the time is out of range", format!("write a time from {min}s to 3650d")));
    }
    Ok(Duration::from_millis(total))
}

pub(super) fn size(value: &Value, min: u64) -> Result<u64, Fault> {
    let remedy = "write a number and a unit, such as \"50MiB\", \"200MB\" or \"5GiB\"; without a unit it means octets";
    let wrong = || Fault::new("this is not a size", remedy);
    let octets = match &value.kind {
        ValueKind::I64(octets) => u64::try_from(*octets).map_err(|_| wrong())?,
        ValueKind::String(text) => octets(text).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    if octets < min {
        return Err(Fault::new("the size is too small", format!("write at least {min} octets ({}KiB)", min / 1024)));
    }
    Ok(octets)
}

/// A number with its unit, below an exbibyte.
fn octets(text: &str) -> Option<u64> {
    let (count, unit) = number(text.trim())?;
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "k" | "kib" => 1 << 10,
        "mb" => 1_000_000,
        "m" | "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1 << 30,
        "tb" => 1_000_000_000_000,
        "t" | "tib" => 1 << 40,
        _ => return None,
    };
    count.checked_mul(factor).filter(|octets| *octets < 1 << 60)
}

/// A second, a minute or an hour.
fn period(unit: &str) -> Option<Duration> {
    let seconds = match unit.trim() {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

pub(super) fn flow(text: &str) -> Result<Flow, Fault> {
    let parts = text.split_once('/').and_then(|(size, unit)| Some((octets(size)?, period(unit)?)));
    let (octets, per) = parts.ok_or_else(|| Fault::new("this is not so much in so long", FLOW))?;
    if octets == 0 {
        return Err(Fault::new("a rate of 0 lets nothing in", "write at least the size of the largest message"));
    }
    Ok(Flow { octets, per })
}

pub(super) fn rate(text: &str) -> Result<Rate, Fault> {
    let wrong = || Fault::new("this is not a rate", RATE);
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let count: u32 = count.trim().parse().map_err(|_| wrong())?;
    let per = period(unit).ok_or_else(wrong)?;
    let count = NonZeroU32::new(count).ok_or_else(|| Fault::new("a rate of 0 lets nothing in", "write at least 1"))?;
    Ok(Rate { count, per })
}
