//! `yizhan login` and `yizhan logout` as child processes, against a token service of ours and the sandbox.
//!
//! Each test plays the person. Invariant in all of them: no output holds a token or a secret.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use yizhan::sandbox::{Fault, Sandbox, SandboxLimits, Stage};
use yizhan::secret::Secret;

use crate::support::folder::Folder;
use crate::support::office::{Device, USER, provider, until};
use crate::support::peers::program;
use crate::support::program::{Program, QUICK, Ran, Site, YIZHAN, clean, finish, yizhan};
use crate::support::skip::need;
use crate::support::token_service::{Act, CLIENT, REFRESH, TokenService};

/// A provider, a token service, and settings that name both.
struct Scene {
    sandbox: Arc<Sandbox>,
    service: TokenService,
    site: Site,
}

impl Scene {
    async fn new(grant: &str, more: &str) -> Scene {
        let sandbox = Arc::new(provider(SandboxLimits::default()).await);
        sandbox.set_token(USER, None);
        let service = TokenService::start(USER, Some(sandbox.clone())).await;
        let folder = Folder::new("login");
        let (ca, data) = (folder.file("ca.pem", sandbox.ca_pem()), folder.path().join("data"));
        let place = sandbox.implicit_addr().expect("it is open");
        let text = format!(
            "hostname = \"relay.test\"\ndata_dir = \"{}\"\n[admin]\nbind = \"\"\n[listener.local]\nbind = [\"127.0.0.1:2525\"]\n[account.office]\n\
             provider = \"office365\"\nuser = \"{USER}\"\nca = \"{}\"\nhost = \"{}\"\nport = {}\ntls = \"implicit\"\n\
             [account.office.oauth]\nclient_id = \"{CLIENT}\"\ngrant = \"{grant}\"\ntenant = \"contoso.example\"\n\
             token_url = \"{}\"\ndevice_url = \"{}\"\nauthorize_url = \"{}\"\n{more}\n\
             [account.plain]\nprovider = \"qq\"\nuser = \"1@qq.com\"\nsecret = \"abcdefghijklmnop\"\n{QUICK}",
            data.display(),
            ca.display(),
            place.ip(),
            place.port(),
            service.url("token"),
            service.url("device"),
            service.url("authorize"),
        );
        std::fs::create_dir(&data).expect("a folder of ours");
        let config = folder.file("yizhan.toml", text);
        let code = folder.path().join("code");
        Scene { sandbox, service, site: Site { folder, config, data, code } }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = yizhan(arguments);
        command.arg("--config").arg(&self.site.config);
        command
    }

    async fn login(&self) -> Ran {
        finish(self.command(&["login", "office", "--json"])).await
    }

    fn file(&self) -> PathBuf {
        self.site.data.join("oauth/office.json")
    }
}

/// The finding of this check.
fn finding(ran: &Ran, check: &str) -> Value {
    for secret in ["access-token-", "refresh-token-", "device-code-1", "app~secret"] {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}\n{}\n{}", ran.out, ran.err);
    }
    let value: Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}\n{}\n{}", ran.out, ran.err));
    let all = value["findings"].as_array().expect("a list").clone();
    let found = all.iter().rev().find(|one| one["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} in {all:#?}")).clone()
}

#[tokio::test]
async fn a_code_is_shown_and_what_comes_of_it_is_stored_and_tried() {
    let scene = Scene::new("device", "").await;
    let program = Program::spawn(scene.command(&["login", "office", "--json"]));
    program.line("the code", |line| line.contains("ABCD-EFGH").then_some(())).await;
    assert!(program.lines().iter().any(|line| line.contains("https://id.test/device")));
    until("a poll", async || scene.service.seen().iter().any(|one| one.path == "/token").then_some(())).await;
    scene.service.rules().approved = true;
    let (status, lines) = program.end().await;
    assert!(status.success(), "{lines:#?}");
    assert!(!lines.join("\n").contains("device-code-1"));
    assert_eq!(scene.sandbox.stats().logins_ok, 1);
    let mode = std::fs::metadata(scene.file()).expect("it is stored").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    // Again, for the answer in JSON; and away with it.
    let ran = scene.login().await;
    assert_eq!((finding(&ran, "token")["state"].as_str(), ran.code), (Some("ok"), 0));
    assert_eq!(finding(&ran, "login")["state"], "ok");
    let ran = finish(scene.command(&["logout", "office"])).await;
    assert!(ran.with_code(0).contains("myapps.microsoft.com") && !scene.file().exists());
}

#[tokio::test]
async fn tenant_mailbox_and_token_are_told_apart_at_once() {
    let scene = Scene::new("device", "").await;
    scene.service.rules().approved = true;
    let off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the";
    for (reply, cause, remedy) in [
        (format!("{off} Tenant. Visit x"), "OA-S1", "Set-TransportConfig"),
        (format!("{off} Mailbox. Visit x"), "OA-S2", "Set-CASMailbox"),
        ("535 5.7.3 Authentication unsuccessful [X]".to_owned(), "OA-S6", "another account signed in"),
    ] {
        scene.sandbox.fault(Fault::last_reply(Stage::Auth, &reply));
        let ran = scene.login().await;
        let found = finding(&ran, "login");
        assert!(found["cause"].as_str().expect("a cause").contains(cause), "{found}");
        assert!(found["remedy"].as_str().expect("a remedy").contains(remedy), "{found}");
        assert_eq!(ran.code, 1);
    }
    scene.service.rules().account = Some("somebody@else.example".to_owned());
    let ran = scene.login().await;
    assert!(ran.out.contains("somebody@else.example has signed in"), "{}", ran.out);
    assert_eq!(ran.code, 0, "the provider takes it all the same");
}

#[tokio::test]
async fn what_stops_a_sign_in_stores_nothing_and_says_what_to_do() {
    let scene = Scene::new("device", "").await;
    let refused = |error: &str, text: &str| vec![Act::refuse(error, text)];
    let device = |then: Vec<Act>| {
        let code = serde_json::json!({ "device_code": "device-code-1", "user_code": "X", "verification_uri": "https://x",
            "expires_in": 900, "interval": 1 });
        [vec![Act::Say(200, "", code.to_string())], then].concat()
    };
    let no_refresh = Act::Say(200, "", r#"{"access_token":"access-token-x","expires_in":3600}"#.to_owned());
    for (acts, words) in [
        (vec![Act::HangUp], "cannot be reached"),
        (vec![Act::Say(200, "", "<html>".to_owned())], "did not answer as a token service does"),
        (refused("invalid_request", "AADSTS90002: Tenant 'nowhere' not found."), "tenant of [account.office.oauth]"),
        (refused("unauthorized_client", "AADSTS700016: Application not found"), "client_id and tenant"),
        (device(refused("authorization_declined", "")), "the sign-in was declined"),
        (device(refused("expired_token", "")), "the code has ended"),
        (device(vec![no_refresh]), "offline_access"),
    ] {
        scene.service.rules().acts = acts.into();
        let ran = scene.login().await;
        assert!(ran.out.contains(words), "{words}\n{}\n{}", ran.out, ran.err);
        assert_eq!(finding(&ran, "token")["state"], "fail");
        assert!(ran.code == 1 && !scene.file().exists());
    }
    let slow = Act::refuse("slow_down", "");
    scene.service.rules().acts = device(vec![slow]).into();
    let program = Program::spawn(scene.command(&["login", "office", "--json"]));
    until("a poll", async || (scene.service.rules().acts.is_empty()).then_some(())).await;
    program.signal(Signal::INT);
    let (status, _) = program.end().await;
    assert_eq!(status.code(), Some(1));
    assert!(!scene.file().exists(), "Ctrl-C stores nothing");
}

#[tokio::test]
async fn wrong_settings_end_with_78() {
    let scene = Scene::new("device", "").await;
    assert!(finish(scene.command(&["login", "plain"])).await.with_code(78).contains("[account.plain.oauth]"));
    assert!(finish(scene.command(&["login", "nobody"])).await.with_code(1).contains("nobody"));
    for (wrong, words) in [("client_id = \"00001111-aaaa\"\n", "the relay brings none"), ("token_url", "token_uri")] {
        let text = std::fs::read_to_string(&scene.site.config).expect("it is there");
        let with = if wrong == "token_url" { "token_uri" } else { "" };
        let config = scene.site.folder.file("wrong.toml", text.replacen(wrong, with, 1));
        let mut command = yizhan(["login", "office"]);
        command.arg("--config").arg(config);
        assert!(finish(command).await.with_code(78).contains(words));
    }
}

/// Where the address that was shown leads back to, and its state.
fn way_back(line: &str) -> Option<(String, String)> {
    let field = |name: &str| line.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)).map(str::to_owned);
    let redirect = field("redirect_uri=")?.replace("%3A", ":").replace("%2F", "/");
    Some((redirect, field("state=")?))
}

#[tokio::test]
async fn a_browser_comes_back_to_a_port_of_this_machine() {
    let scene = Scene::new("browser", "").await;
    let program = Program::spawn(scene.command(&["login", "office", "--json"]));
    let (redirect, state) = program.line("the address", way_back).await;
    let port: u16 = redirect.strip_prefix("http://localhost:").expect("Microsoft's form").parse().expect("a port");
    for (query, page) in [
        ("code=stolen&state=another".to_owned(), "not the answer"),
        (format!("code=good-code&state={state}"), "You may close this window"),
    ] {
        let mut browser = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        browser.write_all(format!("GET /?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        browser.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.contains(page), "{answer}");
    }
    let (status, lines) = program.end().await;
    assert!(status.success(), "{lines:#?}");
    let asked = &scene.service.seen()[0];
    assert_eq!((asked.field("code"), asked.field("redirect_uri")), ("good-code", redirect.as_str()));
}

#[tokio::test]
async fn the_address_of_a_page_that_did_not_open_is_pasted() {
    use std::io::Write as _;
    let scene = Scene::new("browser", "").await;
    let mut command = scene.command(&["login", "office", "--json"]);
    command.env("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 22").env("USER", "relay");
    let (theirs, mut ours) = std::io::pipe().expect("there are pipes");
    command.stdin(Stdio::from(theirs));
    let program = Program::spawn(command);
    let (redirect, state) = program.line("the address", way_back).await;
    program.line("the tunnel", |line| line.contains("relay@10.0.0.2").then_some(())).await;
    writeln!(ours, "hello").expect("it reads");
    program.line("what is wrong with it", |line| line.contains("not the address").then_some(())).await;
    writeln!(ours, "{redirect}/?state={state}&code=pasted").expect("it reads");
    let (status, lines) = program.end().await;
    assert!(status.success(), "{lines:#?}");
    assert_eq!(scene.service.seen()[0].field("code"), "pasted");
}

#[tokio::test]
async fn an_app_signs_in_by_itself_and_the_doctor_sees_the_same() {
    let secret = "client_secret = \"app~secret.1\"\nexpires = \"2026-12-02\"";
    let scene = Scene::new("client", secret).await;
    for arguments in [["login", "office", "--json"], ["doctor", "office", "--json"]] {
        let ran = finish(scene.command(&arguments)).await;
        assert_eq!(finding(&ran, "login")["state"], "ok");
        assert!(ran.out.contains("client secret of the app"), "its end is told: {}", ran.out);
    }
    let asked = scene.service.seen();
    assert_eq!(asked.len(), 1, "the doctor uses the token that is there");
    assert_eq!(asked[0].field("grant_type"), "client_credentials");
}

#[tokio::test]
async fn a_running_relay_notices_a_sign_in_on_another_terminal() {
    let scene = Scene::new("device", "").await;
    let relay = scene.site.start().await;
    let mut device = Device::connect(relay.door()).await;
    device.send("device@lan.local", &["a@else.test"], b"Subject: hello\r\n\r\nbody\r\n").await;
    let line = relay.event("account_paused").await;
    assert!(line.contains("not-signed-in") && line.contains("yizhan login"), "{line}");
    scene.service.rules().approved = true;
    let ran = scene.login().await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    relay.event("account_resumed").await;
    let received = scene.sandbox.wait_for(1).await;
    assert_eq!(received[0].subject(), "hello");
    let log = relay.lines().join("\n");
    assert!(!log.contains("access-token-") && !log.contains("refresh-token-") && !log.contains(REFRESH), "{log}");
    scene.sandbox.set_token(USER, Some(Secret::new("end")));
}

#[tokio::test]
async fn a_kill_between_the_answer_and_the_rename_costs_no_sign_in() {
    let strace = need!(program("strace"));
    let scene = Scene::new("device", "").await;
    scene.service.rules().approved = true;
    assert_eq!(scene.login().await.code, 0);
    // The access token has ended.
    let mut stored: Value = serde_json::from_slice(&std::fs::read(scene.file()).expect("it is there")).expect("JSON");
    for time in ["obtained", "expires"] {
        stored[time] = (stored[time].as_i64().expect("a time") - 7_200_000).into();
    }
    let before = stored.to_string();
    std::fs::write(scene.file(), &before).expect("it is writable");
    let renames = "rename,renameat,renameat2";
    let arguments = [
        "-f".to_owned(),
        "-o".to_owned(),
        "/dev/null".to_owned(),
        format!("--trace={renames}"),
        format!("--inject={renames}:signal=KILL"),
        YIZHAN.to_owned(),
    ];
    let arguments = arguments.into_iter().chain(scene.site.run_arguments());
    let relay = Program::start(clean(Command::new(strace), arguments)).await;
    let mut device = Device::connect(relay.door()).await;
    device.send("device@lan.local", &["a@else.test"], b"Subject: after the kill\r\n\r\nbody\r\n").await;
    relay.end().await;
    let asked =
        |scene: &Scene| scene.service.seen().iter().filter(|one| one.field("grant_type") == "refresh_token").count();
    assert_eq!(asked(&scene), 1, "the service had answered");
    assert_eq!(std::fs::read_to_string(scene.file()).expect("it is there"), before, "nothing was written");
    let relay = scene.site.start().await;
    assert_eq!(scene.sandbox.wait_for(1).await[0].subject(), "after the kill");
    assert_eq!(asked(&scene), 2);
    drop(relay);
}
