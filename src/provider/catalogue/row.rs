//! One row of the catalogue, and how it is read from `catalogue.tsv`.
//!
//! Not here: the order in which rows are asked (`mod`). Invariant: a pattern is compiled when the first reply comes that
//! could fit it, once, and one that is never needed never; the table itself is read at the first refusal, so that a
//! relay whose mail goes through has neither in memory.

use std::sync::{LazyLock, OnceLock};

use regex_lite::{Regex, RegexBuilder};

use super::filter::Filter;
use super::line::Line;
use crate::provider::group::Group;
use crate::provider::verdict::{Action, Basis, Phase, Remedy, Scope, Verdict};

/// Octets of a compiled pattern; the largest of the table needs a tenth.
const LARGEST_PATTERN: usize = 64 * 1024;

/// How well a row is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// A vendor's document, or two transcripts that do not know of each other.
    Sure,
    /// One transcript or thread.
    Seen,
    /// A reseller or a blog.
    Hearsay,
    /// Nobody has confirmed it.
    Unverified,
    /// A general rule on the words of a reply, for every provider.
    Guessed,
    /// The owner of this relay wrote it.
    Own,
}

/// One row: which replies it is for, and their verdict.
#[derive(Debug)]
pub(super) struct Row {
    /// `None`: whoever the provider is.
    pub(super) group: Option<Group>,
    pub(super) phases: Vec<Phase>,
    pub(super) filter: Filter,
    pub(super) pattern: &'static str,
    regex: OnceLock<Option<Regex>>,
    pub(super) verdict: Verdict,
    /// A reply the row was made for, with its code; empty for the rows of the owner.
    pub(super) sample: &'static str,
    pub(super) grade: Grade,
}

impl Row {
    /// A row of the owner. Its pattern has been compiled once, to know that it can be.
    pub(super) fn of_owner(
        group: Option<Group>,
        phases: Vec<Phase>,
        (pattern, regex): (&'static str, Regex),
        verdict: Verdict,
    ) -> Row {
        let filter = Filter::of(pattern);
        Row {
            group,
            phases,
            filter,
            pattern,
            regex: OnceLock::from(Some(regex)),
            verdict,
            sample: "",
            grade: Grade::Own,
        }
    }

    /// Reads one line of the table; `None` when a column is missing or holds a word that is not known.
    pub(super) fn read(line: &'static str) -> Option<Row> {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let &[cause, group, phases, sample, pattern, action, scope, grade, en, zh] = columns.as_slice() else {
            return None;
        };
        let (action, alert) = action_of(action)?;
        let filter = Filter::of(pattern);
        let particular = filter.is_particular() || action == Action::Ok;
        let basis = if particular { Basis::Row } else { Basis::Digit };
        Some(Row {
            group: Some(Group::ALL.into_iter().find(|one| one.word() == group)?),
            phases: phases_of(phases)?,
            filter,
            pattern,
            regex: OnceLock::new(),
            verdict: Verdict { cause, scope: scope_of(scope)?, action, alert, basis, remedy: Remedy { en, zh } },
            sample,
            grade: match grade {
                "A" => Grade::Sure,
                "B" => Grade::Seen,
                "C" => Grade::Hearsay,
                "U" => Grade::Unverified,
                _ => return None,
            },
        })
    }

    /// Whether the row is for this reply.
    pub(super) fn fits(&self, phase: Phase, line: &Line) -> bool {
        self.phases.contains(&phase)
            && line.forms().any(|(text, lower)| {
                self.filter.lets_pass(lower) && (self.filter.is_whole_pattern() || self.matches(text))
            })
    }

    /// Whether the words of the row are in this reply, whatever its code.
    pub(super) fn has_words_of(&self, line: &Line) -> bool {
        let Some(code) = self.filter.some_code().filter(|_| self.filter.has_words()) else { return false };
        line.forms().any(|(text, lower)| {
            let behind_code = |text: &str| text.get(3..).unwrap_or("").to_owned();
            self.filter.words_are_in(lower.get(3..).unwrap_or(""))
                && (self.filter.is_whole_pattern() || self.matches(&(code.clone() + &behind_code(text))))
        })
    }

    fn matches(&self, line: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(line))
    }

    /// None for a pattern that is none; a test compiles those of the table.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| compile(self.pattern).ok()).as_ref()
    }
}

/// The rows of the table, in match order.
pub(super) static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let lines = include_str!("../catalogue.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| Row::read(line).expect("the table is part of the program and a test reads it")).collect()
});

/// Makes a pattern ready. Upper and lower case are alike, as far as ASCII goes.
pub(super) fn compile(pattern: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(pattern).case_insensitive(true).size_limit(LARGEST_PATTERN).build()
}

/// The action of a word such as `RETRY_DAY+ALERT`, and whether the owner must look.
pub(super) fn action_of(word: &str) -> Option<(Action, bool)> {
    let word = word.trim().to_ascii_lowercase().replace('-', "_");
    let (word, alert) = word.strip_suffix("+alert").map_or((word.as_str(), false), |word| (word, true));
    Action::ALL.into_iter().find(|action| action.word() == word).map(|action| (action, alert))
}

/// The scope of a word.
pub(super) fn scope_of(word: &str) -> Option<Scope> {
    let word = word.trim();
    Scope::WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, scope)| *scope)
}

/// The phases of a list such as `MAIL,DATA`; `ANY` is every phase in which a reply can still change something.
pub(super) fn phases_of(list: &str) -> Option<Vec<Phase>> {
    if list.trim().eq_ignore_ascii_case("any") {
        return Some(Phase::ALL.into_iter().filter(|phase| phase.matters()).collect());
    }
    list.split(',').map(|word| Phase::named(word.trim())).collect()
}
