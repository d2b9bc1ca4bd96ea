//! Processor time and memory of this process, from `/proc` (proc(5)).

use std::fs;
use std::time::Duration;

/// Waits until things have settled, then says what `span` of quiet costs.
pub(crate) async fn quiet(what: &str, settle: Duration, span: Duration) {
    tokio::time::sleep(settle).await;
    let before = processor();
    tokio::time::sleep(span).await;
    let used = processor().saturating_sub(before);
    let each = used.as_secs_f64() * 1e3 / span.as_secs_f64();
    println!("  {each:8.3} ms of processor time a second, {:.1} MiB: {what}", memory());
}

/// Of all threads there are; none ends while it is measured. In nanoseconds, where `stat` counts hundredths of a second.
fn processor() -> Duration {
    let threads = fs::read_dir("/proc/self/task").expect("Linux has it");
    let of = |thread: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(threads.filter_map(of).sum())
}

/// Resident memory in MiB.
fn memory() -> f64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
