//! What must hold of settings that anybody may have written: a file, and below a line `---ENV---` the environment as
//! lines of `NAME=text`.
//!
//! `hunter2` in the input is a secret. Where it stands in a place that is never shown (the value of a secret, of a key
//! that nobody knows, of somebody else's variable, a file that is no TOML), it may not come back. Not here: what a
//! setting means. Invariants held: every mistake has a place, a reason and a remedy; what is shown can be read again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use toml::{Table, Value};
use yizhan::config::{FileSource, Loaded, Overrides, Settings, Sources, load, reference};
use yizhan::net::proxy::Proxy;
use yizhan::secret::{Secret, SecretSource};

const ENVIRONMENT: &str = "\n---ENV---\n";
/// Where the file is; there is no such folder.
const FOLDER: &str = "/nowhere";
const SECRET: &str = "hunter2";
const HIDDEN: &str = "\"[secret]\"";
/// Keys whose value is never shown; of a proxy it is the part in front of the `@`.
const SECRETS: &[&str] = &["secret", "password", "webhook", "sign"];

/// The last words of all keys: whatever has another name is no setting.
static KEYS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let text = reference();
    let keys = text.lines().filter_map(|line| Some(line.trim_start_matches('#').split_once(" = ")?.0.to_owned()));
    keys.map(|key| key.rsplit('.').next().unwrap_or_default().to_owned()).collect()
});

/// The input as file and environment.
pub(crate) fn settings(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (file, rest) = text.split_once(ENVIRONMENT).unwrap_or((&text, ""));
    let mut env: BTreeMap<String, String> = BTreeMap::from([("HOME".to_owned(), "/home/relay".to_owned())]);
    env.extend(rest.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())));
    // It names another file.
    env.remove("YIZHAN_CONFIG");
    let quiet = !in_file(file) && !env.iter().any(|(name, text)| in_variable(name, text));
    let said = match load(sources(file, &env)) {
        Ok(loaded) => accepted(&loaded, &env),
        Err(problems) => {
            assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                assert!(!problem.reason.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
                assert!(!problem.key.is_empty() || !problem.origin.is_empty(), "{problem:?}");
            }
            problems.to_string()
        }
    };
    assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "it draws on the terminal: {said:?}");
    assert!(!quiet || !said.contains(SECRET), "a secret is shown:\n{said}");
}

fn sources(file: &str, env: &BTreeMap<String, String>) -> Sources {
    Sources {
        file: FileSource::Text { name: Path::new(FOLDER).join("yizhan.toml"), text: file.to_owned() },
        env: env.clone(),
        overrides: Overrides::default(),
        machine: "relay".to_owned(),
        can_ask: false,
    }
}

/// What is shown of good settings is a file that says the same, but for what is hidden.
fn accepted(loaded: &Loaded, env: &BTreeMap<String, String>) -> String {
    let shown = loaded.effective();
    let mut lines = Vec::new();
    let mut readable = true;
    for line in shown.lines() {
        let key = line.split(" = ").next().unwrap_or_default();
        let line = match key {
            "webhook" => line.replace(HIDDEN, "\"https://hook.test/x\""),
            "proxy" => line.replace("//[secret]@", "//u:p@"),
            _ => line.to_owned(),
        };
        // A value that looks like a URL with a password in it, wherever it is.
        readable &= !line.contains(HIDDEN) || SECRETS.contains(&key);
        lines.push(line);
    }
    // Variables of ours say the same as the file now; one that a secret is in is not there any more.
    let others = env.iter().filter(|(name, _)| !name.starts_with("YIZHAN_"));
    let others: BTreeMap<String, String> = others.map(|(name, text)| (name.clone(), text.clone())).collect();
    if readable && !shown.contains("env = \"YIZHAN_") {
        let again = load(sources(&lines.join("\n"), &others)).unwrap_or_else(|e| panic!("{e}\n{shown}"));
        assert_eq!(bare(again.settings), bare(loaded.settings.clone()), "{shown}");
    }
    format!("{shown}\n{}\n{}", loaded.warnings.join("\n"), format!("{loaded:?}").escape_default())
}

/// Settings without their secrets. A path of a variable starts from another folder than one of the file, so all of them
/// are taken to start from one.
fn bare(mut settings: Settings) -> Settings {
    let at = |path: &mut PathBuf| *path = Path::new(FOLDER).join(&path);
    let hide = |source: &mut SecretSource| match source {
        SecretSource::File(path) => at(path),
        SecretSource::Env(_) | SecretSource::Plain(_) => *source = SecretSource::Plain(Secret::new("x")),
    };
    for account in &mut settings.accounts {
        account.secret.iter_mut().for_each(hide);
        account.proxy = account.proxy.take().and_then(|_| Proxy::parse("http://x:1").ok());
        account.ca.iter_mut().for_each(at);
    }
    settings.users.iter_mut().for_each(|user| hide(&mut user.password));
    settings.notice.webhook.iter_mut().chain(&mut settings.notice.sign).for_each(hide);
    settings.notice.ca.iter_mut().for_each(at);
    at(&mut settings.queue.data_dir);
    settings
}

/// Whether the secret is in the file where it may be shown. What is no TOML is not shown at all.
fn in_file(text: &str) -> bool {
    let table = toml::from_str::<Table>(text.strip_prefix('\u{feff}').unwrap_or(text));
    table.is_ok_and(|table| in_table(&table))
}

fn in_table(table: &Table) -> bool {
    table.iter().any(|(key, value)| key.contains(SECRET) || in_value(key, value))
}

fn in_value(key: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => may_show(key, text),
        Value::Array(items) => items.iter().any(|item| in_value(key, item)),
        // Where a secret is kept may be shown.
        Value::Table(table) => in_table(table) || (SECRETS.contains(&key) && format!("{table:?}").contains(SECRET)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => false,
    }
}

fn in_variable(name: &str, text: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    if lower.contains(SECRET) {
        return true;
    }
    match lower.strip_prefix("yizhan_") {
        Some(rest) => {
            let key = rest.rsplit("__").next().unwrap_or_default();
            may_show(key, text) || (matches!(key, "file" | "env" | "secret_file") && text.contains(SECRET))
        }
        None => matches!(name, "HOME" | "STATE_DIRECTORY" | "XDG_STATE_HOME") && text.contains(SECRET),
    }
}

/// Whether the secret is in a text that may be shown as the value of `key`.
fn may_show(key: &str, text: &str) -> bool {
    match key {
        "proxy" => text.rsplit('@').next().unwrap_or_default().contains(SECRET),
        // Short names of variables.
        "listen" | "log" => text.contains(SECRET),
        _ => KEYS.contains(key) && !SECRETS.contains(&key) && text.contains(SECRET),
    }
}
