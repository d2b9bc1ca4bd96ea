//! `yizhan status` and `yizhan health`: what they say and how they end, while the relay runs, while something is wrong, and
//! while it is stopped.

use serde_json::Value;
use yizhan::sandbox::{Sandbox, SandboxLimits};

use crate::support::load::{Courier, letter};
use crate::support::office::provider;
use crate::support::program::Site;

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
}

async fn site(name: &str) -> (Sandbox, Site) {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, "");
    (sandbox, site)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_well_then_an_account_is_paused_then_the_relay_is_stopped() {
    let (_sandbox, site) = site("status").await;
    says(&site.ask(&["status"]).await.with_code(2), &["no relay runs", "yizhan run"]);
    says(&site.ask(&["health"]).await.with_code(1), &["no relay runs"]);
    assert!(!site.data.join("queue.db").exists(), "asking makes no queue");

    let relay = site.start().await;
    let text = site.ask(&["status"]).await.with_code(0);
    // One account and no webhook: a note, no reason for an alarm.
    says(&text, &["All is well", "notice.webhook", "office: ready", "0 delivered, 0 failed", "relay.test runs since"]);
    says(&site.ask(&["status", "--lang", "zh"]).await.with_code(0), &["一切正常", "账号", "正常"]);
    says(&site.ask(&["health"]).await.with_code(0), &["alive"]);
    says(&site.ask(&["health", "--ready"]).await.with_code(0), &["ready"]);

    site.ask(&["account", "pause", "office", "--reason", "moving"]).await.with_code(0);
    let mut courier = Courier::connect(relay.door()).await.unwrap();
    courier.send(&letter("waits", 100)).await.unwrap();
    let json: Value = serde_json::from_str(&site.ask(&["status", "--json"]).await.with_code(1)).unwrap();
    let status = &json["status"];
    assert_eq!((&status["running"], &status["oldest"]["state"]), (&true.into(), &"waiting".into()), "{json}");
    assert_eq!(status["attention"][0]["code"], "account_paused", "{json}");
    assert!(status["attention"][0]["what"].as_str().unwrap().contains("office"), "{json}");
    // A paused account takes nothing from the listener.
    says(&site.ask(&["health", "--ready"]).await.with_code(0), &["ready"]);

    relay.stop().await;
    let text = site.ask(&["status"]).await.with_code(2);
    says(&text, &["You must act now", "1 message waits", "systemctl start yizhan"]);
    says(&site.ask(&["doctor", "--no-login"]).await.with_code(1), &["no relay runs", "1 message"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_from_a_named_folder_whatever_the_settings_file_says() {
    let (_sandbox, site) = site("health").await;
    let relay = site.start().await;
    std::fs::write(&site.config, "hostnam = 1\n").unwrap();
    let folder = site.data.to_str().unwrap();
    says(&site.ask(&["health", "--data-dir", folder]).await.with_code(0), &["alive"]);
    says(&site.ask(&["health"]).await.with_code(1), &["hostnam"]);
    drop(relay);
}
