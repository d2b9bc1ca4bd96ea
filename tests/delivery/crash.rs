//! Promise 1 against `kill -9` and the power cut: what was acknowledged arrives, whole, and a copy is known as a copy.
//!
//! The relay is the real program, the provider runs in here. The moments are random; the seed is printed, and
//! `YIZHAN_SEED` repeats it (the machine's own timing is not repeated).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use yizhan::sandbox::SandboxLimits;

use crate::support::load::{Books, Dice, keep_sending, seed, token};
use crate::support::office::provider;
use crate::support::program::{Program, QUICK, Site, files};

/// How often the relay is killed.
const ROUNDS: u64 = 30;
/// How many clients send at a time.
const CLIENTS: u64 = 4;
/// How many images of the data folder are taken.
const IMAGES: u64 = 12;

pub(super) fn settings() -> String {
    format!(
        "{QUICK}[account.office.budget]\nconnections = 4\nmessages_per_minute = 1000000\n\
         recipients_per_hour = 1000000\nrecipients_per_day = 1000000\nlogins_per_hour = 1000000\n"
    )
}

/// Clients that send to `doors` until its sender is dropped.
fn clients(books: &Arc<Books>, doors: &watch::Sender<Option<std::net::SocketAddr>>, seed: u64) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for client in 0..CLIENTS {
        tasks.spawn(keep_sending(books.clone(), doors.subscribe(), seed.wrapping_add(client), 20));
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_084_a_relay_that_is_killed_again_and_again_loses_nothing() {
    let seed = seed();
    let mut dice = Dice::new(seed);
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("kill", &sandbox, &settings());
    let (books, doors) = (Arc::new(Books::default()), watch::Sender::new(None));
    let mut tasks = clients(&books, &doors, seed);
    let mut reports = 0;
    for round in 0..ROUNDS {
        let program = Program::spawn(site.run_command());
        // Now and then it dies while it starts.
        if round % 6 != 5 {
            program.event("listening").await;
            doors.send_replace(Some(program.door()));
        }
        // The moment itself is what is tried out.
        tokio::time::sleep(Duration::from_millis(dice.below(600))).await;
        doors.send_replace(None);
        let lines = program.kill().await;
        reports += lines.iter().filter(|line| line.contains("queue_report")).count();
        let wrong: Vec<_> =
            lines.iter().filter(|line| line.contains("panicked") || line.contains("\"error\"")).collect();
        assert!(wrong.is_empty(), "round {round}: {:?} and others", wrong.first());
    }
    let program = site.start().await;
    drop(doors);
    while tasks.join_next().await.is_some() {}
    site.drained(&sandbox).await;
    assert_eq!(site.depth(&["held", "failed"]).await, 0);
    program.stop().await;
    let received = sandbox.received();
    let copies = books.audit(&received);
    let (acknowledged, refused) = (books.acknowledged().len(), books.refused());
    println!("{ROUNDS} kills: {acknowledged} acknowledged, {copies} copies, {reports} files swept");
    assert!(acknowledged > 100, "the load was no load: {acknowledged}");
    assert!(refused.is_empty(), "{refused:?}");
    // Twice as many attempts as connections are under way at a time; nothing else may come twice.
    assert!(copies as u64 <= ROUNDS * 8, "{copies} copies");
    let spool = files(&site.data.join("spool"));
    assert!(spool.is_empty(), "nothing is left behind: {spool:?}");
}

/// Copies a folder while it is written to, file by file in a random order, as a power cut leaves a disk: some writes
/// are there, others are not. A file that goes meanwhile is not copied.
fn image(data: &Path, target: &Path, dice: &mut Dice) {
    let mut all = files(data);
    for at in (1..all.len()).rev() {
        all.swap(at, dice.below(at as u64 + 1) as usize);
    }
    for file in all.iter().filter(|file| !file.ends_with("control.sock")) {
        let copy = target.join(file.strip_prefix(data).expect("it is inside"));
        fs::create_dir_all(copy.parent().expect("it has one")).expect("the folder is ours");
        let Ok(mut octets) = fs::read(file) else { continue };
        // A file that was growing may also be there with less than all its octets, or none.
        if file.to_string_lossy().contains("spool") && dice.below(8) == 0 {
            octets.truncate(dice.below(octets.len() as u64 + 1) as usize);
        }
        fs::write(&copy, octets).expect("the folder is ours");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_085_an_image_of_a_power_cut_starts_or_says_why_and_sends_no_half_letter() {
    let seed = seed();
    let mut dice = Dice::new(seed);
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("power", &sandbox, &settings());
    let (books, doors) = (Arc::new(Books::default()), watch::Sender::new(None));
    let program = site.start().await;
    doors.send_replace(Some(program.door()));
    let mut tasks = clients(&books, &doors, seed);
    let mut images: Vec<PathBuf> = Vec::new();
    for number in 0..IMAGES {
        tokio::time::sleep(Duration::from_millis(20 + dice.below(200))).await;
        let target = site.folder.path().join(format!("image{number}"));
        image(&site.data, &target, &mut dice);
        images.push(target);
    }
    drop(doors);
    while tasks.join_next().await.is_some() {}
    site.drained(&sandbox).await;
    program.stop().await;
    books.audit(&sandbox.received());
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for image in images {
        *ends.entry(try_image(image).await).or_default() += 1;
    }
    println!("{IMAGES} images: {ends:?}");
    assert!(ends.contains_key("started"), "{ends:?}");
}

/// Starts a relay on an image, with a provider of its own.
async fn try_image(image: PathBuf) -> String {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::with("image", &sandbox, &settings(), |_| image);
    let program = Program::spawn(site.run_command());
    let (first, _) = program
        .line("that it listens or why not", |line| {
            if line.contains("\"listening\"") {
                return Some((true, line.to_owned()));
            }
            line.starts_with("yizhan: ").then(|| (false, line.to_owned()))
        })
        .await;
    if !first {
        let (status, lines) = program.end().await;
        assert_eq!(status.code(), Some(1), "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
        return lines.last().cloned().unwrap_or_default();
    }
    site.drained(&sandbox).await;
    let lines = program.stop().await;
    assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
    let mut ids = BTreeMap::new();
    for one in sandbox.received() {
        let token = token(&one.data).unwrap_or_else(|trouble| panic!("{trouble}"));
        let before = ids.insert(token.clone(), crate::support::office::field(&one.data, "Message-ID"));
        assert!(before.is_none(), "nothing was killed, so {token} has no reason to come twice");
    }
    "started".to_owned()
}
