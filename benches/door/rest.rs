//! Memory of a relay that nobody talks to, and which mappings it is in (proc(5), `smaps`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Plan;
use crate::relay::Relay;
use crate::table::{Table, median};

/// What the relay may do after its start, before it is quiet.
const SETTLE: Duration = Duration::from_secs(2);
/// PSS in MiB.
const GOAL: f64 = 8.0;

pub(crate) fn measure(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    for _ in 0..if plan.quick { 1 } else { 5 } {
        let relay = Relay::start_usual()?;
        std::thread::sleep(SETTLE);
        starts.push(parts(relay.pid())?);
    }
    let of = |part: Part| median(starts.iter().map(|one| one.get(&part).copied().unwrap_or(0.0)).collect()) / 1024.0;
    let total = median(starts.iter().map(|one| one.values().sum::<f64>()).collect()) / 1024.0;
    table.goal("memory at rest, PSS", total, "MiB", GOAL);
    table.note("- of it pages of the program's file that are as on the disk", of(Part::File), "MiB");
    table.note("- pages of it that were written to (relocated addresses, variables)", of(Part::Written), "MiB");
    table.note("- heap, stacks and other memory of its own", of(Part::Own), "MiB");
    table.note("- the C library and other shared files", of(Part::Shared), "MiB");
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    File,
    Written,
    Own,
    Shared,
}

/// KiB of each part.
fn parts(pid: u32) -> anyhow::Result<BTreeMap<Part, f64>> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"))?.display().to_string();
    let (mut parts, mut path) = (BTreeMap::new(), String::new());
    let (mut pss, mut written) = (0.0, 0.0);
    for line in std::fs::read_to_string(format!("/proc/{pid}/smaps"))?.lines() {
        let mut words = line.split_ascii_whitespace();
        let kib = |words: &mut std::str::SplitAsciiWhitespace<'_>| {
            words.next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0)
        };
        match words.next() {
            Some("Pss:") => pss = kib(&mut words),
            Some("Anonymous:") => written = kib(&mut words),
            // The last line of a mapping.
            Some("VmFlags:") => {
                let mut add = |part, kib| *parts.entry(part).or_default() += kib;
                if path == program {
                    add(Part::File, pss - written);
                    add(Part::Written, written);
                } else if path.starts_with('/') {
                    add(Part::Shared, pss);
                } else {
                    add(Part::Own, pss);
                }
            }
            Some(range) if range.contains('-') => path = words.nth(4).unwrap_or_default().to_owned(),
            Some(_) | None => {}
        }
    }
    Ok(parts)
}
