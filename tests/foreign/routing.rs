//! A list with `*@corp.test` keeps mail in that domain, also where the next host takes a local part for a route (A-053).
//!
//! Behind the relay: a Postfix with its defaults (`allow_percent_hack`, `swap_bangpath`, `resolve_dequoted_address`), and
//! an Exim for old networks. Each is first asked without the relay, and does send mail out of its domain.

use std::time::Duration;

use crate::support::branch::{Account, Branch};
use crate::support::clients::{Letter, Target, Tls, swaks};
use crate::support::exim::Exim;
use crate::support::office::Device;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::skip::{Missing, need};
use yizhan::clock::Clock;
use yizhan::queue::MessageState;

const MAIL: &[u8] = b"Subject: x\r\n\r\nx\r\n";
const HOUR: Duration = Duration::from_secs(3600);
/// Where no mail may go.
const ELSEWHERE: &str = "@elsewhere.test";
const LIST: &str = "[client.listed]\nfrom = [\"127.0.0.0/8\"]\nrecipient = [\"*@corp.test\"]\n";

/// Recipients that name the other domain in some way. The relay refuses each of them.
const ROUTED: [&str; 16] = [
    "user%elsewhere.test@corp.test",
    "elsewhere.test!user@corp.test",
    r#""user@elsewhere.test"@corp.test"#,
    r#""user%elsewhere.test"@corp.test"#,
    r#""elsewhere.test!user"@corp.test"#,
    r#""user\@elsewhere.test"@corp.test"#,
    r#""us\er%elsewhere.test"@corp.test"#,
    "user%elsewhere.test%corp.test@corp.test",
    "corp.test!elsewhere.test!user@corp.test",
    "elsewhere.test!user%corp.test@corp.test",
    "/elsewhere.test/user@corp.test",
    "/C=xx/PRMD=elsewhere/S=user/@corp.test",
    "user@elsewhere.test@corp.test",
    "@corp.test:user@elsewhere.test",
    "@corp.test:user%elsewhere.test@corp.test",
    "@elsewhere.test,@corp.test:elsewhere.test!user@corp.test",
];

/// The route in front is dropped (RFC 5321 appendix F.2): ordinary mail.
const SOURCE_ROUTE: &str = "@elsewhere.test,@corp.test:two@corp.test";

/// Hands each recipient to the next host, without a relay between. Gives how many it took.
fn ask_directly(port: u16, ca: &std::path::Path, (user, code): (&str, &str)) -> Result<usize, Missing> {
    let target = Target::secure(port, Tls::Implicit, ca, user, code);
    let mut taken = 0;
    // A comma would part two recipients.
    for to in ROUTED.iter().filter(|to| !to.contains(',')) {
        taken += usize::from(swaks(&target, &Letter::new(user, &[to], MAIL), &[])?.ok());
    }
    Ok(taken)
}

/// The same recipients, and two ordinary ones, from a device whose list is `*@corp.test`.
async fn ask_relay(account: &Account<'_>) {
    let branch = Branch::with("listed", account, HOUR, Clock::system(), LIST);
    let mut device = Device::connect(branch.door()).await;
    device.ask("MAIL FROM:<device@lan.local>", "250").await;
    for to in ROUTED {
        let reply = device.ask(&format!("RCPT TO:<{to}>"), "55").await;
        assert!(reply.starts_with("550 5.7.1 ") || reply.starts_with("553 5.1.3 "), "{to}: {reply}");
    }
    device.ask("RSET", "250").await;
    let id = device.send("device@lan.local", &["one@corp.test", SOURCE_ROUTE], MAIL).await;
    branch.wait_state(id, MessageState::Delivered).await;
    assert_eq!(branch.list().await.len(), 1, "nothing else was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_053_a_list_of_a_domain_holds_behind_a_postfix() {
    let local = [("mydestination", "corp.test"), ("local_transport", "virtual:")];
    let main_cf = local.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let postfix = need!(Postfix::start(PostfixOptions { main_cf, ..PostfixOptions::default() }));
    let account = Account::at(&postfix);
    let recipients = |count| postfix.wait_delivered(count).into_iter().map(|mail| mail.recipient).collect::<Vec<_>>();

    let taken = need!(ask_directly(postfix.port(), postfix.ca_file(), (account.user, account.code)));
    let direct = recipients(taken);
    assert!(direct.iter().filter(|to| to.ends_with(ELSEWHERE)).count() >= 3, "{direct:?}");

    ask_relay(&account).await;
    let mut all = recipients(taken + 2);
    assert_eq!(all.len(), taken + 2);
    let mut relayed = all.split_off(taken);
    relayed.sort();
    assert_eq!(relayed, ["one@corp.test", "two@corp.test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_053_a_list_of_a_domain_holds_behind_an_exim() {
    let exim = need!(Exim::start("corp.test"));
    let (user, code) = Exim::LOGIN;
    let taken = need!(ask_directly(exim.port(), exim.ca_file(), Exim::LOGIN));
    let direct = exim.wait_recipients(taken);
    let outside = |list: &[String]| list.iter().filter(|to| to.ends_with(ELSEWHERE)).count();
    assert!(outside(&direct) >= 3, "{direct:?}");

    ask_relay(&Account { host: "localhost", port: exim.port(), tls: "implicit", ca: exim.ca_file(), user, code }).await;
    let all = exim.wait_recipients(taken + 1);
    let mut expected = direct;
    expected.extend(["one@corp.test".to_owned(), "two@corp.test".to_owned()]);
    expected.sort();
    assert_eq!(all, expected, "{}", exim.log());
}
