//! A flood of refusals is a few lines of the log and a number; accepted mail of the same address is logged all the same.

use super::{DATA, HONEST, Plan, Scene, connect, count, pour};
use crate::support::office::Device;
use crate::support::program::{event_of, field_of};

const STRANGER: [u8; 4] = [127, 0, 0, 8];
const WILD: [u8; 4] = [127, 0, 0, 1];
/// Lines of one address in a minute; the test may take part of a second one.
const MOST: u64 = 2 * yizhan::limits::log_budget::LINES as u64;

/// Lines about `event` of this address that were written, and those that were only counted.
fn lines_of(log: &[String], addr: &str, event: &str) -> (u64, u64) {
    let of_addr = |line: &&String| field_of(line, "addr").as_deref() == Some(addr);
    let written = log.iter().filter(of_addr).filter(|line| event_of(line).as_deref() == Some(event)).count();
    let more = log.iter().filter(of_addr).filter(|line| event_of(line).as_deref() == Some("more_like_this"));
    let more = more.filter(|line| field_of(line, "like").as_deref() == Some(event));
    let held = more.map(|line| field_of(line, "lines").and_then(|lines| lines.parse::<u64>().ok()).expect("a number"));
    (written as u64, held.sum())
}

#[tokio::test]
async fn a_flood_of_refusals_is_few_lines_and_a_number() {
    let allow = &["127.0.0.1/32", "127.0.99.99/32"];
    let scene = Scene::open("log-flood", Plan { allow, ..Plan::default() }).await;
    for _ in 0..400 {
        Device::dial_from(STRANGER.into(), scene.door()).await.expect("554 5.7.1").await;
    }
    // A client that may send, and does nothing right.
    let (mut refused, mut unknown) = (0, 0);
    for _ in 0..40 {
        let mut lines = vec![b"EHLO x\r\nMAIL FROM:<a@b.c>\r\n".to_vec()];
        lines.extend(std::iter::repeat_n(b"RCPT TO:<nobody>\r\nFOO\r\n".to_vec(), 8));
        let (_, said) = pour(connect(WILD, scene.door()).await, lines.into_iter()).await;
        refused += count(&said, "553 5.1.3") as u64;
        unknown += count(&said, "500 5.5.") as u64;
    }
    assert!(refused > 2 * MOST && unknown > 0, "{refused} {unknown}");
    // Its mail is logged however much it has done wrong before.
    let mut device = scene.device(WILD).await;
    for _ in 0..70 {
        device.send("a@b.c", &["warm@else.test"], DATA).await;
    }
    scene.device(HONEST).await.send("a@b.c", &["warm@else.test"], DATA).await;
    scene.site.drained(&scene.sandbox).await;
    let log = scene.program.stop().await;
    let (written, held) = lines_of(&log, "127.0.0.8", "refused");
    assert!(written <= MOST && written + held == 400, "{written} and {held} of 400");
    let (written, held) = lines_of(&log, "127.0.0.1", "refused");
    assert!(written <= MOST && written + held == refused, "{written} and {held} of {refused}");
    let (noted, more_noted) = lines_of(&log, "127.0.0.1", "noted");
    assert!(written + noted <= MOST && more_noted > 0, "{written} {noted} {more_noted}");
    assert_eq!(lines_of(&log, "127.0.0.1", "accepted"), (70, 0));
    assert_eq!(lines_of(&log, "127.0.99.99", "accepted"), (1, 0));
}
