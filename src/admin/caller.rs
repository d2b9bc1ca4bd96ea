//! The caller of a command, for the audit log: a user of this machine by number and name, or what another entrance knows.

use rustix::process::{geteuid, getuid};

/// Users are looked up in this file alone: no name service of the machine may delay a command.
const PASSWD: &str = "/etc/passwd";
/// The longest user file that is read, in octets.
const LONGEST_PASSWD: u64 = 1024 * 1024;

/// Who gives a command, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// `uid 1000 (anna)`, or the name of a token.
    pub who: String,
    /// `socket`, `offline`, or an address.
    pub from: String,
}

impl Caller {
    /// A user of this machine who used the control socket. Reads [`PASSWD`]: blocks for a moment.
    pub(super) fn on_socket(uid: Option<u32>) -> Caller {
        let who = uid.map_or_else(|| "unknown".to_owned(), user);
        Caller { who, from: "socket".to_owned() }
    }

    /// The user of this process, who works on the files of a relay that is stopped. Reads [`PASSWD`].
    pub fn offline() -> Caller {
        let (real, effective) = (getuid().as_raw(), geteuid().as_raw());
        let who = if real == effective { user(real) } else { format!("{} as {}", user(real), user(effective)) };
        Caller { who, from: "offline".to_owned() }
    }
}

/// `uid 1000 (anna)`; `uid 1000` for a user without a name.
fn user(uid: u32) -> String {
    match user_name(uid) {
        Some(name) => format!("uid {uid} ({name})"),
        None => format!("uid {uid}"),
    }
}

/// The name of a user of this machine. Reads [`PASSWD`].
pub fn user_name(uid: u32) -> Option<String> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(PASSWD).ok()?.take(LONGEST_PASSWD).read_to_end(&mut text).ok()?;
    name_in(&String::from_utf8_lossy(&text), uid)
}

/// The name of a user in the text of passwd(5): `name:password:uid:...`.
fn name_in(text: &str, uid: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\n# odd\n::5\nanna:x:1000:1000::/home/anna:/bin/sh\nb:x:1000:1::/:/x\n";
        assert_eq!(name_in(text, 1000).as_deref(), Some("anna"));
        assert_eq!(name_in(text, 0).as_deref(), Some("root"));
        assert_eq!((name_in(text, 5), name_in(text, 10)), (None, None));
    }

    #[test]
    fn an_unknown_peer_is_said_to_be_unknown() {
        assert_eq!(Caller::on_socket(None).who, "unknown");
        let nameless = Caller::on_socket(Some(4_000_000_000));
        assert_eq!((nameless.who.as_str(), nameless.from.as_str()), ("uid 4000000000", "socket"));
        assert!(Caller::offline().who.starts_with(&format!("uid {}", getuid().as_raw())));
    }
}
