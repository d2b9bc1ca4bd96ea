//! Whether slow clients delay a fast one: the time from its final dot to the 250, quiet and beside many others.
//!
//! Turns alternate over one relay. The others are in a process of their own ([`crate::attack`]).

use std::time::{Duration, Instant};

use crate::Plan;
use crate::attack::Attack;
use crate::client::{self, Client};
use crate::relay::Relay;
use crate::table::{Table, median, percentile};

/// Those who are slow.
const SLOW: u32 = 450;
/// Between two messages of the fast one.
const PAUSE: Duration = Duration::from_millis(8);
/// The 99th percentile beside them by that without, at most.
const GOAL: f64 = 2.0;

pub(crate) fn measure(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (turns, span) = if plan.quick { (3, Duration::from_secs(2)) } else { (9, Duration::from_secs(4)) };
    let relay = Relay::start()?;
    let (mut quiet, mut beside) = (Vec::new(), Vec::new());
    steady(relay.port(), span / 2)?;
    for _ in 0..turns {
        quiet.push(steady(relay.port(), span)?);
        let attack = Attack::start(relay.port(), SLOW)?;
        beside.push(steady(relay.port(), span)?);
        drop(attack);
        let last = |all: &[Vec<f64>]| percentile(all.last().cloned().unwrap_or_default(), 99);
        eprintln!("  p99 {:.2} ms, beside slow ones {:.2} ms", last(&quiet), last(&beside));
    }
    let each = |all: &[Vec<f64>], part| all.iter().map(|turn| percentile(turn.clone(), part)).collect::<Vec<f64>>();
    for part in [50, 99] {
        let (quiet, beside) = (each(&quiet, part), each(&beside, part));
        let ratios = quiet.iter().zip(&beside).map(|(quiet, beside)| beside / quiet).collect();
        table.note(format!("final dot to 250 of a steady client, p{part}, alone"), median(quiet), "ms");
        table.note(format!("- beside {SLOW} slow clients"), median(beside), "ms");
        match part {
            99 => table.goal("- how many times that is", median(ratios), "x", GOAL),
            _ => table.note("- how many times that is", median(ratios), "x"),
        }
    }
    Ok(())
}

/// Sends messages at a steady pace; gives the milliseconds of each.
fn steady(port: u16, span: Duration) -> anyhow::Result<Vec<f64>> {
    let (mut client, message) = (Client::connect(port, 0)?, client::message());
    client.hello()?;
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < span {
        times.push(client.send(&message)?.as_secs_f64() * 1e3);
        std::thread::sleep(PAUSE);
    }
    client.quit()?;
    Ok(times)
}
