//! From the merged layers to [`Settings`]: every value read, every mistake collected, then the parts put together.
//!
//! Not here: what one value means (that is `value`) and what belongs to one section (that is `account` and the like). What
//! is checked here needs more than one section.
//!
//! Invariant: a part is left out only after its mistake was found, so settings without a problem are complete.

use std::sync::Arc;

use config::Value;

use super::account;
use super::admin;
use super::client;
use super::environment::{slips, variable};
use super::keys;
use super::layer::{self, Layer, Names};
use super::listener;
use super::loaded::Loaded;
use super::notice;
use super::own_listener;
use super::problem::{Checked, Findings, Problem, Problems};
use super::route;
use super::settings::{Account, QueueSettings, Settings};
use super::sources::Sources;
use super::user;
use super::value::read;
use super::values::{Values, get};
use crate::delivery::RetrySchedule;
use crate::intake::Client;
use crate::limits::LimitSettings;
use crate::queue::RetentionSettings;
use crate::telemetry::log;

/// How long records are kept.
const KEEP: &str = "history.keep";
/// The older name of it.
const OLDER_KEEP: &str = "queue.keep_delivered";

/// Reads and checks everything in `layers`, the lowest first; the defaults come below them. `problems` are those found so
/// far.
pub(super) fn check(
    sources: &Sources,
    layers: &[&Layer],
    names: &Names<'_>,
    problems: Vec<Problem>,
) -> Result<Loaded, Problems> {
    let mut bottom = layer::defaults(names);
    surroundings(sources, &mut bottom);
    let mut all = vec![&bottom];
    all.extend(layers);

    let mut findings = Findings { problems, warnings: slips(&sources.env), ..Findings::default() };
    let (mut values, misread) = Values::read(sources, layer::merge(&all));
    findings.add(misread);
    if values.has(OLDER_KEEP) {
        // What is in force is shown under the name that was written.
        values.forget_default(KEEP);
    }
    let settings = findings.take(settings(&values, names));
    for key in findings.hidden {
        values.hide(&key);
    }
    match settings {
        Some(settings) if findings.problems.is_empty() => Ok(Loaded {
            settings,
            warnings: findings.warnings,
            origins: values.origins,
            file: None,
            shown: values.shown,
        }),
        Some(_) | None => Err(Problems::sorted(findings.problems)),
    }
}

/// The defaults that depend on the machine.
fn surroundings(sources: &Sources, bottom: &mut Layer) {
    let mut set = |path: &str, text: String, origin: String| bottom.set(path, Value::new(Some(&origin), text));
    // A container may have a name that is none in the sense of RFC 5321 section 4.1.2.
    let machine = Value::from(sources.machine.as_str());
    let usable = keys::key("hostname").is_some_and(|key| read(key.kind, &machine).is_ok());
    let name = if usable { sources.machine.clone() } else { "localhost".to_owned() };
    set("hostname", name, "default (the machine's name)".to_owned());

    let state = variable(&sources.env, "STATE_DIRECTORY").and_then(|list| list.split(':').next());
    // The XDG specification: a relative path is to be ignored.
    let xdg = variable(&sources.env, "XDG_STATE_HOME").filter(|path| path.starts_with('/'));
    let home = variable(&sources.env, "HOME");
    let place = state
        .map(|path| (path.to_owned(), "$STATE_DIRECTORY"))
        .or_else(|| xdg.map(|path| (format!("{path}/yizhan"), "$XDG_STATE_HOME")))
        .or_else(|| home.map(|path| (format!("{path}/.local/state/yizhan"), "$HOME")));
    if let Some((path, name)) = place {
        set("data_dir", path, format!("default ({name})"));
    }

    // As POSIX orders them; what is not Chinese is answered in English.
    let locale =
        ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| Some((name, variable(&sources.env, name)?)));
    let (word, origin) = match locale {
        Some((name, text)) if text.starts_with("zh") => ("zh", format!("default (${name})")),
        Some(_) | None => ("en", "default".to_owned()),
    };
    set("notice.language", word.to_owned(), origin);
}

fn settings(values: &Values<'_>, names: &Names<'_>) -> Checked<Settings> {
    Findings::of(|findings| {
        let listeners: Vec<_> =
            names.listeners.iter().map(|(name, _)| findings.take(listener::listener(values, name))).collect();
        let checked: Vec<_> = names.clients.iter().map(|one| client::client(values, *one)).collect();
        let known: Vec<Arc<Client>> = checked.iter().filter_map(|(client, _)| client.clone().map(Arc::new)).collect();
        let users: Vec<_> =
            names.users.iter().map(|one| findings.take(user::user(values, *one, names, &known))).collect();
        let accounts: Vec<_> = names.accounts.iter().map(|one| findings.take(account::account(values, *one))).collect();
        let clients: Vec<_> = checked.into_iter().map(|one| findings.take(one)).collect();
        let routes = findings.take(route::routes(values, names));
        let replies: Vec<_> = names.replies.iter().map(|one| findings.take(route::reply(values, *one))).collect();
        let limits = limits(values);
        let queue = findings.take(queue(values));
        let notice = findings.take(notice::notice(values));
        let admin = findings.take(admin::admin(values));
        findings.problems.extend(listener::addresses(values, &listeners));
        findings.problems.extend(admin::address(values, admin.as_ref(), &listeners));
        findings.problems.extend(own_listener::circles(values, &accounts, &listeners));
        findings.add(user::log_ins(values, &users, &listeners));
        findings.problems.extend(client::networks(values, &clients));
        if let Some(limits) = &limits {
            findings.add(sizes(values, limits, &accounts));
        }
        Some(Settings {
            hostname: get!(values, "hostname", Text)?,
            listeners: listeners.into_iter().collect::<Option<_>>()?,
            users: users.into_iter().collect::<Option<_>>()?,
            accounts: accounts.into_iter().collect::<Option<_>>()?,
            clients: clients.into_iter().collect::<Option<_>>()?,
            routes: routes?,
            replies: replies.into_iter().collect::<Option<_>>()?,
            limits: limits?,
            queue: queue?,
            notice: notice?,
            admin: admin?,
            log: log(values)?,
        })
    })
}

fn limits(values: &Values<'_>) -> Option<LimitSettings> {
    let whole = |key: &str| get!(values, format!("limits.{key}"), Whole).and_then(|n| usize::try_from(n).ok());
    Some(LimitSettings {
        connections: whole("connections")?,
        connections_per_client: whole("connections_per_client")?,
        messages_per_connection: u32::try_from(whole("messages_per_connection")?).ok()?,
        messages_per_client: get!(values, "limits.messages_per_client", Rate)?,
        recipients_per_client: get!(values, "limits.recipients_per_client", Rate)?,
        bytes_per_client: get!(values, "limits.bytes_per_client", Flow)?,
        failures_per_client: get!(values, "limits.failures_per_client", Rate)?,
        messages_per_sender: get!(values, "limits.messages_per_sender", Rate),
        recipients: whole("recipients")?,
        message_size: get!(values, "limits.message_size", Size)?,
        queue_size: get!(values, "limits.queue_size", Size)?,
        queue_size_per_client: get!(values, "limits.queue_size_per_client", Size)?,
        disk_free: get!(values, "limits.disk_free", Size)?,
    })
}

fn queue(values: &Values<'_>) -> Checked<QueueSettings> {
    Findings::of(|findings| {
        if !values.has("data_dir") {
            let reason = "there is no place for the queue: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set";
            let remedy = "set data_dir, YIZHAN_DATA_DIR or --data-dir";
            findings.problems.push(Problem::new("data_dir", "", reason, remedy));
        }
        get!(values, "queue.url", Word)?;
        if values.has(OLDER_KEEP) && values.has(KEEP) {
            let reason = "it is the older name of history.keep, which is set as well";
            let remedy = "remove it; history.keep counts for delivered and failed mail";
            findings.problems.push(values.misfit(OLDER_KEEP, reason, remedy));
        }
        let keep_records = if values.has(OLDER_KEEP) { OLDER_KEEP } else { KEEP };
        let queue = QueueSettings {
            data_dir: get!(values, "data_dir", Path)?,
            schedule: RetrySchedule {
                retry: get!(values, "queue.retry", Times)?,
                expire: get!(values, "queue.expire", Time)?,
            },
            retention: RetentionSettings {
                keep_records: get!(values, keep_records, Time)?,
                keep_failed: get!(values, "queue.keep_failed", Time)?,
                keep_subject: get!(values, "history.subject", Flag)?,
            },
        };
        if queue.schedule.retry.first().is_some_and(|first| *first >= queue.schedule.expire) {
            let remedy =
                "make it longer than the first wait of queue.retry; RFC 5321 section 4.5.4.1 advises four to five days";
            let reason = "a message would fail before it is tried a second time";
            findings.problems.push(values.misfit("queue.expire", reason, remedy));
        }
        Some(queue)
    })
}

fn log(values: &Values<'_>) -> Option<log::LogSettings> {
    let format = match get!(values, "log.format", Word)? {
        "text" => log::LineFormat::Text,
        "json" => log::LineFormat::Json,
        _ => return None,
    };
    let subject = get!(values, "log.subject", Flag)?;
    Some(log::LogSettings { format, level: get!(values, "log.level", Word)?.parse().ok()?, subject })
}

/// What clients may send must fit into the queue, and should fit through the accounts.
fn sizes(values: &Values<'_>, limits: &LimitSettings, accounts: &[Option<Account>]) -> Findings {
    let mut findings = Findings::default();
    if limits.queue_size < limits.message_size {
        let reason = "one message of limits.message_size would not fit into the queue";
        let remedy = "make it several times limits.message_size";
        findings.problems.push(values.misfit("limits.queue_size", reason, remedy));
    }
    for (key, size) in [
        ("limits.queue_size_per_client", limits.queue_size_per_client),
        ("limits.bytes_per_client", limits.bytes_per_client.octets),
    ] {
        if size < limits.message_size {
            let reason = "a client could never send one message of limits.message_size";
            findings.problems.push(values.misfit(key, reason, "make it several times limits.message_size"));
        }
    }
    let alert = get!(values, "notice.disk_free", Size).unwrap_or_default();
    if alert > 0 && alert < limits.disk_free {
        let text = "it is less than limits.disk_free, so mail is refused before the alert goes out";
        findings.warnings.push(values.warning("notice.disk_free", text));
    }
    for account in accounts.iter().flatten() {
        if account.preset.size_limit.is_some_and(|size| size < limits.message_size) {
            let size = values.shown.get("limits.message_size").map_or("", String::as_str);
            let (title, name) = (&account.preset.title, &account.name);
            findings.warnings.push(format!("limits.message_size = {size} is more than {title} takes (account.{name})"));
        }
    }
    findings
}
