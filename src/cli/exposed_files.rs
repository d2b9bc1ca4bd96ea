//! Secrets that other users of the machine can read, and a data folder that they can write to: what `check` and `doctor`
//! warn of.
//!
//! Not at the start of a relay: containers mount secrets for everybody, and have one user. Not here: whether the relay
//! itself can read them (`config`, `doctor`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::config::Settings;
use crate::secret::SecretSource;

use super::finding::{Words, words};

/// Bits of a mode: all others may read or write; the group may write.
const SECRET: u32 = 0o026;
/// Bits of a mode: the group or all others may write.
const FOLDER: u32 = 0o022;
/// Bit of a mode: all others may go through the folder.
const THROUGH: u32 = 0o001;

/// A file or folder with too wide a mode.
pub(super) struct Exposed {
    /// What it is, with its path and mode.
    pub(super) what: Words,
    /// What that allows.
    pub(super) cause: Words,
    /// What to do.
    pub(super) remedy: Words,
}

/// Everything that the settings name and that is exposed. What cannot be looked at is left out.
pub(super) fn find(settings: &Settings) -> Vec<Exposed> {
    let accounts = settings.accounts.iter().filter_map(|one| {
        let file = file_of(one.secret.as_ref()?)?;
        Some((format!("account.{}.secret", one.name), file))
    });
    let programs = settings.accounts.iter().flat_map(|one| {
        let secrets = one.oauth.iter().flat_map(|oauth| [("client_secret", &oauth.client_secret), ("key", &oauth.key)]);
        let name = &one.name;
        secrets
            .filter_map(move |(key, source)| Some((format!("account.{name}.oauth.{key}"), file_of(source.as_ref()?)?)))
    });
    let users = settings.users.iter().filter_map(|one| {
        let file = file_of(&one.password)?;
        Some((format!("user.{}.password", one.name), file))
    });
    let keys = settings.listeners.iter().filter_map(|one| {
        let tls = one.tls.as_ref()?;
        Some((format!("listener.{}", one.name), tls.identity.key_file()))
    });
    let webhook = settings.notice.webhook.iter().filter_map(|one| Some(("notice.webhook".to_owned(), file_of(one)?)));
    let sign = settings.notice.sign.iter().filter_map(|one| Some(("notice.sign".to_owned(), file_of(one)?)));
    let secrets = accounts.chain(programs).chain(users).chain(keys).chain(webhook).chain(sign);
    let mut found: Vec<Exposed> = secrets.filter_map(|(key, file)| secret(&key, file)).collect();
    found.extend(folder(&settings.queue.data_dir));
    found
}

fn file_of(source: &SecretSource) -> Option<&Path> {
    match source {
        SecretSource::File(path) => Some(path),
        SecretSource::Env(_) | SecretSource::Plain(_) => None,
    }
}

fn secret(key: &str, file: &Path) -> Option<Exposed> {
    let mode = mode_with(file, SECRET).filter(|_| can_be_reached(file))?;
    let path = file.display();
    Some(Exposed {
        what: words(format!("{key}: {path} has mode {mode:04o}"), format!("{key}：{path} 的权限为 {mode:04o}")),
        cause: words("other users of this machine can read or change this secret", "本机其他用户可以读取或修改该密钥"),
        remedy: words(
            format!("chmod 600 {path} (640 if the relay reads it by its group)"),
            format!("chmod 600 {path}（若中继通过组读取则为 640）"),
        ),
    })
}

fn folder(folder: &Path) -> Option<Exposed> {
    let mode = mode_with(folder, FOLDER).filter(|_| can_be_reached(folder))?;
    let path = folder.display();
    Some(Exposed {
        what: words(format!("data_dir: {path} has mode {mode:04o}"), format!("data_dir：{path} 的权限为 {mode:04o}")),
        cause: words(
            "other users of this machine can delete the queue or put files in its place",
            "本机其他用户可以删除队列或替换其中的文件",
        ),
        remedy: words(format!("chmod 700 {path}"), format!("chmod 700 {path}")),
    })
}

/// The mode of `path`, if it has one of these bits.
fn mode_with(path: &Path, bits: u32) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & bits != 0).then_some(mode)
}

/// Whether others may go through all folders above it.
fn can_be_reached(path: &Path) -> bool {
    let Ok(real) = fs::canonicalize(path) else { return false };
    real.ancestors().skip(1).all(|folder| mode_with(folder, THROUGH).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_can_read_or_write_is_named_with_the_remedy() {
        let home = std::env::temp_dir().join(format!("yizhan-exposed-{}", std::process::id()));
        let file = home.join("code");
        fs::create_dir(&home).unwrap();
        fs::write(&file, "x").unwrap();
        for (mode, exposed) in
            [(0o600, false), (0o640, false), (0o400, false), (0o644, true), (0o602, true), (0o660, true)]
        {
            with_mode(&home, 0o755);
            with_mode(&file, mode);
            let found = secret("account.office.secret", &file);
            assert_eq!(found.is_some(), exposed, "{mode:o}");
            if let Some(found) = found {
                assert!(found.what.en.contains(&format!("{mode:04o}")) && found.remedy.zh.contains("chmod 600"));
            }
            // Other users cannot go through the folder above it.
            with_mode(&home, 0o700);
            assert!(secret("account.office.secret", &file).is_none(), "{mode:o}");
        }
        for (mode, exposed) in [(0o700, false), (0o755, false), (0o775, true), (0o777, true), (0o1777, true)] {
            with_mode(&home, mode);
            assert_eq!(folder(&home).is_some_and(|found| found.remedy.en.contains("chmod 700")), exposed, "{mode:o}");
        }
        assert!(folder(&home.join("none")).is_none() && secret("x", &home.join("none")).is_none());
        fs::remove_dir_all(home).unwrap();
    }
}
