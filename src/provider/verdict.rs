//! From a reply to a verdict: whom it condemns, and what follows.
//!
//! The catalogue is `replies.tsv` beside this file, read once; a test reads every row and classifies the row's own
//! sample. Text decides first, the first digit of the code last: RFC 5321 section 4.2.1 says that 5yz is for ever and
//! 4yz will pass, and the providers this relay talks to do not keep to it.
//!
//! Not here: what a verdict does to a message or an account (that is `delivery`), and a connection that ended without
//! a reply, which has no verdict at all.
//!
//! Invariant: [`classify`] is total. Every code and text gets a verdict, and no unknown reply makes mail disappear.

use std::sync::LazyLock;

use super::preset::Group;

/// Where in the dialogue the reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The greeting (RFC 5321 section 3.1).
    Connect,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// Any step of the log-in (RFC 4954).
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// The DATA command and the final dot.
    Data,
    /// QUIT, RSET and NOOP: nothing that is said here changes what became of a message.
    Quit,
}

impl Phase {
    const ALL: [(&'static str, Phase); 8] = [
        ("CONNECT", Phase::Connect),
        ("EHLO", Phase::Ehlo),
        ("STARTTLS", Phase::StartTls),
        ("AUTH", Phase::Auth),
        ("MAIL", Phase::Mail),
        ("RCPT", Phase::Rcpt),
        ("DATA", Phase::Data),
        ("QUIT", Phase::Quit),
    ];
}

/// Whom a reply condemns, from the most forgivable to the most particular.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// This connection only.
    Session,
    /// The account, its host or its domain: every message that would leave through it.
    Account,
    /// This message for all its recipients.
    Message,
    /// This recipient of this message.
    Recipient,
}

/// What follows from a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Treat it as success.
    Ok,
    /// A new connection in some minutes, backing off.
    RetrySoon,
    /// No connection and no log-in of this account for 15 minutes or more, then go on.
    Cool15,
    /// As `Cool15`; when the next log-ins are refused the same way, pause the account.
    Cool15ThenPause,
    /// The account, or what the scope names, rests for an hour; longer on repeat.
    RetryHour,
    /// It rests until the next day.
    RetryDay,
    /// Stop the account, keep every message, tell the owner.
    Pause,
    /// The message has failed.
    Bounce,
    /// This recipient has failed, the others have not.
    BounceRecipient,
    /// Repair it (sender, header, mechanism) and send it once more; if it was repaired already, it has failed.
    Rewrite,
    /// Halve the list of recipients and send both; with one recipient it has failed.
    Split,
}

impl Action {
    const ALL: [(&'static str, Action); 11] = [
        ("OK", Action::Ok),
        ("RETRY_SOON", Action::RetrySoon),
        ("COOL15", Action::Cool15),
        ("COOL15>PAUSE", Action::Cool15ThenPause),
        ("RETRY_HOUR", Action::RetryHour),
        ("RETRY_DAY", Action::RetryDay),
        ("PAUSE", Action::Pause),
        ("BOUNCE", Action::Bounce),
        ("BOUNCE_RCPT", Action::BounceRecipient),
        ("REWRITE", Action::Rewrite),
        ("SPLIT", Action::Split),
    ];
}

/// What a reply means for the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The row of the catalogue, such as `QQ-A3`; goes into logs and notices.
    pub cause: &'static str,
    /// Whom it condemns.
    pub scope: Scope,
    /// What follows.
    pub action: Action,
    /// Whether the owner must look even though the relay goes on by itself.
    pub alert: bool,
}

/// A reply that is none: RFC 5321 section 4.2 knows codes from 200 to 559. The session cannot be trusted, the mail can.
const UNREADABLE: Verdict = Verdict { cause: "XX-BAD", scope: Scope::Session, action: Action::RetrySoon, alert: false };

/// One row of the catalogue.
#[derive(Debug)]
struct Row {
    group: Group,
    phases: Vec<Phase>,
    codes: Vec<&'static str>,
    /// Alternatives, each a list of parts that must all occur. Never empty; one empty alternative fits every text.
    needles: Vec<Vec<&'static str>>,
    verdict: Verdict,
    /// A reply the row was made for, with its code.
    #[cfg_attr(not(test), expect(dead_code, reason = "what the table's own test reads"))]
    sample: &'static str,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let lines = include_str!("replies.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| row(line).expect("the table is part of the program and a test reads it")).collect()
});

/// Reads one line of the table; `None` when a column is missing or holds a word that is not known.
fn row(line: &'static str) -> Option<Row> {
    let columns: Vec<&str> = line.split('\t').collect();
    let &[cause, group, phases, codes, needles, scope, action, sample] = columns.as_slice() else { return None };
    let group = match group {
        "tencent" => Group::Tencent,
        "generic" => Group::Generic,
        _ => return None,
    };
    let scope = match scope {
        "session" => Scope::Session,
        "account" => Scope::Account,
        "message" => Scope::Message,
        "recipient" => Scope::Recipient,
        _ => return None,
    };
    let (action, alert) = action.strip_suffix("+ALERT").map_or((action, false), |action| (action, true));
    let verdict = Verdict { cause, scope, action: word(&Action::ALL, action)?, alert };
    let phases = phases.split(',').map(|phase| word(&Phase::ALL, phase)).collect::<Option<Vec<_>>>()?;
    let needles = needles.split('|').map(|all| all.split('&').collect()).collect();
    Some(Row { group, phases, codes: codes.split('|').collect(), needles, verdict, sample })
}

fn word<T: Copy>(words: &[(&str, T)], wanted: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == wanted).map(|(_, value)| *value)
}

impl Row {
    /// `code` is three digits, `text` is in lower case.
    fn fits(&self, phase: Phase, code: &str, text: &str) -> bool {
        self.phases.contains(&phase)
            && self.codes.iter().any(|pattern| fits_code(pattern, code))
            && self.needles.iter().any(|all| all.iter().all(|part| text.contains(part)))
    }
}

fn fits_code(pattern: &str, code: &str) -> bool {
    pattern.len() == code.len() && pattern.bytes().zip(code.bytes()).all(|(p, c)| p == b'.' || p == c)
}

/// What the reply `code` `text` means when a provider of `group` gave it in `phase`.
///
/// `text` is what [`super::reply_text`] makes: one line, without the code. The rows of the group come first, then the
/// generic ones, which end with the first digit; the first row that fits decides.
pub fn classify(group: Group, phase: Phase, code: u16, text: &str) -> Verdict {
    let code = format!("{code:03}");
    let text = text.to_ascii_lowercase();
    let own = ROWS.iter().filter(|row| row.group == group && group != Group::Generic);
    let generic = ROWS.iter().filter(|row| row.group == Group::Generic);
    own.chain(generic).find(|row| row.fits(phase, &code, &text)).map_or(UNREADABLE, |row| row.verdict)
}

#[cfg(test)]
mod tests;
