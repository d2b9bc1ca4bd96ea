//! Tests of the client dialogue, state by state.

use super::*;

fn settings() -> Settings {
    Settings { ehlo: "relay.test".to_owned(), tls: Tls::None, login: None, pipelining: true }
}

fn transaction() -> Transaction {
    let to = vec![Address::parse("c@d").unwrap()];
    Transaction { from: ReversePath::Null, to, size: 2, eight_bit: false }
}

/// A client that has sent its final dot.
fn waiting() -> Client {
    let mut client = Client::new(settings());
    client.input(b"220 x\r\n250 x\r\n");
    assert_eq!(client.step(), Event::Ready);
    client.start(transaction());
    client.input(b"250 x\r\n250 x\r\n354 x\r\n");
    assert_eq!(client.step(), Event::SendBody);
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
    let Event::Done(done) = client.lost(Lost::Reset) else { panic!("done") };
    assert_eq!(done.recipients, [RecipientOutcome::Accepted(Reply::new(250, "queued"))]);
    assert_eq!(client.messages_done(), 1);
    assert_eq!(client.step(), Event::Closed);
}

#[test]
fn the_end_is_one_piece_and_uncertain_once_it_is_written() {
    let mut client = waiting();
    assert!(client.output().ends_with(b"hi\r\n.\r\n"));
    assert_eq!(client.phase(), Phase::FinalDot);
    client.output().clear();
    let Event::Done(done) = client.lost(Lost::Timeout) else { panic!("done") };
    assert_eq!(done.recipients, [RecipientOutcome::Uncertain { lost: Lost::Timeout }]);
    assert!(!done.reusable);
}

#[test]
fn quit_is_text_in_a_message_and_is_not_said_there() {
    let mut client = waiting();
    client.output().clear();
    client.quit();
    assert!(client.output().is_empty());
    assert_eq!(client.step(), Event::Closed);
}

#[test]
fn rubbish_behind_quit_is_ignored() {
    // U-03
    let mut client = Client::new(settings());
    client.input(b"220 x\r\n250 x\r\n");
    assert_eq!(client.step(), Event::Ready);
    client.quit();
    client.input(&[0; 100_000]);
    assert_eq!((client.step(), client.phase()), (Event::More, Phase::Quit));
    assert_eq!(client.lost(Lost::Eof), Event::Closed);
}

#[test]
fn a_transaction_out_of_turn_fails_and_does_not_panic() {
    let mut client = Client::new(settings());
    client.start(transaction());
    client.body(b"x");
    client.finish();
    assert!(matches!(client.step(), Event::Failed(Failure { kind: FailureKind::Protocol(_), .. })));
    assert!(client.output().is_empty());
}

#[test]
fn our_name_cannot_end_the_line() {
    let mut client = Client::new(Settings { ehlo: "a\r\nMAIL FROM:<x>".to_owned(), ..settings() });
    client.input(b"220 x\r\n");
    client.step();
    assert_eq!(&client.output()[..], b"EHLO aMAILFROM:<x>\r\n");
}

#[test]
fn no_debug_output_shows_a_secret() {
    let login = Login { user: "me".into(), secret: Secret::new("hunter2"), mechanisms: vec![Mechanism::Plain] };
    let mut client = Client::new(Settings { login: Some(login), ..settings() });
    client.input(b"220 x\r\n250-x\r\n250 AUTH PLAIN\r\n");
    client.step();
    assert!(client.output().ends_with(b"\r\nAUTH PLAIN AG1lAGh1bnRlcjI=\r\n"));
    let shown = format!("{client:?} {} {:?}", client.transcript(), client.settings);
    assert!(!shown.contains("hunter2") && !shown.contains("AG1l"), "{shown}");
}

#[test]
fn deadlines_are_those_of_the_standard() {
    // RFC 5321 section 4.5.3.2
    let seconds = [Phase::Greeting, Phase::Mail, Phase::Rcpt, Phase::DataCommand, Phase::Body, Phase::FinalDot];
    assert_eq!(seconds.map(Phase::deadline), [300, 300, 300, 120, 180, 600]);
}
