//! How failures and alarms are reported: failure notices, and the webhook that alarms of accounts are posted to.
//!
//! Not here: writing or posting anything. Invariant: a webhook that comes out is, as far as it can be read now, a URL
//! that carries its token over TLS or within a network one owns.

use super::problem::{Checked, Findings};
use super::secret_place;
use super::settings::Notice;
use super::value::{Carriage, webhook_url};
use super::values::{Values, get};
use crate::language::Language;
use crate::regular_file;
use crate::report::NoticeTo;
use crate::report::relay_alarm::RelayAlarmSettings;
use crate::report::webhook::Format;
use crate::secret::{Secret, SecretSource};

/// Checks the section.
pub(super) fn notice(values: &Values<'_>) -> Checked<Notice> {
    Findings::of(|findings| {
        let webhook = findings.take(webhook(values));
        let ca = findings.take(secret_place::authority(values, "notice.ca"));
        let format = Format::parse(get!(values, "notice.format", Word)?)?;
        let language = Language::parse(get!(values, "notice.language", Word)?)?;
        let to = get!(values, "notice.to", Notice)?;
        if to == NoticeTo::Sender && !has_senders(values) {
            findings.warnings.push(format!(
                "notice.to = \"sender\" ({}): no client or user has a list of senders, so nobody knows which senders are \
                 real; failures are told to the account's own mailbox",
                values.origin("notice.to")
            ));
        }
        let sign = findings.take(sign(values, format));
        let relay = RelayAlarmSettings {
            oldest: get!(values, "notice.oldest", Time)?,
            failed: get!(values, "notice.failed", Whole).and_then(|n| u64::try_from(n).ok())?,
            disk_free: get!(values, "notice.disk_free", Size)?,
        };
        Some(Notice { to, webhook: webhook?, format, ca: ca?, language, sign: sign?, relay })
    })
}

/// Whether any list of senders was written. Any client may write any sender into the envelope; only those in a list get a
/// notice.
fn has_senders(values: &Values<'_>) -> bool {
    let is_list = |key: &String| key.ends_with(".sender") && (key.starts_with("client.") || key.starts_with("user."));
    values.shown.keys().any(is_list)
}

/// The secret of a signed robot; `Some(None)` when there is none.
fn sign(values: &Values<'_>, format: Format) -> Checked<Option<SecretSource>> {
    const KEY: &str = "notice.sign";
    Findings::of(|findings| {
        if !values.has(KEY) {
            return Some(None);
        }
        let source = get!(values, KEY, Secret)?;
        let source = findings.take(secret_place::look(values, KEY, source))?;
        if !format.is_signed() {
            let text =
                format!("it has no effect: notice.format is \"{}\", and only dingtalk and feishu sign", format.name());
            findings.warnings.push(values.warning(KEY, &text));
        } else if !values.has("notice.webhook") {
            findings.warnings.push(values.warning(KEY, "it has no effect: there is no notice.webhook"));
        }
        Some(Some(source))
    })
}

/// `Some(None)` when there is none.
fn webhook(values: &Values<'_>) -> Checked<Option<SecretSource>> {
    const KEY: &str = "notice.webhook";
    Findings::of(|findings| {
        if !values.has(KEY) {
            return Some(None);
        }
        let Some(source) = get!(values, KEY, Webhook)? else { return Some(None) };
        let source = findings.take(secret_place::look(values, KEY, source))?;
        // What is in a file or a variable is looked at as well: at the first alarm it would be too late.
        let url = match &source {
            SecretSource::Plain(url) => Some(url.clone()),
            SecretSource::Env(name) => values.variable(name).map(Secret::new),
            SecretSource::File(file) => regular_file::read_text(file).ok().map(|text| Secret::new(&text)),
        };
        match url.map(|url| webhook_url(url.expose())) {
            Some(Err(fault)) => {
                findings.problems.push(values.misfit(KEY, &fault.reason, &fault.remedy));
                return None;
            }
            Some(Ok(Carriage::Clear)) => {
                let text = "http:// carries the token in the clear, within your network";
                findings.warnings.push(values.warning(KEY, text));
            }
            Some(Ok(Carriage::Encrypted)) | None => {}
        }
        Some(Some(source))
    })
}
