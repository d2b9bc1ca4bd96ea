//! `yizhan account` as a child process: against a running relay, a stopped one, and a control socket whose accounts are
//! in every state.
//!
//! The last one is the real socket and the real program around accounts that a test makes up, so that tables, details and
//! exit codes are held whatever states the delivery can be brought into.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use yizhan::account::status::{AccountStatus, BudgetStatus};
use yizhan::admin::accounts::{Accounts, Answer};
use yizhan::admin::control::Control;
use yizhan::admin::error::no_such_account;
use yizhan::admin::{Admin, AdminError};
use yizhan::clock::Clock;
use yizhan::delivery::alert_sender::ChannelTest;
use yizhan::drain::Drain;
use yizhan::queue::sqlite::SqliteQueue;
use yizhan::queue::{Queue, RetentionSettings};
use yizhan::sandbox::{Sandbox, SandboxLimits};

use crate::support::folder::Folder;
use crate::support::load::{Courier, letter};
use crate::support::office::{USER, provider, until};
use crate::support::program::{QUICK, Site, field_of, finish, yizhan};

/// Fails unless the text has every one of these words.
#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in\n{text}");
    }
}

/// Accounts that remember what was asked of them.
#[derive(Default)]
pub(super) struct Made {
    pub(super) views: Mutex<Vec<AccountStatus>>,
    reasons: Mutex<Vec<Option<String>>>,
}

impl Made {
    fn set(&self, name: &str, state: &str) -> Result<(), AdminError> {
        let mut views = self.views.lock().unwrap();
        let names: Vec<String> = views.iter().map(|view| view.name.clone()).collect();
        let view = views.iter_mut().find(|view| view.name == name);
        let view = view.ok_or_else(|| no_such_account(name, names.iter().map(String::as_str)))?;
        view.state = state.to_owned();
        Ok(())
    }
}

impl Accounts for Made {
    fn expected(&self, _: &str, _: yizhan::mail::Lane, _: u64) -> Option<yizhan::clock::Timestamp> {
        None
    }

    fn share_an_account(&self, one: &str, other: &str) -> bool {
        one == other
    }

    fn new_pool(&self, _: &yizhan::queue::QueueEntry) -> Option<String> {
        None
    }

    fn pools_with(&self, account: &str) -> Vec<String> {
        vec![account.to_owned()]
    }

    fn outgoing_head(&self, _: &yizhan::queue::QueueEntry, stored: &[u8]) -> Vec<u8> {
        [b"Sender: office@example.com\r\n", stored].concat()
    }

    fn list(&self) -> Answer<'_, Vec<AccountStatus>> {
        Box::pin(async { self.views.lock().unwrap().clone() })
    }

    fn pause(&self, name: String, reason: Option<String>) -> Answer<'_, Result<(), AdminError>> {
        Box::pin(async move {
            self.set(&name, "paused")?;
            self.reasons.lock().unwrap().push(reason);
            Ok(())
        })
    }

    fn resume(&self, name: String) -> Answer<'_, Result<(), AdminError>> {
        Box::pin(async move { self.set(&name, "ready") })
    }

    fn test_alerts(&self) -> Answer<'_, Result<Vec<ChannelTest>, yizhan::admin::AdminError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// A control socket that answers for [`Made`] accounts, until it is dropped.
struct Counter {
    folder: Folder,
    made: Arc<Made>,
    drain: Drain,
}

impl Counter {
    async fn open(views: Vec<AccountStatus>) -> Counter {
        let folder = Folder::new("acc");
        let data_dir = folder.path().join("data");
        let keep = std::time::Duration::from_secs(60);
        let own = RetentionSettings { keep_records: keep, keep_failed: keep, keep_subject: true };
        let (queue, _) = SqliteQueue::open(&data_dir, own).expect("the folder is ours");
        let (made, drain) = (Arc::new(Made::default()), Drain::default());
        *made.views.lock().unwrap() = views;
        let control = Control::bind(&data_dir).expect("the folder is ours");
        let queue: Arc<dyn Queue> = Arc::new(queue);
        let admin = Admin::new(queue, made.clone(), Clock::system());
        tokio::spawn(control.run(admin, Default::default(), drain.clone()));
        Counter { folder, made, drain }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = yizhan(["account"]);
        command.args(arguments).arg("--data-dir").arg(self.folder.path().join("data"));
        command
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.drain.start();
    }
}

pub(super) fn cooling() -> AccountStatus {
    let budget = |unit: &str, window: &str, limit, left| BudgetStatus {
        unit: unit.into(),
        window: window.into(),
        limit,
        left,
        opens: None,
    };
    AccountStatus {
        name: "office".into(),
        provider: "qq".into(),
        address: USER.into(),
        state: "cooling".into(),
        since: Some("2026-11-21T17:45:00.000+08:00".into()),
        until: Some("2026-11-21T18:00:00.000+08:00".into()),
        cause: Some("QQ-A3".into()),
        reply: Some("535 Login fail. Account is abnormal".into()),
        remedy_en: Some("make a new authorization code".into()),
        remedy_zh: Some("重新生成授权码".into()),
        budget: vec![budget("messages", "minute", 15, 12), budget("recipients", "day", 500, 420)],
        waiting: 7,
        next: Some("2026-11-21T18:00:00.000+08:00".into()),
        ..AccountStatus::default()
    }
}

fn ready() -> AccountStatus {
    AccountStatus { name: "backup".into(), state: "ready".into(), ..AccountStatus::default() }
}

#[tokio::test]
async fn a_list_shows_why_and_what_to_do() {
    let counter = Counter::open(vec![cooling(), ready()]).await;
    let text = finish(counter.command(&["list"])).await.with_code(0);
    assert_eq!(
        text,
        "NAME    STATE    WHY    UNTIL                BUDGET LEFT           WAITING  NEXT\n\
         office  cooling  QQ-A3  2026-11-21 18:00:00  12/15 min, 420/500 d  7        2026-11-21 18:00:00\n\
         backup  ready    -      -                    -                     0        now\n\
         \noffice: the provider said: 535 Login fail. Account is abnormal\n  what to do: make a new authorization code\n"
    );
    let text = finish(counter.command(&["list", "--lang", "zh"])).await.with_code(0);
    says(&text, &["账号", "冷却", "剩余额度", "服务商答复：535", "重新生成授权码", "正常", "随时"]);
}

#[tokio::test]
async fn json_is_the_view_itself() {
    let counter = Counter::open(vec![cooling(), ready()]).await;
    let ran = finish(counter.command(&["list", "--json"])).await;
    let value: Value = serde_json::from_str(&ran.with_code(0)).unwrap();
    assert_eq!(value, serde_json::json!({ "accounts": [cooling(), ready()], "next": null, "total": 2 }));
    assert_eq!(value["accounts"][0]["budget"][0]["left"], 12);
    assert_eq!(value["accounts"][1]["until"], Value::Null);
}

#[tokio::test]
async fn pause_and_resume_reach_the_account() {
    let counter = Counter::open(vec![ready()]).await;
    let state = || counter.made.views.lock().unwrap()[0].state.clone();
    let text = finish(counter.command(&["pause", "backup", "--reason", "moving house"])).await.with_code(0);
    says(&text, &["backup is paused", "account resume backup"]);
    assert_eq!(state(), "paused");
    assert_eq!(*counter.made.reasons.lock().unwrap(), [Some("moving house".to_owned())]);
    let text = finish(counter.command(&["list"])).await.with_code(0);
    says(&text, &["paused", "yizhan doctor backup", "yizhan account resume backup"]);
    let text = finish(counter.command(&["resume", "backup", "--lang", "zh"])).await.with_code(0);
    says(&text, &["backup 已恢复"]);
    assert_eq!(state(), "ready");
    let ran = finish(counter.command(&["pause", "backup", "--json"])).await;
    let value: Value = serde_json::from_str(&ran.with_code(0)).unwrap();
    assert_eq!(value, serde_json::json!({ "account": "backup", "paused": true }));
}

#[tokio::test]
async fn a_wrong_name_exits_with_1_and_names_the_right_ones() {
    let counter = Counter::open(vec![ready()]).await;
    for action in ["pause", "resume"] {
        let ran = finish(counter.command(&[action, "nobody"])).await;
        assert!(ran.out.is_empty());
        says(&ran.with_code(1), &["`nobody`", "backup"]);
    }
    let ran = finish(counter.command(&["resume", "nobody", "--json"])).await;
    let value: Value = serde_json::from_str(&ran.with_code(1)).unwrap();
    assert_eq!(value["error"]["code"], "no_account");
    says(value["error"]["message"].as_str().unwrap(), &["nobody"]);
    says(value["error"]["remedy"].as_str().unwrap(), &["backup"]);
    let text = finish(counter.command(&["resume", "nobody", "--lang", "zh"])).await.with_code(1);
    says(&text, &["没有账号 `nobody`", "现有账号：backup"]);
    finish(counter.command(&["pause"])).await.with_code(2);
    finish(counter.command(&["list", "--help"])).await.with_code(0);
}

async fn site(name: &str) -> (Sandbox, Site) {
    let sandbox = provider(SandboxLimits::default()).await;
    let site = Site::new(name, &sandbox, QUICK);
    (sandbox, site)
}

#[tokio::test]
async fn a_running_relay_shows_its_account() {
    let (_sandbox, site) = site("arun").await;
    let relay = site.start().await;
    let ran = site.ask(&["account", "list", "--json"]).await;
    let value: Value = serde_json::from_str(&ran.with_code(0)).unwrap();
    let account = &value["accounts"][0];
    assert_eq!((&account["name"], &account["address"]), (&"office".into(), &USER.into()));
    assert_eq!((&account["state"], &account["waiting"]), (&"ready".into(), &0.into()));
    says(&site.ask(&["account", "pause", "nobody"]).await.with_code(1), &["`nobody`", "office"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_refused_log_in_shows_as_cooling() {
    let (_sandbox, site) = site("acool").await;
    site.folder.file("code", "ponmlkjihgfedcba");
    let relay = site.start().await;
    let mut courier = Courier::connect(relay.door()).await.unwrap();
    courier.send(&letter("cooling", 100)).await.unwrap();
    relay.event("account_cooling").await;
    let ran = site.ask(&["account", "list", "--json"]).await;
    let value: Value = serde_json::from_str(&ran.with_code(0)).unwrap();
    assert_eq!(value["accounts"][0]["state"], "cooling");
    assert!(value["accounts"][0]["until"].is_string(), "{value}");
    says(&site.ask(&["account", "list"]).await.with_code(0), &["cooling", "office:", "what to do:"]);
    relay.stop().await;
}

#[tokio::test]
async fn a_stopped_relay_is_answered_for_by_its_files() {
    let (_sandbox, site) = site("astop").await;
    let none = site.ask(&["account", "list"]).await.with_code(1);
    says(&none, &["no queue", "--data-dir"]);
    assert!(!Path::new(&site.data).exists(), "asking makes no queue");
    site.start().await.stop().await;
    says(&site.ask(&["account", "list"]).await.with_code(0), &["office", "ready"]);
    says(&site.ask(&["account", "resume", "nobody"]).await.with_code(1), &["`nobody`", "office"]);
    site.ask(&["account", "resume", "office"]).await.with_code(0);
}

#[tokio::test]
async fn mail_of_a_stopped_account_says_that_it_waits_for_a_person() {
    let (_sandbox, site) = site("await").await;
    let relay = site.start().await;
    site.ask(&["account", "pause", "office", "--reason", "moving"]).await.with_code(0);
    let line = relay.event("command").await;
    let fields = ["from", "command", "target", "result"].map(|name| field_of(&line, name).expect("a field"));
    assert_eq!(fields, ["socket", "pause", "office reason=\"moving\"", "done"]);
    assert!(field_of(&line, "who").is_some_and(|who| who.starts_with("uid ")), "{line}");
    let mut courier = Courier::connect(relay.door()).await.unwrap();
    courier.send(&letter("waits", 100)).await.unwrap();
    let waiting = async || {
        let text = site.ask(&["queue", "list", "--state", "waiting", "--json"]).await.with_code(0);
        let value: Value = serde_json::from_str(&text).unwrap();
        value["messages"].as_array().and_then(|all| all.first().cloned())
    };
    let message = until("the message to wait", waiting).await;
    // Not the end of time, and not 1970: nobody knows when.
    assert!(message["next"].is_null(), "{message}");
    assert_eq!((&message["lane"], &message["pool"]), (&"normal".into(), &"office".into()), "{message}");
    let id = message["id"].as_str().unwrap();
    let ask = async |arguments: &[&str]| site.ask(arguments).await.with_code(0);
    says(&ask(&["queue", "list", "--lang", "en"]).await, &["waiting", "next=when-resumed", "lane=normal pool=office"]);
    says(&ask(&["queue", "show", id, "--lang", "en"]).await, &["waiting until an operator resumes the account"]);
    says(&ask(&["queue", "show", id, "--lang", "zh"]).await, &["next=待恢复账号", "等到操作员恢复账号"]);
    ask(&["account", "resume", "office"]).await;
    relay.event("delivered").await;
    relay.stop().await;
}
