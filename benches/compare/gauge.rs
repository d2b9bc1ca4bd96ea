//! Memory and processor time of a process with all its children, from /proc (proc(5)).
//!
//! Not exact to the page: a tree that forks while it is read is read as it was a moment ago.

use std::fs;

/// `utime` and the like count in these; Linux has had 100 of them a second on every machine of the last 20 years.
const TICKS_PER_SECOND: f64 = 100.0;

struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

fn stats() -> Vec<Stat> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(stat).collect()
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, brackets too.
    let fields: Vec<&str> = text[text.rfind(')')? + 2..].split(' ').collect();
    // Fields 4, and 14 to 17: own time and that of children who have been waited for.
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { pid, parent: fields.get(1)?.parse().ok()?, ticks })
}

fn tree(root: u32) -> Vec<Stat> {
    let mut rest = stats();
    let mut found: Vec<Stat> = Vec::new();
    loop {
        let of_tree = |stat: &Stat, found: &[Stat]| stat.pid == root || found.iter().any(|f| f.pid == stat.parent);
        let (more, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|stat| of_tree(stat, &found));
        if more.is_empty() {
            return found;
        }
        found.extend(more);
        rest = others;
    }
}

/// The children of this process.
pub(crate) fn own_children() -> Vec<u32> {
    let own = std::process::id();
    stats().into_iter().filter(|stat| stat.parent == own).map(|stat| stat.pid).collect()
}

/// The name of a process as the kernel has it.
pub(crate) fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Proportional set size of the tree in MiB: pages that several processes share are counted once.
pub(crate) fn memory(root: u32) -> f64 {
    let of = |pid: u32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find(|line| line.starts_with("Pss:"))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    tree(root).iter().filter_map(|stat| of(stat.pid)).sum::<u64>() as f64 / 1024.0
}

/// Processor time in seconds that the tree has used, ended children included.
pub(crate) fn processor(root: u32) -> f64 {
    tree(root).iter().map(|stat| stat.ticks).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// How many processes there are.
pub(crate) fn processes(root: u32) -> usize {
    tree(root).len()
}
