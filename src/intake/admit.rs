//! The admission of a message: may it come in, what is wrong with it, is it safe on disk?
//!
//! One [`Admission`] serves one connection. Octets go through as they arrive (header block split off, line ends mended)
//! into a draft of the queue, so that a message of 50 MiB is never in memory. Repair comes after the final dot, when all
//! is known; then `put`, then 250. A fault in the middle is remembered and told after the final dot, because nothing
//! can be said before it.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::mail::{Address, Id, ReversePath};
use crate::message::received::{self, Trace};
use crate::message::{Client, Examined, Facts, FirstPass, Mender, SplitError, repair};
use crate::queue::Error;
use crate::queue::body::{Draft, Stored};
use crate::queue::entry::{NewMessage, Origin};
use crate::smtp::Reply;
use crate::telemetry::counter;

use super::refusal::{self, Refusal};
use super::{Settings, Surroundings};

/// A message that has been through more servers than this is in a loop (RFC 5321 section 6.3 asks for at least 100
/// hops to be let through by a general relay; mail that ends here comes from a device next door).
const MOST_HOPS: usize = 50;

/// What one connection is in the middle of.
pub(super) struct Admission {
    client: IpAddr,
    settings: Arc<Settings>,
    around: Surroundings,
    envelope: Option<Envelope>,
    incoming: Option<Incoming>,
}

struct Envelope {
    from: ReversePath,
    to: Vec<Address>,
}

/// A message whose final dot has not come yet.
struct Incoming {
    first: FirstPass,
    draft: Draft,
    buffer: Vec<u8>,
    fault: Option<Refusal>,
}

impl Admission {
    pub(super) fn new(client: IpAddr, settings: Arc<Settings>, around: Surroundings) -> Admission {
        Admission { client, settings, around, envelope: None, incoming: None }
    }

    /// MAIL: asks the guard at the door.
    pub(super) fn mail(&mut self, from: ReversePath, size: Option<u64>) -> Result<Reply, Refusal> {
        self.around.room.has_space(size.unwrap_or(0)).map_err(refusal::no_space)?;
        if !self.around.rate.allows(self.client) {
            return Err(refusal::too_often());
        }
        self.envelope = Some(Envelope { from, to: Vec::new() });
        Ok(Reply::new(250, "2.1.0 Sender OK"))
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
            address => address,
        };
        if let Some(envelope) = &mut self.envelope
            && !envelope.to.iter().any(|known| known.key() == address.key())
        {
            envelope.to.push(address);
        }
        Ok(Reply::new(250, "2.1.5 Recipient OK"))
    }

    /// DATA: opens a draft.
    pub(super) fn data(&mut self) -> Result<Reply, Refusal> {
        self.incoming = Some(Incoming {
            first: FirstPass::new(&Client::default().demand()),
            draft: self.around.queue.draft(),
            buffer: Vec::new(),
            fault: None,
        });
        Ok(Reply::new(354, "End data with <CR><LF>.<CR><LF>"))
    }

    /// Whether a message is arriving right now.
    pub(super) fn is_receiving(&self) -> bool {
        self.incoming.is_some()
    }

    /// The next octets of the message.
    pub(super) async fn chunk(&mut self, chunk: &Bytes) {
        if let Some(incoming) = &mut self.incoming
            && incoming.fault.is_none()
        {
            incoming.fault = incoming.take(chunk).await.err();
        }
    }

    /// The final dot: repairs, stores, and only then says 250.
    pub(super) async fn end(&mut self, helo: &str, protocol: &'static str) -> Result<Reply, Refusal> {
        let (Some(envelope), Some(incoming)) = (self.envelope.take(), self.incoming.take()) else {
            return Err(refusal::fault());
        };
        if let Some(fault) = incoming.fault {
            return Err(fault);
        }
        let _here = self.around.drain.hold(format!("final dot of {}", self.client));
        let (examined, body) = incoming.finish().await?;
        let header = &examined.header;
        if received::hops(header) > MOST_HOPS || received::own(header, &self.settings.hostname) >= 2 {
            return Err(refusal::loops());
        }
        let body = self.mend(&examined, body).await?;
        let message = self.compose(helo, protocol, envelope, examined, body);
        self.store(message).await
    }

    /// The transaction is over, or never was.
    pub(super) fn forget(&mut self) {
        self.envelope = None;
        self.incoming = None;
    }

    /// Writes the body anew, in the parts that cannot go as they are.
    async fn mend(&self, examined: &Examined, body: Stored) -> Result<Stored, Refusal> {
        if !examined.plan.rewrites_body() {
            return Ok(body);
        }
        let (mut reader, mut draft) = (body.reader(), self.around.queue.draft());
        let (mut mender, mut buffer) = (Mender::new(&examined.header, &examined.plan), Vec::new());
        while let Some(chunk) = reader.next_chunk().await.map_err(not_stored)? {
            mender.push(&chunk, &mut buffer);
            draft.write(&buffer).await.map_err(not_stored)?;
            buffer.clear();
        }
        mender.finish(&mut buffer);
        draft.write(&buffer).await.map_err(not_stored)?;
        draft.finish().await.map_err(not_stored)
    }

    fn compose(
        &self,
        helo: &str,
        protocol: &'static str,
        envelope: Envelope,
        examined: Examined,
        body: Stored,
    ) -> NewMessage {
        let now = self.around.clock.now();
        let (id, date, owner) = (self.around.ids.next(now), now.rfc5322(), &self.around.owner.mailbox);
        let facts = Facts {
            date: &date,
            id,
            domain: owner.domain(),
            fallback_from: owner,
            sender: &envelope.from,
            recipients: &envelope.to,
            body: &examined.body,
            plan: &examined.plan,
            client: &Client::default(),
        };
        let repaired = repair(examined.header, &facts);
        let trace = Trace {
            helo: helo.as_bytes(),
            ip: self.client,
            host: &self.settings.hostname,
            with: protocol,
            id,
            date: &date,
        };
        let mut head = received::field(&trace);
        head.extend_from_slice(&repaired.head);
        NewMessage {
            id,
            received: now,
            expires: now + self.around.expire,
            origin: Origin {
                client: self.client.to_string(),
                addr: self.client,
                listener: self.settings.name.clone(),
                helo: helo.to_owned(),
            },
            sender: envelope.from,
            recipients: envelope.to,
            head: Bytes::from(head),
            body,
            repairs: repaired.repairs.iter().map(|repair| repair.name().to_owned()).collect(),
            notice: false,
        }
    }

    async fn store(&self, message: NewMessage) -> Result<Reply, Refusal> {
        let (id, size) = (message.id, message.head.len() as u64 + 2 + message.body.len());
        let (from, recipients, repairs) =
            (message.sender.to_string(), message.recipients.len(), message.repairs.clone());
        self.around.queue.put(message).await.map_err(not_stored)?;
        let (client, listener) = (self.client.to_string(), self.settings.name.as_str());
        self.around.counters.add(counter::ACCEPTED, &[("listener", listener), ("client", &client)], 1);
        tracing::info!(event = "accepted", %id, client, listener, %from, recipients, size);
        self.report_repairs(id, &repairs);
        Ok(Reply::new(250, &format!("2.0.0 queued as {id}")))
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

impl Incoming {
    async fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.first.push(chunk, &mut self.buffer).map_err(refuse_header)?;
        self.store().await
    }

    async fn finish(mut self) -> Result<(Examined, Stored), Refusal> {
        let first = std::mem::replace(&mut self.first, FirstPass::new(&Client::default().demand()));
        let examined = first.finish(&mut self.buffer).map_err(refuse_header)?;
        self.store().await?;
        let body = self.draft.finish().await.map_err(not_stored)?;
        Ok((examined, body))
    }

    async fn store(&mut self) -> Result<(), Refusal> {
        self.draft.write(&self.buffer).await.map_err(not_stored)?;
        self.buffer.clear();
        Ok(())
    }
}

fn not_stored(error: Error) -> Refusal {
    tracing::error!(event = "queue_error", "{error}");
    refusal::not_stored(&error)
}

fn refuse_header(error: SplitError) -> Refusal {
    match error {
        SplitError::HeaderTooLarge => refusal::header_too_large(),
        SplitError::TooManyFields => refusal::too_many_fields(),
    }
}
