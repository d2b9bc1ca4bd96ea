//! Tracks refusals that no row of the catalogue describes, until another message of the account is accepted. Pure.
//!
//! A reply that is not understood may condemn the message or the account. Other mail shows which: while some of it is
//! accepted, the account works. So a message is refused for good only at a second refusal after another message
//! was accepted, and an account cools only when several messages met the same words and none was accepted since.
//!
//! ```text
//!  words guessed to be the account's   second message or recipient, none accepted since   -> the account cools
//!  words not understood                third message, none accepted since                 -> the account cools, alert
//!                                      second refusal of one message                       -> alert
//!                                      at MAIL, for an hour, none accepted since           -> alert
//!                                      at MAIL, none accepted since                        -> messages go one by one
//! ```
//!
//! Invariants: a text alone never condemns a message, whatever a bad hour has taught: only the message's own second refusal
//! does; nothing here pauses an account. The state is saved with the account, bounded, and forgotten after [`FORGET`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::mail::Id;
use crate::provider::Verdict;

/// Texts are forgotten this long after they were met last.
pub const FORGET: Duration = Duration::from_secs(7 * 24 * 3600);
/// Refused messages with one text that is not understood, none accepted since: then the account cools.
const MESSAGES: usize = 3;
/// Messages or recipients that met one guess, none accepted since: then the account cools.
const GUESSED: usize = 2;
/// How long messages may be refused at MAIL before the operator is alerted.
const LONG: Duration = Duration::from_secs(3600);
/// Texts kept; the one that was met longest ago goes first.
const TEXTS: usize = 16;
/// Octets kept of a text.
const LONGEST: usize = 120;

/// A refusal that no row of the catalogue describes.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The general rule by which the account may be the cause, such as `W-RATE`; `None`: nothing was understood.
    pub rule: Option<Verdict>,
    /// The reply came to MAIL.
    pub at_mail: bool,
    /// The reply.
    pub text: &'a str,
    /// The message that met it.
    pub message: Id,
    /// The recipient that met it, by its place.
    pub place: usize,
    /// The message was refused before with a reply that was not understood.
    pub again: bool,
}

/// What follows for the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// It cools.
    pub cools: bool,
    /// The operator is alerted.
    pub alert: bool,
}

/// One text, or one general rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Met {
    /// The rule, or the words without what differs from reply to reply.
    words: String,
    at_mail: bool,
    #[serde(with = "crate::clock::millis")]
    last: Timestamp,
    /// Since when it was met without any message being accepted in between.
    #[serde(with = "crate::clock::millis")]
    since: Timestamp,
    /// The messages that met it since, with the places of their recipients; at most [`MESSAGES`] different ones.
    by: Vec<(String, usize)>,
    /// How often it was met.
    times: u64,
}

/// All that is kept of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnknownReplies {
    met: Vec<Met>,
    /// The last messages that were accepted after a refusal, at most two different ones.
    accepted: Vec<(String, i64)>,
    /// The start of the last text.
    last: String,
}

impl UnknownReplies {
    /// Takes in a refusal.
    pub fn refused(&mut self, refusal: &Refusal<'_>, now: Timestamp) -> Effect {
        self.forget(now);
        let words = refusal.rule.map_or_else(|| words_of(refusal.text), |rule| rule.cause.to_owned());
        self.last = start_of(refusal.text.to_owned());
        let known = self.met.iter().position(|met| met.words == words && met.at_mail == refusal.at_mail);
        let place = known.unwrap_or_else(|| self.enter(words, refusal.at_mail, now));
        let met = &mut self.met[place];
        if met.by.is_empty() {
            met.since = now;
        }
        (met.last, met.times) = (now, met.times.saturating_add(1));
        let by = (refusal.message.to_string(), refusal.place);
        // An unknown text counts once per message.
        let same = |(message, place): &(String, usize)| *message == by.0 && (refusal.rule.is_none() || *place == by.1);
        if met.by.len() < MESSAGES && !met.by.iter().any(same) {
            met.by.push(by);
        }
        match refusal.rule {
            Some(_) => Effect { cools: met.by.len() >= GUESSED, alert: false },
            None => {
                let cools = met.by.len() >= MESSAGES;
                let long = refusal.at_mail && now.since(met.since) >= LONG;
                Effect { cools, alert: cools || long || (refusal.again && !refusal.at_mail) }
            }
        }
    }

    /// Takes in that a message was accepted: the account works.
    pub fn accepted(&mut self, message: Id, now: Timestamp) {
        let Some(refused) = self.met.iter().map(|met| met.last.millis()).max() else { return };
        self.met.iter_mut().for_each(|met| met.by.clear());
        let message = message.to_string();
        // Two messages are enough for every question; to keep more would write the account's state with each delivery.
        if self.accepted.len() == 2 && self.accepted.iter().all(|(_, at)| *at > refused) {
            return;
        }
        self.accepted.retain(|(id, _)| *id != message);
        self.accepted.push((message, now.millis()));
        if self.accepted.len() > 2 {
            self.accepted.remove(0);
        }
    }

    /// Whether another message than this one was accepted after `since`.
    pub fn accepted_since(&self, since: Timestamp, message: Id) -> bool {
        self.accepted.iter().any(|(id, at)| *at > since.millis() && *id != message.to_string())
    }

    /// Whether messages go one by one: some were refused at MAIL with words that are not understood, and none was accepted
    /// since.
    pub fn one_by_one(&self) -> bool {
        self.met.iter().any(|met| met.at_mail && !met.by.is_empty())
    }

    /// The start of the last text, or an empty one.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// An operator or a new secret has changed the account: earlier refusals no longer count.
    pub fn begin_anew(&mut self) {
        self.met.iter_mut().for_each(|met| met.by.clear());
    }

    fn forget(&mut self, now: Timestamp) {
        self.met.retain(|met| now.since(met.last) < FORGET);
        // A clock that was set back: what lies in the future happens now.
        for met in &mut self.met {
            (met.last, met.since) = (met.last.min(now), met.since.min(now));
        }
        for (_, at) in &mut self.accepted {
            *at = now.millis().min(*at);
        }
        if self.met.is_empty() {
            self.accepted.clear();
            self.last.clear();
        }
    }

    /// Makes room for a new text; its place.
    fn enter(&mut self, words: String, at_mail: bool, now: Timestamp) -> usize {
        if self.met.len() >= TEXTS
            && let Some(oldest) = (0..self.met.len()).min_by_key(|&place| self.met[place].last)
        {
            self.met.remove(oldest);
        }
        self.met.push(Met { words, at_mail, last: now, since: now, by: Vec::new(), times: 0 });
        self.met.len() - 1
    }
}

/// The words of a reply without what differs from reply to reply: ids, addresses, numbers.
fn words_of(text: &str) -> String {
    let differs = |c: char| c.is_ascii_digit() || matches!(c, '@' | '<' | '[' | '(' | '=' | '/');
    // Chinese has no blanks between words: there only the digits go.
    let same = |word: &&str| !word.is_ascii() || !word.contains(differs);
    let words = text.split_whitespace().filter(same).collect::<Vec<_>>().join(" ").to_lowercase();
    start_of(words.chars().filter(|c| !c.is_ascii_digit()).collect())
}

fn start_of(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Action, Basis, Remedy, Scope};

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn at(minutes: u64) -> Timestamp {
        NOW + Duration::from_secs(minutes * 60)
    }

    fn message(n: u64) -> Id {
        Id::new(NOW, n)
    }

    fn unknown(n: u64, text: &str) -> Refusal<'_> {
        Refusal { rule: None, at_mail: false, text, message: message(n), place: 0, again: false }
    }

    const RATE: Verdict = Verdict {
        cause: "W-RATE",
        scope: Scope::Account,
        action: Action::Cool15,
        alert: false,
        basis: Basis::Words,
        remedy: Remedy { en: "", zh: "" },
    };
    const QUIET: Effect = Effect { cools: false, alert: false };
    const COOLS: Effect = Effect { cools: true, alert: true };

    #[test]
    fn three_messages_with_one_text_cool_the_account_and_one_that_passes_begins_anew() {
        let mut replies = UnknownReplies::default();
        let text = |n: u64| format!("554 Nope [id={n}] for a{n}@example.com");
        assert_eq!([1, 1, 2].map(|n| replies.refused(&unknown(n, &text(n)), at(n))), [QUIET; 3]);
        assert_eq!(replies.refused(&unknown(3, &text(3)), at(3)), COOLS);
        assert_eq!(replies.refused(&unknown(3, &text(3)), at(20)), COOLS, "a probe that meets it again");
        replies.accepted(message(9), at(21));
        assert_eq!([4, 5].map(|n| replies.refused(&unknown(n, &text(n)), at(22))), [QUIET; 2]);
        // Another text counts by itself.
        assert_eq!(replies.refused(&unknown(6, "554 Never"), at(23)), QUIET);
    }

    #[test]
    fn a_guess_cools_the_account_at_the_second_message_or_recipient() {
        let guess = |n, place| Refusal { rule: Some(RATE), place, ..unknown(n, "550 slow down") };
        let mut replies = UnknownReplies::default();
        assert_eq!(replies.refused(&guess(1, 0), at(0)), QUIET);
        assert_eq!(replies.refused(&guess(1, 0), at(15)), QUIET, "the same recipient again is no second one");
        assert_eq!(replies.refused(&guess(1, 1), at(16)), Effect { cools: true, alert: false });
        replies.accepted(message(2), at(17));
        assert_eq!(replies.refused(&guess(3, 0), at(18)), QUIET);
        assert!(replies.refused(&guess(4, 0), at(19)).cools);
    }

    #[test]
    fn only_another_message_proves_that_the_account_works() {
        let mut replies = UnknownReplies::default();
        replies.accepted(message(7), at(0));
        assert!(!replies.accepted_since(at(0), message(1)), "nothing is kept while nothing was refused");
        replies.refused(&unknown(1, "554 no"), at(1));
        replies.accepted(message(1), at(2));
        assert!(!replies.accepted_since(at(1), message(1)), "its other recipients prove nothing");
        replies.accepted(message(2), at(3));
        assert!(replies.accepted_since(at(1), message(1)) && !replies.accepted_since(at(3), message(1)));
        // What was accepted in between is enough for the one and not for the other, which was refused later.
        replies.refused(&unknown(3, "554 no"), at(4));
        assert!(!replies.accepted_since(at(4), message(3)));
        replies.accepted(message(4), at(5));
        assert!(replies.accepted_since(at(4), message(3)));
    }

    #[test]
    fn deliveries_change_nothing_once_two_messages_have_proved_it() {
        let mut replies = UnknownReplies::default();
        replies.refused(&unknown(1, "554 no"), at(0));
        replies.accepted(message(2), at(1));
        replies.accepted(message(3), at(2));
        let before = replies.clone();
        (4..1000).for_each(|n| replies.accepted(message(n), at(n)));
        assert_eq!(replies, before);
    }

    #[test]
    fn at_mail_messages_go_one_by_one_until_one_passes_and_an_hour_is_an_alert() {
        let mail = |n| Refusal { at_mail: true, ..unknown(n, "550 not today") };
        let mut replies = UnknownReplies::default();
        assert!(!replies.one_by_one());
        assert_eq!(replies.refused(&mail(1), at(0)), QUIET);
        assert!(replies.one_by_one());
        assert_eq!(replies.refused(&Refusal { again: true, ..mail(1) }, at(59)), QUIET);
        assert_eq!(replies.refused(&mail(1), at(61)), Effect { cools: false, alert: true });
        replies.accepted(message(2), at(62));
        assert!(!replies.one_by_one());
        assert_eq!(replies.refused(&mail(1), at(70)), QUIET, "the hour begins anew");
    }

    #[test]
    fn a_second_refusal_of_one_message_is_an_alert() {
        let mut replies = UnknownReplies::default();
        replies.refused(&unknown(1, "554 no"), at(0));
        let again = Refusal { again: true, ..unknown(1, "554 no") };
        assert_eq!(replies.refused(&again, at(60)), Effect { cools: false, alert: true });
    }

    #[test]
    fn texts_are_bounded_and_forgotten_and_outlive_the_process() {
        let mut replies = UnknownReplies::default();
        for n in 0..100 {
            let text = format!("554 {} {}", "x".repeat(n as usize), "long ".repeat(100));
            replies.refused(&unknown(n, &text), at(n));
        }
        assert_eq!(replies.met.len(), TEXTS);
        let text = serde_json::to_string(&replies).unwrap();
        assert!(text.len() < 12 * 1024, "{}", text.len());
        assert_eq!(serde_json::from_str::<UnknownReplies>(&text).unwrap(), replies);
        replies.refused(&unknown(1, "554 y"), at(100) + FORGET);
        assert_eq!(replies.met.len(), 1);
        // A clock that was set back neither forgets nor keeps for ever.
        replies.refused(&unknown(2, "554 y"), at(0));
        assert_eq!(replies.met[0].last, at(0));
    }
}
