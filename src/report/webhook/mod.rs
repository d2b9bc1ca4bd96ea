//! An alarm over HTTP: one POST to a chat room or a program, because the account it is about cannot carry it.
//!
//! ```text
//!  target    the URL, taken apart; plain http only inside the own network
//!  form      the alarm as JSON, WeCom, DingTalk, Feishu or Slack want it
//!  answer    status and body -> accepted, or why not; the vendors answer 200 and put the error into the body
//!  sign      the signatures that DingTalk and Feishu may ask for
//!  retry     when to try again, if at all
//!  remedy    what the operator should do about an error
//! ```
//!
//! Not here: when an alarm is raised and sent (`account::alarm`). Redirects are not followed and no proxy is used: the
//! alarm goes to the host in the settings or nowhere.
//!
//! Invariant: path and query of the URL are a secret (they carry the room's token). No error, no `Debug` and no log line
//! has them, not even when the other side sends them back; only scheme, host and port are shown.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::language::Language;
use crate::message::notice::alarm::{Alarm, Remedy};
use crate::net::http::{self, HttpError, HttpPost};
use crate::net::tls::{self, TlsError};
use crate::secret::Secret;
use crate::secret::redact;

pub mod answer;
pub mod form;
mod remedy;
pub mod retry;
mod sign;
pub mod target;

pub use form::Format;
pub use retry::Fault;
pub use target::{Target, UrlError};

/// How long to wait for name, connection and TLS together.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long the whole exchange may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Where alarms go, and how.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The URL, token and all.
    pub url: Secret,
    /// What the other side understands.
    pub format: Format,
    /// Certificates to trust beside the machine's.
    pub ca: Option<PathBuf>,
    /// What the text is written in.
    pub language: Language,
    /// The secret of a DingTalk or Feishu robot that asks for a signature; the other formats do not sign.
    pub sign: Option<Secret>,
    /// How long to wait for name, connection and TLS together: [`CONNECT_LIMIT`].
    pub connect_limit: Duration,
    /// How long the whole exchange may take: [`LIMIT`].
    pub limit: Duration,
}

/// Why an alarm was not sent. Shows scheme, host and port at most.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// No TLS: the certificate does not fit this host, or the `ca` file cannot be used.
    #[error("webhook: {0}")]
    Tls(#[from] TlsError),
    /// The name has no address, or nothing listens there.
    #[error("no connection to the webhook {target}: {source}")]
    Dial {
        /// Scheme, host and port.
        target: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// Plain http, and the name means a host outside the own network.
    #[error("the webhook {target} is plain http and not inside the own network; nothing was sent")]
    NotPrivate {
        /// Scheme, host and port.
        target: String,
    },
    /// Nothing, or not enough, came in time.
    #[error("the webhook {target} did not answer in time")]
    Silent {
        /// Scheme, host and port.
        target: String,
    },
    /// The line broke, or what came was not HTTP.
    #[error("the line to the webhook {target} failed: {reason}")]
    Line {
        /// Scheme, host and port.
        target: String,
        /// What went wrong.
        reason: String,
    },
    /// It answered, and did not take the alarm.
    #[error("the webhook {target} did not take the alarm: {refusal}")]
    Refused {
        /// Scheme, host and port.
        target: String,
        /// Its answer.
        refusal: answer::Refusal,
    },
}

impl WebhookError {
    /// Whether trying again later may help.
    pub fn fault(&self) -> Fault {
        match self {
            WebhookError::Url(_) | WebhookError::NotPrivate { .. } => Fault::Lasting,
            WebhookError::Tls(TlsError::Ca { .. } | TlsError::Name { .. } | TlsError::Setup(_)) => Fault::Lasting,
            // A wrong certificate may be that of a guest network's log-in page, or be renewed tomorrow.
            WebhookError::Tls(TlsError::Handshake { .. } | TlsError::Roots(_)) => Fault::Passing,
            WebhookError::Dial { .. } | WebhookError::Silent { .. } | WebhookError::Line { .. } => Fault::Passing,
            WebhookError::Refused { refusal, .. } => refusal.fault(),
        }
    }
}

/// One place that alarms go to.
#[derive(Clone, Debug)]
pub struct Webhook {
    settings: WebhookSettings,
    target: Target,
}

impl Webhook {
    /// Checks URL and `ca` file; makes no connection.
    ///
    /// # Errors
    /// [`WebhookError::Url`] and [`WebhookError::Tls`], which no waiting will mend.
    pub fn new(settings: WebhookSettings) -> Result<Webhook, WebhookError> {
        let target = Target::parse(settings.url.expose())?;
        target.protect();
        if let Some(secret) = &settings.sign {
            redact::protect(secret);
        }
        // Made again for each alarm: alarms are rare, and the machine's roots are a megabyte.
        tls::connector(settings.ca.as_deref())?;
        Ok(Webhook { settings, target })
    }

    /// Where the alarms go: shows scheme, host and port only.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the operator should do about an error of [`Webhook::post`].
    pub fn remedy(&self, error: &WebhookError) -> Remedy {
        remedy::of(error, self.settings.format)
    }

    /// Sends the alarm, once. Within the limits of the settings it is accepted, or there is an error. `now` is the time of the
    /// signature.
    ///
    /// # Errors
    /// [`WebhookError`]; [`WebhookError::fault`] and [`retry::next`] return whether and when to try again.
    pub async fn post(&self, alarm: &Alarm, now: Timestamp) -> Result<(), WebhookError> {
        let reply = redact::redact(&alarm.reply).into_owned();
        let alarm = Alarm { reply, ..alarm.clone() };
        let (format, language) = (self.settings.format, self.settings.language);
        let mut target = self.target.clone();
        let mut signature = None;
        match (format, &self.settings.sign) {
            (Format::Dingtalk, Some(secret)) => target.add_query(&sign::dingtalk(secret, now)),
            (Format::Feishu, Some(secret)) => signature = Some(sign::feishu(secret, now)),
            (Format::Json | Format::Wecom | Format::Slack, Some(_)) | (_, None) => {}
        }
        let body = form::body(format, language, &alarm, signature);
        let silent = || WebhookError::Silent { target: self.target.to_string() };
        let exchange = http::post(HttpPost {
            https: self.target.is_https(),
            host: self.target.host(),
            port: self.target.port(),
            authority: self.target.authority(),
            path: target.path(),
            content_type: "application/json; charset=utf-8",
            body,
            ca: self.settings.ca.clone(),
            connect_limit: self.settings.connect_limit,
        });
        let answer = tokio::time::timeout(self.settings.limit, exchange).await.map_err(|_| silent())?;
        let (status, body) = answer.map_err(|error| failed(error, &target))?;
        answer::read(format, status, &body, &target)
            .map_err(|refusal| WebhookError::Refused { target: target.to_string(), refusal })
    }
}

/// The error without what the other side may have repeated of the URL.
fn failed(error: HttpError, to: &Target) -> WebhookError {
    let target = to.to_string();
    match error {
        HttpError::Tls(error) => WebhookError::Tls(error),
        HttpError::Dial(source) => WebhookError::Dial { target, source },
        HttpError::NotPrivate => WebhookError::NotPrivate { target },
        HttpError::Silent => WebhookError::Silent { target },
        HttpError::Line(reason) => WebhookError::Line { target, reason: to.redact(&reason) },
    }
}
