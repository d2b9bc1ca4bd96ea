//! One account's way out, without a relay around it: what `delivery` has in its hand, for tests of connections.
//!
//! Not here: the queue, sender rewriting, the breaker. The message is small and always the same.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use yizhan::clock::Timestamp;
use yizhan::mail::{Address, Id, ReversePath};
use yizhan::net::tls::roots::Roots;
use yizhan::provider::{Endpoint, Group, Mechanism, Tls};
use yizhan::queue::StoredBody;
use yizhan::sandbox::Sandbox;
use yizhan::secret::{Secret, SecretSource};
use yizhan::telemetry::counter::Counters;
use yizhan::upstream::permit::Answer;
use yizhan::upstream::{
    Condition, ConnectLimits, Fate, Held, Letter, Permit, Report, Unlimited, Upstream, UpstreamSettings,
};

use super::folder::Folder;
use super::office::{CODE, USER, endpoint};

/// The way out of [`USER`] to `sandbox`, by its port with TLS from the first octet; one connection.
pub fn settings(sandbox: &Sandbox, folder: &Folder) -> UpstreamSettings {
    UpstreamSettings {
        account: "office".to_owned(),
        hostname: "relay.test".to_owned(),
        endpoints: vec![implicit(sandbox)],
        user: Some(USER.to_owned()),
        secret: SecretSource::Plain(Secret::new(CODE)),
        token: None,
        login: vec![Mechanism::Login, Mechanism::Plain],
        proxy: None,
        limits: ConnectLimits { dial: Duration::from_secs(20), handshake: Duration::from_secs(20) },
        ca: Some(folder.file("ca.pem", sandbox.ca_pem())),
        roots: Roots::default(),
        group: Group::Tencent,
        catalogue: yizhan::provider::Catalogue::built_in(),
        connections: 1,
        idle: Duration::from_secs(60),
        oldest: Duration::from_secs(1800),
        announce: false,
        messages_per_connection: 1000,
    }
}

/// The sandbox's port with TLS from the first octet.
pub fn implicit(sandbox: &Sandbox) -> Endpoint {
    endpoint(sandbox.implicit_addr().expect("it is open"), Tls::Implicit)
}

/// The sandbox's port with STARTTLS.
pub fn starttls(sandbox: &Sandbox) -> Endpoint {
    endpoint(sandbox.starttls_addr().expect("it is open"), Tls::StartTls)
}

/// An account that is ready.
pub fn upstream(settings: UpstreamSettings) -> Upstream {
    Upstream::new(settings, Counters::default())
}

/// Sends one message.
pub async fn send(upstream: &Upstream) -> Report {
    send_with(upstream, &Unlimited).await
}

/// Sends one message, if the permit allows the log-in that it may need.
pub async fn send_with(upstream: &Upstream, permit: &dyn Permit) -> Report {
    attempt(upstream, permit).await.0
}

/// As [`send_with`]; says as well whether the report is second-hand.
pub async fn attempt(upstream: &Upstream, permit: &dyn Permit) -> (Report, bool) {
    let body = StoredBody::from(Bytes::from_static(b"body\r\n"));
    let address = |text: &str| Address::parse(text).expect("an address");
    let letter = Letter {
        id: Id::new(Timestamp::from_millis(1), 1),
        from: ReversePath::Address(address(USER)),
        to: vec![address("a@else.test")],
        head: Bytes::from(format!("From: {USER}\r\nTo: a@else.test\r\nSubject: hello\r\n")),
        body: &body,
        eight_bit: true,
    };
    let mut slot = upstream.slot(&letter).await;
    let report = upstream.send(&mut slot, &letter, permit).await;
    (report, slot.is_second_hand())
}

/// Sends one message, which must arrive.
pub async fn deliver(upstream: &Upstream) {
    delivered(&send(upstream).await);
}

/// The message of this report has arrived.
pub fn delivered(report: &Report) {
    assert_eq!((report.outcomes[0].fate, &report.condition), (Fate::Delivered, &Condition::Works), "{report:?}");
}

/// What went wrong with the line.
pub fn line_trouble(report: &Report) -> &str {
    match &report.condition {
        Condition::Line(text) => text,
        Condition::Works
        | Condition::Unclear
        | Condition::Unreadable { .. }
        | Condition::Account { .. }
        | Condition::Held { .. } => {
            panic!("not the line: {report:?}")
        }
    }
}

/// A budget of so many log-ins.
pub struct Budget {
    left: Mutex<u32>,
    asked: Mutex<u32>,
}

/// When the budget says that it has more.
pub const NEXT_LOGIN: Timestamp = Timestamp::from_millis(1_900_000_000_000);

impl Budget {
    pub fn of(logins: u32) -> Budget {
        Budget { left: Mutex::new(logins), asked: Mutex::new(0) }
    }

    /// How often it was asked.
    pub fn asked(&self) -> u32 {
        *self.asked.lock().expect("no panic holds it")
    }
}

impl Permit for Budget {
    fn login(&self) -> Answer<'_> {
        *self.asked.lock().expect("no panic holds it") += 1;
        let mut left = self.left.lock().expect("no panic holds it");
        let answer = if *left == 0 {
            Err(Held { until: NEXT_LOGIN, text: "no log-in left in this hour".to_owned() })
        } else {
            *left -= 1;
            Ok(())
        };
        Box::pin(std::future::ready(answer))
    }
}
