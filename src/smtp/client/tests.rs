//! Tests of the client dialogue, state by state.

use super::*;

fn settings() -> ClientSettings {
    ClientSettings { ehlo: "relay.test".to_owned(), tls: None, login: None, pipelining: true }
}

fn transaction() -> Transaction {
    let to = vec![Address::parse("c@d").unwrap()];
    Transaction { from: ReversePath::Null, to, size: 2, eight_bit: false }
}

/// A client that has sent its final dot.
fn waiting() -> ClientSession {
    let mut client = ClientSession::new(settings());
    client.input(b"220 x\r\n250 x\r\n");
    assert_eq!(client.step(), ClientEvent::Ready);
    client.start(transaction());
    client.input(b"250 x\r\n250 x\r\n354 x\r\n");
    assert_eq!(client.step(), ClientEvent::SendBody);
    client.body(b"hi");
    client.finish();
    client
}

#[test]
fn a_complete_reply_wins_over_the_loss() {
    // U-08, A-103
    let mut client = waiting();
    client.output().clear();
    client.input(b"250 queued\r\n");
    let ClientEvent::Done(done) = client.lost(Lost::Reset) else { panic!("done") };
    assert_eq!(done.recipients, [RecipientOutcome::Accepted(Reply::new(250, "queued"))]);
    assert_eq!(client.messages_done(), 1);
    assert_eq!(client.step(), ClientEvent::Closed);
}

#[test]
fn the_end_is_one_piece_and_uncertain_once_it_is_written() {
    let mut client = waiting();
    assert!(client.output().ends_with(b"hi\r\n.\r\n"));
    assert_eq!(client.phase(), ClientPhase::FinalDot);
    client.output().clear();
    let ClientEvent::Done(done) = client.lost(Lost::Timeout) else { panic!("done") };
    assert_eq!(done.recipients, [RecipientOutcome::Uncertain { lost: Lost::Timeout }]);
    assert!(!done.reusable);
}

#[test]
fn quit_is_text_in_a_message_and_is_not_said_there() {
    let mut client = waiting();
    client.output().clear();
    client.quit();
    assert!(client.output().is_empty());
    assert_eq!(client.step(), ClientEvent::Closed);
}

#[test]
fn rubbish_behind_quit_is_ignored() {
    // U-03
    let mut client = ClientSession::new(settings());
    client.input(b"220 x\r\n250 x\r\n");
    assert_eq!(client.step(), ClientEvent::Ready);
    client.quit();
    client.input(&[0; 100_000]);
    assert_eq!((client.step(), client.phase()), (ClientEvent::More, ClientPhase::Quit));
    assert_eq!(client.lost(Lost::Eof), ClientEvent::Closed);
}

#[test]
fn what_is_said_behind_the_verdict_is_no_answer_to_the_next_message() {
    for more in ["221 bye\r\n", "421 4.4.2 timeout\r\n", "22"] {
        let mut client = at_the_dot();
        client.input(format!("250 ok\r\n{more}").as_bytes());
        let ClientEvent::Done(outcome) = client.step() else { panic!("the verdict is here") };
        assert!(matches!(outcome.recipients[0], RecipientOutcome::Accepted(_)));
        assert!(!outcome.reusable, "{more:?}");
    }
    let mut client = at_the_dot();
    client.input(b"250 ok\r\n");
    assert!(matches!(client.step(), ClientEvent::Done(Outcome { reusable: true, .. })));
}

#[test]
fn a_transaction_out_of_turn_fails_and_does_not_panic() {
    let mut client = ClientSession::new(settings());
    client.start(transaction());
    client.body(b"x");
    client.finish();
    assert!(matches!(client.step(), ClientEvent::Failed(Failure { kind: FailureKind::Protocol(_), .. })));
    assert!(client.output().is_empty());
}

#[test]
fn our_name_cannot_end_the_line() {
    let mut client = ClientSession::new(ClientSettings { ehlo: "a\r\nMAIL FROM:<x>".to_owned(), ..settings() });
    client.input(b"220 x\r\n");
    client.step();
    assert_eq!(&client.output()[..], b"EHLO aMAILFROM:<x>\r\n");
}

#[test]
fn no_debug_output_shows_a_secret() {
    let login = ClientLogin {
        user: "me".into(),
        secret: Secret::new("hunter2"),
        mechanisms: vec![Mechanism::Plain],
        server: None,
    };
    let mut client = ClientSession::new(ClientSettings { login: Some(login), ..settings() });
    client.input(b"220 x\r\n250-x\r\n250 AUTH PLAIN\r\n");
    client.step();
    assert!(client.output().ends_with(b"\r\nAUTH PLAIN AG1lAGh1bnRlcjI=\r\n"));
    let shown = format!("{client:?} {} {:?}", client.transcript(), client.settings);
    assert!(!shown.contains("hunter2") && !shown.contains("AG1l"), "{shown}");
}

#[test]
fn deadlines_are_those_of_the_standard() {
    // RFC 5321 section 4.5.3.2
    let seconds = [
        ClientPhase::Greeting,
        ClientPhase::Mail,
        ClientPhase::Rcpt,
        ClientPhase::DataCommand,
        ClientPhase::Body,
        ClientPhase::FinalDot,
    ];
    assert_eq!(seconds.map(ClientPhase::deadline), [300, 300, 300, 120, 180, 600]);
}

/// A client in the middle of a pipelined transaction: the final dot is in the output.
fn at_the_dot() -> ClientSession {
    let mut client = ClientSession::new(ClientSettings {
        ehlo: "me".into(),
        tls: Some(Tls::Implicit),
        login: None,
        pipelining: true,
    });
    client.input(b"220 x\r\n");
    client.step();
    client.input(b"250-x\r\n250 PIPELINING\r\n");
    assert_eq!(client.step(), ClientEvent::Ready);
    client.start(to("a@b.c"));
    client.input(b"250 ok\r\n250 ok\r\n354 go\r\n");
    assert_eq!(client.step(), ClientEvent::SendBody);
    client.body(b"first\r\n");
    client.output().clear();
    client.finish();
    client
}

fn to(address: &str) -> Transaction {
    let to = vec![Address::parse(address).unwrap()];
    Transaction { from: ReversePath::Null, to, size: 7, eight_bit: false }
}

#[test]
fn the_next_message_is_announced_behind_the_final_dot() {
    let mut client = at_the_dot();
    assert!(client.follow(&to("d@e.f")));
    assert!(!client.follow(&to("g@h.i")), "one at a time");
    assert_eq!(&client.output()[..], b".\r\nMAIL FROM:<>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n");
    client.output().clear();
    client.input(b"250 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    let ClientEvent::Done(first) = client.step() else { panic!() };
    assert!(first.reusable && matches!(first.recipients[..], [RecipientOutcome::Accepted(_)]));
    assert_eq!(client.step(), ClientEvent::SendBody, "and this is the second one");
    client.body(b"second\r\n");
    client.finish();
    client.output().clear();
    client.input(b"550 no\r\n");
    let ClientEvent::Done(second) = client.step() else { panic!() };
    assert!(matches!(second.recipients[..], [RecipientOutcome::Refused { phase: ClientPhase::FinalDot, .. }]));
    assert_eq!(client.messages_done(), 1);
}

#[test]
fn a_refused_dot_does_not_harm_the_message_behind_it() {
    let mut client = at_the_dot();
    assert!(client.follow(&to("d@e.f")));
    client.output().clear();
    client.input(b"451 later\r\n250 ok\r\n550 nobody\r\n354 go\r\n");
    let ClientEvent::Done(first) = client.step() else { panic!() };
    assert!(matches!(first.recipients[..], [RecipientOutcome::Refused { phase: ClientPhase::FinalDot, .. }]));
    // The only recipient of the second one is refused: 354 is answered with a lone dot, nobody gets anything.
    assert_eq!(client.step(), ClientEvent::More);
    assert_eq!(&client.output()[..], b".\r\n");
}

#[test]
fn what_is_announced_is_never_uncertain_and_what_has_no_dot_is_not_either() {
    // All octets went out: the first one is uncertain.
    let mut client = at_the_dot();
    assert!(client.follow(&to("d@e.f")));
    client.output().clear();
    let ClientEvent::Done(first) = client.lost(Lost::Eof) else { panic!() };
    assert_eq!(first.recipients, [RecipientOutcome::Uncertain { lost: Lost::Eof }]);
    assert!(!first.reusable);
    // The dot went out, a part of the announcement did not: still uncertain.
    let mut client = at_the_dot();
    assert!(client.follow(&to("d@e.f")));
    let _ = client.output().split_to(5);
    let ClientEvent::Done(first) = client.lost(Lost::Reset) else { panic!() };
    assert_eq!(first.recipients, [RecipientOutcome::Uncertain { lost: Lost::Reset }]);
    // The dot itself did not go out: not sent, whatever stands behind it.
    let mut client = at_the_dot();
    assert!(client.follow(&to("d@e.f")));
    let _ = client.output().split_to(1);
    let ClientEvent::Done(first) = client.lost(Lost::Reset) else { panic!() };
    assert!(matches!(first.recipients[..], [RecipientOutcome::NotTried { .. }]));
    // The first one is through, then the line is lost: the second one was never begun.
    let mut client = at_the_dot();
    assert!(client.follow(&to("d@e.f")));
    client.output().clear();
    client.input(b"250 queued\r\n");
    let ClientEvent::Done(first) = client.step() else { panic!() };
    assert!(matches!(first.recipients[..], [RecipientOutcome::Accepted(_)]));
    let ClientEvent::Done(second) = client.lost(Lost::Eof) else { panic!() };
    assert!(matches!(second.recipients[..], [RecipientOutcome::NotTried { phase: ClientPhase::Mail, .. }]));
}

#[test]
fn nothing_is_announced_out_of_turn() {
    let mut client = at_the_dot();
    client.output().clear();
    client.input(b"250 queued\r\n");
    client.step();
    assert!(!client.follow(&to("d@e.f")), "the message is over");
    client.start(to("a@b.c"));
    assert!(!client.follow(&to("d@e.f")), "its end has not been written yet");
}

/// A client with a token, behind EHLO; what it has sent is taken off.
fn with_token(token: &str, offer: &str) -> ClientSession {
    let login = ClientLogin {
        user: "me@example.com".into(),
        secret: Secret::new(token),
        mechanisms: Mechanism::FOR_TOKENS.to_vec(),
        server: Some(("smtp.example.com".into(), 587)),
    };
    let mut client = ClientSession::new(ClientSettings { login: Some(login), ..settings() });
    client.input(b"220 x\r\n");
    client.step();
    client.output().clear();
    client.input(format!("250-x\r\n250 AUTH {offer}\r\n").as_bytes());
    client
}

/// What the client sends next.
fn sent(client: &mut ClientSession) -> String {
    assert_eq!(client.step(), ClientEvent::More);
    String::from_utf8(client.output().split().to_vec()).unwrap()
}

fn refusal(client: &mut ClientSession) -> Reply {
    let ClientEvent::Failed(Failure { kind: FailureKind::Refused(reply), sent_credentials: true, .. }) = client.step()
    else {
        panic!("refused")
    };
    reply
}

#[test]
fn a_token_goes_out_with_the_command_and_never_as_a_password() {
    let mut client = with_token("tok", "LOGIN PLAIN XOAUTH2");
    assert_eq!(sent(&mut client), "AUTH XOAUTH2 dXNlcj1tZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB0b2sBAQ==\r\n");
    client.input(b"235 ok\r\n");
    assert_eq!(client.step(), ClientEvent::Ready);
    let shown = client.transcript().to_string();
    assert!(shown.contains("AUTH XOAUTH2 [redacted]") && !shown.contains("dXNl"), "{shown}");
    let mut client = with_token("tok", "LOGIN PLAIN");
    assert!(matches!(client.step(), ClientEvent::Failed(Failure { kind: FailureKind::NoMechanism, .. })));
}

#[test]
fn both_forms_of_a_refused_token_are_heard_to_their_end() {
    let mut microsoft = with_token("tok", "LOGIN XOAUTH2");
    sent(&mut microsoft);
    microsoft.input(b"535 5.7.3 Authentication unsuccessful\r\n");
    assert_eq!(refusal(&mut microsoft), Reply::new(535, "5.7.3 Authentication unsuccessful"));
    // {"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}
    let json = "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
    for (offer, answer) in [("XOAUTH2", "\r\n"), ("OAUTHBEARER", "AQ==\r\n")] {
        let mut client = with_token("tok", offer);
        assert!(sent(&mut client).starts_with(&format!("AUTH {offer} ")));
        client.input(format!("334 {json}\r\n").as_bytes());
        assert_eq!(sent(&mut client), answer);
        client.input(b"535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 more\r\n");
        let words = String::from_utf8(refusal(&mut client).text().to_vec()).unwrap();
        assert!(words.starts_with("5.7.8 Username") && words.contains("\"status\":\"400\""), "{words}");
    }
}

#[test]
fn a_server_that_asks_without_end_is_left() {
    let mut client = with_token("tok", "XOAUTH2");
    sent(&mut client);
    client.input(b"334 e30=\r\n");
    sent(&mut client);
    client.input(b"334 e30=\r\n");
    assert!(matches!(client.step(), ClientEvent::Failed(Failure { kind: FailureKind::Protocol(_), .. })));
}

#[test]
fn a_long_token_goes_in_one_line_and_in_two_steps_where_the_server_cannot_read_it() {
    let token = "t".repeat(6000);
    let mut client = with_token(&token, "XOAUTH2");
    let line = sent(&mut client);
    assert!(line.len() > 8000 && line.len() <= 12_288, "{}", line.len());
    client.input(b"500 5.5.2 Line too long\r\n");
    assert_eq!(sent(&mut client), "AUTH XOAUTH2\r\n");
    client.input(b"334 \r\n");
    assert_eq!(format!("AUTH XOAUTH2 {}", sent(&mut client)), line);
    client.input(b"235 ok\r\n");
    assert_eq!(client.step(), ClientEvent::Ready);
    // A short line that is answered 500 is refused.
    let mut client = with_token("tok", "XOAUTH2");
    sent(&mut client);
    client.input(b"500 no\r\n");
    assert_eq!(refusal(&mut client).code(), 500);
    // Over the limit of RFC 4954 section 4 the command goes alone at once.
    let mut client = with_token(&"t".repeat(9_300), "XOAUTH2");
    assert_eq!(sent(&mut client), "AUTH XOAUTH2\r\n");
}

#[test]
fn a_server_that_did_not_read_the_initial_response_gets_it_again() {
    let mut client = with_token("tok", "OAUTHBEARER");
    let line = sent(&mut client);
    client.input(b"334\r\n");
    assert_eq!(format!("AUTH OAUTHBEARER {}", sent(&mut client)), line);
}
