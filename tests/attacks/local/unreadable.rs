//! a body that the disk does not give back while it is sent.

use std::time::Duration;

use tokio::time::timeout;
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

use super::{nobody_home, taken};
use crate::support::harm::Tracer;
use crate::support::load::Books;
use crate::support::office::{PATIENCE, provider};
use crate::support::program::{QUICK, Site, field_of, files};
use crate::support::skip::need;

/// A disk that fails in the middle of the transfer: the message is held, with the name of its file, and no half of it is
/// delivered. The account and the line are not to blame: other mail goes on at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_086_a_body_that_cannot_be_read_is_held_and_the_account_goes_on() {
    let sandbox = provider(SandboxLimits::default()).await;
    nobody_home(&sandbox);
    let site = Site::new("unreadable", &sandbox, QUICK);
    let relay = site.start().await;
    let books = Books::default();
    // More than the sockets take: the relay is still reading when the disk fails.
    taken(&books, relay.door(), 25_000_000).await;
    relay.kill().await;
    let [body] = &files(&site.data.join("spool"))[..] else { panic!("one body has a file") };
    let name = body.file_name().and_then(|name| name.to_str()).expect("our names are ASCII").to_owned();
    sandbox.clear_faults();
    sandbox.fault(Fault::once(Stage::Body, What::Delay(Duration::from_secs(4))));
    let relay = site.start().await;
    timeout(PATIENCE, sandbox.wait_until(|stats| stats.faults > 0)).await.expect("the transfer begins");
    let inject = "inject=read:error=EIO:when=1+";
    let path = body.display().to_string();
    let tracer = need!(Tracer::attach(relay.pid(), &["-P", &path, "-e", "trace=read", "-e", inject]).await);
    let line = relay.event("set_aside").await;
    assert!(line.contains(&name) && line.contains("Input/output error"), "{line}");
    assert_eq!((sandbox.stats().accepted, site.depth(&["held"]).await), (0, 1));
    taken(&books, relay.door(), 700).await;
    site.drained(&sandbox).await;
    assert_eq!((sandbox.stats().accepted, relay.told("unreachable"), relay.told("deferred")), (1, vec![], vec![]));
    let id = field_of(&line, "id").expect("the line has it");
    let shown = site.ask(&["queue", "show", &id]).await.with_code(0);
    assert!(shown.contains("held") && shown.contains(&name), "{shown}");
    // The disk is well again: the message goes when an operator says so.
    drop(tracer);
    site.ask(&["queue", "retry", &id]).await.with_code(0);
    site.drained(&sandbox).await;
    relay.stop().await;
    assert_eq!((books.audit(&sandbox.received()), sandbox.stats().accepted), (0, 2));
}
