//! Environment variables and command line arguments, as layers.
//!
//! `YIZHAN__SECTION__NAME__KEY` sets any key; the short names set what one account and one listener need. An empty
//! variable counts as one that is not set, because container files write `YIZHAN_USER=${MAIL_USER:-}`. Not here: the
//! variables that secrets point to, which are read at each log-in.
//!
//! Invariant: a name that begins with `YIZHAN__` is a key or a mistake. Other names that begin with `YIZHAN_` are left
//! alone unless they look like a slip: Kubernetes makes `YIZHAN_SERVICE_HOST` and the like by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::key::{NAMED, NUMBERED, legal_name, row_number};
use super::keys::{self, Found, find};
use super::layer::Layer;
use super::problem::Problem;
use super::suggest::{nearest, suggest};
use super::written::{from_text, secret_pair};

/// What the command line says. There is no secret among it: arguments can be seen by every user of the machine.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config FILE`
    pub config: Option<PathBuf>,
    /// `--provider NAME`, of the account `main`
    pub provider: Option<String>,
    /// `--user NAME`, of the account `main`
    pub user: Option<String>,
    /// `--listen ADDRESS:PORT`, any number
    pub listen: Vec<String>,
    /// `--allow NETWORK`, any number
    pub allow: Vec<String>,
    /// `--data-dir FOLDER`
    pub data_dir: Option<PathBuf>,
}

/// The short names and what they set. `%` is the listener they are for.
static SHORT: &[(&str, &str)] = &[
    ("YIZHAN_PROVIDER", "account.main.provider"),
    ("YIZHAN_USER", "account.main.user"),
    ("YIZHAN_SECRET", "account.main.secret"),
    ("YIZHAN_SECRET_FILE", "account.main.secret"),
    ("YIZHAN_LISTEN", "listener.%.bind"),
    ("YIZHAN_ALLOW", "listener.%.allow"),
    ("YIZHAN_DATA_DIR", "data_dir"),
    ("YIZHAN_HOSTNAME", "hostname"),
    ("YIZHAN_LOG", "log.level"),
    ("YIZHAN_ADMIN", "admin.bind"),
    ("YIZHAN_ADMIN_TOKEN_FILE", "admin.token"),
];

const CONFIG: &str = "YIZHAN_CONFIG";
const PREFIX: &str = "YIZHAN__";

/// The variable that is set and not empty.
pub(super) fn variable<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|text| !text.trim().is_empty())
}

/// The layer of the long names.
pub(super) fn long(env: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    for (name, text) in env.iter().filter(|(_, text)| !text.trim().is_empty()) {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let lower = rest.to_ascii_lowercase();
        let path: Vec<&str> = lower.split("__").collect();
        let origin = format!("${name}");
        if NAMED.contains(&path[0]) && path.get(1).is_some_and(|name| !legal_name(name)) {
            problems.push(mistake(&path, &origin, "this name cannot be used", "use letters, digits and single `_`"));
            continue;
        }
        if NUMBERED.contains(&path[0]) && path.get(1).is_none_or(|number| row_number(number).is_none()) {
            let remedy = format!("write a number, from 0 on: YIZHAN__{}__0__..", path[0].to_ascii_uppercase());
            problems.push(mistake(&path, &origin, "these sections are numbered", &remedy));
            continue;
        }
        match find(&path) {
            Found::Key(key) => layer.set(&path.join("."), from_text(key, text, &origin)),
            Found::Later => {
                problems.push(mistake(&path, &origin, "this is not in this version yet", "unset it"));
            }
            Found::Section => {
                problems.push(mistake(&path, &origin, "this is a section", "name a key of it, after `__`"))
            }
            Found::Unknown => match path.split_last() {
                Some((how @ (&"file" | &"env"), parent)) if is_secret(parent) => {
                    layer.set(&parent.join("."), secret_pair(how, text, &origin));
                }
                _ => problems.push(mistake(&path, &origin, "there is no such setting", &suggest(&path))),
            },
        }
    }
    layer
}

fn is_secret(path: &[&str]) -> bool {
    matches!(find(path), Found::Key(key) if key.kind.is_secret())
}

fn mistake(path: &[&str], origin: &str, reason: &str, remedy: &str) -> Problem {
    Problem::new(&path.join("."), origin, reason, remedy)
}

/// The layer of the short names. `listeners` are those that the file and the long names know.
pub(super) fn short(env: &BTreeMap<String, String>, listeners: &[&str], problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    for (name, pattern) in SHORT {
        let Some(text) = variable(env, name) else { continue };
        let origin = format!("${name}");
        let Some(path) = target(pattern, listeners, &origin, problems) else { continue };
        let value = match *name {
            "YIZHAN_SECRET_FILE" | "YIZHAN_ADMIN_TOKEN_FILE" => secret_pair("file", text, &origin),
            _ => {
                from_text(keys::key(&path).expect("the short names stand for keys, and a test says so"), text, &origin)
            }
        };
        layer.set(&path, value);
    }
    if variable(env, "YIZHAN_SECRET").is_some() && variable(env, "YIZHAN_SECRET_FILE").is_some() {
        let path = ["account", "main", "secret"];
        problems.push(mistake(&path, "$YIZHAN_SECRET", "YIZHAN_SECRET_FILE is set, too", "unset one of the two"));
    }
    layer
}

/// The layer of the command line.
pub(super) fn arguments(overrides: &Overrides, listeners: &[&str], problems: &mut Vec<Problem>) -> Layer {
    let data_dir = overrides.data_dir.as_ref().map(|path| path.display().to_string());
    let list = |items: &[String]| if items.is_empty() { None } else { Some(items.join(",")) };
    let mut layer = Layer::default();
    for (name, pattern, text) in [
        ("--provider", "account.main.provider", overrides.provider.clone()),
        ("--user", "account.main.user", overrides.user.clone()),
        ("--listen", "listener.%.bind", list(&overrides.listen)),
        ("--allow", "listener.%.allow", list(&overrides.allow)),
        ("--data-dir", "data_dir", data_dir),
    ] {
        let Some(text) = text else { continue };
        let Some(path) = target(pattern, listeners, name, problems) else { continue };
        let key = keys::key(&path).expect("the arguments stand for keys, and a test says so");
        layer.set(&path, from_text(key, &text, name));
    }
    layer
}

/// Which listener a short form is for: the only one, or `local`.
fn target(pattern: &str, listeners: &[&str], origin: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let listener = match listeners {
        [] => "local",
        [only] => only,
        several if several.contains(&"local") => "local",
        _ if !pattern.contains('%') => "",
        several => {
            let remedy = format!("set it in the file, or for one of them: {}", several.join(", "));
            problems.push(mistake(
                &["listener"],
                origin,
                "there are several listeners and none is called local",
                &remedy,
            ));
            return None;
        }
    };
    Some(pattern.replace('%', listener))
}

/// Names that look like a slip of a short name. Only a warning: they may belong to somebody else.
pub(super) fn slips(env: &BTreeMap<String, String>) -> Vec<String> {
    let known = || SHORT.iter().map(|(name, _)| *name).chain([CONFIG]);
    let strange = env.keys().filter(|name| name.starts_with("YIZHAN_") && !name.starts_with(PREFIX));
    let strange = strange.filter(|name| !known().any(|known| known == name.as_str()));
    // Only what comes after the common beginning counts.
    let short = |name: &'static str| name.trim_start_matches("YIZHAN_");
    strange
        .filter_map(|name| {
            let lower = name.trim_start_matches("YIZHAN_").to_ascii_lowercase();
            let words: Vec<String> = known().map(|known| short(known).to_ascii_lowercase()).collect();
            let near = nearest(&lower, words.iter().map(String::as_str))?;
            // Whoever sets a variable must not draw on the terminal of who reads the warning.
            let name = name.replace(char::is_control, "\u{fffd}");
            Some(format!("${name} is not used; did you mean $YIZHAN_{}?", near.to_ascii_uppercase()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn short_names_stand_for_keys() {
        for (name, pattern) in SHORT {
            assert!(keys::key(&pattern.replace('%', "local")).is_some(), "{name}");
        }
        let overrides = Overrides {
            config: None,
            provider: Some("qq".into()),
            user: Some("u".into()),
            listen: vec!["127.0.0.1:1".into()],
            allow: vec!["::1".into()],
            data_dir: Some("/d".into()),
        };
        let mut problems = Vec::new();
        let layer = arguments(&overrides, &[], &mut problems);
        assert_eq!(format!("{layer:?}").matches('"').count(), 10);
        assert!(problems.is_empty());
    }

    #[test]
    fn short_forms_find_their_listener() {
        let mut problems = Vec::new();
        let mut path = |listeners: &[&str]| target("listener.%.bind", listeners, "$X", &mut problems);
        assert_eq!(path(&[]).as_deref(), Some("listener.local.bind"));
        assert_eq!(path(&["lan"]).as_deref(), Some("listener.lan.bind"));
        assert_eq!(path(&["lan", "local"]).as_deref(), Some("listener.local.bind"));
        assert_eq!(path(&["lan", "wan"]), None);
        assert_eq!(problems.len(), 1);
        assert_eq!(target("hostname", &["a", "b"], "$X", &mut Vec::new()).as_deref(), Some("hostname"));
    }

    #[test]
    fn slips_are_warned_about_and_neighbours_are_not() {
        let found = slips(&env(&[
            ("YIZHAN_USR", "x"),
            ("YIZHAN_SERVICE_HOST", "10.0.0.1"),
            ("YIZHAN_PORT_25_TCP_ADDR", "10.0.0.1"),
            ("YIZHAN_QQ_CODE", "x"),
            ("YIZHAN_USER", "x"),
            ("YIZHAN_L\u{1b}ISTEN", "x"),
        ]));
        let [escape, slip] = &found[..] else { panic!("{found:?}") };
        assert_eq!(slip, "$YIZHAN_USR is not used; did you mean $YIZHAN_USER?");
        assert_eq!(escape, "$YIZHAN_L\u{fffd}ISTEN is not used; did you mean $YIZHAN_LISTEN?");
    }

    #[test]
    fn an_empty_variable_is_none() {
        let mut problems = Vec::new();
        let layer = long(&env(&[("YIZHAN__LOG__COLOUR", ""), ("YIZHAN__LOG__LEVEL", " ")]), &mut problems);
        assert_eq!((format!("{layer:?}").as_str(), problems.len()), ("[]", 0));
    }
}
