//! Promises 1 and 2 against the power cut, at each step of the disk.
//!
//! `strace` records the relay at work (`workload`): each change to its data folder, each sync, each reply to a client
//! (`recording`). A model of a disk (`disk`) replays the recording and stops at the cuts. At each cut it builds images of what
//! a power cut may leave. The queue is opened on each image in this process, as the relay opens it at a start, and compared
//! with what the clients and the log knew (`judge`). On some images the whole program is started, and its mail is counted.
//!
//! A message whose settlement was not synced at the cut is uncertain: it may be sent again. The seed chooses the cuts and the
//! images. The recording differs from run to run, so a failed image is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use yizhan::queue::MessageState;
use yizhan::sandbox::SandboxLimits;

use crate::crash::settings;
use crate::support::folder::Folder;
use crate::support::load::{Dice, seed, token};
use crate::support::office::provider;
use crate::support::program::Site;
use crate::support::skip::need;

mod disk;
mod judge;
mod recording;
mod workload;

use disk::{Disk, Fate, Piece};
use judge::{Known, Letters, States, judge, write};
use recording::{Event, Moment};
use workload::{Recorded, record};

/// How many cuts there are at least.
const CUTS: usize = 300;
/// One in this many writes to the database and its log is a cut. Every other moment is one.
const WRITES: u64 = 4;
/// The images of a cut.
const FATES: [Fate; 5] = [Fate::Lost, Fate::Kept, Fate::Hollow, Fate::Mixed, Fate::Mixed];
/// On how many images of each kind of cut the whole program is started.
const STARTS: usize = 2;
/// How many images are judged at a time.
const SIDE_BY_SIDE: usize = 3;

/// What the disk was doing at a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// It was making the queue: no relay has listened yet.
    Beginning,
    /// It was writing or syncing the log of the database, where small messages and all settlements go.
    Log,
    /// It was beginning the log again, over octets that are copied into the database.
    LogAgain,
    /// It was writing, syncing or naming the file of a large message.
    Large,
    /// It was removing the file of a message that was delivered.
    Deletion,
    /// It was copying the log into the database, or removing the log.
    Checkpoint,
    /// A client got the reply for a small message.
    SmallReply,
    /// A client got the reply for a large message.
    LargeReply,
    /// Anything else: the lock, the socket, the folder, a settlement that is logged.
    Other,
}

impl Kind {
    const ALL: [Kind; 9] = [
        Kind::Beginning,
        Kind::Log,
        Kind::LogAgain,
        Kind::Large,
        Kind::Deletion,
        Kind::Checkpoint,
        Kind::SmallReply,
        Kind::LargeReply,
        Kind::Other,
    ];

    fn of(moment: &Moment, has_begun: bool, overwrites: bool, letters: &Letters) -> Kind {
        let path = moment.event.path().map(|path| path.to_string_lossy()).unwrap_or_default();
        let removed = matches!(moment.event, Event::Remove(_));
        match &moment.event {
            Event::Acknowledged(id) if letters.is_large(id) => Kind::LargeReply,
            Event::Acknowledged(_) => Kind::SmallReply,
            _ if !has_begun => Kind::Beginning,
            _ if path.contains("/spool/") && removed && !path.ends_with(".part") => Kind::Deletion,
            _ if path.contains("/spool") => Kind::Large,
            _ if path.ends_with("queue.db") || (path.ends_with("queue.db-wal") && removed) => Kind::Checkpoint,
            Event::Write { offset: 0, .. } if path.ends_with("queue.db-wal") && overwrites => Kind::LogAgain,
            _ if path.ends_with("queue.db-wal") => Kind::Log,
            _ => Kind::Other,
        }
    }
}

/// A moment at which the power fails, and what was found on its images.
#[derive(Debug)]
struct Cut {
    kind: Kind,
    name: String,
    known: Known,
    found: Vec<(Fate, States)>,
}

/// An image on which the whole program is started: its files, and the letters that it must send.
struct Start {
    name: String,
    pieces: Vec<Piece>,
    due: BTreeSet<String>,
}

/// Replays the recording, and chooses the cuts and the images.
struct Replay {
    dice: Dice,
    /// Chooses where the program is started. It is separate because images are judged in no certain order.
    choice: Dice,
    letters: Arc<Letters>,
    cuts: Vec<Cut>,
    starts: BTreeMap<Kind, Vec<Start>>,
    images: usize,
    tasks: JoinSet<(usize, Fate, Option<Vec<Piece>>, States)>,
}

impl Replay {
    async fn run(&mut self, recorded: &Recorded) {
        let mut disk = Disk::new(&recorded.site.data);
        let (mut known, mut has_begun) = (Known::default(), false);
        for (number, moment) in recorded.recording.moments.iter().enumerate() {
            if let Some((_, files)) = recorded.ends.iter().find(|(end, _)| *end == number) {
                disk.must_agree(files);
            }
            let overwrites = moment.event.path().is_some_and(|path| disk.len(path) > 0);
            disk.apply(moment);
            // A sync that takes long begins before changes that return before it does.
            known.at = known.at.max(moment.at);
            match &moment.event {
                Event::Acknowledged(id) => drop(known.acknowledged.insert(id.clone())),
                Event::Settled(id) => drop(known.settled.insert(id.clone())),
                Event::Listening => has_begun = true,
                _ => {}
            }
            let kind = Kind::of(moment, has_begun, overwrites, &self.letters);
            let bulk = matches!(&moment.event, Event::Write { path, .. } if path.to_string_lossy().contains("queue.db"))
                && kind != Kind::LogAgain;
            if bulk && self.dice.below(WRITES) != 0 {
                continue;
            }
            let name = format!("power cut {number}, after line {} of the traces: {}", moment.line, moment.event);
            self.cuts.push(Cut { kind, name, known: known.clone(), found: Vec::new() });
            // Many of these writes follow each other, and none of them changes what is durable.
            let fates: &[Fate] = if bulk { &[Fate::Kept, Fate::Mixed] } else { &FATES };
            for &fate in fates {
                self.examine(fate, &disk).await;
            }
        }
        disk.must_agree(&recorded.ends.last().expect("three runs").1);
        while !self.tasks.is_empty() {
            self.take_in().await;
        }
    }

    /// Begins to judge an image of the last cut.
    async fn examine(&mut self, fate: Fate, disk: &Disk) {
        while self.tasks.len() >= SIDE_BY_SIDE {
            self.take_in().await;
        }
        let place = self.cuts.len() - 1;
        let Cut { name, known, .. } = &self.cuts[place];
        let (known, name, letters) = (known.clone(), format!("{name}, {fate:?}"), self.letters.clone());
        let pieces = disk.image(fate, &mut self.dice);
        let again = (fate == Fate::Mixed).then(|| pieces.clone());
        self.images += 1;
        self.tasks.spawn(async move {
            let folder = Folder::in_memory("image");
            write(folder.path(), &pieces);
            match judge(&folder.path().join("data"), &letters, &known).await {
                Ok(states) => (place, fate, again, states),
                Err(why) => panic!("{name}: {why}\nthe image is {}", keep(&pieces).display()),
            }
        });
    }

    /// Waits until an image is judged.
    async fn take_in(&mut self) {
        let (place, fate, again, states) = match self.tasks.join_next().await.expect("one is under way") {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let cut = &mut self.cuts[place];
        if let Some(pieces) = again {
            let due = states.iter().filter(|(_, state)| !state.is_final()).map(|(token, _)| token.clone()).collect();
            let start = Start { name: cut.name.clone(), pieces, due };
            let starts = self.starts.entry(cut.kind).or_default();
            if starts.len() < STARTS {
                starts.push(start);
            } else if let Some(place) = starts.get_mut(self.choice.below(12) as usize) {
                *place = start;
            }
        }
        cut.found.push((fate, states));
    }
}

/// Keeps a failed image in the target folder.
fn keep(pieces: &[Piece]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("power-cut");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder is ours");
    write(&folder, pieces);
    folder
}

/// A message whose settlement was synced is delivered on each image of that cut and of all later ones. It was synced if the
/// relay had logged it, or if the image without any unsynced change has it.
fn what_is_settled_stays_settled(cuts: &[Cut], letters: &Letters) {
    let mut settled: BTreeSet<&String> = BTreeSet::new();
    for cut in cuts {
        settled.extend(cut.known.settled.iter().map(|id| &letters.ids[id]));
        for (_, states) in cut.found.iter().filter(|(fate, _)| *fate == Fate::Lost) {
            settled
                .extend(states.iter().filter(|(_, state)| **state == MessageState::Delivered).map(|(token, _)| token));
        }
        for (fate, states) in &cut.found {
            let again = settled.iter().find(|token| states.get(**token) != Some(&MessageState::Delivered));
            assert!(again.is_none(), "{}, {fate:?}: {again:?} is settled and would be sent again", cut.name);
        }
    }
}

/// Starts the whole program on an image. It must send each letter that is due once and whole, and nothing else. Returns how
/// many letters it sent.
async fn start(start: Start) -> usize {
    let Start { name, pieces, due } = start;
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new("cut", &sandbox, &settings());
    write(site.folder.path(), &pieces);
    let relay = site.start().await;
    site.drained(&sandbox).await;
    let left = site.depth(&["held", "failed"]).await;
    let lines = relay.stop().await;
    assert!(left == 0 && !lines.iter().any(|line| line.contains("panicked")), "{name}: {left} left, {lines:?}");
    let read = |octets: &[u8]| token(octets).unwrap_or_else(|trouble| panic!("{name}: {trouble}"));
    let sent: Vec<String> = sandbox.received().iter().map(|one| read(&one.data)).collect();
    let once: BTreeSet<String> = sent.iter().cloned().collect();
    assert_eq!(once, due, "{name}");
    assert_eq!(sent.len(), once.len(), "{name}: {sent:?}");
    sent.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "libtest shows a test's standard output")]
async fn a_085_a_power_cut_at_any_step_loses_nothing_and_repeats_nothing_that_is_settled() {
    let (seed, begin) = (seed(), Instant::now());
    let sandbox = provider(SandboxLimits::default()).await;
    let mut recorded = need!(record(&sandbox).await);
    println!("recorded after {:.1?}", begin.elapsed());
    let letters = Arc::new(std::mem::take(&mut recorded.letters));
    let (starts, tasks) = (BTreeMap::new(), JoinSet::new());
    let mut replay = Replay {
        dice: Dice::new(seed),
        choice: Dice::new(!seed),
        letters: letters.clone(),
        cuts: Vec::new(),
        starts,
        images: 0,
        tasks,
    };
    replay.run(&recorded).await;
    what_is_settled_stays_settled(&replay.cuts, &letters);
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    replay.cuts.iter().for_each(|cut| *kinds.entry(cut.kind).or_default() += 1);
    println!("{} cuts, {} images after {:.1?}: {kinds:?}", replay.cuts.len(), replay.images, begin.elapsed());
    assert!(replay.cuts.len() >= CUTS, "{} cuts", replay.cuts.len());
    let missing: Vec<_> = Kind::ALL.iter().filter(|kind| !kinds.contains_key(kind)).collect();
    assert!(missing.is_empty(), "the recording has no {missing:?}");

    let (mut programs, mut starts, mut sent) = (JoinSet::new(), 0, 0);
    for one in replay.starts.into_values().flatten() {
        starts += 1;
        if programs.len() >= SIDE_BY_SIDE {
            sent += programs.join_next().await.expect("one is under way").expect("no letter is lost or sent again");
        }
        programs.spawn(start(one));
    }
    sent += programs.join_all().await.iter().sum::<usize>();
    println!("{starts} relays started and sent {sent} letters after {:.1?}", begin.elapsed());
    assert!(sent > 0, "no relay had anything to send");
}
