//! What became of a test alert on one channel, in the form of the control socket and of `--json`.

use serde::{Deserialize, Serialize};

use crate::delivery::alert_sender::ChannelTest;
use crate::message::notice::alarm::Remedy;

/// One channel of alerts, as it is shown. Users rely on the JSON form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelReport {
    /// `webhook` or `mail`.
    pub channel: String,
    /// `sent`, `failed` or `skipped`.
    pub result: String,
    /// What happened, in both languages.
    pub detail: Remedy,
    /// What the operator should do, in both languages.
    pub remedy: Option<Remedy>,
}

impl From<ChannelTest> for ChannelReport {
    fn from(test: ChannelTest) -> ChannelReport {
        let ChannelTest { channel, result, detail, remedy } = test;
        ChannelReport { channel: channel.to_owned(), result: result.name().to_owned(), detail, remedy }
    }
}
