//! Rows that the owner of a relay adds to the catalogue, for a provider it does not know or knows wrongly.
//!
//! Not here: where they are written (that is `config`). Invariant: a row that comes out can be matched without an error,
//! in time that grows with the length of the reply and not faster (the engine does not go back).

use super::super::group::Group;
use super::super::preset::names;
use super::super::verdict::{Action, Basis, Phase, Remedy, Scope, Verdict};
use super::row::{Row, action_of, compile, phases_of, scope_of};

/// A row as the owner writes it. All words may be in upper or lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserRow {
    /// A preset or a group of providers; `None`: every provider.
    pub provider: Option<String>,
    /// One phase or several with commas between; `None` or `any`: every phase but RSET and QUIT.
    pub phase: Option<String>,
    /// A regular expression, searched in `550 text of the reply`; upper and lower case are alike.
    pub pattern: String,
    /// What follows, such as `retry_hour`, with `+alert` behind it when the owner must look.
    pub action: String,
    /// Whom it condemns; `None`: what goes with the action.
    pub scope: Option<String>,
    /// What the owner wants to be told.
    pub remedy: Option<String>,
}

/// What is wrong with a row of the owner. `row` counts from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// No such preset or group.
    #[error("there is no provider \"{word}\"; there is: {}", providers())]
    Provider {
        /// Which row.
        row: usize,
        /// What stands there.
        word: String,
    },
    /// No such phase.
    #[error("there is no phase \"{word}\"; there is: any, {}", words(Phase::ALL.iter().map(|phase| phase.word())))]
    Phase {
        /// Which row.
        row: usize,
        /// What stands there.
        word: String,
    },
    /// Not a regular expression.
    #[error("the pattern cannot be read: {reason}")]
    Pattern {
        /// Which row.
        row: usize,
        /// What stands there.
        word: String,
        /// What the engine says.
        reason: String,
    },
    /// No such action.
    #[error(
        "there is no action \"{word}\"; there is: {}, each also with +alert",
        words(Action::ALL.iter().map(|action| action.word()))
    )]
    Action {
        /// Which row.
        row: usize,
        /// What stands there.
        word: String,
    },
    /// No such scope.
    #[error("there is no scope \"{word}\"; there is: {}", words(Scope::WORDS.iter().map(|(word, _)| *word)))]
    Scope {
        /// Which row.
        row: usize,
        /// What stands there.
        word: String,
    },
}

impl RowError {
    /// Which row is wrong; the first is 0.
    pub fn row(&self) -> usize {
        match self {
            RowError::Provider { row, .. }
            | RowError::Phase { row, .. }
            | RowError::Pattern { row, .. }
            | RowError::Action { row, .. }
            | RowError::Scope { row, .. } => *row,
        }
    }

    /// The field of [`UserRow`] that is wrong, such as `action`.
    pub fn key(&self) -> &'static str {
        match self {
            RowError::Provider { .. } => "provider",
            RowError::Phase { .. } => "phase",
            RowError::Pattern { .. } => "pattern",
            RowError::Action { .. } => "action",
            RowError::Scope { .. } => "scope",
        }
    }
}

fn words(all: impl Iterator<Item = &'static str>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

fn providers() -> String {
    // Presets first: they are what stands in the settings.
    let groups = Group::ALL.into_iter().map(Group::word).filter(|word| !names().any(|name| name == *word));
    words(names().chain(groups))
}

/// Understands one row. Its texts are kept for the life of the process.
pub(super) fn read(place: usize, row: UserRow) -> Result<Row, RowError> {
    let group = row.provider.map(|word| {
        let found = Group::named(word.trim().to_ascii_lowercase().as_str());
        found.ok_or(RowError::Provider { row: place, word })
    });
    let phases = row.phase.unwrap_or_else(|| "any".to_owned());
    let phases = phases_of(&phases).ok_or(RowError::Phase { row: place, word: phases })?;
    let (action, alert) = action_of(&row.action).ok_or(RowError::Action { row: place, word: row.action })?;
    let scope = match row.scope {
        Some(word) => scope_of(&word).ok_or(RowError::Scope { row: place, word })?,
        None => usual_scope(action),
    };
    let regex = compile(&row.pattern).map_err(|error| RowError::Pattern {
        row: place,
        word: row.pattern.clone(),
        reason: error.to_string(),
    })?;
    let remedy = match row.remedy.map(|text| &*text.leak()) {
        Some(text) => Remedy { en: text, zh: text },
        None => Remedy {
            en: "You wrote the row for this reply yourself.", zh: "这条回复的规则是您自己写的。"
        },
    };
    let cause = format!("own-{}", place + 1).leak();
    let verdict = Verdict { cause, scope, action, alert, basis: Basis::Row, remedy };
    Ok(Row::of_owner(group.transpose()?, phases, (row.pattern.leak(), regex), verdict))
}

/// Whom an action condemns when nothing else is said.
fn usual_scope(action: Action) -> Scope {
    match action {
        Action::Ok | Action::RetrySoon => Scope::Session,
        Action::Cool15
        | Action::Cool15ThenPause
        | Action::RetryHour
        | Action::RetryHourThenPause
        | Action::RetryDay
        | Action::Pause => Scope::Account,
        Action::Bounce | Action::Rewrite | Action::Split | Action::RetryThenBounce => Scope::Message,
        Action::BounceRecipient => Scope::Recipient,
    }
}
