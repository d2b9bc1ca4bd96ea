//! What the API reads and changes, by path.

use serde_json::json;
use yizhan::queue::MessageState;

use super::desk::Desk;
use crate::support::office::field;

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_found_and_shown() {
    let desk = Desk::open("http-list").await;
    desk.pause().await;
    let first = desk.mail("one@example.com", "first scan").await;
    let second = desk.mail("two@example.com", "second scan").await;

    let page = desk.ask("GET /api/v1/messages?limit=1").await.with_status(200).json();
    assert_eq!((page["total"].as_u64(), page["messages"][0]["id"].as_str()), (Some(2), Some(second.as_str())));
    let next = page["next"].as_str().expect("there is another page");
    let page = desk.ask(&format!("GET /api/v1/messages?limit=1&cursor={next}")).await.with_status(200).json();
    assert_eq!((page["messages"][0]["id"].as_str(), page["next"].as_str()), (Some(first.as_str()), None));

    for (query, found) in [
        ("to=one@example.com", Some(first)),
        ("subject=second", Some(second)),
        ("to=two%40example.com&state=queued&state=waiting", Some(second)),
        ("state=failed", None),
        ("order=oldest&limit=1", Some(first)),
    ] {
        let page = desk.ask(&format!("GET /api/v1/messages?{query}")).await.with_status(200).json();
        let id = page["messages"][0]["id"].as_str();
        assert_eq!(id, found.as_ref().map(|id| id.as_str()), "{query}");
    }

    let shown = desk.ask(&format!("GET /api/v1/messages/{first}")).await.with_status(200).json();
    assert!(shown["header"].as_str().expect("the token sees it").contains("Subject: first scan"));
    let viewed = desk.view(&format!("GET /api/v1/messages/{first}")).await.with_status(200).json();
    assert_eq!(viewed["message"]["id"], first.as_str());
    assert!(viewed.get("header").is_none(), "a header block is content: {viewed}");

    let content = desk.ask(&format!("GET /api/v1/messages/{first}/content")).await.with_status(200);
    assert_eq!(content.field("content-type"), Some("message/rfc822"));
    assert_eq!(content.field("content-disposition"), Some(format!("attachment; filename=\"{first}.eml\"").as_str()));
    assert!(content.field("content-security-policy").is_some_and(|policy| policy.contains("sandbox")));
    assert_eq!(field(&content.body, "Subject").as_deref(), Some("first scan"));
    assert!(content.text().ends_with("words of the body\r\n"));
    assert_eq!(content.field("content-length"), Some(content.body.len().to_string().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_read_strictly() {
    let desk = Desk::open("http-query").await;
    for (query, code) in [
        ("to=a&to=b", "bad_query"),
        ("sender=a", "bad_query"),
        ("limit=many", "bad_query"),
        ("limit=-1", "bad_query"),
        ("order=upwards", "bad_query"),
        ("limit=1001", "bad_limit"),
        ("state=lost", "bad_state"),
        ("since=yesteryear", "bad_time"),
        ("subject=%20", "bad_filter"),
        ("cursor=yesterday", "bad_cursor"),
    ] {
        assert_eq!(desk.ask(&format!("GET /api/v1/messages?{query}")).await.error(400), code, "{query}");
    }
    // The cursor of a page of yesterday still leads somewhere: behind its message.
    desk.ask("GET /api/v1/messages?cursor=1").await.with_status(200);
    assert_eq!(desk.ask("GET /api/v1/messages/nothing").await.error(400), "bad_id");
    assert_eq!(desk.ask("GET /api/v1/messages/0000000000000000").await.error(404), "not_found");
    assert_eq!(desk.ask("GET /api/v1/messages/0000000000000000/content").await.error(404), "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_is_held_released_and_dropped() {
    let desk = Desk::open("http-change").await;
    desk.pause().await;
    let id = desk.mail("one@example.com", "x").await;
    let path = |change: &str| format!("/api/v1/messages/{id}/{change}");
    let held = desk.post(&path("hold"), &json!({"reason": "to be looked at"})).await.with_status(200).json();
    assert_eq!(held["changed"], 1);
    assert_eq!(desk.office.entry(id).await.state, MessageState::Held);
    desk.request(&format!("POST {}", path("release"))).at(desk.addr).await.with_status(200);
    // A second time it is a conflict, and no success with a footnote.
    assert_eq!(desk.post(&path("release"), &json!({})).await.error(409), "wrong_state");
    assert_ne!(desk.office.entry(id).await.state, MessageState::Held);
    desk.post(&path("retry"), &json!({})).await.with_status(200);
    desk.post(&path("drop"), &json!({})).await.with_status(200);
    assert_eq!(desk.post(&path("drop"), &json!({})).await.error(404), "not_found");
    assert_eq!(desk.post(&path("burn"), &json!({})).await.error(404), "no_path");
    assert_eq!(desk.post(&path("hold"), &json!({"raison": "x"})).await.error(400), "bad_body");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_are_changed_only_when_they_are_as_many_as_expected() {
    let desk = Desk::open("http-many").await;
    desk.pause().await;
    for n in 0..3 {
        desk.mail(&format!("user{n}@example.com"), "x").await;
    }
    let filter = json!({"to": "example.com"});
    let order = |expect: serde_json::Value| json!({"filter": filter, "expect": expect});
    assert_eq!(desk.post("/api/v1/messages/drop", &order(json!(2))).await.error(409), "count_differs");
    assert_eq!(desk.post("/api/v1/messages/drop", &json!({"filter": filter})).await.error(400), "count_needed");
    assert_eq!(desk.post("/api/v1/messages/drop", &json!({"filter": {}, "expect": 3})).await.error(400), "bad_filter");
    assert_eq!(desk.post("/api/v1/messages/drop", &json!({"expect": 3})).await.error(400), "bad_body");
    let odd = json!({"filter": {"sender": "x"}, "expect": 3});
    assert_eq!(desk.post("/api/v1/messages/drop", &odd).await.error(400), "bad_body");
    assert_eq!(desk.office.list(&MessageState::ALL).await.len(), 3, "nothing was changed");
    let done = desk.post("/api/v1/messages/drop", &order(json!(3))).await.with_status(200).json();
    assert_eq!(done["changed"], 3);
    assert!(desk.office.list(&MessageState::ALL).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_paused_and_every_command_is_recorded() {
    let desk = Desk::open("http-accounts").await;
    desk.pause().await;
    let accounts = desk.view("GET /api/v1/accounts").await.with_status(200).json();
    assert_eq!((accounts["total"].as_u64(), accounts["accounts"][0]["state"].as_str()), (Some(1), Some("paused")));
    let summary = desk.view("GET /api/v1/summary").await.with_status(200).json();
    let status = &summary["status"];
    assert_eq!((&status["accounts"][0]["name"], &status["running"]), (&json!("office"), &json!(true)));
    assert!(status["attention"].is_array() && status["version"].is_string(), "{summary}");
    desk.post("/api/v1/accounts/office/resume", &json!({})).await.with_status(200);
    assert_eq!(desk.post("/api/v1/accounts/nobody/pause", &json!({})).await.error(404), "no_account");
    assert_eq!(desk.post("/api/v1/accounts/office/burn", &json!({})).await.error(404), "no_path");

    let commands = desk.view("GET /api/v1/commands?limit=10").await.with_status(200).json();
    let names: Vec<_> = commands["commands"].as_array().unwrap().iter().map(|one| one["command"].as_str()).collect();
    assert_eq!(names, [Some("pause"), Some("resume"), Some("pause")], "newest first");
    let page = desk.view("GET /api/v1/commands?limit=1").await.with_status(200).json();
    let next = page["next"].as_str().expect("there is another page");
    let page = desk.view(&format!("GET /api/v1/commands?limit=1&cursor={next}")).await.with_status(200).json();
    assert_eq!((page["commands"][0]["command"].as_str(), page["total"].as_u64()), (Some("resume"), Some(3)));
    let first = &commands["commands"][2];
    assert_eq!((first["who"].as_str(), first["from"].as_str()), (Some("api:token"), Some("127.0.0.1")));
    assert_eq!(desk.post("/api/v1/reload", &json!({})).await.error(501), "not_in_this_version");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_listed_with_their_newest_message() {
    let desk = Desk::with("http-clients", |settings| {
        settings.clients = ["printer", "scanner"].map(crate::support::entrance::client).to_vec();
        settings.clients[1].from = vec!["127.0.0.0/8".parse().unwrap()];
        settings.clients[0].from = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    desk.pause().await;
    let id = desk.mail("one@example.com", "x").await;
    let page = desk.view("GET /api/v1/clients?limit=1").await.with_status(200).json();
    assert_eq!((page["total"].as_u64(), page["clients"][0]["name"].as_str()), (Some(2), Some("printer")));
    assert!(page["clients"][0]["newest"].is_null());
    let page = desk.view("GET /api/v1/clients?cursor=printer").await.with_status(200).json();
    assert_eq!(page["clients"][0]["newest"]["id"], id.as_str());
    assert_eq!((page["clients"][0]["messages"].as_u64(), page["next"].as_str()), (Some(1), None));
    assert_eq!(desk.view("GET /api/v1/clients?limit=0").await.error(400), "bad_query");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_speak_the_language_of_the_reader() {
    let desk = Desk::open("http-language").await;
    let path = "GET /api/v1/messages/0000000000000000";
    let chinese = desk.request(path).with("Accept-Language", "zh-CN,zh;q=0.9").at(desk.addr).await;
    assert!(chinese.json()["error"]["message"].as_str().unwrap().contains("没有邮件"), "{}", chinese.text());
    let english = desk.ask(path).await.json();
    assert!(english["error"]["message"].as_str().unwrap().is_ascii(), "{english}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_answer_without_a_token_and_metrics_on_this_machine() {
    let desk = Desk::open("http-probes").await;
    desk.mail("one@example.com", "x").await;
    let plain = |line: &str| crate::support::web::ask(line);
    for path in ["/healthz", "/readyz"] {
        let line = format!("GET {path}");
        let local = plain(&line).at(desk.addr).await.with_status(200).json();
        assert_eq!(local["reasons"], json!([]));
        let passed_on = plain(&line).with("X-Forwarded-For", "10.0.0.1").at(desk.addr).await.with_status(200).json();
        assert!(passed_on.get("reasons").is_none(), "a proxy is not this machine: {passed_on}");
        let named = plain(&line).with("Host", "relay.test").at(desk.addr).await.with_status(200).json();
        assert!(named.get("reasons").is_none(), "a name may be that of a proxy: {named}");
    }
    let metrics = plain("GET /metrics").at(desk.addr).await.with_status(200);
    assert_eq!(metrics.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.text().contains("yizhan_accepted_total"));
    let passed_on = plain("GET /metrics").with("Forwarded", "for=10.0.0.1").at(desk.addr).await;
    assert_eq!(passed_on.error(401), "unauthorized");
    desk.view("GET /metrics").await.with_status(200);
    desk.request("GET /metrics").with("Forwarded", "for=10.0.0.1").at(desk.addr).await.with_status(200);
}
