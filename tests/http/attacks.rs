//! Attacks: other sites, guesses, floods, slow peers, odd paths and bodies. A right token works while they last.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use yizhan::queue::MessageState;

use super::desk::{Desk, VIEW};
use crate::support::office::PATIENCE;
use crate::support::web::{ask, exchange, read_answer};

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_bound_to_this_address_is_refused() {
    let desk = Desk::with("attack-rebinding", |settings| settings.admin.names = vec!["mail.office.lan".into()]).await;
    for path in ["/healthz", "/metrics", "/api/v1/summary", "/login", "/nowhere"] {
        let line = format!("GET {path}");
        let foreign = desk.request(&line).with("Host", "evil.example").at(desk.addr).await;
        assert_eq!(foreign.error(421), "wrong_host", "{path}");
    }
    for host in ["127.0.0.1", "127.0.0.1:8025", "[::1]:1", "localhost:9", "relay.test", "MAIL.office.lan:443"] {
        desk.request("GET /api/v1/summary").with("Host", host).at(desk.addr).await.with_status(200);
    }
    let raw = async |text: String| {
        let stream = TcpStream::connect(desk.addr).await.unwrap();
        exchange(stream, text.as_bytes()).await.map(|answer| answer.status)
    };
    let token = &desk.token;
    let no_host = format!("GET /api/v1/summary HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    assert_eq!(raw(no_host).await, Some(421));
    let absolute = format!(
        "GET http://evil.example/api/v1/summary HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(raw(absolute).await, Some(421));
    let two = format!(
        "GET /api/v1/summary HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert!(matches!(raw(two).await, Some(400 | 421)));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_can_order_nothing() {
    let desk = Desk::open("attack-csrf").await;
    let pause = || desk.request("POST /api/v1/accounts/office/pause");
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "https://localhost.evil.example"),
    ] {
        assert_eq!(pause().with(name, value).at(desk.addr).await.error(403), "cross_site", "{name}: {value}");
    }
    // What a page may send without being asked first: forms and plain text.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        assert_eq!(pause().body(kind, b"{}").at(desk.addr).await.error(415), "unsupported_type", "{kind}");
    }
    assert!(desk.ask("GET /api/v1/commands").await.json()["commands"].as_array().unwrap().is_empty());
    let preflight = ask("OPTIONS /api/v1/messages").with("Origin", "http://evil.example").at(desk.addr).await;
    assert!(!preflight.head.contains("access-control"), "{preflight:?}");
    let read = desk.request("GET /api/v1/summary").with("Origin", "http://evil.example").at(desk.addr).await;
    assert!(!read.head.contains("access-control"), "{read:?}");
    pause().with("Sec-Fetch-Site", "same-origin").at(desk.addr).await.with_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_the_headers_that_keep_a_browser_safe() {
    let desk = Desk::open("attack-headers").await;
    for line in
        ["GET /healthz", "GET /metrics", "GET /api/v1/summary", "GET /nowhere", "DELETE /api/v1/messages", "GET /login"]
    {
        let answer = ask(line).at(desk.addr).await;
        for (name, part) in [
            ("content-security-policy", "default-src 'none'"),
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert!(answer.field(name).is_some_and(|value| value.contains(part)), "{line}: {name}: {answer:?}");
        }
        assert!(answer.field("server").is_none() && !answer.text().contains("axum"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_slowed_and_locked_out_and_a_right_token_works_meanwhile() {
    let desk = Desk::open("attack-guess").await;
    let session =
        ask("POST /login").body("application/x-www-form-urlencoded", format!("token={}", desk.token).as_bytes());
    let session = session.at(desk.addr).await.with_status(303);
    let cookie = session.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut guesses = JoinSet::new();
    for n in 0..40 {
        let addr = desk.addr;
        guesses.spawn(async move {
            let stream = TcpStream::connect(addr).await.unwrap();
            let guess = ask("GET /healthz").token(&format!("guess number {n}"));
            exchange(stream, &guess.octets()).await.map(|answer| (answer.status, answer.field("retry-after").is_some()))
        });
    }
    let mut locked = 0;
    while let Some(ended) = guesses.join_next().await {
        desk.ask("GET /api/v1/summary").await.with_status(200);
        ask("GET /api/v1/summary").with("Cookie", &cookie).at(desk.addr).await.with_status(200);
        match ended.unwrap() {
            Some((429, true)) => locked += 1,
            // Its place went to a request with the token.
            Some((401, false)) | None => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(locked >= 20, "only {locked} guesses were locked out");
    let again = ask("GET /metrics").token("one more").at(desk.addr).await;
    assert_eq!(again.error(429), "locked_out");
    let login =
        ask("POST /login").body("application/x-www-form-urlencoded", format!("token={}", desk.token).as_bytes());
    login.at(desk.addr).await.with_status(303);
    assert_eq!(ask("GET /api/v1/summary").at(desk.addr).await.error(401), "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_say_nothing_leave_room_and_are_sent_away() {
    let desk = Desk::open("attack-slow").await;
    let mut slow = Vec::new();
    for n in 0..100 {
        let mut stream = TcpStream::connect(desk.addr).await.unwrap();
        if n % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
        }
        slow.push(stream);
    }
    desk.ask("GET /api/v1/summary").await.with_status(200);
    // Those that came last had a place until their time was over.
    let mut last = slow.pop().unwrap();
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, last.read_to_end(&mut rest)).await.expect("a slow peer is sent away");
    assert!(
        read.is_err() || rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
    desk.ask("GET /api/v1/summary").await.with_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_do_not_shut_out_a_right_token() {
    let desk = Desk::open("attack-flood").await;
    let addr = desk.addr;
    let mut flood = JoinSet::new();
    for _ in 0..8 {
        flood.spawn(async move {
            let mut open = std::collections::VecDeque::new();
            for _ in 0..1250 {
                // Sockets of the attacker are not what is tested.
                if open.len() >= 40 {
                    open.pop_front();
                }
                if let Ok(Ok(stream)) = timeout(PATIENCE, TcpStream::connect(addr)).await {
                    open.push_back(stream);
                }
            }
        });
    }
    let mut answered = 0;
    while !flood.is_empty() {
        let stream = timeout(PATIENCE, TcpStream::connect(addr)).await.expect("there is room").unwrap();
        let answer = exchange(stream, &desk.request("GET /api/v1/summary").octets()).await;
        answered += usize::from(answer.is_some_and(|answer| answer.status == 200));
        while flood.try_join_next().is_some() {}
    }
    assert!(answered > 0, "no request was answered during the flood");
    desk.ask("GET /api/v1/summary").await.with_status(200);
    let id = desk.mail("one@example.com", "x").await;
    desk.office.wait_state(id, MessageState::Delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_proven_outlives_a_flood() {
    let desk = Desk::open("attack-proven").await;
    let mut own = TcpStream::connect(desk.addr).await.unwrap();
    let request =
        format!("GET /api/v1/summary HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", desk.token);
    own.write_all(request.as_bytes()).await.unwrap();
    read_answer(&mut own).await.expect("it is answered");
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(TcpStream::connect(desk.addr).await.unwrap());
    }
    own.write_all(request.as_bytes()).await.unwrap();
    let answer =
        timeout(Duration::from_secs(5), read_answer(&mut own)).await.expect("in time").expect("it has its place");
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_lead_nowhere_else() {
    let desk = Desk::open("attack-paths").await;
    desk.pause().await;
    let id = desk.mail("one@example.com", "x").await;
    for path in [
        "/api/v1/../../etc/passwd",
        "/api/v1/messages/..%2f..%2fetc%2fpasswd",
        "/api/v1/messages/%2e%2e/content",
        "//api/v1/summary",
        "/api//v1/summary",
        "/API/v1/summary",
        "/api/v1/summary/",
        "/api/v1/messages/%00",
        "/api/v1/messages/%ff",
        "/api/v1/messages/%0d%0aX:%20y",
        "/./healthz",
        "/healthz%00",
    ] {
        let answer = desk.ask(&format!("GET {path}")).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(answer.json()["error"]["code"].is_string(), "{path}");
        // Without a token as well: nothing is behind a path that the gate would have missed.
        let stranger = ask(&format!("GET {path}")).at(desk.addr).await;
        assert!(matches!(stranger.status, 400 | 401 | 404), "{path}: {stranger:?}");
    }
    for (line, status) in [
        (format!("DELETE /api/v1/messages/{id}"), 405),
        (format!("PUT /api/v1/messages/{id}/drop"), 405),
        (format!("GET /api/v1/messages/{id}/drop"), 405),
        ("TRACE /healthz".to_owned(), 405),
        ("BREW /healthz".to_owned(), 405),
    ] {
        assert_eq!(desk.ask(&line).await.error(status), "wrong_method", "{line}");
    }
    assert_eq!(desk.office.list(&MessageState::ALL).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_token_orders_nothing_and_reads_no_content() {
    let desk = Desk::open("attack-view").await;
    desk.pause().await;
    let id = desk.mail("one@example.com", "x").await;
    assert_eq!(desk.view(&format!("GET /api/v1/messages/{id}/content")).await.error(403), "view_only");
    for path in [
        format!("/api/v1/messages/{id}/hold"),
        format!("/api/v1/messages/{id}/drop"),
        "/api/v1/messages/drop".to_owned(),
        "/api/v1/messages".to_owned(),
        "/api/v1/accounts/office/resume".to_owned(),
        "/api/v1/reload".to_owned(),
    ] {
        let order =
            ask(&format!("POST {path}")).token(VIEW).json(&json!({"filter": {"to": "example.com"}, "expect": 1}));
        assert_eq!(order.at(desk.addr).await.error(403), "view_only", "{path}");
        let nobody = ask(&format!("POST {path}")).json(&json!({})).at(desk.addr).await;
        assert_eq!(nobody.error(401), "unauthorized", "{path}");
    }
    for path in ["/messages", "/accounts", "/clients", "/commands", "/summary"] {
        let answer = desk.view(&format!("GET /api/v1{path}")).await.with_status(200);
        assert!(!answer.text().contains("words of the body") && !answer.text().contains("Received:"), "{path}");
        assert_eq!(ask(&format!("GET /api/v1{path}")).at(desk.addr).await.error(401), "unauthorized", "{path}");
    }
    assert_eq!(desk.office.list(&MessageState::ALL).await.len(), 1);
    assert_eq!(desk.office.relay.accounts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_json_is_refused_and_quoted_nowhere_raw() {
    let desk = Desk::open("attack-json").await;
    let send = async |body: &[u8]| {
        let request = desk.request("POST /api/v1/messages/drop").body("application/json", body);
        request.at(desk.addr).await.error(400)
    };
    let deep = [b'['; 10_000];
    let long = format!("{{\"filter\":{{\"to\":\"{}\"}},\"expect\":1}}", "a".repeat(2000));
    for body in [
        &b"{"[..],
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{\"filter\":{\"to\":1}}",
        b"{\"filter\":{},\"expect\":-1}",
        b"{\"filter\":{},\"filter\":{}}",
        b"{\"filter\":{\"to\":\"x\"},\"expect\":1e99}",
        b"{\"\x1b[2J\":1}",
        &deep,
        long.as_bytes(),
    ] {
        let code = send(body).await;
        assert!(code == "bad_body" || code == "bad_filter", "{}: {code}", String::from_utf8_lossy(body));
    }
    let odd =
        desk.request("POST /api/v1/messages/drop").body("application/json", b"{\"\\u001b[2J\":1}").at(desk.addr).await;
    assert!(!odd.json()["error"]["message"].as_str().unwrap().contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_gigabyte_is_not_read() {
    let desk = Desk::open("attack-gigabyte").await;
    let head = |path: &str, token: &str, length: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             {length}\r\n\r\n"
        )
    };
    let announced = "Content-Length: 1073741824";
    for path in ["/api/v1/messages", "/api/v1/messages/drop", "/api/v1/accounts/office/pause"] {
        let stream = TcpStream::connect(desk.addr).await.unwrap();
        let answer = exchange(stream, head(path, &desk.token, announced).as_bytes()).await.expect("it is answered");
        assert_eq!(answer.error(413), "too_large", "{path}");
        // One that says nothing of its size.
        let mut octets = head(path, &desk.token, "Transfer-Encoding: chunked").into_bytes();
        (0..100).for_each(|_| {
            octets.extend_from_slice(&[b"1000\r\n".to_vec(), vec![b' '; 4096], b"\r\n".to_vec()].concat())
        });
        let stream = TcpStream::connect(desk.addr).await.unwrap();
        let answer = exchange(stream, &octets).await.expect("it is answered");
        assert_eq!(answer.error(413), "too_large", "{path}");
    }
    let both = head("/api/v1/messages", &desk.token, "Content-Length: 5\r\nTransfer-Encoding: chunked");
    let stream = TcpStream::connect(desk.addr).await.unwrap();
    let answer = exchange(stream, format!("{both}0\r\n\r\n").as_bytes()).await;
    assert!(answer.is_none_or(|answer| answer.status == 400), "contradicting lengths are no request");
    let stream = TcpStream::connect(desk.addr).await.unwrap();
    let answer = exchange(stream, head("/api/v1/messages", "", announced).as_bytes()).await.expect("it is answered");
    assert_eq!(answer.status, 401, "a stranger's body is not read at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_beyond_the_limits_is_refused() {
    let desk = Desk::open("attack-head").await;
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X: {}\r\n", "y".repeat(64 * 1024));
    for fields in [many, long] {
        let text = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let stream = TcpStream::connect(desk.addr).await.unwrap();
        let answer = exchange(stream, text.as_bytes()).await;
        assert!(answer.is_none_or(|answer| answer.status == 431), "a head has limits");
    }
    ask("GET /healthz").at(desk.addr).await.with_status(200);
}
