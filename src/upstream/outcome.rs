//! What the provider's answers come to: for each recipient a fate, for the account a condition.
//!
//! The one file that turns replies into outcomes; `delivery::settle` is the one that turns outcomes into states. Replies
//! are understood by `provider::classify`, by their text first. Invariant: a failure before the provider had the
//! message (dial, TLS, log-in) never refuses a recipient, and a reply that speaks of the account never spends a try.

use crate::clock::Timestamp;
use crate::provider::{Action, Group, Phase, Scope, Verdict, classify, reply_text};
use crate::smtp::client::{self, Failure, FailureKind, Lost, RecipientOutcome};
use crate::smtp::reply::Reply;

/// What becomes of one recipient after this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The provider has the message for this recipient.
    Delivered,
    /// Not now; try again later. Spends a try.
    Later,
    /// Not now, because of the account. Spends no try.
    Waits,
    /// Never.
    Refused,
    /// The line was lost between the final dot and its reply: nobody knows.
    Uncertain,
}

/// The fate of one recipient, with the words that decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What becomes of it.
    pub fate: Fate,
    /// The provider's reply, or what happened to the line; one line of text.
    pub text: String,
}

/// What the attempt says about the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Works,
    /// The provider could not be reached, or the line was lost: not the account's fault.
    Line(String),
    /// The account must rest, as the action says.
    Account {
        /// What to do.
        action: Action,
        /// The row of the catalogue that was recognised.
        cause: &'static str,
        /// The reply, or our own reason.
        text: String,
    },
    /// The account's budget has no log-in left: nothing was tried, and nobody is to blame.
    Held {
        /// When there is one again.
        until: Timestamp,
        /// Which budget it is.
        text: String,
    },
}

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One for each recipient of the letter, in its order.
    pub outcomes: Vec<Outcome>,
    /// What it says about the account.
    pub condition: Condition,
}

impl Report {
    /// Every one of `count` recipients has this fate, because of what is wrong with the line or the account.
    pub fn all(count: usize, condition: Condition) -> Report {
        let (fate, text) = match &condition {
            Condition::Works => (Fate::Later, String::new()),
            Condition::Line(text) => (Fate::Later, text.clone()),
            Condition::Account { text, .. } | Condition::Held { text, .. } => (Fate::Waits, text.clone()),
        };
        Report { outcomes: vec![Outcome { fate, text }; count], condition }
    }
}

/// The reply as one line: `550 Mailbox not found`.
pub fn text_of(reply: &Reply) -> String {
    format!("{} {}", reply.code(), reply_text(reply.lines()))
}

/// Reads what the client machine says of a transaction that ran to its end.
pub fn of_transaction(group: Group, outcomes: &[RecipientOutcome]) -> Report {
    let mut condition = Condition::Works;
    let outcomes = outcomes.iter().map(|one| of_recipient(group, one, &mut condition)).collect();
    Report { outcomes, condition }
}

fn of_recipient(group: Group, one: &RecipientOutcome, condition: &mut Condition) -> Outcome {
    match one {
        RecipientOutcome::Accepted(reply) => Outcome { fate: Fate::Delivered, text: text_of(reply) },
        RecipientOutcome::Refused { phase, reply } => {
            let (verdict, text) = judge(group, *phase, reply);
            let fate = fate_of(verdict);
            if fate == Fate::Waits {
                *condition = Condition::Account { action: verdict.action, cause: verdict.cause, text: text.clone() };
            }
            Outcome { fate, text }
        }
        RecipientOutcome::Uncertain { lost } => {
            let text = format!("no reply to the final dot ({}); the message may have been sent", words_of(*lost));
            // The account is not to blame; but a line that dies at the dot is no sign of health either.
            if *condition == Condition::Works {
                *condition = Condition::Line(text.clone());
            }
            Outcome { fate: Fate::Uncertain, text }
        }
        RecipientOutcome::NotTried { phase, lost } => {
            let text = format!("{} ({})", words_of(*lost), name_of(*phase));
            if *condition == Condition::Works {
                *condition = Condition::Line(text.clone());
            }
            Outcome { fate: Fate::Later, text }
        }
    }
}

fn judge(group: Group, phase: client::Phase, reply: &Reply) -> (Verdict, String) {
    let words = reply_text(reply.lines());
    let verdict = classify(group, phase_of(phase), reply.code(), &words);
    (verdict, format!("{} {words}", reply.code()))
}

/// What an action means for a recipient of the message that met it.
fn fate_of(verdict: Verdict) -> Fate {
    match (verdict.action, verdict.scope) {
        (Action::Ok, _) => Fate::Delivered,
        (Action::Bounce | Action::BounceRecipient, _) => Fate::Refused,
        // The seal was put on already: what is still not to the provider's taste will not be the next time.
        (Action::Rewrite, _) => Fate::Refused,
        // Those that were taken have been delivered; the others come again, alone.
        (Action::RetrySoon | Action::Split, _) => Fate::Later,
        (
            Action::Cool15 | Action::Cool15ThenPause | Action::RetryHour | Action::RetryDay | Action::Pause,
            Scope::Recipient | Scope::Message,
        ) => Fate::Later,
        (
            Action::Cool15 | Action::Cool15ThenPause | Action::RetryHour | Action::RetryDay | Action::Pause,
            Scope::Session | Scope::Account,
        ) => Fate::Waits,
    }
}

/// Reads what the client machine says when it never came to a transaction, or lost the line outside of one.
pub fn of_failure(group: Group, failure: &Failure) -> Condition {
    let phase = failure.phase;
    match &failure.kind {
        FailureKind::Refused(reply) => {
            let (verdict, text) = judge(group, phase, reply);
            of_refused_session(phase, verdict, text)
        }
        FailureKind::Lost(lost) => Condition::Line(format!("{} ({})", words_of(*lost), name_of(phase))),
        FailureKind::Protocol(what) => Condition::Line(format!("not an SMTP reply: {what} ({})", name_of(phase))),
        FailureKind::NoTls => Condition::Line(
            "TLS is required, and the server does not offer STARTTLS; nothing secret was sent".to_owned(),
        ),
        FailureKind::NoMechanism => Condition::Account {
            action: Action::RetryHour,
            cause: "no-mechanism",
            text: "the server offers no log-in mechanism that this account may use".to_owned(),
        },
    }
}

fn of_refused_session(phase: client::Phase, verdict: Verdict, text: String) -> Condition {
    let rests = matches!(fate_of(verdict), Fate::Waits);
    if phase_of(phase) == Phase::Auth {
        // Whatever else a refused log-in says, it must not be tried again at once (each try feeds the limiter).
        let action = if rests { verdict.action } else { Action::Cool15 };
        Condition::Account { action, cause: verdict.cause, text }
    } else if rests {
        Condition::Account { action: verdict.action, cause: verdict.cause, text }
    } else {
        Condition::Line(text)
    }
}

/// The phase in the catalogue's words.
fn phase_of(phase: client::Phase) -> Phase {
    match phase {
        client::Phase::Greeting => Phase::Connect,
        client::Phase::Ehlo => Phase::Ehlo,
        client::Phase::StartTls => Phase::StartTls,
        client::Phase::Auth => Phase::Auth,
        client::Phase::Mail | client::Phase::Idle => Phase::Mail,
        client::Phase::Rcpt => Phase::Rcpt,
        client::Phase::DataCommand | client::Phase::Body | client::Phase::FinalDot => Phase::Data,
        client::Phase::Quit => Phase::Quit,
    }
}

/// The phase in words for a person.
fn name_of(phase: client::Phase) -> &'static str {
    match phase {
        client::Phase::Greeting => "waiting for the greeting",
        client::Phase::Ehlo => "after EHLO",
        client::Phase::StartTls => "after STARTTLS",
        client::Phase::Auth => "during the log-in",
        client::Phase::Mail => "after MAIL",
        client::Phase::Rcpt => "after RCPT",
        client::Phase::DataCommand => "after DATA",
        client::Phase::Body => "while the message was sent",
        client::Phase::FinalDot => "after the final dot",
        client::Phase::Idle => "between messages",
        client::Phase::Quit => "after QUIT",
    }
}

fn words_of(lost: Lost) -> &'static str {
    match lost {
        Lost::Eof => "the server closed the connection",
        Lost::Timeout => "the server did not answer in time",
        Lost::Reset => "the connection was lost",
        Lost::Protocol => "the server's answer was not SMTP",
    }
}
