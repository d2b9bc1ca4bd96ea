//! Mail that is handed in over HTTP: the same limits, repairs and durable write as over SMTP.

use serde_json::json;
use yizhan::mail::Id;
use yizhan::queue::MessageState;

use super::desk::Desk;
use crate::support::office::field;

fn id_of(answer: &crate::support::web::Answer) -> Id {
    assert_eq!(answer.status, 201, "{}", answer.text());
    Id::parse(answer.json()["ids"][0].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_as_json_is_delivered() {
    let desk = Desk::open("submit-json").await;
    let mail = json!({
        "from": "app@example.com", "to": ["boss@example.com"], "cc": ["cc@example.com"], "bcc": ["secret@example.com"],
        "subject": "磁盘快满", "text": "第一行\n.\n第三行\n", "reply_to": "help@example.com",
    });
    let id = id_of(&desk.post("/api/v1/messages", &mail).await);
    let received = desk.office.received(1).await;
    let data = &received[0].data;
    assert_eq!(field(data, "To").as_deref(), Some("boss@example.com"));
    assert!(field(data, "Subject").unwrap().starts_with("=?utf-8?"), "{:?}", field(data, "Subject"));
    assert!(field(data, "Received").unwrap().contains("with HTTP"));
    assert!(!String::from_utf8_lossy(data).contains("secret@example.com"));
    let entry = desk.office.wait_state(id, MessageState::Delivered).await;
    assert_eq!((entry.origin.client.as_str(), entry.origin.listener.as_str()), ("api", "http"));
    assert_eq!(entry.recipients.len(), 3);
    assert_eq!(entry.sender.to_string(), "app@example.com");
    assert_eq!(entry.subject.as_deref(), Some("磁盘快满"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_as_octets_is_repaired_and_streamed() {
    let desk = Desk::open("submit-octets").await;
    desk.pause().await;
    // More than any other body may have, with the line ends of Unix and without a date.
    let mut mail = b"Subject: log\n\n".to_vec();
    (0..20_000).for_each(|n| mail.extend_from_slice(format!("line {n} of the log\n.\n").as_bytes()));
    let request = desk.request("POST /api/v1/messages?to=boss%40example.com&to=two@example.com");
    let id = id_of(&request.body("message/rfc822", &mail).at(desk.addr).await);
    let entry = desk.office.entry(id).await;
    assert_eq!((entry.recipients.len(), entry.sender.to_string().as_str()), (2, crate::support::office::USER));
    let content = desk.ask(&format!("GET /api/v1/messages/{id}/content")).await.with_status(200);
    let text = content.text();
    assert!(field(&content.body, "Date").is_some() && !entry.repairs.is_empty());
    assert!(text.ends_with("line 19999 of the log\r\n.\r\n"), "{:?}", &text[text.len() - 60..]);
    assert_eq!(content.field("content-length"), Some(content.body.len().to_string().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_lists_hold_as_over_smtp() {
    let desk = Desk::with("submit-limits", |settings| {
        settings.limits.message_size = 100 * 1024;
        settings.limits.recipients = 2;
        let mut api = crate::support::entrance::client("api");
        api.recipients = vec![yizhan::route::Pattern::parse("*@example.com").unwrap()];
        api.from = vec!["192.0.2.0/24".parse().unwrap()];
        settings.clients = vec![api];
    })
    .await;
    desk.pause().await;
    let send = async |to: &str, body: &[u8]| {
        desk.request(&format!("POST /api/v1/messages?to={to}")).body("message/rfc822", body).at(desk.addr).await
    };
    let large = [b"Subject: x\r\n\r\n".to_vec(), vec![b'a'; 101 * 1024]].concat();
    assert_eq!(send("a@example.com", &large).await.error(413), "message_size");
    // One that does not announce its size is cut where the limit is.
    let mut chunked = format!(
        "POST /api/v1/messages?to=a@example.com HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: message/rfc822\r\nTransfer-Encoding: chunked\r\n\r\n",
        desk.token
    )
    .into_bytes();
    (0..200)
        .for_each(|_| chunked.extend_from_slice(&[b"400\r\n".to_vec(), vec![b'a'; 1024], b"\r\n".to_vec()].concat()));
    let stream = tokio::net::TcpStream::connect(desk.addr).await.unwrap();
    let answer = crate::support::web::exchange(stream, &chunked).await.expect("it is answered");
    assert_eq!(answer.error(413), "message_size");
    assert_eq!(send("a@example.org", b"Subject: x\r\n\r\n").await.error(403), "client_recipient");
    assert_eq!(send("a@example.com&to=b@example.com&to=c@example.com", b"x").await.error(400), "recipients");
    assert_eq!(send("nobody", b"x").await.error(400), "bad_body");
    assert_eq!(send("a@example.com&bcc=x", b"x").await.error(400), "bad_query");
    assert_eq!(send("a@example.com", b"").await.error(400), "bad_body");
    let none = desk.request("POST /api/v1/messages").body("message/rfc822", b"x").at(desk.addr).await;
    assert_eq!(none.error(400), "recipient");
    assert!(desk.office.list(&MessageState::ALL).await.is_empty(), "nothing was stored");
    send("a@example.com", b"Subject: x\r\n\r\nx").await.with_status(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_mail_adds_a_field() {
    let desk = Desk::open("submit-inject").await;
    desk.pause().await;
    for mail in [
        json!({"to": ["a@example.com"], "subject": "x\r\nBcc: evil@example.com"}),
        json!({"to": ["a@example.com\r\nBcc: evil@example.com"], "subject": "x"}),
        json!({"to": ["a@example.com>, <evil@example.com"], "subject": "x"}),
        json!({"to": ["a@example.com"], "from": "x@example.com\nX: y", "subject": "x"}),
        json!({"to": ["a@example.com"], "reply_to": "x@example.com\u{0}", "subject": "x"}),
        json!({"to": ["a@example.com"], "headers": {"X": "y"}}),
        json!({"to": "a@example.com"}),
    ] {
        assert_eq!(desk.post("/api/v1/messages", &mail).await.error(400), "bad_body", "{mail}");
    }
    let odd = json!({"to": ["a@example.com"], "subject": "x", "text": "\r\n.\r\nMAIL FROM:<>\r\n"});
    let id = id_of(&desk.post("/api/v1/messages", &odd).await);
    assert_eq!(desk.office.list(&MessageState::ALL).await.len(), 1);
    desk.ask(&format!("GET /api/v1/messages/{id}/content")).await.with_status(200);
    let wrong = desk.request("POST /api/v1/messages").body("text/plain", b"hello").at(desk.addr).await;
    assert_eq!(wrong.error(415), "unsupported_type");
}
