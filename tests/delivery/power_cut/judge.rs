//! Opens the queue on the image of a power cut, as the relay does at a start, and compares it with what was known outside.
//!
//! Not here: how an image is made (`disk`), and the whole program (`power_cut`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{INLINE_LIMIT, Inspection as _, MessageFilter, MessageState, Queue, QueueEntry, RetentionSettings};

use super::disk::{Content, Piece};
use crate::support::load::letter;
use crate::support::office::field;

/// The letters of a recording, and what the provider did with them.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// The octets of each letter, by token.
    pub(super) sent: BTreeMap<String, Vec<u8>>,
    /// The token of each acknowledged letter, by the id that the relay gave.
    pub(super) ids: BTreeMap<String, String>,
    /// When the provider took it first, in milliseconds since 1970, by token.
    pub(super) accepted: BTreeMap<String, i64>,
}

impl Letters {
    /// Writes the next letter, with a body of at least `size` octets. Gives its token and its octets.
    pub(super) fn write(&mut self, size: usize) -> (String, Vec<u8>) {
        let token = format!("token{:08}", self.sent.len());
        let data = letter(&token, size);
        self.sent.insert(token.clone(), data.clone());
        (token, data)
    }

    /// Whether the letter with this id has a body that is kept in a file.
    pub(super) fn is_large(&self, id: &str) -> bool {
        self.ids.get(id).is_some_and(|token| self.sent[token].len() > INLINE_LIMIT + 1000)
    }
}

/// What the clients and the log knew when the power failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The ids that clients had been given.
    pub(super) acknowledged: BTreeSet<String>,
    /// The ids that the relay had logged as delivered, which it does after their settlement was stored.
    pub(super) settled: BTreeSet<String>,
    /// The time, in milliseconds since 1970.
    pub(super) at: i64,
}

/// Writes an image into `folder`, which is there.
pub(super) fn write(folder: &Path, pieces: &[Piece]) {
    for (name, content) in pieces {
        let path = folder.join(name);
        match content {
            Content::Folder => fs::create_dir(&path).expect("the folder is ours"),
            Content::File(octets) => fs::write(&path, octets).expect("the folder is ours"),
            // Its file stays when the listener goes.
            Content::Socket => drop(UnixListener::bind(&path).expect("the folder is ours")),
        }
    }
}

/// The states of all messages in an image, by token.
pub(super) type States = BTreeMap<String, MessageState>;

/// Opens the queue in `data` and checks it. Returns the states of its messages.
pub(super) async fn judge(data: &Path, letters: &Letters, known: &Known) -> Result<States, String> {
    let day = Duration::from_secs(24 * 3600);
    let settings = RetentionSettings { keep_records: day, keep_failed: day, keep_subject: true };
    let (queue, report) =
        SqliteQueue::open(data, settings).map_err(|error| format!("the queue does not open: {error}"))?;
    let harmless = |line: &&String| {
        line.contains("was never finished; removed")
            || line.contains("belongs to no message; moved to")
            || (line.contains("was empty; a new queue was begun") && known.acknowledged.is_empty())
    };
    if let Some(line) = report.iter().find(|line| !harmless(line)) {
        return Err(format!("the queue reports: {line}"));
    }
    let filter =
        MessageFilter { states: MessageState::ALL.to_vec(), limit: usize::MAX >> 1, ..MessageFilter::default() };
    let entries = queue.list(filter).await.map_err(|error| format!("the queue cannot be read: {error}"))?;
    let (mut states, mut ids) = (States::new(), BTreeMap::new());
    for entry in entries {
        let token = whole(&queue, &entry, letters, known).await.map_err(|why| format!("{}: {why}", entry.id))?;
        ids.insert(entry.id.to_string(), entry.state);
        if let Some(token) = token.filter(|token| states.insert(token.clone(), entry.state).is_some()) {
            return Err(format!("{token} is there twice"));
        }
    }
    queue.close().await.map_err(|error| format!("the queue does not close: {error}"))?;
    if let Some(id) = known.acknowledged.iter().find(|id| !ids.contains_key(*id)) {
        return Err(format!("{id} ({}) was acknowledged and is lost", letters.ids[id]));
    }
    if let Some(id) = known.settled.iter().find(|id| ids.get(*id) != Some(&MessageState::Delivered)) {
        return Err(format!("{id} ({}) is settled and would be sent again: {:?}", letters.ids[id], ids.get(id)));
    }
    sound(&data.join("queue.db"))?;
    Ok(states)
}

/// Compares one message with the letter that was sent. Returns the letter's token; `None` for a delivered message that was
/// never acknowledged, because its content is gone.
async fn whole(
    queue: &SqliteQueue,
    entry: &QueueEntry,
    letters: &Letters,
    known: &Known,
) -> Result<Option<String>, String> {
    let id = entry.id.to_string();
    match entry.state {
        MessageState::Delivered => {
            let token = letters.ids.get(&id);
            let accepted = token.and_then(|token| letters.accepted.get(token));
            return match (token, accepted) {
                (Some(token), Some(&at)) if at <= known.at + 1 => Ok(Some(token.clone())),
                (Some(token), accepted) => Err(format!("{token} is delivered and was not accepted: {accepted:?}")),
                (None, _) => Ok(None),
            };
        }
        MessageState::Queued | MessageState::Sending | MessageState::Waiting | MessageState::Deferred => {}
        MessageState::Held | MessageState::Failed => return Err(format!("it is {}: {:?}", entry.state, entry.trouble)),
    }
    let (_, head, mut body) = match queue.show(entry.id).await {
        Ok((entry, head, body)) => (entry, head, body.reader()),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    let token = field(&[&head[..], b"\r\n"].concat(), "Subject").ok_or("it has no subject")?;
    let sent = letters.sent.get(&token).ok_or_else(|| format!("{token} was never sent"))?;
    let split = memchr::memmem::find(sent, b"\r\n\r\n").expect("a letter has a body") + 4;
    let mut left = &sent[split..];
    while let Some(piece) = body.next_chunk().await.map_err(|error| format!("{token}: {error}"))? {
        left = left.strip_prefix(&piece[..]).ok_or_else(|| format!("{token} has other octets"))?;
    }
    if !left.is_empty() {
        return Err(format!("{token} is short by {} octets", left.len()));
    }
    match letters.ids.get(&id) {
        Some(other) if *other != token => Err(format!("{token} has the content of {other}")),
        _ => Ok(Some(token)),
    }
}

/// Whether SQLite finds the database sound.
fn sound(database: &Path) -> Result<(), String> {
    let check = || -> rusqlite::Result<String> {
        let conn = Connection::open(database)?;
        let broken: i64 = conn.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))?;
        let text: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        Ok(if broken == 0 { text } else { format!("{broken} rows without the row they belong to") })
    };
    match check() {
        Ok(text) if text == "ok" => Ok(()),
        Ok(text) => Err(format!("the database is not sound: {text}")),
        Err(error) => Err(format!("the database cannot be checked: {error}")),
    }
}
