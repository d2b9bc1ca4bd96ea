//! clocks that jump while the relay works, zones, languages, and dates that are far away or odd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use yizhan::clock::Timestamp;
use yizhan::config::Settings;
use yizhan::queue::{MessageState, QueueEntry};
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage, What};

use super::taken;
use crate::support::day::Day;
use crate::support::load::{Books, Courier};
use crate::support::office::{Office, field, provider, until};
use crate::support::peers::program;
use crate::support::program::{Program, QUICK, Site, YIZHAN, clean};
use crate::support::skip::{Missing, need};

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const MAIL: &[u8] = b"From: Boss <boss@corp.lan>\r\nSubject: hello\r\n\r\nbody\r\n";

/// The provider refuses everything for now.
fn refuse(sandbox: &Sandbox) {
    sandbox.fault(Fault::forever(Stage::Mail, What::Reply(b"451 4.3.0 later\r\n".to_vec())));
}

/// An office with the documented schedule, with twenty messages that have been tried for some hours.
async fn tried_for_hours(name: &str) -> (Day, Office) {
    let day = Day::new();
    let office = Office::at(day.clock(), name, SandboxLimits::default(), |settings| {
        settings.queue.schedule.retry =
            [1, 5, 15, 60, 120, 240].map(|minutes| Duration::from_secs(minutes * 60)).to_vec();
    })
    .await;
    refuse(&office.sandbox);
    for _ in 0..20 {
        office.send(&["a@else.test"], MAIL).await;
    }
    day.run_until(day.at(4, 0)).await;
    for entry in all(&office).await {
        assert_eq!((entry.state, entry.tries), (MessageState::Deferred, 6), "{entry:?}");
    }
    (day, office)
}

async fn all(office: &Office) -> Vec<QueueEntry> {
    let all = office.list(&MessageState::ALL).await;
    assert_eq!(all.len(), 20, "nothing is lost, and nobody was told of a failure");
    all
}

/// Everything arrives, once, with the date on which it was handed in.
async fn all_arrive(office: &Office, day: &Day, within: Duration) {
    office.sandbox.clear_faults();
    day.run_until(day.now() + within).await;
    assert!(all(office).await.iter().all(|entry| entry.state == MessageState::Delivered));
    let received = office.sandbox.received();
    assert_eq!(received.len(), 20);
    for one in received {
        let date = field(&one.data, "Date").unwrap();
        assert!(date.contains(" Nov 2026 "), "{date}");
    }
}

#[tokio::test]
async fn a_088_a_year_forward_bounces_nothing() {
    let (day, office) = tried_for_hours("forward").await;
    day.clock().set(day.now() + YEAR);
    day.rest().await;
    // Their life is over by the clock, and they are tried at once. That is no reason to give them up.
    for entry in all(&office).await {
        assert_eq!((entry.state, entry.tries), (MessageState::Deferred, 7), "{entry:?}");
        let wait = entry.due.since(day.now());
        assert!((3 * HOUR..5 * HOUR).contains(&wait), "no tight loop: {wait:?}");
    }
    all_arrive(&office, &day, 5 * HOUR).await;
}

#[tokio::test]
async fn a_088_a_year_forward_for_good_gives_up_in_the_end() {
    let (day, office) = tried_for_hours("for_good").await;
    day.clock().set(day.now() + YEAR);
    day.run_until(day.now() + 6 * HOUR).await;
    let failed = office.list(&[MessageState::Failed]).await;
    assert_eq!(failed.len(), 20, "one more wait is what the owner has to set the clock");
    assert!(failed.iter().all(|entry| entry.tries == 8), "{failed:?}");
}

#[tokio::test]
async fn a_088_a_year_back_keeps_nothing_waiting() {
    let (day, office) = tried_for_hours("back").await;
    day.clock().set(day.now() - YEAR);
    until("the relay to notice", async || {
        day.rest().await;
        all(&office).await.iter().all(|entry| entry.tries == 7).then_some(())
    })
    .await;
    for entry in all(&office).await {
        let wait = entry.due.since(day.now());
        assert!((3 * HOUR..5 * HOUR).contains(&wait), "neither a year nor a tight loop: {wait:?}");
    }
    all_arrive(&office, &day, 5 * HOUR).await;
}

#[tokio::test]
async fn a_088_a_clock_that_was_set_back_while_the_relay_was_stopped() {
    let (day, office) = tried_for_hours("stopped").await;
    day.clock().set(day.now() - YEAR);
    let office = office.restart_at(day.clock()).await;
    day.rest().await;
    assert!(all(&office).await.iter().all(|entry| entry.tries == 7));
    all_arrive(&office, &day, 5 * HOUR).await;
}

/// A machine that boots with its clock eight hours ahead takes twenty messages, which wait because the account is paused.
async fn taken_ahead(name: &str) -> (Day, Office) {
    let day = Day::new();
    day.clock().set(day.at(8, 0));
    let office = Office::at(day.clock(), name, SandboxLimits::default(), |_| {}).await;
    let delivery = office.relay.delivery();
    delivery.pause(delivery.account("office").unwrap(), "a test").await.unwrap();
    for _ in 0..20 {
        office.send(&["a@else.test"], MAIL).await;
    }
    day.rest().await;
    assert_eq!(office.list(&[MessageState::Waiting]).await.len(), 20);
    day.clock().set(day.at(0, 0));
    (day, office)
}

/// The account may send again: everything is sent at once, not in eight hours.
async fn all_are_sent_now(office: &Office, day: &Day) {
    let delivery = office.relay.delivery();
    delivery.resume(delivery.account("office").unwrap()).await.unwrap();
    until("everything to be sent", async || {
        day.rest().await;
        all(office).await.iter().all(|entry| entry.state == MessageState::Delivered).then_some(())
    })
    .await;
    assert_eq!((office.sandbox.stats().accepted, day.now()), (20, day.at(0, 0)));
}

#[tokio::test]
async fn a_088_mail_of_a_clock_that_was_ahead_goes_when_it_is_set_back() {
    let (day, office) = taken_ahead("ahead").await;
    day.rest().await;
    all_are_sent_now(&office, &day).await;
}

#[tokio::test]
async fn a_088_mail_of_a_clock_that_was_ahead_goes_after_a_restart() {
    let (day, office) = taken_ahead("ahead_stopped").await;
    let office = office.restart_at(day.clock()).await;
    day.rest().await;
    all_are_sent_now(&office, &day).await;
}

/// The real program under `faketime`, which reads the shift from a file again and again.
fn shifted(site: &Site, shift: &Path) -> Result<Command, Missing> {
    program("faketime")?;
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .map(|folder| format!("{folder}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or_else(|| Missing("package libfaketime".to_owned()))?;
    let mut command = clean(Command::new(YIZHAN), site.run_arguments());
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", shift);
    // Timers go by the monotonic clock, which nobody sets.
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_088_the_program_takes_a_year_forward_and_back() {
    let sandbox = provider(SandboxLimits::default()).await;
    let retry = QUICK.replace("[\"1s\"]", "[\"1s\", \"1s\", \"1s\", \"2h\"]");
    let site = Site::new("shift", &sandbox, &retry);
    let shift = site.folder.file("shift", "+0\n");
    refuse(&sandbox);
    let relay = Program::start(need!(shifted(&site, &shift))).await;
    let books = Books::default();
    taken(&books, relay.door(), 500).await;
    until("four tries", async || (relay.told("deferred").len() == 4).then_some(())).await;
    // The relay sleeps; a new letter wakes it, as any event does.
    site.folder.file("shift", "+1y\n");
    taken(&books, relay.door(), 500).await;
    until("the old letter to be tried again", async || (relay.told("deferred").len() >= 6).then_some(())).await;
    assert_eq!(site.depth(&["failed"]).await, 0, "{:?}", relay.lines());
    site.folder.file("shift", "+0\n");
    taken(&books, relay.door(), 500).await;
    relay.event("clock_set_back").await;
    sandbox.clear_faults();
    let mut courier = Courier::connect(relay.door()).await.unwrap();
    courier.ask("NOOP").await.unwrap();
    until("everything to arrive", async || (sandbox.stats().accepted >= 3).then_some(())).await;
    site.drained(&sandbox).await;
    let lines = relay.stop().await;
    assert!(lines.len() < 300, "no tight loop: {} lines", lines.len());
    assert_eq!(books.audit(&sandbox.received()), 0, "copies");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_089_dates_are_english_and_numeric_in_every_zone_and_language() {
    for (zone, language, offset) in [
        ("Asia/Kathmandu", "zh_CN.UTF-8", "+0545"),
        ("America/St_Johns", "ar_EG.UTF-8", "-0330"),
        ("Asia/Shanghai", "tr_TR", "+0800"),
    ] {
        if !Path::new("/usr/share/zoneinfo").join(zone).exists() {
            return crate::support::skip::skip(Missing("package tzdata".to_owned()));
        }
        let sandbox = provider(SandboxLimits::default()).await;
        let site = Site::new("zone", &sandbox, QUICK);
        let mut command = site.run_command();
        command.env("TZ", zone).env("LC_ALL", language).env("LANG", language);
        let relay = Program::start(command).await;
        let books = Books::default();
        for _ in 0..4 {
            taken(&books, relay.door(), 300).await;
        }
        site.drained(&sandbox).await;
        relay.stop().await;
        let received = sandbox.received();
        assert_eq!(books.audit(&received), 0);
        let mut ours = 0;
        for one in &received {
            let (date, trace) = (field(&one.data, "Date").unwrap(), field(&one.data, "Received").unwrap());
            // Every other letter brings a date of its own, which stays.
            for date in [date.as_str(), trace.rsplit(';').next().unwrap().trim()] {
                assert!(is_english(date), "{zone} {language}: {date}");
                ours += usize::from(date.ends_with(offset));
            }
        }
        assert!(ours >= received.len(), "{zone}: the zone of the machine is in its own dates");
    }
}

/// `Sat, 21 Nov 2026 18:00:00 +0545` (RFC 5322 section 3.3).
fn is_english(date: &str) -> bool {
    let words: Vec<&str> = date.split(' ').collect();
    let [day, number, month, year, clock, zone] = words[..] else { return false };
    ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"].contains(&day)
        && number.parse::<u8>().is_ok_and(|number| (1..=31).contains(&number))
        && ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"].contains(&month)
        && year.len() == 4
        && clock.len() == 8
        && zone.len() == 5
        && zone[1..].bytes().all(|octet| octet.is_ascii_digit())
}

#[tokio::test]
async fn a_089_the_year_2038_and_later_are_years_like_others() {
    // The last second of a signed 32-bit clock, of an unsigned one, and a leap day far away; each passes midnight.
    for (begin, year) in [(2_147_483_640_000, "2038"), (4_294_967_290_000, "2106"), (13_574_563_200_000, "2400")] {
        let day = Day::starting(Timestamp::from_millis(begin));
        let slowly = |settings: &mut Settings| settings.queue.schedule.retry = vec![Duration::from_secs(60)];
        let office = Office::at(day.clock(), "far", SandboxLimits::default(), slowly).await;
        refuse(&office.sandbox);
        let id = office.send(&["a@else.test"], MAIL).await;
        day.run_until(day.at(0, 2)).await;
        let entry = office.entry(id).await;
        assert!(entry.state == MessageState::Deferred && entry.expires > entry.received, "{entry:?}");
        office.sandbox.clear_faults();
        let office = office.restart_at(day.clock()).await;
        day.run_until(day.at(1, 0)).await;
        assert_eq!(office.entry(id).await.state, MessageState::Delivered);
        let date = field(&office.received(1).await[0].data, "Date").unwrap();
        assert!(is_english(&date) && date.contains(&format!(" {year} ")), "{date}");
    }
}

#[tokio::test]
async fn a_089_a_leap_second_in_a_date_is_kept() {
    let office = Office::open("leap").await;
    let mail = b"From: Boss <boss@corp.lan>\r\nDate: Sat, 31 Dec 2016 23:59:60 +0000\r\nSubject: leap\r\n\r\nbody\r\n";
    office.send(&["a@else.test"], mail).await;
    let received = office.received(1).await;
    assert_eq!(field(&received[0].data, "Date").as_deref(), Some("Sat, 31 Dec 2016 23:59:60 +0000"));
}
