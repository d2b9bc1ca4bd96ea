//! May a failed mail be told of? The end of every chain of bounces (RFC 3834 section 2, RFC 5321 section 6.1, A-062).
//!
//! Two readers, two rules. A *sender* that a client wrote into the envelope may be forged, and may be a program that
//! answers: nothing is sent to it about mail that was itself made by a program. The *owner* has asked to be told, and the
//! mail of devices is made by programs always (cron marks its own with `Auto-Submitted: auto-generated`): the owner is
//! told of everything but reports and answers. What is not told is not lost: it is in the queue, the log and the counts.

use crate::mail::ReversePath;
use crate::message::header::Header;

/// Who would read the notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The owner: the account's own mailbox, or the address in the settings.
    Owner,
    /// The envelope sender that the client gave.
    Sender,
}

/// Whether `reader` may be told that the mail with this stored header and this envelope sender failed.
pub fn may_tell(original: &[u8], sender: &ReversePath, reader: Reader) -> bool {
    let header = Header::parse(original);
    let value = |name: &str| header.text(name).map(|text| text.trim().to_ascii_lowercase()).unwrap_or_default();
    let ours = ["X-Yizhan-Notice", "X-Yizhan-Notice-For"].iter().any(|name| header.text(name).is_some());
    // Parameters may follow a blank or a semicolon (RFC 3834 section 5).
    let auto = value("Auto-Submitted");
    let auto = auto.split([';', ' ', '\t', '(']).next().unwrap_or("");
    let report = value("Content-Type").starts_with("multipart/report");
    if ours || report || matches!(auto, "auto-replied" | "auto-notified") {
        return false;
    }
    match reader {
        Reader::Owner => true,
        Reader::Sender => {
            sender.address().is_some()
                && matches!(auto, "" | "no")
                && matches!(value("X-Auto-Response-Suppress").as_str(), "" | "none")
                && !matches!(value("Precedence").as_str(), "bulk" | "junk" | "list")
                && header.text("List-Id").is_none()
        }
    }
}
