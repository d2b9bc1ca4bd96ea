//! One message on its way from the client's octets to what is stored: the steps, and their order.
//!
//! The relay and `yizhan repair` both come this way, so that the command shows what the relay would do and nothing
//! else. Octets go through as they arrive (header block split off, line ends mended) into a draft; the repair comes at
//! the end, when all is known. Not here: who may send, the envelope's rules, and the queue (`admit`).
//!
//! Invariant: a body is never in memory beyond what its draft holds there.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::mail::{Address, Id, ReversePath};
use crate::message::received::{self, Trace};
use crate::message::summary::Summary;
use crate::message::{self, BodyRewriter, Examined, Facts, FirstPass, Repair, SplitError, repair};
use crate::queue::{BodyDraft, LONGEST_SUBJECT, QueueError, StoredBody};

use super::client::Client;
use super::refusal::{self, Refusal};

/// A message that has been through more servers than this is in a loop (RFC 5321 section 6.3 asks for at least 100
/// hops to be let through by a general relay; mail that ends here comes from a device next door).
const MOST_HOPS: usize = 50;

/// What is known of a message beside its octets.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Its id.
    pub id: Id,
    /// When its final dot was read, as RFC 5322 section 3.3 writes it.
    pub date: &'a str,
    /// Our own name.
    pub host: &'a str,
    /// What the client called itself.
    pub helo: &'a str,
    /// The name of the protocol it spoke (RFC 3848).
    pub with: &'a str,
    /// The client's address.
    pub addr: IpAddr,
    /// The mailbox that stands in for a missing or useless From. Must be qualified.
    pub owner: &'a Address,
    /// The envelope sender.
    pub from: &'a ReversePath,
    /// The envelope recipients.
    pub to: &'a [Address],
}

/// A message as it is stored.
#[derive(Debug)]
pub struct Mended {
    /// The header block with our trace field on top, CRLF lines, without the blank line that ends it.
    pub head: Bytes,
    /// Everything after the blank line.
    pub body: StoredBody,
    /// What was put right, in the order it was done.
    pub repairs: Vec<Repair>,
    /// What its record keeps of the header block.
    pub summary: Summary,
}

/// A message whose end has not come yet.
#[derive(Debug)]
pub struct Arrival {
    first: FirstPass,
    draft: BodyDraft,
    buffer: Vec<u8>,
    client: Option<Arc<Client>>,
}

impl Arrival {
    /// Nothing has come yet; the body will lie in `draft`, and the mail is treated as mail of `client`.
    pub fn new(draft: BodyDraft, client: Option<Arc<Client>>) -> Arrival {
        let first = FirstPass::new(&profile(client.as_deref()).demand());
        Arrival { first, draft, buffer: Vec::new(), client }
    }

    /// Takes the next octets of the message, without the dots of SMTP.
    ///
    /// # Errors
    /// A header beyond the caps, or a body that cannot be stored. Nothing more may be given then.
    pub async fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.first.push(chunk, &mut self.buffer).map_err(refuse_header)?;
        store(&mut self.draft, &mut self.buffer).await
    }

    /// The message is complete: puts right what is wrong with it. `spare` is for a body that must be written anew.
    ///
    /// # Errors
    /// A header beyond the caps, a message in a loop, or a body that cannot be stored.
    pub async fn mend(self, about: &Circumstances<'_>, spare: BodyDraft) -> Result<Mended, Refusal> {
        let client = self.client.clone();
        let (examined, body) = self.finish().await?;
        if received::hops(&examined.header) > MOST_HOPS || received::own(&examined.header, about.host) >= 2 {
            return Err(refusal::loops());
        }
        let body = write_anew(&examined, body, spare).await?;
        let facts = Facts {
            date: about.date,
            id: about.id,
            domain: about.owner.domain(),
            fallback_from: about.owner,
            sender: about.from,
            recipients: about.to,
            body: &examined.body,
            plan: &examined.plan,
            client: &profile(client.as_deref()),
        };
        let repaired = repair(examined.header, &facts);
        let summary = Summary::of(&repaired.head, LONGEST_SUBJECT);
        let mut head = trace(about);
        head.extend_from_slice(&repaired.head);
        Ok(Mended { head: Bytes::from(head), body, repairs: repaired.repairs, summary })
    }

    async fn finish(mut self) -> Result<(Examined, StoredBody), Refusal> {
        let examined = self.first.finish(&mut self.buffer).map_err(refuse_header)?;
        store(&mut self.draft, &mut self.buffer).await?;
        let body = self.draft.finish().await.map_err(not_stored)?;
        Ok((examined, body))
    }
}

async fn store(draft: &mut BodyDraft, buffer: &mut Vec<u8>) -> Result<(), Refusal> {
    draft.write(buffer).await.map_err(not_stored)?;
    buffer.clear();
    Ok(())
}

/// What the settings say of the client, in the words of the repair.
fn profile(client: Option<&Client>) -> message::ClientProfile<'_> {
    client.map_or_else(message::ClientProfile::default, |client| message::ClientProfile {
        display: client.display.as_deref(),
        charset: client.charset,
        reply_to: client.reply_to.as_ref(),
        subject_prefix: client.subject_prefix.as_deref(),
        drop_cron_env: client.drop_cron_env,
        level: client.level,
    })
}

/// Our own Received field (RFC 5321 section 4.4).
fn trace(about: &Circumstances<'_>) -> Vec<u8> {
    received::field(&Trace {
        helo: about.helo.as_bytes(),
        ip: about.addr,
        host: about.host,
        with: about.with,
        id: about.id,
        date: about.date,
    })
}

/// Writes the body anew, in the parts that cannot go as they are.
async fn write_anew(examined: &Examined, body: StoredBody, mut spare: BodyDraft) -> Result<StoredBody, Refusal> {
    if !examined.plan.rewrites_body() {
        return Ok(body);
    }
    let mut reader = body.reader();
    let (mut rewriter, mut buffer) = (BodyRewriter::new(&examined.header, &examined.plan), Vec::new());
    while let Some(chunk) = reader.next_chunk().await.map_err(not_stored)? {
        rewriter.push(&chunk, &mut buffer);
        store(&mut spare, &mut buffer).await?;
    }
    rewriter.finish(&mut buffer);
    store(&mut spare, &mut buffer).await?;
    spare.finish().await.map_err(not_stored)
}

/// The cause goes to the log; the client reads that it may come again.
pub(super) fn not_stored(error: QueueError) -> Refusal {
    tracing::error!(event = "queue_error", "{error}");
    refusal::not_stored(&error)
}

fn refuse_header(error: SplitError) -> Refusal {
    match error {
        SplitError::HeaderTooLarge => refusal::header_too_large(),
        SplitError::TooManyFields => refusal::too_many_fields(),
    }
}
