//! What the door's questions make of each other: log-ins and TLS behind a load balancer, and under the limits and lists
//! of a client. Each by itself is tested in `listener::auth`, `listener::tls`, `listener::networks` and `listener::limits`.

use std::sync::Arc;

use crate::support::ca::{NAMES, TestCa};
use crate::support::door::an_hour;
use crate::support::entrance::{Entrance, Line, Plan, client, user};
use yizhan::route::Pattern;
use yizhan::telemetry::counter::REFUSED;

#[tokio::test]
async fn who_fails_too_often_is_put_off_before_his_password_is_looked_at() {
    let mut plan = Plan::default();
    plan.limits.failures_per_client = an_hour(4);
    let door = Entrance::open("failures", plan);
    let mut guesser = Line::hello(door.addr).await;
    for _ in 0..2 {
        guesser.log_in("printer", "wrong", "535 5.7.8").await;
        guesser.ask("NONSENSE", "500").await;
    }
    // Right or wrong: the answer tells nothing, and nobody has computed anything.
    for password in ["right", "wrong"] {
        Line::hello(door.addr).await.log_in("printer", password, "454 4.7.0").await;
    }
    assert_eq!(door.counters.sum(REFUSED, &[("reason", "login")]), 2);
    let mut other = Line::dial_from([127, 0, 0, 2].into(), door.addr).await;
    other.expect("220").await;
    other.ask("EHLO client.test", "250").await;
    other.log_in("printer", "right", "235").await;
}

#[tokio::test]
async fn behind_a_load_balancer_tls_follows_its_header_and_a_stranger_logs_in() {
    let ca = TestCa::new();
    for (addr, allowed) in [("10.1.2.3", true), ("192.0.2.9", false)] {
        let plan = Plan {
            tls: Some((ca.issue(NAMES), true)),
            proxy_from: vec!["127.0.0.0/8".parse().unwrap()],
            ..Plan::abroad()
        };
        let door = Entrance::open("balancer", plan);
        let mut line = Line::dial(door.addr).await;
        // The hello of TLS right behind the header: not an octet of it may be lost.
        line.write(format!("PROXY TCP4 {addr} 127.0.0.1 50000 465\r\n").as_bytes()).await;
        let mut line = line.tls(ca.file()).await.expect("the certificate is good");
        line.expect("220").await;
        line.ask("EHLO client.test", "250").await;
        if !allowed {
            line.ask("MAIL FROM:<a@example.com>", "530 5.7.0").await;
            line.log_in("printer", "right", "235").await;
        }
        line.send("a@example.com").await;
        let (_, head) = door.only().await;
        let with = if allowed { "with ESMTPS id" } else { "with ESMTPSA id" };
        assert!(head.contains(addr) && head.contains(with), "{head}");
    }
}

#[tokio::test]
async fn a_user_is_bound_by_his_own_list_and_by_that_of_the_client_he_is() {
    let patterns = |texts: [&str; 2]| texts.map(|text| Pattern::parse(text).unwrap()).to_vec();
    let mut bound = client("scanner");
    bound.senders = patterns(["both@example.com", "client@example.com"]);
    bound.recipients = patterns(["boss@example.com", "*@corp.example"]);
    let mut tied = user("printer", "right");
    tied.senders = patterns(["both@example.com", "user@example.com"]);
    tied.client = Some(Arc::new(bound));
    let door = Entrance::open("lists", Plan { users: vec![tied], ..Plan::abroad() });
    let mut line = Line::hello(door.addr).await;
    line.log_in("printer", "right", "235").await;
    for (sender, reason) in [("user", "client_sender"), ("client", "sender")] {
        line.ask(&format!("MAIL FROM:<{sender}@example.com>"), "553 5.7.1").await;
        assert_eq!(door.counters.sum(REFUSED, &[("reason", reason)]), 1, "{sender}");
    }
    line.ask("MAIL FROM:<both@example.com>", "250").await;
    line.ask("RCPT TO:<elsewhere@example.com>", "550 5.7.1").await;
    line.ask("RSET", "250").await;
    line.send("both@example.com").await;
}
