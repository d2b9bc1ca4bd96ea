//! Which accounts take it, and is it small enough for them? One message for each route that its recipients take.
//!
//! Nearly always that is one. Where recipients take different routes, each group becomes a message of its own, with the
//! same header block and a body of its own ([`StoredBody::share`]), so that the queue needs to know nothing of routes. Not
//! here: what a route is (`route`). Invariants: every recipient is in exactly one of the messages; the first one keeps
//! the id that the client hears.

use std::collections::VecDeque;

use crate::queue::{NewMessage, QueueError, StoredBody};

use super::admit::Admission;
use super::arrival::not_stored;
use super::refusal::{self, Refusal};

impl Admission {
    /// The messages to store for this one.
    pub(super) async fn split(&self, mut message: NewMessage) -> Result<Vec<NewMessage>, Refusal> {
        let groups = match self.user.as_ref().and_then(|user| user.pool.clone()) {
            Some(pool) => vec![(pool, (0..message.recipients.len()).collect())],
            None => self.around.router.split(&message.origin.client, &message.sender, &message.recipients),
        };
        for (pool, _) in &groups {
            self.fits(&message, pool)?;
        }
        let mut groups = groups.into_iter();
        let Some((first, places)) = groups.next() else { return Err(refusal::fault()) };
        message.pool = first.to_string();
        let others: Vec<_> = groups.collect();
        if others.is_empty() {
            return Ok(vec![message]);
        }
        let all = std::mem::take(&mut message.recipients);
        let chosen = |places: &[usize]| places.iter().filter_map(|&place| all.get(place).cloned()).collect();
        let mut bodies;
        (message.body, bodies) = shared(message.body, others.len()).await.map_err(not_stored)?;
        message.recipients = chosen(&places);
        let mut messages = Vec::with_capacity(others.len() + 1);
        for (pool, places) in others {
            messages.push(NewMessage {
                id: self.around.ids.next(message.received),
                received: message.received,
                expires: message.expires,
                origin: message.origin.clone(),
                sender: message.sender.clone(),
                recipients: chosen(&places),
                head: message.head.clone(),
                body: bodies.pop_front().ok_or_else(refusal::fault)?,
                repairs: message.repairs.clone(),
                notice: message.notice,
                lane: message.lane,
                pool: pool.to_string(),
                subject: message.subject.clone(),
                message_id: message.message_id.clone(),
            });
        }
        messages.insert(0, message);
        Ok(messages)
    }

    /// Whether any account of the pool takes a message of this size (RFC 1870): if none does, the client hears it now.
    fn fits(&self, message: &NewMessage, pool: &str) -> Result<(), Refusal> {
        let size = message.head.len() as u64 + 2 + message.body.len();
        match self.around.largest.get(pool) {
            Some(&largest) if size > largest => Err(refusal::too_large_for_provider(size, largest)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The body, and so many more of it. Files are linked and their folder is synced, so not on the runtime's threads.
async fn shared(body: StoredBody, more: usize) -> Result<(StoredBody, VecDeque<StoredBody>), QueueError> {
    let link = move || {
        let bodies = (0..more).map(|_| body.share()).collect::<Result<_, _>>()?;
        Ok((body, bodies))
    };
    tokio::task::spawn_blocking(link).await.unwrap_or(Err(QueueError::Closed))
}
