//! An account paired with the connections to its provider: what the provider answers becomes feedback for the account.
//!
//! The account knows no connections, and the connections know no account. Invariant: what our own budget or our own disk
//! refused is no feedback.

use crate::account::unknown_replies::Refusal;
use crate::account::{Account, Availability, Feedback, FeedbackEffect, SecretMark, UNKNOWN_REPLY, Weighed};
use crate::clock::Timestamp;
use crate::provider::Phase;
use crate::queue::QueueEntry;
use crate::upstream::{Condition, Fate, Report, Upstream};

use super::settle::refused_before;

/// An account with its connections.
#[derive(Debug)]
pub struct ConnectedAccount {
    /// The account.
    pub account: Account,
    /// Its connections.
    pub upstream: Upstream,
    /// Held by the caller that writes the account's state to the queue.
    pub(super) saving: tokio::sync::Mutex<()>,
}

impl ConnectedAccount {
    /// Pairs the two.
    pub fn new(account: Account, upstream: Upstream) -> ConnectedAccount {
        ConnectedAccount { account, upstream, saving: tokio::sync::Mutex::default() }
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        self.account.name()
    }

    /// What the account may do now. Attempts that run side by side: one for each connection, and one that is prepared or
    /// settled meanwhile; twice as many where connections announce the next message, so that there is one to announce.
    pub fn availability(&self, now: Timestamp) -> Availability {
        let settings = self.upstream.settings();
        let capacity = settings.connections.max(1) * if settings.announce { 4 } else { 2 };
        self.account.availability(capacity, self.upstream.is_logged_in(), now)
    }

    /// Passes on what an attempt said about the account.
    pub(super) fn take_in(&self, condition: &Condition, now: Timestamp) -> FeedbackEffect {
        let feedback = match condition {
            Condition::Works => Feedback::Works,
            Condition::Unclear => Feedback::Unclear,
            Condition::Line(text) => Feedback::Unreachable(text),
            Condition::Account { verdict, text } => {
                let secret = SecretMark::of(self.upstream.used_secret().as_ref());
                Feedback::Refused { verdict: *verdict, text, secret }
            }
            Condition::Held { .. } | Condition::Unreadable { .. } => return FeedbackEffect::default(),
        };
        self.account.take_in(&feedback, now)
    }

    /// Passes on the refusals that no row of the catalogue describes. If one of them cools the account, that becomes the
    /// condition of the report.
    pub(super) fn weigh(&self, entry: &QueueEntry, places: &[usize], report: &mut Report, now: Timestamp) -> Weighed {
        // What another account has met says nothing about this one.
        let own = entry.account.as_deref() == Some(self.name());
        let mut refusals = Vec::new();
        for (&place, outcome) in places.iter().zip(&report.outcomes) {
            let rule = match (outcome.fate, outcome.verdict) {
                (Fate::Guessed, Some(verdict)) => Some(verdict),
                (Fate::Unknown, _) => None,
                _ => continue,
            };
            refusals.push(Refusal {
                rule,
                at_mail: outcome.phase == Some(Phase::Mail),
                text: &outcome.text,
                message: entry.id,
                // One reply to the whole message counts once, however many recipients it has.
                place: if outcome.phase == Some(Phase::Rcpt) { place } else { 0 },
                again: own && refused_before(entry, place),
            });
        }
        let accepted = report.outcomes.iter().any(|outcome| outcome.fate == Fate::Delivered);
        let first = entry.unknown_since.filter(|_| own);
        let weighed = self.account.weigh(entry.id, &refusals, first, accepted, now);
        if let Some(Refusal { rule, text, .. }) = weighed.cools.map(|cools| refusals[cools]) {
            // The message that met it spends a retry and waits, so that the next one to be tried is another one.
            report.condition = Condition::Account { verdict: rule.unwrap_or(UNKNOWN_REPLY), text: text.to_owned() };
        }
        weighed
    }
}
