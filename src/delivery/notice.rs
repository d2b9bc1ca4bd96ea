//! The failure notice: for whom, and from what. Its words and its form are `message::notice`'s.
//!
//! Invariants (RFC 5321 section 6.1, RFC 3834): a notice is ordinary mail from the account, never with a null sender,
//! because the providers refuse that; a notice never causes another notice.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::language::Language;
use crate::mail::{Address, ReversePath};
use crate::message::notice::{Failure, Letter, Notice, build};
use crate::queue::Lease;
use crate::queue::entry::{NewMessage, Origin};

use super::account::Account;
use super::settle::{Change, Event};
use super::{Delivery, NoticeTo};

/// The client name that notices carry in the queue.
const OWN: &str = "yizhan";

impl Delivery {
    /// The notice about the recipients that failed just now; `None` when none did, or nobody is to be told.
    pub(super) fn notice(
        &self,
        account: &Account,
        lease: &Lease,
        changes: &[Change],
        now: Timestamp,
    ) -> Option<NewMessage> {
        let entry = &lease.entry;
        let failed: Vec<&Change> = changes.iter().filter(|change| change.event == Event::Failed).collect();
        if failed.is_empty() || entry.notice {
            return None;
        }
        let to = self.whom(account, &entry.sender)?;
        let statuses: Vec<String> = failed.iter().map(|change| status(&change.text)).collect();
        let failures: Vec<Failure<'_>> = failed
            .iter()
            .zip(&statuses)
            .map(|(change, status)| Failure {
                recipient: &entry.recipients[change.place].address,
                status,
                reply: &change.text,
                remedy: None,
            })
            .collect();
        let (id, date, arrived) = (self.0.ids.next(now), now.rfc5322(), entry.received.rfc5322());
        let (head, body) = build(&Notice {
            letter: Letter {
                from: account.address(),
                to: &to,
                id,
                domain: account.address().domain(),
                host: &self.0.settings.hostname,
                date: &date,
                language: Language::Both,
            },
            failed: entry.id,
            arrived: &arrived,
            tries: 0,
            original: &lease.head,
            failures: &failures,
        });
        Some(NewMessage {
            id,
            received: now,
            expires: now + self.0.settings.schedule.expire,
            origin: Origin {
                client: OWN.to_owned(),
                addr: std::net::Ipv4Addr::LOCALHOST.into(),
                listener: OWN.to_owned(),
                helo: OWN.to_owned(),
            },
            sender: ReversePath::Address(account.address().clone()),
            recipients: vec![to],
            head: Bytes::from(head),
            body: Bytes::from(body).into(),
            repairs: Vec::new(),
            notice: true,
        })
    }

    fn whom(&self, account: &Account, sender: &ReversePath) -> Option<Address> {
        match &self.0.settings.notice {
            NoticeTo::Account => Some(account.address().clone()),
            NoticeTo::Address(address) => Some(address.clone()),
            NoticeTo::Sender => {
                let qualified = sender.address().filter(|address| address.is_qualified());
                Some(qualified.unwrap_or(account.address()).clone())
            }
            NoticeTo::Nobody => None,
        }
    }
}

/// The enhanced status code for a reply: the one it carries if that is a permanent one, else a general one (RFC 3463).
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
