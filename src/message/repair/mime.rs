//! The fields that say what the body is: version, charset, transfer encoding (RFC 2045).
//!
//! What this is not: the decision, which the survey made (`crate::message::mime`); the same edit serves the header of a
//! part and this one.
//!
//! Invariant: a charset or an encoding that is declared and can be true is left alone.

use super::{Facts, Level, Repair, Work};
use crate::message::header::Field;
use crate::message::mime::{Cure, edit};

/// Adds `MIME-Version: 1.0` (RFC 2045 section 4, Q-106); at level `minimal` only when MIME fields are written.
pub(super) fn version(work: &mut Work, facts: &Facts<'_>) {
    let needed = facts.client.level == Level::Full || !facts.plan.root.is_empty();
    if needed && work.header.get("MIME-Version").is_none_or(|field| field.value().is_empty()) {
        work.header.set(Field::new("MIME-Version", "1.0"));
        work.note(Repair::MimeVersionAdded);
    }
}

/// Makes Content-Type and Content-Transfer-Encoding say what the body is after the second pass.
pub(super) fn describe(work: &mut Work, facts: &Facts<'_>) {
    let mend = &facts.plan.root;
    debug_assert!(!mend.head && (mend.cure == Cure::None || facts.plan.rewrites_body()));
    if let Some(lost) = edit::apply(&mut work.header, mend, work.hints) {
        work.keep_original("Content-Type", &lost);
    }
    for (done, repair) in
        [(mend.charset.is_some(), Repair::CharsetDeclared), (mend.transfer.is_some(), Repair::TransferEncodingSet)]
    {
        if done {
            work.note(repair);
        }
    }
    facts.plan.part_repairs.iter().for_each(|&repair| work.note(repair));
}
