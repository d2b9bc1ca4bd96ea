//! Golden mails: what a client sent, and what the repair must make of it, octet for octet.
//!
//! Each folder of `tests/golden/repair/` holds `in.eml` (DATA content, dots unstuffed), `out.eml` (head, blank line and
//! body as stored) and `readme` (what it is about, with the rows of real senders as `Q-078`; perhaps a line `Client: ` with
//! what the owner has set for the sender; and in its last line the repairs in their order). On a mismatch the
//! outcome is written beside as `out.eml.failed`, and the lines that differ are printed. Time, id and account are fixed
//! here, so nothing in the files is a wildcard. What the relay writes itself is in `notice`.

use std::fs;
use std::path::{Path, PathBuf};

use yizhan::mail::{Address, Id, ReversePath};
use yizhan::message::from_rule::qq_accepts;
use yizhan::message::{
    self, BodyRewriter, ClientProfile, Facts, FirstPass, FromPolicy, Level, SenderRewrite, rewrite_sender,
};

const DATE: &str = "Sat, 21 Nov 2026 18:00:00 +0800";

/// The mail as stored, and the names of the repairs.
fn store(mail: &[u8], step: usize, client: ClientProfile<'_>) -> (Vec<u8>, String) {
    let client = &client;
    let (mut first, mut stored) = (FirstPass::new(&client.demand()), Vec::new());
    for chunk in mail.chunks(step) {
        first.push(chunk, &mut stored).unwrap();
    }
    let examined = first.finish(&mut stored).unwrap();
    let (mut rewriter, mut body) = (BodyRewriter::new(&examined.header, &examined.plan), Vec::new());
    stored.chunks(step).for_each(|chunk| rewriter.push(chunk, &mut body));
    rewriter.finish(&mut body);
    let repaired = message::repair(
        examined.header,
        &Facts {
            date: DATE,
            id: Id::parse("mi8golden0000001").unwrap(),
            domain: "qq.com",
            fallback_from: &Address::parse("office@qq.com").unwrap(),
            sender: &ReversePath::parse("scanner@office.lan").unwrap(),
            recipients: &[Address::parse("boss@example.com").unwrap()],
            body: &examined.body,
            plan: &examined.plan,
            client,
        },
    );
    let names: Vec<&str> = repaired.repairs.iter().map(|r| r.name()).collect();
    ([&repaired.head[..], b"\r\n", &body].concat(), names.join(", "))
}

fn folders(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(kind);
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// What `Client: display=..., charset=..., reply_to, subject_prefix=..., drop_cron_env, minimal` says.
fn client<'r>(readme: &'r str, reply_to: &'r Address) -> ClientProfile<'r> {
    let settings = readme.lines().find_map(|line| line.strip_prefix("Client: ")).unwrap_or("");
    let mut client = ClientProfile::default();
    for setting in settings.split(", ").filter(|setting| !setting.is_empty()) {
        match setting.split_once('=').unwrap_or((setting, "")) {
            ("display", name) => client.display = Some(name),
            ("charset", label) => client.charset = encoding_rs::Encoding::for_label(label.as_bytes()),
            ("reply_to", _) => client.reply_to = Some(reply_to),
            ("subject_prefix", prefix) => client.subject_prefix = Some(prefix),
            ("drop_cron_env", _) => client.drop_cron_env = true,
            ("minimal", _) => client.level = Level::Minimal,
            other => panic!("no such setting: {other:?}"),
        }
    }
    client
}

/// Compares with `out.eml`; on a mismatch leaves `out.eml.failed` and describes the difference.
fn compare(folder: &Path, actual: &[u8], failures: &mut Vec<String>) {
    let expected = fs::read(folder.join("out.eml")).unwrap_or_default();
    let failed = folder.join("out.eml.failed");
    if expected == actual {
        let _ = fs::remove_file(failed);
        return;
    }
    fs::write(failed, actual).unwrap();
    let (old, new): (Vec<&[u8]>, Vec<&[u8]>) =
        (expected.split_inclusive(|&b| b == b'\n').collect(), actual.split_inclusive(|&b| b == b'\n').collect());
    let mut text = format!("{}:\n", folder.display());
    for i in 0..old.len().max(new.len()) {
        let (old, new) = (old.get(i).copied().unwrap_or(b""), new.get(i).copied().unwrap_or(b""));
        if old != new {
            text.push_str(&format!("  line {}\n  - {}\n  + {}\n", i + 1, old.escape_ascii(), new.escape_ascii()));
        }
    }
    failures.push(text);
}

#[test]
fn every_golden_mail_is_repaired_as_written() {
    let mut failures = Vec::new();
    let folders = folders("repair");
    assert!(folders.len() >= 20, "the golden mails are gone: {}", folders.len());
    for folder in &folders {
        let mail = fs::read(folder.join("in.eml")).unwrap();
        let readme = fs::read_to_string(folder.join("readme")).unwrap();
        let reply_to = Address::parse("help@example.com").unwrap();
        let client = client(&readme, &reply_to);
        let (out, repairs) = store(&mail, mail.len().max(1), client);
        compare(folder, &out, &mut failures);
        let line = format!("Repairs: {}", if repairs.is_empty() { "none" } else { &repairs });
        if readme.lines().last() != Some(line.as_str()) {
            failures.push(format!("{}: the readme must end in\n  {line}\n", folder.display()));
        }
        let head = &out[..out.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 2];
        let login = Address::parse("office@qq.com").unwrap();
        let rewritten = rewrite_sender(
            head,
            &SenderRewrite { address: &login, display: None, policy: FromPolicy::MustEqualLogin, keep_dkim: false },
            &[],
        );
        assert!(qq_accepts(&rewritten), "{}: {}", folder.display(), rewritten.escape_ascii());
        assert_eq!(store(&mail, 1, client), (out.clone(), repairs), "{}: octet by octet", folder.display());
        assert_eq!(store(&out, 4096, client), (out, String::new()), "{}: repaired again", folder.display());
    }
    assert!(failures.is_empty(), "{}", failures.concat());
}

#[test]
fn every_kind_of_broken_mail_has_its_golden() {
    let all = folders("repair").into_iter().chain(folders("notice"));
    let readmes: String = all.map(|folder| fs::read_to_string(folder.join("readme")).unwrap()).collect();
    let missing: Vec<String> =
        (78..=110).map(|row| format!("Q-{row:03}")).filter(|row| !readmes.contains(row)).collect();
    assert_eq!(missing, Vec::<String>::new());
}
