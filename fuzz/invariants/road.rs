//! The road of one message, as `intake::admit` drives it. The only file here that knows the stages by name: when they
//! change, this file changes and nothing else.
//!
//! Not here: what must hold (`mod.rs`). Invariant: `step` cuts the input of *every* stage, so that two runs with
//! different steps prove that no stage depends on the cuts.

use yizhan::mail::{Address, Id, ReversePath};
use yizhan::message::charset;
use yizhan::message::downgrade;
use yizhan::message::mailbox::{self, Mailbox};
use yizhan::message::received::{self, Trace};
use yizhan::message::{
    self, BodyRewriter, ClientProfile, Facts, FirstPass, Header, Level, Normaliser, SplitError, Splitter,
};

/// The account that everything goes out through.
pub(crate) const LOGIN: &str = "office@qq.com";
const DATE: &str = "Sat, 21 Nov 2026 18:00:00 +0800";
const ID: &str = "mi8golden0000001";

/// A message as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The fields with CRLF, without the blank line.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    /// The names of the repairs.
    pub(crate) repairs: Vec<&'static str>,
}

/// The first pass alone: the header as it came, and the body with its line ends put right.
pub(crate) fn split(mail: &[u8], steps: impl Iterator<Item = usize>) -> Result<(Header, Vec<u8>), SplitError> {
    let (mut splitter, mut lines, mut body) = (Splitter::new(), Normaliser::new(), Vec::new());
    for chunk in cut(mail, steps) {
        let part = splitter.push(chunk)?;
        lines.push(&part.held, &mut body);
        lines.push(part.rest, &mut body);
    }
    let (header, held) = splitter.finish()?;
    lines.push(&held, &mut body);
    let stats = lines.finish(&mut body);
    assert_eq!(stats.octets, body.len() as u64, "the octets are counted");
    Ok((header, body))
}

/// A client with settings of its own, none of which may make a mail that cannot be sent.
pub(crate) fn special() -> ClientProfile<'static> {
    let (display, charset, subject_prefix) = (Some("仓库"), Some(encoding_rs::BIG5), Some("[仓库]"));
    ClientProfile { display, charset, subject_prefix, reply_to: None, drop_cron_env: true, level: Level::Minimal }
}

/// DATA content in, the stored form out, for a client without settings.
pub(crate) fn store(mail: &[u8], step: usize) -> Result<Stored, SplitError> {
    store_for(mail, step, &ClientProfile::default())
}

/// The same for any client.
pub(crate) fn store_for(mail: &[u8], step: usize, client: &ClientProfile<'_>) -> Result<Stored, SplitError> {
    let (mut first, mut stored) = (FirstPass::new(&client.demand()), Vec::new());
    for chunk in mail.chunks(step) {
        first.push(chunk, &mut stored)?;
    }
    let examined = first.finish(&mut stored)?;
    let (mut rewriter, mut body) = (BodyRewriter::new(&examined.header, &examined.plan), Vec::new());
    stored.chunks(step).for_each(|chunk| rewriter.push(chunk, &mut body));
    rewriter.finish(&mut body);
    assert!(examined.plan.rewrites_body() || body == stored, "the second pass changes what the plan names");
    let facts = Facts {
        date: DATE,
        id: Id::parse(ID).expect("it is an id"),
        domain: "qq.com",
        fallback_from: &address(LOGIN),
        sender: &ReversePath::parse("scanner@office.lan").expect("it is an address"),
        recipients: &[address("boss@example.com")],
        body: &examined.body,
        plan: &examined.plan,
        client,
    };
    let repaired = message::repair(examined.header, &facts);
    Ok(Stored { head: repaired.head, body, repairs: repaired.repairs.iter().map(|r| r.name()).collect() })
}

/// A stored message for a server without 8BITMIME.
pub(crate) fn downgrade(head: &[u8], body: &[u8], step: usize) -> (Vec<u8>, Vec<u8>) {
    let mut survey = downgrade::survey(head);
    body.chunks(step).for_each(|chunk| survey.push(chunk));
    let plan = survey.finish();
    let (mut rewriter, mut mended) = (downgrade::rewriter(head, &plan), Vec::new());
    body.chunks(step).for_each(|chunk| rewriter.push(chunk, &mut mended));
    rewriter.finish(&mut mended);
    (downgrade::head(head, &plan), mended)
}

/// A header value as text, whatever its charset.
pub(crate) fn text(value: &[u8]) -> String {
    charset::decode(value, charset::Hints::default())
}

/// The mailboxes of an address field.
pub(crate) fn mailboxes(value: &[u8]) -> Vec<Mailbox> {
    mailbox::parse_field(value, charset::Hints::default())
}

/// The Received field that the relay puts above the head, for a client that says `helo`.
pub(crate) fn trace(helo: &[u8]) -> Vec<u8> {
    let id = Id::parse(ID).expect("it is an id");
    let ip = "192.0.2.1".parse().expect("it is an address");
    received::field(&Trace { helo, ip, host: "relay.office.lan", with: "ESMTP", id, date: DATE })
}

/// An address that is known to be one.
pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).expect("it is an address")
}

/// Pieces of these lengths, until the mail is at its end.
fn cut(mut mail: &[u8], mut steps: impl Iterator<Item = usize>) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let step = steps.next().unwrap_or(usize::MAX).clamp(1, mail.len().max(1));
        let (piece, rest) = mail.split_at(step.min(mail.len()));
        mail = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
