//! Attacks on the protocol, row by row: framing, TLS, and injection into commands, headers, logs and files.
//!
//! Each row that has a test here ends with the three checks of [`Scene::holds`]: the relay lives and answers, the provider
//! has exactly the messages it should have, with legal octets, and nothing else is left in the data folder.
//!
//! | row | what | where |
//! | --- | --- | --- |
//! | A-001, A-012c | a real end | `framing::a_001_*`, `a_012c_*` |
//! | A-002 to A-014 | what resembles an end, one row each | `framing::a_002_*` to `a_014_*` |
//! | A-015 | the same cut at every octet | `smuggling::a_015_*` (the machine); `framing`: octet by octet over TCP |
//! | A-016 | a session in LF alone | `framing::a_016_*`; `smuggling::a_016_*` cut at every octet |
//! | A-017 | DATA that was refused, and the message all the same | `framing::a_017_*`; transcripts 20 to 23 |
//! | A-018 | data before 354 | `framing::a_018_*` |
//! | A-019 to A-021 | LF, CR and NUL in commands | `framing::a_019_*` to `a_021_*` |
//! | A-022, A-023 | BDAT | `framing::a_022_*`, `a_023_*` |
//! | A-024 | what goes out | `framing::a_024_*`; `smuggling::a_024_*` cut at every octet |
//! | A-025 | dots at the begin of lines | `framing::a_025_*`; `smuggling::a_025_*` |
//! | A-026 | plaintext behind STARTTLS | `listener::tls::a_026_*`; transcript 43 |
//! | A-027 | what STARTTLS forgets | `listener::tls::a_027_*`; transcript 42 |
//! | A-028 | plaintext behind the provider's 220 | `tls::a_028_*`; transcript 87 |
//! | A-029 | the provider has no STARTTLS | `tls::a_029_*`; `attacks::upstream::u_10_*`; transcripts 88, 89 |
//! | A-030 | bad certificates | `tls::a_030_*`; `foreign::sink::a_030_*` |
//! | A-031 | half a verdict | `tls::a_031_*`; transcript 80 |
//! | A-032 | handshakes that are none | `handshakes::a_032_*`; `listener::tls::a_032_*` |
//! | A-033 | STARTTLS where it may not stand | `handshakes::a_033_*` |
//! | A-034, A-035, A-037, A-038 | addresses | `injection::a_034_*` to `a_038_*` |
//! | A-036 | rows that somebody edited | `queue::damage::a_036_*`, `injection::a_036_*` |
//! | A-039 to A-041 | header fields | `injection::a_039_*` to `a_041_*`; golden mails 22, 30, 70 to 74 |
//! | A-042 | HELO | `terminal::a_042_*`; `commands::cli::a_042_*`; `telemetry::log`, `message::received` |
//! | A-043 | user names in AUTH | `terminal::a_043_*`; `telemetry::log` |
//! | A-044 | secrets | `secrets::a_044_*`; `smtp::server::tests::a_044_*` |
//! | A-045 | AUTH= of MAIL | `injection::a_045_*` |
//! | A-046 | the provider's words | `terminal::a_046_*`; `commands::cli::a_042_a_046_*` |
//! | A-047 | addresses for a shell | `injection::a_047_*` |
//! | A-048 | odd ids, links in the data folder | `commands::cli::a_048_*`; `queue::damage::a_048_*`; `local::planted::a_048_*` |
//! | A-049 | commands that would change who speaks | `injection::a_049_*`, `listener::networks::a_049_*` |

mod framing;
mod handshakes;
mod injection;
mod terminal;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::support::conventions::{answers, legal, only_ours, watch_for_panics};
use crate::support::entrance::Line;
use crate::support::office::{Office, endpoint};
use yizhan::clock::Clock;
use yizhan::config::Settings;
use yizhan::intake::ListenerSettings;
use yizhan::provider::Tls;
use yizhan::queue::MessageState;
use yizhan::sandbox::{Received, SandboxLimits};
use yizhan::smtp::server::Profile;

/// A relay with a listener for each profile, and the provider it sends to.
pub(crate) struct Scene {
    pub(crate) office: Office,
}

impl Scene {
    pub(crate) async fn open(name: &str) -> Scene {
        Scene::with(name, |_| {}).await
    }

    pub(crate) async fn with(name: &str, change: impl FnOnce(&mut Settings)) -> Scene {
        Scene::at(Clock::system(), name, change).await
    }

    pub(crate) async fn at(clock: Clock, name: &str, change: impl FnOnce(&mut Settings)) -> Scene {
        watch_for_panics();
        let office = Office::at(clock, name, SandboxLimits::default(), |settings| {
            settings.limits.messages_per_client.count = 10_000_u32.try_into().unwrap();
            for (name, profile) in [("legacy", Profile::Legacy), ("strict", Profile::Strict)] {
                let listener = settings.listeners[0].clone();
                settings.listeners.push(ListenerSettings { name: name.to_owned(), profile, ..listener });
            }
            change(settings);
        })
        .await;
        Scene { office }
    }

    /// Its account goes to this place: see [`towards`].
    pub(crate) async fn towards(name: &str, host: &str, addr: SocketAddr, tls: Tls, ca: &Path) -> Scene {
        Scene::with(name, towards(host, addr, tls, ca)).await
    }

    pub(crate) fn door(&self, profile: Profile) -> SocketAddr {
        let place = [Profile::Tolerant, Profile::Legacy, Profile::Strict].iter().position(|one| *one == profile);
        self.office.relay.addresses()[place.expect("every profile has a listener")].1
    }

    /// Says all of it in writes of `piece` octets, whatever is answered, and gives the replies until the relay hangs up.
    pub(crate) async fn say(&self, profile: Profile, octets: &[u8], piece: usize) -> Vec<String> {
        let mut line = Line::dial(self.door(profile)).await;
        let mut said = Vec::new();
        if profile == Profile::Strict {
            // Whoever speaks before the greeting is not heard at all.
            said.push(line.expect("220").await);
        }
        for octets in octets.chunks(piece) {
            line.write(octets).await;
        }
        said.extend(rest(&mut line).await);
        said
    }

    /// The end of every row: the relay lives, the provider has a message to each of these, and no other, and nothing else
    /// is left. `to`: the recipients of each message, joined by blanks, in any order.
    pub(crate) async fn holds(&self, to: &[&str]) -> Vec<Received> {
        self.holds_and_keeps(to, 0).await
    }

    /// The same, with so many short messages that are still in the queue.
    pub(crate) async fn holds_and_keeps(&self, to: &[&str], kept: usize) -> Vec<Received> {
        answers(self.door(Profile::Tolerant)).await;
        let received = self.office.received(to.len()).await;
        if kept == 0 {
            self.office.wait_empty().await;
        }
        let mut got: Vec<String> = received.iter().map(|one| one.to.join(" ")).collect();
        let mut wanted = to.to_vec();
        got.sort();
        wanted.sort();
        assert_eq!(got, wanted);
        for one in &received {
            legal(&one.data);
        }
        assert_eq!(self.office.sandbox.received().len(), to.len(), "nothing came later");
        assert_eq!(self.office.list(&MessageState::ALL).await.len(), to.len() + kept, "what is in the queue");
        only_ours(&self.office.settings.queue.data_dir);
        received
    }
}

/// The account goes to this place, which shows a certificate of `ca`; what fails there waits for an hour.
pub(crate) fn towards(host: &str, addr: SocketAddr, tls: Tls, ca: &Path) -> impl FnOnce(&mut Settings) {
    move |settings| {
        let mut place = endpoint(addr, tls);
        host.clone_into(&mut place.host);
        settings.accounts[0].endpoints = vec![place];
        settings.accounts[0].ca = Some(ca.to_owned());
        settings.queue.schedule.retry = vec![Duration::from_secs(3600)];
    }
}

/// Every reply until the other side hangs up.
pub(crate) async fn rest(line: &mut Line) -> Vec<String> {
    let mut replies = Vec::new();
    while let Some(reply) = line.reply().await {
        replies.push(reply);
    }
    replies
}

/// The codes alone.
pub(crate) fn codes(replies: &[String]) -> Vec<&str> {
    replies.iter().map(|reply| &reply[..3]).collect()
}
