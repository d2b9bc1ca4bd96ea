//! The digest: one mail about many messages that failed, from the entries that the queue has marked as untold.
//!
//! When it is due is [`DigestSchedule`](super::digest::DigestSchedule)'s rule, its words are `message::notice::digest`'s. The
//! caller puts the mail and takes the marks off in one transaction, so that a failure is reported exactly once.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::mail::{Address, ReversePath};
use crate::message::notice::digest::{Digest, MOST_ROWS, Row, build};
use crate::provider::{Basis, Catalogue, Group, Phase, Verdict};
use crate::queue::{NewMessage, QueueEntry, RecipientOutcome};

use super::own_mail::OwnMail;

/// What a digest needs to know of an account.
#[derive(Clone, Debug)]
pub struct ReportAccount {
    /// Its name in the settings.
    pub name: String,
    /// The mailbox it sends as.
    pub address: Address,
    /// Whose replies it gets.
    pub group: Group,
}

/// Builds digests.
#[derive(Debug)]
pub struct DigestBuilder {
    own_mail: OwnMail,
    catalogue: Catalogue,
    /// At least one.
    accounts: Vec<ReportAccount>,
}

/// One failed recipient, as it is listed.
struct Line<'a> {
    entry: &'a QueueEntry,
    subject: &'a str,
    recipient: &'a Address,
    reply: &'a str,
    verdict: Option<Verdict>,
}

impl DigestBuilder {
    /// Builds digests for the failures of these accounts, at least one.
    pub fn new(own_mail: OwnMail, catalogue: Catalogue, accounts: Vec<ReportAccount>) -> DigestBuilder {
        DigestBuilder { own_mail, catalogue, accounts }
    }

    /// The failures for each reader; those that no one reads about come last.
    pub fn by_reader(&self, untold: Vec<QueueEntry>) -> Vec<(Option<Address>, Vec<QueueEntry>)> {
        let (mut readers, mut nobody) = (BTreeMap::new(), Vec::new());
        for entry in untold {
            match self.own_mail.reader(&self.account(&entry).unwrap_or(&self.accounts[0]).address, &entry.sender) {
                Some((to, _)) => readers.entry(to.key()).or_insert_with(|| (Some(to), Vec::new())).1.push(entry),
                None => nobody.push(entry),
            }
        }
        let nobody = (!nobody.is_empty()).then_some((None, nobody));
        readers.into_values().chain(nobody).collect()
    }

    /// The entries whose subjects [`DigestBuilder::build`] shows; it counts the others.
    pub fn listed(entries: &[QueueEntry]) -> &[QueueEntry] {
        &entries[..entries.len().min(MOST_ROWS)]
    }

    /// One mail about these failures. `subjects` belong to the first of them ([`DigestBuilder::listed`]).
    pub fn build(&self, to: Address, entries: &[QueueEntry], subjects: &[String], now: Timestamp) -> NewMessage {
        let lines: Vec<Line<'_>> =
            entries.iter().zip(subjects).flat_map(|(entry, text)| self.lines(entry, text)).collect();
        let rows: Vec<Row<'_>> = lines.iter().map(row).collect();
        let times: Vec<Timestamp> = entries.iter().filter_map(failed_at).collect();
        let between = [times.iter().min(), times.iter().max()].map(|at| at.copied().unwrap_or(now).rfc3339());
        let account = entries.first().and_then(|entry| self.account(entry)).unwrap_or(&self.accounts[0]);
        let pool = self.own_mail.pool(&ReversePath::Null, &to);
        self.own_mail.compose(&account.address, to, pool, now, |letter| {
            build(&Digest {
                letter,
                between: (&between[0], &between[1]),
                mails: entries.len() as u64,
                rows: &rows,
                unlisted: entries.len().saturating_sub(MOST_ROWS) as u64,
            })
        })
    }

    fn lines<'a>(&'a self, entry: &'a QueueEntry, subject: &'a str) -> impl Iterator<Item = Line<'a>> {
        entry.recipients.iter().filter_map(move |recipient| match &recipient.outcome {
            RecipientOutcome::Failed { reason: reply, .. } => {
                Some(Line { entry, subject, recipient: &recipient.address, reply, verdict: self.verdict(entry, reply) })
            }
            RecipientOutcome::Open { .. } | RecipientOutcome::Delivered { .. } => None,
        })
    }

    /// The verdict on a reply that was stored as text. Its phase is not stored, so each is asked.
    fn verdict(&self, entry: &QueueEntry, text: &str) -> Option<Verdict> {
        let (code, words) = text.split_once(' ')?;
        let (code, group) = (code.parse().ok()?, self.account(entry)?.group);
        let verdicts =
            [Phase::Data, Phase::Rcpt, Phase::Mail].map(|phase| self.catalogue.classify(group, phase, code, words));
        // A row is better than a general rule, which may mean something else in another phase.
        let row = verdicts.into_iter().find(|verdict| verdict.basis == Basis::Row);
        row.or_else(|| verdicts.into_iter().find(Verdict::is_known))
    }

    /// The account that tried last, if the settings still have it.
    fn account(&self, entry: &QueueEntry) -> Option<&ReportAccount> {
        self.accounts.iter().find(|account| Some(account.name.as_str()) == entry.account.as_deref())
    }
}

fn row<'a>(line: &Line<'a>) -> Row<'a> {
    Row {
        id: line.entry.id,
        client: &line.entry.origin.client,
        subject: line.subject,
        recipient: line.recipient,
        reply: line.reply,
        cause: line.verdict.map_or("", |verdict| verdict.cause),
        remedy: line.verdict.map(|verdict| (verdict.remedy.en, verdict.remedy.zh)),
    }
}

/// When the first recipient of a message failed.
pub fn failed_at(entry: &QueueEntry) -> Option<Timestamp> {
    let at = |outcome: &RecipientOutcome| match outcome {
        RecipientOutcome::Failed { at, .. } => Some(*at),
        RecipientOutcome::Open { .. } | RecipientOutcome::Delivered { .. } => None,
    };
    entry.recipients.iter().filter_map(|recipient| at(&recipient.outcome)).min()
}
