//! The relay's own mail: from which account, to whom, and in what form it enters the queue.
//!
//! Invariants (RFC 5321 section 6.1, RFC 3834): it is ordinary mail from an account, never with a null sender, because the
//! providers refuse that; it carries a mark, so that a failed notice causes no other notice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::language::Language;
use crate::mail::{Address, ClientKey, Id, IdSource, Lane, ReversePath};
use crate::message::notice::{Letter, Reader};
use crate::message::summary::Summary;
use crate::queue::{LONGEST_SUBJECT, MessageOrigin, NewMessage};
use crate::route::{Pattern, Router};

/// The client name that the relay's own mail carries in the queue.
const OWN: &str = "yizhan";

/// Who receives the notice about a message that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeTo {
    /// The account's own mailbox.
    Account,
    /// The envelope sender, where the settings name it ([`ReportSettings::vouched`]); else the account's own mailbox.
    Sender,
    /// This mailbox.
    Address(Address),
    /// No one; the failure is in the log and in the queue's list.
    Nobody,
}

/// The settings of the reports.
#[derive(Clone, Debug)]
pub struct ReportSettings {
    /// Who receives failure notices.
    pub notice: NoticeTo,
    /// The senders that the settings name. Any other sender may be forged, and a notice to it would be backscatter
    /// (RFC 5321 section 6.1).
    pub vouched: Vec<Pattern>,
    /// The language of notices and alarms.
    pub language: Language,
    /// The name of this host in notices.
    pub hostname: String,
    /// How long after its creation a report is given up.
    pub expire: Duration,
}

/// Writes the relay's own mail.
#[derive(Clone, Debug)]
pub struct OwnMail {
    pub(super) settings: ReportSettings,
    router: Arc<Router>,
    ids: Arc<IdSource>,
}

impl OwnMail {
    /// Takes ids and pools from the sources that all mail has.
    pub fn new(settings: ReportSettings, router: Arc<Router>, ids: Arc<IdSource>) -> OwnMail {
        OwnMail { settings, router, ids }
    }

    /// The pool of a mail to `to` about a message from `sender`.
    pub(super) fn pool(&self, sender: &ReversePath, to: &Address) -> String {
        self.router.pool(OWN, sender, to).to_string()
    }

    /// Who reads about a failed message from `sender`, and in which role; `None` when no one does. `own` is the mailbox of
    /// the account that tried it.
    pub(super) fn reader(&self, own: &Address, sender: &ReversePath) -> Option<(Address, Reader)> {
        // Any client may write any sender into the envelope.
        let vouched = |address: &&Address| {
            address.is_qualified() && self.settings.vouched.iter().any(|pattern| pattern.permits(Some(address)))
        };
        match &self.settings.notice {
            NoticeTo::Account => Some((own.clone(), Reader::Owner)),
            NoticeTo::Address(address) => Some((address.clone(), Reader::Owner)),
            NoticeTo::Sender => match sender.address().filter(vouched) {
                Some(sender) => Some((sender.clone(), Reader::Sender)),
                None => Some((own.clone(), Reader::Owner)),
            },
            NoticeTo::Nobody => None,
        }
    }

    /// A mail for the queue, from the head and the body that `write` returns.
    pub(super) fn compose(
        &self,
        from: &Address,
        to: Address,
        pool: String,
        now: Timestamp,
        write: impl FnOnce(Letter<'_>) -> (Vec<u8>, Vec<u8>),
    ) -> NewMessage {
        let (id, date): (Id, String) = (self.ids.next(now), now.rfc5322());
        let (host, language) = (self.settings.hostname.as_str(), self.settings.language);
        let (head, body) = write(Letter { from, to: &to, id, domain: from.domain(), host, date: &date, language });
        let Summary { subject, message_id } = Summary::of(&head, LONGEST_SUBJECT);
        NewMessage {
            id,
            received: now,
            expires: now + self.settings.expire,
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
            subject,
            message_id,
        }
    }
}
