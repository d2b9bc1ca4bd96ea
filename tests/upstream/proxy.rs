//! Proxies: a message goes through each kind to the provider, and every way in which a proxy can fail is told as trouble
//! of the line, with the proxy, the step and the remedy, and without a secret.

use std::time::Duration;

use crate::support::account::{deliver, delivered, line_trouble, send, settings, starttls, upstream};
use crate::support::folder::Folder;
use crate::support::office::{CODE, PATIENCE, provider};
use crate::support::proxy::{Act, ForeignProxy, Kind, Manners, TestProxy};
use crate::support::skip::need;
use tokio::time::timeout;
use yizhan::net::proxy::Proxy;
use yizhan::provider::{Endpoint, Tls};
use yizhan::sandbox::{Sandbox, SandboxLimits};
use yizhan::upstream::UpstreamSettings;

const KINDS: [Kind; 2] = [Kind::Socks5, Kind::Http];
const PASSWORD: &str = "hunter2";

/// A provider, and a proxy that alone knows its names.
struct Scene {
    sandbox: Sandbox,
    proxy: TestProxy,
    settings: UpstreamSettings,
    _folder: Folder,
}

async fn scene(kind: Kind, act: Act, login: Option<(&'static str, &'static str)>) -> Scene {
    let folder = Folder::new("proxy");
    let sandbox = provider(SandboxLimits::default()).await;
    let names = vec![
        ("smtp.qq.com:465".to_owned(), sandbox.implicit_addr().expect("it is open")),
        ("smtp.qq.com:587".to_owned(), sandbox.starttls_addr().expect("it is open")),
        ("smtp.other.test:465".to_owned(), sandbox.implicit_addr().expect("it is open")),
    ];
    let proxy = TestProxy::start(kind, Manners { login, names, act }).await;
    let mut settings = settings(&sandbox, &folder);
    settings.endpoints = vec![qq(465, Tls::Implicit)];
    settings.proxy = Some(parse(&proxy.url()));
    Scene { sandbox, proxy, settings, _folder: folder }
}

fn qq(port: u16, tls: Tls) -> Endpoint {
    Endpoint { host: "smtp.qq.com".to_owned(), port, tls }
}

fn parse(text: &str) -> Proxy {
    Proxy::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What a message that cannot go says: it names the proxy, and no secret.
async fn trouble(scene: &Scene) -> String {
    let report = timeout(PATIENCE, send(&upstream(scene.settings.clone()))).await.expect("within the limit");
    let text = line_trouble(&report).to_owned();
    assert!(text.contains(&scene.proxy.url()), "{text}");
    for secret in [PASSWORD, CODE, "bWU6aHVudGVyMg"] {
        assert!(!format!("{report:?}").contains(secret), "{report:?}");
    }
    assert_eq!(scene.sandbox.stats().logins_ok, 0);
    text
}

#[tokio::test]
async fn a_message_goes_through_each_proxy_to_each_port_and_only_the_proxy_knows_the_name() {
    for kind in KINDS {
        for (act, login) in
            [(Act::Serve, ""), (Act::Pieces, ""), (Act::Serve, "me:hunter2@"), (Act::Pieces, "me:hunter2@")]
        {
            let demand = (!login.is_empty()).then_some(("me", PASSWORD));
            let mut scene = scene(kind, act, demand).await;
            scene.settings.proxy = Some(parse(&scene.proxy.url_with(login)));
            for (port, tls) in [(465, Tls::Implicit), (587, Tls::StartTls)] {
                scene.settings.endpoints = vec![qq(port, tls)];
                let way = upstream(scene.settings.clone());
                deliver(&way).await;
                deliver(&way).await;
                way.close_idle().await;
            }
            assert_eq!(
                scene.proxy.asked(),
                ["smtp.qq.com:465", "smtp.qq.com:587"],
                "{kind:?}: one tunnel a connection"
            );
            assert_eq!((scene.sandbox.stats().accepted, scene.sandbox.stats().logins_ok), (4, 2));
        }
    }
}

#[tokio::test]
async fn addresses_go_as_addresses() {
    for kind in KINDS {
        let mut scene = scene(kind, Act::Serve, None).await;
        let port = scene.sandbox.implicit_addr().expect("it is open").port();
        for (host, works) in [("127.0.0.1", true), ("::1", false)] {
            scene.settings.endpoints = vec![Endpoint { host: host.to_owned(), port, tls: Tls::Implicit }];
            let report = send(&upstream(scene.settings.clone())).await;
            // The sandbox listens on one of them only; that it was asked for is enough.
            if works {
                delivered(&report)
            } else {
                line_trouble(&report);
            }
            assert_eq!(scene.proxy.asked().last().unwrap(), &format!("{host}:{port}"), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_greeting_right_behind_the_answer_is_not_lost() {
    // The proxy writes its answer and the provider's greeting in one piece.
    let answers: [(Kind, &[u8]); 3] = [
        (Kind::Socks5, &[5, 0, 0, 1, 127, 0, 0, 1, 0, 7]),
        (Kind::Http, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        (Kind::Http, b"HTTP/1.1 299\n\n"),
    ];
    for (kind, answer) in answers {
        let mut scene = scene(kind, Act::Answer(answer.to_vec()), None).await;
        scene.settings.endpoints = vec![qq(587, Tls::StartTls)];
        deliver(&upstream(scene.settings.clone())).await;
    }
}

#[tokio::test]
async fn the_certificate_must_be_the_providers() {
    for kind in KINDS {
        let mut scene = scene(kind, Act::Serve, None).await;
        let stranger = provider(SandboxLimits::default()).await;
        // A proxy that leads elsewhere: to a server that proves nothing.
        scene.settings.endpoints = vec![crate::support::account::implicit(&stranger)];
        let report = send(&upstream(scene.settings.clone())).await;
        assert!(line_trouble(&report).starts_with("TLS with 127.0.0.1 failed"), "{report:?}");
        assert_eq!((stranger.stats().connections, stranger.stats().handshakes), (1, 0));
        // A certificate that is good for the proxy's own address, and not for the provider's name.
        scene.settings.endpoints = vec![Endpoint { host: "smtp.other.test".to_owned(), port: 465, tls: Tls::Implicit }];
        let report = send(&upstream(scene.settings.clone())).await;
        assert!(line_trouble(&report).starts_with("TLS with smtp.other.test failed"), "{report:?}");
        assert_eq!(scene.sandbox.stats().handshakes, 0);
        assert!(!scene.proxy.heard().windows(CODE.len()).any(|octets| octets == CODE.as_bytes()));
    }
}

#[tokio::test]
async fn a_log_in_that_is_missing_or_wrong_is_told_with_its_remedy() {
    for kind in KINDS {
        let mut scene = scene(kind, Act::Serve, Some(("me", "secret"))).await;
        let text = trouble(&scene).await;
        assert!(text.contains("wants a log-in") && text.contains("://user:password@127.0.0.1:"), "{text}");
        let url = scene.proxy.url_with("me:hunter2@");
        scene.settings.proxy = Some(parse(&url));
        // A second port is no reason to log in twice.
        scene.settings.endpoints.push(qq(587, Tls::StartTls));
        let before = scene.proxy.heard().len();
        let text = trouble(&scene).await;
        assert!(text.contains("refused the log-in; correct its user name and password"), "{text}");
        let heard = scene.proxy.heard()[before..].to_vec();
        let word: &[u8] = if kind == Kind::Socks5 { b"hunter2" } else { b"Proxy-Authorization" };
        assert_eq!(heard.windows(word.len()).filter(|octets| *octets == word).count(), 1, "{kind:?}");
        assert_eq!(scene.proxy.asked(), [""; 0], "nobody got as far as a request");
    }
}

#[tokio::test]
async fn a_refusal_says_why_and_the_other_port_is_tried() {
    for (kind, code, words) in [
        (Kind::Socks5, 2, "not allowed by its rules (2); allow the mail provider's host and port there"),
        (Kind::Socks5, 5, "connection refused (5)"),
        (Kind::Socks5, 99, "no reason that RFC 1928 knows (99)"),
        (Kind::Http, 403, "403 No way; allow CONNECT to the mail provider's host and port there"),
        (Kind::Http, 502, "502 No way; see that the proxy can reach the internet"),
        (Kind::Http, 302, "302 No way; see the log of the proxy"),
    ] {
        let mut scene = scene(kind, Act::Refuse(code), None).await;
        scene.settings.endpoints.push(qq(587, Tls::StartTls));
        let text = trouble(&scene).await;
        assert!(text.contains("did not connect to smtp.qq.com:587: ") && text.contains(words), "{text}");
        assert_eq!(scene.proxy.asked(), ["smtp.qq.com:465", "smtp.qq.com:587"]);
        // Names that it does not know.
        scene.settings.endpoints = vec![Endpoint { host: "no.such.name".to_owned(), port: 465, tls: Tls::Implicit }];
        assert!(trouble(&scene).await.contains("did not connect to no.such.name:465"));
    }
}

#[tokio::test]
async fn garbage_is_not_mistaken_for_an_answer() {
    let page = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n".to_vec();
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Filler: abcdefghijklmnop\r\n".repeat(400)].concat();
    for (kind, said, words) in [
        (Kind::Socks5, page.clone(), "something that is not SOCKS5; see that this is the port of a SOCKS5 proxy"),
        (Kind::Socks5, vec![0, 90, 0, 0, 0, 0, 0, 0], "something that is not SOCKS5"),
        (Kind::Socks5, vec![5, 2], "a log-in method that was not offered"),
        (Kind::Socks5, vec![5, 0, 4, 0], "something that is not SOCKS5"),
        (Kind::Socks5, vec![5, 0, 5, 0, 0, 9, 0, 0], "something that is not SOCKS5"),
        (Kind::Http, vec![5, 0xff], "something that is not HTTP; see that this is the port of an HTTP proxy"),
        (Kind::Http, b"220 smtp.test ESMTP\r\n".to_vec(), "something that is not HTTP"),
        (Kind::Http, b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(), "something that is not HTTP"),
        (Kind::Http, b"HTTP/2 200\r\n\r\n".to_vec(), "something that is not HTTP"),
        (Kind::Http, endless, "a header block of more than 8 KiB"),
    ] {
        let mut scene = scene(kind, Act::Say(said.clone()), None).await;
        // One that is not what it should be is asked once, not once a port.
        scene.settings.endpoints.push(qq(587, Tls::StartTls));
        let text = trouble(&scene).await;
        assert!(text.contains(words), "{kind:?} {:?}: {text}", said.escape_ascii().to_string());
    }
}

#[tokio::test]
async fn a_proxy_that_is_silent_hangs_up_or_is_not_there_costs_no_more_than_the_limit() {
    for kind in KINDS {
        let step =
            if kind == Kind::Socks5 { "when asked how to log in" } else { "when asked to connect to smtp.qq.com:465" };
        let mut gone = scene(kind, Act::HangUp, None).await;
        let text = trouble(&gone).await;
        assert!(text.contains("hung up") && text.contains(step), "{text}");

        let mut silent = scene(kind, Act::Hang, None).await;
        silent.settings.limits.dial = Duration::from_millis(200);
        let began = std::time::Instant::now();
        let text = trouble(&silent).await;
        assert!(text.contains("did not answer within") && text.contains(step), "{text}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

        let dead = crate::support::ports::Reserved::new();
        let url = gone.proxy.url().replace(gone.proxy.url().rsplit(':').next().unwrap(), &dead.port().to_string());
        drop(dead);
        gone.settings.proxy = Some(parse(&url));
        let report = send(&upstream(gone.settings.clone())).await;
        let text = line_trouble(&report);
        assert!(
            text.contains(&format!("the proxy {url} cannot be reached")) && text.contains("see that it runs"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn messages_go_through_microsocks() {
    let folder = Folder::new("microsocks-test");
    let sandbox = provider(SandboxLimits::default()).await;
    let open = need!(ForeignProxy::microsocks(None));
    let locked = need!(ForeignProxy::microsocks(Some(("me", PASSWORD))));
    let mut settings = settings(&sandbox, &folder);
    for url in [format!("socks5://{}", open.place()), format!("socks5h://me:{PASSWORD}@{}", locked.place())] {
        for mut place in [crate::support::account::implicit(&sandbox), starttls(&sandbox)] {
            // A name that microsocks has to look up, and an address.
            for host in ["localhost", "127.0.0.1"] {
                place.host = host.to_owned();
                settings.endpoints = vec![place.clone()];
                settings.proxy = Some(parse(&url));
                deliver(&upstream(settings.clone())).await;
            }
        }
    }
    assert_eq!(sandbox.stats().accepted, 8, "{}{}", open.output(), locked.output());
    settings.proxy = Some(parse(&format!("socks5://me:wrong@{}", locked.place())));
    let text = line_trouble(&send(&upstream(settings.clone())).await).to_owned();
    assert!(text.contains("refused the log-in"), "{text}");
    settings.proxy = Some(parse(&format!("socks5://{}", locked.place())));
    let text = line_trouble(&send(&upstream(settings.clone())).await).to_owned();
    assert!(text.contains("wants a log-in"), "{text}");
    settings.proxy = Some(parse(&format!("http://{}", open.place())));
    let text = line_trouble(&send(&upstream(settings.clone())).await).to_owned();
    assert!(text.contains("HTTP proxy") || text.contains("hung up"), "{text}");
    settings.endpoints = vec![Endpoint { host: "127.0.0.1".to_owned(), port: 1, tls: Tls::Implicit }];
    settings.proxy = Some(parse(&format!("socks5://{}", open.place())));
    let text = line_trouble(&send(&upstream(settings)).await).to_owned();
    assert!(text.contains("did not connect to 127.0.0.1:1"), "{text}");
}

#[tokio::test]
async fn messages_go_through_tinyproxy() {
    let folder = Folder::new("tinyproxy-test");
    let sandbox = provider(SandboxLimits::default()).await;
    let places = [crate::support::account::implicit(&sandbox), starttls(&sandbox)];
    let ports = places.clone().map(|place| place.port);
    let open = need!(ForeignProxy::tinyproxy(None, &ports));
    let locked = need!(ForeignProxy::tinyproxy(Some(("me", PASSWORD)), &ports));
    let mut settings = settings(&sandbox, &folder);
    for url in [format!("http://{}", open.place()), format!("http://me:{PASSWORD}@{}", locked.place())] {
        for place in &places {
            settings.endpoints = vec![place.clone()];
            settings.proxy = Some(parse(&url));
            deliver(&upstream(settings.clone())).await;
        }
    }
    assert_eq!(sandbox.stats().accepted, 4, "{}{}", open.output(), locked.output());
    settings.proxy = Some(parse(&format!("http://me:wrong@{}", locked.place())));
    let text = line_trouble(&send(&upstream(settings.clone())).await).to_owned();
    assert!(text.contains("refused the log-in"), "{text}");
    // A port that its rules do not allow.
    settings.endpoints[0].port = 1;
    settings.proxy = Some(parse(&format!("http://{}", open.place())));
    let text = line_trouble(&send(&upstream(settings)).await).to_owned();
    assert!(text.contains("did not connect to 127.0.0.1:1: 403"), "{text}");
}
