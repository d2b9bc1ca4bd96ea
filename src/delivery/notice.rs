//! The failure notice: for whom, when, and from what. Its words and its form are `message::notice`'s.
//!
//! A notice is put in the transaction that lets the mail fail. When a handful have failed within ten minutes
//! ([`digest`](super::digest)), the mail is marked as untold instead, in the same transaction, and `teller` writes one
//! mail for all of them later. Invariants (RFC 5321 section 6.1, RFC 3834): a notice is ordinary mail from the account,
//! never with a null sender, because the providers refuse that; a notice never causes another notice.

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::mail::{Address, ClientKey, Id, Lane, ReversePath};
use crate::message::notice::{Failure, Letter, Notice, Reader, build, may_tell};
use crate::queue::{Lease, MessageOrigin, NewMessage, Settlement};

use super::account::Account;
use super::digest::Tell;
use super::settle::{Change, Event};
use super::{Delivery, NoticeTo};

/// The client name that mail of our own carries in the queue.
pub(super) const OWN: &str = "yizhan";

impl Delivery {
    /// Sees to it that the owner hears of the recipients that failed just now: at once, or with others.
    pub(super) fn tell_owner(
        &self,
        settlement: &mut Settlement,
        account: &Account,
        lease: &Lease,
        changes: &[Change],
        now: Timestamp,
    ) {
        let failed: Vec<&Change> = changes.iter().filter(|change| change.event == Event::Failed).collect();
        let entry = &lease.entry;
        if failed.is_empty() || entry.notice {
            return;
        }
        let Some((to, reader)) = self.whom(account.address(), &entry.sender) else { return };
        if !may_tell(&lease.head, &entry.sender, reader) {
            return;
        }
        match self.digests().on_failure(now) {
            Tell::Now => settlement.notice = Some(Box::new(self.notice(account, lease, &failed, to, now))),
            Tell::Later(_) => {
                settlement.unreported = true;
                self.0.tellings.notify_one();
            }
        }
    }

    /// The notice about these recipients.
    fn notice(&self, account: &Account, lease: &Lease, failed: &[&Change], to: Address, now: Timestamp) -> NewMessage {
        let entry = &lease.entry;
        let statuses: Vec<String> = failed.iter().map(|change| status(&change.text)).collect();
        let failures: Vec<Failure<'_>> = failed
            .iter()
            .zip(&statuses)
            .map(|(change, status)| Failure {
                recipient: &entry.recipients[change.place].address,
                status,
                reply: &change.text,
                remedy: change.remedy.map(|remedy| (remedy.en, remedy.zh)),
            })
            .collect();
        let (id, date, arrived) = (self.0.ids.next(now), now.rfc5322(), entry.received.rfc5322());
        let (head, body) = build(&Notice {
            letter: self.letter(account.address(), &to, id, &date),
            failed: entry.id,
            arrived: &arrived,
            tries: entry.tries + 1,
            original: &lease.head,
            failures: &failures,
        });
        let pool = self.0.router.pool(OWN, &entry.sender, &to).to_string();
        self.own_mail(id, account.address(), to, pool, (head, body), now)
    }

    /// What every mail of our own has.
    pub(super) fn letter<'a>(&'a self, from: &'a Address, to: &'a Address, id: Id, date: &'a str) -> Letter<'a> {
        let (host, language) = (self.0.settings.hostname.as_str(), self.0.settings.language);
        Letter { from, to, id, domain: from.domain(), host, date, language }
    }

    /// A mail of our own, on its way into the queue.
    pub(super) fn own_mail(
        &self,
        id: Id,
        from: &Address,
        to: Address,
        pool: String,
        (head, body): (Vec<u8>, Vec<u8>),
        now: Timestamp,
    ) -> NewMessage {
        NewMessage {
            id,
            received: now,
            expires: now + self.0.settings.schedule.expire,
            origin: MessageOrigin {
                client: OWN.to_owned(),
                key: ClientKey::of_relay(),
                addr: std::net::Ipv4Addr::LOCALHOST.into(),
                listener: OWN.to_owned(),
                helo: OWN.to_owned(),
            },
            sender: ReversePath::Address(from.clone()),
            recipients: vec![to],
            head: Bytes::from(head),
            body: Bytes::from(body).into(),
            repairs: Vec::new(),
            notice: true,
            lane: Lane::Alarm,
            pool,
        }
    }

    /// Who reads of a failed mail, and in which role; `None` when nobody is to be told.
    pub(super) fn whom(&self, own: &Address, sender: &ReversePath) -> Option<(Address, Reader)> {
        match &self.0.settings.notice {
            NoticeTo::Account => Some((own.clone(), Reader::Owner)),
            NoticeTo::Address(address) => Some((address.clone(), Reader::Owner)),
            NoticeTo::Sender => match sender.address().filter(|address| self.vouches_for(address)) {
                Some(sender) => Some((sender.clone(), Reader::Sender)),
                None => Some((own.clone(), Reader::Owner)),
            },
            NoticeTo::Nobody => None,
        }
    }

    /// Whether the settings name this sender; any client may write any other one into the envelope.
    fn vouches_for(&self, sender: &Address) -> bool {
        sender.is_qualified() && self.0.settings.vouched.iter().any(|pattern| pattern.permits(Some(sender)))
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
