//! `yizhan run`: the relay, until a signal says stop.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::app::{Relay, StartError};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::secret::SecretSource;
use crate::telemetry::{log, panic};

use super::sandbox::Provider;
use super::screen::{self, Lang};
use super::serve::{Signals, serve};
use super::{BAD_SETTINGS, prompt};

/// What `run` takes.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Add a pretended QQ Mail in this process, over real TLS; needs no account, and keeps its queue apart
    #[arg(long)]
    sandbox: bool,
}

/// Settings on the command line. A secret is never one of them: `ps` would show it.
#[derive(Args, Default)]
pub(super) struct SettingsArguments {
    /// The settings file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Preset of the account `main`, e.g. qq, exmail, 163, gmail
    #[arg(long, global = true, value_name = "NAME")]
    provider: Option<String>,
    /// Log-in name of the account `main`, e.g. 10000@qq.com
    #[arg(long, global = true, value_name = "ADDRESS")]
    user: Option<String>,
    /// Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)
    #[arg(long, global = true, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Client network that may send, e.g. 192.168.1.0/24 (may be repeated)
    #[arg(long, global = true, value_name = "NETWORK")]
    allow: Vec<String>,
    /// Where the queue is kept
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl SettingsArguments {
    /// Reads and checks all settings. Mistakes are printed, all of them; the exit code for that is the error.
    pub(super) fn load(self, can_ask: bool) -> Result<config::Loaded, ExitCode> {
        config::load(config::Sources::of_process(self.into_overrides(), can_ask)).map_err(|problems| {
            screen::complain(&problems.to_string());
            ExitCode::from(BAD_SETTINGS)
        })
    }

    pub(super) fn into_overrides(self) -> config::Overrides {
        config::Overrides {
            config: self.config,
            provider: self.provider,
            user: self.user,
            listen: self.listen,
            allow: self.allow,
            data_dir: self.data_dir,
        }
    }
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let loaded = match arguments.settings.load(prompt::can_ask()) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
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
    super::runtime()?.block_on(relay(settings, arguments.sandbox))
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
    let relay = match Relay::start(&settings, Clock::system()) {
        Ok(relay) => relay,
        Err(error) => return Ok(explain(&error)),
    };
    tracing::info!(event = "started", version = env!("CARGO_PKG_VERSION"), hostname = %settings.hostname,
        data_dir = %settings.queue.data_dir.display(), account = %settings.accounts[0].name);
    let code = serve(relay, signals).await;
    drop(provider);
    Ok(code)
}

/// Says why the relay did not start; the exit code tells settings from circumstances.
fn explain(error: &StartError) -> ExitCode {
    screen::complain(&format!("yizhan: {error}"));
    match error {
        StartError::NoAccount | StartError::Setting { .. } => ExitCode::from(BAD_SETTINGS),
        StartError::Bind { .. } | StartError::Queue(_) | StartError::Control { .. } => ExitCode::FAILURE,
    }
}

fn ask_for_secrets(settings: &mut Settings, lang: Lang) -> anyhow::Result<()> {
    for account in settings.accounts.iter_mut().filter(|account| account.secret.is_none()) {
        let question = match lang {
            Lang::En => format!("Authorization code or password of {}: ", account.user),
            Lang::Zh => format!("{} 的授权码或密码：", account.user),
        };
        account.secret = Some(SecretSource::Plain(prompt::secret(&question)?));
    }
    Ok(())
}
