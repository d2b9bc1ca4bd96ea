//! Every fault strikes where it was asked for, as often as it was asked for.

use std::time::Duration;

use tokio::net::TcpStream;
use yizhan::clock::Clock;
use yizhan::drain::Drain;
use yizhan::sandbox::{Fault, Sandbox, Stage, What, replies};

use super::client::{CODE, Client, GOOD, USER, connector, sandbox, settings};

const STAGES: [Stage; 11] = [
    Stage::Connect,
    Stage::Ehlo,
    Stage::StartTls,
    Stage::Auth,
    Stage::Mail,
    Stage::Rcpt(None),
    Stage::Data,
    Stage::Body,
    Stage::FinalDot,
    Stage::Quit,
    Stage::Idle,
];

/// A client that has just done what makes a fault at `at` strike.
async fn up_to(sandbox: &Sandbox, at: &Stage) -> Client {
    match at {
        Stage::Handshake | Stage::Connect => Client::tls(sandbox).await,
        Stage::Ehlo => {
            let mut client = Client::tls(sandbox).await;
            client.expect("220").await;
            client.send(b"EHLO x\r\n").await;
            client
        }
        Stage::StartTls => {
            let mut client = Client::over(TcpStream::connect(sandbox.starttls_addr().unwrap()).await.unwrap());
            client.expect("220").await;
            client.say("EHLO x", "250").await;
            client.send(b"STARTTLS\r\n").await;
            client
        }
        Stage::Auth => {
            let mut client = Client::hello(sandbox).await;
            client.say("AUTH LOGIN", "334").await;
            client.say("MTAwMDBAcXEuY29t", "334").await;
            client.send(b"YWJjZGVmZ2hpamtsbW5vcA==\r\n").await;
            client
        }
        Stage::Mail | Stage::Quit => {
            let mut client = Client::ready(sandbox).await;
            client.send(if *at == Stage::Quit { b"QUIT\r\n" } else { b"MAIL FROM:<10000@qq.com>\r\n" }).await;
            client
        }
        Stage::Rcpt(_) => {
            let mut client = Client::ready(sandbox).await;
            client.say(&format!("MAIL FROM:<{USER}>"), "250").await;
            client.send(b"RCPT TO:<x@example.com>\r\n").await;
            client
        }
        Stage::Data => {
            let mut client = Client::ready(sandbox).await;
            client.envelope().await;
            client.send(b"DATA\r\n").await;
            client
        }
        Stage::Body => {
            let mut client = Client::at_data(sandbox).await;
            client.send(b"From: <10000@qq.com>\r\n").await;
            client
        }
        Stage::FinalDot => {
            let mut client = Client::at_data(sandbox).await;
            client.send(GOOD).await;
            client
        }
        Stage::Idle => {
            let mut client = Client::ready(sandbox).await;
            client.message(GOOD, "250").await;
            client
        }
    }
}

#[tokio::test]
async fn each_stage_can_be_answered_otherwise() {
    let sandbox = sandbox().await;
    // Raw octets, not even ASCII, and two lines.
    let octets = b"421-\xc7\xeb\xca\xb9\r\n421 4.0.0 other\r\n";
    for at in STAGES {
        sandbox.fault(Fault::once(at.clone(), What::ReplyThenClose(octets.to_vec())));
        up_to(&sandbox, &at).await.ends_with(octets).await;
        sandbox.fault(Fault::once(at.clone(), What::Reply(b"450 ".to_vec())));
        let mut client = up_to(&sandbox, &at).await;
        // The rest of the line may come by another fault, or never.
        client.expect_octets(b"450 ").await;
    }
    assert_eq!(sandbox.stats().faults, 22);
    assert_eq!(sandbox.stats().accepted, 2, "only those at Idle");
}

#[tokio::test]
async fn each_stage_can_close_or_reset() {
    let sandbox = sandbox().await;
    for at in STAGES {
        sandbox.fault(Fault::once(at.clone(), What::Close));
        up_to(&sandbox, &at).await.ends_with(b"").await;
        sandbox.fault(Fault::once(at.clone(), What::Reset));
        let (rest, end) = up_to(&sandbox, &at).await.rest().await;
        assert_eq!((rest, end), (Vec::new(), Some(std::io::ErrorKind::ConnectionReset)), "{at:?}");
    }
    assert_eq!(sandbox.stats().accepted, 2, "only those at Idle");
}

#[tokio::test]
async fn each_stage_can_stall_or_be_late() {
    let drain = Drain::default();
    let sandbox = Sandbox::start(settings(), Clock::system(), drain.clone()).await.unwrap();
    let mut stalled = Vec::new();
    for at in STAGES {
        sandbox.fault(Fault::once(at.clone(), What::Stall));
        let mut client = up_to(&sandbox, &at).await;
        client.is_silent().await;
        stalled.push(client);
        sandbox.fault(Fault::once(at.clone(), What::Delay(Duration::from_millis(5))));
        let mut client = up_to(&sandbox, &at).await;
        match at {
            Stage::Connect => drop(client.expect("220").await),
            Stage::Body | Stage::Idle => {}
            Stage::Quit => client.ends_with(&[&replies::JUNK[..], b"221 Bye.\r\n"].concat()).await,
            _ => drop(client.expect("").await),
        }
    }
    // One goes by itself and the sandbox notices; the others end with the drain.
    drop(stalled.pop());
    sandbox.wait_until(|stats| stats.open == 10).await;
    drain.start();
    drain.wait().await;
}

#[tokio::test]
async fn a_handshake_can_fail() {
    let sandbox = sandbox().await;
    for what in [What::Close, What::Reset, What::ReplyThenClose(b"554 no\r\n".to_vec()), What::Reply(b"x\r\n".to_vec())]
    {
        sandbox.fault(Fault::once(Stage::Handshake, what));
        let stream = TcpStream::connect(sandbox.implicit_addr().unwrap()).await.unwrap();
        let name = "localhost".try_into().unwrap();
        assert!(connector(&sandbox).connect(name, stream).await.is_err());
    }
    Client::ready(&sandbox).await.message(GOOD, "250").await;
}

#[tokio::test]
async fn uncertain_means_kept_and_not_said() {
    let sandbox = sandbox().await;
    sandbox.fault(Fault::once(Stage::FinalDot, What::CloseAfterAccept));
    up_to(&sandbox, &Stage::FinalDot).await.ends_with(b"").await;
    assert_eq!(sandbox.stats().accepted, 1);
    let received = sandbox.received();
    assert_eq!((&received[0].data[..], &*received[0].to[0]), (&GOOD[..GOOD.len() - 3], "x@example.com"));
    Client::ready(&sandbox).await.message(GOOD, "250").await;
}

#[tokio::test]
async fn one_recipient_can_be_singled_out() {
    let sandbox = sandbox().await;
    sandbox.fault(Fault {
        at: Stage::Rcpt(Some("B@x.com".to_owned())),
        what: What::Reply(b"450 later\r\n".to_vec()),
        times: 2,
    });
    let mut client = Client::ready(&sandbox).await;
    for (round, last) in [(1, "450 later"), (2, "450 later"), (3, "250 OK")] {
        client.say(&format!("MAIL FROM:<{USER}>"), "250").await;
        client.say("RCPT TO:<a@x.com>", "250").await;
        client.say("RCPT TO:<b@x.com>", last).await;
        client.say("DATA", "354").await;
        client.send(GOOD).await;
        client.expect("250").await;
        assert_eq!(sandbox.wait_for(round).await[round - 1].to.len(), if round == 3 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_fault_reply_is_obeyed_by_the_dialogue() {
    let sandbox = sandbox().await;
    // 250 at the final dot keeps a message that QQ would refuse; 235 takes a wrong code; 550 in the body is the verdict.
    sandbox.fault(Fault::once(Stage::Auth, What::Reply(b"235 come in\r\n".to_vec())));
    sandbox.fault(Fault::once(Stage::FinalDot, What::Reply(b"250 Mail OK queued as smtp5,D9GowAC\r\n".to_vec())));
    let mut client = Client::hello(&sandbox).await;
    client.log_in(USER, "wrong", "235 come in").await;
    client.message(b"no from\r\n.\r\n", "250 Mail OK queued as smtp5").await;
    sandbox.fault(Fault::once(Stage::Body, What::Reply(b"550 early\r\n".to_vec())));
    client.envelope().await;
    client.say("DATA", "354").await;
    client.send(b"From: <10000@qq.com>\r\n").await;
    client.expect("550 early").await;
    client.send(b"\r\nrest\r\n.\r\n").await;
    // No second reply: the next one is that of the next command.
    client.say("NOOP", "250").await;
    client.message(GOOD, "250 OK: queued as.").await;
    assert_eq!((sandbox.stats().accepted, sandbox.stats().refused), (2, 1));
}

#[tokio::test]
async fn an_idle_connection_is_struck_while_it_waits() {
    let sandbox = sandbox().await;
    let mut fresh = Client::ready(&sandbox).await;
    let mut client = Client::ready(&sandbox).await;
    client.message(GOOD, "250").await;
    client.is_silent().await;
    sandbox.fault(Fault::once(Stage::Idle, What::ReplyThenClose(b"421 go away\r\n".to_vec())));
    client.ends_with(b"421 go away\r\n").await;
    fresh.message(GOOD, "250").await;
}

#[tokio::test]
async fn a_fault_for_ever_ends_when_it_is_cleared() {
    let sandbox = sandbox().await;
    sandbox.fault(Fault::forever(Stage::Auth, What::ReplyThenClose(replies::use_authorization_code())));
    for _ in 0..5 {
        let (rest, _) = up_to(&sandbox, &Stage::Auth).await.rest().await;
        assert_eq!(rest, replies::use_authorization_code());
    }
    sandbox.clear_faults();
    Client::hello(&sandbox).await.log_in(USER, CODE, "235").await;
}
