//! What must follow from each row, worked out from the words of the table; and the stages at which its sample is said.

use std::time::Duration;

use yizhan::provider::Group;
use yizhan::sandbox::Stage;

use super::{HOUR, MINUTE, QUARTER};

/// One reply, said at one stage.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) group: Group,
    pub(crate) stage: Stage,
    pub(crate) reply: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) end: End,
}

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The reply is as good as none: the message goes out.
    Delivered,
    /// A try is spent; the account works, so the next message goes out, and this one a minute later.
    Deferred,
    /// It has failed, and one notice tells of it; the next message goes out.
    Failed,
    /// It goes out in two transactions instead of one.
    Split,
    /// It goes again at once in the strictest form, fails when that is refused as well, and one notice tells of it.
    Strict,
    /// No try is spent; the account rests for so long, then goes on; the third refusal in a row may stop it.
    Rests { length: Duration, then_pause: bool },
    /// As `Rests`, until the provider's day is over.
    RestsToday,
    /// No try is spent; the account is stopped until somebody says so.
    Paused,
}

/// What a row says of a reply in this phase.
fn expected(action: &str, scope: &str, stage: &Stage) -> End {
    let log_in = *stage == Stage::Auth;
    let before_mail = matches!(stage, Stage::Connect | Stage::Ehlo | Stage::StartTls);
    let this_mail_only = matches!(scope, "message" | "recipient");
    let rest = |length| End::Rests { length, then_pause: false };
    match action.trim_end_matches("+ALERT") {
        "OK" => End::Delivered,
        // There is no message that could be at fault yet: the account is looked after.
        "REWRITE" | "SPLIT" | "BOUNCE" | "BOUNCE_RCPT" if log_in => End::Rests { length: QUARTER, then_pause: true },
        "BOUNCE" | "BOUNCE_RCPT" | "REWRITE" | "SPLIT" if before_mail => End::Deferred,
        "BOUNCE" | "BOUNCE_RCPT" => End::Failed,
        "REWRITE" => End::Strict,
        "SPLIT" => End::Split,
        "RETRY>BOUNCE" => End::Deferred,
        // A log-in is never tried again at once, whatever is said to it.
        "RETRY_SOON" if log_in => rest(2 * MINUTE),
        "RETRY_SOON" if this_mail_only || matches!(scope, "session" | "connection") => End::Deferred,
        "RETRY_SOON" => rest(2 * MINUTE),
        _ if this_mail_only => End::Deferred,
        "COOL15" => rest(QUARTER),
        "COOL15>PAUSE" => End::Rests { length: QUARTER, then_pause: true },
        "RETRY_HOUR" => rest(HOUR),
        "RETRY_HOUR>PAUSE" => End::Rests { length: HOUR, then_pause: true },
        "RETRY_DAY" => End::RestsToday,
        "PAUSE" => End::Paused,
        other => panic!("no action {other}"),
    }
}

/// The rows of the table, at each stage where they can be said.
pub(crate) fn cases() -> Vec<Case> {
    let table = include_str!("../../../src/provider/catalogue.tsv");
    let rows = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut cases = Vec::new();
    for columns in rows.map(|line| line.split('\t').collect::<Vec<_>>()) {
        let [id, group, phases, reply, _, action, scope, _, remedy, _] = columns[..] else { panic!("{columns:?}") };
        let group = Group::ALL.into_iter().find(|one| one.word() == group).expect("a group of the table");
        if group == Group::Oauth {
            // Said to a token, or by a token service: `oauth.rs` beside this folder has them.
            continue;
        }
        for stage in phases.split(',').flat_map(stages) {
            let end = expected(action, scope, &stage);
            // A yes of any kind is what is said all day; a step of the dialogue has its own figure for it.
            if end == End::Delivered && stage != Stage::FinalDot && stage != Stage::Quit {
                continue;
            }
            cases.push(Case { id, group, stage, reply, remedy, end });
        }
    }
    cases
}

fn stages(phase: &str) -> Vec<Stage> {
    match phase {
        "CONNECT" => vec![Stage::Connect],
        "EHLO" => vec![Stage::Ehlo],
        "STARTTLS" => vec![Stage::StartTls],
        "AUTH" => vec![Stage::Auth],
        "MAIL" => vec![Stage::Mail],
        "RCPT" => vec![Stage::Rcpt(None)],
        "DATA" => vec![Stage::Data, Stage::FinalDot],
        "QUIT" => vec![Stage::Quit],
        // The sandbox has no such stage; what is said to RSET is never read as a verdict (`relay::nothing_after_*`).
        "RSET" => Vec::new(),
        "ANY" => ["CONNECT", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA"].into_iter().flat_map(stages).collect(),
        other => panic!("no phase {other}"),
    }
}
