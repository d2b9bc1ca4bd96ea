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
    let login = ClientLogin { user: "me".into(), secret: Secret::new("hunter2"), mechanisms: vec![Mechanism::Plain] };
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
