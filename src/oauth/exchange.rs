//! One question to the token service: a form is posted, the answer is read. It goes through the account's proxy.
//!
//! Redirects are not followed, because the form holds secrets. Not here: what is asked (`request`) and what it means
//! (`answer`).

use std::time::Duration;

use tokio::time::timeout;

use super::answer::{self, DeviceCode, Refusal, Tokens};
use super::request::Form;
use super::settings::{OAuthSettings, ServiceUrl};
use crate::net::http::{self, HttpAnswer, HttpPost};
use crate::secret::redact::redact;

/// How long a connection to the service may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long all of it may take.
const ALL: Duration = Duration::from_secs(30);

/// Asks the token end point.
///
/// # Errors
/// [`Refusal`]; a service that cannot be reached is a [`Refusal::Passing`].
pub async fn tokens(settings: &OAuthSettings, form: &Form) -> Result<Tokens, Refusal> {
    let HttpAnswer { status, retry_after, body } = post(settings, &settings.token, form).await?;
    answer::tokens(status, retry_after, &body)
}

/// Asks the device end point.
///
/// # Errors
/// As [`tokens`].
pub async fn device_code(settings: &OAuthSettings, url: &ServiceUrl, form: &Form) -> Result<DeviceCode, Refusal> {
    let HttpAnswer { status, retry_after, body } = post(settings, url, form).await?;
    answer::device_code(status, retry_after, &body)
}

async fn post(settings: &OAuthSettings, url: &ServiceUrl, form: &Form) -> Result<HttpAnswer, Refusal> {
    let passing = |why: &str| {
        let text = format!("the token service {} cannot be reached: {}", url.authority(), redact(why));
        Refusal::Passing { text, retry_after: None }
    };
    let request = HttpPost {
        https: url.is_https(),
        host: url.host(),
        port: url.port(),
        authority: url.authority().to_owned(),
        path: url.path(),
        content_type: "application/x-www-form-urlencoded",
        body: form.expose().as_bytes().to_vec(),
        ca: settings.ca.clone(),
        connect_limit: CONNECT,
    };
    match timeout(ALL, http::exchange(request, settings.proxy.as_ref())).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(passing(&error.to_string())),
        Err(_) => Err(passing(&format!("no answer within {} s", ALL.as_secs()))),
    }
}
