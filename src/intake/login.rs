//! Log-ins of clients (RFC 4954): is the password right, and may this address try at all?
//!
//! ```text
//!  locked out? ---> one of two workers is free ---> locked out by now? ---> compare ---> right, or noted
//! ```
//!
//! Not here: the dialogue (`smtp::server`), how passwords are compared (`secret::password`), the wait before the answer
//! (`connection`), and what a user may do (`admit`).
//!
//! Invariants: a user that does not exist costs the work of one that does, and is answered alike. At most
//! [`WORKERS`] comparisons run at a time, off the threads that talk; so a flood of guesses delays log-ins and nothing
//! else. The password is read anew each time, so a new one counts at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::limits::lockout::{Lockout, Patience};
use crate::mail::ReversePath;
use crate::route::Pattern;
use crate::secret::password::Password;
use crate::secret::{Secret, SecretSource};

use super::client::Client;

/// Comparisons at one time: each takes a processor and about 20 MiB for tens of milliseconds.
pub const WORKERS: usize = 2;

/// Somebody who may log in.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name in the settings, for logs.
    pub name: String,
    /// What it types; upper and lower case are alike.
    pub login: String,
    /// Where its password is.
    pub password: SecretSource,
    /// Which client it is, wherever it comes from.
    pub client: Option<Arc<Client>>,
    /// The pool that takes all its mail, whatever the routes say.
    pub pool: Option<Arc<str>>,
    /// Whom it may send as; with none, as anybody.
    pub senders: Vec<Pattern>,
}

impl User {
    /// Whether it may send as `sender`. One who is bound to addresses may not use the null sender either.
    pub fn may_send_as(&self, sender: &ReversePath) -> bool {
        self.senders.is_empty() || self.senders.iter().any(|pattern| pattern.permits(sender.address()))
    }
}

/// What becomes of a log-in.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is this user.
    Welcome(Arc<User>),
    /// It is not. To be answered after a wait.
    Wrong {
        /// The user whose password was not typed, if there is one of that name.
        user: Option<Arc<User>>,
        /// How many wrong passwords came from this address lately, this one included.
        count: u32,
    },
    /// Nobody looked: too many wrong passwords came from this address.
    LockedOut,
}

/// Everybody who may log in.
#[derive(Debug)]
pub struct Users {
    users: HashMap<String, Arc<User>>,
    /// Whose password is compared when there is no such user.
    decoy: Option<Arc<User>>,
    lockout: Lockout,
    workers: Arc<Semaphore>,
}

impl Default for Users {
    fn default() -> Users {
        Users::new([], Patience::default())
    }
}

impl Users {
    /// The users, no two of them with one log-in name.
    pub fn new(users: impl IntoIterator<Item = User>, patience: Patience) -> Users {
        let users: Vec<Arc<User>> = users.into_iter().map(Arc::new).collect();
        Users {
            decoy: users.first().cloned(),
            users: users.into_iter().map(|user| (user.login.to_ascii_lowercase(), user)).collect(),
            lockout: Lockout::new(patience),
            workers: Arc::new(Semaphore::new(WORKERS)),
        }
    }

    /// Judges a log-in from `address`. A guess that was begun counts, even if nobody waits for the verdict any more.
    pub async fn verify(self: &Arc<Users>, address: IpAddr, login: &str, password: Secret) -> Verdict {
        if self.lockout.is_locked(address, Instant::now()) {
            return Verdict::LockedOut;
        }
        let worker = self.workers.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (this, login) = (self.clone(), login.to_ascii_lowercase());
        let judged = tokio::task::spawn_blocking(move || {
            // Given back only after a wrong password was counted.
            let _worker = worker;
            this.judge(address, &login, &password)
        });
        // A panic in there is nobody's log-in.
        judged.await.unwrap_or(Verdict::LockedOut)
    }

    fn judge(&self, address: IpAddr, login: &str, password: &Secret) -> Verdict {
        // Others from this address may have been wrong while this one waited: fifty at once are not fifty guesses.
        if self.lockout.is_locked(address, Instant::now()) {
            return Verdict::LockedOut;
        }
        let user = self.users.get(login).cloned();
        let subject = user.as_ref().or(self.decoy.as_ref());
        match (subject.is_some_and(|subject| compare(subject, password)), user) {
            (true, Some(user)) => Verdict::Welcome(user),
            (true | false, user) => Verdict::Wrong { user, count: self.lockout.failed(address, Instant::now()) },
        }
    }

    /// How long the answer waits to wrong password number `count`.
    pub fn wait(&self, count: u32) -> Duration {
        self.lockout.patience().wait(count)
    }

    /// Whether wrong password number `count` was the one that locks the address out.
    pub fn locks_out(&self, count: u32) -> bool {
        count == self.lockout.patience().most
    }
}

/// Blocks: reads the password from where it is, then computes.
fn compare(user: &User, typed: &Secret) -> bool {
    let kept = user.password.read().map_err(|error| error.to_string());
    match kept.and_then(|secret| Password::new(secret).map_err(|error| error.to_string())) {
        Ok(password) => password.is(typed),
        Err(error) => {
            tracing::error!(event = "login_failed", user = user.name, "nobody can log in as this user: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests;
