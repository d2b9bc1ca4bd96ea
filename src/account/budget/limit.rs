//! The words of a budget: what is counted, for how long, up to which figure. Pure values.
//!
//! Not here: where the figures come from (presets and settings), and how they are kept (`window`).

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::provider::Windows;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Transactions.
    Messages,
    /// Recipients of transactions.
    Recipients,
    /// Log-ins, refused ones as well.
    Logins,
}

impl Unit {
    /// All of them.
    pub const ALL: [Unit; 3] = [Unit::Messages, Unit::Recipients, Unit::Logins];

    /// The word in lists and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Messages => "messages",
            Unit::Recipients => "recipients",
            Unit::Logins => "logins",
        }
    }
}

/// How long is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours, or a date (see [`Day`]).
    Day,
}

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Window; 3] = [Window::Minute, Window::Hour, Window::Day];

    /// The word in lists and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Window::Minute => "minute",
            Window::Hour => "hour",
            Window::Day => "day",
        }
    }

    /// Its length; 24 hours for a day.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Window::Minute => 60,
            Window::Hour => 3600,
            Window::Day => 24 * 3600,
        })
    }

    /// The limit that `windows` sets for it.
    const fn limit(self, windows: &Windows) -> Option<u32> {
        match self {
            Window::Minute => windows.minute,
            Window::Hour => windows.hour,
            Window::Day => windows.day,
        }
    }
}

/// What a day is. Minutes and hours always slide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Day {
    /// The last 24 hours.
    #[default]
    Rolling,
    /// The date in a zone: the count begins anew at midnight.
    Calendar(TimeZone),
}

/// The limits of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Of transactions.
    pub messages: Windows,
    /// Of recipients.
    pub recipients: Windows,
    /// Of log-ins.
    pub logins: Windows,
    /// What a day is.
    pub day: Day,
}

impl BudgetLimits {
    pub(super) fn of(&self, unit: Unit, window: Window) -> Option<u32> {
        match unit {
            Unit::Messages => window.limit(&self.messages),
            Unit::Recipients => window.limit(&self.recipients),
            Unit::Logins => window.limit(&self.logins),
        }
    }
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Transactions.
    pub messages: u32,
    /// Recipients.
    pub recipients: u32,
    /// Log-ins.
    pub logins: u32,
}

impl Spent {
    /// The figure of one unit.
    pub const fn of(&self, unit: Unit) -> u32 {
        match unit {
            Unit::Messages => self.messages,
            Unit::Recipients => self.recipients,
            Unit::Logins => self.logins,
        }
    }

    pub(super) fn add(&mut self, other: &Spent) {
        self.messages = self.messages.saturating_add(other.messages);
        self.recipients = self.recipients.saturating_add(other.recipients);
        self.logins = self.logins.saturating_add(other.logins);
    }

    pub(super) fn take(&mut self, other: &Spent) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.recipients = self.recipients.saturating_sub(other.recipients);
        self.logins = self.logins.saturating_sub(other.logins);
    }
}
