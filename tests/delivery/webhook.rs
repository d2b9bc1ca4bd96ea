//! Alarms over HTTP(S), against a server in this process: what is sent, what is made of the answer, how long it may take.
//!
//! Not here: the bodies of all kinds of alarm (`report::webhook::form`), and when an alarm is told (`account::alarm`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::ca::TestCa;
use crate::support::hook::{Answer, Hook};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use yizhan::clock::Timestamp;
use yizhan::language::Language;
use yizhan::message::notice::alarm::{Alarm, Kind, Remedy};
use yizhan::net::hmac;
use yizhan::report::webhook::{CONNECT_LIMIT, Fault, Format, LIMIT, Webhook, WebhookError, WebhookSettings};
use yizhan::secret::Secret;

/// What must never be seen anywhere but in the request line.
const TOKEN: &str = "693a91f6-7aaa-4bc4-97a0-0ec2sifa5aaa";

/// The time of the signatures.
const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_123);

fn alarm() -> Alarm {
    Alarm {
        kind: Kind::Paused,
        again: false,
        account: "office".to_owned(),
        provider: "qq".to_owned(),
        address: "10000@qq.com".to_owned(),
        since: "2026-11-21T18:00:00.000+08:00".to_owned(),
        cause: "QQ-A4".to_owned(),
        reply: "454 Authentication failed, please open smtp flag first!".to_owned(),
        remedy: Some(Remedy { en: "Turn on SMTP.".to_owned(), zh: "请开启 SMTP 服务。".to_owned() }),
        waiting: 12,
        hostname: "relay.office.lan".to_owned(),
    }
}

fn settings(url: &str, format: Format) -> WebhookSettings {
    WebhookSettings {
        url: Secret::new(url),
        format,
        ca: None,
        sign: None,
        language: Language::Both,
        connect_limit: CONNECT_LIMIT,
        limit: LIMIT,
    }
}

fn webhook(url: &str, format: Format) -> Webhook {
    Webhook::new(settings(url, format)).expect("the settings are good")
}

fn path() -> String {
    format!("/cgi-bin/webhook/send?key={TOKEN}")
}

/// Posts to a server that answers so.
async fn post(answer: Answer, format: Format) -> Result<(), WebhookError> {
    let hook = Hook::start(vec![answer], None).await;
    let result = webhook(&hook.url("127.0.0.1", &path()), format).post(&alarm(), NOW).await;
    assert_eq!(hook.seen().len(), 1, "one request an alarm");
    result
}

#[tokio::test]
async fn each_vendor_gets_one_request_in_its_own_form() {
    for (format, answer, pointer) in [
        (Format::Json, "", "/text"),
        (Format::Wecom, r#"{"errcode":0,"errmsg":"ok"}"#, "/text/content"),
        (Format::Dingtalk, r#"{"errcode":0,"errmsg":"ok"}"#, "/text/content"),
        (
            Format::Feishu,
            r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#,
            "/content/text",
        ),
        (Format::Slack, "ok", "/text"),
    ] {
        let hook = Hook::start(vec![Answer::status(200, answer)], None).await;
        webhook(&hook.url("localhost", &path()), format).post(&alarm(), NOW).await.unwrap();
        let seen = hook.seen();
        let [request] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(request.line, format!("POST {} HTTP/1.1", path()));
        assert_eq!(request.field("host"), format!("localhost:{}", hook.address().port()));
        assert_eq!(request.field("content-type"), "application/json; charset=utf-8");
        assert_eq!(request.field("connection"), "close");
        assert!(request.field("user-agent").starts_with("yizhan/"));
        let mut body = request.json();
        let text = body.pointer_mut(pointer).expect("the text is where it belongs");
        let said = text.as_str().unwrap().to_owned();
        *text = json!("text");
        assert!(said.starts_with("Yizhan 驿站: account office cannot send"), "{said}");
        assert!(said.contains("请开启 SMTP 服务。") && said.contains("Turn on SMTP."), "{said}");
        match format {
            Format::Json => assert_eq!((&body["event"], &body["waiting"]), (&json!("account_paused"), &json!(12))),
            Format::Wecom | Format::Dingtalk => {
                assert_eq!(body, json!({"msgtype": "text", "text": {"content": "text"}}))
            }
            Format::Feishu => assert_eq!(body, json!({"msg_type": "text", "content": {"text": "text"}})),
            Format::Slack => assert_eq!(body, json!({"text": "text"})),
        }
    }
}

/// What a robot does with the code that it computes itself.
fn code(key: &str, message: &str) -> String {
    STANDARD.encode(hmac::sha256(key.as_bytes(), message.as_bytes()))
}

#[tokio::test]
async fn robots_that_ask_for_a_signature_get_it() {
    const SIGN: &str = "SEC0123456789abcdef";
    let signed = |url: &str, format| {
        Webhook::new(WebhookSettings { sign: Some(Secret::new(SIGN)), ..settings(url, format) }).unwrap()
    };
    let hook = Hook::start(vec![Answer::status(200, r#"{"errcode":0,"code":0}"#)], None).await;
    signed(&hook.url("127.0.0.1", &path()), Format::Dingtalk).post(&alarm(), NOW).await.unwrap();
    signed(&hook.url("127.0.0.1", "/hook"), Format::Feishu).post(&alarm(), NOW).await.unwrap();
    signed(&hook.url("127.0.0.1", "/hook"), Format::Dingtalk).post(&alarm(), NOW).await.unwrap();
    signed(&hook.url("127.0.0.1", "/hook"), Format::Json).post(&alarm(), NOW).await.unwrap();
    let seen = hook.seen();
    let sign = code(SIGN, &format!("1795255200123\n{SIGN}"));
    let sign = sign.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let query = format!("timestamp=1795255200123&sign={sign}");
    assert_eq!(seen[0].line, format!("POST {}&{query} HTTP/1.1", path()));
    assert_eq!(seen[2].line, format!("POST /hook?{query} HTTP/1.1"));
    let body = seen[1].json();
    assert_eq!((&body["timestamp"], &body["msg_type"]), (&json!("1795255200"), &json!("text")));
    assert_eq!(body["sign"], json!(code(&format!("1795255200\n{SIGN}"), "")));
    assert!(seen[3].line == "POST /hook HTTP/1.1" && seen[3].json().get("sign").is_none(), "nothing else is signed");
}

#[tokio::test]
async fn a_wrong_signature_is_a_lasting_fault_that_says_what_to_do() {
    for (format, answer) in [
        (Format::Dingtalk, r#"{"errcode":310000,"errmsg":"sign not match, more: [https://ding-doc.dingtalk.com]"}"#),
        (Format::Feishu, r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour","data":{}}"#),
    ] {
        let hook = Hook::start(vec![Answer::status(200, answer)], None).await;
        let webhook = webhook(&hook.url("127.0.0.1", &path()), format);
        let error = webhook.post(&alarm(), NOW).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Lasting);
        assert!(webhook.remedy(&error).en.contains("notice.sign"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_fails_once_is_asked_again() {
    let hook = Hook::start(vec![Answer::status(500, "oops"), Answer::status(200, "")], None).await;
    let webhook = webhook(&hook.url("127.0.0.1", &path()), Format::Json);
    let error = webhook.post(&alarm(), NOW).await.unwrap_err();
    assert_eq!((error.fault(), hook.seen().len()), (Fault::Passing, 1), "the caller decides when");
    assert!(error.to_string().ends_with("did not take the alarm: status 500: oops"), "{error}");
    webhook.post(&alarm(), NOW).await.unwrap();
    assert_eq!(hook.seen()[0].body, hook.seen()[1].body);
}

#[tokio::test]
async fn a_vendor_that_says_200_and_means_no_is_understood() {
    let no = r#"{"errcode":93000,"errmsg":"invalid webhook url, hint: [1700000000]"}"#;
    let error = post(Answer::status(200, no), Format::Wecom).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Lasting);
    assert!(error.to_string().ends_with("error code 93000: invalid webhook url, hint: [1700000000]"), "{error}");
    let busy = r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#;
    // In pieces, which is how these servers answer (RFC 9112 section 7.1).
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &busy[..5],
        busy.len() - 5,
        &busy[5..]
    );
    let error = post(Answer::Raw(chunked.into_bytes()), Format::Wecom).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Passing);
    assert!(error.to_string().contains("45009"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Hook::start(vec![Answer::status(200, "")], None).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
            other.url("127.0.0.1", "/")
        );
        let error = post(Answer::Raw(head.into_bytes()), Format::Json).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Lasting, "{error}");
        assert!(error.to_string().contains(&format!("status {status}")), "{error}");
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn nobody_can_keep_it_waiting() {
    let (listening, started) = (Hook::start(vec![Answer::Hang], None).await, Instant::now());
    let mut settings = settings(&listening.url("127.0.0.1", &path()), Format::Json);
    settings.limit = Duration::from_millis(300);
    let error = Webhook::new(settings.clone()).unwrap().post(&alarm(), NOW).await.unwrap_err();
    assert!(matches!(error, WebhookError::Silent { .. }) && error.fault() == Fault::Passing, "{error}");
    // One that takes the connection and never shakes hands.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.url = Secret::new(&format!("https://localhost:{}{}", mute.local_addr().unwrap().port(), path()));
    (settings.connect_limit, settings.limit) = (Duration::from_millis(300), LIMIT);
    let error = Webhook::new(settings).unwrap().post(&alarm(), NOW).await.unwrap_err();
    assert!(matches!(error, WebhookError::Silent { .. }), "{error}");
    assert!(started.elapsed() < LIMIT, "the limits were kept");
}

#[tokio::test]
async fn a_body_without_end_ends() {
    // A program's 200 is a 200; a vendor's answer must be readable.
    post(Answer::Endless, Format::Json).await.unwrap();
    let error = post(Answer::Endless, Format::Feishu).await.unwrap_err();
    assert!(error.to_string().len() < 500 && error.fault() == Fault::Passing, "{error}");
}

#[tokio::test]
async fn interim_responses_without_end_are_not_read_for_long() {
    let sent = Arc::new(AtomicU64::new(0));
    let error = post(Answer::Interim(sent.clone()), Format::Json).await.unwrap_err();
    assert!(matches!(error, WebhookError::Line { .. }) && error.fault() == Fault::Passing, "{error}");
    assert!(error.to_string().contains("the answer has no end"), "{error}");
    // The system keeps some megabytes between the two.
    assert!(sent.load(Ordering::Relaxed) < 32 << 20, "{sent:?}");
    // A few are as good as none.
    let few = [b"HTTP/1.1 100 Continue\r\n\r\n".repeat(3), b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec()];
    let answer = [few.concat(), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()].concat();
    post(Answer::Raw(answer), Format::Json).await.unwrap();
}

#[tokio::test]
async fn what_is_not_http_is_a_fault_of_the_line() {
    let endless_head = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 200_000]].concat();
    for octets in [&b""[..], b"220 smtp.qq.com ESMTP\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b"\0\0\0", &endless_head] {
        let error = post(Answer::Raw(octets.to_vec()), Format::Json).await.unwrap_err();
        assert!(matches!(error, WebhookError::Line { .. }) && error.fault() == Fault::Passing, "{error}");
    }
    let error = post(Answer::Cut, Format::Json).await.unwrap_err();
    assert!(matches!(error, WebhookError::Line { .. }), "{error}");
    // The status was said; that the body is cut off changes nothing for a program, and is no answer of a vendor.
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"errcode\"".to_vec();
    post(Answer::Raw(cut.clone()), Format::Json).await.unwrap();
    let error = post(Answer::Raw(cut), Format::Wecom).await.unwrap_err();
    assert!(matches!(error, WebhookError::Refused { .. }) && error.fault() == Fault::Passing, "{error}");
    // Nobody there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = webhook(&format!("http://{free}{}", path()), Format::Json).post(&alarm(), NOW).await.unwrap_err();
    assert!(matches!(error, WebhookError::Dial { .. }) && error.fault() == Fault::Passing, "{error}");
}

#[tokio::test]
async fn tls_is_verified_or_nothing_is_sent() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    for (identity, trusted, host) in [
        (other.issue(&["localhost"]), ca.file(), "localhost"),
        (ca.issue(&["smtp.peer.test"]), ca.file(), "localhost"),
        (ca.issue_expired(&["localhost"]), ca.file(), "localhost"),
    ] {
        let hook = Hook::start(vec![Answer::status(200, "")], Some(identity)).await;
        let settings =
            WebhookSettings { ca: Some(trusted.to_owned()), ..settings(&hook.url(host, &path()), Format::Json) };
        let error = Webhook::new(settings).unwrap().post(&alarm(), NOW).await.unwrap_err();
        assert!(matches!(error, WebhookError::Tls(_)) && error.fault() == Fault::Passing, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(hook.seen().is_empty(), "the token was not sent");
    }
    for host in ["localhost", "127.0.0.1"] {
        let hook = Hook::start(vec![Answer::status(200, "")], Some(ca.issue(&["localhost", "127.0.0.1"]))).await;
        let settings =
            WebhookSettings { ca: Some(ca.file().to_owned()), ..settings(&hook.url(host, &path()), Format::Json) };
        Webhook::new(settings).unwrap().post(&alarm(), NOW).await.unwrap();
        assert_eq!(hook.seen().len(), 1);
    }
}

#[tokio::test]
async fn bad_settings_are_told_at_once() {
    for url in ["hooks.example.com", "http://hooks.example.com/x", "https://a:b@hooks.example.com/x"] {
        let url = format!("{url}/{TOKEN}");
        let error = Webhook::new(settings(&url, Format::Json)).unwrap_err();
        assert!(matches!(error, WebhookError::Url(_)) && error.fault() == Fault::Lasting);
        assert!(!format!("{error} {error:?}").contains(TOKEN));
    }
    let settings =
        WebhookSettings { ca: Some("/no/such/ca.pem".into()), ..settings("https://hooks.example.com/x", Format::Json) };
    let error = Webhook::new(settings).unwrap_err();
    assert!(error.to_string().contains("/no/such/ca.pem") && error.fault() == Fault::Lasting, "{error}");
}

/// Everything that is logged by anybody while a test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl std::io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().push_str(&String::from_utf8_lossy(octets));
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_token_is_in_the_request_and_nowhere_else() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::info!(event = "test", "the log is read");

    let echo = format!("no such hook: /cgi-bin/webhook/send?key={TOKEN} ({TOKEN})");
    let mut shown = String::new();
    for (answer, format) in [
        (Answer::status(200, r#"{"errcode":0}"#), Format::Wecom),
        (Answer::status(404, &echo), Format::Json),
        (Answer::status(500, &echo), Format::Slack),
        (Answer::status(200, &json!({"errcode": 93000, "errmsg": echo}).to_string()), Format::Wecom),
        (Answer::status(200, &echo), Format::Feishu),
        (Answer::Raw(echo.clone().into_bytes()), Format::Json),
        (Answer::Cut, Format::Json),
    ] {
        let hook = Hook::start(vec![answer], None).await;
        let webhook = webhook(&hook.url("127.0.0.1", &path()), format);
        shown.push_str(&format!("{webhook:?} {webhook:#?} {} {:?}", webhook.target(), webhook.target()));
        if let Err(error) = webhook.post(&alarm(), NOW).await {
            shown.push_str(&format!(" {error} {error:?} {error:#?}"));
            let mut source = std::error::Error::source(&error);
            while let Some(one) = source {
                shown.push_str(&format!(" {one} {one:?}"));
                source = one.source();
            }
        }
        assert!(hook.seen()[0].line.contains(TOKEN), "it is sent");
        assert!(!String::from_utf8_lossy(&hook.seen()[0].body).contains(TOKEN));
    }
    let log = log.0.lock().unwrap().clone();
    assert!(log.contains("the log is read") && shown.contains("status 404"), "{shown}");
    for text in [&shown, &log] {
        assert!(!text.contains(TOKEN) && !text.contains(&TOKEN[..8]), "{text}");
    }
}
