//! Promise 8: a large message streams. It passes through the real program on disk, not in memory.

use yizhan::sandbox::SandboxLimits;

use crate::support::load::{Courier, letter, token};
use crate::support::office::provider;
use crate::support::program::{QUICK, Site};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_message_of_50_mebibytes_costs_less_than_8_and_arrives_whole() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("memory", &sandbox, QUICK);
    let relay = site.start().await;
    // One small letter first: buffers, TLS and threads that every message needs are part of the idle figure.
    let mut courier = Courier::connect(relay.door()).await.unwrap();
    assert!(courier.send(&letter("warm", 1000)).await.unwrap().starts_with("250 "));
    site.drained(&sandbox).await;
    let idle = relay.peak_memory();
    // The limit is 50 MiB in all.
    let large = letter("large", 50 * MIB - 4096);
    assert!(large.len() <= 50 * MIB);
    let begin = std::time::Instant::now();
    let reply = courier.send(&large).await.unwrap();
    assert!(reply.starts_with("250 "), "{reply}");
    println!("taken after {:?}", begin.elapsed());
    let taken = relay.peak_memory();
    site.drained(&sandbox).await;
    println!("sent after {:?}", begin.elapsed());
    let sent = relay.peak_memory();
    relay.stop().await;
    let received = sandbox.received();
    assert_eq!(token(&received[1].data).as_deref(), Ok("large"));
    println!("peak: {} KiB idle, {} KiB taken, {} KiB sent", idle >> 10, taken >> 10, sent >> 10);
    assert!(sent - idle < 8 << 20, "{idle} octets before, {taken} when taken, {sent} at the end");
}
