//! The digest: one mail about many that failed, from what the queue has marked as untold.
//!
//! When it is due is [`digest`](super::digest)'s rule, its words are `message::notice::digest`'s. Invariant: the mail is
//! put and the marks are taken off in one transaction, so that nothing is told twice or never.

use std::collections::BTreeMap;

use crate::clock::Timestamp;
use crate::mail::{Address, Id};
use crate::message::header::Header;
use crate::message::notice::digest::{Digest as Words, MOST_ROWS, Row, build};
use crate::provider::{Basis, Phase, Verdict};
use crate::queue::{QueueEntry, QueueError, RecipientOutcome};

use super::Delivery;
use super::digest::Digest;
use super::notice::OWN;

/// Failures told in one digest at most; more follow in the next.
const MOST: usize = 5000;

/// One failed recipient, as it is listed.
struct Line {
    id: Id,
    client: String,
    subject: String,
    recipient: Address,
    reply: String,
    verdict: Option<Verdict>,
}

impl Delivery {
    /// After a restart: what the last process did not come to tell.
    pub(super) async fn gather_untold(&self) {
        match self.0.queue.unreported(MOST).await {
            Ok(untold) => {
                let oldest = untold.iter().filter_map(failed_at).min();
                *self.digests() = Digest::rebuilt(untold.len() as u64, oldest.unwrap_or_else(|| self.0.clock.now()));
            }
            Err(error) => tracing::error!(event = "queue_error", "untold failures could not be read: {error}"),
        }
    }

    /// Writes the digest if it is due.
    pub(super) async fn write_digest(&self, now: Timestamp) {
        let Some(untold) = self.digests().take(now) else { return };
        match self.gather(now).await {
            Ok(0) => {}
            Ok(mails) => {
                tracing::info!(event = "digest", mails, "failures were told in one mail");
                self.poke();
                if mails >= MOST {
                    // There may be more, of this process or of the last one, whose number was not counted to its end.
                    self.digests().put_back(untold.saturating_sub(mails as u64).max(1), now);
                }
            }
            Err(error) => {
                tracing::error!(event = "queue_error", "a digest could not be written: {error}");
                self.digests().put_back(untold, now);
            }
        }
    }

    /// Tells what is untold, up to [`MOST`]: one mail for each reader. Returns how many mails had failed.
    async fn gather(&self, now: Timestamp) -> Result<usize, QueueError> {
        let untold = self.0.queue.unreported(MOST).await?;
        let mut by_reader: BTreeMap<String, (Address, Vec<QueueEntry>)> = BTreeMap::new();
        let mut nobody = Vec::new();
        let mails = untold.len();
        for entry in untold {
            match self.whom(self.own_address(&entry), &entry.sender) {
                Some((to, _)) => by_reader.entry(to.key()).or_insert_with(|| (to, Vec::new())).1.push(entry),
                None => nobody.push(entry.id),
            }
        }
        for (to, entries) in by_reader.into_values() {
            self.write_one(to, &entries, now).await?;
        }
        if !nobody.is_empty() {
            self.0.queue.mark_reported(None, nobody).await?;
        }
        Ok(mails)
    }

    async fn write_one(&self, to: Address, entries: &[QueueEntry], now: Timestamp) -> Result<(), QueueError> {
        let mut lines = Vec::new();
        for entry in entries.iter().take(MOST_ROWS) {
            let subject = match self.0.queue.show(entry.id).await {
                Ok((_, head, _)) => Header::parse(&head).text("Subject").unwrap_or_default().trim().to_owned(),
                Err(QueueError::NotFound(_)) => String::new(),
                Err(error) => return Err(error),
            };
            lines.extend(self.lines(entry, &subject));
        }
        let rows: Vec<Row<'_>> = lines.iter().map(row).collect();
        let times: Vec<Timestamp> = entries.iter().filter_map(failed_at).collect();
        let between = [times.iter().min(), times.iter().max()].map(|at| at.copied().unwrap_or(now).rfc3339());
        let from = entries.first().map_or(&to, |entry| self.own_address(entry)).clone();
        let (id, date) = (self.0.ids.next(now), now.rfc5322());
        let mail = build(&Words {
            letter: self.letter(&from, &to, id, &date),
            between: (&between[0], &between[1]),
            mails: entries.len() as u64,
            rows: &rows,
            unlisted: entries.len().saturating_sub(MOST_ROWS) as u64,
        });
        let pool = self.0.router.pool(OWN, &crate::mail::ReversePath::Null, &to).to_string();
        let message = self.own_mail(id, &from, to, pool, mail, now);
        self.0.queue.mark_reported(Some(message), entries.iter().map(|entry| entry.id).collect()).await
    }

    fn lines(&self, entry: &QueueEntry, subject: &str) -> Vec<Line> {
        let failed = entry.recipients.iter().filter_map(|recipient| match &recipient.outcome {
            RecipientOutcome::Failed { reason, .. } => Some((recipient.address.clone(), reason.clone())),
            RecipientOutcome::Open { .. } | RecipientOutcome::Delivered { .. } => None,
        });
        let line = |(recipient, reply): (Address, String)| Line {
            id: entry.id,
            client: entry.origin.client.clone(),
            subject: subject.to_owned(),
            verdict: self.understand(entry, &reply),
            recipient,
            reply,
        };
        failed.map(line).collect()
    }

    /// What a reply meant that has been kept as text: the stage is not known any more, so each is asked.
    fn understand(&self, entry: &QueueEntry, text: &str) -> Option<Verdict> {
        let (code, words) = text.split_once(' ')?;
        let code: u16 = code.parse().ok()?;
        let account = self.0.accounts.iter().find(|account| Some(account.name()) == entry.account.as_deref())?;
        let group = account.upstream().settings().group;
        let ask = |phase| self.0.catalogue.classify(group, phase, code, words);
        let verdicts = [Phase::Data, Phase::Rcpt, Phase::Mail].map(ask);
        // A row is better than a general rule, which may mean something else in another phase.
        let row = verdicts.into_iter().find(|verdict| verdict.basis == Basis::Row);
        row.or_else(|| verdicts.into_iter().find(Verdict::is_known))
    }

    /// The mailbox of the account that tried last.
    fn own_address(&self, entry: &QueueEntry) -> &Address {
        let used = self.0.accounts.iter().find(|account| Some(account.name()) == entry.account.as_deref());
        used.unwrap_or(&self.0.accounts[0]).address()
    }
}

fn row(line: &Line) -> Row<'_> {
    Row {
        id: line.id,
        client: &line.client,
        subject: &line.subject,
        recipient: &line.recipient,
        reply: &line.reply,
        cause: line.verdict.map_or("", |verdict| verdict.cause),
        remedy: line.verdict.map(|verdict| (verdict.remedy.en, verdict.remedy.zh)),
    }
}

/// When the first recipient of a message failed.
fn failed_at(entry: &QueueEntry) -> Option<Timestamp> {
    let at = |outcome: &RecipientOutcome| match outcome {
        RecipientOutcome::Failed { at, .. } => Some(*at),
        RecipientOutcome::Open { .. } | RecipientOutcome::Delivered { .. } => None,
    };
    entry.recipients.iter().filter_map(|recipient| at(&recipient.outcome)).min()
}
