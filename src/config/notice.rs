//! Who hears of what: notices of failure, and the webhook that alarms of accounts are posted to.
//!
//! Not here: writing or posting anything. Invariant: a webhook that comes out is, as far as it can be read now, a URL
//! that carries its token over TLS or within a network one owns.

use super::check::{Check, get};
use super::environment::variable;
use super::secret_place;
use super::settings::{Notice, NoticeTo, WebhookFormat};
use super::value::{Carriage, Meaning, webhook_url};
use crate::language::Language;
use crate::regular_file;
use crate::secret::{Secret, SecretSource};

/// Puts the section together; `None` after a problem was noted.
pub(super) fn notice(check: &mut Check<'_>) -> Option<Notice> {
    let webhook = webhook(check);
    let ca = secret_place::authority(check, "notice.ca");
    let format = match get!(check, "notice.format", Word)? {
        "json" => WebhookFormat::Json,
        "wecom" => WebhookFormat::Wecom,
        "dingtalk" => WebhookFormat::Dingtalk,
        "feishu" => WebhookFormat::Feishu,
        "slack" => WebhookFormat::Slack,
        _ => return None,
    };
    let language = match get!(check, "notice.language", Word)? {
        "en" => Language::En,
        "zh" => Language::Zh,
        "both" => Language::Both,
        _ => return None,
    };
    let to = get!(check, "notice.to", Notice)?;
    if to == NoticeTo::Sender {
        look_for_senders(check);
    }
    Some(Notice { to, webhook: webhook?, format, ca: ca?, language })
}

/// Any client may write any sender into the envelope; only those that are written down here are told.
fn look_for_senders(check: &mut Check<'_>) {
    let is_list = |key: &String| key.ends_with(".sender") && (key.starts_with("client.") || key.starts_with("user."));
    if !check.shown.keys().any(is_list) {
        let origin = check.origins.get("notice.to").cloned().unwrap_or_default();
        check.warnings.push(format!(
            "notice.to = \"sender\" ({origin}): no client or user has a list of senders, so nobody knows which senders are \
             real; failures are told to the account's own mailbox"
        ));
    }
}

/// `None` after a mistake, `Some(None)` when there is none.
fn webhook(check: &mut Check<'_>) -> Option<Option<SecretSource>> {
    const PATH: &str = "notice.webhook";
    if !check.shown.contains_key(PATH) {
        return Some(None);
    }
    let Some(source) = get!(check, PATH, Webhook)? else {
        // An empty text is no secret.
        check.shown.insert(PATH.to_owned(), "\"\"".to_owned());
        return Some(None);
    };
    secret_place::look(check, PATH, &source)?;
    // What is in a file or a variable is looked at as well: at the first alarm it would be too late.
    let url = match &source {
        SecretSource::Plain(url) => Some(url.clone()),
        SecretSource::Env(name) => variable(&check.sources.env, name).map(Secret::new),
        SecretSource::File(file) => regular_file::read_text(file).ok().map(|text| Secret::new(&text)),
    };
    match url.map(|url| webhook_url(url.expose())) {
        Some(Err(fault)) => {
            check.misfit(PATH, &fault.reason, &fault.remedy);
            return None;
        }
        Some(Ok(Carriage::Clear)) => {
            let origin = check.origins.get(PATH).cloned().unwrap_or_default();
            check
                .warnings
                .push(format!("{PATH} ({origin}): http:// carries the token in the clear, within your network"));
        }
        Some(Ok(Carriage::Encrypted)) | None => {}
    }
    Some(Some(source))
}
