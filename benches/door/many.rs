//! Whether many sessions are slower together than few: 500 beside 64, each with a relay of its own, turn by turn.
//!
//! The clients are tasks of one thread here, the same for both; each waits for every reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Plan;
use crate::client;
use crate::gauge;
use crate::relay::Relay;
use crate::table::{Table, median};

const FEW: u32 = 64;
const MANY: u32 = 500;
/// Clients of one address.
const OF_ONE: u32 = 20;
/// Before it is counted.
const WARM_UP: Duration = Duration::from_millis(500);
/// The rate of few by the rate of many, at most: less than a fifth is lost.
const GOAL: f64 = 1.25;

pub(crate) fn measure(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (turns, span) = if plan.quick { (3, Duration::from_millis(1500)) } else { (7, Duration::from_secs(3)) };
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        few.push(turn(FEW, span)?);
        many.push(turn(MANY, span)?);
        eprintln!("  {:.0}/s and {:.0}/s", few[few.len() - 1].rate, many[many.len() - 1].rate);
    }
    let of = |turns: &[Turn], pick: fn(&Turn) -> f64| median(turns.iter().map(pick).collect());
    for (sessions, turns) in [(FEW, &few), (MANY, &many)] {
        table.note(format!("messages of 4 KiB a second, {sessions} sessions"), of(turns, |turn| turn.rate), "/s");
        table.note("- processor time of a message, with the kernel's", of(turns, |turn| turn.micros), "us");
    }
    let ratios = few.iter().zip(&many).map(|(few, many)| few.rate / many.rate).collect();
    table.goal("how many times faster the few are", median(ratios), "x", GOAL);
    Ok(())
}

/// What was seen in one turn.
struct Turn {
    /// Messages a second.
    rate: f64,
    /// Microseconds of processor time of the relay for each.
    micros: f64,
}

fn turn(sessions: u32, span: Duration) -> anyhow::Result<Turn> {
    let relay = Relay::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let port = relay.port();
    let (count, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let message: Arc<[u8]> = client::message().into();
    let turn = runtime.block_on(async {
        let mut tasks = Vec::new();
        for n in 0..sessions {
            let stream = client::connect_from(port, n / OF_ONE)?;
            stream.set_nonblocking(true)?;
            let stream = TcpStream::from_std(stream)?;
            tasks.push(tokio::spawn(session(stream, message.clone(), count.clone(), over.clone())));
        }
        tokio::time::sleep(WARM_UP).await;
        let (begin, before, used) = (Instant::now(), count.load(Ordering::Relaxed), gauge::processor(relay.pid()));
        tokio::time::sleep(span).await;
        let messages = (count.load(Ordering::Relaxed) - before) as f64;
        let rate = messages / begin.elapsed().as_secs_f64();
        let micros = (gauge::processor(relay.pid()) - used) * 1e6 / messages;
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await??;
        }
        anyhow::Ok(Turn { rate, micros })
    })?;
    drop(relay);
    Ok(turn)
}

async fn session(
    mut stream: TcpStream,
    message: Arc<[u8]>,
    count: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    reply(&mut stream, b'2').await?;
    say(&mut stream, b"EHLO device.test\r\n", b'2').await?;
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) && sent < 1000 {
        say(&mut stream, b"MAIL FROM:<printer@device.test>\r\n", b'2').await?;
        say(&mut stream, b"RCPT TO:<someone@example.test>\r\n", b'2').await?;
        say(&mut stream, b"DATA\r\n", b'3').await?;
        say(&mut stream, &message, b'2').await?;
        count.fetch_add(1, Ordering::Relaxed);
        sent += 1;
    }
    say(&mut stream, b"QUIT\r\n", b'2').await
}

async fn say(stream: &mut TcpStream, octets: &[u8], class: u8) -> anyhow::Result<()> {
    stream.write_all(octets).await?;
    reply(stream, class).await
}

/// Reads one reply; nothing else can be on its way.
async fn reply(stream: &mut TcpStream, class: u8) -> anyhow::Result<()> {
    let (mut buffer, mut known) = ([0; 1024], 0);
    loop {
        let room = buffer.get_mut(known..).filter(|room| !room.is_empty()).context("a long reply")?;
        match stream.read(room).await? {
            0 => bail!("the relay is gone"),
            more => known += more,
        }
        let whole = &buffer[..known];
        let Some(text) = whole.strip_suffix(b"\r\n") else { continue };
        let last = text.rsplit(|&octet| octet == b'\n').next().unwrap_or(text);
        if last.get(3) == Some(&b' ') {
            if last.first() != Some(&class) {
                bail!("the relay says {:?}", String::from_utf8_lossy(last));
            }
            return Ok(());
        }
    }
}
