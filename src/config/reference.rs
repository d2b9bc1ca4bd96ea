//! The reference file `conf/yizhan.toml`, from the table of keys.
//!
//! Invariant: the file, as it stands, means the same as no file at all.

use super::keys::KEYS;
use super::value::ACTIONS;
use crate::provider;

/// Characters of a comment line.
const WIDEST: usize = 118;

const HEAD: &str = "\
# Yizhan 驿站: every setting, with its default. The file may hold as few of them as you like, or not exist.
#
# Found at --config FILE, else $YIZHAN_CONFIG, else ./yizhan.toml, else /etc/yizhan/yizhan.toml. Every key can also be a
# variable: `bind` in [listener.local] is YIZHAN__LISTENER__LOCAL__BIND, with lists split at commas; variables win over
# the file, and the command line wins over both. `yizhan check` shows what is in force, or every mistake.
#
# `# text` explains; `#key = value` is an example that is switched off. Times are \"90s\", \"15m\", \"1h30m\", \"5d\"; sizes
# are \"50MiB\", \"200MB\", \"5GiB\"; relative paths start from the folder of this file.
";

const SECTIONS: &[(&str, &str)] = &[
    (
        "listener",
        "Where clients come in: any number of [listener.NAME]. This one is there when the file names no other.\n\
         # Without a file: YIZHAN_LISTEN, YIZHAN_ALLOW, --listen, --allow.",
    ),
    ("user", "Who may log in where auth is verify: any number of [user.NAME]."),
    (
        "account",
        "The mailboxes that mail leaves through: any number of [account.NAME].\n\
         # Without a file: YIZHAN_PROVIDER, YIZHAN_USER, YIZHAN_SECRET or YIZHAN_SECRET_FILE make [account.main].",
    ),
    (
        "client",
        "What is known of clients, by their addresses: any number of [client.NAME]. Other clients are treated alike.",
    ),
    (
        "route",
        "Which mail leaves through which account: any number of [[route]], and the first that fits counts. Without one, and for\n\
         # mail that none fits, it is the first account. As a variable: YIZHAN__ROUTE__0__ACCOUNT.",
    ),
    (
        "reply",
        "Your own rows of the reply catalogue, read before all others: any number of [[reply]], and the first that fits counts.\n\
         # `yizhan explain` says what a reply means.",
    ),
    ("limits", "The door: an abuse guard, answered with 4yz, so that clients come again."),
    ("queue", "What waits, and for how long."),
    ("history", "What `yizhan history` knows of finished mail."),
    ("notice", "Who is told when a message has failed, or an account is in trouble."),
    ("admin", "What an operator sees and does over HTTP; `yizhan open` prints the address of the page."),
    ("log", "One line a fact."),
];

/// The text of `conf/yizhan.toml`.
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    let mut current = "";
    for key in KEYS {
        if key.section() != current {
            current = key.section();
            let help = SECTIONS.iter().find(|(name, _)| *name == current).map_or("", |(_, help)| help);
            let (head, off) = match current {
                "listener" => ("listener.local", ""),
                "user" => ("user.scanner", "#"),
                "account" => ("account.office", "#"),
                "client" => ("client.scanner", "#"),
                "route" => ("[route]", "#"),
                "reply" => ("[reply]", "#"),
                other => (other, ""),
            };
            out.push_str(&format!("\n# {help}\n{off}[{head}]\n"));
        }
        let (off, value) = key.default.map_or(("#", key.example), |default| ("", default));
        out.push_str(&format!("\n{}{off}{} = {value}\n", comment(key.help), key.last()));
    }
    out
}

/// The help of a key as comment lines, with the lists that other tables hold put in.
fn comment(help: &str) -> String {
    let help = help
        .replace("{providers}", &provider::names().collect::<Vec<_>>().join(" | "))
        .replace("{actions}", &ACTIONS.join(" | "));
    let (mut out, mut line) = (String::new(), String::from("#"));
    for word in help.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDEST {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out + &line + "\n"
}
