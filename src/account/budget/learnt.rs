//! What quota replies have taught: lower limits, and windows that are closed until they end. Pure.
//!
//! Providers do not publish their limits. When one reports that a quota is used up, what was used until then is the best
//! figure there is; it holds from then on and grows by a quarter (at least 1) with each day that passes without such a
//! reply, until the configured limit is reached again. Without a configured limit it is forgotten after [`FORGET`].
//!
//! A quota reply soon after another one mostly means that the provider's window is longer than ours, and teaches nothing
//! about its size: a probe that is refused would teach a limit of 1. Within a day of the last lesson a new one
//! therefore goes no lower than half of it.
//!
//! Not here: what was used (`window`), and how long the account cools after such a reply (`breaker`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

use super::{Unit, Window};

/// How often a learnt limit grows, and how long a lesson is fresh.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// When a learnt limit is forgotten for which nothing is configured.
pub const FORGET: Duration = Duration::from_secs(30 * 24 * 3600);

/// A limit that a quota reply has taught.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    /// Of what.
    pub unit: Unit,
    /// In which window.
    pub window: Window,
    /// The limit as of now; at least 1.
    pub limit: u32,
    /// When the reply came.
    pub taught: Timestamp,
    /// When the limit grew last, or the reply came.
    pub raised: Timestamp,
}

/// A window in which nothing may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedWindow {
    /// Which one.
    pub window: Window,
    /// When it ends.
    pub until: Timestamp,
}

/// All that was learnt about one account; survives a restart as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearntLimits {
    /// Lowered limits, at most one for each unit and window.
    #[serde(default)]
    pub limits: Vec<Lesson>,
    /// Windows that are closed now.
    #[serde(default)]
    pub closed: Vec<ClosedWindow>,
}

impl LearntLimits {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.closed.is_empty()
    }

    /// The learnt limit, if there is one.
    pub(super) fn limit(&self, unit: Unit, window: Window) -> Option<u32> {
        self.limits.iter().find(|l| l.unit == unit && l.window == window).map(|l| l.limit.max(1))
    }

    /// The closed window that ends last; `None` when all are open.
    pub(super) fn last_closed(&self) -> Option<&ClosedWindow> {
        self.closed.iter().max_by_key(|closed| closed.until)
    }

    /// Takes in that `used` of `unit` filled the window.
    pub(super) fn teach(&mut self, unit: Unit, window: Window, used: u32, now: Timestamp) {
        let fresh = |lesson: &&Lesson| now < lesson.taught + DAY;
        let old = self.limits.iter().position(|l| l.unit == unit && l.window == window);
        // None of it was used here: another program has used it up, and how much that was is not known.
        if used == 0 && old.is_none() {
            return;
        }
        let floor = old.and_then(|place| self.limits.get(place)).filter(fresh).map_or(1, |lesson| lesson.limit / 2);
        if let Some(place) = old {
            self.limits.swap_remove(place);
        }
        self.limits.push(Lesson { unit, window, limit: used.max(floor).max(1), taught: now, raised: now });
    }

    /// Closes a window; a later end wins.
    pub(super) fn close(&mut self, window: Window, until: Timestamp) {
        match self.closed.iter_mut().find(|closed| closed.window == window) {
            Some(closed) => closed.until = closed.until.max(until),
            None => self.closed.push(ClosedWindow { window, until }),
        }
    }

    /// Lets time pass. `configured` is the limit of the settings, `ends` the latest end a window can have now: what
    /// ends later was written before the clock was set back.
    pub(super) fn turn(
        &mut self,
        now: Timestamp,
        configured: impl Fn(Unit, Window) -> Option<u32>,
        ends: impl Fn(Window) -> Timestamp,
    ) {
        for closed in &mut self.closed {
            closed.until = closed.until.min(ends(closed.window));
        }
        self.closed.retain(|closed| now < closed.until);
        self.limits.retain_mut(|lesson| {
            lesson.taught = lesson.taught.min(now);
            lesson.raised = lesson.raised.min(now);
            let goal = configured(lesson.unit, lesson.window);
            while now.since(lesson.raised) >= DAY && goal.is_none_or(|goal| lesson.limit < goal) {
                if lesson.limit == u32::MAX {
                    break;
                }
                lesson.limit = lesson.limit.saturating_add((lesson.limit / 4).max(1));
                lesson.raised = lesson.raised + DAY;
            }
            match goal {
                Some(goal) => lesson.limit < goal || now < lesson.taught + DAY,
                None => now < lesson.taught + FORGET,
            }
        });
    }
}
