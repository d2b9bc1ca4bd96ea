//! A message for a server that does not offer 8BITMIME (RFC 6152): is it 7-bit already, and if not, what is its 7-bit form?
//!
//! The work is `message::downgrade`'s; this reads the stored body for it, once to see, once to count, and gives the
//! pieces as they are sent. Seldom needed: every provider with a preset offers 8BITMIME. Invariant: nothing of the stored
//! message changes; another attempt, at another server, begins from the original.

use bytes::Bytes;

use crate::message::BodyRewriter;
use crate::message::Repair;
use crate::message::downgrade;
use crate::message::mime::Plan;
use crate::queue::QueueError;

use super::letter::Letter;

/// What a server without 8BITMIME gets.
#[derive(Debug)]
pub(super) enum Form {
    /// The message as it is: it is 7-bit.
    Same,
    /// Another form of it.
    Converted(Box<Converted>),
    /// There is none: 8-bit octets stand where no encoding is allowed.
    Impossible,
}

/// A message in 7-bit form.
#[derive(Debug)]
pub(super) struct Converted {
    /// Its header block.
    pub(super) head: Bytes,
    /// Octets of its body.
    pub(super) size: u64,
    original: Bytes,
    plan: Plan,
}

impl Converted {
    /// Converts the body, piece by piece.
    pub(super) fn rewriter(&self) -> BodyRewriter<'_> {
        downgrade::rewriter(&self.original, &self.plan)
    }
}

/// Looks at the message.
///
/// # Errors
/// The body cannot be read.
pub(super) async fn form(letter: &Letter<'_>) -> Result<Form, QueueError> {
    let (mut survey, mut reader) = (downgrade::survey(&letter.head), letter.body.reader());
    while let Some(chunk) = reader.next_chunk().await? {
        survey.push(&chunk);
    }
    let plan = survey.finish();
    if plan.lossy {
        return Ok(Form::Impossible);
    }
    if plan.is_empty() {
        return Ok(Form::Same);
    }
    let repairs: Vec<&str> = downgrade::repairs(&plan).into_iter().map(Repair::name).collect();
    tracing::info!(event = "converted", id = %letter.id, repairs = repairs.join(","));
    let head = Bytes::from(downgrade::head(&letter.head, &plan));
    let mut converted = Box::new(Converted { head, size: 0, original: letter.head.clone(), plan });
    converted.size = count(letter, &converted).await?;
    Ok(Form::Converted(converted))
}

/// SIZE must tell what will be sent (RFC 1870 section 5), so the conversion is done once for its length.
async fn count(letter: &Letter<'_>, converted: &Converted) -> Result<u64, QueueError> {
    let (mut rewriter, mut reader) = (converted.rewriter(), letter.body.reader());
    let (mut size, mut piece) = (0, Vec::new());
    while let Some(chunk) = reader.next_chunk().await? {
        rewriter.push(&chunk, &mut piece);
        size += piece.len() as u64;
        piece.clear();
    }
    rewriter.finish(&mut piece);
    Ok(size + piece.len() as u64)
}
