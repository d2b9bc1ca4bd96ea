//! `yizhan notice test`, with a running relay and without one; and the warning that alerts reach no one.

use crate::support::hook::{Answer, Hook};
use crate::support::office::provider;
use crate::support::program::{QUICK, Site, finish, yizhan};
use yizhan::sandbox::{Sandbox, SandboxLimits};

/// A site with these lines in `[notice]`.
async fn site(name: &str, notice: &str) -> (Sandbox, Site) {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, &format!("{QUICK}[notice]\n{notice}\n"));
    (sandbox, site)
}

fn webhook(hook: &Hook) -> String {
    format!("webhook = \"{}\"", hook.url("127.0.0.1", "/alert?key=s3cr3tt0kens3cr3t"))
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
    assert!(!text.contains("s3cr3tt0ken"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_relay_the_command_calls_the_webhook_itself() {
    let answers = vec![Answer::status(200, ""), Answer::status(200, ""), Answer::status(404, "no room")];
    let hook = Hook::start(answers, None).await;
    let (_sandbox, site) = site("notice-off", &webhook(&hook)).await;
    let text = site.ask(&["notice", "test"]).await.with_code(0);
    says(&text, &["webhook  sent", "accepted the test alert", "mail     skipped", "webhook only"]);
    let text = site.ask(&["notice", "test", "--lang", "zh"]).await.with_code(0);
    says(&text, &["webhook  已发送", "已接受测试告警", "跳过"]);
    let text = site.ask(&["notice", "test", "--json"]).await.with_code(1);
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let [webhook, mail] = [&json["channels"][0], &json["channels"][1]];
    assert_eq!((&webhook["channel"], &webhook["result"]), (&"webhook".into(), &"failed".into()), "{json}");
    assert!(webhook["detail"].as_str().unwrap().contains("status 404"), "{json}");
    assert!(webhook["remedy"].is_string() && mail["result"] == "skipped", "{json}");
    says(&site.ask(&["notice", "test"]).await.with_code(1), &["failed", "what to do:", "notice.webhook"]);
    assert_eq!(hook.seen().len(), 4);
    assert_eq!(hook.seen()[0].json()["event"], "test");
    assert!(!site.folder.path().join("data/queue.db").exists(), "a test makes no queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_needs_a_running_relay() {
    let (sandbox, site) = site("notice-mail", "").await;
    says(&site.ask(&["notice", "test"]).await.with_code(1), &["mail     skipped", "no relay runs", "yizhan run"]);
    let relay = site.start().await;
    let text = site.ask(&["notice", "test"]).await.with_code(0);
    says(&text, &["mail     sent", "in the queue of account", "yizhan queue show"]);
    crate::support::office::until("the mail", async || (!sandbox.received().is_empty()).then_some(())).await;
    drop(relay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_alerts_reach_no_one_start_check_and_test_say_so() {
    let (_sandbox, site) = site("notice-none", "to = \"none\"").await;
    let relay = site.start().await;
    let warned = relay.event("alerts_reach_nobody").await;
    says(&warned.to_lowercase(), &["\"warn\"", "notice.webhook", "notice.to"]);
    says(&site.ask(&["notice", "test"]).await.with_code(1), &["Alerts have no channel", "set notice.webhook"]);
    says(&site.ask(&["notice", "test", "--lang", "zh"]).await.with_code(1), &["告警没有任何通道", "notice.webhook"]);
    drop(relay);
    says(&site.ask(&["notice", "test", "--json"]).await.with_code(1), &["{\"channels\":[],\"next\":null,\"total\":0}"]);
    let checked = site.ask(&["check"]).await;
    says(&checked.err, &["warning: notice.to is \"none\"", "`yizhan notice test`"]);
}

#[tokio::test]
async fn settings_that_have_no_effect_are_warned_about() {
    let (_sandbox, site) =
        site("notice-check", "sign = \"SECabcdefgh\"\noldest = \"0\"\ndisk_free = \"0\"\nfailed = 0").await;
    let checked = site.ask(&["check"]).await;
    says(&checked.err, &["notice.sign", "only dingtalk and feishu sign", "in the settings themselves"]);
    let text = checked.with_code(0);
    assert!(!text.contains("SECabcdefgh") && text.contains("oldest = \"0\""), "{text}");
    let settings = "format = \"feishu\"\nsign = { env = \"ROBOT\" }\ndisk_free = \"100MiB\"\n";
    let sandbox = provider(SandboxLimits::default()).await;
    let quick = QUICK.replace("disk_free = 0\n", "disk_free = \"1GiB\"\n");
    let site = Site::new("notice-check-2", &sandbox, &format!("{quick}[notice]\n{settings}"));
    let mut command = yizhan(["check", "--config"]);
    command.arg(&site.config).env("ROBOT", "SECabcdefgh");
    let checked = finish(command).await;
    says(&checked.err, &["notice.sign", "no notice.webhook", "notice.disk_free", "less than limits.disk_free"]);
    assert!(!checked.with_code(0).contains("SECabcdefgh"));
}
