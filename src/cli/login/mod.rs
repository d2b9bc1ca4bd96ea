//! `yizhan login` and `yizhan logout`: a person signs in for an account, the sign-in is stored and tried at once.
//!
//! ```text
//!  grant    device: a code for another device | browser: an address, and the way back | client, service-account: nothing
//!    |
//!  store    under the lock that the relay's refresh takes, with a new number: the relay resumes the account by itself
//!    |
//!  try      one log-in over SMTP, as `doctor` makes it: token, tenant and mailbox are told apart
//! ```
//!
//! Invariants: no code, token or secret is printed but the code that the person types; Ctrl-C stores nothing.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::config::{Account, Settings};
use crate::oauth::answer::{Refusal, Tokens};
use crate::oauth::fault::{self, TokenError};
use crate::oauth::request::Client;
use crate::oauth::store::{SignIn, Store, new_id};
use crate::oauth::{Grant, OAuthSettings};
use crate::provider::{Catalogue, TokenService};
use crate::secret::{Secret, SecretSource, redact};

use super::doctor::{self, Output};
use super::failure::CommandFailure;
use super::finding::{Finding, words};
use super::runtime;
use super::screen::{self, Lang};
use super::settings_arguments::SettingsArguments;
use super::token_finding;

mod browser;
mod device;

/// How long a relay may take to end its refresh.
const OTHERS: Duration = Duration::from_secs(60);

/// What `login` and `logout` take.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// The NAME of [account.NAME]
    account: String,
    /// Print JSON, at the end
    #[arg(long)]
    json: bool,
}

/// Why a sign-in has come to nothing.
pub(super) enum Stopped {
    /// The service refused, or cannot be reached.
    Token(TokenError),
    /// The person gave up, or time ran out.
    Person(Finding),
}

impl From<TokenError> for Stopped {
    fn from(error: TokenError) -> Stopped {
        Stopped::Token(error)
    }
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Stopped {
        Stopped::Token(match refusal {
            Refusal::Passing { text, .. } => TokenError::Unreachable(text),
            Refusal::Error { status, error, description } => {
                let (verdict, said) = fault::of_answer(&Catalogue::built_in(), status, &error, &description);
                let verdict = fault::confirmed(verdict);
                TokenError::Refused { verdict, text: format!("the token service refused: {said}") }
            }
        })
    }
}

/// What the parts of a sign-in share.
pub(super) struct Scene<'a> {
    pub(super) oauth: &'a OAuthSettings,
    pub(super) client: Client,
    pub(super) lang: Lang,
    pub(super) json: bool,
}

impl Scene<'_> {
    /// Shows a line to the person; beside JSON it goes to standard error.
    pub(super) fn tell(&self, en: &str, zh: &str) {
        let line = self.lang.pick(en, zh);
        if self.json { screen::complain(line) } else { screen::say(line) }
    }
}

/// Returns when the person presses Ctrl-C.
pub(super) async fn interrupted() -> Stopped {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without the signal the process ends by itself.
        std::future::pending::<()>().await;
    }
    Stopped::Person(Finding::fail(
        "token",
        words("the sign-in was given up", "登录已取消"),
        words(
            "Ctrl-C was pressed; nothing was stored, and an earlier sign-in is as it was",
            "按了 Ctrl-C；没有保存任何内容，原有登录不变",
        ),
        words("run the command again when you are ready", "准备好后重新运行该命令"),
    ))
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let Arguments { settings, account, json } = arguments;
    let settings = settings.load(true)?.settings;
    let account = account_of(&settings, &account, lang)?;
    runtime::start()?.block_on(async {
        let mut output = Output::new(json, lang);
        match sign_in(&account, lang, json).await {
            Ok(signed_in) => {
                signed_in.into_iter().for_each(|finding| output.show(finding.about(&account.name)));
                doctor::try_account(account, &settings, &mut output).await;
            }
            Err(Stopped::Token(error)) => {
                output.show(token_finding::absent(&error, &account.name).about(&account.name))
            }
            Err(Stopped::Person(finding)) => output.show(finding.about(&account.name)),
        }
        output.end_trial()
    })
}

pub(super) fn forget(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let Arguments { settings, account, json } = arguments;
    let settings = settings.load(true)?.settings;
    let account = account_of(&settings, &account, lang)?;
    let mut output = Output::new(json, lang);
    let place = match account.preset.oauth {
        Some(TokenService::Microsoft) => "https://myapps.microsoft.com, https://account.live.com/consent/Manage",
        Some(TokenService::Google) => "https://myaccount.google.com/permissions",
        None => "-",
    };
    let removed = account.oauth.as_ref().map(|oauth| Store::of(oauth).remove()).transpose();
    output.show(match removed {
        Ok(removed) => {
            let (en, zh) = match removed {
                Some(true) => ("the sign-in was deleted here", "已在本机删除登录"),
                Some(false) | None => ("there was no sign-in", "本机没有保存的登录"),
            };
            let more_en = format!("{en}; the provider still knows it: withdraw it there ({place})");
            let more_zh = format!("{zh}；服务商那里仍然有效，请到 {place} 撤销授权");
            Finding::ok("token", words(more_en, more_zh))
        }
        Err(error) => Finding::fail(
            "token",
            words("the sign-in cannot be deleted", "无法删除登录"),
            words(error.to_string(), error.to_string()),
            words("run the command as the user of the relay, or root", "请以中继的用户或 root 运行该命令"),
        ),
    });
    output.end_trial()
}

fn account_of(settings: &Settings, name: &str, lang: Lang) -> Result<Account, CommandFailure> {
    let found = settings.accounts.iter().find(|account| account.name == name);
    let Some(account) = found else {
        let names = settings.accounts.iter().map(|account| account.name.as_str());
        let error = crate::admin::error::no_such_account(name, names);
        return Err(CommandFailure::general(error.sentence().pick(lang)));
    };
    if account.oauth.is_none() {
        let text = format!(
            "account.{name} has no table [account.{name}.oauth], so it logs in with its secret and needs no sign-in; \
             docs/oauth.md shows what the table needs\n账号 {name} 没有 [account.{name}.oauth] 配置，用 secret 登录，无需 login；见 docs/zh/oauth.md"
        );
        return Err(CommandFailure::bad_settings(text));
    }
    Ok(account.clone())
}

/// Signs in, and stores what came of it. Returns what a person should know.
async fn sign_in(account: &Account, lang: Lang, json: bool) -> Result<Vec<Finding>, Stopped> {
    let Some(oauth) = &account.oauth else { return Ok(Vec::new()) };
    let secret = read(oauth.client_secret.as_ref()).await?;
    let client = Client { id: oauth.client_id.clone(), secret };
    let scene = Scene { oauth, client, lang, json };
    let tokens = match oauth.grant {
        Grant::Device => device::sign_in(&scene).await?,
        Grant::Browser => browser::sign_in(&scene).await?,
        // The program signs in by itself: the trial asks for its token.
        Grant::Client | Grant::ServiceAccount => return Ok(Vec::new()),
    };
    if tokens.refresh.is_none() {
        let text = "the answer of the token service has no refresh token".to_owned();
        return Err(TokenError::Refused { verdict: fault::NO_REFRESH_TOKEN, text }.into());
    }
    let signed_in = tokens.account.clone().unwrap_or_default();
    store(oauth, tokens).await?;
    scene.tell(
        "\nSigned in. The sign-in is stored; one log-in is tried with it.\n",
        "\n登录成功并已保存，现在试登录一次。\n",
    );
    let other = !signed_in.is_empty() && !signed_in.eq_ignore_ascii_case(&oauth.user);
    Ok(other.then(|| token_finding::other_account(&oauth.user, &signed_in)).into_iter().collect())
}

async fn read(source: Option<&SecretSource>) -> Result<Option<Secret>, Stopped> {
    let Some(source) = source else { return Ok(None) };
    let read = source.read_apart().await;
    let unusable = |text| TokenError::Refused { verdict: fault::CLIENT_SECRET, text };
    read.map(Some).map_err(|error| unusable(error.to_string()).into())
}

/// Writes the sign-in, when no relay is in the middle of a refresh.
async fn store(oauth: &OAuthSettings, tokens: Tokens) -> Result<(), Stopped> {
    let failed = |text: String| Stopped::from(TokenError::Refused { verdict: fault::TOKEN_FILE, text });
    let (place, end, now) = (Store::of(oauth), Instant::now() + OTHERS, Clock::system().now());
    for secret in [Some(&tokens.access), tokens.refresh.as_ref()].into_iter().flatten() {
        redact::protect(secret);
    }
    let sign_in = SignIn {
        id: new_id().map_err(|error| failed(error.to_string()))?,
        refresh: tokens.refresh,
        access: Some(tokens.access),
        obtained: now,
        expires: now + tokens.lives,
        scope: tokens.scope.unwrap_or_default(),
        account: tokens.account.unwrap_or_default(),
    };
    loop {
        let (place, sign_in) = (place.clone(), sign_in.clone());
        let written = tokio::task::spawn_blocking(move || match place.try_lock()? {
            Some(_lock) => place.write(&sign_in).map(|()| true),
            None => Ok(false),
        });
        match written.await {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) if Instant::now() < end => sleep(Duration::from_millis(100)).await,
            Ok(Ok(false)) => return Err(failed("another process has been asking for a token for a minute".to_owned())),
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}
