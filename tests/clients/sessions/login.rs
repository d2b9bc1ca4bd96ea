//! log-ins as devices make them, where any is taken and where they are verified.

use super::{LENIENT, PROFILES, door, door_with};
use crate::support::clients::{self, Letter, Target};
use crate::support::door::Door;
use crate::support::entrance::{Entrance, Line, Plan, base64, plain};
use crate::support::office::Device;
use crate::support::offload;
use crate::support::skip::need;
use yizhan::smtp::server::{AuthMode, Profile};

const DATA: &[u8] = b"Subject: x\r\n\r\nbody\r\n";
/// The prompts of LOGIN, which some devices compare.
const USER: &str = "334 VXNlcm5hbWU6";
const PASSWORD: &str = "334 UGFzc3dvcmQ6";

/// Says each line and compares the begin of its reply; a 334 is compared whole.
async fn dialogue(device: &mut Device, lines: &[(&str, &str)]) {
    for (say, start) in lines {
        // `Device` takes blanks off the end; `listener::auth` looks at them.
        let reply = device.ask(say, start.trim_end()).await;
        assert!(!start.starts_with("334") || reply == start.trim_end(), "{say:?}: {reply:?}");
    }
}

/// A device of the house, greeted.
async fn device(door: &Door) -> Device {
    door.device([127, 0, 0, 1]).await
}

async fn sends(device: &mut Device) {
    device.send("printer@lan.local", &["boss@else.test"], DATA).await;
}

#[tokio::test]
async fn q_052_blank_log_ins_are_welcome_where_any_is_and_harmless_where_none_is() {
    let ok = "235 2.7.0";
    let forms: [&[(&str, &str)]; 8] = [
        &[("AUTH PLAIN", "334 "), ("=", ok)],
        &[("AUTH PLAIN", "334 "), ("", ok)],
        &[("AUTH PLAIN =", ok)],
        &[("AUTH PLAIN AAA=", ok)],
        &[("AUTH LOGIN", USER), ("", PASSWORD), ("", ok)],
        &[("AUTH LOGIN", USER), ("=", PASSWORD), ("=", ok)],
        &[("AUTH LOGIN =", PASSWORD), ("", ok)],
        &[("AUTH LOGIN dXNlcg==", PASSWORD), ("cGFzcw==", ok)],
    ];
    for profile in PROFILES {
        let door = door("blank", profile);
        for form in forms {
            let mut device = device(&door).await;
            dialogue(&mut device, form).await;
            sends(&mut device).await;
        }
        assert_eq!(door.queued().await.len(), forms.len());
        // Not offered, and tried all the same: the device is told so, and its mail is as welcome as before.
        let door = door_with("off", profile, |plan| plan.listener.auth = AuthMode::Off);
        let mut device = device(&door).await;
        for command in ["AUTH LOGIN", "AUTH PLAIN AAA=", "AUTH"] {
            device.ask(command, "50").await;
        }
        sends(&mut device).await;
        assert_eq!(door.queued().await.len(), 1);
    }
}

#[tokio::test]
async fn q_057_a_blob_in_two_lines_is_refused_and_the_session_goes_on() {
    let door = Entrance::open("split", Plan::default());
    let whole = plain("printer", "right");
    for cut in (1..whole.len()).step_by(3) {
        let (first, second) = whole.split_at(cut);
        let mut line = Line::hello(door.addr).await;
        line.ask("AUTH PLAIN", "334").await;
        // A half that is good base64 by accident has another password in it.
        let refused = line.ask(first, "5").await;
        assert!(refused.starts_with("501 5.5.2") || refused.starts_with("535 5.7.8"), "{cut}: {refused}");
        line.ask(second, "500 5.5.2").await;
        line.ask("NOOP", "250").await;
        line.log_in("printer", "right", "235").await;
    }
    let (first, second) = whole.split_at(10);
    for profile in LENIENT {
        let door = super::door("split-any", profile);
        let mut device = device(&door).await;
        dialogue(&mut device, &[("AUTH PLAIN", "334 "), (first, "501 5.5.2"), (second, "500 5.5.2")]).await;
        dialogue(&mut device, &[(&format!("AUTH PLAIN {whole}"), "235")]).await;
        sends(&mut device).await;
        assert_eq!(door.queued().await.len(), 1);
    }
}

#[tokio::test]
async fn q_059_a_user_in_the_wrong_place_is_good_enough_only_where_any_is() {
    let misplaced = base64("printer\0\0right");
    for form in [vec![format!("AUTH PLAIN {misplaced}")], vec!["AUTH PLAIN".to_owned(), misplaced]] {
        let door = door("misplaced", Profile::Tolerant);
        let (mut device, last) = (device(&door).await, form.len() - 1);
        for (n, line) in form.iter().enumerate() {
            device.ask(line, if n == last { "235" } else { "334" }).await;
        }
        sends(&mut device).await;
        let door = Entrance::open("misplaced", Plan::abroad());
        let mut line = Line::hello(door.addr).await;
        for (n, say) in form.iter().enumerate() {
            line.ask(say, if n == last { "535 5.7.8" } else { "334" }).await;
        }
        line.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
    }
}

#[tokio::test]
async fn q_060_an_empty_password_is_a_password() {
    let blob = "AHVzZXJuYW1lX3BsYWluAA==";
    let door = door("empty", Profile::Tolerant);
    let mut device = device(&door).await;
    dialogue(&mut device, &[(&format!("AUTH PLAIN {blob}"), "235 2.7.0")]).await;
    sends(&mut device).await;
    // Understood, compared, and wrong.
    let verified = Entrance::open("empty", Plan::default());
    Line::hello(verified.addr).await.ask(&format!("AUTH PLAIN {blob}"), "535 5.7.8").await;
}

#[tokio::test]
async fn q_061_one_line_end_behind_user_and_password_does_not_count() {
    let door = Entrance::open("newline", Plan::default());
    for end in ["", "\n", "\r\n"] {
        let mut line = Line::hello(door.addr).await;
        line.ask("AUTH LOGIN", USER).await;
        line.ask(&base64(&format!("printer{end}")), PASSWORD).await;
        line.ask(&base64(&format!("right{end}")), "235").await;
        let mut line = Line::hello(door.addr).await;
        line.ask(&format!("AUTH PLAIN {}", base64(&format!("\0printer{end}\0right{end}"))), "235").await;
        line.send("a@example.com").await;
    }
    // Any other control character is no user and no password.
    let mut line = Line::hello(door.addr).await;
    for odd in ["prin\nter", "printer\n\n", "\tprinter", "printer\x1b[2J", "printer\x7f"] {
        line.ask("AUTH LOGIN", USER).await;
        line.ask(&base64(odd), "501 5.5.2").await;
        line.ask(&format!("AUTH PLAIN {}", base64(&format!("\0{odd}\0right"))), "501 5.5.2").await;
    }
    line.log_in("printer", "right", "235").await;
}

#[tokio::test]
async fn q_062_both_forms_of_the_auth_line_are_announced() {
    for auth in [AuthMode::Off, AuthMode::AcceptAny, AuthMode::Verify] {
        for profile in PROFILES {
            let door = door_with("lines", profile, |plan| plan.listener.auth = auth);
            let mut device = Device::dial(door.addr).await;
            device.expect("220").await;
            let hello = device.ask("EHLO device.lan", "250").await;
            let lines: Vec<&str> = hello.lines().map(|line| &line[4..]).collect();
            let offered: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("AUTH")).collect();
            // Who reads one line only would not find it anyway.
            let wanted = auth != AuthMode::Off && profile != Profile::Legacy;
            let both = ["AUTH LOGIN PLAIN", "AUTH=LOGIN PLAIN"];
            assert_eq!(offered, if wanted { &both[..] } else { &[] }, "{auth:?} {profile:?}");
            assert_eq!(lines.len() == 1, profile == Profile::Legacy, "{lines:?}");
        }
    }
}

#[tokio::test]
async fn q_063_any_log_in_is_announced_without_tls_too() {
    let ca = crate::support::ca::TestCa::new();
    for tls in [None, Some((ca.issue(crate::support::ca::NAMES), false))] {
        let starttls = tls.is_some();
        let door = Entrance::open("announced", Plan { auth: AuthMode::AcceptAny, tls, ..Plan::default() });
        let mut line = Line::dial(door.addr).await;
        line.expect("220").await;
        let hello = line.ask("EHLO x", "250").await;
        assert!(hello.contains("\n250-AUTH LOGIN PLAIN"), "{hello}");
        assert_eq!(hello.contains("STARTTLS"), starttls, "{hello}");
        line.log_in("any", "thing", "235").await;
        line.send("a@example.com").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn q_063_programs_that_insist_on_the_announcement_send() {
    let door = door("insist", Profile::Tolerant);
    let mut target = Target::plain(door.addr.port());
    target.login = Some(("any".to_owned(), "thing".to_owned()));
    let letter = Letter::new("a@example.com", &["boss@else.test"], "Subject: hello\r\n\r\ntext\r\n");
    let (to, what) = (target.clone(), letter.clone());
    let ran = need!(offload(move || clients::msmtp(&to, &what, &[])).await);
    assert!(ran.ok(), "{}", ran.output);
    let ran = need!(offload(move || clients::swaks(&target, &letter, &[])).await);
    assert!(ran.ok() && ran.output.contains("235 2.7.0"), "{}", ran.output);
    assert_eq!(door.queued().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn q_064_smtplib_finds_no_mechanism_that_needs_the_clear_password() {
    let verified = Entrance::open("smtplib", Plan::default());
    let any = door("smtplib", Profile::Tolerant);
    for port in [verified.addr.port(), any.addr.port()] {
        let mut target = Target::plain(port);
        target.login = Some(("printer".to_owned(), "right".to_owned()));
        let letter = Letter::new("a@example.com", &["boss@else.test"], "Subject: hello\r\n\r\ntext\r\n");
        let ran = need!(offload(move || clients::smtplib(&target, &letter)).await);
        assert!(ran.ok() && ran.output.contains("235"), "{}", ran.output);
        assert!(ran.output.contains("AUTH PLAIN") && !ran.output.contains("MD5"), "{}", ran.output);
    }
    assert!(verified.only().await.1.contains("with ESMTPA"));
    assert_eq!(any.queued().await.len(), 1);
}

#[tokio::test]
async fn q_065_a_log_in_after_helo_is_taken() {
    for profile in PROFILES {
        let door = door("helo", profile);
        let mut device = Device::dial(door.addr).await;
        dialogue(&mut device, &[]).await;
        device.expect("220").await;
        dialogue(&mut device, &[("HELO old.lan", "250 "), ("AUTH LOGIN", USER), ("dQ==", PASSWORD), ("cA==", "235")])
            .await;
        sends(&mut device).await;
        assert_eq!(door.queued().await.len(), 1);
    }
}

#[tokio::test]
async fn q_066_a_second_log_in_is_refused_and_the_session_goes_on() {
    for profile in PROFILES {
        let door = door("again", profile);
        let mut device = device(&door).await;
        dialogue(&mut device, &[("AUTH LOGIN dQ==", PASSWORD), ("cA==", "235")]).await;
        for again in ["AUTH LOGIN", "AUTH LOGIN dQ==", "AUTH PLAIN", "AUTH PLAIN AAA=", "AUTH NTLM"] {
            device.ask(again, "503 5.5.1 Already authenticated").await;
        }
        sends(&mut device).await;
        assert_eq!(door.queued().await.len(), 1);
    }
}

#[tokio::test]
async fn q_067_a_log_in_can_be_given_up_at_each_step() {
    let cancelled = ("*", "501 5.7.0");
    for auth in [AuthMode::AcceptAny, AuthMode::Verify] {
        let door = door_with("cancel", Profile::Tolerant, |plan| plan.listener.auth = auth);
        let mut device = device(&door).await;
        dialogue(&mut device, &[("AUTH PLAIN", "334 "), cancelled]).await;
        dialogue(&mut device, &[("AUTH LOGIN", USER), cancelled]).await;
        dialogue(&mut device, &[("AUTH LOGIN", USER), ("dQ==", PASSWORD), cancelled]).await;
        dialogue(&mut device, &[("AUTH LOGIN dQ==", PASSWORD), cancelled, ("NOOP", "250")]).await;
        sends(&mut device).await;
        assert_eq!(door.queued().await.len(), 1);
    }
}

#[tokio::test]
async fn q_068_a_controller_finds_one_of_its_mechanisms() {
    let door = door("plc", Profile::Tolerant);
    // In the order in which a device may try them: what is not there leaves the next one possible.
    for last in [
        &[("AUTH PLAIN AHUAcA==", "235 2.7.0")][..],
        &[("AUTH LOGIN", USER), ("dQ==", PASSWORD), ("cA==", "235 2.7.0")],
    ] {
        let mut device = device(&door).await;
        dialogue(&mut device, &[("AUTH DIGEST-MD5", "504 5.5.4"), ("AUTH CRAM-MD5", "504 5.5.4")]).await;
        dialogue(&mut device, last).await;
        sends(&mut device).await;
    }
    assert_eq!(door.queued().await.len(), 2);
}

#[tokio::test]
async fn q_069_other_mechanisms_are_named_unknown_and_never_a_log_in() {
    for auth in [AuthMode::AcceptAny, AuthMode::Verify] {
        for profile in PROFILES {
            let door = door_with("mechanisms", profile, |plan| plan.listener.auth = auth);
            let mut device = device(&door).await;
            for mechanism in [
                "NTLM",
                "NTLM TlRMTVNTUAABAAAA",
                "GSSAPI",
                "XOAUTH2 dXNlcj1hAWF1dGg9QmVhcmVyIHgBAQ==",
                "ANONYMOUS",
                "x",
            ] {
                device.ask(&format!("AUTH {mechanism}"), "504 5.5.4 Unrecognized authentication type").await;
            }
            // Nobody is logged in: a log-in would be a second one.
            dialogue(&mut device, &[("AUTH LOGIN", USER), ("*", "501 5.7.0")]).await;
            sends(&mut device).await;
            assert_eq!(door.queued().await.len(), 1);
        }
    }
}
