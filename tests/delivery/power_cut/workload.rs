//! The work that is recorded: three runs of the relay on one data folder, with a provider that takes its time.
//!
//! Small and large letters arrive over several connections, some are delivered while others wait, the files of delivered ones
//! are removed, and SQLite copies its log back: while the relay idles, and at its stop. The first run ends in a stop with
//! messages that wait, the second in a kill, the third recovers and ends with nothing left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::task::JoinSet;

use yizhan::sandbox::{Fault, Sandbox, Stage, What};

use super::judge::Letters;
use super::recording::{OPTIONS, RESERVE, Recording};
use crate::crash::settings;
use crate::support::harm::{start_under_strace, trace, traced};
use crate::support::load::{Courier, token};
use crate::support::office::until;
use crate::support::program::{Program, Site, files};
use crate::support::skip::Missing;

/// The files of a folder, with their octets.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The runs that were recorded.
pub(super) struct Recorded {
    pub(super) recording: Recording,
    pub(super) letters: Letters,
    /// How many moments had been recorded at the end of each run, and what the folder held then.
    pub(super) ends: Vec<(usize, Files)>,
    pub(super) site: Site,
}

/// Records the three runs, unless this machine does not let us trace.
pub(super) async fn record(sandbox: &Sandbox) -> Result<Recorded, Missing> {
    let site = Site::new("cut", sandbox, &settings());
    let (recording, letters) = (Recording::of(&site.data), Letters::default());
    let mut recorded = Recorded { recording, letters, ends: Vec::new(), site };
    let slow = || sandbox.fault(Fault::forever(Stage::FinalDot, What::Delay(Duration::from_millis(30))));
    let busy = || What::Reply(b"450 4.2.1 Mailbox busy, try again later\r\n".to_vec());

    let relay = recorded.start().await?;
    slow();
    let lists: [&[usize]; 5] = [&[400, 150_000], &[2500, 90_000], &[140_000, 700], &[300, 135_000], &[5000, 1200]];
    recorded.send(&relay, &lists).await;
    recorded.site.drained(sandbox).await;
    checkpoint(&recorded.site.data).await;
    recorded.send(&relay, &[&[600, 180_000], &[3000, 800], &[133_000, 500]]).await;
    recorded.site.drained(sandbox).await;
    sandbox.clear_faults();
    sandbox.fault(Fault::forever(Stage::Rcpt(None), busy()));
    recorded.send(&relay, &[&[900, 145_000], &[2000]]).await;
    recorded.stop(relay).await;

    sandbox.clear_faults();
    slow();
    let relay = recorded.start().await?;
    recorded.send(&relay, &[&[350, 160_000], &[1500, 450]]).await;
    recorded.site.drained(sandbox).await;
    recorded.send(&relay, &[&[250, 138_000, 800], &[4000]]).await;
    recorded.kill(relay).await;

    let relay = recorded.start().await?;
    recorded.site.drained(sandbox).await;
    recorded.stop(relay).await;
    for one in sandbox.received() {
        let token = token(&one.data).unwrap_or_else(|trouble| panic!("{trouble}"));
        recorded.letters.accepted.entry(token).or_insert(one.at.millis());
    }
    assert_eq!(recorded.letters.accepted.len(), recorded.letters.sent.len(), "each letter arrives");
    Ok(recorded)
}

impl Recorded {
    async fn start(&self) -> Result<Program, Missing> {
        start_under_strace(&self.site, &OPTIONS).await
    }

    /// Sends letters with bodies of these sizes, each list over a connection of its own. All must be acknowledged.
    async fn send(&mut self, relay: &Program, lists: &[&[usize]]) {
        let mut clients = JoinSet::new();
        for list in lists {
            let letters: Vec<_> = list.iter().map(|size| self.letters.write(*size)).collect();
            let door = relay.door();
            clients.spawn(async move {
                let mut courier = Courier::connect(door).await.expect("the relay listens");
                let mut replies = Vec::new();
                for (token, data) in letters {
                    replies.push((token, courier.send(&data).await.expect("the relay does not hang up")));
                }
                replies
            });
        }
        for (token, reply) in clients.join_all().await.into_iter().flatten() {
            let id = reply.strip_prefix("250 2.0.0 queued as ").unwrap_or_else(|| panic!("{reply}"));
            self.letters.ids.insert(id.to_owned(), token);
        }
    }

    /// Stops the relay, and takes its run in.
    async fn stop(&mut self, relay: Program) {
        kill_process(traced(&self.site), Signal::TERM).expect("it lives");
        let (status, lines) = relay.end().await;
        assert_eq!(status.code(), Some(0), "{lines:?}");
        self.take_in();
    }

    /// Kills the relay, and takes its run in. It stands still first, so that no system call is half done.
    async fn kill(&mut self, relay: Program) {
        let pid = traced(&self.site);
        kill_process(pid, Signal::STOP).expect("it lives");
        let stands = |status: PathBuf| {
            let text = fs::read_to_string(status).unwrap_or_default();
            text.contains("State:\tT") || text.contains("State:\tt")
        };
        until("each thread to stand still", async || {
            let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).ok()?.flatten();
            threads.map(|thread| thread.path().join("status")).all(stands).then_some(())
        })
        .await;
        kill_process(pid, Signal::KILL).expect("it lives");
        let _ = relay.end().await;
        self.take_in();
    }

    fn take_in(&mut self) {
        self.recording.add(&trace(&self.site));
        let top = self.site.data.parent().expect("it lies in the folder of the site");
        let read = |path: PathBuf| {
            let octets = fs::read(&path).ok().filter(|_| !path.ends_with(RESERVE))?;
            Some((path.strip_prefix(top).ok()?.to_owned(), octets))
        };
        self.ends.push((self.recording.moments.len(), files(&self.site.data).into_iter().filter_map(read).collect()));
    }
}

/// Waits until SQLite has copied its log back, which the relay asks for after it was idle for two seconds.
async fn checkpoint(data: &Path) {
    let written = || fs::metadata(data.join("queue.db")).and_then(|file| file.modified()).expect("it is there");
    let before = written();
    until("the log to be copied back", async || (written() != before).then_some(())).await;
}
