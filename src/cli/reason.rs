//! Why a repair was made, by the name it is stored under.
//!
//! The sentences are `message::Repair`'s own. A name that this version does not know (a queue written by a later one)
//! has no reason, and is no error.

use crate::message::Repair;

use super::screen::Lang;

/// The reason in the person's language.
pub(super) fn why(repair: Repair, lang: Lang) -> &'static str {
    lang.pick(repair.why(), repair.why_zh())
}

/// The same, by name.
pub(super) fn by_name(name: &str, lang: Lang) -> Option<&'static str> {
    Repair::ALL.iter().find(|repair| repair.name() == name).map(|&repair| why(repair, lang))
}
