//! What providers and the lines to them do wrong, row by row, through the whole relay.
//!
//! Time is moved by hand ([`Day`]), so each wait has its real length; sockets, TLS and the queue are real. Rows whose
//! fault `smtp-sink` has a flag for are in `foreign/sink.rs`, with the sink itself on the other side.
//!
//! | row | what | where |
//! | --- | --- | --- |
//! | A-094 | no connection, no word, a late word | `a_094_*`; the figures in `smtp::client::tests`, `upstream::DIAL_LIMIT` |
//! | A-095 | closes at each stage | `foreign::sink::a_095_*`; `delivery::relay::lines_lost_*` |
//! | A-096 | 421 at each stage, and between messages | `foreign::sink::a_096_*`; `a_096_*` |
//! | A-097 | 4yz at each stage, greylisting | `foreign::sink::a_097_*`; `a_097_*` |
//! | A-098 | 5yz at each stage | `a_098_*`; `foreign::sink::a_098_*`; account: `u_04_*` |
//! | A-099 | some recipients taken, some not | `a_099_*` |
//! | A-100 | nobody taken, DATA answered 354 | `a_100_*` |
//! | A-101 | refused in the middle of the message | `foreign::sink::a_101_*` (`-A 0`); `u_08_*` |
//! | A-102 | lost between dot and reply | `a_102_*`; `foreign::sink::a_102_*` |
//! | A-103 | rubbish, reset, silence after the verdict | `delivery::relay::a_103_*`; `u_06_*` |
//! | A-104 | replies that are none | `a_104_*` |
//! | A-105 | several codes in one reply | `a_105_*` |
//! | A-106 | a large EHLO, SIZE | `a_106_*` |
//! | A-107 | odd log-ins | `a_107_*` |
//! | A-108 | names that cannot be looked up | `a_108_*`, for a name that does not exist |
//! | A-109 | one address family is dead | `families::a_109_*`, in a network of its own |
//! | A-110 | a bad line | `a_110_*` |
//! | A-111 | a slow reader | `foreign::sink::a_111_*` |
//! | A-112 | no 8BITMIME | `foreign::sink::a_101_a_112_*` (`-8`); `delivery::relay::a_112_*` |
//! | A-113 | a frequency limit | `a_113_*`, `upstream::catalogue` for each wording |
//! | U-01, U-02, U-12 | whose mail it is | `u_01_*`, `u_02_*`, `u_12_*` |
//! | U-03, U-06, U-07 | after the verdict | `delivery::relay::a_103_u_03_*`, `u_06_*`, `u_07_*` |
//! | U-04, U-05 | 535, and 550 that passes | `u_04_*`, `u_05_*` |
//! | U-08, U-09 | hangs up in the message, at the dot | `u_08_*`, `a_102_*`, `foreign::sink::a_102_u_09_*` |
//! | U-10, U-11 | firewalls, and two lists of mechanisms | `u_10_*`, `u_11_*` |

mod dialogue;
mod families;
mod lines;
mod providers;

use std::time::Duration;

use crate::support::day::Day;
use crate::support::folder::Folder;
use crate::support::middle::{Manner, Middle};
use crate::support::office::{self, Office, endpoint};
use crate::support::scripted::Scripted;
use yizhan::app::Relay;
use yizhan::config::Settings;
use yizhan::mail::Id;
use yizhan::provider::Tls;
use yizhan::queue::{MessageState, QueueEntry};
use yizhan::sandbox::SandboxLimits;

pub(crate) const MAIL: &[u8] = b"From: Boss <boss@corp.lan>\r\nSubject: hello\r\n\r\nbody\r\n";
/// The waits that the manual promises, in minutes.
const RETRY: [u32; 6] = [1, 5, 15, 60, 120, 240];
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A relay with the documented schedule, and the day it lives in.
pub(crate) struct Scene {
    pub(crate) day: Day,
    pub(crate) office: Office,
}

impl Scene {
    pub(crate) async fn open(name: &str) -> Scene {
        Scene::with(name, SandboxLimits::default(), |_| {}).await
    }

    pub(crate) async fn with(name: &str, limits: SandboxLimits, change: impl FnOnce(&mut Settings)) -> Scene {
        let day = Day::new();
        let office = Office::at(day.clock(), name, limits, |settings| {
            settings.queue.schedule.retry = RETRY.map(|minutes| minutes * MINUTE).to_vec();
            change(settings);
        })
        .await;
        Scene { day, office }
    }

    /// The sandbox behind a line that is bad in this manner.
    pub(crate) async fn through(name: &str, manner: Manner) -> (Scene, Middle) {
        let (day, folder) = (Day::new(), Folder::new(name));
        let sandbox = office::provider_at(day.clock(), SandboxLimits::default()).await;
        let middle = Middle::to(sandbox.implicit_addr().expect("it is open"), manner).await;
        let mut settings = office::settings(&sandbox, &folder);
        settings.queue.schedule.retry = RETRY.map(|minutes| minutes * MINUTE).to_vec();
        settings.accounts[0].endpoints = vec![endpoint(middle.addr(), Tls::Implicit)];
        let relay = Relay::start(&settings, day.clock()).unwrap_or_else(|error| panic!("{error}"));
        (Scene { day, office: Office { sandbox, relay, settings, folder } }, middle)
    }

    /// The account goes to this server instead of the sandbox.
    pub(crate) async fn at(name: &str, server: &Scripted, tls: Tls) -> Scene {
        Scene::with(name, SandboxLimits::default(), |settings| {
            settings.accounts[0].endpoints = vec![endpoint(server.addr(), tls)];
            settings.accounts[0].ca = Some(server.ca().to_owned());
        })
        .await
    }

    /// Hands in a mail, and lets everything happen that happens without time passing.
    pub(crate) async fn send(&self, to: &[&str]) -> QueueEntry {
        let id = self.office.send(to, MAIL).await;
        self.day.rest().await;
        self.office.entry(id).await
    }

    /// How the message stands after this many more minutes.
    pub(crate) async fn after(&self, minutes: u64, id: Id) -> QueueEntry {
        self.day.run_until(self.day.now() + Duration::from_secs(minutes * 60)).await;
        self.office.entry(id).await
    }

    /// How many notices were written.
    pub(crate) async fn notices(&self) -> usize {
        self.office.list(&MessageState::ALL).await.iter().filter(|entry| entry.notice).count()
    }
}

/// Why the first recipient is where it is.
pub(crate) fn reason(entry: &QueueEntry) -> String {
    format!("{:?}", entry.recipients[0].outcome)
}
