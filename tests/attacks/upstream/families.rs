//! A provider with two addresses of which one is a black hole, in a network of the test's own.
//!
//! The test starts itself once more inside new network and mount namespaces, where a file stands for the name server and
//! whatever goes to the IPv6 address of the provider is dropped without a word. Not here: which address comes first and
//! how long the next one waits (`net::dial`).

use std::process::{Command, Stdio};

use yizhan::provider::{Endpoint, Tls};
use yizhan::queue::MessageState;
use yizhan::sandbox::{Fault, SandboxLimits, Stage, What};

use super::Scene;
use crate::support::peers::{program, require_root};
use crate::support::skip::{Missing, need, skip};

/// Set where the network is the test's own.
const INSIDE: &str = "YIZHAN_TEST_OWN_NETWORK";
/// The name of the provider, as its certificate has it.
const HOST: &str = "smtp.qq.com";

/// Neighbours that are known need no asking; the other end of the wire throws everything away.
const SETUP: &str = r#"
set -e
hosts=$(mktemp); printf '127.0.0.1 localhost\n2001:db8::25 smtp.qq.com\n127.0.0.1 smtp.qq.com\n' >"$hosts"
mount --bind "$hosts" /etc/hosts; rm "$hosts"
ip link set lo up
ip link add hole type veth peer name nowhere
ip address add 2001:db8::1/64 dev hole nodad
ip link set hole up; ip link set nowhere up
ip -6 neighbour add 2001:db8::25 lladdr 02:00:00:00:00:25 dev hole nud permanent
echo ready
exec "$0" --exact upstream::families::a_109_a_dead_address_family_costs_no_try --nocapture
"#;

#[tokio::test]
async fn a_109_a_dead_address_family_costs_no_try() {
    if std::env::var_os(INSIDE).is_some() {
        return inside().await;
    }
    need!(require_root("a network of its own"));
    need!(program("ip"));
    let mut command = Command::new(need!(program("unshare")));
    command.args(["--net", "--mount", "sh", "-c", SETUP]).arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !out.contains("ready") {
        return skip(Missing(format!("the right to make a network of its own: {}", err.trim())));
    }
    assert!(output.status.success() && out.contains("1 passed"), "\n--- out\n{out}\n--- err\n{err}");
}

async fn inside() {
    let found: Vec<_> = tokio::net::lookup_host((HOST, 465)).await.unwrap().map(|address| address.is_ipv6()).collect();
    assert_eq!(found, [true, false], "the dead family comes first");
    let scene = Scene::with("families", SandboxLimits::default(), |settings| {
        let [place] = &settings.accounts[0].endpoints[..] else { panic!("one place") };
        settings.accounts[0].endpoints = vec![Endpoint { host: HOST.to_owned(), port: place.port, tls: Tls::Implicit }];
    })
    .await;
    for number in 1..=2 {
        let id = scene.office.send(&["a@else.test"], super::MAIL).await;
        let entry = scene.office.wait_state(id, MessageState::Delivered).await;
        assert_eq!((entry.tries, scene.office.sandbox.stats().accepted), (0, number), "{entry:?}");
        // The next message needs a new connection.
        scene.office.sandbox.fault(Fault::once(Stage::Idle, What::Reset));
    }
}
