//! One-time codes: `yizhan open` gets one over the control socket, and a browser exchanges it for a session.
//!
//! Invariants: a code is good once, for [`LIFE`]; at most [`MOST`] are open, and a new one replaces the oldest. The time is
//! an argument.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::token_file::random_text;

/// How long a code is good.
pub const LIFE: Duration = Duration::from_secs(120);
/// Codes that are open at a time.
const MOST: usize = 8;

/// The address of the page, and the codes that open it.
#[derive(Debug, Default)]
pub struct OpenCodes(Mutex<State>);

#[derive(Default)]
struct State {
    /// `http://127.0.0.1:8025`; `None` while there is no page that a browser could reach.
    page: Option<String>,
    codes: Vec<(String, Instant)>,
}

/// A code must not reach a log.
impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("page", &self.page).finish_non_exhaustive()
    }
}

impl OpenCodes {
    /// Sets the address of the page, without a path.
    pub fn set_page(&self, page: Option<String>) {
        self.state().page = page;
    }

    /// Makes a code. Returns the URL that has it, or `None` without a page.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn issue(&self, now: Instant) -> io::Result<Option<String>> {
        let code = random_text()?;
        let mut state = self.state();
        let Some(url) = state.page.as_ref().map(|page| format!("{page}/login?code={code}")) else { return Ok(None) };
        state.codes.retain(|(_, until)| *until > now);
        if state.codes.len() >= MOST {
            state.codes.remove(0);
        }
        state.codes.push((code, now + LIFE));
        Ok(Some(url))
    }

    /// Whether the code is good; it is not any more afterwards.
    pub fn redeem(&self, code: &str, now: Instant) -> bool {
        let mut state = self.state();
        state.codes.retain(|(_, until)| *until > now);
        // Every code is compared, so that the time says nothing about any of them.
        let found = state
            .codes
            .iter()
            .enumerate()
            .fold(None, |found, (place, (known, _))| if super::same_text(known, code) { Some(place) } else { found });
        found.map(|place| state.codes.remove(place)).is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one insertion or removal; a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(url: Option<String>) -> String {
        url.unwrap().rsplit_once('=').unwrap().1.to_owned()
    }

    #[test]
    fn a_code_is_good_once_and_for_two_minutes() {
        let (codes, now) = (OpenCodes::default(), Instant::now());
        assert_eq!(codes.issue(now).unwrap(), None);
        codes.set_page(Some("http://127.0.0.1:8025".to_owned()));
        let first = code(codes.issue(now).unwrap());
        assert!(!codes.redeem("", now) && !codes.redeem("x", now));
        assert!(codes.redeem(&first, now));
        assert!(!codes.redeem(&first, now));
        let late = code(codes.issue(now).unwrap());
        assert!(!codes.redeem(&late, now + LIFE));
    }

    #[test]
    fn the_oldest_code_gives_way() {
        let (codes, now) = (OpenCodes::default(), Instant::now());
        codes.set_page(Some("http://127.0.0.1:8025".to_owned()));
        let all: Vec<String> = (0..=MOST).map(|_| code(codes.issue(now).unwrap())).collect();
        assert!(!codes.redeem(&all[0], now));
        assert!(all[1..].iter().all(|code| codes.redeem(code, now)));
        assert!(!format!("{codes:?}").contains(&all[1]));
    }
}
