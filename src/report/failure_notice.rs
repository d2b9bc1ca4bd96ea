//! The notice about one message that failed: to whom it goes, and from what it is written.
//!
//! The caller puts it into the queue in the transaction that records the failure. The form and the words are
//! `message::notice`'s; whether the failure is reported by a notice or in a digest is [`DigestSchedule`]'s rule.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::mail::Address;
use crate::message::notice::{Failure, Notice, build, may_tell};
use crate::provider::Remedy;
use crate::queue::{Lease, NewMessage};

use super::digest::{DigestSchedule, ReportTime};
use super::own_mail::OwnMail;

/// A message of which recipients failed.
#[derive(Debug)]
pub struct FailedMessage<'a> {
    /// The message.
    pub lease: &'a Lease,
    /// The mailbox of the account that tried it.
    pub account: &'a Address,
    /// The recipients that failed now.
    pub recipients: Vec<FailedRecipient<'a>>,
}

/// A recipient that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedRecipient<'a> {
    /// The address.
    pub address: &'a Address,
    /// The provider's reply, or the relay's reason.
    pub reply: &'a str,
    /// What the operator should do, where the reply was understood.
    pub remedy: Option<Remedy>,
}

/// How a failure is reported.
#[derive(Debug)]
pub enum FailureReport {
    /// Not at all.
    None,
    /// By this notice.
    Notice(Box<NewMessage>),
    /// In the next digest.
    Digest,
}

/// Decides how each failure is reported.
#[derive(Debug)]
pub struct FailureReports {
    own_mail: OwnMail,
    digests: Mutex<DigestSchedule>,
}

impl FailureReports {
    /// Reports failures by mail of the relay's own.
    pub fn new(own_mail: OwnMail) -> FailureReports {
        FailureReports { own_mail, digests: Mutex::default() }
    }

    /// When digests are due.
    pub fn digests(&self) -> MutexGuard<'_, DigestSchedule> {
        // A schedule is one value, whose methods do not panic half-way.
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the failure of this message is reported.
    pub fn report(&self, failed: &FailedMessage<'_>, now: Timestamp) -> FailureReport {
        let entry = &failed.lease.entry;
        // A notice never causes another notice.
        if failed.recipients.is_empty() || entry.notice {
            return FailureReport::None;
        }
        let reader = self.own_mail.reader(failed.account, &entry.sender);
        let Some((to, _)) = reader.filter(|(_, role)| may_tell(&failed.lease.head, &entry.sender, *role)) else {
            return FailureReport::None;
        };
        let time = self.digests().on_failure(now);
        match time {
            ReportTime::Now => FailureReport::Notice(Box::new(self.notice(failed, to, now))),
            ReportTime::Later(_) => FailureReport::Digest,
        }
    }

    fn notice(&self, failed: &FailedMessage<'_>, to: Address, now: Timestamp) -> NewMessage {
        let FailedMessage { lease, account, recipients } = failed;
        let entry = &lease.entry;
        let statuses: Vec<String> = recipients.iter().map(|one| status(one.reply)).collect();
        let failures: Vec<Failure<'_>> = recipients
            .iter()
            .zip(&statuses)
            .map(|(one, status)| Failure {
                recipient: one.address,
                status,
                reply: one.reply,
                remedy: one.remedy.map(|remedy| (remedy.en, remedy.zh)),
            })
            .collect();
        let arrived = entry.received.rfc5322();
        let pool = self.own_mail.pool(&entry.sender, &to);
        self.own_mail.compose(account, to, pool, now, |letter| {
            build(&Notice {
                letter,
                failed: entry.id,
                arrived: &arrived,
                tries: entry.tries + 1,
                original: &lease.head,
                failures: &failures,
            })
        })
    }
}

/// The enhanced status code for a reply: the one it carries, if that is a permanent one; else a general one (RFC 3463).
fn status(text: &str) -> String {
    let carried = text.split_whitespace().nth(1).filter(|word| {
        let mut parts = word.split('.');
        let numeric = |part: Option<&str>| {
            part.is_some_and(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
        };
        parts.next() == Some("5") && numeric(parts.next()) && numeric(parts.next()) && parts.next().is_none()
    });
    carried.unwrap_or("5.0.0").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_taken_from_the_reply_or_general() {
        assert_eq!(status("550 5.1.1 no such user"), "5.1.1");
        assert_eq!(status("550 Mailbox not found. http://service.mail.qq.com/"), "5.0.0");
        assert_eq!(status("550 5.1.1.1 x"), "5.0.0");
        assert_eq!(status("given up after 20 tries: 451 4.3.0 later"), "5.0.0");
        assert_eq!(status(""), "5.0.0");
    }
}
