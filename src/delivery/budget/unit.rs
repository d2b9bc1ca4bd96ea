//! What is counted, and over which time. Words only; the counting is in `window`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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

    /// Its length; 24 hours for a day.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Window::Minute => 60,
            Window::Hour => 3600,
            Window::Day => 24 * 3600,
        })
    }
}
