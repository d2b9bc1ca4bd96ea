//! Tests of the server session that need no transcript.

use std::sync::Arc;

use bytes::BytesMut;

use super::responder::NOTES;
use super::*;
use crate::smtp::reply::Reply;

fn session(settings: SessionSettings) -> (Session, BytesMut) {
    (Session::new(Arc::new(settings)), BytesMut::new())
}

fn relay() -> SessionSettings {
    SessionSettings::relay("relay.test")
}

/// Steps over the refusals; gives the next other event, and what the log has of the refusals.
fn step_over(session: &mut Session, input: &mut BytesMut) -> (SessionEvent, String) {
    let mut refused = String::new();
    loop {
        match session.step(input) {
            SessionEvent::Refused(refusal) => refused += &format!("{refusal:?}"),
            event => return (event, refused),
        }
    }
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let (mut session, mut input) = session(relay());
    session.answer(Reply::new(550, "x"));
    assert!(session.output().is_empty());
    assert_eq!(session.step(&mut input), SessionEvent::More);
}

#[test]
fn nothing_is_consumed_while_an_answer_is_due() {
    let (mut session, mut input) = session(relay());
    input.extend_from_slice(b"MAIL FROM:<a@b>\r\nQUIT\r\n");
    assert!(matches!(session.step(&mut input), SessionEvent::Mail { .. }));
    assert_eq!((session.step(&mut input), &input[..]), (SessionEvent::More, &b"QUIT\r\n"[..]));
    session.answer(Reply::new(250, "OK"));
    assert_eq!(session.step(&mut input), SessionEvent::Close);
    assert_eq!(&session.output()[..], b"250 OK\r\n221 2.0.0 Bye\r\n");
}

#[test]
fn phases_follow_the_dialogue() {
    let (mut session, mut input) = session(SessionSettings { auth: AuthMode::Verify, ..relay() });
    assert_eq!(session.phase(), SessionPhase::Command);
    input.extend_from_slice(b"AUTH LOGIN\r\n");
    session.step(&mut input);
    assert_eq!(session.phase(), SessionPhase::Auth);
    input.extend_from_slice(b"*\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    for _ in 0..3 {
        session.step(&mut input);
        session.answer(Reply::new(250, "OK"));
    }
    assert_eq!(session.phase(), SessionPhase::Data);
}

#[test]
fn a_refused_connection_closes_after_its_reply() {
    let (mut session, mut input) = session(relay());
    session.refuse(Reply::new(421, "4.3.2 Busy"));
    input.extend_from_slice(b"EHLO x\r\n");
    assert_eq!(session.step(&mut input), SessionEvent::Close);
    assert_eq!(&session.output()[..], b"421 4.3.2 Busy\r\n");
}

#[test]
fn a_kept_connection_carries_many_thousands_of_messages() {
    let (mut session, mut input) = session(relay());
    for n in 0..20_000 {
        input.extend_from_slice(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n");
        loop {
            match session.step(&mut input) {
                SessionEvent::Close => panic!("closed before message {n}: {:?}", session.output()),
                SessionEvent::More if input.is_empty() => break,
                SessionEvent::Mail { .. } | SessionEvent::Rcpt(_) | SessionEvent::Data | SessionEvent::End => {
                    session.answer(Reply::new(250, "OK"))
                }
                _ => {}
            }
        }
        session.output().clear();
    }
}

#[test]
fn the_greeting_is_one_short_line() {
    //
    let (mut session, _) = session(relay());
    session.greet();
    let text = String::from_utf8(session.output().to_vec()).unwrap();
    assert!(
        text.starts_with("220 ") && text.contains("ESMTP") && text.len() <= 100 && text.matches("\r\n").count() == 1
    );
}

#[test]
fn literal_codes_are_literal() {
    //
    let replies = Replies::relay("relay.test");
    let codes = [&replies.mail_ok, &replies.rcpt_ok, &replies.data_go, &replies.bye, &replies.auth_ok].map(Reply::code);
    assert_eq!(codes, [250, 250, 354, 221, 235]);
    let mut wire = BytesMut::new();
    for prompt in [&replies.auth_user, &replies.auth_password, &replies.auth_plain] {
        prompt.write(&mut wire);
    }
    assert_eq!(&wire[..], b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n334 \r\n");
}

#[test]
fn notes_are_bounded_and_tell_no_secret() {
    // the second half of a blob arrives as a command.
    let (mut session, mut input) = session(SessionSettings { auth: AuthMode::Verify, max_errors: 1000, ..relay() });
    input.extend_from_slice(b"AUTH PLAIN dXNlcgB1c2Vy\r\nAHBhc\r\nNOOP\r\nFOO\r\n");
    let (_, refused) = step_over(&mut session, &mut input);
    let notes = format!("{:?}", session.notes());
    assert!(!notes.contains("AHBhc") && notes.contains("FOO"), "{notes}");
    assert!(!refused.contains("AHBhc") && refused.contains("AuthMalformed"), "{refused}");
    input.extend_from_slice(&b"FOO\r\n".repeat(100));
    session.step(&mut input);
    assert_eq!(session.notes().len(), NOTES);
    assert!(session.notes().is_empty());
}

#[test]
fn q_057_the_rest_of_a_blob_that_was_taken_is_in_no_note() {
    // Cut where the first half is good base64, with the begin of the password in it.
    for (auth, code) in [(AuthMode::Verify, 535), (AuthMode::AcceptAny, 235)] {
        let (mut session, mut input) = session(SessionSettings { auth, ..relay() });
        input.extend_from_slice(b"AUTH PLAIN AHVzZXIAcGFz\r\nc3dvcmQ\r\nsecret\r\nNOOP\r\nFOO\r\n");
        assert!(matches!(session.step(&mut input), SessionEvent::Auth { .. }));
        session.answer(Reply::new(code, "x"));
        session.step(&mut input);
        let notes = format!("{:?}", session.notes());
        assert!(!notes.contains("c3dvcmQ") && !notes.contains("secret") && notes.contains("FOO"), "{notes}");
    }
}

#[test]
fn a_066_memory_stays_bounded_by_lines_and_messages() {
    //
    let (mut session, mut input) = session(SessionSettings { max_message: 1000, ..relay() });
    input.extend_from_slice(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    for _ in 0..3 {
        session.step(&mut input);
        session.answer(Reply::new(if session.phase() == SessionPhase::Data { 354 } else { 250 }, "OK"));
    }
    let (mut kept, mut sent) = (0, 0);
    loop {
        input.extend_from_slice(&[b'x'; 4096]);
        sent += 4096;
        match session.step(&mut input) {
            SessionEvent::Chunk(chunk) => kept += chunk.len(),
            SessionEvent::Discarded(reason) => assert_eq!(reason, Reason::TooLarge),
            SessionEvent::Refused(refusal) => assert_eq!(refusal.cause, RefusalCause::MessageSize),
            SessionEvent::More => {}
            SessionEvent::Close => break,
            other => panic!("{other:?}"),
        }
        while session.phase() == SessionPhase::Data && !input.is_empty() {
            session.step(&mut input);
        }
        assert!(sent < 4 << 20);
    }
    assert!(kept <= 1000);
    assert!(session.output().ends_with(b"552 5.3.4 Message too large\r\n"));
}

#[test]
fn a_provider_can_be_imitated() {
    let mut settings = SessionSettings { starttls: true, ..relay() };
    settings.replies.hostname = "newxmesmtplogicsvrszb20-0.qq.com-10.0.0.1-7".to_owned();
    settings.replies.keywords = Some(["PIPELINING", "STARTTLS", "AUTH=LOGIN", "8BITMIME"].map(str::to_owned).to_vec());
    let (mut session, mut input) = session(settings);
    let mut hello = |session: &mut Session| {
        input.extend_from_slice(b"EHLO x\r\n");
        session.step(&mut input);
        String::from_utf8(session.output().split().to_vec()).unwrap()
    };
    let first = hello(&mut session);
    assert!(first.starts_with("250-newx") && first.ends_with("250-AUTH=LOGIN\r\n250 8BITMIME\r\n"), "{first}");
    assert!(first.contains("STARTTLS"));
    session.tls_started();
    assert!(!hello(&mut session).contains("STARTTLS"));
}

#[test]
fn a_044_a_password_that_nobody_asked_for_is_in_no_note() {
    // The client does not wait for the answers, or repeats itself; its base64 has letters only, like a verb.
    let verify = || SessionSettings { auth: AuthMode::Verify, max_errors: 1000, ..relay() };
    let cases: [(SessionSettings, &str); 7] = [
        (SessionSettings { auth: AuthMode::Off, ..verify() }, "AUTH LOGIN\r\n"),
        (SessionSettings { auth_after_tls: true, starttls: true, ..verify() }, "AUTH LOGIN\r\n"),
        (verify(), "AUTH NTLM\r\n"),
        (verify(), "AUTH PLAIN a b\r\n"),
        (verify(), "AUTH PLAIN !\r\n"),
        (verify(), "AUTH PLAIN AHUAcA==\r\n"),
        (verify(), "AUTH LOGIN\r\ndXNlcg==\r\ncHc=\r\n"),
    ];
    for (settings, start) in cases {
        let (mut session, mut input) = session(settings);
        input.extend_from_slice(format!("{start}UGFzcwdk\r\nUGFzcwdk\r\n").as_bytes());
        let (event, mut refused) = step_over(&mut session, &mut input);
        if let SessionEvent::Auth { .. } = event {
            session.answer(Reply::new(235, "2.7.0 OK"));
            refused += &step_over(&mut session, &mut input).1;
        }
        assert!(session.output().ends_with(b"500 5.5.2 Command not recognized\r\n"), "{start}");
        let notes = format!("{:?} {refused}", session.notes());
        assert!(!notes.contains("UGFzcwdk") && notes.contains("[hidden]"), "{start}: {notes}");
    }
}

#[test]
fn a_059_a_delivery_does_not_buy_more_guesses() {
    let (mut session, mut input) = session(SessionSettings { auth: AuthMode::Verify, ..relay() });
    let mut asked = 0;
    for _ in 0..5 {
        input.extend_from_slice(b"AUTH PLAIN AHUAcA==\r\n");
        if matches!(session.step(&mut input), SessionEvent::Auth { .. }) {
            asked += 1;
            session.answer(Reply::new(535, "5.7.8 No"));
        }
        input.extend_from_slice(b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n");
        for code in [250, 250, 354, 250] {
            session.step(&mut input);
            session.answer(Reply::new(code, "OK"));
        }
    }
    assert_eq!(asked, 3);
}
