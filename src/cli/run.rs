//! `yizhan run`: the relay, until a signal says stop.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::app::{Relay, StartError};
use crate::clock::Clock;
use crate::config::Settings;
use crate::telemetry::{log, panic};

use super::failure::CommandFailure;
use super::prompt;
use super::runtime;
use super::sandbox::Provider;
use super::screen::Lang;
use super::serve::{Signals, serve};
use super::settings_arguments::SettingsArguments;

/// What `run` takes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Add a pretended QQ Mail in this process, over real TLS; needs no account, and keeps its queue apart
    #[arg(long)]
    sandbox: bool,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let loaded = arguments.settings.load(prompt::can_ask())?;
    let mut settings = loaded.settings;
    log::start(settings.log).context("the log could not be started")?;
    panic::report();
    for warning in &loaded.warnings {
        tracing::warn!(event = "settings", "{warning}");
    }
    if arguments.sandbox {
        // Who tries it out should not need a privilege for it.
        if loaded.origins.get("listener.local.bind").is_some_and(|origin| origin == "default") {
            settings.listeners[0].bind = vec![([127, 0, 0, 1], 2525).into()];
        }
    } else {
        ask_for_secrets(&mut settings, lang)?;
    }
    runtime::start()?.block_on(relay(settings, arguments.sandbox))
}

async fn relay(mut settings: Settings, sandbox: bool) -> anyhow::Result<ExitCode> {
    let provider = match sandbox {
        true => {
            settings.queue.data_dir.push("sandbox");
            let provider =
                Provider::start(&settings.queue.data_dir).await.context("the sandbox could not be started")?;
            settings.accounts = vec![provider.account()?];
            Some(provider)
        }
        false => None,
    };
    let signals = Signals::listen()?;
    let relay = Relay::start(&settings, Clock::system()).map_err(|error| failure(&error))?;
    tracing::info!(event = "started", version = env!("CARGO_PKG_VERSION"), hostname = %settings.hostname,
        data_dir = %settings.queue.data_dir.display(), account = %settings.accounts[0].name);
    let code = serve(relay, signals).await;
    drop(provider);
    Ok(code)
}

/// Why the relay did not start; the exit code separates settings from circumstances.
fn failure(error: &StartError) -> CommandFailure {
    let text = format!("yizhan: {error}");
    match error {
        StartError::NoAccount | StartError::Setting { .. } => CommandFailure::bad_settings(text),
        StartError::Bind { .. } | StartError::Http { .. } | StartError::Queue(_) | StartError::Control { .. } => {
            CommandFailure::general(text)
        }
    }
}

fn ask_for_secrets(settings: &mut Settings, lang: Lang) -> anyhow::Result<()> {
    for account in settings.accounts.iter_mut().filter(|account| account.secret.is_none() && account.oauth.is_none()) {
        account.secret = Some(prompt::secret_of(&account.user, lang)?);
    }
    Ok(())
}
