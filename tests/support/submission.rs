//! Dovecot's submission server over TLS, which asks an OpenID provider whose a token is (`passdb oauth2`).
//!
//! It takes XOAUTH2 and OAUTHBEARER and no password, and hands mail on to another server in plaintext. It asks `/me` with the
//! token, so a token that is not known is a temporary failure for it (454).

use std::fs;
use std::os::unix::fs::chown;

use super::ca::TestCa;
use super::folder::Folder;
use super::peers::{installed, program, require_root};
use super::ports::Reserved;
use super::process::Process;
use super::skip::Missing;

/// A running server.
pub struct Submission {
    _process: Process,
    /// Where TLS begins with the first octet.
    pub port: u16,
    ca: TestCa,
    folder: Folder,
}

impl Submission {
    /// Starts it: tokens are asked for at the OpenID provider on this port, and mail goes on to this port.
    pub fn start(mechanisms: &str, provider: u16, relay: u16) -> Result<Submission, Missing> {
        require_root("dovecot")?;
        let dovecot = program("dovecot")?;
        installed("/usr/lib/dovecot/submission-login", "dovecot-submissiond")?;
        let (ca, folder, port) = (TestCa::new(), Folder::new("subm"), Reserved::new().release());
        let identity = ca.issue(&["localhost", "127.0.0.1"]);
        folder.file("cert.pem", identity.certificate);
        folder.secret("key.pem", identity.key);
        chown(folder.dir("mail", 0o755), Some(65534), Some(65534)).expect("root may do that");
        let text = format!(
            "introspection_url = http://127.0.0.1:{provider}/me\nintrospection_mode = auth\nforce_introspection = yes\n\
             username_attribute = email\n"
        );
        folder.file("oauth2.conf", text);
        let config = folder.file("dovecot.conf", configuration(&folder, mechanisms, port, relay));
        let mut process = Process::spawn(
            "dovecot",
            &dovecot,
            |command| {
                command.arg("-F").arg("-c").arg(&config);
            },
            folder.path(),
        );
        let log = || fs::read_to_string(folder.path().join("dovecot.log")).unwrap_or_default();
        process.wait_listening(port, log);
        Ok(Submission { _process: process, port, ca, folder })
    }

    /// The certificate of its authority.
    pub fn ca(&self) -> &std::path::Path {
        self.ca.file()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("dovecot.log")).unwrap_or_default()
    }
}

fn configuration(folder: &Folder, mechanisms: &str, port: u16, relay: u16) -> String {
    let folder = folder.path().display();
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
instance_name = yizhan-submission
protocols = submission
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
hostname = submission.test
auth_mechanisms = {mechanisms}
auth_verbose = yes
auth_failure_delay = 0
mail_location = maildir:{folder}/mail/%u
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
passdb {{
  driver = oauth2
  mechanisms = {mechanisms}
  args = {folder}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home={folder}/mail/%u
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    port = 0
  }}
  inet_listener submissions {{
    port = {port}
    ssl = yes
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
