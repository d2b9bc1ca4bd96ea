//! What the provider's answers come to: for each recipient a fate, for the account a condition.
//!
//! The one file that turns replies into outcomes; `delivery::settle` is the one that turns outcomes into states. Replies
//! are understood by `provider::Catalogue`, by their text first. Invariants: a failure before the provider had the
//! message (dial, TLS, log-in) never refuses a recipient, whatever the reply says; a reply that speaks of the account
//! never spends a try; what is wrong with one recipient is not held against the others.

use crate::clock::Timestamp;
use crate::oauth::{TokenError, fault};
use crate::provider::{Action, Basis, Phase, Remedy, Scope, Verdict, reply_text};
use crate::secret::redact::redact;
use crate::smtp::client::{self, Failure, FailureKind, Lost, RecipientOutcome};
use crate::smtp::reply::Reply;

use super::settings::UpstreamSettings;

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
    /// There were too many recipients in one transaction: try fewer. With one recipient it is refused.
    Split,
    /// The provider does not like the sender or the header: rewrite the sender strictly and send once more. If that was done, it is
    /// refused.
    Rewrite,
    /// The line was lost between the final dot and its reply: nobody knows.
    Uncertain,
    /// Refused with words from which a general rule guesses that the account or this host is the cause.
    Guessed,
    /// Refused for good, with words that are not understood.
    Unknown,
}

/// The fate of one recipient, with the words that decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What becomes of it.
    pub fate: Fate,
    /// The provider's reply, or what happened to the line; one line of text.
    pub text: String,
    /// What the reply was understood as; none when it was a success, or when there was no reply.
    pub verdict: Option<Verdict>,
    /// Where in the dialogue the reply came, if there was one to this recipient or this message.
    pub phase: Option<Phase>,
}

/// What the attempt says about the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Works,
    /// The provider refused mail, and it is not known whether the mail or the account is the cause.
    Unclear,
    /// The provider could not be reached, or the line was lost: not the account's fault.
    Line(String),
    /// The account must rest, as the action says: whatever the scope, nothing goes through it before.
    Account {
        /// What to do, and what the owner should do. Never bounces, splits or rewrites anything.
        verdict: Verdict,
        /// The reply, or our own reason.
        text: String,
    },
    /// The relay cannot read its own copy of the message: neither the account nor the line is to blame. The connection
    /// was closed before the final dot, so nothing was delivered.
    Unreadable {
        /// Which file, and what the system says.
        text: String,
        /// The file is at fault; if not, another try may do.
        lasting: bool,
    },
    /// The account's budget has no log-in left: nothing was tried, and nobody is to blame.
    Held {
        /// When there is one again.
        until: Timestamp,
        /// Which budget it is.
        text: String,
    },
}

/// A fault of our own that only the owner can mend, with a remedy as if it had been a reply.
const fn own_fault(cause: &'static str, action: Action, en: &'static str, zh: &'static str) -> Verdict {
    let remedy = Remedy { en, zh };
    Verdict { cause, scope: Scope::Config, action, alert: true, basis: Basis::Row, remedy }
}

/// The server offers no log-in mechanism that the account may use (RFC 4954 section 3).
pub const NO_MECHANISM: Verdict = own_fault(
    "no-mechanism",
    Action::RetryHour,
    "The server does not offer the way of logging in that the settings ask for. Look at host and port, and remove `login` \
     from the account; a server that wants OAuth2 only needs [account.NAME.oauth].",
    "服务器不提供设置里要求的登录方式。请检查服务器和端口，并去掉账号里的 login；只接受 OAuth2 的服务器需要设置 [account.NAME.oauth]。",
);

/// The secret of the account cannot be read.
pub const NO_SECRET: Verdict = own_fault(
    "secret",
    Action::Cool15,
    "The relay cannot read the secret of this account. Look whether the file is there and readable for the user it runs \
     as, and has one line. The relay looks again by itself.",
    "中继读不到该账号的密码。请检查文件是否存在、运行中继的用户能否读取、里面是否只有一行。中继会自己再看。",
);

/// TLS cannot be set up on this side: the file of certificates is unreadable.
pub const NO_TLS: Verdict = own_fault(
    "tls",
    Action::Cool15,
    "The relay cannot read the certificates it should trust. Look at `ca` of this account; the file must hold PEM \
     certificates. The relay looks again by itself.",
    "中继读不到要信任的证书。请检查该账号的 ca；文件里应是 PEM 格式的证书。中继会自己再看。",
);

/// The line broke after the secret was sent, before the server said yes or no.
pub const LOST_LOG_IN: Verdict = Verdict {
    alert: false,
    ..own_fault(
        "lost-log-in",
        Action::Cool15,
        "The server cut the line in the middle of the log-in. The relay waits before it tries again, because each try \
         counts. If it goes on, look at the server's own log, or at a firewall between.",
        "服务器在登录过程中断开了连接。每次登录都会被计数，因此中继会等待后再试。若一直如此，请查看服务器日志或中间的防火墙。",
    )
};

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
        let (fate, text, verdict) = match &condition {
            Condition::Works | Condition::Unclear => (Fate::Later, String::new(), None),
            Condition::Line(text) | Condition::Unreadable { text, .. } => (Fate::Later, text.clone(), None),
            Condition::Held { text, .. } => (Fate::Waits, text.clone(), None),
            Condition::Account { text, verdict } => (Fate::Waits, text.clone(), Some(*verdict)),
        };
        Report { outcomes: vec![Outcome { fate, text, verdict, phase: None }; count], condition }
    }
}

/// The words of a reply are kept and shown up to this many octets; a reply may have a hundred thousand.
const WORDS: usize = 2000;

/// The reply as one line: `550 Mailbox not found`.
pub fn text_of(reply: &Reply) -> String {
    format!("{} {}", reply.code(), shown(&reply_text(reply.lines())))
}

/// The words as they are kept and shown: without secrets, and the begin of them where there are too many.
fn shown(words: &str) -> String {
    let mut words = redact(words).into_owned();
    if words.len() > WORDS {
        words.truncate(words.floor_char_boundary(WORDS));
        words.push_str(" ...");
    }
    words
}

/// Reads what the client machine says of a transaction that ran to its end.
pub fn of_transaction(settings: &UpstreamSettings, outcomes: &[RecipientOutcome]) -> Report {
    let mut condition = Condition::Works;
    let outcomes: Vec<Outcome> = outcomes.iter().map(|one| of_recipient(settings, one, &mut condition)).collect();
    let any = |fits: fn(Fate) -> bool| outcomes.iter().any(|one| fits(one.fate));
    let unclear = any(|fate| matches!(fate, Fate::Guessed | Fate::Unknown));
    if condition == Condition::Works && unclear && !any(|fate| fate == Fate::Delivered) {
        condition = Condition::Unclear;
    }
    Report { outcomes, condition }
}

fn of_recipient(settings: &UpstreamSettings, one: &RecipientOutcome, condition: &mut Condition) -> Outcome {
    match one {
        RecipientOutcome::Accepted(reply) => {
            Outcome { fate: Fate::Delivered, text: text_of(reply), verdict: None, phase: Some(Phase::Data) }
        }
        RecipientOutcome::Refused { phase, reply } => {
            let (verdict, text) = judge(settings, *phase, reply);
            let phase = phase_of(*phase);
            let fate = fate_of(verdict);
            if fate == Fate::Waits {
                *condition = Condition::Account { verdict, text: text.clone() };
            }
            Outcome { fate, text, verdict: Some(verdict), phase: Some(phase) }
        }
        RecipientOutcome::Uncertain { lost } => {
            let text = format!("no reply to the final dot ({}); the message may have been sent", words_of(*lost));
            // The account is not to blame; but a line that dies at the dot is no sign of health either.
            if *condition == Condition::Works {
                *condition = Condition::Line(text.clone());
            }
            Outcome { fate: Fate::Uncertain, text, verdict: None, phase: None }
        }
        RecipientOutcome::NotTried { phase, lost } => {
            let text = format!("{} ({})", words_of(*lost), name_of(*phase));
            if *condition == Condition::Works {
                *condition = Condition::Line(text.clone());
            }
            Outcome { fate: Fate::Later, text, verdict: None, phase: None }
        }
    }
}

/// Understands a refusal; what nobody has described yet is said in the log, once.
fn judge(settings: &UpstreamSettings, phase: client::ClientPhase, reply: &Reply) -> (Verdict, String) {
    let (phase, code, words) = (phase_of(phase), reply.code(), reply_text(reply.lines()));
    let verdict = match (&settings.token, phase) {
        (Some(_), Phase::Auth) => fault::of_log_in(&settings.catalogue, settings.group, code, &words),
        (_, _) => settings.catalogue.classify(settings.group, phase, code, &words),
    };
    let words = shown(&words);
    if verdict.basis != Basis::Row {
        settings.catalogue.note_unknown(&settings.account, phase, code, &words);
    }
    (verdict, format!("{code} {words}"))
}

/// What an action means for a recipient of the message that met it.
fn fate_of(verdict: Verdict) -> Fate {
    match (verdict.action, verdict.scope) {
        (Action::Ok, _) => Fate::Delivered,
        (Action::Bounce | Action::BounceRecipient, _) => Fate::Refused,
        (Action::Rewrite, _) => Fate::Rewrite,
        (Action::Split, _) => Fate::Split,
        (Action::RetryThenBounce, _) => Fate::Unknown,
        // One message is no proof: the account cools only at the second.
        (Action::Cool15, Scope::Session | Scope::Account | Scope::Host | Scope::Domain | Scope::Config)
            if verdict.basis == Basis::Words =>
        {
            Fate::Guessed
        }
        // A connection that is over, or a message that is not wanted yet: this message alone comes again.
        (Action::RetrySoon, Scope::Session | Scope::Message | Scope::Recipient) => Fate::Later,
        (
            Action::Cool15
            | Action::Cool15ThenPause
            | Action::RetryHour
            | Action::RetryHourThenPause
            | Action::RetryDay
            | Action::Pause,
            Scope::Recipient | Scope::Message,
        ) => Fate::Later,
        (Action::RetrySoon, Scope::Account | Scope::Host | Scope::Domain | Scope::Config) => Fate::Waits,
        (
            Action::Cool15
            | Action::Cool15ThenPause
            | Action::RetryHour
            | Action::RetryHourThenPause
            | Action::RetryDay
            | Action::Pause,
            Scope::Session | Scope::Account | Scope::Host | Scope::Domain | Scope::Config,
        ) => Fate::Waits,
    }
}

/// Reads what the client machine says when it never came to a transaction, or lost the line outside of one.
pub fn of_failure(settings: &UpstreamSettings, failure: &Failure) -> Condition {
    let phase = failure.phase;
    match &failure.kind {
        FailureKind::Refused(reply) => {
            let (verdict, text) = judge(settings, phase, reply);
            of_refused_session(phase, verdict, text)
        }
        FailureKind::Lost(lost) => lost_line(failure, format!("{} ({})", words_of(*lost), name_of(phase))),
        FailureKind::Protocol(what) => {
            lost_line(failure, shown(&format!("not an SMTP reply: {what} ({})", name_of(phase))))
        }
        FailureKind::NoTls => Condition::Line(
            "TLS is required, and the server does not offer STARTTLS; nothing secret was sent".to_owned(),
        ),
        FailureKind::NoMechanism => Condition::Account {
            verdict: NO_MECHANISM,
            text: "the server offers no log-in mechanism that this account may use".to_owned(),
        },
    }
}

/// What it means for the account that there is no access token.
pub fn of_token(error: TokenError) -> Condition {
    match error {
        // As a provider that cannot be reached: the account is not to blame, and mail waits.
        TokenError::Unreachable(text) => Condition::Line(shown(&text)),
        TokenError::Refused { verdict, text } => {
            Condition::Account { verdict: verdict.for_log_in(), text: shown(&text) }
        }
    }
}

/// Whether the server refused the access token so that a fresh one is worth one more log-in.
pub fn wants_fresh_token(settings: &UpstreamSettings, failure: &Failure) -> bool {
    match &failure.kind {
        FailureKind::Refused(reply) if settings.token.is_some() && phase_of(failure.phase) == Phase::Auth => {
            let words = reply_text(reply.lines());
            let verdict = fault::of_log_in(&settings.catalogue, settings.group, reply.code(), &words);
            verdict.action == Action::Rewrite
        }
        FailureKind::Refused(_)
        | FailureKind::Lost(_)
        | FailureKind::Protocol(_)
        | FailureKind::NoTls
        | FailureKind::NoMechanism => false,
    }
}

/// A line that broke. Once the secret was sent, the provider has counted a log-in, and each further try feeds its
/// limiter: the account rests as after a refusal.
fn lost_line(failure: &Failure, text: String) -> Condition {
    let log_in = phase_of(failure.phase) == Phase::Auth && failure.sent_credentials;
    if log_in { Condition::Account { verdict: LOST_LOG_IN, text } } else { Condition::Line(text) }
}

fn of_refused_session(phase: client::ClientPhase, verdict: Verdict, text: String) -> Condition {
    if phase_of(phase) == Phase::Auth {
        return Condition::Account { verdict: verdict.for_log_in(), text };
    }
    match fate_of(verdict) {
        Fate::Waits => Condition::Account { verdict, text },
        Fate::Delivered
        | Fate::Later
        | Fate::Uncertain
        | Fate::Refused
        | Fate::Split
        | Fate::Rewrite
        | Fate::Guessed
        | Fate::Unknown => Condition::Line(text),
    }
}

/// The phase in the catalogue's words.
fn phase_of(phase: client::ClientPhase) -> Phase {
    match phase {
        client::ClientPhase::Greeting => Phase::Connect,
        client::ClientPhase::Ehlo => Phase::Ehlo,
        client::ClientPhase::StartTls => Phase::StartTls,
        client::ClientPhase::Auth => Phase::Auth,
        client::ClientPhase::Mail | client::ClientPhase::Idle => Phase::Mail,
        client::ClientPhase::Rcpt => Phase::Rcpt,
        client::ClientPhase::DataCommand | client::ClientPhase::Body | client::ClientPhase::FinalDot => Phase::Data,
        client::ClientPhase::Quit => Phase::Quit,
    }
}

/// The phase in words for a person.
fn name_of(phase: client::ClientPhase) -> &'static str {
    match phase {
        client::ClientPhase::Greeting => "waiting for the greeting",
        client::ClientPhase::Ehlo => "after EHLO",
        client::ClientPhase::StartTls => "after STARTTLS",
        client::ClientPhase::Auth => "during the log-in",
        client::ClientPhase::Mail => "after MAIL",
        client::ClientPhase::Rcpt => "after RCPT",
        client::ClientPhase::DataCommand => "after DATA",
        client::ClientPhase::Body => "while the message was sent",
        client::ClientPhase::FinalDot => "after the final dot",
        client::ClientPhase::Idle => "between messages",
        client::ClientPhase::Quit => "after QUIT",
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

#[cfg(test)]
mod tests;
