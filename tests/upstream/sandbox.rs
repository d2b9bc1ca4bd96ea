//! The sandbox behaves like QQ Mail, over real TLS, and fails when it is told to.

mod client;
mod faults;
mod limits;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use yizhan::clock::{Clock, Timestamp};
use yizhan::drain::Drain;
use yizhan::sandbox::{LoginRefusal, Sandbox, replies};
use yizhan::secret::Secret;

use client::{CODE, Client, GOOD, USER, connector, sandbox, settings, with};

fn line(words: replies::Words) -> String {
    format!("{} {}\r\n", words.0, words.1)
}

#[tokio::test]
async fn a_message_goes_all_the_way() {
    let sandbox = sandbox().await;
    let mut client = Client::tls(&sandbox).await;
    client.expect("220 newxmesmtplogicsvrszc16-0.qq.com XMail Esmtp QQ Mail Server.\r\n").await;
    assert_eq!(
        client.say("EHLO test", "250").await,
        "250-newxmesmtplogicsvrszc16-0.qq.com-127.0.0.1-1\r\n250-PIPELINING\r\n250-SIZE 73400320\r\n\
         250-AUTH LOGIN PLAIN XOAUTH XOAUTH2\r\n250-AUTH=LOGIN\r\n250-MAILCOMPRESS\r\n250-SMTPUTF8\r\n250 8BITMIME\r\n"
    );
    assert_eq!(client.log_in(USER, CODE, "235").await, "235 Authentication successful\r\n");
    assert_eq!(client.say("MAIL FROM:<10000@qq.com> SIZE=40 BODY=8BITMIME", "250").await, "250 OK\r\n");
    client.say("RCPT TO:<x@example.com>", "250 OK").await;
    client.say("RCPT TO:<y@example.com>", "250 OK").await;
    assert_eq!(client.say("DATA", "354").await, "354 End data with <CR><LF>.<CR><LF>.\r\n");
    client.send(b"From: a <10000@qq.com>\r\n\r\n..dot\r\n\xff\r\n.\r\n").await;
    assert_eq!(client.expect("250").await, "250 OK: queued as.\r\n");
    client.send(b"QUIT\r\n").await;
    client.ends_with(b"\x00\x00\x00\x1a\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00221 Bye.\r\n").await;

    let received = sandbox.wait_for(1).await;
    assert_eq!(received.len(), 1);
    assert_eq!(&received[0].data[..], b"From: a <10000@qq.com>\r\n\r\n.dot\r\n\xff\r\n");
    assert_eq!((&*received[0].from, &*received[0].login, received[0].connection), (USER, USER, 1));
    assert_eq!(received[0].to, ["x@example.com", "y@example.com"]);
    sandbox.wait_until(|stats| stats.open == 0).await;
    let stats = sandbox.stats();
    assert_eq!((stats.connections, stats.handshakes, stats.logins_ok, stats.accepted, stats.quits), (1, 1, 1, 1, 1));
}

#[tokio::test]
async fn the_other_port_offers_starttls_until_it_is_used() {
    let sandbox = sandbox().await;
    let mut plain = Client::over(TcpStream::connect(sandbox.starttls_addr().unwrap()).await.unwrap());
    plain.expect("220").await;
    plain.say("STARTTLS", "503").await;
    assert!(plain.say("EHLO test", "250").await.contains("\r\n250-SIZE 73400320\r\n250-STARTTLS\r\n250-AUTH LOGIN"));
    plain.say(&format!("MAIL FROM:<{USER}>"), "503 Error: need EHLO and AUTH first !").await;
    // The refusal comes after the secret.
    assert_eq!(plain.log_in(USER, CODE, "530").await, line(replies::NOT_SECURE));
    // What stands behind STARTTLS in plaintext is not run after the handshake.
    plain.send(b"STARTTLS\r\nNOOP\r\n").await;
    plain.expect("220").await;
    let tls =
        connector(&sandbox).connect(ServerName::try_from("localhost").unwrap(), plain.into_stream()).await.unwrap();
    let mut client = Client::over(tls);
    client.is_silent().await;
    client.say(&format!("MAIL FROM:<{USER}>"), "503").await;
    assert!(!client.say("EHLO test", "250").await.contains("STARTTLS"));
    client.log_in(USER, CODE, "235").await;
    client.message(GOOD, "250").await;
    assert_eq!(sandbox.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn strangers_are_hung_up_on() {
    let sandbox = sandbox().await;
    let mut tls_too_early = Client::over(TcpStream::connect(sandbox.starttls_addr().unwrap()).await.unwrap());
    tls_too_early.expect("220").await;
    tls_too_early.send(b"\x16\x03\x01\x00\x05hello").await;
    tls_too_early.ends_with(b"").await;
    let mut flood = Client::tls(&sandbox).await;
    flood.expect("220").await;
    flood.send(&[b'x'; 70_000]).await;
    flood.expect("421").await;
    flood.ends_with(b"").await;
    let mut chunking = Client::hello(&sandbox).await;
    chunking.say("BDAT 5 LAST", "502 Invalid input from").await;
    chunking.ends_with(b"").await;
}

#[tokio::test]
async fn only_those_who_have_the_authority_trust_it() {
    let (one, other) = (sandbox().await, sandbox().await);
    let stream = TcpStream::connect(one.implicit_addr().unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    assert!(connector(&other).connect(name.clone(), stream).await.is_err());
    for name in ["localhost", "127.0.0.1", "::1", "smtp.qq.com"] {
        let stream = TcpStream::connect(one.implicit_addr().unwrap()).await.unwrap();
        connector(&one).connect(ServerName::try_from(name).unwrap(), stream).await.unwrap();
    }
    let stream = TcpStream::connect(one.implicit_addr().unwrap()).await.unwrap();
    assert!(connector(&one).connect(ServerName::try_from("smtp.163.com").unwrap(), stream).await.is_err());
}

#[tokio::test]
async fn log_ins_are_as_odd_as_the_real_ones() {
    let sandbox = sandbox().await;
    let mut client = Client::hello(&sandbox).await;
    let reply = client.say("AUTH PLAIN", "502").await;
    assert_eq!(reply, "502 Invalid input from 127.0.0.1 to newxmesmtplogicsvrszc16-0.qq.com.\r\n");
    client.say("AUTH XOAUTH2 xyz", "502").await;
    client.say(&format!("MAIL FROM:<{USER}>"), "503 Error: need EHLO and AUTH first !").await;
    // With the initial response it works, and the user's letter case does not matter.
    client.say(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{}\0{CODE}", USER.to_uppercase()))), "235").await;
    client.message(GOOD, "250").await;

    let mut client = Client::hello(&sandbox).await;
    assert_eq!(client.log_in(USER, "wrong", "535").await, line(replies::LOGIN_FAILED));
    client.ends_with(b"").await;
    let mut client = Client::hello(&sandbox).await;
    client.log_in("nobody@qq.com", CODE, "535").await;

    sandbox.set_login_refusal(LoginRefusal::UseAuthorizationCode);
    let mut client = Client::hello(&sandbox).await;
    client.say("AUTH LOGIN", "334").await;
    client.say(&STANDARD.encode(USER), "334").await;
    client.send(format!("{}\r\n", STANDARD.encode("wrong")).as_bytes()).await;
    let (rest, end) = client.rest().await;
    assert!(rest.starts_with(b"535 Error: \xc7\xeb\xca\xb9\xd3\xc3") && end.is_none(), "{}", rest.escape_ascii());
    assert!(std::str::from_utf8(&rest).is_err());
    assert_eq!((sandbox.stats().logins_ok, sandbox.stats().logins_refused), (1, 3));
}

#[tokio::test]
async fn a_code_can_be_revoked_and_renewed() {
    let sandbox = sandbox().await;
    let mut old = Client::ready(&sandbox).await;
    sandbox.set_secret(USER, Secret::new("qrstqrstqrstqrst"));
    Client::hello(&sandbox).await.log_in(USER, CODE, "535").await;
    Client::hello(&sandbox).await.log_in(USER, "qrstqrstqrstqrst", "235").await;
    old.message(GOOD, "250").await;
}

#[tokio::test]
async fn senders_and_recipients_are_judged() {
    let sandbox = sandbox().await;
    let mut client = Client::ready(&sandbox).await;
    for from in ["<printer@office.lan>", "<>", "<b@qq.com>"] {
        assert_eq!(client.say(&format!("MAIL FROM:{from}"), "501").await, line(replies::WRONG_SENDER));
    }
    client.say("MAIL FROM:10000@qq.com@x", "50").await;
    client.say(&format!("MAIL FROM:<{USER}>"), "250").await;
    for to in ["nobody@qq.com", "refused@example.com", "Refused-too@example.com"] {
        client.say(&format!("RCPT TO:<{to}>"), "550 Mailbox not found. http://service.mail.qq.com/").await;
    }
    client.say("RCPT TO:<busy1@example.com>", "451").await;
    client.say("RCPT TO:<postmaster>", "501 Bad address syntax").await;
    client.say("RCPT TO:<用户@example.com>", "502 Invalid input from 127.0.0.1").await;
    for n in 0..100 {
        client.say(&format!("RCPT TO:<r{n}@example.com>"), "250").await;
    }
    client.say("RCPT TO:<r100@example.com>", "452").await;
    client.say("DATA", "354").await;
    client.send(GOOD).await;
    client.expect("250").await;
    assert_eq!(sandbox.wait_for(1).await[0].to.len(), 100);
    assert_eq!(sandbox.stats().recipients_refused, 5);
}

#[tokio::test]
async fn messages_are_judged() {
    let sandbox = with(|settings| settings.limits.max_message = 100_000).await;
    let mut client = Client::ready(&sandbox).await;
    let long = [b"From: <10000@qq.com>\r\n\r\n".as_slice(), &[b'x'; 999], b"\r\n.\r\n"].concat();
    let from = line(replies::BAD_FROM);
    for (data, verdict) in [
        (&b"Subject: x\r\n\r\nhi\r\n.\r\n"[..], &*from),
        (b".\r\n", &from),
        (b"\r\nFrom: <10000@qq.com>\r\n\r\nx\r\n.\r\n", &from),
        (b"From: =?utf-8?B?TG9nU2VuZGVyIDxhQHFxLmNvbT4=?=\r\n\r\nhi\r\n.\r\n", &from),
        (b"From: LogSender\r\n\r\nhi\r\n.\r\n", &from),
        (b"From: <10000@qq.com>\r\n\r\nbare\nlf\r\n.\r\n", "550"),
        (b"From: <10000@qq.com>\r\n\r\nbare\rcr\r\n.\r\n", "550"),
        (b"From: <10000@qq.com>\r\n\r\nnul\0\r\n.\r\n", "550"),
        (&long, "550"),
    ] {
        client.message(data, verdict).await;
    }
    client.say(&format!("MAIL FROM:<{USER}> SIZE=100001"), "552 Message too large").await;
    let large = [&b"From: <10000@qq.com>\r\n\r\n"[..], &b"0123456789\r\n".repeat(9000), b".\r\n"].concat();
    client.message(&large, "552 Message too large").await;
    client.message(&large[large.len() - 12 * 8000..], &from).await;
    client.message(GOOD, "250").await;
    assert_eq!((sandbox.stats().refused, sandbox.stats().accepted), (11, 1));
}

#[tokio::test]
async fn seventy_mebibytes_come_through() {
    let sandbox = sandbox().await;
    let mut client = Client::ready(&sandbox).await;
    let mut data = b"From: <10000@qq.com>\r\n\r\n".to_vec();
    while data.len() + 80 <= 70 << 20 {
        data.extend_from_slice(&[b'x'; 78]);
        data.extend_from_slice(b"\r\n");
    }
    let length = data.len();
    data.extend_from_slice(b".\r\n");
    client.message(&data, "250").await;
    assert_eq!(sandbox.wait_for(1).await[0].data, data[..length]);
}

#[tokio::test]
async fn frequencies_are_limited() {
    let mut settings = settings();
    (settings.limits.message_rates.minute, settings.limits.login_rates.minute) = (Some(2), Some(3));
    let clock = Clock::manual(Timestamp::from_millis(1_790_000_000_000));
    let sandbox = Sandbox::start(settings, clock.clone(), Drain::default()).await.unwrap();
    let mut client = Client::ready(&sandbox).await;
    client.message(GOOD, "250").await;
    clock.advance(Duration::from_secs(30));
    client.message(GOOD, "250").await;
    let refused = client.say(&format!("MAIL FROM:<{USER}>"), "550").await;
    assert_eq!(refused, "550 Sender frequency limited.\r\n");
    clock.advance(Duration::from_secs(30));
    client.message(GOOD, "250").await;
    client.say(&format!("MAIL FROM:<{USER}>"), "550").await;

    for _ in 0..3 {
        Client::hello(&sandbox).await.log_in(USER, CODE, "235").await;
    }
    assert_eq!(Client::hello(&sandbox).await.log_in(USER, CODE, "535").await, line(replies::LOGIN_FAILED));
    clock.advance(Duration::from_secs(60));
    Client::hello(&sandbox).await.log_in(USER, CODE, "235").await;
}

#[tokio::test]
async fn connections_and_messages_on_them_can_be_limited() {
    let sandbox = with(|settings| {
        (settings.limits.connections, settings.limits.messages_per_connection) = (Some(1), Some(1));
    })
    .await;
    let mut first = Client::ready(&sandbox).await;
    Client::tls(&sandbox).await.ends_with(line(replies::CONNECTION_LIMITED).as_bytes()).await;
    first.message(GOOD, "250").await;
    first.say(&format!("MAIL FROM:<{USER}>"), "421").await;
    first.ends_with(b"").await;
    drop(first);
    sandbox.wait_until(|stats| stats.open == 0).await;
    Client::ready(&sandbox).await.message(GOOD, "250").await;
}

#[tokio::test]
async fn a_reset_is_answered_with_junk() {
    let sandbox = sandbox().await;
    let mut client = Client::ready(&sandbox).await;
    client.envelope().await;
    client.send(b"RSET\r\nQUIT\r\n").await;
    client.ends_with(&[&replies::JUNK[..], b"250 OK\r\n", &replies::JUNK, b"221 Bye.\r\n"].concat()).await;
    assert_eq!((sandbox.stats().resets, sandbox.stats().accepted), (1, 0));
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_one_piece() {
    let sandbox = sandbox().await;
    let mut client = Client::ready(&sandbox).await;
    for _ in 0..3 {
        client
            .send(format!("MAIL FROM:<{USER}>\r\nRCPT TO:<nobody@x.com>\r\nRCPT TO:<y@x.com>\r\nDATA\r\n").as_bytes())
            .await;
        client.expect("250").await;
        // The others came with the first.
        assert!(client.waiting().ends_with(b"<CR><LF>.\r\n"), "{}", client.waiting().escape_ascii());
        for code in ["550", "250", "354"] {
            client.expect(code).await;
        }
        client.send(GOOD).await;
        client.expect("250 OK: queued as.").await;
    }
    assert_eq!(sandbox.wait_for(3).await[2].to, ["y@x.com"]);
    // What comes behind DATA before 354 was not asked for.
    client
        .send([format!("MAIL FROM:<{USER}>\r\nRCPT TO:<y@x.com>\r\nDATA\r\n").as_bytes(), GOOD].concat().as_slice())
        .await;
    client.expect("250").await;
    client.expect("250").await;
    client.expect("554").await;
    client.ends_with(b"").await;
}

#[tokio::test]
async fn old_messages_are_forgotten_and_the_count_goes_on() {
    let sandbox = with(|settings| settings.keep = 2).await;
    let mut client = Client::ready(&sandbox).await;
    for _ in 0..5 {
        client.message(GOOD, "250").await;
    }
    assert_eq!(sandbox.wait_for(5).await.len(), 2);
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way() {
    let drain = Drain::default();
    let sandbox = Sandbox::start(settings(), Clock::system(), drain.clone()).await.unwrap();
    let mut idle = Client::ready(&sandbox).await;
    let mut busy = Client::at_data(&sandbox).await;
    drain.start();
    idle.expect("421").await;
    busy.send(GOOD).await;
    busy.expect("250").await;
    busy.expect("421").await;
    drop((idle, busy));
    drain.wait().await;
    assert!(TcpStream::connect(sandbox.implicit_addr().unwrap()).await.is_err());
}

#[tokio::test]
async fn an_outage_frees_the_port_and_the_same_port_comes_back() {
    let first = sandbox().await;
    let mut client = Client::at_data(&first).await;
    let addr = first.implicit_addr();
    first.stop().await;
    assert!(client.rest().await.0.is_empty());
    let second = with(|settings| settings.implicit = addr).await;
    Client::ready(&second).await.message(GOOD, "250").await;
    assert!(
        Sandbox::start(
            {
                let mut s = settings();
                s.implicit = addr;
                s
            },
            Clock::system(),
            Drain::default()
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn replies_can_be_far_away() {
    let sandbox = with(|settings| settings.reply_delay = Duration::from_millis(20)).await;
    let start = std::time::Instant::now();
    Client::ready(&sandbox).await.message(GOOD, "250").await;
    assert!(start.elapsed() >= Duration::from_millis(20 * 8), "{:?}", start.elapsed());
}
