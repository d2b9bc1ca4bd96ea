//! Rows that were written for another code or another phase than those of a reply: when their words count all the same.
//!
//! Providers move a text from one code to another and from MAIL to RCPT. The words stay, so they decide.
//!
//! Invariants: a row without words never counts here; a row that fails a message or a recipient does not count for a 4yz
//! reply unless it was written for one; a row that condemns a recipient counts only at RCPT and after DATA; a refused
//! log-in is not read from words in another phase.

use super::line::Line;
use super::row::Row;
use crate::provider::verdict::{Action, Phase, Scope};

/// Codes of a refused log-in: RFC 4954 section 6, and Aliyun's 526.
const LOG_IN: [&str; 5] = ["526", "530", "534", "535", "538"];

/// The first row whose words are in the reply: rows of this phase first, and among them those with a code of
/// the same class; then rows of the same part of the dialogue, then the others.
pub(super) fn find<'r, I: Iterator<Item = &'r Row>>(
    rows: impl Fn() -> I,
    phase: Phase,
    line: &Line,
) -> Option<&'r Row> {
    if !phase.matters() || !(400..600).contains(&line.code()) {
        return None;
    }
    let fits = |row: &&'r Row| may_count(row, phase, line.code()) && row.has_words_of(line);
    let here = |row: &&'r Row| row.phases.contains(&phase);
    let near = |row: &&'r Row| row.phases.iter().any(|one| in_transaction(*one) == in_transaction(phase));
    let same_class = |row: &&'r Row| row.filter.fits_class(line.code() / 100);
    let mut best = rows().filter(here).filter(same_class).find(fits);
    best = best.or_else(|| rows().filter(here).find(fits));
    best = best.or_else(|| rows().filter(near).find(fits));
    best.or_else(|| rows().find(fits))
}

/// MAIL, RCPT and DATA.
fn in_transaction(phase: Phase) -> bool {
    matches!(phase, Phase::Mail | Phase::Rcpt | Phase::Data)
}

fn may_count(row: &Row, phase: Phase, code: u16) -> bool {
    let here = row.phases.contains(&phase);
    let same_class = row.filter.fits_class(code / 100);
    let of_log_in = row.phases == [Phase::Auth] && row.filter.some_code().is_some_and(|code| LOG_IN.contains(&&*code));
    let about_recipient = row.verdict.scope == Scope::Recipient || row.verdict.action == Action::BounceRecipient;
    let for_good = matches!(row.verdict.action, Action::Bounce | Action::BounceRecipient);
    let waits = match row.verdict.action {
        Action::RetrySoon | Action::Cool15 | Action::RetryHour | Action::RetryDay => row.verdict.scope.holds_account(),
        Action::Ok
        | Action::Cool15ThenPause
        | Action::RetryHourThenPause
        | Action::Pause
        | Action::Bounce
        | Action::BounceRecipient
        | Action::Rewrite
        | Action::Split
        | Action::RetryThenBounce => false,
    };
    let by_action = row.verdict.action != Action::Ok && (same_class || !for_good && !of_log_in);
    let by_phase = if in_transaction(phase) {
        here || !of_log_in && (!about_recipient || phase != Phase::Mail)
    } else {
        // The rules of the code were right here; a limit is one wherever it is named.
        here || waits
    };
    by_action && by_phase
}
