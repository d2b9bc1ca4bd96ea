//! A mail that an operator's program hands in over HTTP: the same limits, repairs, routes and durable write as mail that
//! came over SMTP.
//!
//! The client is the entry `api` of the settings where there is one: its repairs and its lists of senders and recipients
//! hold. Not here: HTTP, and who may use it (`admin::http`). Invariant: [`Submission::end`] returns ids only after
//! `Queue::put` returned.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::mail::{Address, Id, ReversePath};
use crate::smtp::server::{AuthMode, Profile};

use super::admit::Admission;
use super::client::Peer;
use super::context::IntakeContext;
use super::refusal::{self, Refusal};
use super::refusal_log::RefusalLine;
use super::settings::{Deadlines, ListenerSettings};

/// The name of the client in the log, the queue and routes.
pub const CLIENT: &str = "api";
/// The name of the listener in the log and in counters.
const LISTENER: &str = "http";
/// What `Received` says: `from api (..) by .. with HTTP`.
const PROTOCOL: &str = "HTTP";

/// A mail whose end has not come yet.
pub struct Submission {
    admission: Admission,
    around: Arc<IntakeContext>,
    peer: Peer,
    octets: u64,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Submission {
    /// Asks whether a mail of `size` octets (`None`: not known) may come in from `addr`, for these recipients.
    ///
    /// # Errors
    /// The refusal that a client would get over SMTP.
    pub fn begin(
        around: Arc<IntakeContext>,
        addr: IpAddr,
        from: ReversePath,
        to: Vec<Address>,
        size: Option<u64>,
    ) -> Result<Submission, Refusal> {
        let mut peer = Peer::new(addr, &around.clients);
        (peer.client, peer.name) = (around.clients.named(CLIENT), CLIENT.into());
        let admission = Admission::new(peer.clone(), Arc::new(settings()), around.clone());
        let mut submission = Submission { admission, around, peer, octets: 0 };
        let begun = submission.open(from, to, size);
        begun.map_err(|refusal| submission.refused(refusal))?;
        Ok(submission)
    }

    fn open(&mut self, from: ReversePath, to: Vec<Address>, size: Option<u64>) -> Result<(), Refusal> {
        if self.around.drain.started() {
            return Err(refusal::draining());
        }
        self.fits(size.unwrap_or(0))?;
        if to.is_empty() {
            return Err(refusal::no_recipient());
        }
        if to.len() > self.around.limits.recipients {
            return Err(refusal::too_many_recipients());
        }
        self.around.capacity.has_space(0).map_err(refusal::no_space)?;
        self.admission.mail(from, size)?;
        for address in to {
            self.admission.recipient(address)?;
        }
        self.admission.data()?;
        Ok(())
    }

    /// Takes the next octets of the mail, with any line ends.
    ///
    /// # Errors
    /// The mail is too large or cannot be stored. It is over then.
    pub async fn chunk(&mut self, chunk: &Bytes) -> Result<(), Refusal> {
        self.octets = self.octets.saturating_add(chunk.len() as u64);
        let fits = self.fits(self.octets);
        if fits.is_ok() {
            self.admission.chunk(chunk).await;
        }
        match fits.err().or_else(|| self.admission.fault()) {
            Some(refusal) => Err(self.refused(refusal)),
            None => Ok(()),
        }
    }

    /// The mail is complete: repairs and stores it. Returns an id for each pool that takes a part of the recipients.
    ///
    /// # Errors
    /// As over SMTP; nothing is stored then.
    pub async fn end(mut self) -> Result<Vec<Id>, Refusal> {
        let stored = Box::pin(self.admission.store_all(CLIENT, PROTOCOL)).await;
        stored.map_err(|refusal| self.refused(refusal))
    }

    fn fits(&self, octets: u64) -> Result<(), Refusal> {
        match octets > self.around.limits.message_size {
            true => Err(refusal::too_large(self.around.limits.message_size)),
            false => Ok(()),
        }
    }

    /// Counts and logs a refusal, as a listener does.
    fn refused(&self, refusal: Refusal) -> Refusal {
        RefusalLine::new(refusal.clone()).about(&self.admission.facts).refused(&self.around, &self.peer, LISTENER);
        refusal
    }
}

/// A listener without a socket: only its name is used.
fn settings() -> ListenerSettings {
    ListenerSettings {
        name: LISTENER.to_owned(),
        bind: Vec::new(),
        allow: Vec::new(),
        proxy_from: Vec::new(),
        profile: Profile::Tolerant,
        auth: AuthMode::Off,
        tls: None,
        deadlines: Deadlines::default(),
    }
}
