//! Memory while sixty addresses guess passwords of hashes with the default cost, and afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;

use crate::Plan;
use crate::client::Client;
use crate::relay::Relay;
use crate::table::Table;

/// Addresses that guess at one time, and guesses of each: three close a connection.
const GUESSERS: u32 = 60;
const GUESSES: u32 = 2;
/// What the relay may do after its start, and how long its workers keep their memory.
const SETTLE: Duration = Duration::from_secs(8);
/// Peak in MiB.
const GOAL: f64 = 64.0;

pub(crate) fn measure(_: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let relay = Relay::start_with_log_ins()?;
    std::thread::sleep(SETTLE);
    let (rest, port) = (relay.memory(), relay.port());
    let begin = Instant::now();
    let wrong = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let guessers: Vec<_> = (0..GUESSERS)
        .map(|place| {
            let wrong = wrong.clone();
            std::thread::spawn(move || -> anyhow::Result<()> {
                let mut client = Client::connect(port, place)?;
                client.hello()?;
                for guess in 0..GUESSES {
                    let typed = format!("\0user {place}\0guess {guess}");
                    let typed = base64::engine::general_purpose::STANDARD.encode(typed);
                    client.say(format!("AUTH PLAIN {typed}\r\n").as_bytes(), b'5')?;
                    wrong.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                Ok(())
            })
        })
        .collect();
    for one in guessers {
        one.join().ok().context("a guesser panicked")??;
    }
    let took = begin.elapsed();
    anyhow::ensure!(wrong.load(std::sync::atomic::Ordering::Relaxed) == GUESSERS * GUESSES, "some were not answered");
    table.goal("memory at the most while 60 addresses guess, RSS", relay.peak()?, "MiB", GOAL);
    table.note("- time for 120 guesses", took.as_secs_f64(), "s");
    std::thread::sleep(SETTLE);
    table.note("- memory afterwards, PSS", relay.memory() / 1024.0, "MiB");
    table.note("- memory before, PSS", rest / 1024.0, "MiB");
    Ok(())
}
