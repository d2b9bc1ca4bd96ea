//! The reply catalogue: from a reply to a verdict.
//!
//! ```text
//!  Catalogue::classify(group, phase, code, text)
//!     1  rows of the owner           Catalogue::with
//!     2  rows of the group           catalogue.tsv
//!     3  generic rows                catalogue.tsv; the last of them go by the first digit
//! ```
//!
//! Text decides first, the first digit of the code last: RFC 5321 section 4.2.1 says that 5yz is for ever and 4yz will
//! pass, and the providers this relay talks to do not keep to it. Within each step the first row that fits decides.
//!
//! Not here: how octets become text (`reply`), what a verdict does (`delivery`), and a connection that ended without a
//! reply, which has no verdict at all.
//!
//! Invariant: [`Catalogue::classify`] is total. Every code and text gets a verdict, and no unknown reply makes mail
//! disappear.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};

use super::group::Group;
use super::verdict::{Action, Phase, Remedy, Scope, Verdict};
use row::{Row, TABLE};

mod filter;
mod owner;
mod row;

pub use owner::{RowError, UserRow};
pub use row::Grade;

/// Octets of a reply that are looked at. RFC 5321 section 4.5.3.1.5 allows 512 a line; what is said is said early.
const LONGEST: usize = 1024;

/// So many wordings that are not in the catalogue are remembered; what comes after them is not logged.
const MOST_UNKNOWN: usize = 256;

/// A reply that is none: RFC 5321 section 4.2 knows codes from 200 to 559. The session cannot be trusted, the mail can.
const UNREADABLE: Verdict = Verdict {
    cause: "XX-BAD",
    scope: Scope::Session,
    action: Action::RetrySoon,
    alert: false,
    known: false,
    remedy: Remedy {
        en: "What the server said is not SMTP. Look at host and port in the settings; the relay tries again.",
        zh: "服务器说的不是 SMTP。请检查设置里的服务器和端口；中继会再试。",
    },
};

/// The rows of this program, and before them those of its owner. Clones share one.
#[derive(Clone, Debug, Default)]
pub struct Catalogue(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    owner: Vec<Row>,
    unknown: Mutex<BTreeSet<u64>>,
}

/// What is known of one row of the table beside its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A reply the row was made for, with its code; empty for a row of the owner.
    pub sample: &'static str,
    /// How well it is founded.
    pub grade: Grade,
}

impl Catalogue {
    /// The rows of this program only. Costs nothing: the table is read when the first reply has to be understood.
    pub fn built_in() -> Catalogue {
        Catalogue::default()
    }

    /// With rows of the owner, which come before all others.
    ///
    /// Their texts live as long as the process, because a verdict is `Copy`: call it once, when the settings are read.
    ///
    /// # Errors
    /// The first row that holds a word or a pattern that cannot be understood; the error names the legal words.
    pub fn with(rows: Vec<UserRow>) -> Result<Catalogue, RowError> {
        let owner =
            rows.into_iter().enumerate().map(|(place, row)| owner::read(place, row)).collect::<Result<_, _>>()?;
        Ok(Catalogue(Arc::new(Inner { owner, unknown: Mutex::default() })))
    }

    /// What the reply `code` `text` means when a provider of `group` gave it in `phase`.
    ///
    /// `text` is what [`super::reply_text`] makes: one line, without the code.
    pub fn classify(&self, group: Group, phase: Phase, code: u16, text: &str) -> Verdict {
        if code > 999 {
            return UNREADABLE;
        }
        let line = format!("{code:03} {}", start_of(text));
        let lower = line.to_ascii_lowercase();
        let of = |wanted: Group| TABLE.iter().filter(move |row| row.group == Some(wanted));
        let owner = self.0.owner.iter().filter(|row| row.group.is_none_or(|one| one == group));
        let own = of(group).filter(|_| group != Group::Generic);
        let mut rows = owner.chain(own).chain(of(Group::Generic));
        rows.find(|row| row.fits(phase, &line, &lower)).map_or(UNREADABLE, |row| row.verdict)
    }

    /// Logs a reply that only its first digit explains, once for each wording, so that the catalogue can learn it.
    ///
    /// Digits and addresses differ from reply to reply and do not make a wording; a few hundred are remembered.
    pub fn note_unknown(&self, account: &str, phase: Phase, code: u16, text: &str) {
        if self.is_news(code, text) {
            let reply = format!("{code:03} {}", start_of(text));
            tracing::info!(event = "unknown_reply", account, phase = phase.word(), text = %reply,
                "not in the catalogue; the first digit decided");
        }
    }

    fn is_news(&self, code: u16, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        code.hash(&mut hasher);
        let changes = |c: char| c.is_ascii_digit() || matches!(c, '@' | '<' | '[');
        for word in start_of(text).split(' ').filter(|word| !word.contains(changes)) {
            word.to_ascii_lowercase().hash(&mut hasher);
        }
        // Hashes are put in one at a time; nothing can be half done.
        let mut unknown = self.0.unknown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        unknown.len() < MOST_UNKNOWN && unknown.insert(hasher.finish())
    }

    /// What else is known of the row that a verdict names as its cause.
    pub fn entry(&self, cause: &str) -> Option<Entry> {
        let mut rows = self.0.owner.iter().chain(TABLE.iter());
        rows.find(|row| row.verdict.cause == cause).map(|row| Entry { sample: row.sample, grade: row.grade })
    }
}

/// The start of a text that is looked at; whole characters.
fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests;
