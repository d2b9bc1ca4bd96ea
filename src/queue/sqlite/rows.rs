//! Between rows and values. Everything that is read is checked as if it came from a client: the file may have been
//! edited, or a bit may have flipped.
//!
//! Not here: which rows are read (`lease_query`, `inspection_query`), and what changes them (`change`, `settlement`).

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};

use crate::clock::Timestamp;
use crate::mail::{Address, ClientKey, Id, Lane, ReversePath};
use crate::queue::checksum::Checksum;
use crate::queue::client_lines::ClientLine;
use crate::queue::spool::SpoolFile;
use crate::queue::{
    HoldReason, MessageOrigin, MessageState, NewMessage, QueueEntry, RecipientEntry, RecipientOutcome, Spool,
    StoredBody,
};

/// Why a message could not be read back.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// There is no row.
    Missing,
    /// The row has a value that cannot be: this message is damaged, others are not.
    Damaged(String),
    /// The database failed.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Unreadable {
        match error.sqlite_error_code() {
            None if matches!(error, rusqlite::Error::QueryReturnedNoRows) => Unreadable::Missing,
            None | Some(rusqlite::ErrorCode::DatabaseCorrupt) => Unreadable::Damaged(error.to_string()),
            Some(_) => Unreadable::Failed(error),
        }
    }
}

fn damaged(what: &str) -> Unreadable {
    Unreadable::Damaged(format!("{what} cannot be read"))
}

/// Reads the message in row `seq`, without its content.
pub(super) fn entry(conn: &Connection, seq: i64) -> Result<QueueEntry, Unreadable> {
    let sql = "SELECT id, state, received, expires, due, tries, uncertain, account, client, addr, listener, helo, \
               sender, size, repairs, notice, lane, pool, chunk, strict, trouble, client_key, unknown_since, held, \
               subject, message_id, finished FROM message WHERE seq = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([seq])?;
    let row = rows.next()?.ok_or(Unreadable::Missing)?;
    let received = Timestamp::from_millis(row.get(2)?);
    let due = row.get::<_, Option<i64>>(4)?.map_or(received, Timestamp::from_millis);
    Ok(QueueEntry {
        id: Id::parse(text(row, 0)?).ok_or_else(|| damaged("the id"))?,
        state: MessageState::parse(text(row, 1)?).ok_or_else(|| damaged("the state"))?,
        received,
        expires: Timestamp::from_millis(row.get(3)?),
        due,
        tries: row.get(5)?,
        uncertain: row.get(6)?,
        account: row.get(7)?,
        origin: MessageOrigin {
            client: name(row, 8, "the client's name")?,
            key: ClientKey::stored(&name(row, 21, "the client's key")?),
            addr: text(row, 9)?.parse().map_err(|_| damaged("the client's address"))?,
            listener: name(row, 10, "the listener's name")?,
            helo: name(row, 11, "the name in HELO")?,
        },
        sender: ReversePath::parse(text(row, 12)?).map_err(|_| damaged("the sender"))?,
        recipients: recipients(conn, seq)?,
        size: row.get::<_, i64>(13)?.try_into().map_err(|_| damaged("the size"))?,
        repairs: serde_json::from_str(text(row, 14)?).map_err(|_| damaged("the list of repairs"))?,
        notice: row.get(15)?,
        lane: Lane::parse(text(row, 16)?).ok_or_else(|| damaged("the lane"))?,
        pool: text(row, 17)?.to_owned(),
        chunk: row.get(18)?,
        strict: row.get(19)?,
        unknown_since: row.get::<_, Option<i64>>(22)?.map(Timestamp::from_millis),
        held: row.get_ref(23)?.as_str().ok().and_then(HoldReason::parse),
        trouble: row.get(20)?,
        subject: row.get(24)?,
        message_id: row.get(25)?,
        finished: row.get::<_, Option<i64>>(26)?.map(Timestamp::from_millis),
        wait: None,
    })
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Unreadable> {
    row.get_ref(column)?.as_str().map_err(|e| Unreadable::Damaged(e.to_string()))
}

/// A name, which had no control character when it was stored.
fn name(row: &Row<'_>, column: usize, what: &str) -> Result<String, Unreadable> {
    let text = text(row, column)?;
    if text.chars().any(char::is_control) { Err(damaged(what)) } else { Ok(text.to_owned()) }
}

/// Reads the recipients of row `seq`: at least one, and no place is missing.
pub(super) fn recipients(conn: &Connection, seq: i64) -> Result<Vec<RecipientEntry>, Unreadable> {
    let sql = "SELECT place, address, outcome, at, text FROM recipient WHERE seq = ?1 ORDER BY place";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([seq])?;
    let mut all = Vec::with_capacity(1);
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? != all.len() as i64 {
            return Err(damaged("the list of recipients"));
        }
        let address = Address::parse(text(row, 1)?).map_err(|_| damaged("a recipient"))?;
        let at = row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis).ok_or_else(|| damaged("an outcome"));
        let words: Option<String> = row.get(4)?;
        let outcome = match text(row, 2)? {
            "open" => RecipientOutcome::Open { last: words },
            "delivered" => RecipientOutcome::Delivered { at: at?, reply: words.unwrap_or_default() },
            "failed" => RecipientOutcome::Failed { at: at?, reason: words.unwrap_or_default() },
            _ => return Err(damaged("an outcome")),
        };
        all.push(RecipientEntry { address, outcome });
    }
    if all.is_empty() { Err(damaged("the list of recipients")) } else { Ok(all) }
}

/// The columns `outcome`, `at` and `text` of a recipient.
pub(super) fn outcome_columns(outcome: &RecipientOutcome) -> (&'static str, Option<i64>, Option<&str>) {
    match outcome {
        RecipientOutcome::Open { last } => ("open", None, last.as_deref()),
        RecipientOutcome::Delivered { at, reply } => ("delivered", Some(at.millis()), Some(reply)),
        RecipientOutcome::Failed { at, reason } => ("failed", Some(at.millis()), Some(reason)),
    }
}

/// Header block and body of a message, with the sum that was stored with them.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) head: Bytes,
    pub(super) body: StoredBody,
    pub(super) sum: u32,
}

/// Reads the content of row `seq`; `None` when it has none any more.
pub(super) fn content(conn: &Connection, spool: &Arc<Spool>, seq: i64) -> Result<Option<Content>, Unreadable> {
    let sql = "SELECT sum, head, spool, spool_len, spool_sum, body FROM content WHERE seq = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([seq])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let head = Bytes::from(row.get::<_, Vec<u8>>(1)?);
    let body = match row.get::<_, Option<String>>(2)? {
        Some(name) => {
            let len = row.get::<_, i64>(3)?.try_into().map_err(|_| damaged("the body's length"))?;
            let file = SpoolFile::owned(spool, name, len, row.get(4)?);
            StoredBody::in_file(file.ok_or_else(|| damaged("the name of the body's file"))?)
        }
        None => Bytes::from(row.get::<_, Vec<u8>>(5)?).into(),
    };
    Ok(Some(Content { head, body, sum: row.get(0)? }))
}

/// The sum over what a flipped bit must not change unnoticed: the id, the envelope, the header block, the body.
pub(super) fn checksum<'a>(
    id: &Id,
    sender: &ReversePath,
    recipients: impl Iterator<Item = &'a Address>,
    head: &[u8],
    body: &StoredBody,
) -> u32 {
    let mut sum = Checksum::new();
    sum.add(id.as_str().as_bytes());
    sum.add(sender.address().map_or("", Address::as_str).as_bytes());
    for recipient in recipients {
        sum.add(b"\n");
        sum.add(recipient.as_str().as_bytes());
    }
    sum.add(b"\n");
    sum.add(head);
    body.in_memory().inspect(|body| sum.add(body));
    // The file has its own sum, which is checked while it is read.
    body.spool_file().inspect(|file| sum.add(&file.sum.to_be_bytes()));
    sum.value()
}

/// The sum of a message that is about to be stored.
pub(super) fn checksum_new(message: &NewMessage) -> u32 {
    checksum(&message.id, &message.sender, message.recipients.iter(), &message.head, &message.body)
}

/// Writes the rows of a new message, and returns its `seq` and its size.
pub(super) fn insert(conn: &Connection, message: &NewMessage, sum: u32) -> rusqlite::Result<(i64, u64)> {
    let size = message.head.len() as u64 + message.body.len();
    let repairs = serde_json::to_string(&message.repairs).expect("a list of texts is always JSON");
    // Never a number that a deleted message had: what the index has of that one would find this one.
    let sql = "INSERT INTO message (id, state, received, expires, due, client, addr, listener, helo, sender, size, \
               repairs, notice, lane, pool, client_key, subject, message_id, seq) \
               VALUES (?1, 'queued', ?2, ?3, ?2, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
               max(ifnull((SELECT max(seq) FROM message), 0), ifnull((SELECT seq FROM deleted), 0)) + 1)";
    conn.prepare_cached(sql)?.execute(params![
        message.id.as_str(),
        message.received.millis(),
        message.expires.millis(),
        message.origin.client,
        message.origin.addr.to_string(),
        message.origin.listener,
        message.origin.helo,
        message.sender.address().map_or("", Address::as_str),
        size as i64,
        repairs,
        message.notice,
        message.lane.name(),
        message.pool,
        message.origin.key.as_str(),
        message.subject,
        message.message_id,
    ])?;
    let seq = conn.last_insert_rowid();
    let sql = "INSERT INTO recipient (seq, place, address, outcome) VALUES (?1, ?2, ?3, 'open')";
    let mut statement = conn.prepare_cached(sql)?;
    for (place, address) in message.recipients.iter().enumerate() {
        statement.execute(params![seq, place as i64, address.as_str()])?;
    }
    let (body, spool) = (message.body.in_memory(), message.body.spool_file());
    let sql = "INSERT INTO content (seq, sum, head, spool, spool_len, spool_sum, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    conn.prepare_cached(sql)?.execute(params![
        seq,
        sum,
        &message.head[..],
        spool.map(|f| &f.name),
        spool.map(|f| f.len as i64),
        spool.map(|f| f.sum),
        body.map(|b| &b[..]),
    ])?;
    Ok((seq, size))
}

/// Reads the line of a message from three columns: pool, lane, client. The counters and the fair order need no more than a
/// name: octets that are not text are damage and must not stop a change, and a damaged lane counts as normal.
pub(super) fn client_line(row: &Row<'_>, pool: usize) -> rusqlite::Result<ClientLine> {
    let text = |column| Ok::<_, rusqlite::Error>(lossy(row.get_ref(column)?.as_bytes().unwrap_or_default()));
    Ok(ClientLine { pool: text(pool)?.into(), lane: lane(row, pool + 1)?, client: ClientKey::stored(&text(pool + 2)?) })
}

/// Reads a lane; one that is damaged counts as normal.
pub(super) fn lane(row: &Row<'_>, column: usize) -> rusqlite::Result<Lane> {
    Ok(row.get_ref(column)?.as_str().ok().and_then(Lane::parse).unwrap_or_default())
}

/// Octets that may be damaged, as text.
pub(super) fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Octets that a column returned as text, as a parameter.
pub(super) fn as_text(octets: &[u8]) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(octets))
}
