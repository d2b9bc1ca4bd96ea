//! Log-ins of clients (RFC 4954): whether a password is right, and whether this client may try now.
//!
//! ```text
//!  lockout     too many wrong passwords of this source?        -> 421
//!  user pace   too many for this user, from a new address?     -> later, or 454
//!  workers     a fair queue, known clients first               -> lockout again, compare, count
//! ```
//!
//! Not here: the dialogue (`smtp::server`), how passwords are compared (`secret::password`), the wait before the answer
//! (`connection`), and what a user may do (`admit`).
//!
//! Invariants: every wrong log-in costs the same work, whether there is such a user, whatever its hash costs, and whether
//! its password can be read ([`costs`]). At most [`WORKERS`] comparisons run at a time, on threads of their own. The
//! password is read anew each time, so a new one counts at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::limits::known_clients::{Fact, KnownClients};
use crate::limits::lockout::{Lockout, Patience};
use crate::limits::source::Source;
use crate::limits::user_pace::{Turn, UserPace};
use crate::mail::ReversePath;
use crate::route::Pattern;
use crate::secret::password::{Cost, NoMemory, Password, Workspace};
use crate::secret::{Secret, SecretSource};

use super::client::Client;

mod costs;
mod fair_queue;
mod workers;

use costs::Costs;
pub use workers::WORKERS;
use workers::Workers;

/// A user that may log in.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its name in the settings, for logs.
    pub name: String,
    /// Its log-in name; upper and lower case are alike.
    pub login: String,
    /// Where its password is.
    pub password: SecretSource,
    /// Which client it is, wherever it comes from.
    pub client: Option<Arc<Client>>,
    /// The pool that takes all its mail, whatever the routes say.
    pub pool: Option<Arc<str>>,
    /// Envelope senders it may use; empty: any.
    pub senders: Vec<Pattern>,
}

impl User {
    /// Whether it may send as `sender`. A user that is bound to addresses may not use the null sender either.
    pub fn may_send_as(&self, sender: &ReversePath) -> bool {
        self.senders.is_empty() || self.senders.iter().any(|pattern| pattern.permits(sender.address()))
    }
}

/// What becomes of a log-in.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is this user.
    Welcome(Arc<User>),
    /// It is not. The answer waits.
    Wrong {
        /// The user whose password was wrong, if there is one of that name.
        user: Option<Arc<User>>,
        /// How many wrong passwords came from this network lately, this one included.
        count: u32,
    },
    /// The password was not compared: too many wrong passwords came from this source.
    LockedOut,
    /// The password was not compared: too many wrong passwords of this user came from new addresses.
    Later,
    /// The password was not compared: the system has no memory or thread for it, or the comparison panicked.
    Unavailable,
}

/// All users that may log in.
#[derive(Debug)]
pub struct Users {
    users: HashMap<String, (usize, Arc<User>)>,
    costs: Costs,
    lockout: Lockout,
    pace: UserPace,
    known: Arc<KnownClients>,
    workers: Workers,
}

impl Default for Users {
    fn default() -> Users {
        Users::new([], Patience::default(), Arc::default())
    }
}

impl Users {
    /// The users, no two of them with one log-in name.
    pub fn new(users: impl IntoIterator<Item = User>, patience: Patience, known: Arc<KnownClients>) -> Users {
        let users: Vec<Arc<User>> = users.into_iter().map(Arc::new).collect();
        Users {
            costs: Costs::new(users.iter().map(|user| user.password.clone()).collect()),
            users: users.into_iter().enumerate().map(|user| (user.1.login.to_ascii_lowercase(), user)).collect(),
            pace: UserPace::new(patience.most_of_user),
            lockout: Lockout::new(patience),
            known,
            workers: Workers::default(),
        }
    }

    /// Judges a log-in from `address`. A guess that was begun counts, even if nothing waits for the verdict any more.
    pub async fn verify(self: &Arc<Users>, address: IpAddr, login: &str, password: Secret) -> Verdict {
        let (login, now) = (login.to_ascii_lowercase(), Instant::now());
        if self.lockout.is_locked(address, now) {
            return Verdict::LockedOut;
        }
        let turn = match self.known.knows(address, Fact::LoggedInAs(&login)) {
            true => Turn::Now,
            false => self.pace.turn(&login, now),
        };
        match turn {
            Turn::Now => {}
            Turn::After(wait) => tokio::time::sleep(wait).await,
            Turn::Refused => return Verdict::Later,
        }
        let trusted = self.known.knows(address, Fact::LoggedIn) && self.lockout.wrong(address, now) == 0;
        let (this, (answer, verdict)) = (self.clone(), oneshot::channel());
        self.workers.submit(Source::of(address).widest(), trusted, move |workspace| {
            let verdict = this.judge(address, &login, &password, turn, workspace).unwrap_or_else(|error| {
                tracing::error!(event = "login_failed", "{error}");
                Verdict::Unavailable
            });
            let _ = answer.send(verdict);
        });
        // A job that was dropped, or panicked, lets no client in.
        verdict.await.unwrap_or(Verdict::Unavailable)
    }

    fn judge(
        &self,
        address: IpAddr,
        login: &str,
        password: &Secret,
        turn: Turn,
        workspace: &mut Workspace,
    ) -> Result<Verdict, NoMemory> {
        // Others from this address may have been wrong while this one waited: fifty at once are not fifty guesses.
        if self.lockout.is_locked(address, Instant::now()) {
            return Ok(Verdict::LockedOut);
        }
        let user = self.users.get(login);
        let compared = match user {
            Some((index, user)) => self.compare(*index, user, password, workspace)?,
            None => None,
        };
        if let (Some((true, _)), Some((_, user))) = (&compared, user) {
            let now = Instant::now();
            self.pace.right(login, turn);
            self.known.note(address, Fact::LoggedIn, now);
            self.known.note(address, Fact::LoggedInAs(login), now);
            return Ok(Verdict::Welcome(user.clone()));
        }
        self.costs.pretend_others(compared.map(|(_, cost)| cost).as_ref(), password, workspace)?;
        let now = Instant::now();
        self.pace.wrong(login, turn, now);
        Ok(Verdict::Wrong { user: user.map(|(_, user)| user.clone()), count: self.lockout.failed(address, now) })
    }

    /// Reads the password from where it is, and computes. Whether it is right, and what that cost; `None` if it cannot
    /// be read.
    fn compare(
        &self,
        index: usize,
        user: &User,
        typed: &Secret,
        workspace: &mut Workspace,
    ) -> Result<Option<(bool, Cost)>, NoMemory> {
        let kept = user.password.read().map_err(|error| error.to_string());
        match kept.and_then(|secret| Password::new(secret).map_err(|error| error.to_string())) {
            Ok(password) => {
                self.costs.saw(index, password.cost());
                Ok(Some((password.is(typed, workspace)?, password.cost())))
            }
            Err(error) => {
                tracing::error!(event = "login_failed", user = user.name, "no log-in as this user succeeds: {error}");
                Ok(None)
            }
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

#[cfg(test)]
mod tests;
