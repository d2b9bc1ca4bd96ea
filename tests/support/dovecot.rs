//! Dovecot's log-in service for Postfix: the password check alone, no IMAP, no mail.
//!
//! The socket protocol is Dovecot's own and Postfix speaks it (`smtpd_sasl_type = dovecot`, SASL_README). Brute-force
//! delays are switched off, because the tests send wrong passwords on purpose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::folder::{Folder, set_mode};
use super::peers::{program, require_root};
use super::process::{Process, poll};
use super::skip::Missing;

/// A running log-in service.
pub struct Dovecot {
    process: Process,
    config: PathBuf,
    socket: PathBuf,
    passwords: PathBuf,
    folder: Folder,
}

impl Dovecot {
    /// Starts it with one user, listening on this Unix socket (below 108 bytes). Mechanisms as Dovecot writes them:
    /// `plain login`.
    pub fn start(socket: &Path, user: &str, password: &str, mechanisms: &str) -> Result<Self, Missing> {
        require_root("dovecot")?;
        let dovecot = program("dovecot")?;
        let folder = Folder::new("dovecot");
        let passwords = folder.path().join("passwords");
        write_passwords(&passwords, user, password);
        let config = folder.file("dovecot.conf", configuration(folder.path(), socket, mechanisms));
        let arguments = |command: &mut Command| {
            command.arg("-F").arg("-c").arg(&config);
        };
        let mut process = Process::spawn("dovecot", &dovecot, arguments, folder.path());
        let log = || fs::read_to_string(folder.path().join("dovecot.log")).unwrap_or_default();
        process.wait_until("its log-in socket", || socket.exists(), log);
        Ok(Self { process, config, socket: socket.to_owned(), passwords, folder })
    }

    /// Changes the one user's password: what a provider does when a code is revoked. Back when the change is in
    /// force; Dovecot looks at the file once a second.
    pub fn set_password(&self, user: &str, password: &str) {
        write_passwords(&self.passwords, user, password);
        let in_force = || self.knows(user, password).then_some(());
        poll(Duration::from_secs(10), in_force).unwrap_or_else(|| panic!("the password is not taken:\n{}", self.log()));
    }

    /// Whether a log-in with this password succeeds, asked with Dovecot's own tool.
    fn knows(&self, user: &str, password: &str) -> bool {
        let doveadm = program("doveadm").expect("it is in dovecot's package");
        let mut command = Command::new(doveadm);
        command.arg("-c").arg(&self.config).args(["auth", "test", "-a"]).arg(&self.socket).args([user, password]);
        command.output().expect("doveadm starts").status.success()
    }

    /// What Dovecot logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("dovecot.log")).unwrap_or_default()
    }
}

fn write_passwords(path: &Path, user: &str, password: &str) {
    assert!(!user.contains(':') && !password.contains([':', '\n']), "a colon ends a field of this file");
    // Dovecot reads the file again when its second of change or its size is new, so each version is longer than the
    // last.
    let padding = fs::read_to_string(path).map_or(0, |old| old.len() + 1);
    let mut content = format!("{user}:{{PLAIN}}{password}\n");
    while content.len() < padding {
        content.push('\n');
    }
    let fresh = path.with_extension("new");
    fs::write(&fresh, content).expect("a folder of ours is writable");
    set_mode(&fresh, 0o644);
    fs::rename(&fresh, path).expect("a folder of ours is writable");
}

fn configuration(folder: &Path, socket: &Path, mechanisms: &str) -> String {
    let (folder, socket) = (folder.display(), socket.display());
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
instance_name = yizhan-test
protocols =
ssl = no
auth_mechanisms = {mechanisms}
auth_verbose = yes
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/passwords
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"
    )
}
