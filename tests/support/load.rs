//! Mail whose every octet can be checked on arrival, clients that keep on sending it, and the books: what was
//! acknowledged, what arrived.
//!
//! A letter carries a token in its subject and, in its last line, a sum over the rest of its body: half a letter, or a
//! mixture of two, cannot pass. Not here: the relay (`program`), the provider (`office`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use yizhan::sandbox::Received;

use super::office::{PATIENCE, field};

/// A random number generator that gives the same numbers for the same seed (xorshift64*).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit
    }
}

/// The seed of this run: `YIZHAN_SEED`, or a new one; printed, so that a failure can be repeated.
#[allow(clippy::print_stdout, reason = "libtest shows it when the test fails")]
pub fn seed() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let given = std::env::var("YIZHAN_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    println!("YIZHAN_SEED={seed}");
    seed
}

/// FNV-1a, 64 bits.
fn sum(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3))
}

/// A letter with at least `size` octets of body. Every other one brings no Message-ID or Date of its own.
pub fn letter(token: &str, size: usize) -> Vec<u8> {
    let mut data = format!("From: device@lan.local\r\nTo: a@else.test\r\nSubject: {token}\r\n");
    if sum(token.as_bytes()).is_multiple_of(2) {
        data.push_str(&format!("Date: Sat, 21 Nov 2026 18:00:00 +0800\r\nMessage-ID: <{token}@lan.local>\r\n"));
    }
    data.push_str("\r\n");
    let body = data.len();
    let mut line = 0u64;
    while data.len() - body < size {
        line += 1;
        data.push_str(&format!("{token} line {line} {:016x} .the quick brown fox\r\n", line.wrapping_mul(0x9e37_79b9)));
    }
    let sum = sum(&data.as_bytes()[body..]);
    data.push_str(&format!("sum={sum:016x}\r\n"));
    data.into_bytes()
}

/// The token of a letter that has arrived, if it is whole.
pub fn token(data: &[u8]) -> Result<String, String> {
    let token = field(data, "Subject").ok_or("there is no subject")?;
    let body = data.windows(4).position(|w| w == b"\r\n\r\n").ok_or("there is no body")? + 4;
    let end = data.len().checked_sub(b"sum=0123456789abcdef\r\n".len()).filter(|&end| end >= body);
    let end = end.ok_or_else(|| format!("{token} is short"))?;
    let expected = format!("sum={:016x}\r\n", sum(&data[body..end]));
    if data[end..] != *expected.as_bytes() || !data[body..].starts_with(token.as_bytes()) {
        return Err(format!("{token} is not whole: {} octets", data.len()));
    }
    Ok(token)
}

/// A client that knows that servers die.
#[derive(Debug)]
pub struct Courier {
    stream: TcpStream,
    input: Vec<u8>,
}

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost;

impl Courier {
    /// Connects and says EHLO.
    pub async fn connect(door: SocketAddr) -> Result<Courier, Lost> {
        let stream = TcpStream::connect(door).await.map_err(|_| Lost)?;
        stream.set_nodelay(true).map_err(|_| Lost)?;
        let mut courier = Courier { stream, input: Vec::new() };
        courier.reply().await?;
        courier.ask("EHLO device.lan").await?;
        Ok(courier)
    }

    /// Sends a line and gives the last line of the reply.
    pub async fn ask(&mut self, command: &str) -> Result<String, Lost> {
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), Lost> {
        timeout(PATIENCE, self.stream.write_all(octets)).await.expect("the relay reads in time").map_err(|_| Lost)
    }

    async fn reply(&mut self) -> Result<String, Lost> {
        loop {
            while let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.input.drain(..end + 2).collect();
                if line.get(3) != Some(&b'-') {
                    return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
                }
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.input)).await.expect("the relay answers in time") {
                Ok(0) | Err(_) => return Err(Lost),
                Ok(_) => {}
            }
        }
    }

    /// Sends a letter; gives the reply that ended it: the one to the final dot, or an earlier refusal.
    pub async fn send(&mut self, data: &[u8]) -> Result<String, Lost> {
        for (command, code) in
            [("MAIL FROM:<device@lan.local>", "250"), ("RCPT TO:<a@else.test>", "250"), ("DATA", "354")]
        {
            let reply = self.ask(command).await?;
            if !reply.starts_with(code) {
                self.ask("RSET").await?;
                return Ok(reply);
            }
        }
        self.write(data).await?;
        self.ask(".").await
    }
}

/// What was acknowledged, with the id that the relay gave, and what was refused.
#[derive(Debug, Default)]
pub struct Books {
    acknowledged: Mutex<BTreeMap<String, String>>,
    refused: Mutex<BTreeMap<String, String>>,
    next: AtomicU64,
}

impl Books {
    /// A token that nobody else has.
    pub fn token(&self) -> String {
        format!("token{:08}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes in the reply to a letter. True when it was acknowledged.
    pub fn enter(&self, token: String, reply: &str) -> bool {
        match reply.strip_prefix("250 2.0.0 queued as ") {
            Some(id) => {
                self.acknowledged.lock().expect("no panic holds it").insert(token, id.to_owned());
                true
            }
            None => {
                self.refused.lock().expect("no panic holds it").insert(token, reply.to_owned());
                false
            }
        }
    }

    /// The acknowledged tokens.
    pub fn acknowledged(&self) -> BTreeMap<String, String> {
        self.acknowledged.lock().expect("no panic holds it").clone()
    }

    /// The tokens that were refused, with the reply.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.refused.lock().expect("no panic holds it").clone()
    }

    /// Compares with what arrived: every letter whole, every acknowledged one there, no refused one, copies
    /// with the same ids only.
    ///
    /// Gives how many copies too many there were.
    pub fn audit(&self, received: &[Received]) -> usize {
        let mut arrived: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
        for one in received {
            let token = token(&one.data).unwrap_or_else(|trouble| panic!("{trouble}"));
            let ids = (field(&one.data, "Message-ID"), field(&one.data, "Date"));
            assert!(ids.0.is_some() && ids.1.is_some(), "{token}: {ids:?}");
            arrived.entry(token).or_default().insert(ids);
        }
        for (token, ids) in &arrived {
            assert_eq!(ids.len(), 1, "{token} came with different ids: {ids:?}");
        }
        let acknowledged = self.acknowledged();
        let lost: Vec<_> = acknowledged.iter().filter(|(token, _)| !arrived.contains_key(*token)).collect();
        assert!(lost.is_empty(), "{} of {} acknowledged letters are lost: {lost:?}", lost.len(), acknowledged.len());
        let refused = self.refused();
        let unwanted: Vec<_> = refused.iter().filter(|(token, _)| arrived.contains_key(*token)).collect();
        assert!(unwanted.is_empty(), "refused and sent all the same: {unwanted:?}");
        received.len() - arrived.len()
    }
}

/// Keeps on sending to whatever door there is, until the sender of `doors` is dropped.
///
/// One letter in `large` has more than the 128 KiB that stay in memory. A letter whose reply was never read is not
/// repeated: nobody knows whether it was taken.
pub async fn keep_sending(books: Arc<Books>, mut doors: watch::Receiver<Option<SocketAddr>>, seed: u64, large: u64) {
    let mut dice = Dice::new(seed);
    loop {
        let door = match doors.wait_for(Option::is_some).await {
            Ok(door) => door.expect("it was waited for"),
            Err(_) => return,
        };
        let Ok(mut courier) = Courier::connect(door).await else {
            if next_door(&mut doors, door).await.is_err() {
                return;
            }
            continue;
        };
        loop {
            if doors.has_changed().is_err() {
                return;
            }
            let size = if dice.below(large) == 0 { 140_000 + dice.below(80_000) } else { 100 + dice.below(8000) };
            let token = books.token();
            match courier.send(&letter(&token, size as usize)).await {
                Ok(reply) => books.enter(token, &reply),
                Err(Lost) => break,
            };
        }
    }
}

/// Waits until the door is another one than that.
async fn next_door(doors: &mut watch::Receiver<Option<SocketAddr>>, old: SocketAddr) -> Result<(), Lost> {
    doors.wait_for(|door| door.is_some_and(|door| door != old)).await.map(drop).map_err(|_| Lost)
}
