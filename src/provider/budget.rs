//! How much a provider lets an account send: the figures of a preset as plain data.
//!
//! Not here: counting against them (`delivery`), and what the owner changed of them (`config`). Invariant: a figure that
//! is there is not zero, because a budget of nothing would keep mail for ever.

use serde::Deserialize;

/// The most within each window; `None`: no limit; 0: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Within 60 seconds.
    pub minute: Option<u32>,
    /// Within an hour.
    pub hour: Option<u32>,
    /// Within a day, as [`DayWindow`] counts it.
    pub day: Option<u32>,
}

impl Windows {
    /// Whether there is no limit at all.
    pub fn is_unlimited(&self) -> bool {
        *self == Windows::default()
    }
}

/// What an account may do, before the owner changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Figures")]
pub struct PresetBudget {
    /// Transactions that the provider accepted.
    pub messages: Windows,
    /// Recipients of them.
    pub recipients: Windows,
    /// Log-ins, accepted or refused.
    pub logins: Windows,
}

/// The figures with the names they have in the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    messages_per_minute: Option<u32>,
    messages_per_hour: Option<u32>,
    messages_per_day: Option<u32>,
    recipients_per_minute: Option<u32>,
    recipients_per_hour: Option<u32>,
    recipients_per_day: Option<u32>,
    logins_per_minute: Option<u32>,
    logins_per_hour: Option<u32>,
    logins_per_day: Option<u32>,
}

impl From<Figures> for PresetBudget {
    fn from(figures: Figures) -> PresetBudget {
        let windows = |minute, hour, day| Windows { minute, hour, day };
        PresetBudget {
            messages: windows(figures.messages_per_minute, figures.messages_per_hour, figures.messages_per_day),
            recipients: windows(figures.recipients_per_minute, figures.recipients_per_hour, figures.recipients_per_day),
            logins: windows(figures.logins_per_minute, figures.logins_per_hour, figures.logins_per_day),
        }
    }
}

/// When a day of the provider's quota ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum DayWindow {
    /// Never: the last 24 hours count.
    #[default]
    Rolling,
    /// At midnight in this time zone, a name of the IANA time zone database.
    Calendar(String),
}

impl From<String> for DayWindow {
    fn from(word: String) -> DayWindow {
        if word == "rolling" { DayWindow::Rolling } else { DayWindow::Calendar(word) }
    }
}

impl DayWindow {
    /// Hours that the zone is east of Greenwich, all the year round: for machines that have no time zone database. `None`
    /// for a rolling day, and for a zone that this program does not know.
    pub fn hours_east(&self) -> Option<i8> {
        match self {
            DayWindow::Rolling => None,
            // No summer time since 1991.
            DayWindow::Calendar(zone) => (zone == "Asia/Shanghai").then_some(8),
        }
    }
}
