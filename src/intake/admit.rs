//! The admission of a message: may it come in, what is wrong with it, is it safe on disk?
//!
//! One [`Admission`] serves one connection. Octets go through an [`Arrival`] into a draft of the queue as they come, so
//! that a message of 50 MiB is never in memory. Repair comes after the final dot, when all is known; then `put`, then
//! 250. A fault in the middle is remembered and told after the final dot, because nothing can be said before it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::limits::known_clients::Fact;
use crate::mail::{Address, ClientKey, Id, Lane, ReversePath};
use crate::message::{Header, encoded_word};
use crate::queue::{MessageOrigin, NewMessage};
use crate::smtp::Reply;
use crate::telemetry::counter;

use super::arrival::{Arrival, Circumstances, not_stored};
use super::client::Peer;
use super::context::IntakeContext;
use super::login::User;
use super::nat_detection;
use super::refusal::{self, Refusal};
use super::refusal_log::MailFacts;
use super::settings::ListenerSettings;

/// Most characters of a subject in the log.
const SUBJECT: usize = 200;

/// What one connection is in the middle of.
pub(super) struct Admission {
    peer: Peer,
    /// The peer as it came, before a log-in told more about it.
    arrived: Peer,
    pub(super) user: Option<Arc<User>>,
    settings: Arc<ListenerSettings>,
    pub(super) around: Arc<IntakeContext>,
    /// What the log says of the mail under way.
    pub(super) facts: MailFacts,
    envelope: Option<Envelope>,
    incoming: Option<Incoming>,
}

struct Envelope {
    from: ReversePath,
    to: Vec<Address>,
    /// Their keys ([`Address::key`]): a long list costs no more for each than a short one.
    known: HashSet<String>,
}

/// A message whose final dot has not come yet.
struct Incoming {
    arrival: Arrival,
    fault: Option<Refusal>,
}

/// What is reported of a message once it is stored.
struct Accepted {
    id: Id,
    from: String,
    recipients: usize,
    first: String,
    size: u64,
    pool: String,
    lane: Lane,
    /// Only where the settings want it in the log.
    subject: Option<String>,
    repairs: Vec<String>,
}

impl Accepted {
    fn of(message: &NewMessage, with_subject: bool) -> Accepted {
        Accepted {
            id: message.id,
            from: message.sender.to_string(),
            recipients: message.recipients.len(),
            first: message.recipients.first().map(Address::to_string).unwrap_or_default(),
            size: message.head.len() as u64 + 2 + message.body.len(),
            pool: message.pool.clone(),
            lane: message.lane,
            subject: with_subject.then(|| subject(&message.head)),
            repairs: message.repairs.clone(),
        }
    }
}

/// The decoded subject, at most [`SUBJECT`] characters; empty when there is none.
fn subject(head: &[u8]) -> String {
    let text = Header::parse(head).text("Subject").unwrap_or_default();
    encoded_word::decode(text.trim()).chars().take(SUBJECT).collect()
}

impl Admission {
    pub(super) fn new(peer: Peer, settings: Arc<ListenerSettings>, around: Arc<IntakeContext>) -> Admission {
        let (arrived, facts) = (peer.clone(), MailFacts::default());
        Admission { arrived, peer, user: None, settings, around, facts, envelope: None, incoming: None }
    }

    /// The client has logged in as this user, or is nobody again (STARTTLS).
    pub(super) fn logged_in(&mut self, user: Option<Arc<User>>) {
        self.peer = match user.as_ref().and_then(|user| user.client.clone()) {
            Some(client) => Peer { name: client.name.as_str().into(), client: Some(client), addr: self.arrived.addr },
            None => self.arrived.clone(),
        };
        self.user = user;
    }

    /// AUTH: whether a log-in of this client is looked at at all.
    pub(super) fn log_in(&self) -> Result<(), Refusal> {
        let guard = &self.around.guard;
        guard.is_well_behaved(self.peer.addr, Instant::now()).map_err(|_| refusal::login_later())
    }

    /// MAIL: asks the guard at the door.
    pub(super) fn mail(&mut self, from: ReversePath, size: Option<u64>) -> Result<Reply, Refusal> {
        self.facts = MailFacts { sender: Some(from.clone()), declared: size, received: 0 };
        let size = size.unwrap_or(0);
        self.around.capacity.has_space(size).map_err(refusal::no_space)?;
        // Both lists count: a user may do less than the client that it is, never more.
        if self.user.as_ref().is_some_and(|user| !user.may_send_as(&from)) {
            return Err(refusal::sender());
        }
        if self.peer.client.as_ref().is_some_and(|client| !client.may_send_as(&from)) {
            return Err(refusal::sender_not_allowed());
        }
        let sender = from.address().map(Address::key).unwrap_or_default();
        self.around.guard.message(self.peer.addr, &sender, size, Instant::now()).map_err(refusal::spent)?;
        self.envelope = Some(Envelope { from, to: Vec::new(), known: HashSet::new() });
        Ok(Reply::fixed(250, "2.1.0 Sender OK"))
    }

    /// RCPT: takes addresses that a provider could deliver to, each mailbox once.
    pub(super) fn recipient(&mut self, address: Address) -> Result<Reply, Refusal> {
        let address = match address {
            // RFC 5321 section 4.5.1 wants this one to be taken; here the owner is the postmaster.
            local if !local.is_qualified() && local.local().eq_ignore_ascii_case("postmaster") => {
                self.around.owner.mailbox.clone()
            }
            local if !local.is_qualified() => return Err(refusal::unqualified()),
            literal if literal.domain().starts_with('[') => return Err(refusal::literal()),
            other if self.peer.client.as_ref().is_some_and(|client| !client.may_write_to(&other)) => {
                return Err(refusal::recipient_not_allowed());
            }
            address => address,
        };
        self.around.guard.recipient(self.peer.addr, Instant::now()).map_err(refusal::spent)?;
        if let Some(envelope) = &mut self.envelope
            && envelope.known.insert(address.key())
        {
            envelope.to.push(address);
        }
        Ok(Reply::fixed(250, "2.1.5 Recipient OK"))
    }

    /// DATA: opens a draft.
    pub(super) fn data(&mut self) -> Result<Reply, Refusal> {
        self.incoming =
            Some(Incoming { arrival: Arrival::new(self.around.queue.draft(), self.peer.client.clone()), fault: None });
        Ok(Reply::fixed(354, "End data with <CR><LF>.<CR><LF>"))
    }

    /// Why the message that arrives is lost already; its final dot will say so.
    pub(super) fn fault(&self) -> Option<Refusal> {
        self.incoming.as_ref().and_then(|incoming| incoming.fault.clone())
    }

    /// Whether a message is arriving right now.
    pub(super) fn is_receiving(&self) -> bool {
        self.incoming.is_some()
    }

    /// The next octets of the message.
    pub(super) async fn chunk(&mut self, chunk: &Bytes) {
        self.facts.received += chunk.len() as u64;
        self.around.guard.received(self.peer.addr, chunk.len() as u64, Instant::now());
        if let Some(incoming) = &mut self.incoming
            && incoming.fault.is_none()
        {
            incoming.fault = incoming.arrival.take(chunk).await.err();
        }
    }

    /// The final dot: repairs, stores, and only then says 250, with the id of the first message.
    pub(super) async fn end(&mut self, helo: &str, protocol: &'static str) -> Result<Reply, Refusal> {
        let ids = self.store_all(helo, protocol).await?;
        let first = ids.first().ok_or_else(refusal::fault)?;
        Ok(Reply::new(250, &format!("2.0.0 queued as {first}")))
    }

    /// As [`Admission::end`]; returns the ids of the stored messages, one for each pool.
    pub(super) async fn store_all(&mut self, helo: &str, protocol: &'static str) -> Result<Vec<Id>, Refusal> {
        let (Some(envelope), Some(incoming)) = (self.envelope.take(), self.incoming.take()) else {
            return Err(refusal::fault());
        };
        if let Some(fault) = incoming.fault {
            return Err(fault);
        }
        let _here = self.around.drain.hold(("final dot of", self.peer.addr));
        // In boxes, one after another: the future of all three together would be moved for each message.
        let begin = Instant::now();
        let message = Box::pin(self.prepare(helo, protocol, envelope, incoming.arrival)).await?;
        let messages = Box::pin(self.split(message)).await?;
        let reply = Box::pin(self.store(messages)).await?;
        self.around.counters.observe(counter::ACCEPT_SECONDS, &[], begin.elapsed());
        Ok(reply)
    }

    /// The transaction is over, or never was.
    pub(super) fn forget(&mut self) {
        self.envelope = None;
        self.incoming = None;
    }

    async fn prepare(
        &self,
        helo: &str,
        protocol: &'static str,
        envelope: Envelope,
        arrival: Arrival,
    ) -> Result<NewMessage, Refusal> {
        let now = self.around.clock.now();
        let (id, date) = (self.around.ids.next(now), now.rfc5322());
        let about = Circumstances {
            id,
            date: &date,
            host: &self.around.hostname,
            helo,
            with: protocol,
            addr: self.peer.addr,
            owner: &self.around.owner.mailbox,
            from: &envelope.from,
            to: &envelope.to,
        };
        let mended = arrival.mend(&about, self.around.queue.draft()).await?;
        Ok(NewMessage {
            id,
            received: now,
            expires: now + self.around.expire,
            origin: MessageOrigin {
                client: self.peer.name.as_ref().to_owned(),
                key: ClientKey::of_client(self.user.as_ref().map(|user| user.name.as_str()), self.peer.addr),
                addr: self.peer.addr,
                listener: self.settings.name.clone(),
                helo: helo.to_owned(),
            },
            sender: envelope.from,
            recipients: envelope.to,
            head: mended.head,
            body: mended.body,
            repairs: mended.repairs.iter().map(|repair| repair.name().to_owned()).collect(),
            notice: false,
            lane: self.peer.client.as_ref().map_or(Lane::Normal, |client| client.lane),
            pool: String::new(),
            subject: mended.summary.subject,
            message_id: mended.summary.message_id,
        })
    }

    /// Stores all of them, or none: a client that is refused sends to all recipients again.
    async fn store(&self, messages: Vec<NewMessage>) -> Result<Vec<Id>, Refusal> {
        let accepted: Vec<Accepted> =
            messages.iter().map(|message| Accepted::of(message, self.around.log_subject)).collect();
        self.around.queue.put_all(messages).await.map_err(not_stored)?;
        accepted.iter().for_each(|one| self.report(one));
        let labels = [("listener", self.settings.name.as_str()), ("client", self.peer.label())];
        self.around.counters.add(counter::ACCEPTED, &labels, 1);
        if let Some(client) = &self.peer.client {
            let now = self.around.clock.now().millis() as f64 / 1000.0;
            self.around.counters.set(counter::CLIENT_LAST_ACCEPTED, &[("client", &client.name)], now);
        }
        self.look_around();
        Ok(accepted.iter().map(|one| one.id).collect())
    }

    /// Counts and logs a message that is stored.
    fn report(&self, message: &Accepted) {
        let Accepted { id, ref from, recipients, ref first, size, ref pool, lane, ref subject, ref repairs } = *message;
        self.around.guard.holds(self.peer.addr, size);
        self.around.known.note(self.peer.addr, Fact::Sent, Instant::now());
        let (client, listener) = (&*self.peer.name, self.settings.name.as_str());
        tracing::info!(event = "accepted", %id, client, addr = %self.peer.addr, listener, user = self.user.as_ref().map(|user| user.name.as_str()), %from, recipients, first, size, pool, lane = lane.name(), subject);
        self.report_repairs(id, repairs);
    }

    /// Says once when a day of messages came through one address translator.
    fn look_around(&self) {
        let alone = self.around.nat.note(self.peer.addr, self.around.clock.now());
        if let Some(addr) = alone.filter(|addr| nat_detection::hides_others(*addr, &nat_detection::gateways())) {
            tracing::warn!(
                event = "one_client",
                %addr,
                "every message of a day came from this gateway or container bridge: the clients are hidden behind it, so \
                 allow, [client.NAME] and the limits for one client hold for all of them together"
            );
        }
    }

    fn report_repairs(&self, id: Id, repairs: &[String]) {
        for repair in repairs {
            self.around.counters.add(counter::REPAIRS, &[("repair", repair)], 1);
        }
        if !repairs.is_empty() {
            tracing::info!(event = "repaired", %id, repairs = repairs.join(","));
        }
    }
}
