//! `yizhan demo`: the main job before your eyes. A relay and a pretended QQ Mail in one process, on free ports; a handful
//! of real-life broken mails is sent in over SMTP as the devices would, and each is shown as it came and as it left.
//!
//! Nothing is staged: the mails go over sockets, through the queue on disk, and over TLS with a log-in. The exit code is
//! 0 only when everything that should arrive has arrived, with its attachment octet for octet.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;

use crate::admin::AdminSettings;
use crate::app::{self, Relay};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::mail::Id;
use crate::message::Repair;
use crate::sandbox::Received;
use crate::telemetry::log;

use super::runtime;
use super::sandbox::Provider;
use super::screen::{self, Ink, Lang, Paint};

mod device;
mod mails;
mod show;

use mails::Mail;

/// How long the whole demonstration may wait for the mails to arrive.
const PATIENCE: Duration = Duration::from_secs(12);

/// What `demo` takes.
#[derive(Args)]
pub(super) struct Arguments {
    /// Leave the relay and the pretended provider running, to send mails of your own (stop with Ctrl-C)
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    log::start(log::LogSettings { format: log::LineFormat::Text, level: LevelFilter::OFF, subject: false })?;
    runtime::start()?.block_on(demonstrate(arguments.keep, lang))
}

async fn demonstrate(keep: bool, lang: Lang) -> anyhow::Result<ExitCode> {
    let (paint, clock) = (Paint::new(), Clock::system());
    let started = clock.now();
    let dir = Folder::make()?;
    let provider = Provider::start(&dir.0).await.context("the sandbox could not be started")?;
    let relay = Relay::start(&settings(&provider, &dir)?, clock.clone())?;
    let door = relay.addresses().first().context("the relay has no address")?.1;
    show::opening(paint, lang, door, &provider);
    let mut all_well = true;
    let mut expected = 0;
    for (number, mail) in mails::all().into_iter().enumerate() {
        let mut sent =
            device::send(door, &mail).await.with_context(|| format!("{} could not hand in its mail", mail.device))?;
        sent.repairs = repairs(&relay, &sent.id).await?;
        expected += mail.arrives;
        let received = timeout(PATIENCE, provider.sandbox.wait_for(expected))
            .await
            .unwrap_or_else(|_| provider.sandbox.received());
        let arrived: Vec<&Received> = received.iter().filter(|one| show::belongs(one, &sent)).collect();
        all_well &= show::mail(paint, lang, number + 1, &mail, &sent, &arrived);
    }
    all_well &= show::closing(paint, lang, &relay, &provider, clock.now().since(started));
    if keep {
        screen::say(&paint.ink(
            Ink::Title,
            lang.pick("\nStill running; send to it, and stop with Ctrl-C.", "\n仍在运行，可继续发信；按 Ctrl-C 停止。"),
        ));
        tokio::signal::ctrl_c().await?;
    }
    relay.stop(app::STOP_LIMIT).await;
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the relay has written down about a mail.
async fn repairs(relay: &Relay, id: &str) -> anyhow::Result<Vec<Repair>> {
    let id = Id::parse(id).context("the reply to the final dot names no id")?;
    let (entry, _, _) = relay.queue().show(id).await?;
    Ok(Repair::ALL.iter().copied().filter(|repair| entry.repairs.iter().any(|name| name == repair.name())).collect())
}

/// The settings of a small office, with the pretended provider in QQ's place.
fn settings(provider: &Provider, dir: &Folder) -> anyhow::Result<Settings> {
    let overrides = config::Overrides { data_dir: Some(dir.0.clone()), ..config::Overrides::default() };
    let sources = config::Sources {
        file: config::FileSource::Search(Vec::new()),
        env: Default::default(),
        overrides,
        machine: "relay.demo.lan".to_owned(),
        can_ask: false,
    };
    let mut settings = config::load(sources)?.settings;
    settings.accounts = vec![provider.account()?];
    settings.admin = AdminSettings::off();
    for listener in &mut settings.listeners {
        listener.bind = vec![([127, 0, 0, 1], 0).into()];
    }
    Ok(settings)
}

/// A folder of our own that is gone afterwards.
struct Folder(std::path::PathBuf);

impl Folder {
    /// Makes it with a name that nobody can guess, for us alone: a folder that is there already is somebody else's.
    fn make() -> anyhow::Result<Folder> {
        use std::hash::{BuildHasher as _, Hasher as _};
        use std::os::unix::fs::DirBuilderExt as _;
        let chance = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let path = std::env::temp_dir().join(format!("yizhan-demo-{chance:016x}"));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Mail {
    /// Whether an attachment is part of it, which must arrive octet for octet.
    fn attachment(&self) -> Option<&[u8]> {
        self.attachment.as_deref()
    }
}
