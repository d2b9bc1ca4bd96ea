//! The reply catalogue: from a reply to a verdict.
//!
//! ```text
//!  Catalogue::classify(group, phase, code, text)
//!     1  rows of the owner           Catalogue::with
//!     2  rows of the group           catalogue.tsv; as written, then for another code or phase (`loose`)
//!     3  rules about recipients      words.tsv
//!     4  generic rows with words     catalogue.tsv; as 2
//!     5  other rules                 words.tsv
//!     6  generic rows without words  catalogue.tsv; by the code, the last of them by its first digit
//! ```
//!
//! Text decides first, the first digit of the code last: RFC 5321 section 4.2.1 says that 5yz is for ever and 4yz will
//! pass, and the providers this relay talks to do not keep to it. Within each step the first row that fits decides.
//!
//! Invariant: [`Catalogue::classify`] is total. Every code and text gets a verdict, and no unknown reply makes mail
//! disappear.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::fingerprint;

use super::group::Group;
use super::verdict::{Action, Basis, Phase, Remedy, Scope, Verdict};
use line::Line;
use row::{Row, TABLE};
use words::{CLASSES, RULES, about_recipient, decide};

mod filter;
mod line;
mod loose;
mod owner;
mod phrase;
mod row;
mod words;

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
    basis: Basis::Digit,
    remedy: Remedy {
        en: "The reply is not SMTP: its code is not in the standard. The relay tries again over a new connection.",
        zh: "这条回复不是 SMTP：标准里没有这样的代码。中继会换一条连接再试。",
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

/// What is known of one row of the table, or of a class of general rules, beside its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// A reply the row was made for, with its code; empty for a row of the owner and for a general rule.
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
        let line = Line::new(code, start_of(text));
        let of = |wanted: Group| TABLE.iter().filter(move |row| row.group == Some(wanted));
        let exact = |row: &&Row| row.fits(phase, &line);
        let owner = self.0.owner.iter().filter(|row| row.group.is_none_or(|one| one == group));
        let own = || of(group).filter(|_| group != Group::Generic);
        let with_words = || of(Group::Generic).filter(|row| row.filter.has_words());
        let row = owner.chain(own()).find(exact).or_else(|| loose::find(own, phase, &line));
        row.map(|row| row.verdict)
            .or_else(|| decide(RULES.iter().take_while(|rule| about_recipient(rule)), phase, &line))
            .or_else(|| {
                let row = with_words().find(exact).or_else(|| loose::find(with_words, phase, &line));
                row.map(|row| row.verdict)
            })
            .or_else(|| decide(RULES.iter().skip_while(|rule| about_recipient(rule)), phase, &line))
            .or_else(|| of(Group::Generic).find(exact).map(|row| row.verdict))
            .unwrap_or(UNREADABLE)
    }

    /// Logs a reply that no row describes, once for each wording, so that the catalogue can learn it.
    ///
    /// Digits and addresses differ from reply to reply and do not make a wording; a few hundred are remembered.
    pub fn note_unknown(&self, account: &str, phase: Phase, code: u16, text: &str) {
        if self.is_news(code, text) {
            let reply = format!("{code:03} {}", start_of(text));
            tracing::info!(event = "unknown_reply", account, phase = phase.word(), text = %reply,
                "not in the catalogue; general words or the first digit decided");
        }
    }

    fn is_news(&self, code: u16, text: &str) -> bool {
        let changes = |c: char| c.is_ascii_digit() || matches!(c, '@' | '<' | '[');
        let start = start_of(text).to_ascii_lowercase();
        let words: Vec<&str> = start.split(' ').filter(|word| !word.contains(changes)).collect();
        // Hashes are put in one at a time; nothing can be half done.
        let mut unknown = self.0.unknown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        unknown.len() < MOST_UNKNOWN && unknown.insert(fingerprint::of((code, words)))
    }

    /// What else is known of the row that a verdict names as its cause.
    pub fn entry(&self, cause: &str) -> Option<CatalogueEntry> {
        let mut rows = self.0.owner.iter().chain(TABLE.iter());
        let row = rows
            .find(|row| row.verdict.cause == cause)
            .map(|row| CatalogueEntry { sample: row.sample, grade: row.grade });
        let rule = || CLASSES.iter().any(|class| class.cause == cause);
        row.or_else(|| rule().then_some(CatalogueEntry { sample: "", grade: Grade::Guessed }))
    }
}

/// The start of a text that is looked at; whole characters.
fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod mutation_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod words_tests;
