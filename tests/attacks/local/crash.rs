//! killed at exact moments, each found by a system call or by what the other side has seen.
//!
//! The moments at random are in tests/delivery/crash.rs. Invariant of all: what was answered 250 arrives, whole; what was not may
//! arrive whole or not at all; a copy only where the provider had taken the mail already, with the same Message-ID.

use std::time::Duration;

use rustix::process::{Signal, kill_process};

use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};

use super::{nobody_home, send, taken};
use crate::support::harm::{Tracer, start_under_strace, under_strace};
use crate::support::load::{Books, token};
use crate::support::office::{Device, PATIENCE, field, provider, until};
use crate::support::program::{Program, QUICK, Site, files};
use crate::support::skip::{Missing, need};

/// A letter that can be checked is short here, or long enough for a file of its own.
const SIZES: [usize; 2] = [600, 150_000];

/// Starts the relay again, lets it send, stops it; gives how many copies there were.
async fn the_next_one_sends(site: &Site, sandbox: &Sandbox, books: &Books) -> usize {
    sandbox.clear_faults();
    let relay = site.start().await;
    // It takes mail as ever.
    taken(books, relay.door(), 300).await;
    site.drained(sandbox).await;
    let lines = relay.stop().await;
    assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
    let left = files(&site.data.join("spool"));
    assert!(left.is_empty(), "{left:?}");
    books.audit(&sandbox.received())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_084_killed_before_the_final_dot() {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("before-dot", &sandbox, QUICK);
    let relay = site.start().await;
    let mut device = Device::connect(relay.door()).await;
    for (command, start) in [("MAIL FROM:<d@lan.local>", "250"), ("RCPT TO:<a@else.test>", "250"), ("DATA", "354")] {
        device.ask(command, start).await;
    }
    device.write(&[b"Subject: half\r\n\r\n".to_vec(), b"0123456789abcde\r\n".repeat(20_000)].concat()).await;
    until("its body to have a file", async || (!files(&site.data.join("spool")).is_empty()).then_some(())).await;
    relay.kill().await;
    assert_eq!(the_next_one_sends(&site, &sandbox, &Books::default()).await, 0);
    assert_eq!(sandbox.received().len(), 1, "only the letter of the next one");
}

/// The kernel kills it on entering the nth sync of a thread: some of what it wrote is there, and nothing was said of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_084_killed_at_each_sync() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("at-sync", &sandbox, QUICK);
    site.start().await.stop().await;
    let (books, mut unanswered) = (Books::default(), 0);
    for nth in 1..=6 {
        let inject = format!("inject=fsync,fdatasync:signal=KILL:when={nth}");
        let relay = need!(start_or_die(&site, &["-e", "trace=fsync,fdatasync", "-e", &inject]).await);
        let Some(relay) = relay else { continue };
        for round in 0..40 {
            // Never refused: taken, or no answer at all.
            match send(&books, relay.door(), SIZES[round % 2]).await {
                Some(reply) => assert!(reply.starts_with("250 "), "{nth}: {reply}"),
                None => {
                    unanswered += 1;
                    break;
                }
            }
        }
        drop(relay);
    }
    println!("{} taken, {unanswered} ended without an answer", books.acknowledged().len());
    assert!(unanswered >= 4, "{unanswered}");
    assert_eq!(the_next_one_sends(&site, &sandbox, &books).await, 0);
}

/// As `start_under_strace`; `None` when it was killed before it listened.
async fn start_or_die(site: &Site, options: &[&str]) -> Result<Option<Program>, Missing> {
    let relay = Program::spawn(under_strace(site, options)?);
    let up = until("it to listen, or to end", async || {
        let lines = relay.lines();
        if lines.iter().any(|line| line.contains("PTRACE") || line.contains("Operation not permitted")) {
            return Some(None);
        }
        let listens = !relay.told("listening").is_empty();
        (listens || relay.ended()).then_some(Some(listens))
    })
    .await;
    match up {
        None => Err(Missing("the right to trace a process".to_owned())),
        Some(listens) => Ok(listens.then_some(relay)),
    }
}

/// The letter is durable, and 250 is the next thing that would be said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_084_killed_between_the_sync_and_the_250() {
    for size in SIZES {
        let sandbox = provider(SandboxLimits::default()).await;
        nobody_home(&sandbox);
        let site = Site::new("before-250", &sandbox, QUICK);
        // One thread serves the client: greeting, EHLO, MAIL, RCPT, DATA, and the sixth is the answer to the final dot.
        let inject = "inject=sendto:signal=KILL:when=6";
        let relay = need!(start_under_strace(&site, &["-e", "trace=sendto", "-e", inject]).await);
        let books = Books::default();
        assert_eq!(send(&books, relay.door(), size).await, None, "it says nothing any more");
        let _ = relay.end().await;
        assert_eq!(the_next_one_sends(&site, &sandbox, &books).await, 0);
        let received = sandbox.received();
        // It was whole and durable, so it is sent; the client may send it again, and the owner sees two.
        assert_eq!(received.len(), 2, "the letter, and the next one's");
        assert!(received.iter().all(|one| token(&one.data).is_ok()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_084_killed_right_after_the_250() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("after-250", &sandbox, QUICK);
    let books = Books::default();
    for size in SIZES {
        let relay = site.start().await;
        taken(&books, relay.door(), size).await;
        relay.kill().await;
    }
    assert_eq!(the_next_one_sends(&site, &sandbox, &books).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_084_killed_while_the_provider_is_given_the_message() {
    for stage in [Stage::Data, Stage::Body, Stage::FinalDot] {
        let sandbox = provider(SandboxLimits::default()).await;
        sandbox.fault(Fault::forever(stage, What::Stall));
        let site = Site::new("in-data", &sandbox, QUICK);
        let relay = site.start().await;
        let books = Books::default();
        taken(&books, relay.door(), 150_000).await;
        until("the message to be under way", async || {
            (site.depth(&["sending"]).await == 1 && sandbox.stats().logins_ok > 0).then_some(())
        })
        .await;
        relay.kill().await;
        assert_eq!(the_next_one_sends(&site, &sandbox, &books).await, 0, "it had not been taken");
    }
}

/// The one window in which a copy cannot be avoided (RFC 1047): the provider has the message, the queue does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_084_killed_between_the_providers_250_and_the_queue() {
    let sandbox = provider(SandboxLimits::default()).await;
    sandbox.fault(Fault::once(Stage::FinalDot, What::Delay(Duration::from_secs(4))));
    let site = Site::new("window", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    taken(&books, relay.door(), 900).await;
    until("the message to be under way", async || {
        (site.depth(&["sending"]).await == 1 && sandbox.stats().logins_ok > 0).then_some(())
    })
    .await;
    // Whatever the queue writes from now on is written late.
    let tracer = need!(
        Tracer::attach(relay.pid(), &["-e", "trace=pwrite64", "-e", "inject=pwrite64:delay_enter=5000000"]).await
    );
    let first = tokio::time::timeout(PATIENCE, sandbox.wait_for(1)).await.expect("the provider takes it");
    kill_process(rustix::process::Pid::from_raw(relay.pid()).expect("not zero"), Signal::KILL).expect("it lives");
    let _ = relay.end().await;
    drop(tracer);
    assert_eq!(the_next_one_sends(&site, &sandbox, &books).await, 1, "one copy, as the audit knows it");
    let ids: Vec<_> = sandbox.received().iter().map(|one| field(&one.data, "Message-ID")).collect();
    assert!(ids.iter().filter(|id| **id == field(&first[0].data, "Message-ID")).count() == 2, "{ids:?}");
}
