//! The control socket itself: who asks, what is not a command, lines that are too long.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use yizhan::admin::control::{self, LONGEST};
use yizhan::admin::{AdminCommand, AdminReply, ErrorCode, MessageChange, Selection};

use super::desk::Desk;
use crate::support::peers::require_root;
use crate::support::program::finish;
use crate::support::skip::need;

/// What the socket answers to these octets.
async fn answer(desk: &Desk, octets: &[u8]) -> Value {
    let mut stream = UnixStream::connect(control::path(&desk.folder.path().join("data"))).await.unwrap();
    // The relay may close before it has read everything.
    let _ = stream.write_all(octets).await;
    let mut text = String::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut text)).await;
    read.expect("an answer in time").expect("an answer");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

#[tokio::test]
async fn what_is_no_command_is_answered_with_the_reason() {
    let desk = Desk::open("nocommand").await;
    for (line, code) in [
        ("{\"do\":\"explode\"}\n", "unknown_command"),
        ("{\"do\":\"show\"}\n", "bad_command"),
        ("{\"do\":\"depth\",\"x\":1}\n", "bad_command"),
        ("\u{1b}[2J\n", "bad_command"),
        ("\n", "bad_command"),
        ("{\"do\":\"messages\",\"limit\":1001}\n", "bad_limit"),
        ("{\"do\":\"messages\",\"cursor\":\"zz\"}\n", "bad_cursor"),
        ("{\"do\":\"backup\",\"file\":\"copy.db\"}\n", "bad_path"),
        ("{\"do\":\"change\",\"change\":\"drop\",\"which\":{\"filter\":{}},\"expect\":0}\n", "bad_filter"),
        ("{\"do\":\"change\",\"change\":\"drop\",\"which\":{\"ids\":[]}}\n", "bad_filter"),
    ] {
        let value = answer(&desk, line.as_bytes()).await;
        assert_eq!(value["error"]["code"], code, "{line}: {value}");
        for text in ["message", "remedy"] {
            for language in ["en", "zh"] {
                let text = value["error"][text][language].as_str().unwrap();
                assert!(!text.is_empty() && !text.contains('\u{1b}'), "{value}");
            }
        }
    }
    let value = answer(&desk, b"{\"do\":\"explode\"}\n").await;
    assert!(value["error"]["message"]["en"].as_str().unwrap().contains("`explode`"));
    assert!(value["error"]["remedy"]["en"].as_str().unwrap().contains("restart the relay"));
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused_and_the_next_command_is_answered() {
    let desk = Desk::open("long").await;
    for length in [LONGEST as usize, LONGEST as usize + 1, 4 * LONGEST as usize] {
        let mut line = vec![b' '; length];
        line.push(b'\n');
        let value = answer(&desk, &line).await;
        assert_eq!(value["error"]["code"], "bad_command");
        assert!(value["error"]["message"]["en"].as_str().unwrap().contains("longer than"), "{value}");
    }
    // The ids of the most messages that one command changes fit.
    let which = Selection::Ids((0..10_000).map(|n| format!("{n:016}")).collect());
    let change = AdminCommand::Change { change: MessageChange::Drop, which, expect: None, reason: None };
    let reply = control::ask(&desk.folder.path().join("data"), &change).await.unwrap();
    let AdminReply::Changed { changed: 0, skipped, .. } = reply else { panic!("{reply:?}") };
    assert!(skipped.len() == 10_000 && skipped.iter().all(|one| one.code == ErrorCode::NotFound));
}

#[tokio::test]
async fn the_audit_log_names_the_user_that_the_kernel_names() {
    let desk = Desk::open("peer").await;
    let uid = rustix::process::getuid().as_raw();
    finish(desk.command(&["queue", "drop", "0123456789abcdef"])).await.with_code(2);
    let who = desk.queue.records.lock().unwrap()[0].who.clone();
    assert!(who == format!("uid {uid}") || who.starts_with(&format!("uid {uid} (")), "{who}");
}

/// A user whose folder it is not: one sentence, with the remedy.
#[tokio::test]
async fn the_data_folder_of_another_user_is_refused_with_the_remedy() {
    need!(require_root("becoming another user"));
    let desk = Desk::open("notmine").await;
    let copy = desk.folder.path().join("yizhan");
    std::fs::copy(crate::support::program::YIZHAN, &copy).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(desk.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (lang, words) in [("en", ["permission denied", "sudo -u root"]), ("zh", ["没有权限", "sudo -u root"])] {
        let arguments = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        let mut command = crate::support::program::clean(std::process::Command::new("setpriv"), arguments);
        command.arg(&copy).args(["queue", "list", "--lang", lang, "--data-dir"]).arg(desk.folder.path().join("data"));
        command.current_dir("/");
        let ran = finish(command).await;
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{ran:?}");
        assert!(words.iter().all(|word| ran.err.contains(word)), "{ran:?}");
    }
}
