//! Sessions of browsers: 32 random octets in a cookie, known in memory only, gone at a restart.
//!
//! Invariants: a session ends after [`LIFE`]; there are at most [`MOST`], and a new one replaces the oldest. The time is an
//! argument.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};

use crate::admin::{same_text, token_file::random_text};

use super::tokens::Rights;

/// How long a session lasts.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3600);
/// Sessions at a time.
const MOST: usize = 64;

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

/// One session.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) rights: Rights,
    /// The text that its forms carry.
    pub(super) form: String,
    until: Instant,
}

impl Session {
    /// Whether a form carries the text of this session.
    pub(super) fn is_own_form(&self, text: &str) -> bool {
        same_text(&self.form, text)
    }
}

impl Sessions {
    /// Begins a session. Returns the value of its cookie.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub(super) fn begin(&self, rights: Rights, now: Instant) -> io::Result<String> {
        let (id, form) = (random_text()?, random_text()?);
        let mut all = self.all();
        all.retain(|_, session| session.until > now);
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, session)| session.until).map(|(id, _)| id.clone())
        {
            all.remove(&oldest);
        }
        all.insert(id.clone(), Session { rights, form, until: now + LIFE });
        Ok(id)
    }

    /// The session of this cookie.
    pub(super) fn find(&self, id: &str, now: Instant) -> Option<Session> {
        self.all().get(id).filter(|session| session.until > now).cloned()
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        self.all().remove(id);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        // Each change is one insertion or removal; a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of the cookie. Over TLS its prefix binds it to this host and to TLS (RFC 6265bis section 4.1.3.2).
pub(super) fn cookie_name(tls: bool) -> &'static str {
    if tls { "__Host-yz" } else { "yz" }
}

/// The value of our cookie in a request.
pub(super) fn cookie(headers: &HeaderMap, tls: bool) -> Option<&str> {
    let fields = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == cookie_name(tls)).map(|(_, value)| value)
}

/// The field that sets the cookie; without a value, the one that removes it.
pub(super) fn set_cookie(id: Option<&str>, tls: bool) -> String {
    let (name, secure) = (cookie_name(tls), if tls { "; Secure" } else { "" });
    let (value, age) = id.map_or(("", 0), |id| (id, LIFE.as_secs()));
    format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_for_twelve_hours_and_the_oldest_gives_way() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.begin(Rights::Full, now).unwrap();
        assert_eq!(first.len(), 43);
        assert!(sessions.find(&first, now + LIFE - Duration::from_secs(1)).is_some());
        assert!(sessions.find(&first, now + LIFE).is_none());
        let later = now + Duration::from_secs(1);
        let all: Vec<String> = (0..MOST).map(|_| sessions.begin(Rights::View, later).unwrap()).collect();
        assert!(sessions.find(&first, later).is_none());
        assert!(all.iter().all(|id| sessions.find(id, later).is_some()));
        let session = sessions.find(&all[0], later).unwrap();
        assert!(session.is_own_form(&session.form) && !session.is_own_form("") && session.rights == Rights::View);
        sessions.end(&all[0]);
        assert!(sessions.find(&all[0], later).is_none());
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; yz=one;__Host-yz=two".parse().unwrap());
        assert_eq!((cookie(&headers, false), cookie(&headers, true)), (Some("one"), Some("two")));
        assert!(
            set_cookie(Some("x"), true)
                .starts_with("__Host-yz=x; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure")
        );
    }
}
