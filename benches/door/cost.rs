//! What a message and a session cost in instructions and allocations, counted by valgrind.
//!
//! Each is a difference quotient of two runs, so that start and end fall out. The kernel's instructions are not
//! counted, nor is what the disk takes. The work of all threads is in it: door, queue, and the log's line.

use std::path::Path;

use anyhow::Context as _;

use crate::Plan;
use crate::client::{self, Client};
use crate::relay::Relay;
use crate::support::folder::Folder;
use crate::table::Table;

/// A run: messages of one session each, or all of one session.
#[derive(Clone, Copy)]
enum Load {
    Kept(u32),
    Each(u32),
}

pub(crate) fn measure(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let (few, many) = if plan.quick { (50, 250) } else { (100, 900) };
    let folder = Folder::new("bench-valgrind");
    let counted = |count: &dyn Fn(Load) -> anyhow::Result<f64>, load: fn(u32) -> Load| -> anyhow::Result<f64> {
        Ok((count(load(many))? - count(load(few))?) / f64::from(many - few))
    };
    let instructions = |load| instructions(load, folder.path());
    let kept = counted(&instructions, Load::Kept)?;
    let each = counted(&instructions, Load::Each)?;
    table.note("instructions of a message of 4 KiB on a kept connection", kept, "");
    table.note("instructions of a session with one message", each, "");
    table.note("- of it the session", each - kept, "");
    for (what, place) in [("allocations", 0), ("octets allocated", 1)] {
        let count = |load| Ok(allocations(load)?[place]);
        let (kept, each) = (counted(&count, Load::Kept)?, counted(&count, Load::Each)?);
        table.note(format!("{what} of a message on a kept connection"), kept, "");
        table.note("- of a session with one message", each, "");
    }
    Ok(())
}

fn instructions(load: Load, folder: &Path) -> anyhow::Result<f64> {
    let out = folder.join("callgrind.out");
    run(&["valgrind", "--tool=callgrind", &format!("--callgrind-out-file={}", out.display())], load)?;
    let text = std::fs::read_to_string(out).context("valgrind has written nothing")?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:")).context("no totals")?;
    Ok(line.trim().parse()?)
}

/// Blocks and octets.
fn allocations(load: Load) -> anyhow::Result<[f64; 2]> {
    let said = run(&["valgrind", "--tool=dhat", "--dhat-out-file=/dev/null"], load)?;
    // ==1== Total:     1,234,567 bytes in 8,901 blocks
    let line = said.lines().find(|line| line.contains("Total:")).context("no total")?;
    let mut numbers =
        line.split_ascii_whitespace().skip(1).filter_map(|word| word.replace(',', "").parse::<f64>().ok());
    let octets = numbers.next().context("octets")?;
    Ok([numbers.next().context("blocks")?, octets])
}

/// Sends the load through a relay below a tool; gives what was said.
fn run(tool: &[&str], load: Load) -> anyhow::Result<String> {
    let tool: Vec<String> = tool.iter().map(|&word| word.to_owned()).collect();
    let (relay, message) = (Relay::start_below(&tool)?, client::message());
    let (sessions, messages) = match load {
        Load::Kept(count) => (1, count),
        Load::Each(count) => (count, 1),
    };
    for _ in 0..sessions {
        let mut client = Client::connect(relay.port(), 0)?;
        client.hello()?;
        for _ in 0..messages {
            client.send(&message)?;
        }
        client.quit()?;
    }
    relay.end()
}
